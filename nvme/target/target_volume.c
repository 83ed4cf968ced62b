/* SPDX-License-Identifier: Apache-2.0 */
/* Creating volumes, blank or as copies, and deleting them and snapshots. */
#include "nvme/target/target.h"

#include <inttypes.h>
#include <string.h>

#include "nvme/base/log.h"
#include "nvme/base/strb.h"
#include "nvme/target/record.h"
#include "nvme/target/target_table.h"

/* --- creating --------------------------------------------------------------------------------- */

static const char *cache_name(bool volatile_cache)
{
	return volatile_cache ? "volatile" : "none";
}

static const char *source_sort(const struct volume *volume)
{
	if (!volume_is_copy(volume))
		return "none";
	return volume->source_is_snapshot ? "snapshot " : "volume ";
}

/* Whether an existing volume is what request asks for. */
static int check_same(const struct volume *have, const struct volume *request, struct err *err)
{
	char text[512];
	struct strb differs = strb_over(text, sizeof(text));

	if (strcmp(have->name, request->name) != 0)
		strb_addf(&differs, " name \"%s\" (asked for: \"%s\")", have->name, request->name);
	if (have->size_bytes != request->size_bytes)
		strb_addf(&differs, " size %" PRIu64 " (asked for: %" PRIu64 ")", have->size_bytes,
			  request->size_bytes);
	if (have->volatile_cache != request->volatile_cache)
		strb_addf(&differs, " write cache %s (asked for: %s)",
			  cache_name(have->volatile_cache), cache_name(request->volatile_cache));
	if (request->pool[0] && strcmp(have->pool, request->pool) != 0)
		strb_addf(&differs, " pool %s (asked for: %s)", have->pool, request->pool);
	if (have->source_is_snapshot != request->source_is_snapshot ||
	    strcmp(have->source.text, request->source.text) != 0)
		strb_addf(&differs, " source %s%s (asked for: %s%s)", source_sort(have),
			  have->source.text, source_sort(request), request->source.text);
	if (!differs.len)
		return 0;
	return err_set(err, ERR_ALREADY_EXISTS, "volume %s exists with%s", have->uuid.text, text);
}

/* The pool that takes the largest volume, of those that answer. */
static int roomiest(struct target *target, struct pool **ret, struct err *err)
{
	char text[512];
	struct strb silent = strb_over(text, sizeof(text));
	cleanup_free struct target_answer *answers = xcalloc(target->pool_count, sizeof(*answers));
	struct pool *best = NULL;
	uint64_t most = 0;

	target_usages(target, answers);
	for (size_t i = 0; i < target->pool_count; i++) {
		const struct target_answer *answer = &answers[i];

		if (answer->failed) {
			log_warning("pool cannot be asked", KV("pool", target->pools[i]->name),
				    KV_ERR(&answer->err));
			strb_addf(&silent, "%s%.160s", silent.len ? "; " : "", answer->err.msg);
		} else if (!best || answer->usage.maximum_bytes > most) {
			most = answer->usage.maximum_bytes;
			best = target->pools[i];
		}
	}
	if (!best)
		return err_set(err, ERR_UNAVAILABLE,
			       "no pool of target %s says how much room it has: %s%s", target->id,
			       text, silent.overflow ? "…" : "");
	*ret = best;
	return 0;
}

/* Where there is no choice nobody is asked: pool_promise will see whether there is room. */
static int choose_pool(struct target *target, const char *name, struct pool **ret, struct err *err)
{
	if (!name[0] && target->pool_count > 1)
		return roomiest(target, ret, err);
	*ret = name[0] ? target_pool_find(target, name) : target->pools[0];
	if (!*ret)
		return err_set(err, ERR_INVALID_ARGUMENT, "target %s has no pool \"%.64s\"",
			       target->id, name);
	return 0;
}

/*
 * Takes back a creation that failed. Only a blank backing is ours to remove. One that was refused
 * and cannot be looked at is not ours, and without the record no later call takes it for its own.
 */
static int undo_create(struct target *target, struct target_entry *entry, bool refused,
		       struct err *err)
{
	struct pool_backing backing;
	int found = pool_find(entry->pool, &entry->uuid, &backing, err);

	if ((found < 0 && !refused) ||
	    (found > 0 && backing.blank && pool_remove(entry->pool, &entry->uuid, err) < 0))
		return -1;
	return target_forget(target, entry, err);
}

