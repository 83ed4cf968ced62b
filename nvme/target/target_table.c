/* SPDX-License-Identifier: Apache-2.0 */
/* The table of volumes and its locks. */
#include "nvme/target/target_table.h"

#include <inttypes.h>
#include <string.h>

#include "nvme/base/log.h"
#include "nvme/target/record.h"

struct target_entry *target_entry_find(struct target *target, const struct uuid *uuid)
{
	return index_get(&target->entries, uuid->text);
}

struct target_entry *target_entry_ensure(struct target *target, const struct uuid *uuid)
{
	struct target_entry *entry = target_entry_find(target, uuid);

	if (entry)
		return entry;
	entry = xcalloc(1, sizeof(*entry));
	entry->uuid = *uuid;
	pthread_rwlock_init(&entry->busy, NULL);
	index_add(&target->entries, entry);
	return entry;
}

static void entry_free(struct target_entry *entry)
{
	volume_fini(&entry->volume);
	pthread_rwlock_destroy(&entry->busy);
	free(entry);
}

/* Whether something is known of the volume. */
static bool is_known(const struct target_entry *entry)
{
	return entry->present || entry->quarantined || entry->unsure;
}

int target_quarantined(const struct target_entry *entry, struct err *err)
{
	if (!entry->set_aside)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the record %s/%s.json could not be read when the target started; "
			       "its log says why; restart the target once it can be",
			       entry->pool->records.path, entry->uuid.text);
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "the record of volume %s cannot be read: repair %s/%s.json.bad, name it "
		       ".json again and restart the target, or remove it if the volume is not "
		       "needed",
		       entry->uuid.text, entry->pool->records.path, entry->uuid.text);
}

/* Drops a reference, and the entry with the last one when nothing is known of the volume. */
static void unref(struct target *target, struct target_entry *entry)
{
	bool last;

	pthread_mutex_lock(&target->lock);
	last = --entry->refs == 0 && !is_known(entry);
	if (last)
		index_remove(&target->entries, entry->uuid.text);
	pthread_mutex_unlock(&target->lock);
	if (last)
		entry_free(entry);
}

/* The lock is tried, by this function. */
static int acquire(struct target *target, struct target_entry *entry,
		   int (*trylock)(pthread_rwlock_t *lock), struct err *err)
{
	if (trylock(&entry->busy) != 0) {
		err_set(err, ERR_ABORTED, "another call for %s is under way", entry->uuid.text);
		unref(target, entry);
		return -1;
	}
	if (entry->quarantined) {
		target_quarantined(entry, err);
		target_release(target, entry);
		return -1;
	}
	return 0;
}

int target_acquire(struct target *target, const char *uuid, struct target_entry **ret,
		   struct err *err)
{
	struct target_entry *entry;
	struct uuid key;

	if (parse_uuid("uuid", uuid, &key, err) < 0)
		return -1;
	pthread_mutex_lock(&target->lock);
	entry = target_entry_ensure(target, &key);
	entry->refs++;
	entry->call = ++target->calls;
	pthread_mutex_unlock(&target->lock);
	if (acquire(target, entry, pthread_rwlock_trywrlock, err) < 0)
		return -1;
	*ret = entry;
	return 0;
}

int target_acquire_shared(struct target *target, const char *uuid, struct target_entry **ret,
			  struct err *err)
{
	struct target_entry *entry;
	struct uuid key;

	if (parse_uuid("uuid", uuid, &key, err) < 0)
		return -1;
	pthread_mutex_lock(&target->lock);
	entry = target_entry_find(target, &key);
	if (entry)
		entry->refs++;
	pthread_mutex_unlock(&target->lock);
	if (!entry)
		return err_set(err, ERR_NOT_FOUND, "target %s has no %s", target->id, key.text);
	if (acquire(target, entry, pthread_rwlock_tryrdlock, err) < 0)
		return -1;
	*ret = entry;
	return 0;
}

void target_release(struct target *target, struct target_entry *entry)
{
	pthread_rwlock_unlock(&entry->busy);
	unref(target, entry);
}

static void set_unsure(struct target *target, struct target_entry *entry, struct pool *pool,
		       bool unsure)
{
	pthread_mutex_lock(&target->lock);
	entry->pool = pool;
	entry->unsure = unsure;
	pthread_mutex_unlock(&target->lock);
}

int target_settle(struct target *target, struct target_entry *entry, struct err *err)
{
	cleanup_turn struct target_turn turn = { 0 };
	int r;

	if (!entry->unsure)
		return 0;
	if (target_turn_take(target, entry->pool, &turn, err) < 0)
		return -1;
	r = entry->present ? record_save(&entry->pool->records, &entry->volume, err) :
			     record_remove(&entry->pool->records, &entry->uuid, err);
	if (r < 0)
		return err_wrap(err, "settle the record of volume %s", entry->uuid.text);
	set_unsure(target, entry, entry->pool, false);
	return 0;
}

int target_take(struct target *target, const char *uuid, struct target_entry **ret, struct err *err)
{
	struct target_entry *entry;

	if (target_acquire(target, uuid, &entry, err) < 0)
		return -1;
	if (target_settle(target, entry, err) < 0) {
		target_release(target, entry);
		return -1;
	}
	*ret = entry;
	return 0;
}

