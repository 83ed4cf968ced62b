/* SPDX-License-Identifier: Apache-2.0 */
/* Taking, deleting and showing snapshots of several volumes. */
#include "csi/group/group.h"

#include <string.h>

#include "csi/controller/fill.h"
#include "csi/group/members.h"
#include "csi/group/wanted.h"
#include "nvme/base/cleanup.h"

/* --- answers ---------------------------------------------------------------------------------- */

static Csi__V1__VolumeGroupSnapshot *fill_group(struct rpc_call *call, const struct group_id *id,
						size_t room)
{
	Csi__V1__VolumeGroupSnapshot *ret =
		RPC_NEW(call, Csi__V1__VolumeGroupSnapshot, csi__v1__volume_group_snapshot__init);

	ret->group_snapshot_id = rpc_alloc(call, VOLUME_ID_SIZE);
	group_id_format(id, ret->group_snapshot_id);
	ret->snapshots = rpc_alloc(call, room * sizeof(*ret->snapshots));
	ret->ready_to_use = true;
	return ret;
}

/* The group is as old as the youngest of its snapshots. */
static void fill_member(struct rpc_call *call, const struct agent_snapshot *snapshot,
			struct map topology, int64_t *created_ns,
			Csi__V1__VolumeGroupSnapshot *group)
{
	group->snapshots[group->n_snapshots++] = fill_snapshot(call, snapshot, topology);
	if (snapshot->created_ns > *created_ns)
		*created_ns = snapshot->created_ns;
	group->creation_time = fill_time(call, *created_ns);
}

/* --- creating --------------------------------------------------------------------------------- */

/*
 * What there is of the group already is what is asked for, or a part of that: then taking it again
 * brings it to its end. ret_whole: nothing is missing.
 */
static int check_same(const struct wanted_group *w, const struct members *members, bool *ret_whole,
		      struct err *err)
{
	size_t asked_for = 0;
	bool frozen = true;

	for (size_t i = 0; i < w->count; i++)
		if (members_of_volume(members, &w->volumes[i].uuid))
			asked_for++;
	for (size_t i = 0; i < members->count; i++)
		frozen = frozen && members->list[i].frozen;
	*ret_whole = asked_for == w->count;
	if (asked_for == members->count && w->freeze && !frozen)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "group snapshot \"%s\" exists on target %s and was taken without "
			       "freeze; asked for is one with it",
			       w->name, w->id.target);
	if (asked_for == members->count)
		return 0;
	return err_set(err, ERR_ALREADY_EXISTS,
		       "group snapshot \"%s\" exists on target %s and holds other volumes than are "
		       "asked for: %zu of its %zu are among these %zu",
		       w->name, w->id.target, asked_for, members->count, w->count);
}

/* All volumes are asked for at once. */
static int require_volumes(const struct wanted_group *w, struct deadline deadline, struct err *err)
{
	cleanup_free struct agent_ask **asked = xcalloc(w->count, sizeof(*asked));
	char id[VOLUME_ID_SIZE];
	int rc = 0;

	for (size_t i = 0; i < w->count; i++) {
		struct agent_find_query query = { .uuid = &w->volumes[i].uuid,
						  .pool = w->volumes[i].pool };

		asked[i] = agent_find_begin(w->target, &query, deadline);
	}
	for (size_t i = 0; i < w->count; i++) {
		struct agent_volume volume cleanup_agent_volume = { 0 };
		struct err why;
		int found = agent_find_finish(asked[i], &volume, &why);

		if (found == 0) {
			volume_id_format(&w->volumes[i], id);
			err_set(&why, ERR_NOT_FOUND, "volume \"%s\" does not exist", id);
		}
		if (found <= 0 && rc == 0) {
			*err = why;
			rc = -1;
		}
	}
	return rc;
}

static struct uuid uuid_of_member(const struct wanted_group *w, size_t i)
{
	return snapshot_uuid_of_member(&w->id.uuid, &w->volumes[i].uuid);
}