/* Whoever hears that there was no room makes the volume elsewhere: only if nothing of it is here. */
static int fail_create(struct target *target, struct target_entry *entry, bool again,
		       struct err *err)
{
	bool refused = !again && err->code == ERR_FAILED_PRECONDITION;
	struct err undo;

	if (undo_create(target, entry, refused, &undo) == 0)
		return -1;
	log_error("failed creation not taken back", KV("volume", entry->uuid.text), KV_ERR(&undo));
	err_recode(err, ERR_INTERNAL);
	return err_wrap(err, "what was done is not taken back (%.400s) after", undo.msg);
}

int target_finish_create(struct target *target, struct target_entry *entry, bool again,
			 struct err *err)
{
	cleanup_volume struct volume ready = { 0 };

	if (volume_is_copy(&entry->volume))
		return target_copy_resume(target, entry, err);
	ready = volume_copy(&entry->volume);
	if (pool_create(entry->pool, &entry->volume, again, err) < 0) {
		fail_create(target, entry, again, err);
		return err_wrap(err, "create volume %s in pool %s", ready.uuid.text, ready.pool);
	}
	if (record_commit(&entry->pool->records, &entry->uuid, err) < 0)
		return -1;
	ready.state = VOLUME_READY;
	target_put(target, entry, entry->pool, &ready);
	return 0;
}

/* A new volume: its room in the pool, and its record in state creating. */
static int begin_create(struct target *target, struct target_entry *entry, struct pool *pool,
			const struct volume *request, struct err *err)
{
	cleanup_volume struct volume volume = volume_copy(request);

	volume.state = VOLUME_CREATING;
	volume.uuid = entry->uuid;
	volume.export_count = 0;
	volume.growing_bytes = 0;
	if (pool_promise(pool, volume.size_bytes, err) < 0)
		return -1;
	if (target_commit(target, entry, pool, &volume, err) < 0) {
		pool_unpromise(pool, request->size_bytes);
		return -1;
	}
	return 0;
}

static int create_in(struct target *target, struct target_entry *entry, struct pool *pool,
		     const struct volume *request, struct volume *ret, struct err *err)
{
	cleanup_turn struct target_turn turn = { 0 };
	bool again = entry->present;

	if (target_turn_take(target, pool, &turn, err) < 0)
		return -1;
	if (entry->present && check_same(&entry->volume, request, err) < 0)
		return -1;
	if (!entry->present && begin_create(target, entry, pool, request, err) < 0)
		return -1;
	if (entry->volume.state != VOLUME_READY &&
	    target_finish_create(target, entry, again, err) < 0)
		return -1;
	*ret = target_result(pool, &entry->volume);
	return 0;
}

/* --- from a source ---------------------------------------------------------------------------- */

/* The copy that an earlier call began: then it is there, or it is not. */
static int resume_old(struct target *target, struct target_entry *entry, struct err *err)
{
	cleanup_turn struct target_turn turn = { 0 };

	if (!entry->present || entry->volume.state != VOLUME_CREATING)
		return 0;
	if (target_turn_take(target, entry->pool, &turn, err) < 0)
		return -1;
	return target_copy_resume(target, entry, err);
}

/* Whether a source can become what request asks for. */
static int check_source(const struct target *target, const struct target_entry *from,
			const struct volume *request, struct err *err)
{
	const struct volume *source = &from->volume;
	int r = request->source_is_snapshot ? target_expect_snapshot(target, from, "", err) :
					      target_expect(target, from, "", err);

	if (r < 0)
		return -1;
	if (source->growing_bytes)
		return err_set(err, ERR_ABORTED,
			       "volume %s is being expanded to %" PRIu64
			       " bytes: that must be asked for again first",
			       source->uuid.text, source->growing_bytes);
	if (request->pool[0] && strcmp(request->pool, from->pool->name) != 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s %s is in pool %s, and a copy of it cannot be in pool %s",
			       volume_sort_name(source), source->uuid.text, from->pool->name,
			       request->pool);
	if (request->size_bytes < source->size_bytes)
		return err_set(err, ERR_OUT_OF_RANGE,
			       "%" PRIu64 " bytes are less than the %" PRIu64
			       " of %s %s, of which the volume is to be a copy",
			       request->size_bytes, source->size_bytes, volume_sort_name(source),
			       source->uuid.text);
	return 0;
}

