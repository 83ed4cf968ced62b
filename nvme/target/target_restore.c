/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start-up: from the records to pools and configfs. Runs alone but for the work that a pool keeps:
 * what takes too long goes on by itself, and has its volume's lock for as long.
 */
#include "nvme/target/target.h"

#include <string.h>

#include "nvme/base/file.h"
#include "nvme/base/log.h"
#include "nvme/target/record.h"
#include "nvme/target/target_table.h"

/* --- loading ---------------------------------------------------------------------------------- */

static bool set_aside(struct pool *pool, const char *name, const struct err *why)
{
	struct err err;

	log_error("bad volume record set aside", KV("pool", pool->name), KV("record", name),
		  KV_ERR(why));
	if (record_quarantine(&pool->records, name, &err) == 0)
		return true;
	log_error("bad volume record not renamed", KV("record", name), KV_ERR(&err));
	return false;
}

/* What its volume may still write is unknown, but at most this. */
static void count_backing(struct target *target, struct pool *pool, const struct uuid *uuid)
{
	uint64_t left_ms = (uint64_t)deadline_poll_ms(target->count_until);
	uint64_t wait_ms = left_ms > target->answer_wait_ms ? left_ms : target->answer_wait_ms;
	struct pool_backing backing;
	struct err err;
	int found = target_find(target, pool, uuid, wait_ms, &backing, &err);

	if (found > 0)
		pool_count(pool, backing.size_bytes);
	else if (found < 0)
		log_error("what a volume takes is not counted; its pool may be overcommitted",
			  KV("pool", pool->name), KV("volume", uuid->text), KV_ERR(&err));
}

/* Only what is malformed is set aside: a newer version, or what cannot be read now, may be whole. */
static void quarantine(struct target *target, struct pool *pool, const char *name,
		       const struct uuid *uuid, const struct err *why)
{
	struct target_entry *entry = target_entry_ensure(target, uuid);

	entry->quarantined = true;
	entry->pool = pool;
	count_backing(target, pool, uuid);
	if (why->code == ERR_DATA_LOSS)
		entry->set_aside = set_aside(pool, name, why);
	else
		log_error("volume record not understood and left as it is", KV("pool", pool->name),
			  KV("record", name), KV_ERR(why));
}

/* Not used, but its backing is among what the pool takes for allocated by its volumes. */
static void count_second(struct target *target, struct pool *pool, const struct uuid *uuid)
{
	cleanup_volume struct volume volume = { 0 };
	struct err ignored;

	if (record_load(&pool->records, uuid, &volume, &ignored) > 0)
		pool_count(pool, volume_promised_bytes(&volume));
	else
		count_backing(target, pool, uuid);
}

/* The writing of it was interrupted, so nothing was done for its volume yet. */
static void drop(struct pool *pool, const char *name, const struct err *why)
{
	struct err err;

	log_warning("creation that never began dropped", KV("pool", pool->name), KV("record", name),
		    KV_ERR(why));
	if (file_remove(&pool->records, name, &err) < 0)
		log_error("record not removed", KV("record", name), KV_ERR(&err));
}

/* What was set aside by an earlier start stays so until an operator has seen to it. */
static void wait_for_repair(struct target *target, struct pool *pool, const struct uuid *uuid)
{
	struct target_entry *entry = target_entry_ensure(target, uuid);

	if (entry->present || entry->quarantined)
		return;
	log_error("a bad volume record waits for repair", KV("pool", pool->name),
		  KV("volume", uuid->text));
	entry->quarantined = true;
	entry->set_aside = true;
	entry->pool = pool;
	count_backing(target, pool, uuid);
}