/* Whether the target has a snapshot of the group that is not finished. */
static bool is_begun(const struct wanted_group *w, struct deadline deadline)
{
	cleanup_free struct agent_ask **asked = xcalloc(w->count, sizeof(*asked));
	bool begun = false;

	for (size_t i = 0; i < w->count; i++) {
		struct uuid uuid = uuid_of_member(w, i);

		asked[i] = agent_snapshot_find_begin(w->target, &uuid, "", deadline);
	}
	for (size_t i = 0; i < w->count; i++) {
		struct agent_snapshot ignored;
		struct err why;

		begun = (agent_snapshot_find_finish(asked[i], &ignored, &why) < 0 &&
			 why.code == ERR_ABORTED) ||
			begun;
	}
	return begun;
}

/* Its target ends what was begun before it looks at the volumes, which may be gone by now. */
static int check_volumes(const struct wanted_group *w, struct deadline deadline, struct err *err)
{
	struct err why;

	if (require_volumes(w, deadline, &why) == 0 ||
	    (why.code == ERR_NOT_FOUND && is_begun(w, deadline)))
		return 0;
	*err = why;
	return -1;
}

static int take(const struct wanted_group *w, struct deadline deadline, struct members *ret,
		struct err *err)
{
	cleanup_free struct agent_snapshot_member *members = xcalloc(w->count, sizeof(*members));
	struct members taken cleanup_members = { .list = xcalloc(w->count, sizeof(*taken.list)),
						 .count = w->count };
	struct agent_snapshot_spec spec = { .members = members,
					    .count = w->count,
					    .group = &w->id.uuid,
					    .group_name = w->name,
					    .parameters = w->parameters,
					    .freeze = w->freeze };

	for (size_t i = 0; i < w->count; i++)
		members[i] = (struct agent_snapshot_member) {
			.uuid = uuid_of_member(w, i),
			.name = w->name,
			.volume = w->volumes[i].uuid,
		};
	if (agent_snapshots_create(w->target, &spec, deadline, taken.list, err) < 0)
		return -1;
	members_fini(ret);
	*ret = taken;
	taken = (struct members) { 0 };
	return 0;
}

static int ensure(const struct controller *controller, const struct wanted_group *w,
		  const struct agent_info *info, struct deadline deadline, struct members *ret,
		  struct err *err)
{
	struct agent *other;
	bool whole;

	if (members_elsewhere(controller, w->target, &w->id.uuid, deadline, &other))
		return err_set(
			err, ERR_ALREADY_EXISTS,
			"group snapshot \"%s\" exists on target %s; asked for is one of volumes "
			"of target %s",
			w->name, agent_name(other), w->id.target);
	if (members_find(w->target, &w->id.uuid, deadline, ret, err) < 0 ||
	    check_same(w, ret, &whole, err) < 0)
		return -1;
	if (whole)
		return 0;
	if (check_volumes(w, deadline, err) < 0 ||
	    (w->freeze && agent_check_freeze(w->target, info, err) < 0))
		return -1;
	return take(w, deadline, ret, err);
}

static int create(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	Csi__V1__CreateVolumeGroupSnapshotResponse *answer = response;
	struct deadline deadline = controller_deadline(call);
	struct wanted_group w cleanup_wanted_group = { 0 };
	struct agent_info info cleanup_agent_info = { 0 };
	struct members members cleanup_members = { 0 };
	int64_t created_ns = 0;

	if (wanted_group_parse(call->context, request, &w, err) < 0 ||
	    agent_info(w.target, deadline, &info, err) < 0 ||
	    ensure(call->context, &w, &info, deadline, &members, err) < 0)
		return -1;
	answer->group_snapshot = fill_group(call, &w.id, w.count);
	for (size_t i = 0; i < w.count; i++)
		fill_member(call, members_of_volume(&members, &w.volumes[i].uuid), info.topology,
			    &created_ns, answer->group_snapshot);
	return 0;
}

/* --- deleting and showing --------------------------------------------------------------------- */

/* Some list of IDs: as both requests have them. */
struct listed {
	char **ids;
	size_t count;
};

static bool is_listed(const struct listed *listed, const struct volume_id *id)
{
	char text[VOLUME_ID_SIZE];

	snapshot_id_format(id, text);
	for (size_t i = 0; i < listed->count; i++)
		if (strcmp(listed->ids[i], text) == 0)
			return true;
	return false;
}

