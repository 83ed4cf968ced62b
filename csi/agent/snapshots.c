/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to a target agent about snapshots. */
#include "csi/agent/snapshots.h"

#include <stdlib.h>
#include <string.h>

#include "csi/agent/ask.h"

static int invalid(const struct agent *agent, struct err *err)
{
	return err_set(err, ERR_INTERNAL, "target %s: the answer holds no valid snapshot",
		       agent->name);
}

static bool is_frozen(const Nvmeot__Target__V1__Snapshot *wire)
{
	for (size_t i = 0; i < wire->n_parameters; i++)
		if (strcmp(wire->parameters[i]->key, VOLUME_FREEZE) == 0)
			return strcmp(wire->parameters[i]->value, "true") == 0;
	return false;
}

/* uuid: the one that was asked for; NULL: any. */
static int take(const struct agent *agent, const Nvmeot__Target__V1__Snapshot *wire,
		const struct uuid *uuid, struct agent_snapshot *ret, struct err *err)
{
	struct agent_snapshot s = { 0 };

	if (!wire || parse_uuid("uuid", wire->uuid, &s.id.uuid, err) < 0 ||
	    (uuid && strcmp(wire->uuid, uuid->text) != 0) || !parse_is_name(wire->pool) ||
	    parse_uuid("volume_uuid", wire->volume_uuid, &s.volume, err) < 0 ||
	    wire->size_bytes <= 0 || wire->created_ns <= 0 ||
	    (*wire->group_uuid && parse_uuid("group_uuid", wire->group_uuid, &s.group, err) < 0))
		return invalid(agent, err);
	strcpy(s.id.target, agent->name);
	strcpy(s.id.pool, wire->pool);
	s.size_bytes = (uint64_t)wire->size_bytes;
	s.created_ns = wire->created_ns;
	s.frozen = is_frozen(wire);
	*ret = s;
	return 0;
}

/* --- asking ----------------------------------------------------------------------------------- */

struct agent_ask *agent_snapshot_find_begin(struct agent *agent, const struct uuid *uuid,
					    const char *pool, struct deadline deadline)
{
	Nvmeot__Target__V1__GetSnapshotRequest request =
		NVMEOT__TARGET__V1__GET_SNAPSHOT_REQUEST__INIT;
	struct agent_ask *ask;

	request.target_id = agent->name;
	request.uuid = (char *)uuid->text;
	request.pool = (char *)pool;
	ask = agent_ask_begin(agent, AGENT_METHOD("GetSnapshot"), &request, deadline);
	ask->uuid = *uuid;
	return ask;
}

int agent_snapshot_find_finish(struct agent_ask *pending, struct agent_snapshot *ret,
			       struct err *err)
{
	struct agent_ask *ask cleanup_agent_ask = pending;
	ProtobufCMessage *answer cleanup_agent_answer = NULL;

	if (agent_ask_wait(ask, AGENT_ANSWER(get_snapshot), &answer, err) < 0)
		return err->code == ERR_NOT_FOUND ? 0 : -1;
	if (take(ask->agent, ((const Nvmeot__Target__V1__GetSnapshotResponse *)answer)->snapshot,
		 &ask->uuid, ret, err) < 0)
		return -1;
	return 1;
}

int agent_snapshot_find(struct agent *agent, const struct uuid *uuid, const char *pool,
			struct deadline deadline, struct agent_snapshot *ret, struct err *err)
{
	return agent_snapshot_find_finish(agent_snapshot_find_begin(agent, uuid, pool, deadline),
					  ret, err);
}

struct agent_ask *agent_snapshot_list_begin(struct agent *agent,
					    const struct agent_snapshot_query *query,
					    struct deadline deadline)
{
	Nvmeot__Target__V1__ListSnapshotsRequest request =
		NVMEOT__TARGET__V1__LIST_SNAPSHOTS_REQUEST__INIT;

	request.target_id = agent->name;
	request.start_after = (char *)query->start_after;
	request.max_entries = query->max > INT32_MAX ? INT32_MAX : (int32_t)query->max;
	request.volume_uuid = (char *)query->volume;
	request.group_uuid = (char *)query->group;
	return agent_ask_begin(agent, AGENT_METHOD("ListSnapshots"), &request, deadline);
}

int agent_snapshot_list_finish(struct agent_ask *pending,
			       void (*visit)(const struct agent_snapshot *snapshot, void *context),
			       void *context, bool *ret_more, struct err *err)
{
	struct agent_ask *ask cleanup_agent_ask = pending;
	ProtobufCMessage *answer cleanup_agent_answer = NULL;
	const Nvmeot__Target__V1__ListSnapshotsResponse *list;

	if (agent_ask_wait(ask, AGENT_ANSWER(list_snapshots), &answer, err) < 0)
		return -1;
	list = (const Nvmeot__Target__V1__ListSnapshotsResponse *)answer;
	for (size_t i = 0; i < list->n_snapshots; i++) {
		struct agent_snapshot snapshot;

		if (take(ask->agent, list->snapshots[i], NULL, &snapshot, err) < 0)
			return -1;
		visit(&snapshot, context);
	}
	*ret_more = list->more;
	return 0;
}

