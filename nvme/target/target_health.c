/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a volume: its backing, its pool and its export, looked at without a lock. */
#include "nvme/target/target.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "nvme/target/nvmet_look.h"
#include "nvme/target/target_table.h"

__attribute__((format(printf, 4, 5))) static void add(struct volume_conditions *conditions,
						      enum volume_condition_status status,
						      const char *reason, const char *format, ...)
{
	struct volume_condition *item = &conditions->items[conditions->count++];
	va_list args;

	item->status = status;
	item->reason = reason;
	va_start(args, format);
	vsnprintf(item->message, sizeof(item->message), format, args);
	va_end(args);
}

/* A volume as it was at one moment. */
struct snapshot {
	struct volume volume;
	struct pool *pool;
	uint64_t call;
	bool quiet; /* no call had it then */
};

static bool take_snapshot(struct target *target, const struct uuid *uuid, struct snapshot *ret)
{
	const struct target_entry *entry;
	bool there;

	pthread_mutex_lock(&target->lock);
	entry = target_entry_find(target, uuid);
	there = entry && entry->present && entry->volume.state == VOLUME_READY &&
		!volume_is_snapshot(&entry->volume);
	if (there)
		*ret = (struct snapshot) { .volume = volume_copy(&entry->volume),
					   .pool = entry->pool,
					   .call = entry->call,
					   .quiet = entry->refs == 0 };
	pthread_mutex_unlock(&target->lock);
	return there;
}

/* Whether nothing can have changed the volume since. */
static bool still_is(struct target *target, const struct snapshot *snapshot)
{
	const struct target_entry *entry;
	bool same;

	pthread_mutex_lock(&target->lock);
	entry = target_entry_find(target, &snapshot->volume.uuid);
	same = entry && snapshot->quiet && entry->call == snapshot->call;
	pthread_mutex_unlock(&target->lock);
	return same;
}

static void judge_pool(struct target *target, const struct snapshot *snapshot,
		       struct volume_conditions *ret)
{
	struct pool_usage usage;
	struct err ignored;

	if (target_usage_lately(target, snapshot->pool, &usage, &ignored) == 0 && usage.warning[0])
		add(ret, VOLUME_DEGRADED, "PoolFull", "pool %s: %s", snapshot->pool->name,
		    usage.warning);
}

static void judge_backing(struct target *target, const struct snapshot *snapshot,
			  struct volume_conditions *ret)
{
	const struct volume *volume = &snapshot->volume;
	struct pool_backing backing;
	struct err err;
	int found = target_find(target, snapshot->pool, &volume->uuid, target->answer_wait_ms,
				&backing, &err);

	if (found < 0)
		add(ret, VOLUME_DEGRADED, "BackingUnreadable", "%s", err.msg);
	else if (!found || backing.unfinished)
		add(ret, VOLUME_DATA_LOSS, "BackingMissing",
		    "the backing of the volume in pool %s is gone; put it back from a backup",
		    snapshot->pool->name);
	else if (backing.size_bytes < volume->size_bytes)
		add(ret, VOLUME_DATA_LOSS, "BackingShort",
		    "the backing in pool %s has %" PRIu64 " bytes of %" PRIu64,
		    snapshot->pool->name, backing.size_bytes, volume->size_bytes);
}

static void judge_export(struct target *target, const struct snapshot *snapshot,
			 struct volume_conditions *ret)
{
	const struct volume *volume = &snapshot->volume;
	char portal[PORTAL_TEXT_SIZE];
	struct nvmet_look look;
	struct err err;

	if (!volume->export_count || nvmet_look(&target->nvmet, volume, &look, &err) < 0)
		return;
	if (!look.enabled)
		add(ret, VOLUME_INACCESSIBLE, "ExportMissing",
		    "the kernel has no enabled namespace of the volume; the agent's log says why");
	else if (look.shut_out)
		add(ret, VOLUME_INACCESSIBLE, "ExportMissing",
		    "the kernel does not let in host %.160s", look.shut_out);
	else if (!look.portal_count)
		add(ret, VOLUME_INACCESSIBLE, "ExportMissing", "no portal leads to the volume");
	else if (look.portal_count < target->nvmet.portal_count) {
		portal_format(&look.missing, portal);
		add(ret, VOLUME_DEGRADED, "PortalMissing",
		    "%zu of %zu portals lead to the volume; %s does not", look.portal_count,
		    target->nvmet.portal_count, portal);
	}
}

void target_conditions(struct target *target, const struct uuid *uuid,
		       struct volume_conditions *ret)
{
	struct volume_conditions certain = { 0 };
	struct snapshot snapshot;

	*ret = certain;
	if (!take_snapshot(target, uuid, &snapshot))
		return;
	judge_pool(target, &snapshot, &certain);
	*ret = certain;
	judge_backing(target, &snapshot, &certain);
	judge_export(target, &snapshot, &certain);
	if (still_is(target, &snapshot))
		*ret = certain;
	volume_fini(&snapshot.volume);
}