/* Every member is listed. */
static int check_listed(const char *group_id, const struct members *members,
			const struct listed *listed, struct err *err)
{
	char text[VOLUME_ID_SIZE];

	for (size_t i = 0; i < members->count; i++) {
		if (is_listed(listed, &members->list[i].id))
			continue;
		snapshot_id_format(&members->list[i].id, text);
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "snapshot_ids has not snapshot \"%s\", which belongs to the group "
			       "\"%s\"; all of its snapshots have to be listed",
			       text, group_id);
	}
	return 0;
}

static int not_of_group(const char *snapshot_id, const char *group_id, struct err *err)
{
	return err_set(err, ERR_INVALID_ARGUMENT,
		       "snapshot_ids has \"%.128s\", which does not belong to the group \"%s\"",
		       snapshot_id, group_id);
}

/*
 * What is listed and no member is gone, or on its way: an earlier deletion may have been cut short.
 * One that is there belongs to something else.
 */
static int check_others(struct agent *target, const struct group_id *group, const char *group_id,
			const struct members *members, const struct listed *listed,
			struct deadline deadline, struct err *err)
{
	for (size_t i = 0; i < listed->count; i++) {
		struct agent_snapshot snapshot;
		struct volume_id id;
		int found;

		if (!snapshot_id_parse(listed->ids[i], &id) ||
		    strcmp(id.target, group->target) != 0)
			return not_of_group(listed->ids[i], group_id, err);
		if (members_of_uuid(members, &id.uuid))
			continue;
		found = agent_snapshot_find(target, &id.uuid, id.pool, deadline, &snapshot, err);
		if (found > 0)
			return not_of_group(listed->ids[i], group_id, err);
		if (found < 0 && err->code != ERR_ABORTED)
			return -1;
	}
	return 0;
}

/* The target knows of which group it is also of one that is being made. */
static int delete_listed(struct agent *target, const struct group_id *group,
			 const struct listed *listed, struct deadline deadline, struct err *err)
{
	for (size_t i = 0; i < listed->count; i++) {
		struct volume_id id;

		if (snapshot_id_parse(listed->ids[i], &id) &&
		    agent_snapshot_delete(target, &id, group->uuid.text, deadline, err) < 0)
			return -1;
	}
	return 0;
}

static int delete_group(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__DeleteVolumeGroupSnapshotRequest *delete = request;
	const struct listed listed = { .ids = delete->snapshot_ids,
				       .count = delete->n_snapshot_ids };
	const char *group_id = delete->group_snapshot_id;
	struct deadline deadline = controller_deadline(call);
	struct members members cleanup_members = { 0 };
	struct agent *target;
	struct group_id id;

	(void)response;
	if (wanted_group_check_count("snapshot_ids", listed.count, err) < 0 ||
	    require_text("group_snapshot_id", group_id, NAME_MAX_BYTES, err) < 0)
		return -1;
	/* No group of ours ever had such an ID. */
	if (!group_id_parse(group_id, &id))
		return 0;
	/* An unknown target may still hold the data: that is not "absent". */
	if (controller_find_target(call->context, "group snapshot", group_id, id.target, &target,
				   err) < 0)
		return err_recode(err, ERR_FAILED_PRECONDITION);
	if (members_find(target, &id.uuid, deadline, &members, err) < 0 ||
	    check_listed(group_id, &members, &listed, err) < 0 ||
	    check_others(target, &id, group_id, &members, &listed, deadline, err) < 0)
		return -1;
	return delete_listed(target, &id, &listed, deadline, err);
}

/* Every one that is listed is a member. */
static int check_members(const char *group_id, const struct members *members,
			 const struct listed *listed, struct err *err)
{
	for (size_t i = 0; i < listed->count; i++) {
		struct volume_id id;

		if (!snapshot_id_parse(listed->ids[i], &id) || !members_of_uuid(members, &id.uuid))
			return not_of_group(listed->ids[i], group_id, err);
	}
	return check_listed(group_id, members, listed, err);
}

