/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making snapshots and clones: the records of all that belong together, in state creating; their
 * copies, while nobody can write to two of the sources; their backings, under their final names;
 * then the records are committed. Killed before the last backing is whole, nothing of it has been;
 * after that, all of it is. Of copies that count only if hosts were quiet it is all from the first
 * committed record on.
 */
#include "nvme/target/target.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/log.h"
#include "nvme/target/record.h"
#include "nvme/target/target_table.h"

/* --- taking back ------------------------------------------------------------------------------ */

/* All that is there under its UUID has come after its record. */
static int undo(struct target *target, struct target_entry *entry, struct err *err)
{
	if (pool_remove(entry->pool, &entry->uuid, err) < 0)
		return -1;
	return target_forget(target, entry, err);
}

/* As undo_create in target_volume.c: whoever hears of an error may rely on it that nothing is here.
 */
static int fail_all(struct target *target, struct target_copy copies[], size_t begun,
		    struct err *err)
{
	for (size_t i = 0; i < begun; i++) {
		struct target_entry *entry = copies[i].entry;
		struct err failure;

		if (undo(target, entry, &failure) == 0)
			continue;
		log_error("failed copy not taken back", KV("volume", entry->uuid.text),
			  KV_ERR(&failure));
		err_recode(err, ERR_INTERNAL);
		err_wrap(err, "what was done is not taken back (%.400s) after", failure.msg);
	}
	return -1;
}

/* --- making ----------------------------------------------------------------------------------- */

/* What a snapshot's source has allocated, the snapshot may keep. As late as it can be asked: hosts
 * have been writing until they were quiet. */
static int weigh_source(struct target_copy *copy, struct err *err)
{
	struct pool_backing backing = { 0 };

	if (!volume_is_snapshot(&copy->volume))
		return 0;
	if (pool_find(copy->from->pool, &copy->from->uuid, &backing, err) < 0)
		return -1;
	copy->volume.snapshot.held_bytes = backing.allocated_bytes;
	return 0;
}

/* The room in the pool, and the record in state creating. */
static int begin(struct target *target, struct target_copy *copy, struct err *err)
{
	struct pool *pool = copy->from->pool;
	struct pool_backing backing;
	uint64_t bytes;
	int found = pool_find(pool, &copy->entry->uuid, &backing, err);

	if (found < 0)
		return -1;
	if (found)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s %s has a backing in pool %s but no record: put the record back "
			       "and restart the target, or remove the backing",
			       volume_sort_name(&copy->volume), copy->entry->uuid.text, pool->name);
	if (weigh_source(copy, err) < 0)
		return -1;
	bytes = volume_promised_bytes(&copy->volume);
	copy->volume.state = VOLUME_CREATING;
	if (pool_promise(pool, bytes, err) < 0)
		return -1;
	if (target_commit(target, copy->entry, pool, &copy->volume, err) < 0) {
		pool_unpromise(pool, bytes);
		return -1;
	}
	return 0;
}

static int begin_all(struct target *target, struct target_copy copies[], size_t count,
		     size_t *ret_begun, struct err *err)
{
	for (*ret_begun = 0; *ret_begun < count; ++*ret_begun)
		if (begin(target, &copies[*ret_begun], err) < 0)
			return -1;
	return 0;
}

static int say_late(size_t count, struct err *err)
{
	return err_set(err, ERR_UNAVAILABLE,
		       "%zu volumes could not be copied within the %u ms for which their hosts are "
		       "kept waiting; take fewer of them at once, or try again when the storage "
		       "has less to do",
		       count, NVMET_PAUSE_MS);
}

/* pause: while it holds; NULL: there is none. */
static int take_all(struct target_copy copies[], size_t count, const struct nvmet_pause *pause,
		    struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct target_entry *entry = copies[i].entry;

		if (pause && !nvmet_pause_holds(pause))
			return say_late(count, err);
		if (pool_copy(entry->pool, &entry->volume, &copies[i].from->volume, err) < 0)
			return err_wrap(err, "%s %s of %s", volume_sort_name(&entry->volume),
					entry->uuid.text, copies[i].from->uuid.text);
	}
	return 0;
}

static bool has_writers(const struct target_entry *entry)
{
	return entry->volume.export_count && !volume_is_readonly(&entry->volume);
}

/*
 * One copy is of one moment by itself. So are several if at most one of the sources can change:
 * whoever holds them keeps them from being exported.
 */
static bool needs_pause(const struct target_copy copies[], size_t count)
{
	size_t writable = 0;

	for (size_t i = 0; i < count; i++)
		writable += has_writers(copies[i].from);
	return writable > 1;
}

/*
 * What a host sends after an acknowledgement arrives after what was acknowledged. So when nothing
 * arrives from the first copy to the last, whatever is in one of them relies only on what had been
 * acknowledged before the first; I/O under way need not be waited for.
 */
static int take_paused(struct target *target, struct target_copy copies[], size_t count,
		       struct err *err)
{
	cleanup_free struct uuid *uuids = xcalloc(count, sizeof(*uuids));
	cleanup_free struct portal *portals = NULL;
	size_t portal_count;
	int r;

	for (size_t i = 0; i < count; i++)
		uuids[i] = copies[i].from->uuid;
	if (nvmet_ways(&target->nvmet, uuids, count, &portals, &portal_count, err) < 0 ||
	    nvmet_pause_begin(&target->pause, portals, portal_count, err) < 0)
		return -1;
	r = take_all(copies, count, &target->pause, err);
	if (nvmet_pause_end(&target->pause) || r < 0)
		return r;
	return say_late(count, err);
}

