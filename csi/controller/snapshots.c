/* SPDX-License-Identifier: Apache-2.0 */
/* Taking, deleting and showing snapshots. */
#include "csi/controller/snapshots.h"

#include <stdlib.h>
#include <string.h>

#include "csi/controller/fill.h"
#include "csi/controller/pages.h"
#include "csi/request/parameters.h"
#include "csi/request/topology.h"

/* A CreateSnapshot request, checked. Strings are borrowed from the request. */
struct wanted {
	const char *name;
	struct uuid uuid;
	struct volume_id volume;
	struct agent *target; /* that has the volume */
	struct map parameters;
	bool freeze;
	const Csi__V1__TopologyRequirement *topology; /* NULL: anywhere */
};

int snapshots_locate(const struct controller *controller, const char *snapshot_id,
		     struct volume_id *id, struct agent **ret, struct err *err)
{
	if (!snapshot_id_parse(snapshot_id, id))
		return err_set(err, ERR_NOT_FOUND,
			       "snapshot \"%.128s\" does not exist: its ID is not of the form "
			       "target/pool/@uuid",
			       snapshot_id);
	return controller_find_target(controller, "snapshot", snapshot_id, id->target, ret, err);
}

int snapshots_require(struct agent *target, const struct volume_id *id, struct deadline deadline,
		      struct agent_snapshot *ret, struct err *err)
{
	int found = agent_snapshot_find(target, &id->uuid, id->pool, deadline, ret, err);
	char text[VOLUME_ID_SIZE];

	if (found)
		return found < 0 ? -1 : 0;
	snapshot_id_format(id, text);
	return err_set(err, ERR_NOT_FOUND, "snapshot \"%s\" does not exist", text);
}

/* --- creating --------------------------------------------------------------------------------- */

static int wanted_parse(const struct controller *controller,
			const Csi__V1__CreateSnapshotRequest *request, struct wanted *ret,
			struct err *err)
{
	struct wanted w = { .name = request->name,
			    .parameters = MAP_OF(request, parameters),
			    .topology = request->accessibility_requirements };

	if (require_text("name", request->name, NAME_MAX_BYTES, err) < 0 ||
	    require_text("source_volume_id", request->source_volume_id, NAME_MAX_BYTES, err) < 0 ||
	    parameters_parse_snapshot(w.parameters, &w.freeze, err) < 0 ||
	    topology_check_requirement(w.topology, err) < 0 ||
	    controller_locate(controller, request->source_volume_id, &w.volume, &w.target, err) < 0)
		return -1;
	w.uuid = snapshot_uuid_of_name(w.name);
	*ret = w;
	return 0;
}

/*
 * 1: a snapshot of that name is there; 0: on none of the targets that answer. One that was begun
 * counts as none (ret_begun): to take it again brings it to its end.
 */
static int look_up(const struct controller *controller, const struct wanted *w,
		   struct deadline deadline, struct agent_snapshot *ret, bool *ret_begun,
		   struct err *err)
{
	cleanup_free struct agent_ask **asked = xcalloc(controller->target_count, sizeof(*asked));
	struct deadline share = controller_share(deadline);
	bool unknown = false;
	int found = 0;

	*ret_begun = false;
	for (size_t i = 0; i < controller->target_count; i++)
		asked[i] = agent_snapshot_find_begin(controller->targets[i], &w->uuid, "", share);
	for (size_t i = 0; i < controller->target_count; i++) {
		bool home = controller->targets[i] == w->target;
		struct agent_snapshot snapshot;
		struct err why;
		int here = agent_snapshot_find_finish(asked[i], &snapshot, &why);

		if (here > 0 && (!found || home)) {
			*ret = snapshot;
			found = 1;
		}
		if (here >= 0 || !home)
			continue;
		*ret_begun = why.code == ERR_ABORTED;
		unknown = !*ret_begun;
		if (unknown)
			*err = why;
	}
	return unknown ? -1 : found;
}

/* The volume that a snapshot was taken of. */
static struct volume_id volume_of(const struct agent_snapshot *snapshot)
{
	struct volume_id id = snapshot->id;

	id.uuid = snapshot->volume;
	return id;
}