static void load_record(struct target *target, struct pool *pool, const char *name)
{
	cleanup_volume struct volume volume = { 0 };
	struct target_entry *entry;
	struct uuid uuid;
	struct err err;
	int found;

	if (record_name_uuid(name, &uuid, &err) < 0) {
		set_aside(pool, name, &err);
		return;
	}
	entry = target_entry_find(target, &uuid);
	if (entry && (entry->present || entry->quarantined)) {
		log_error("volume has records in two pools, the second is not used",
			  KV("volume", uuid.text), KV("used", entry->pool->name),
			  KV("not_used", pool->name));
		count_second(target, pool, &uuid);
		return;
	}
	/* Its other record would say what it has come to since: a volume to be deleted. */
	if (record_is_begun(name) && record_is_set_aside(&pool->records, &uuid)) {
		wait_for_repair(target, pool, &uuid);
		return;
	}
	found = record_load(&pool->records, &uuid, &volume, &err);
	if (found < 0 && err.code == ERR_DATA_LOSS && record_is_begun(name))
		drop(pool, name, &err);
	else if (found < 0)
		quarantine(target, pool, name, &uuid, &err);
	if (found <= 0)
		return;
	pool_count(pool, volume_promised_bytes(&volume));
	if (volume_is_copy(&volume))
		pool_set_shares(pool);
	target_put(target, target_entry_ensure(target, &uuid), pool, &volume);
}

static void load_bad(struct target *target, struct pool *pool, const char *name)
{
	struct uuid uuid;
	struct err ignored;

	if (record_name_uuid(name, &uuid, &ignored) == 0)
		wait_for_repair(target, pool, &uuid);
}

static int load_pool(struct target *target, struct pool *pool, enum record_kind kind,
		     struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };

	if (record_list(&pool->records, kind, &names, err) < 0)
		return err_wrap(err, "pool %s", pool->name);
	for (size_t i = 0; i < names.count; i++) {
		if (kind == RECORD_LIVE)
			load_record(target, pool, names.names[i]);
		else
			load_bad(target, pool, names.names[i]);
	}
	return 0;
}

/* Backings that no record speaks of: reported, never removed. */
static int report_strays(struct target *target, struct pool *pool, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };

	if (pool_list(pool, &names, err) < 0)
		return err_wrap(err, "pool %s", pool->name);
	for (size_t i = 0; i < names.count; i++) {
		struct uuid uuid = { 0 };

		memcpy(uuid.text, names.names[i], sizeof(uuid.text) - 1);
		if (!target_entry_find(target, &uuid))
			log_warning("backing without a record left alone", KV("pool", pool->name),
				    KV("volume", uuid.text));
	}
	return 0;
}

static int load_all(struct target *target, struct err *err)
{
	target->count_until = deadline_after_ms(target->start_wait_ms);
	for (size_t i = 0; i < target->pool_count; i++)
		if (load_pool(target, target->pools[i], RECORD_LIVE, err) < 0)
			return -1;
	for (size_t i = 0; i < target->pool_count; i++)
		if (load_pool(target, target->pools[i], RECORD_BAD, err) < 0 ||
		    report_strays(target, target->pools[i], err) < 0)
			return -1;
	return 0;
}

/* --- phases ----------------------------------------------------------------------------------- */

/* What is done to every volume in some state. */
struct phase {
	/* The name of that state; NULL: the volume is not in it. */
	const char *(*state)(const struct target_entry *entry);
	int (*run)(struct target *target, struct target_entry *entry, struct err *err);
	const char *failed; /* what the log says */
	const char *done;   /* NULL: nothing */
};

/* A phase of one volume: the property of the thread that does it. */
struct step {
	struct target *target;
	const struct phase *phase;
	struct pool *pool;
	struct uuid uuid;
	const char *state;
};

static int step_locked(const struct step *step, struct target_entry *entry, struct err *err)
{
	cleanup_turn struct target_turn turn = { 0 };

	if (target_turn_take(step->target, step->pool, &turn, err) < 0)
		return -1;
	if (step->phase->run(step->target, entry, err) == 0)
		return 0;
	/* That code is for a pool that does not answer: see phase_run. */
	return err->code == ERR_UNAVAILABLE ? err_recode(err, ERR_INTERNAL) : -1;
}

static int step_run(struct target_ask *ask, void *arg, struct err *err)
{
	const struct step *step = arg;
	struct target_entry *entry;
	int r;

	(void)ask;
	if (target_acquire(step->target, step->uuid.text, &entry, err) < 0)
		return -1;
	r = step_locked(step, entry, err);
	target_release(step->target, entry);
	return r;
}