static int copy_new(struct target *target, struct target_entry *entry, const struct volume *request,
		    struct err *err)
{
	struct target_copy copy = { .entry = entry };
	struct target_entry *from;
	int r;

	if (strcmp(request->source.text, entry->uuid.text) == 0)
		return err_set(err, ERR_INVALID_ARGUMENT, "volume %s is to be a copy of itself",
			       entry->uuid.text);
	if (target_acquire_shared(target, request->source.text, &from, err) < 0)
		return -1;
	r = check_source(target, from, request, err);
	if (r == 0) {
		copy.from = from;
		copy.volume = volume_copy(request);
		copy.volume.uuid = entry->uuid;
		copy.volume.export_count = 0;
		copy.volume.growing_bytes = 0;
		r = target_copies_make(target, &copy, 1, NULL, err);
		volume_fini(&copy.volume);
	}
	target_release(target, from);
	return r < 0 ? err_wrap(err, "create volume %s", entry->uuid.text) : 0;
}

static int create_copy(struct target *target, struct target_entry *entry,
		       const struct volume *request, struct volume *ret, struct err *err)
{
	if (entry->present ? check_same(&entry->volume, request, err) < 0 :
			     copy_new(target, entry, request, err) < 0)
		return -1;
	*ret = target_result(entry->pool, &entry->volume);
	return 0;
}

/* --- both ------------------------------------------------------------------------------------- */

int target_finish_old(struct target *target, struct target_entry *entry, struct err *err)
{
	cleanup_turn struct target_turn turn = { 0 };

	if (!entry->present || entry->volume.state != VOLUME_DELETING)
		return 0;
	if (target_turn_take(target, entry->pool, &turn, err) < 0)
		return -1;
	return target_finish_delete(target, entry, err);
}

static int create_locked(struct target *target, struct target_entry *entry,
			 const struct volume *request, struct volume *ret, struct err *err)
{
	struct pool *pool = NULL;

	if (target_finish_old(target, entry, err) < 0)
		return -1;
	if (entry->present && volume_is_copy(&entry->volume) && resume_old(target, entry, err) < 0)
		return -1;
	if (entry->present && volume_is_snapshot(&entry->volume))
		return err_set(err, ERR_ALREADY_EXISTS, "%s is a snapshot and no volume",
			       entry->uuid.text);
	if (entry->present ? volume_is_copy(&entry->volume) : volume_is_copy(request))
		return create_copy(target, entry, request, ret, err);
	if (entry->present)
		pool = entry->pool;
	else if (choose_pool(target, request->pool, &pool, err) < 0)
		return -1;
	return create_in(target, entry, pool, request, ret, err);
}

int target_create(struct target *target, const struct volume *request, struct volume *ret,
		  struct err *err)
{
	struct target_entry *entry;
	int r;

	if (volume_check(request, err) < 0 ||
	    target_take(target, request->uuid.text, &entry, err) < 0)
		return -1;
	r = create_locked(target, entry, request, ret, err);
	target_release(target, entry);
	return r;
}

/* --- deleting --------------------------------------------------------------------------------- */

int target_finish_delete(struct target *target, struct target_entry *entry, struct err *err)
{
	if (pool_detach(entry->pool, &entry->uuid, err) < 0 ||
	    pool_remove(entry->pool, &entry->uuid, err) < 0)
		return -1;
	return target_forget(target, entry, err);
}

static int refuse_exported(const struct volume *volume, struct err *err)
{
	char text[512];
	struct strb hosts = strb_over(text, sizeof(text));

	for (size_t i = 0; i < volume->export_count; i++)
		strb_addf(&hosts, "%s%s", i ? ", " : "", volume->exports[i].host_nqn);
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "volume %s is exported to %s%s; unpublish it there first", volume->uuid.text,
		       text, hosts.overflow ? "…" : "");
}

/* Whatever the record says or does not say, the kernel must not serve what is deleted. */
static int refuse_served(struct target *target, const struct target_entry *entry, struct err *err)
{
	struct nvmet_seen seen;

	if (nvmet_see(&target->nvmet, &entry->uuid, "", &seen, err) < 0)
		return -1;
	if (seen.there)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the kernel still has a subsystem of volume %s, which its record "
			       "does not explain; unpublish the volume everywhere first",
			       entry->uuid.text);
	return 0;
}