static int check_same(const struct wanted *w, const struct agent_snapshot *found, struct err *err)
{
	char id[VOLUME_ID_SIZE], is_of[VOLUME_ID_SIZE], wanted_of[VOLUME_ID_SIZE];
	struct volume_id volume = volume_of(found);

	volume_id_format(&volume, is_of);
	volume_id_format(&w->volume, wanted_of);
	snapshot_id_format(&found->id, id);
	if (strcmp(is_of, wanted_of) == 0 && w->freeze && !found->frozen)
		return err_set(
			err, ERR_ALREADY_EXISTS,
			"snapshot \"%s\" exists (%s) and was taken without freeze; asked for "
			"is one with it",
			w->name, id);
	if (strcmp(is_of, wanted_of) == 0)
		return 0;
	return err_set(err, ERR_ALREADY_EXISTS,
		       "snapshot \"%s\" exists (%s) of volume %s; asked for is one of volume %s",
		       w->name, id, is_of, wanted_of);
}

static int create(const struct wanted *w, struct deadline deadline, struct agent_snapshot *ret,
		  struct err *err)
{
	const struct agent_snapshot_member member = { .uuid = w->uuid,
						      .name = w->name,
						      .volume = w->volume.uuid };
	const struct agent_snapshot_spec spec = {
		.members = &member, .count = 1, .parameters = w->parameters, .freeze = w->freeze
	};

	return agent_snapshots_create(w->target, &spec, deadline, ret, err);
}

/* The snapshot lies where its volume does, and nowhere else. */
static int check_place(const struct wanted *w, const struct agent_info *info, struct err *err)
{
	if (topology_rank(w->topology, info->topology) >= 0)
		return 0;
	return err_set(
		err, ERR_RESOURCE_EXHAUSTED,
		"accessibility_requirements of snapshot \"%s\": it is taken where its volume "
		"is, on target %s, which cannot be reached from any of the requisite "
		"topologies",
		w->name, agent_name(w->target));
}

/* Finishes the question for the volume, which has to be there. */
static int require_volume(const struct wanted *w, struct agent_ask *asked, struct err *err)
{
	struct agent_volume volume cleanup_agent_volume = { 0 };
	char id[VOLUME_ID_SIZE];
	int found = agent_find_finish(asked, &volume, err);

	if (found)
		return found < 0 ? -1 : 0;
	volume_id_format(&w->volume, id);
	return err_set(err, ERR_NOT_FOUND, "volume \"%s\" does not exist", id);
}

/* All questions are put at once; then what there is decides. */
static int ensure(const struct controller *controller, const struct wanted *w,
		  struct deadline deadline, struct agent_snapshot *ret, struct agent_info *ret_info,
		  struct err *err)
{
	struct agent_find_query query = { .uuid = &w->volume.uuid, .pool = w->volume.pool };
	struct agent_ask *asked_info cleanup_agent_ask = agent_info_begin(w->target, deadline);
	struct agent_ask *asked cleanup_agent_ask = agent_find_begin(w->target, &query, deadline);
	bool begun;
	int found = look_up(controller, w, deadline, ret, &begun, err);

	if (found < 0 || agent_info_finish(steal_ptr(&asked_info), ret_info, err) < 0 ||
	    check_place(w, ret_info, err) < 0)
		return -1;
	if (found)
		return check_same(w, ret, err);
	/* Its target ends what was begun before it looks at the volume, which may be gone by now. */
	if ((!begun && require_volume(w, steal_ptr(&asked), err) < 0) ||
	    (w->freeze && agent_check_freeze(w->target, ret_info, err) < 0))
		return -1;
	return create(w, deadline, ret, err) < 0 ? -1 : check_same(w, ret, err);
}

int snapshots_create(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	Csi__V1__CreateSnapshotResponse *answer = response;
	struct agent_info info cleanup_agent_info = { 0 };
	struct agent_snapshot snapshot;
	struct wanted w;

	if (wanted_parse(call->context, request, &w, err) < 0 ||
	    ensure(call->context, &w, controller_deadline(call), &snapshot, &info, err) < 0)
		return -1;
	answer->snapshot = fill_snapshot(call, &snapshot, info.topology);
	return 0;
}

/* --- deleting --------------------------------------------------------------------------------- */

/* A group goes as a whole. What was begun is brought to its end by the deletion, as is nothing. */
static int check_alone(struct agent *target, const struct volume_id *id, struct deadline deadline,
		       struct err *err)
{
	struct agent_snapshot snapshot;
	struct group_id group = { 0 };
	char text[VOLUME_ID_SIZE];
	int found = agent_snapshot_find(target, &id->uuid, id->pool, deadline, &snapshot, err);

	if (found < 0)
		return err->code == ERR_ABORTED ? 0 : -1;
	if (!found || !snapshot.group.text[0])
		return 0;
	strcpy(group.target, id->target);
	group.uuid = snapshot.group;
	group_id_format(&group, text);
	return err_set(
		err, ERR_INVALID_ARGUMENT,
		"snapshot \"%s/%s/@%s\" belongs to the group \"%s\" and is deleted with that "
		"(DeleteVolumeGroupSnapshot)",
		id->target, id->pool, id->uuid.text, text);
}