/* The steps of a phase in a pool, in the order of UUIDs; the caller frees them. */
static struct step *phase_steps(struct target *target, const struct phase *phase,
				const struct pool *pool, size_t *ret_count)
{
	struct step *steps;
	size_t count = 0;

	pthread_mutex_lock(&target->lock);
	steps = xcalloc(target->entries.count, sizeof(*steps));
	for (size_t i = 0; i < target->entries.count; i++) {
		const struct target_entry *entry = target_entry_at(target, i);
		const char *state = entry->present && entry->pool == pool ? phase->state(entry) :
									    NULL;

		if (state)
			steps[count++] = (struct step) { .target = target,
							 .phase = phase,
							 .pool = entry->pool,
							 .uuid = entry->uuid,
							 .state = state };
	}
	pthread_mutex_unlock(&target->lock);
	*ret_count = count;
	return steps;
}

static int step_ask(const struct step *step, struct err *err)
{
	struct step *copy = xcalloc(1, sizeof(*copy));
	const struct target_work work = {
		.run = step_run,
		.argument = copy,
		.free_argument = free,
		.pool = step->pool,
		.uuid = &step->uuid,
	};

	*copy = *step;
	if (target_ask(step->target, &work, step->target->start_wait_ms, err) < 0)
		return -1;
	free(copy);
	return 0;
}

/* Adds the volumes for which it was done to uuids. A pool that hangs is left to itself. */
static void phase_run(struct target *target, const struct phase *phase, const struct pool *pool,
		      struct uuid *uuids, size_t *count)
{
	size_t step_count, i;
	cleanup_free struct step *steps = phase_steps(target, phase, pool, &step_count);
	struct err err = ERR_INIT;

	for (i = 0; i < step_count && err.code != ERR_UNAVAILABLE; i++) {
		const struct step *step = &steps[i];

		if (step_ask(step, &err) < 0) {
			log_error(phase->failed, KV("volume", step->uuid.text),
				  KV("state", step->state), KV_ERR(&err));
			continue;
		}
		uuids[(*count)++] = step->uuid;
		if (phase->done)
			log_info(phase->done, KV("volume", step->uuid.text),
				 KV("state", step->state));
	}
	if (i < step_count)
		log_error("volumes of a pool that hangs left as they are", KV("pool", pool->name),
			  KV_NUM("volumes", step_count - i));
}

/* What a pool kept may end at any time, and its volume with it. */
static size_t volume_count(struct target *target)
{
	size_t count;

	pthread_mutex_lock(&target->lock);
	count = target->entries.count;
	pthread_mutex_unlock(&target->lock);
	return count;
}

/* In all pools. The caller frees the volumes for which it was done. */
static struct uuid *phase_do(struct target *target, const struct phase *phase, size_t *ret_count)
{
	struct uuid *uuids = xcalloc(volume_count(target), sizeof(*uuids));

	*ret_count = 0;
	for (size_t i = 0; i < target->pool_count; i++)
		phase_run(target, phase, target->pools[i], uuids, ret_count);
	return uuids;
}

/* --- finishing -------------------------------------------------------------------------------- */

static const char *unfinished(const struct target_entry *entry)
{
	if (entry->volume.state != VOLUME_READY)
		return volume_state_name(entry->volume.state);
	return entry->volume.growing_bytes ? "expanding" : NULL;
}

static int finish(struct target *target, struct target_entry *entry, struct err *err)
{
	if (entry->volume.state == VOLUME_CREATING)
		return target_finish_create(target, entry, true, err);
	if (entry->volume.state == VOLUME_DELETING)
		return target_finish_delete(target, entry, err);
	return target_finish_expand(target, entry, err);
}

static const struct phase finishing = { unfinished, finish, "volume not finished",
					"volume finished" };

/* --- exports ---------------------------------------------------------------------------------- */

/* The pool in which the backing lies that a subsystem exports; NULL: in none, or it is gone. */
static struct pool *pool_of_export(struct target *target, const struct nvmet_found *found)
{
	struct pool_backing backing;
	struct err ignored;