static int expect(const struct target *target, const struct target_entry *entry, const char *pool,
		  bool snapshot, struct err *err)
{
	const char *sort = snapshot ? "snapshot" : "volume";

	if (!entry->present || volume_is_snapshot(&entry->volume) != snapshot ||
	    (pool[0] && strcmp(pool, entry->pool->name) != 0))
		return err_set(err, ERR_NOT_FOUND, "target %s has no %s %s%s%.64s", target->id,
			       sort, entry->uuid.text, pool[0] ? " in pool " : "", pool);
	if (entry->volume.state != VOLUME_READY)
		return err_set(err, ERR_ABORTED,
			       "%s %s is in state %s: its %s was begun and runs, or must be "
			       "asked for again first",
			       sort, entry->uuid.text, volume_state_name(entry->volume.state),
			       entry->volume.state == VOLUME_CREATING ? "creation" : "deletion");
	return 0;
}

int target_expect(const struct target *target, const struct target_entry *entry, const char *pool,
		  struct err *err)
{
	return expect(target, entry, pool, false, err);
}

int target_expect_snapshot(const struct target *target, const struct target_entry *entry,
			   const char *pool, struct err *err)
{
	return expect(target, entry, pool, true, err);
}

int target_expect_backing(const struct target_entry *entry, struct err *err)
{
	struct pool_backing backing;
	int found = pool_find(entry->pool, &entry->uuid, &backing, err);

	if (found < 0)
		return -1;
	if (!found || backing.unfinished)
		return err_set(err, ERR_DATA_LOSS, "the backing of volume %s in pool %s is gone",
			       entry->uuid.text, entry->pool->name);
	if (backing.size_bytes < entry->volume.size_bytes)
		return err_set(err, ERR_DATA_LOSS,
			       "the backing of volume %s in pool %s has %" PRIu64 " bytes, its "
			       "record says %" PRIu64,
			       entry->uuid.text, entry->pool->name, backing.size_bytes,
			       entry->volume.size_bytes);
	return 0;
}

/* Counts what the exports of a volume say about hosts, or takes it off. Under the lock. */
static void count_hosts(struct target *target, const struct volume *volume, bool off)
{
	for (size_t i = 0; i < volume->export_count; i++) {
		const struct volume_export *e = &volume->exports[i];
		struct target_host *host = target_host_ensure(target, e->host_nqn);

		host->exports[e->dhchap] += off ? -1 : 1;
		if (e->host_made)
			host->made += off ? -1 : 1;
		target_host_trim(target, host);
	}
}

bool target_made_host(struct target *target, const char *host_nqn)
{
	const struct target_host *host;
	bool made;

	pthread_mutex_lock(&target->lock);
	host = index_get(&target->hosts, host_nqn);
	made = host && host->made;
	pthread_mutex_unlock(&target->lock);
	return made;
}

void target_put(struct target *target, struct target_entry *entry, struct pool *pool,
		struct volume *volume)
{
	struct volume old;

	strcpy(volume->pool, pool->name);
	pthread_mutex_lock(&target->lock);
	old = entry->volume;
	count_hosts(target, volume, false);
	count_hosts(target, &old, true);
	entry->volume = *volume;
	entry->pool = pool;
	entry->present = true;
	entry->unsure = false;
	pthread_mutex_unlock(&target->lock);
	volume_fini(&old);
	*volume = (struct volume) { 0 };
}

int target_commit(struct target *target, struct target_entry *entry, struct pool *pool,
		  struct volume *volume, struct err *err)
{
	if (record_save(&pool->records, volume, err) < 0) {
		set_unsure(target, entry, pool, true);
		return -1;
	}
	target_put(target, entry, pool, volume);
	return 0;
}

int target_forget(struct target *target, struct target_entry *entry, struct err *err)
{
	struct volume old;

	if (record_remove(&entry->pool->records, &entry->uuid, err) < 0) {
		set_unsure(target, entry, entry->pool, true);
		return -1;
	}
	pthread_mutex_lock(&target->lock);
	old = entry->volume;
	count_hosts(target, &old, true);
	entry->volume = (struct volume) { 0 };
	entry->present = false;
	entry->unsure = false;
	pthread_mutex_unlock(&target->lock);
	pool_unpromise(entry->pool, volume_promised_bytes(&old));
	volume_fini(&old);
	return 0;
}

bool target_is_blank(struct pool *pool, const struct volume *volume)
{
	struct pool_backing backing;
	struct err err;
	int found;

	if (volume_is_copy(volume))
		return false;
	found = pool_find(pool, &volume->uuid, &backing, &err);
	if (found < 0)
		log_warning("backing cannot be read", KV("volume", volume->uuid.text),
			    KV_ERR(&err));
	if (found == 0)
		log_warning("backing is gone", KV("volume", volume->uuid.text),
			    KV("pool", pool->name));
	return found > 0 && backing.blank;
}

struct volume target_result(struct pool *pool, const struct volume *volume)
{
	struct volume copy = volume_copy(volume);

	copy.blank = target_is_blank(pool, volume);
	return copy;
}
