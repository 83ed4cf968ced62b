/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing volumes to nodes. */
#include "csi/controller/attach.h"

#include <inttypes.h>

#include "csi/controller/fill.h"
#include "csi/request/access.h"
#include "csi/request/attachment.h"
#include "csi/request/authentication.h"
#include "csi/request/parameters.h"

#define ADD(call, answer, key, value)                                                              \
	FILL_MAP_ADD(call, answer, publish_context,                                                \
		     Csi__V1__ControllerPublishVolumeResponse__PublishContextEntry,                \
		     csi__v1__controller_publish_volume_response__publish_context_entry__init,     \
		     key, value)

#define OWN_KEYS 8

/* The connect parameters as they are now: those that were set later win. */
static void fill_connect(struct rpc_call *call, const struct agent_volume *volume,
			 Csi__V1__ControllerPublishVolumeResponse *answer)
{
	struct map created = volume->parameters, later = volume->mutables;

	for (size_t i = 0; i < created.count; i++)
		if (parameters_is_mutable(created.entries[i]->key) &&
		    !map_get(later, created.entries[i]->key))
			ADD(call, answer, created.entries[i]->key,
			    rpc_strdup(call, created.entries[i]->value));
	for (size_t i = 0; i < later.count; i++)
		if (parameters_is_mutable(later.entries[i]->key))
			ADD(call, answer, later.entries[i]->key,
			    rpc_strdup(call, later.entries[i]->value));
}

static void fill_publish_context(struct rpc_call *call, const struct agent_volume *volume,
				 const struct dhchap_keys *keys,
				 Csi__V1__ControllerPublishVolumeResponse *answer)
{
	FILL_MAP(call, answer, publish_context,
		 OWN_KEYS + volume->parameters.count + volume->mutables.count);
	ADD(call, answer, ATTACHMENT_NQN, rpc_strdup(call, volume->nqn));
	ADD(call, answer, ATTACHMENT_PORTALS, rpc_strdup(call, volume->portals));
	ADD(call, answer, ATTACHMENT_NS_UUID, rpc_strdup(call, volume->id.uuid.text));
	ADD(call, answer, ATTACHMENT_SIZE, rpc_printf(call, "%" PRIu64, volume->size_bytes));
	ADD(call, answer, ATTACHMENT_BLANK, rpc_strdup(call, volume->blank ? "true" : "false"));
	if (volume->readonly)
		ADD(call, answer, ATTACHMENT_READONLY, rpc_strdup(call, "true"));
	if (keys->host[0]) {
		struct uuid id = authentication_id(keys);

		ADD(call, answer, ATTACHMENT_AUTHENTICATION,
		    rpc_strdup(call, dhchap_mode_name(dhchap_keys_mode(keys))));
		ADD(call, answer, ATTACHMENT_SECRET_ID, rpc_strdup(call, id.text));
	}
	fill_connect(call, volume, answer);
}

/*
 * A reader of a blank file system would have to format it. While writers hold the volume the target
 * refuses the reader, with a better reason. A raw device reads as zeros, which does no harm.
 */
static int check_blank(const Csi__V1__ControllerPublishVolumeRequest *publish,
		       const struct access *access, const struct volume_export *export,
		       const struct agent_volume *volume, struct err *err)
{
	if (!export->readonly || !volume->blank || access->block ||
	    (volume->host_count && !volume->readonly))
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "volume \"%s\" is blank, and published read-only (%s%s) it is never "
		       "formatted; write it through another access mode first",
		       publish->volume_id, access->mode_name,
		       publish->readonly ? ", readonly" : "");
}

static int publish_provisioned(struct rpc_call *call,
			       const Csi__V1__ControllerPublishVolumeRequest *publish,
			       const struct access *access, const struct dhchap_keys *keys,
			       Csi__V1__ControllerPublishVolumeResponse *answer, struct err *err)
{
	struct volume_export export = { .access = access->export,
					.readonly = access->reader || publish->readonly };
	struct deadline deadline = controller_deadline(call);
	struct agent_volume before cleanup_agent_volume = { 0 };
	struct agent_volume exported cleanup_agent_volume = { 0 };
	struct agent *target;

	if (controller_require(call->context, publish->volume_id, deadline, &target, &before, err) <
	    0)
		return -1;
	/* Our node IDs are host NQNs, so what is no NQN is no node. */
	if (parse_nqn("node_id", publish->node_id, export.host_nqn, err) < 0)
		return err_recode(err, ERR_NOT_FOUND);
	if (check_blank(publish, access, &export, &before, err) < 0 ||
	    agent_export(target, &before.id, &export, keys, deadline, &exported, err) < 0)
		return -1;
	fill_publish_context(call, &exported, keys, answer);
	return 0;
}

/*
 * The administrator of a foreign target lets hosts in; all we can do is check the words, and tell
 * the node that it must not write.
 */
static int publish_static(struct rpc_call *call,
			  const Csi__V1__ControllerPublishVolumeRequest *publish,
			  const struct access *access,
			  Csi__V1__ControllerPublishVolumeResponse *answer, struct err *err)
{
	struct attachment ignored;

	if (volume_id_check_static(publish->volume_id, err) < 0 ||
	    access_check_static(access, err) < 0 ||
	    attachment_parse(MAP_OF(publish, volume_context), (struct map) { 0 }, &ignored, err) <
		    0)
		return -1;
	if (!access->reader && !publish->readonly)
		return 0;
	FILL_MAP(call, answer, publish_context, 1);
	ADD(call, answer, ATTACHMENT_READONLY, rpc_strdup(call, "true"));
	return 0;
}

int attach_publish(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__ControllerPublishVolumeRequest *publish = request;
	struct map volume_context = MAP_OF(publish, volume_context);
	cleanup_dhchap_keys struct dhchap_keys keys = { 0 };
	struct access access;

	if (require_text("volume_id", publish->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    require_text("node_id", publish->node_id, NODE_ID_MAX_BYTES, err) < 0 ||
	    access_parse(publish->volume_capability, &access, err) < 0 ||
	    map_check_size("volume_context", volume_context, err) < 0 ||
	    authentication_parse(MAP_OF(publish, secrets), &keys, err) < 0)
		return -1;
	if (attachment_is_static(volume_context))
		return publish_static(call, publish, &access, response, err);
	return publish_provisioned(call, publish, &access, &keys, response, err);
}

int attach_unpublish(struct rpc_call *call, const void *request, void *response, struct err *err)
{
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
	if (controller_locate(call->context, unpublish->volume_id, &id, &target, err) < 0) {
		err_recode(err, ERR_FAILED_PRECONDITION);
		return err_wrap(err, "whether the node can still reach the volume is not known");
	}
	return agent_unexport(target, &id, host_nqn, controller_deadline(call), err);
}
