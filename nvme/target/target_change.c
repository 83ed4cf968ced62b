/* SPDX-License-Identifier: Apache-2.0 */
/* Growing volumes, and changing their mutable parameters. */
#include "nvme/target/target.h"

#include <inttypes.h>
#include <string.h>

#include "nvme/base/log.h"
#include "nvme/target/target_table.h"

/* --- expanding -------------------------------------------------------------------------------- */

/* Forgets an expansion that failed, unless the backing has its new size: then it must go on. */
static void take_back(struct target *target, struct target_entry *entry)
{
	cleanup_volume struct volume left = volume_copy(&entry->volume);
	uint64_t unused = left.growing_bytes - left.size_bytes;
	struct pool_backing backing = { 0 };
	struct err err;
	int found = pool_find(entry->pool, &entry->uuid, &backing, &err);

	if (found > 0 && backing.size_bytes >= left.growing_bytes)
		return;
	left.growing_bytes = 0;
	if (found < 0 || target_commit(target, entry, entry->pool, &left, &err) < 0)
		log_error("failed expansion not taken back", KV("volume", entry->uuid.text),
			  KV_ERR(&err));
	else
		pool_unpromise(entry->pool, unused);
}

/*
 * The hosts are told before the record says the new size: killed in between, the next call or start
 * finds an expansion under way and tells them again.
 */
int target_finish_expand(struct target *target, struct target_entry *entry, struct err *err)
{
	cleanup_volume struct volume grown = { 0 };

	if (!entry->volume.growing_bytes)
		return 0;
	/* What lost data must not look whole again. */
	if (target_expect_backing(entry, err) < 0)
		return -1;
	grown = volume_copy(&entry->volume);
	grown.size_bytes = grown.growing_bytes;
	grown.growing_bytes = 0;
	if (pool_grow(entry->pool, &grown, err) < 0) {
		take_back(target, entry);
		return err_wrap(err, "expand volume %s", entry->uuid.text);
	}
	if (nvmet_revalidate(&target->nvmet, &entry->uuid, err) < 0 ||
	    target_commit(target, entry, entry->pool, &grown, err) < 0)
		return err_wrap(err, "expand volume %s", entry->uuid.text);
	return 0;
}

/* The room in the pool and the intention in the record, before anything grows. */
static int begin_expand(struct target *target, struct target_entry *entry, uint64_t size_bytes,
			struct err *err)
{
	cleanup_volume struct volume growing = volume_copy(&entry->volume);
	uint64_t more = size_bytes - growing.size_bytes;

	growing.growing_bytes = size_bytes;
	if (pool_promise(entry->pool, more, err) < 0)
		return err_wrap(err, "expand volume %s from %" PRIu64 " to %" PRIu64 " bytes",
				entry->uuid.text, growing.size_bytes, size_bytes);
	if (target_commit(target, entry, entry->pool, &growing, err) < 0) {
		pool_unpromise(entry->pool, more);
		return -1;
	}
	return 0;
}

static int refuse_readonly(const struct volume *volume, struct err *err)
{
	if (!volume_is_readonly(volume))
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "volume %s is exported read-only, to %s%s, and cannot grow; unpublish it "
		       "everywhere first",
		       volume->uuid.text, volume->exports[0].host_nqn,
		       volume->export_count > 1 ? " and others" : "");
}

static int expand_locked(struct target *target, struct target_entry *entry, uint64_t size_bytes,
			 struct err *err)
{
	if (target_finish_expand(target, entry, err) < 0 || target_expect_backing(entry, err) < 0)
		return -1;
	if (size_bytes <= entry->volume.size_bytes)
		return nvmet_revalidate(&target->nvmet, &entry->uuid, err);
	if (refuse_readonly(&entry->volume, err) < 0 ||
	    begin_expand(target, entry, size_bytes, err) < 0)
		return -1;
	return target_finish_expand(target, entry, err);
}

int target_expand(struct target *target, const char *uuid, const char *pool, uint64_t size_bytes,
		  struct volume *ret, struct err *err)
{
	struct target_entry *entry;
	int r;

	if (volume_check_size(size_bytes, err) < 0 || target_take(target, uuid, &entry, err) < 0)
		return -1;
	r = target_expect(target, entry, pool, err);
	if (r == 0) {
		cleanup_turn struct target_turn turn = { 0 };

		if (target_turn_take(target, entry->pool, &turn, err) < 0 ||
		    expand_locked(target, entry, size_bytes, err) < 0)
			r = -1;
		else
			*ret = target_result(entry->pool, &entry->volume);
	}
	target_release(target, entry);
	return r;
}

/* --- modifying -------------------------------------------------------------------------------- */

/* Whether the volume has these mutable parameters already. */
static bool has_all(const struct volume *volume, const struct volume_parameter *set, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool same = false;

		for (size_t j = 0; j < volume->mutable_count; j++)
			same = same || (strcmp(volume->mutables[j].key, set[i].key) == 0 &&
					strcmp(volume->mutables[j].value, set[i].value) == 0);
		if (!same)
			return false;
	}
	return true;
}

static int modify_locked(struct target *target, struct target_entry *entry,
			 const struct volume_parameter *set, size_t count, struct volume *ret,
			 struct err *err)
{
	cleanup_volume struct volume modified = volume_copy(&entry->volume);
	cleanup_turn struct target_turn turn = { 0 };

	for (size_t i = 0; i < count; i++)
		volume_set_mutable(&modified, set[i].key, set[i].value);
	if (volume_check(&modified, err) < 0 ||
	    target_turn_take(target, entry->pool, &turn, err) < 0 ||
	    (!has_all(&entry->volume, set, count) &&
	     target_commit(target, entry, entry->pool, &modified, err) < 0))
		return -1;
	*ret = target_result(entry->pool, &entry->volume);
	return 0;
}

int target_modify(struct target *target, const char *uuid, const char *pool,
		  const struct volume_parameter *set, size_t count, struct volume *ret,
		  struct err *err)
{
	struct target_entry *entry;
	int r;

	if (target_take(target, uuid, &entry, err) < 0)
		return -1;
	r = target_expect(target, entry, pool, err);
	if (r == 0)
		r = modify_locked(target, entry, set, count, ret, err);
	target_release(target, entry);
	return r;
}
