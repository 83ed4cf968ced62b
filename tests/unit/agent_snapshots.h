/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshots of a fake agent: it keeps what it is asked to take, in the order of the UUIDs, and
 * answers as the real one does. Only changed by a test while no call runs.
 */
#ifndef TESTS_UNIT_AGENT_SNAPSHOTS_H
#define TESTS_UNIT_AGENT_SNAPSHOTS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi/agent/snapshots.h"
#include "csi/rpc/service.h"
#include "target.pb-c.h"

#define FAKE_CREATED_NS 1700000000123456789LL
#define FAKE_SNAPSHOTS_MAX 64

struct fake_snapshot {
	char uuid[UUID_TEXT_SIZE], volume[UUID_TEXT_SIZE], group[UUID_TEXT_SIZE];
	char pool[VOLUME_POOL_SIZE];
	int64_t size_bytes, created_ns;
	bool frozen;
	bool begun; /* cut short: unlisted, but there; taken again it is finished */
};

struct fake_snapshots {
	const char *id; /* of the agent */
	struct fake_snapshot rows[FAKE_SNAPSHOTS_MAX];
	size_t count;

	/* How it answers. */
	enum err_code create_failure, find_failure, list_failure;
	bool list_stuck;	       /* always says that there is more, and begins anew */
	int delete_failure_at;	       /* that one of the deletes fails, from 1 on; 0: none */
	const char *pool;	       /* where it takes them */
	const char *lie_volume;	       /* what it says they were taken of, instead */
	bool lie_count, lie_no_answer; /* one is missing; the answer holds none */

	/* What it was asked. */
	int creates, deletes, finds, lists;
	size_t asked_count;
	char asked_uuid[UUID_TEXT_SIZE], asked_name[129], asked_group_name[129];
	char asked_parameter[96];
	bool asked_freeze;
};

static inline int fake_snapshot_compare(const void *a, const void *b)
{
	return strcmp(((const struct fake_snapshot *)a)->uuid,
		      ((const struct fake_snapshot *)b)->uuid);
}

/* There is a snapshot. */
static inline void fake_snapshot_add(struct fake_snapshots *fake, const char *uuid,
				     const char *volume, const char *group)
{
	struct fake_snapshot *row = &fake->rows[fake->count++];

	assert_true(fake->count <= FAKE_SNAPSHOTS_MAX);
	*row = (struct fake_snapshot) { .size_bytes = 1 << 30,
					.created_ns = FAKE_CREATED_NS + (int64_t)fake->count - 1 };
	snprintf(row->uuid, sizeof(row->uuid), "%s", uuid);
	snprintf(row->volume, sizeof(row->volume), "%s", volume);
	snprintf(row->group, sizeof(row->group), "%s", group);
	snprintf(row->pool, sizeof(row->pool), "%s", fake->pool);
	qsort(fake->rows, fake->count, sizeof(*row), fake_snapshot_compare);
}

static inline struct fake_snapshot *fake_snapshot_of(struct fake_snapshots *fake, const char *uuid)
{
	for (size_t i = 0; i < fake->count; i++)
		if (strcmp(fake->rows[i].uuid, uuid) == 0)
			return &fake->rows[i];
	return NULL;
}

static inline int fake_snapshots_asked(const struct fake_snapshots *fake, const char *target_id,
				       struct err *err)
{
	if (strcmp(target_id, fake->id) == 0)
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION, "for \"%s\", but this is \"%s\"", target_id,
		       fake->id);
}

static inline Nvmeot__Target__V1__Snapshot *fake_snapshot_wire(struct rpc_call *call,
							       const struct fake_snapshots *fake,
							       const struct fake_snapshot *row)
{
	Nvmeot__Target__V1__Snapshot *wire =
		RPC_NEW(call, Nvmeot__Target__V1__Snapshot, nvmeot__target__v1__snapshot__init);

	wire->uuid = rpc_strdup(call, row->uuid);
	wire->pool = rpc_strdup(call, row->pool);
	wire->volume_uuid = rpc_strdup(call, fake->lie_volume ?: row->volume);
	wire->group_uuid = rpc_strdup(call, row->group);
	wire->size_bytes = row->size_bytes;
	wire->created_ns = row->created_ns;
	wire->used_bytes = -1;
	if (row->frozen) {
		wire->parameters = rpc_alloc(call, sizeof(*wire->parameters));
		wire->parameters[wire->n_parameters++] =
			RPC_NEW(call, Nvmeot__Target__V1__Snapshot__ParametersEntry,
				nvmeot__target__v1__snapshot__parameters_entry__init);
		wire->parameters[0]->key = rpc_strdup(call, VOLUME_FREEZE);
		wire->parameters[0]->value = rpc_strdup(call, "true");
	}
	return wire;
}

/* What was begun is brought to its end first; then a group is there, or it is not. */
static inline int fake_snapshots_settle(struct fake_snapshots *fake,
					const Nvmeot__Target__V1__CreateSnapshotsRequest *create,
					struct err *err)
{
	size_t there = 0;

	for (size_t i = 0; i < create->n_snapshots; i++) {
		struct fake_snapshot *row = fake_snapshot_of(fake, create->snapshots[i]->uuid);

		if (row) {
			row->begun = false;
			there++;
		}
	}
	if (there && there < create->n_snapshots)
		return err_set(err, ERR_ALREADY_EXISTS, "the fake has %zu of %zu", there,
			       create->n_snapshots);
	return 0;
}