/* Before one record of several is committed, the backings of all have their names for good. */
static int finish_all(struct target_copy copies[], size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++)
		if (pool_copy_finish(copies[i].entry->pool, &copies[i].entry->volume, err) < 0)
			return -1;
	for (size_t i = 0; count > 1 && i < count; i++) {
		const struct root *records = &copies[i].entry->pool->records;

		if (fsync(records->fd) < 0)
			return err_sys(err, errno, "fsync %s", records->path);
	}
	return 0;
}

static int commit(struct target *target, struct target_entry *entry, struct err *err)
{
	cleanup_volume struct volume ready = volume_copy(&entry->volume);

	if (record_commit(&entry->pool->records, &entry->uuid, err) < 0)
		return -1;
	ready.state = VOLUME_READY;
	target_put(target, entry, entry->pool, &ready);
	return 0;
}

static int make(struct target *target, struct target_copy copies[], size_t count,
		const struct target_copy_hooks *hooks, struct err *err)
{
	bool pause = needs_pause(copies, count);
	struct err ignored;
	size_t begun;
	int r;

	if (hooks && hooks->about(hooks->context, err) < 0)
		return -1;
	r = begin_all(target, copies, count, &begun, err);
	if (r == 0)
		r = pause ? take_paused(target, copies, count, err) :
			    take_all(copies, count, NULL, err);
	if (hooks && hooks->taken(hooks->context, r < 0 ? &ignored : err) < 0)
		r = -1;
	if (r < 0 || finish_all(copies, count, err) < 0)
		return fail_all(target, copies, begun, err);
	for (size_t i = 0; i < count; i++)
		if (commit(target, copies[i].entry, err) < 0)
			return -1;
	return 0;
}

/* A turn in each pool that one of the copies is in. */
static int take_turns(struct target *target, const struct target_copy copies[], size_t count,
		      struct target_turn turns[], struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		bool has = false;

		for (size_t j = 0; j < i; j++)
			has = has || copies[j].from->pool == copies[i].from->pool;
		if (!has && target_turn_take(target, copies[i].from->pool, &turns[i], err) < 0)
			return -1;
	}
	return 0;
}

int target_copies_make(struct target *target, struct target_copy copies[], size_t count,
		       const struct target_copy_hooks *hooks, struct err *err)
{
	cleanup_free struct target_turn *turns = xcalloc(count, sizeof(*turns));
	int r = take_turns(target, copies, count, turns, err);

	if (r == 0)
		r = make(target, copies, count, hooks, err);
	for (size_t i = 0; i < count; i++)
		target_turn_fini(&turns[i]);
	return r;
}

/* --- going on --------------------------------------------------------------------------------- */

/* What the table says of a member of a group. */
struct member {
	struct pool *pool; /* NULL: it is not there */
	enum volume_state state;
	bool unknown; /* its record could not be read */
};

static struct member member_of(struct target *target, const struct uuid *uuid)
{
	const struct target_entry *entry;
	struct member member = { 0 };

	pthread_mutex_lock(&target->lock);
	entry = target_entry_find(target, uuid);
	if (entry && entry->present)
		member = (struct member) { entry->pool, entry->volume.state, false };
	else if (entry)
		member.unknown = entry->quarantined;
	pthread_mutex_unlock(&target->lock);
	return member;
}

/* As pool_copy_is_whole. The caller has a turn in own. */
static int is_whole(struct target *target, const struct pool *own, struct pool *pool,
		    const struct uuid *uuid, struct err *err)
{
	cleanup_turn struct target_turn turn = { 0 };

	if (pool != own && target_turn_take(target, pool, &turn, err) < 0)
		return -1;
	return pool_copy_is_whole(pool, uuid, err);
}

/*
 * Whether all copies of its group have been made, and count, of which a committed one is proof. Of
 * those that were to be taken of quiet hosts it is the only one.
 */
static int is_forward(struct target *target, const struct target_entry *entry, struct err *err)
{
	const struct volume_snapshot *snapshot = &entry->volume.snapshot;
	const struct uuid *members = snapshot->member_count ? snapshot->members : &entry->uuid;
	size_t count = snapshot->member_count ?: 1;
	const struct uuid *unknown = NULL;
	bool all = !volume_is_frozen(&entry->volume);

	for (size_t i = 0; i < count; i++) {
		struct member member = member_of(target, &members[i]);
		int whole = 0;

		if (member.pool && member.state == VOLUME_READY)
			return 1;
		if (member.unknown)
			unknown = &members[i];
		if (all && member.pool && member.state == VOLUME_CREATING)
			whole = is_whole(target, entry->pool, member.pool, &members[i], err);
		if (whole < 0)
			return -1;
		all = all && whole;
	}
	if (!unknown)
		return all;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "whether the copies of its group were all made is not known, since the "
		       "record of one of them, %s, could not be read: repair or remove that, and "
		       "restart the target",
		       unknown->text);
}

int target_copy_resume(struct target *target, struct target_entry *entry, struct err *err)
{
	int forward = is_forward(target, entry, err);

	if (forward < 0)
		return -1;
	if (!forward) {
		log_info("copy that was not finished taken back", KV("volume", entry->uuid.text));
		return undo(target, entry, err);
	}
	if (pool_copy_finish(entry->pool, &entry->volume, err) < 0)
		return -1;
	return commit(target, entry, err);
}
