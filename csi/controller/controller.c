/* SPDX-License-Identifier: Apache-2.0 */
/* The CSI Controller service: its targets and its handlers. */
#include "csi/controller/controller.h"

#include <string.h>

#include "csi/controller/attach.h"
#include "csi/controller/capacity.h"
#include "csi/controller/change.h"
#include "csi/controller/health.h"
#include "csi/controller/listing.h"
#include "csi/controller/snapshots.h"
#include "csi/controller/volumes.h"
#include "nvme/base/cleanup.h"

/* NULL when it is not configured. */
static struct agent *find_target(const struct controller *controller, const char *name)
{
	for (size_t i = 0; i < controller->target_count; i++)
		if (strcmp(agent_name(controller->targets[i]), name) == 0)
			return controller->targets[i];
	return NULL;
}

int controller_add_target(struct controller *controller, struct agent *agent, struct err *err)
{
	if (find_target(controller, agent_name(agent)))
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

/* Without an end a call would wait for a silent target for ever. */
#define CALL_MAX_MS 60000
/* A target that is there answers a question at once; more than this is never waited for. */
#define ASK_MAX_MS 5000

struct deadline controller_deadline(const struct rpc_call *call)
{
	return deadline_min(call->deadline, deadline_after_ms(CALL_MAX_MS));
}

struct deadline controller_share(struct deadline deadline)
{
	int left_ms = deadline_poll_ms(deadline);

	if (left_ms < 0 || left_ms / 2 > ASK_MAX_MS)
		return deadline_after_ms(ASK_MAX_MS);
	return deadline_after_ms((uint64_t)left_ms / 2);
}

int controller_check(void *context, struct deadline deadline, struct err *err)
{
	const struct controller *controller = context;
	struct deadline share = controller_share(deadline);
	struct agent_ask *asked[CONTROLLER_TARGETS_MAX];
	bool ready = false;

	if (!controller->target_count)
		return err_set(err, ERR_FAILED_PRECONDITION, "no --target is configured");
	for (size_t i = 0; i < controller->target_count; i++)
		asked[i] = agent_info_begin(controller->targets[i], share);
	for (size_t i = 0; i < controller->target_count; i++) {
		struct agent_info info cleanup_agent_info = { 0 };

		if (ready)
			agent_ask_cancel(asked[i]);
		else
			ready = agent_info_finish(asked[i], &info, err) == 0;
	}
	if (ready)
		return 0;
	return err_wrap(err, "none of %zu targets answers; the last one", controller->target_count);
}

int controller_find_target(const struct controller *controller, const char *what, const char *id,
			   const char *name, struct agent **ret, struct err *err)
{
	*ret = find_target(controller, name);
	if (*ret)
		return 0;
	return err_set(err, ERR_NOT_FOUND,
		       "%s \"%s\" is on target \"%s\", which this controller does not have", what,
		       id, name);
}

int controller_locate(const struct controller *controller, const char *volume_id,
		      struct volume_id *id, struct agent **ret, struct err *err)
{
	if (!volume_id_parse(volume_id, id))
		return err_set(err, ERR_NOT_FOUND,
			       "volume \"%.128s\" does not exist: its ID is not of the form "
			       "target/pool/uuid",
			       volume_id);
	return controller_find_target(controller, "volume", volume_id, id->target, ret, err);
}

int controller_require_at(struct agent *target, const struct volume_id *id,
			  struct deadline deadline, struct agent_volume *ret, struct err *err)
{
	struct agent_find_query query = { .uuid = &id->uuid, .pool = id->pool };
	int found = agent_find(target, &query, deadline, ret, err);
	char text[VOLUME_ID_SIZE];

	if (found)
		return found < 0 ? -1 : 0;
	volume_id_format(id, text);
	return err_set(err, ERR_NOT_FOUND, "volume \"%s\" does not exist", text);
}

int controller_require(const struct controller *controller, const char *volume_id,
		       struct deadline deadline, struct agent **target, struct agent_volume *ret,
		       struct err *err)
{
	struct volume_id id;

	if (controller_locate(controller, volume_id, &id, target, err) < 0)
		return -1;
	return controller_require_at(*target, &id, deadline, ret, err);
}

static int delete_volume(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
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
	if (controller_locate(call->context, delete->volume_id, &id, &target, err) < 0)
		return err_recode(err, ERR_FAILED_PRECONDITION);
	return agent_delete(target, &id, controller_deadline(call), err);
}

static int validate_capabilities(struct rpc_call *call, const void *request, void *response,
				 struct err *err)
{
	const Csi__V1__ValidateVolumeCapabilitiesRequest *validate = request;
	Csi__V1__ValidateVolumeCapabilitiesResponse *answer = response;
	struct parameters parameters;
	struct agent_volume volume cleanup_agent_volume = { 0 };
	struct agent *target;
	struct access access;
	Csi__V1__ValidateVolumeCapabilitiesResponse__Confirmed *confirmed;

	if (require_text("volume_id", validate->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    access_parse_list(validate->volume_capabilities, validate->n_volume_capabilities,
			      &access, err) < 0 ||
	    controller_require(call->context, validate->volume_id, controller_deadline(call),
			       &target, &volume, err) < 0)
		return -1;
	if (parameters_parse(MAP_OF(validate, parameters), &parameters, err) < 0 ||
	    parameters_check_mutable(MAP_OF(validate, mutable_parameters), err) < 0) {
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
	confirmed->n_mutable_parameters = validate->n_mutable_parameters;
	confirmed->mutable_parameters = (void *)validate->mutable_parameters;
	answer->confirmed = confirmed;
	return 0;
}

#define CAPABILITY(name) CSI__V1__CONTROLLER_SERVICE_CAPABILITY__RPC__TYPE__##name

/* Exactly what works. */
static int get_capabilities(struct rpc_call *call, const void *request, void *response,
			    struct err *err)
{
	static const Csi__V1__ControllerServiceCapability__RPC__Type types[] = {
		CAPABILITY(CREATE_DELETE_VOLUME),
		CAPABILITY(PUBLISH_UNPUBLISH_VOLUME),
		CAPABILITY(PUBLISH_READONLY),
		CAPABILITY(SINGLE_NODE_MULTI_WRITER),
		CAPABILITY(LIST_VOLUMES),
		CAPABILITY(LIST_VOLUMES_PUBLISHED_NODES),
		CAPABILITY(GET_VOLUME),
		CAPABILITY(GET_CAPACITY),
		CAPABILITY(EXPAND_VOLUME),
		CAPABILITY(MODIFY_VOLUME),
		CAPABILITY(GET_VOLUME_HEALTH),
		CAPABILITY(LIST_VOLUME_HEALTH),
		CAPABILITY(CREATE_DELETE_SNAPSHOT),
		CAPABILITY(LIST_SNAPSHOTS),
		CAPABILITY(GET_SNAPSHOT),
		CAPABILITY(CLONE_VOLUME),
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

/* Of every other call that changes a volume. */
#define LOCK_OF(name, type)                                                                        \
	static const char *name(struct rpc_call *call, const void *request)                        \
	{                                                                                          \
		return lock_of_id(call, ((const Csi__V1__##type *)request)->volume_id);            \
	}

LOCK_OF(lock_of_delete, DeleteVolumeRequest)
LOCK_OF(lock_of_publish, ControllerPublishVolumeRequest)
LOCK_OF(lock_of_unpublish, ControllerUnpublishVolumeRequest)
LOCK_OF(lock_of_expand, ControllerExpandVolumeRequest)
LOCK_OF(lock_of_modify, ControllerModifyVolumeRequest)

static const char *lock_of_create_snapshot(struct rpc_call *call, const void *request)
{
	struct uuid uuid =
		snapshot_uuid_of_name(((const Csi__V1__CreateSnapshotRequest *)request)->name);

	return rpc_strdup(call, uuid.text);
}

static const char *lock_of_delete_snapshot(struct rpc_call *call, const void *request)
{
	const Csi__V1__DeleteSnapshotRequest *delete = request;
	struct volume_id id;

	return snapshot_id_parse(delete->snapshot_id, &id) ? rpc_strdup(call, id.uuid.text) : NULL;
}

static const struct rpc_method methods[] = {
	{ CONTROLLER_METHOD("CreateVolume", create_volume, volumes_create),
	  .lock_key = lock_of_create },
	{ CONTROLLER_METHOD("DeleteVolume", delete_volume, delete_volume),
	  .lock_key = lock_of_delete },
	{ CONTROLLER_METHOD("ControllerPublishVolume", controller_publish_volume, attach_publish),
	  .lock_key = lock_of_publish },
	{ CONTROLLER_METHOD("ControllerUnpublishVolume", controller_unpublish_volume,
			    attach_unpublish),
	  .lock_key = lock_of_unpublish },
	{ CONTROLLER_METHOD("ControllerExpandVolume", controller_expand_volume, change_expand),
	  .lock_key = lock_of_expand },
	{ CONTROLLER_METHOD("ControllerModifyVolume", controller_modify_volume, change_modify),
	  .lock_key = lock_of_modify },
	{ CONTROLLER_METHOD("ValidateVolumeCapabilities", validate_volume_capabilities,
			    validate_capabilities) },
	{ CONTROLLER_METHOD("ListVolumes", list_volumes, listing_list_volumes) },
	{ CONTROLLER_METHOD("ControllerGetVolume", controller_get_volume, listing_get_volume) },
	{ CONTROLLER_METHOD("GetCapacity", get_capacity, capacity_get) },
	{ CONTROLLER_METHOD("ControllerGetVolumeHealth", controller_get_volume_health, health_get),
	  .quiet = true },
	{ CONTROLLER_METHOD("ControllerListVolumeHealth", controller_list_volume_health,
			    health_list),
	  .quiet = true },
	{ CONTROLLER_METHOD("CreateSnapshot", create_snapshot, snapshots_create),
	  .lock_key = lock_of_create_snapshot },
	{ CONTROLLER_METHOD("DeleteSnapshot", delete_snapshot, snapshots_delete),
	  .lock_key = lock_of_delete_snapshot },
	{ CONTROLLER_METHOD("ListSnapshots", list_snapshots, snapshots_list) },
	{ CONTROLLER_METHOD("GetSnapshot", get_snapshot, snapshots_get) },
	{ CONTROLLER_METHOD("ControllerGetCapabilities", controller_get_capabilities,
			    get_capabilities),
	  .quiet = true },
};

struct rpc_service controller_service(struct controller *controller)
{
	return (struct rpc_service) { .name = "csi.v1.Controller",
				      .methods = methods,
				      .count = ARRAY_SIZE(methods),
				      .context = controller };
}