static int get(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__GetVolumeGroupSnapshotRequest *asked = request;
	const struct listed listed = { .ids = asked->snapshot_ids, .count = asked->n_snapshot_ids };
	Csi__V1__GetVolumeGroupSnapshotResponse *answer = response;
	const char *group_id = asked->group_snapshot_id;
	struct deadline deadline = controller_deadline(call);
	struct agent_info info cleanup_agent_info = { 0 };
	struct members members cleanup_members = { 0 };
	int64_t created_ns = 0;
	struct agent *target;
	struct group_id id;

	if (wanted_group_check_count("snapshot_ids", listed.count, err) < 0 ||
	    require_text("group_snapshot_id", group_id, NAME_MAX_BYTES, err) < 0)
		return -1;
	if (!group_id_parse(group_id, &id))
		return err_set(err, ERR_NOT_FOUND,
			       "group snapshot \"%s\" does not exist: its ID is not of the form "
			       "target/@@uuid",
			       group_id);
	if (controller_find_target(call->context, "group snapshot", group_id, id.target, &target,
				   err) < 0 ||
	    members_find(target, &id.uuid, deadline, &members, err) < 0)
		return -1;
	if (!members.count)
		return err_set(err, ERR_NOT_FOUND, "group snapshot \"%s\" does not exist",
			       group_id);
	if (check_members(group_id, &members, &listed, err) < 0 ||
	    agent_info(target, deadline, &info, err) < 0)
		return -1;
	answer->group_snapshot = fill_group(call, &id, members.count);
	for (size_t i = 0; i < members.count; i++)
		fill_member(call, &members.list[i], info.topology, &created_ns,
			    answer->group_snapshot);
	return 0;
}

/* --- the table -------------------------------------------------------------------------------- */

static int get_capabilities(struct rpc_call *call, const void *request, void *response,
			    struct err *err)
{
	Csi__V1__GroupControllerGetCapabilitiesResponse *answer = response;
	Csi__V1__GroupControllerServiceCapability *c =
		RPC_NEW(call, Csi__V1__GroupControllerServiceCapability,
			csi__v1__group_controller_service_capability__init);

	(void)request, (void)err;
	c->type_case = CSI__V1__GROUP_CONTROLLER_SERVICE_CAPABILITY__TYPE_RPC;
	c->rpc = RPC_NEW(call, Csi__V1__GroupControllerServiceCapability__RPC,
			 csi__v1__group_controller_service_capability__rpc__init);
	c->rpc->type =
		CSI__V1__GROUP_CONTROLLER_SERVICE_CAPABILITY__RPC__TYPE__CREATE_DELETE_GET_VOLUME_GROUP_SNAPSHOT;
	answer->capabilities = rpc_alloc(call, sizeof(*answer->capabilities));
	answer->capabilities[answer->n_capabilities++] = c;
	return 0;
}

static const char *lock_of_create(struct rpc_call *call, const void *request)
{
	const Csi__V1__CreateVolumeGroupSnapshotRequest *asked = request;
	struct uuid uuid = group_uuid_of_name(asked->name);

	return rpc_strdup(call, uuid.text);
}

static const char *lock_of_delete(struct rpc_call *call, const void *request)
{
	const Csi__V1__DeleteVolumeGroupSnapshotRequest *asked = request;
	struct group_id id;

	return group_id_parse(asked->group_snapshot_id, &id) ? rpc_strdup(call, id.uuid.text) :
							       NULL;
}

static const struct rpc_method methods[] = {
	{ CONTROLLER_METHOD("GroupControllerGetCapabilities", group_controller_get_capabilities,
			    get_capabilities),
	  .quiet = true },
	{ CONTROLLER_METHOD("CreateVolumeGroupSnapshot", create_volume_group_snapshot, create),
	  .lock_key = lock_of_create },
	{ CONTROLLER_METHOD("DeleteVolumeGroupSnapshot", delete_volume_group_snapshot,
			    delete_group),
	  .lock_key = lock_of_delete },
	{ CONTROLLER_METHOD("GetVolumeGroupSnapshot", get_volume_group_snapshot, get) },
};

struct rpc_service group_service(struct controller *controller)
{
	return (struct rpc_service) { .name = "csi.v1.GroupController",
				      .methods = methods,
				      .count = ARRAY_SIZE(methods),
				      .context = controller };
}
