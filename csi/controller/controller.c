/* SPDX-License-Identifier: Apache-2.0 */
/* The CSI Controller service: its targets and its handlers. */
#include "csi/controller/controller.h"

#include <inttypes.h>
#include <string.h>

#include "csi/controller/listing.h"
#include "csi/controller/volumes.h"
#include "csi/request/attachment.h"
#include "nvme/base/cleanup.h"

int controller_add_target(struct controller *controller, struct agent *agent, struct err *err)
{
	if (controller_target(controller, agent_name(agent)))
		return err_set(err, ERR_INVALID_ARGUMENT, "target \"%s\" is given twice",
			       agent_name(agent));
	if (controller->target_count == CONTROLLER_TARGETS_MAX)
		return err_set(err, ERR_INVALID_ARGUMENT, "more than %d targets",
			       CONTROLLER_TARGETS_MAX);
	controller->targets[controller->target_count++] = agent;
	return 0;
}

void controller_fini(struct controller *controller)
{
	for (size_t i = 0; i < controller->target_count; i++)
		agent_free(controller->targets[i]);
	controller->target_count = 0;
}

struct agent *controller_target(const struct controller *controller, const char *name)
{
	for (size_t i = 0; i < controller->target_count; i++)
		if (strcmp(agent_name(controller->targets[i]), name) == 0)
			return controller->targets[i];
	return NULL;
}

/* A target that is there answers a question at once; more than this is never waited for. */
#define ASK_MAX_MS 5000

struct deadline controller_share(struct deadline deadline, size_t parties)
{
	int left_ms = deadline_poll_ms(deadline);
	uint64_t share_ms = left_ms < 0 ? ASK_MAX_MS : (uint64_t)left_ms / parties;

	return deadline_after_ms(share_ms < ASK_MAX_MS ? share_ms : ASK_MAX_MS);
}

int controller_check(void *context, struct deadline deadline, struct err *err)
{
	const struct controller *controller = context;
	uint64_t ignored;

	if (!controller->target_count)
		return err_set(err, ERR_FAILED_PRECONDITION, "no --target is configured");
	for (size_t i = 0; i < controller->target_count; i++)
		if (agent_available(controller->targets[i], "",
				    controller_share(deadline, controller->target_count - i),
				    &ignored, err) == 0)
			return 0;
	return err_wrap(err, "none of %zu targets answers; the last one", controller->target_count);
}

/* Finds the target of a volume that must exist. */
static int locate(const struct controller *controller, const char *volume_id, struct volume_id *id,
		  struct agent **ret, struct err *err)
{
	if (!volume_id_parse(volume_id, id))
		return err_set(err, ERR_NOT_FOUND,
			       "volume \"%.128s\" does not exist: its ID is not of the form "
			       "target/pool/uuid",
			       volume_id);
	*ret = controller_target(controller, id->target);
	if (!*ret)
		return err_set(
			err, ERR_NOT_FOUND,
			"volume \"%s\" is on target \"%s\", which this controller does not have",
			volume_id, id->target);
	return 0;
}

int controller_require(const struct controller *controller, const char *volume_id,
		       struct deadline deadline, struct volume_id *id, struct agent **target,
		       struct agent_volume *ret, struct err *err)
{
	int found;

	if (locate(controller, volume_id, id, target, err) < 0)
		return -1;
	found = agent_find(*target, &id->uuid, id->pool, deadline, ret, err);
	if (found == 0)
		return err_set(err, ERR_NOT_FOUND, "volume \"%s\" does not exist", volume_id);
	return found < 0 ? -1 : 0;
}