int snapshots_delete(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__DeleteSnapshotRequest *delete = request;
	struct deadline deadline = controller_deadline(call);
	struct volume_id id;
	struct agent *target;

	(void)response;
	if (require_text("snapshot_id", delete->snapshot_id, NAME_MAX_BYTES, err) < 0)
		return -1;
	/* No snapshot of ours ever had such an ID. */
	if (!snapshot_id_parse(delete->snapshot_id, &id))
		return 0;
	/* An unknown target may still hold the data: that is not "absent". */
	if (snapshots_locate(call->context, delete->snapshot_id, &id, &target, err) < 0)
		return err_recode(err, ERR_FAILED_PRECONDITION);
	if (check_alone(target, &id, deadline, err) < 0)
		return -1;
	return agent_snapshot_delete(target, &id, "", deadline, err);
}

/* --- showing ---------------------------------------------------------------------------------- */

static ProtobufCMessage *show(struct rpc_call *call, const struct agent_snapshot *snapshot,
			      struct map topology)
{
	Csi__V1__ListSnapshotsResponse__Entry *entry =
		RPC_NEW(call, Csi__V1__ListSnapshotsResponse__Entry,
			csi__v1__list_snapshots_response__entry__init);

	entry->snapshot = fill_snapshot(call, snapshot, topology);
	return &entry->base;
}

static int find(struct rpc_call *call, const char *snapshot_id, Csi__V1__Snapshot **ret,
		struct err *err)
{
	struct deadline deadline = controller_deadline(call);
	struct agent_ask *asked cleanup_agent_ask = NULL;
	struct agent_info info cleanup_agent_info = { 0 };
	struct agent_snapshot snapshot;
	struct agent *target;
	struct volume_id id;

	if (snapshots_locate(call->context, snapshot_id, &id, &target, err) < 0)
		return -1;
	asked = agent_info_begin(target, deadline);
	if (snapshots_require(target, &id, deadline, &snapshot, err) < 0 ||
	    agent_info_finish(steal_ptr(&asked), &info, err) < 0)
		return -1;
	*ret = fill_snapshot(call, &snapshot, info.topology);
	return 0;
}

/* What does not exist is no error of a list: it is empty. */
static int list_one(struct rpc_call *call, const Csi__V1__ListSnapshotsRequest *list,
		    Csi__V1__ListSnapshotsResponse *answer, struct err *err)
{
	Csi__V1__ListSnapshotsResponse__Entry *entry;
	Csi__V1__Snapshot *snapshot;

	if (find(call, list->snapshot_id, &snapshot, err) < 0)
		return err->code == ERR_NOT_FOUND ? 0 : -1;
	if (*list->source_volume_id &&
	    strcmp(list->source_volume_id, snapshot->source_volume_id) != 0)
		return 0;
	entry = RPC_NEW(call, Csi__V1__ListSnapshotsResponse__Entry,
			csi__v1__list_snapshots_response__entry__init);
	entry->snapshot = snapshot;
	answer->entries = rpc_alloc(call, sizeof(*answer->entries));
	answer->entries[answer->n_entries++] = entry;
	return 0;
}

int snapshots_list(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__ListSnapshotsRequest *list = request;
	Csi__V1__ListSnapshotsResponse *answer = response;
	struct pages_query query = { .max_entries = list->max_entries,
				     .starting_token = list->starting_token,
				     .topology = true,
				     .make_snapshot = show };
	struct volume_id volume;
	struct page page;

	if (pages_check(call->context, &query, err) < 0)
		return -1;
	if (*list->snapshot_id)
		return list_one(call, list, answer, err);
	if (*list->source_volume_id) {
		/* No volume of ours ever had such an ID. */
		if (!volume_id_parse(list->source_volume_id, &volume))
			return 0;
		query.of_volume = &volume;
	}
	if (pages_walk(call, &query, &page, err) < 0)
		return -1;
	answer->entries = page.entries;
	answer->n_entries = page.count;
	answer->next_token = page.next_token;
	return 0;
}

int snapshots_get(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__GetSnapshotRequest *get = request;

	if (require_text("snapshot_id", get->snapshot_id, NAME_MAX_BYTES, err) < 0)
		return -1;
	return find(call, get->snapshot_id, &((Csi__V1__GetSnapshotResponse *)response)->snapshot,
		    err);
}