/* --- changing --------------------------------------------------------------------------------- */

/* The snapshot is the one that was asked for in all that it is compared by. */
static int take_member(const struct agent *agent, const Nvmeot__Target__V1__Snapshot *wire,
		       const struct agent_snapshot_member *member, const struct uuid *group,
		       struct agent_snapshot *ret, struct err *err)
{
	struct agent_snapshot snapshot;

	if (take(agent, wire, &member->uuid, &snapshot, err) < 0)
		return -1;
	if (strcmp(snapshot.volume.text, member->volume.text) != 0 ||
	    strcmp(snapshot.group.text, group ? group->text : "") != 0)
		return invalid(agent, err);
	*ret = snapshot;
	return 0;
}

static int take_members(const struct agent *agent,
			const Nvmeot__Target__V1__CreateSnapshotsResponse *answer,
			const struct agent_snapshot_spec *spec, struct agent_snapshot *ret,
			struct err *err)
{
	if (answer->n_snapshots != spec->count)
		return err_set(err, ERR_INTERNAL,
			       "target %s: %zu snapshots were to be taken, the answer holds %zu",
			       agent->name, spec->count, answer->n_snapshots);
	for (size_t i = 0; i < spec->count; i++)
		if (take_member(agent, answer->snapshots[i], &spec->members[i], spec->group,
				&ret[i], err) < 0)
			return -1;
	return 0;
}

/* The members as a request has them. */
static void put_members(const struct agent_snapshot_spec *spec,
			Nvmeot__Target__V1__SnapshotRequest *members,
			Nvmeot__Target__V1__SnapshotRequest **pointers)
{
	for (size_t i = 0; i < spec->count; i++) {
		nvmeot__target__v1__snapshot_request__init(&members[i]);
		members[i].uuid = (char *)spec->members[i].uuid.text;
		members[i].name = (char *)spec->members[i].name;
		members[i].volume_uuid = (char *)spec->members[i].volume.text;
		pointers[i] = &members[i];
	}
}

int agent_check_freeze(const struct agent *agent, const struct agent_info *info, struct err *err)
{
	if (info->answer->can_freeze)
		return 0;
	return err_set(
		err, ERR_FAILED_PRECONDITION,
		"parameter freeze: the agent of target %s, of version %.64s, does not know of "
		"it: upgrade it first",
		agent->name, info->answer->version);
}

int agent_snapshots_create(struct agent *agent, const struct agent_snapshot_spec *spec,
			   struct deadline deadline, struct agent_snapshot *ret, struct err *err)
{
	Nvmeot__Target__V1__CreateSnapshotsRequest request =
		NVMEOT__TARGET__V1__CREATE_SNAPSHOTS_REQUEST__INIT;
	struct agent_wire_map parameters cleanup_agent_wire_map = agent_wire_map(
		spec->parameters,
		&nvmeot__target__v1__create_snapshots_request__parameters_entry__descriptor);
	cleanup_free Nvmeot__Target__V1__SnapshotRequest *members =
		xcalloc(spec->count, sizeof(*members));
	cleanup_free Nvmeot__Target__V1__SnapshotRequest **pointers =
		xcalloc(spec->count, sizeof(*pointers));
	ProtobufCMessage *answer cleanup_agent_answer = NULL;

	put_members(spec, members, pointers);
	request.target_id = agent->name;
	request.snapshots = pointers;
	request.n_snapshots = spec->count;
	if (spec->group) {
		request.group_uuid = (char *)spec->group->text;
		request.group_name = (char *)spec->group_name;
	}
	request.parameters = (void *)parameters.pointers;
	request.n_parameters = spec->parameters.count;
	request.freeze = spec->freeze;
	if (agent_call(agent, AGENT_METHOD("CreateSnapshots"), &request,
		       AGENT_ANSWER(create_snapshots), deadline, &answer, err) < 0)
		return -1;
	return take_members(agent, (const void *)answer, spec, ret, err);
}

int agent_snapshot_delete(struct agent *agent, const struct volume_id *id, const char *group,
			  struct deadline deadline, struct err *err)
{
	Nvmeot__Target__V1__DeleteSnapshotRequest request =
		NVMEOT__TARGET__V1__DELETE_SNAPSHOT_REQUEST__INIT;
	ProtobufCMessage *answer cleanup_agent_answer = NULL;

	request.target_id = agent->name;
	request.uuid = (char *)id->uuid.text;
	request.pool = (char *)id->pool;
	request.group_uuid = (char *)group;
	return agent_call(agent, AGENT_METHOD("DeleteSnapshot"), &request,
			  AGENT_ANSWER(delete_snapshot), deadline, &answer, err);
}