/* A string map in a response, built in the call's arena. */
#define MAP_ADD(call, message, field, type, init, k, v)                                            \
	do {                                                                                       \
		type *entry_ = RPC_NEW(call, type, init);                                          \
		entry_->key = rpc_strdup(call, k);                                                 \
		entry_->value = v;                                                                 \
		(message)->field[(message)->n_##field++] = entry_;                                 \
	} while (0)

static void fill_volume_context(struct rpc_call *call, struct map parameters,
				Csi__V1__Volume *volume)
{
	volume->volume_context =
		rpc_alloc(call, parameters.count * sizeof(*volume->volume_context));
	for (size_t i = 0; i < parameters.count; i++)
		if (parameters_for_node(parameters.entries[i]->key))
			MAP_ADD(call, volume, volume_context, Csi__V1__Volume__VolumeContextEntry,
				csi__v1__volume__volume_context_entry__init,
				parameters.entries[i]->key,
				rpc_strdup(call, parameters.entries[i]->value));
}

static int create_volume(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const struct controller *controller = call->context;
	Csi__V1__CreateVolumeResponse *answer = response;
	char text[VOLUME_ID_SIZE];
	struct agent_volume volume;
	struct create_spec spec;
	struct volume_id id;

	if (create_spec_parse(request, &spec, err) < 0 ||
	    volumes_ensure(controller, &spec, call->deadline, &id, &volume, err) < 0)
		return -1;
	volume_id_format(&id, text);
	answer->volume = RPC_NEW(call, Csi__V1__Volume, csi__v1__volume__init);
	answer->volume->volume_id = rpc_strdup(call, text);
	answer->volume->capacity_bytes = (int64_t)volume.size_bytes;
	fill_volume_context(call, spec.parameter_map, answer->volume);
	return 0;
}

static int delete_volume(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const struct controller *controller = call->context;
	const Csi__V1__DeleteVolumeRequest *delete = request;
	struct volume_id id;
	struct agent *target;

	(void)response;
	if (require_text("volume_id", delete->volume_id, NAME_MAX_BYTES, err) < 0)
		return -1;
	/* No volume of ours ever had such an ID: it is as absent as it can be. */
	if (!volume_id_parse(delete->volume_id, &id))
		return 0;
	/* An unknown target may still hold the data: that is not "absent". */
	target = controller_target(controller, id.target);
	if (!target)
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"volume \"%s\" is on target \"%s\", which this controller does not have",
			delete->volume_id, id.target);
	return agent_delete(target, &id.uuid, id.pool, call->deadline, err);
}

static void fill_publish_context(struct rpc_call *call, const struct volume_id *id,
				 const struct agent_volume *volume,
				 Csi__V1__ControllerPublishVolumeResponse *answer)
{
#define PUBLISH_ADD(k, v)                                                                          \
	MAP_ADD(call, answer, publish_context,                                                     \
		Csi__V1__ControllerPublishVolumeResponse__PublishContextEntry,                     \
		csi__v1__controller_publish_volume_response__publish_context_entry__init, k, v)

	answer->publish_context = rpc_alloc(call, 5 * sizeof(*answer->publish_context));
	PUBLISH_ADD(ATTACHMENT_NQN, rpc_strdup(call, volume->nqn));
	PUBLISH_ADD(ATTACHMENT_PORTALS, rpc_strdup(call, volume->portals));
	PUBLISH_ADD(ATTACHMENT_NS_UUID, rpc_strdup(call, id->uuid.text));
	PUBLISH_ADD(ATTACHMENT_SIZE, rpc_printf(call, "%" PRIu64, volume->size_bytes));
	PUBLISH_ADD(ATTACHMENT_BLANK, rpc_strdup(call, volume->blank ? "true" : "false"));
#undef PUBLISH_ADD
}

static int publish_provisioned(struct rpc_call *call,
			       const Csi__V1__ControllerPublishVolumeRequest *publish,
			       const struct access *access,
			       Csi__V1__ControllerPublishVolumeResponse *answer, struct err *err)
{
	const struct controller *controller = call->context;
	struct volume_export export = { .access = access->export,
					.readonly = access->reader || publish->readonly };
	struct deadline deadline = call->deadline;
	struct agent_volume volume;
	struct volume_id id;
	struct agent *target;

	if (controller_require(controller, publish->volume_id, deadline, &id, &target, &volume,
			       err) < 0)
		return -1;
	/* Our node IDs are host NQNs, so what is no NQN is no node. */
	if (parse_nqn("node_id", publish->node_id, export.host_nqn, err) < 0)
		return err_recode(err, ERR_NOT_FOUND);
	if (access->many_nodes && volume.blank && !access->block)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "volume \"%s\" is blank: %s never formats; write it through another "
			       "access mode first",
			       publish->volume_id, access->mode_name);
	if (agent_export(target, &id, &export, deadline, &volume, err) < 0)
		return -1;
	fill_publish_context(call, &id, &volume, answer);
	return 0;
}

