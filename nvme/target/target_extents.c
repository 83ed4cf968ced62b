/* SPDX-License-Identifier: Apache-2.0 */
/* Which parts of a snapshot have data, or differ from an older one. */
#include "nvme/target/target.h"

#include <string.h>

#include "nvme/target/target_table.h"

/* A snapshot that nobody deletes until the end of the scope. */
struct hold {
	struct target *target;
	struct target_entry *entry; /* NULL: none */
};

static void hold_end(struct hold *hold)
{
	if (hold->entry)
		target_release(hold->target, hold->entry);
}

static int hold(struct hold *hold, const char *uuid, const char *pool, struct err *err)
{
	if (target_acquire_shared(hold->target, uuid, &hold->entry, err) < 0)
		return -1;
	return target_expect_snapshot(hold->target, hold->entry, pool, err);
}

int target_extents(struct target *target, const struct target_extents_query *query,
		   struct extents *ret, struct err *err)
{
	CLEANUP(hold_end) struct hold it = { .target = target }, base = { .target = target };
	cleanup_turn struct target_turn turn = { 0 };

	if (hold(&it, query->uuid, query->pool, err) < 0 ||
	    (query->base[0] && hold(&base, query->base, it.entry->pool->name, err) < 0))
		return -1;
	if (base.entry && strcmp(base.entry->volume.source.text, it.entry->volume.source.text) != 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "snapshot %s is of volume %s, and snapshot %s of volume %s: what "
			       "differs is told of two snapshots of one volume",
			       base.entry->uuid.text, base.entry->volume.source.text,
			       it.entry->uuid.text, it.entry->volume.source.text);
	if (target_turn_take(target, it.entry->pool, &turn, err) < 0)
		return -1;
	return pool_extents(it.entry->pool, &it.entry->volume,
			    base.entry ? &base.entry->volume : NULL, query->start_bytes, ret, err);
}