/* One member of a request: what is there already has to be of the same volume and group. */
static inline int fake_snapshot_take(struct fake_snapshots *fake, bool has_volume,
				     const Nvmeot__Target__V1__SnapshotRequest *wanted,
				     const char *group, bool freeze, struct err *err)
{
	const struct fake_snapshot *row = fake_snapshot_of(fake, wanted->uuid);

	snprintf(fake->asked_uuid, sizeof(fake->asked_uuid), "%s", wanted->uuid);
	snprintf(fake->asked_name, sizeof(fake->asked_name), "%s", wanted->name);
	if (row &&
	    (strcmp(row->volume, wanted->volume_uuid) != 0 || strcmp(row->group, group) != 0))
		return err_set(err, ERR_ALREADY_EXISTS, "the fake's own words");
	if (row)
		return 0;
	if (!has_volume)
		return err_set(err, ERR_NOT_FOUND, "no volume %s", wanted->volume_uuid);
	fake_snapshot_add(fake, wanted->uuid, wanted->volume_uuid, group);
	fake_snapshot_of(fake, wanted->uuid)->frozen = freeze;
	return 0;
}

static inline int fake_snapshots_create(struct rpc_call *call, struct fake_snapshots *fake,
					bool has_volume,
					const Nvmeot__Target__V1__CreateSnapshotsRequest *create,
					Nvmeot__Target__V1__CreateSnapshotsResponse *answer,
					struct err *err)
{
	if (fake_snapshots_asked(fake, create->target_id, err) < 0)
		return -1;
	fake->creates++;
	fake->asked_count = create->n_snapshots;
	fake->asked_freeze = create->freeze;
	snprintf(fake->asked_group_name, sizeof(fake->asked_group_name), "%s", create->group_name);
	if (create->n_parameters)
		snprintf(fake->asked_parameter, sizeof(fake->asked_parameter), "%s=%s",
			 create->parameters[0]->key, create->parameters[0]->value);
	if (fake->create_failure)
		return err_set(err, fake->create_failure, "the fake's own words");
	if (fake_snapshots_settle(fake, create, err) < 0)
		return -1;
	answer->snapshots = rpc_alloc(call, create->n_snapshots * sizeof(*answer->snapshots));
	for (size_t i = 0; i < create->n_snapshots; i++) {
		if (fake_snapshot_take(fake, has_volume, create->snapshots[i], create->group_uuid,
				       create->freeze, err) < 0)
			return -1;
		answer->snapshots[answer->n_snapshots++] = fake_snapshot_wire(
			call, fake, fake_snapshot_of(fake, create->snapshots[i]->uuid));
	}
	if (fake->lie_count)
		answer->n_snapshots--;
	return 0;
}

static inline int fake_snapshots_get(struct rpc_call *call, struct fake_snapshots *fake,
				     const Nvmeot__Target__V1__GetSnapshotRequest *get,
				     Nvmeot__Target__V1__GetSnapshotResponse *answer,
				     struct err *err)
{
	const struct fake_snapshot *row = fake_snapshot_of(fake, get->uuid);

	if (fake_snapshots_asked(fake, get->target_id, err) < 0)
		return -1;
	fake->finds++;
	if (fake->find_failure)
		return err_set(err, fake->find_failure, "the fake's own words");
	if (!row || (*get->pool && strcmp(get->pool, row->pool) != 0))
		return err_set(err, ERR_NOT_FOUND, "no snapshot %s", get->uuid);
	if (row->begun)
		return err_set(err, ERR_ABORTED, "snapshot %s is being created", get->uuid);
	if (!fake->lie_no_answer)
		answer->snapshot = fake_snapshot_wire(call, fake, row);
	return 0;
}

static inline int fake_snapshots_list(struct rpc_call *call, struct fake_snapshots *fake,
				      const Nvmeot__Target__V1__ListSnapshotsRequest *list,
				      Nvmeot__Target__V1__ListSnapshotsResponse *answer,
				      struct err *err)
{
	size_t max = list->max_entries > 0 ? (size_t)list->max_entries : FAKE_SNAPSHOTS_MAX;

	if (fake_snapshots_asked(fake, list->target_id, err) < 0)
		return -1;
	fake->lists++;
	if (fake->list_failure)
		return err_set(err, fake->list_failure, "the fake's own words");
	answer->snapshots = rpc_alloc(call, (fake->count + 1) * sizeof(*answer->snapshots));
	for (size_t i = 0; i < fake->count; i++) {
		const struct fake_snapshot *row = &fake->rows[i];

		if (row->begun ||
		    (!fake->list_stuck && strcmp(row->uuid, list->start_after) <= 0) ||
		    (*list->volume_uuid && strcmp(row->volume, list->volume_uuid) != 0) ||
		    (*list->group_uuid && strcmp(row->group, list->group_uuid) != 0))
			continue;
		if (answer->n_snapshots == max) {
			answer->more = true;
			break;
		}
		answer->snapshots[answer->n_snapshots++] = fake_snapshot_wire(call, fake, row);
	}
	answer->more = answer->more || fake->list_stuck;
	return 0;
}

static inline int fake_snapshots_delete(struct fake_snapshots *fake,
					const Nvmeot__Target__V1__DeleteSnapshotRequest *delete,
					struct err *err)
{
	struct fake_snapshot *row = fake_snapshot_of(fake, delete->uuid);

	if (fake_snapshots_asked(fake, delete->target_id, err) < 0)
		return -1;
	if (++fake->deletes == fake->delete_failure_at)
		return err_set(err, ERR_INTERNAL, "the fake's own words");
	if (row && *delete->group_uuid && strcmp(row->group, delete->group_uuid) != 0)
		return err_set(err, ERR_INVALID_ARGUMENT, "snapshot %s is not of group %s",
			       row->uuid, delete->group_uuid);
	if (row)
		memmove(row, row + 1, (size_t)(fake->rows + --fake->count - row) * sizeof(*row));
	return 0;
}

#endif