/* Without a record the volume is absent only if no pool that is meant has its backing. */
static int refuse_backed(struct target *target, const struct target_entry *entry, const char *pool,
			 struct err *err)
{
	struct pool_backing backing;

	for (size_t i = 0; i < target->pool_count; i++) {
		int found;

		if (pool[0] && strcmp(target->pools[i]->name, pool) != 0)
			continue;
		found = target_find(target, target->pools[i], &entry->uuid, target->answer_wait_ms,
				    &backing, err);
		if (found < 0)
			return -1;
		if (found)
			return err_set(err, ERR_FAILED_PRECONDITION,
				       "volume %s has a backing in pool %s but no record: put the "
				       "record back and restart the target, or remove the backing",
				       entry->uuid.text, target->pools[i]->name);
	}
	return 0;
}

static int delete_present(struct target *target, struct target_entry *entry, struct err *err)
{
	cleanup_volume struct volume deleting = volume_copy(&entry->volume);
	cleanup_turn struct target_turn turn = { 0 };
	uint64_t promised = volume_promised_bytes(&deleting);

	deleting.state = VOLUME_DELETING;
	deleting.growing_bytes = 0;
	if (target_turn_take(target, entry->pool, &turn, err) < 0 ||
	    target_commit(target, entry, entry->pool, &deleting, err) < 0)
		return -1;
	pool_unpromise(entry->pool, promised - volume_promised_bytes(&entry->volume));
	return target_finish_delete(target, entry, err);
}

struct deletion {
	const char *uuid;
	const char *pool;
	const char *group; /* of a snapshot; "": of any, or of none */
	bool snapshot;
};

static int refuse_group(const struct volume *volume, const char *group, struct err *err)
{
	const char *has = volume->snapshot.group.text;

	return err_set(err, ERR_INVALID_ARGUMENT, "snapshot %s is of %s%s, not of group %s",
		       volume->uuid.text, has[0] ? "group " : "no group", has, group);
}

static int delete_locked(struct target *target, struct target_entry *entry,
			 const struct deletion *deletion, struct err *err)
{
	const char *pool = deletion->pool, *group = deletion->group;

	/* Of this sort there is none. */
	if (entry->present && volume_is_snapshot(&entry->volume) != deletion->snapshot)
		return 0;
	if (entry->present && group[0] && strcmp(group, entry->volume.snapshot.group.text) != 0)
		return refuse_group(&entry->volume, group, err);
	if (entry->present && pool[0] && strcmp(pool, entry->pool->name) != 0)
		return err_set(err, ERR_FAILED_PRECONDITION, "%s %s is in pool %s, not in %s",
			       volume_sort_name(&entry->volume), entry->uuid.text,
			       entry->pool->name, pool);
	if (entry->present && entry->volume.export_count)
		return refuse_exported(&entry->volume, err);
	if (refuse_served(target, entry, err) < 0)
		return -1;
	if (!entry->present)
		return refuse_backed(target, entry, pool, err);
	return delete_present(target, entry, err);
}

static int delete_sort(struct target *target, const struct deletion *deletion, struct err *err)
{
	const char *pool = deletion->pool;
	struct target_entry *entry;
	int r;

	if (pool[0] && !target_pool_find(target, pool))
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "target %s has no pool \"%.64s\"; whether %s %.36s is there "
			       "cannot be known: give the agent that pool",
			       target->id, pool, deletion->snapshot ? "snapshot" : "volume",
			       deletion->uuid);
	if (target_take(target, deletion->uuid, &entry, err) < 0)
		return -1;
	r = delete_locked(target, entry, deletion, err);
	target_release(target, entry);
	return r;
}

int target_delete(struct target *target, const char *uuid, const char *pool, struct err *err)
{
	return delete_sort(target, &(struct deletion) { uuid, pool, "", false }, err);
}

int target_snapshot_delete(struct target *target, const char *uuid, const char *pool,
			   const char *group, struct err *err)
{
	struct uuid key;

	if (group[0] && parse_uuid("group_uuid", group, &key, err) < 0)
		return -1;
	return delete_sort(target, &(struct deletion) { uuid, pool, group, true }, err);
}