	for (size_t i = 0; found->uuid.text[0] && i < target->pool_count; i++)
		if (target_path_is_in(target->pools[i], &found->uuid, found->device_path) &&
		    target_find(target, target->pools[i], &found->uuid, target->answer_wait_ms,
				&backing, &ignored) > 0)
			return target->pools[i];
	return NULL;
}

/* What the table says of a volume. */
struct standing {
	bool present;
	bool quarantined;
	bool exported;
};

static struct standing standing_of(struct target *target, const struct uuid *uuid)
{
	const struct target_entry *entry;
	struct standing standing = { 0 };

	pthread_mutex_lock(&target->lock);
	entry = target_entry_find(target, uuid);
	if (entry)
		standing = (struct standing) { entry->present, entry->quarantined,
					       entry->present && entry->volume.export_count };
	pthread_mutex_unlock(&target->lock);
	return standing;
}

/* A subsystem that no record wants. One without a backing is the rest of an unfinished removal. */
static bool may_remove(const struct standing *standing, const struct nvmet_found *found,
		       const struct pool *pool)
{
	if (standing->quarantined)
		return false;
	if (standing->present && !found->device_path[0])
		return true;
	return pool;
}

static void remove_unwanted(struct target *target, const struct nvmet_found *found)
{
	struct standing standing = standing_of(target, &found->uuid);
	struct volume volume = { .uuid = found->uuid };
	struct pool *pool;
	struct err err;

	if (standing.exported)
		return;
	pool = pool_of_export(target, found);
	if (!may_remove(&standing, found, pool)) {
		log_warning("unknown export left alone", KV("subsystem", found->nqn),
			    KV("device", found->device_path), KV_NUM("hosts", found->hosts.count));
		return;
	}
	if (nvmet_remove(&target->nvmet, &volume, &err) < 0 ||
	    (pool && pool_detach(pool, &found->uuid, &err) < 0))
		log_error("export without a record not removed", KV("subsystem", found->nqn),
			  KV_ERR(&err));
	else
		log_warning("export without a record removed", KV("subsystem", found->nqn),
			    KV("device", found->device_path), KV_NUM("hosts", found->hosts.count));
}

static int remove_all_unwanted(struct target *target, struct err *err)
{
	cleanup_nvmet_found_list struct nvmet_found_list list = { 0 };

	if (nvmet_list(&target->nvmet, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < list.count; i++)
		remove_unwanted(target, &list.found[i]);
	return 0;
}

static const char *exported(const struct target_entry *entry)
{
	return entry->volume.export_count ? "exported" : NULL;
}

static int prepare(struct target *target, struct target_entry *entry, struct err *err)
{
	bool readonly = volume_is_readonly(&entry->volume);
	char path[PATH_MAX];

	pool_device_path(entry->pool, &entry->volume, readonly, path);
	if (pool_attach(entry->pool, &entry->volume, readonly, err) < 0)
		return -1;
	return nvmet_prepare(&target->nvmet, &entry->volume, path, NULL, err);
}

static const struct phase preparing = { exported, prepare, "export not restored", NULL };

int target_restore(struct target *target, struct err *err)
{
	cleanup_free struct uuid *finished = NULL, *prepared = NULL;
	struct err failure;
	size_t count;

	if (load_all(target, err) < 0)
		return -1;
	finished = phase_do(target, &finishing, &count);
	if (remove_all_unwanted(target, err) < 0)
		return -1;
	/* A host that reconnects without finding its key is refused for good. */
	if (target_keys_restore(target, err) < 0)
		return -1;
	prepared = phase_do(target, &preparing, &count);
	/* An agent that serves no host can still fence. */
	if (nvmet_link(&target->nvmet, prepared, count, &failure) < 0)
		log_error("volumes not reachable", KV_NUM("exports", count), KV_ERR(&failure));
	log_info("target restored", KV("target", target->id),
		 KV_NUM("volumes", volume_count(target)), KV_NUM("exports", count));
	return 0;
}