static int controller_publish(struct rpc_call *call, const void *request, void *response,
			      struct err *err)
{
	const Csi__V1__ControllerPublishVolumeRequest *publish = request;
	struct map volume_context = MAP_OF(publish, volume_context);
	struct attachment ignored;
	struct access access;

	if (require_text("volume_id", publish->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    require_text("node_id", publish->node_id, NODE_ID_MAX_BYTES, err) < 0 ||
	    access_parse(publish->volume_capability, &access, err) < 0 ||
	    map_check_size("volume_context", volume_context, err) < 0)
		return -1;
	/* The administrator of a foreign target lets hosts in; all we can do is check the words. */
	if (attachment_is_static(volume_context)) {
		if (access_check_static(&access, err) < 0)
			return -1;
		return attachment_parse(volume_context, (struct map) { 0 }, &ignored, err);
	}
	return publish_provisioned(call, publish, &access, response, err);
}

static int controller_unpublish(struct rpc_call *call, const void *request, void *response,
				struct err *err)
{
	const struct controller *controller = call->context;
	const Csi__V1__ControllerUnpublishVolumeRequest *unpublish = request;
	char host_nqn[NQN_SIZE] = "";
	struct volume_id id;
	struct agent *target;

	(void)response;
	if (require_text("volume_id", unpublish->volume_id, NAME_MAX_BYTES, err) < 0)
		return -1;
	/* Not ours (static), or not a node of ours: such a pair was never let in by us. */
	if (!volume_id_parse(unpublish->volume_id, &id))
		return 0;
	if (*unpublish->node_id && parse_nqn("node_id", unpublish->node_id, host_nqn, err) < 0)
		return 0;
	target = controller_target(controller, id.target);
	if (!target)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "volume \"%s\" is on target \"%s\", which this controller does not "
			       "have: whether the node can still reach it is not known",
			       unpublish->volume_id, id.target);
	return agent_unexport(target, &id, host_nqn, call->deadline, err);
}

static int validate_capabilities(struct rpc_call *call, const void *request, void *response,
				 struct err *err)
{
	const Csi__V1__ValidateVolumeCapabilitiesRequest *validate = request;
	Csi__V1__ValidateVolumeCapabilitiesResponse *answer = response;
	struct parameters parameters;
	struct agent_volume volume;
	struct volume_id id;
	struct agent *target;
	struct access access;
	Csi__V1__ValidateVolumeCapabilitiesResponse__Confirmed *confirmed;

	if (require_text("volume_id", validate->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    access_parse_list(validate->volume_capabilities, validate->n_volume_capabilities,
			      &access, err) < 0 ||
	    controller_require(call->context, validate->volume_id, call->deadline, &id, &target,
			       &volume, err) < 0)
		return -1;
	if (parameters_parse(MAP_OF(validate, parameters), &parameters, err) < 0) {
		answer->message = rpc_strdup(call, err->msg);
		return 0;
	}
	confirmed = RPC_NEW(call, Csi__V1__ValidateVolumeCapabilitiesResponse__Confirmed,
			    csi__v1__validate_volume_capabilities_response__confirmed__init);
	confirmed->n_volume_capabilities = validate->n_volume_capabilities;
	confirmed->volume_capabilities = validate->volume_capabilities;
	confirmed->n_volume_context = validate->n_volume_context;
	confirmed->volume_context = (void *)validate->volume_context;
	confirmed->n_parameters = validate->n_parameters;
	confirmed->parameters = (void *)validate->parameters;
	answer->confirmed = confirmed;
	return 0;
}

static int get_capabilities(struct rpc_call *call, const void *request, void *response,
			    struct err *err)
{
	static const Csi__V1__ControllerServiceCapability__RPC__Type types[] = {
		CSI__V1__CONTROLLER_SERVICE_CAPABILITY__RPC__TYPE__CREATE_DELETE_VOLUME,
		CSI__V1__CONTROLLER_SERVICE_CAPABILITY__RPC__TYPE__PUBLISH_UNPUBLISH_VOLUME,
		CSI__V1__CONTROLLER_SERVICE_CAPABILITY__RPC__TYPE__LIST_VOLUMES,
		CSI__V1__CONTROLLER_SERVICE_CAPABILITY__RPC__TYPE__LIST_VOLUMES_PUBLISHED_NODES,
		CSI__V1__CONTROLLER_SERVICE_CAPABILITY__RPC__TYPE__GET_CAPACITY,
		CSI__V1__CONTROLLER_SERVICE_CAPABILITY__RPC__TYPE__SINGLE_NODE_MULTI_WRITER,
	};
	Csi__V1__ControllerGetCapabilitiesResponse *answer = response;

