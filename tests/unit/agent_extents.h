/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fake agent tells about the extents of its snapshots: every one has the same, and differs
 * in the same from every other of its volume. Only changed by a test while no call runs.
 */
#ifndef TESTS_UNIT_AGENT_EXTENTS_H
#define TESTS_UNIT_AGENT_EXTENTS_H

#include "nvme/target/extents.h"
#include "tests/unit/agent_snapshots.h"

struct fake_extents {
	const struct extent *items; /* the test's, in order */
	size_t count;
	size_t answer_max;     /* how many it tells at once at most; 0: as many as asked for */
	uint64_t looks_at;     /* bytes in one call, at most; 0: any */
	enum err_code failure; /* from the call of this number on, from 1 on: */
	int failure_at;
	/* Lies: about order and progress. */
	bool lie_overlap, lie_beyond, lie_stuck, lie_more, lie_before, lie_too_many;

	/* What it was asked. */
	int calls;
	char asked_uuid[UUID_TEXT_SIZE], asked_base[UUID_TEXT_SIZE], asked_pool[VOLUME_POOL_SIZE];
	int64_t asked_start;
	int32_t asked_max;
};

static inline int fake_extents_check(const struct fake_extents *fake,
				     struct fake_snapshots *snapshots,
				     const Nvmeot__Target__V1__ListExtentsRequest *list,
				     struct err *err)
{
	const struct fake_snapshot *row = fake_snapshot_of(snapshots, list->uuid);
	const struct fake_snapshot *base = fake_snapshot_of(snapshots, list->base_uuid);

	if (fake_snapshots_asked(snapshots, list->target_id, err) < 0)
		return -1;
	if (fake->failure && fake->calls >= fake->failure_at)
		return err_set(err, fake->failure, "the fake's own words");
	if (!row || (*list->base_uuid && !base))
		return err_set(err, ERR_NOT_FOUND, "no snapshot %s",
			       row ? list->base_uuid : list->uuid);
	if (base && strcmp(base->volume, row->volume) != 0)
		return err_set(err, ERR_INVALID_ARGUMENT, "snapshots of different volumes");
	if (list->start_offset_bytes > row->size_bytes)
		return err_set(err, ERR_OUT_OF_RANGE, "beyond the end");
	return 0;
}

static inline void fake_extents_lie(const struct fake_extents *fake,
				    Nvmeot__Target__V1__ListExtentsResponse *answer)
{
	if (fake->lie_overlap)
		answer->extents[1]->offset_bytes = answer->extents[0]->offset_bytes + 1;
	if (fake->lie_beyond)
		answer->extents[answer->n_extents - 1]->length_bytes = INT64_MAX;
	if (fake->lie_before)
		answer->extents[0]->length_bytes = 1;
	if (fake->lie_stuck)
		answer->next_offset_bytes = 0;
	if (fake->lie_more)
		answer->more = !answer->more;
}

static inline int fake_extents_list(struct rpc_call *call, struct fake_extents *fake,
				    struct fake_snapshots *snapshots,
				    const Nvmeot__Target__V1__ListExtentsRequest *list,
				    Nvmeot__Target__V1__ListExtentsResponse *answer,
				    struct err *err)
{
	size_t max = (size_t)list->max_entries;
	uint64_t start = (uint64_t)list->start_offset_bytes, end;

	fake->calls++;
	snprintf(fake->asked_uuid, sizeof(fake->asked_uuid), "%s", list->uuid);
	snprintf(fake->asked_base, sizeof(fake->asked_base), "%s", list->base_uuid);
	snprintf(fake->asked_pool, sizeof(fake->asked_pool), "%s", list->pool);
	fake->asked_start = list->start_offset_bytes;
	fake->asked_max = list->max_entries;
	if (fake_extents_check(fake, snapshots, list, err) < 0)
		return -1;
	if (fake->lie_too_many)
		max = SIZE_MAX;
	if (fake->answer_max && fake->answer_max < max)
		max = fake->answer_max;
	answer->size_bytes = fake_snapshot_of(snapshots, list->uuid)->size_bytes;
	end = (uint64_t)answer->size_bytes;
	if (fake->looks_at && start + fake->looks_at < end)
		end = start + fake->looks_at;
	answer->extents = rpc_alloc(call, fake->count * sizeof(*answer->extents));
	for (size_t i = 0; i < fake->count; i++) {
		const struct extent *item = &fake->items[i];
		Nvmeot__Target__V1__Extent *wire;

		if (item->offset_bytes + item->length_bytes <= start || item->offset_bytes >= end)
			continue;
		if (answer->n_extents == max) {
			end = item->offset_bytes;
			break;
		}
		wire = RPC_NEW(call, Nvmeot__Target__V1__Extent, nvmeot__target__v1__extent__init);
		wire->offset_bytes = (int64_t)item->offset_bytes;
		wire->length_bytes = (int64_t)item->length_bytes;
		answer->extents[answer->n_extents++] = wire;
		if (item->offset_bytes + item->length_bytes > end)
			end = item->offset_bytes + item->length_bytes;
	}
	answer->next_offset_bytes = (int64_t)end;
	answer->more = answer->next_offset_bytes < answer->size_bytes;
	fake_extents_lie(fake, answer);
	return 0;
}

#endif
