/* SPDX-License-Identifier: Apache-2.0 */
/* The table of volumes and its locks. */
#include "nvme/target/target_table.h"

#include <string.h>

#include "nvme/base/log.h"
#include "nvme/target/record.h"

/* The table is kept in the order of UUIDs, so that a page of a list begins where the last one
 * ended. */
static int compare_entries(const struct target_entry *a, const struct target_entry *b)
{
	return strcmp(a->uuid.text, b->uuid.text);
}

struct target_entry *target_entry_find(struct target *target, const struct uuid *uuid)
{
	struct target_entry *entry;

	HASH_FIND_STR(target->entries, uuid->text, entry);
	return entry;
}

struct target_entry *target_entry_ensure(struct target *target, const struct uuid *uuid)
{
	struct target_entry *entry = target_entry_find(target, uuid);

	if (entry)
		return entry;
	entry = xcalloc(1, sizeof(*entry));
	entry->uuid = *uuid;
	pthread_mutex_init(&entry->busy, NULL);
	HASH_ADD_KEYPTR_INORDER(hh, target->entries, entry->uuid.text, strlen(entry->uuid.text),
				entry, compare_entries);
	return entry;
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
	last = --entry->refs == 0 && !entry->present && !entry->quarantined;
	if (last)
		HASH_DEL(target->entries, entry);
	pthread_mutex_unlock(&target->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&entry->busy);
	free(entry);
}

int target_acquire(struct target *target, const char *uuid, struct target_entry **ret,
		   struct err *err)
{
	struct target_entry *entry;
	struct uuid key;

	if (parse_uuid("volume", uuid, &key, err) < 0)
		return -1;
	pthread_mutex_lock(&target->lock);
	entry = target_entry_ensure(target, &key);
	entry->refs++;
	pthread_mutex_unlock(&target->lock);
	if (pthread_mutex_trylock(&entry->busy) != 0) {
		unref(target, entry);
		return err_set(err, ERR_ABORTED, "another call for volume %s is under way",
			       key.text);
	}
	if (entry->quarantined) {
		target_quarantined(entry, err);
		target_release(target, entry);
		return -1;
	}
	*ret = entry;
	return 0;
}

void target_release(struct target *target, struct target_entry *entry)
{
	pthread_mutex_unlock(&entry->busy);
	unref(target, entry);
}

void target_put(struct target *target, struct target_entry *entry, struct pool *pool,
		struct volume *volume)
{
	struct volume old;

	strcpy(volume->pool, pool->name);
	pthread_mutex_lock(&target->lock);
	old = entry->volume;
	entry->volume = *volume;
	entry->pool = pool;
	entry->present = true;
	pthread_mutex_unlock(&target->lock);
	volume_fini(&old);
	*volume = (struct volume) { 0 };
}

int target_commit(struct target *target, struct target_entry *entry, struct pool *pool,
		  struct volume *volume, struct err *err)
{
	if (record_save(&pool->records, volume, err) < 0)
		return -1;
	target_put(target, entry, pool, volume);
	return 0;
}

int target_forget(struct target *target, struct target_entry *entry, struct err *err)
{
	struct volume old;

	if (record_remove(&entry->pool->records, &entry->uuid, err) < 0)
		return -1;
	pthread_mutex_lock(&target->lock);
	old = entry->volume;
	entry->volume = (struct volume) { 0 };
	entry->present = false;
	pthread_mutex_unlock(&target->lock);
	volume_fini(&old);
	return 0;
}

struct volume target_result(struct pool *pool, const struct volume *volume)
{
	struct volume copy = volume_copy(volume);
	struct pool_backing backing;
	struct err err;
	int found;

	found = pool_find(pool, &volume->uuid, &backing, &err);
	if (found < 0)
		log_warning("backing cannot be read", KV("volume", volume->uuid.text),
			    KV_ERR(&err));
	if (found == 0)
		log_warning("backing is gone", KV("volume", volume->uuid.text),
			    KV("pool", pool->name));
	copy.blank = found > 0 && backing.blank;
	return copy;
}