	(void)request, (void)err;
	answer->capabilities = rpc_alloc(call, sizeof(types) / sizeof(*types) * sizeof(void *));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		Csi__V1__ControllerServiceCapability *c =
			RPC_NEW(call, Csi__V1__ControllerServiceCapability,
				csi__v1__controller_service_capability__init);

		c->type_case = CSI__V1__CONTROLLER_SERVICE_CAPABILITY__TYPE_RPC;
		c->rpc = RPC_NEW(call, Csi__V1__ControllerServiceCapability__RPC,
				 csi__v1__controller_service_capability__rpc__init);
		c->rpc->type = types[i];
		answer->capabilities[answer->n_capabilities++] = c;
	}
	return 0;
}

/* Creating is serialised with everything else on the volume that the name will become. */
static const char *lock_of_create(struct rpc_call *call, const void *request)
{
	struct uuid uuid =
		volume_uuid_of_name(((const Csi__V1__CreateVolumeRequest *)request)->name);

	return rpc_strdup(call, uuid.text);
}

static const char *lock_of_id(struct rpc_call *call, const char *volume_id)
{
	struct volume_id id;

	return volume_id_parse(volume_id, &id) ? rpc_strdup(call, id.uuid.text) : NULL;
}

static const char *lock_of_delete(struct rpc_call *call, const void *request)
{
	return lock_of_id(call, ((const Csi__V1__DeleteVolumeRequest *)request)->volume_id);
}

static const char *lock_of_publish(struct rpc_call *call, const void *request)
{
	return lock_of_id(call,
			  ((const Csi__V1__ControllerPublishVolumeRequest *)request)->volume_id);
}

static const char *lock_of_unpublish(struct rpc_call *call, const void *request)
{
	return lock_of_id(call,
			  ((const Csi__V1__ControllerUnpublishVolumeRequest *)request)->volume_id);
}

static const struct rpc_method methods[] = {
	{ .name = "CreateVolume",
	  .request = &csi__v1__create_volume_request__descriptor,
	  .response = &csi__v1__create_volume_response__descriptor,
	  .handle = create_volume,
	  .lock_key = lock_of_create },
	{ .name = "DeleteVolume",
	  .request = &csi__v1__delete_volume_request__descriptor,
	  .response = &csi__v1__delete_volume_response__descriptor,
	  .handle = delete_volume,
	  .lock_key = lock_of_delete },
	{ .name = "ControllerPublishVolume",
	  .request = &csi__v1__controller_publish_volume_request__descriptor,
	  .response = &csi__v1__controller_publish_volume_response__descriptor,
	  .handle = controller_publish,
	  .lock_key = lock_of_publish },
	{ .name = "ControllerUnpublishVolume",
	  .request = &csi__v1__controller_unpublish_volume_request__descriptor,
	  .response = &csi__v1__controller_unpublish_volume_response__descriptor,
	  .handle = controller_unpublish,
	  .lock_key = lock_of_unpublish },
	{ .name = "ValidateVolumeCapabilities",
	  .request = &csi__v1__validate_volume_capabilities_request__descriptor,
	  .response = &csi__v1__validate_volume_capabilities_response__descriptor,
	  .handle = validate_capabilities },
	{ .name = "ListVolumes",
	  .request = &csi__v1__list_volumes_request__descriptor,
	  .response = &csi__v1__list_volumes_response__descriptor,
	  .handle = listing_list_volumes },
	{ .name = "GetCapacity",
	  .request = &csi__v1__get_capacity_request__descriptor,
	  .response = &csi__v1__get_capacity_response__descriptor,
	  .handle = listing_get_capacity },
	{ .name = "ControllerGetCapabilities",
	  .request = &csi__v1__controller_get_capabilities_request__descriptor,
	  .response = &csi__v1__controller_get_capabilities_response__descriptor,
	  .handle = get_capabilities,
	  .quiet = true },
};

struct rpc_service controller_service(struct controller *controller)
{
	return (struct rpc_service) { .name = "csi.v1.Controller",
				      .methods = methods,
				      .count = ARRAY_SIZE(methods),
				      .context = controller };
}
