/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up: from the records to pools and configfs. Runs alone, so it takes no volume's lock. */
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
static void count_backing(struct pool *pool, const struct uuid *uuid)
{
	struct pool_backing backing;
	struct err ignored;

	if (pool_find(pool, uuid, &backing, &ignored) > 0)
		pool_count(pool, backing.size_bytes);
}

/* Only what is malformed is set aside: a newer version, or what cannot be read now, may be whole. */
static void quarantine(struct target *target, struct pool *pool, const char *name,
		       const struct uuid *uuid, const struct err *why)
{
	struct target_entry *entry = target_entry_ensure(target, uuid);

	entry->quarantined = true;
	entry->pool = pool;
	count_backing(pool, uuid);
	if (why->code == ERR_DATA_LOSS)
		entry->set_aside = set_aside(pool, name, why);
	else
		log_error("volume record not understood and left as it is", KV("pool", pool->name),
			  KV("record", name), KV_ERR(why));
}

/* Not used, but its backing is among what the pool takes for allocated by its volumes. */
static void count_second(struct pool *pool, const struct uuid *uuid)
{
	cleanup_volume struct volume volume = { 0 };
	struct err ignored;

	if (record_load(&pool->records, uuid, &volume, &ignored) > 0)
		pool_count(pool, volume_promised_bytes(&volume));
	else
		count_backing(pool, uuid);
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
	count_backing(pool, uuid);
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
		count_second(pool, &uuid);
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
	for (size_t i = 0; i < target->pool_count; i++)
		if (load_pool(target, target->pools[i], RECORD_LIVE, err) < 0)
			return -1;
	for (size_t i = 0; i < target->pool_count; i++)
		if (load_pool(target, target->pools[i], RECORD_BAD, err) < 0 ||
		    report_strays(target, target->pools[i], err) < 0)
			return -1;
	return 0;
}

/* --- finishing -------------------------------------------------------------------------------- */

/* "": there is nothing to finish. */
static const char *finish(struct target *target, struct target_entry *entry, int *ret,
			  struct err *err)
{
	const struct volume *volume = &entry->volume;

	*ret = 0;
	if (!entry->present)
		return "";
	if (volume->state == VOLUME_CREATING) {
		*ret = target_finish_create(target, entry, true, err);
		return "creating";
	}
	if (volume->state == VOLUME_DELETING) {
		*ret = target_finish_delete(target, entry, err);
		return "deleting";
	}
	if (!volume->growing_bytes)
		return "";
	*ret = target_finish_expand(target, entry, err);
	return "expanding";
}

static void finish_all(struct target *target)
{
	for (size_t i = 0; i < target->entries.count; i++) {
		struct target_entry *entry = target_entry_at(target, i);
		struct err err;
		int r;
		const char *what = finish(target, entry, &r, &err);

		if (r < 0)
			log_error("volume not finished", KV("volume", entry->uuid.text),
				  KV("state", what), KV_ERR(&err));
		else if (what[0])
			log_info("volume finished", KV("volume", entry->uuid.text),
				 KV("state", what));
	}
	target_entries_trim(target);
}

/* --- exports ---------------------------------------------------------------------------------- */

/* The pool in which the backing lies that a subsystem exports; NULL: in none, or it is gone. */
static struct pool *pool_of_export(struct target *target, const struct nvmet_found *found)
{
	struct pool_backing backing;
	struct err ignored;

	for (size_t i = 0; found->uuid.text[0] && i < target->pool_count; i++)
		if (target_path_is_in(target->pools[i], &found->uuid, found->device_path) &&
		    pool_find(target->pools[i], &found->uuid, &backing, &ignored) > 0)
			return target->pools[i];
	return NULL;
}

/* A subsystem that no record wants. One without a backing is the rest of an unfinished removal. */
static bool may_remove(const struct target_entry *entry, const struct nvmet_found *found,
		       const struct pool *pool)
{
	if (entry && entry->quarantined)
		return false;
	if (entry && entry->present && !found->device_path[0])
		return true;
	return pool;
}

static void remove_unwanted(struct target *target, const struct nvmet_found *found)
{
	const struct target_entry *entry = target_entry_find(target, &found->uuid);
	struct volume volume = { .uuid = found->uuid };
	struct pool *pool;
	struct err err;

	if (entry && entry->present && entry->volume.export_count)
		return;
	pool = pool_of_export(target, found);
	if (!may_remove(entry, found, pool)) {
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

static int prepare(struct target *target, const struct target_entry *entry)
{
	bool readonly = volume_is_readonly(&entry->volume);
	char path[PATH_MAX];
	struct err err;

	pool_device_path(entry->pool, &entry->volume, readonly, path);
	if (pool_attach(entry->pool, &entry->volume, readonly, &err) == 0 &&
	    nvmet_prepare(&target->nvmet, &entry->volume, path, NULL, &err) == 0)
		return 0;
	log_error("export not restored", KV("volume", entry->uuid.text), KV_ERR(&err));
	return -1;
}

int target_restore(struct target *target, struct err *err)
{
	cleanup_free struct uuid *uuids = NULL;
	struct err failure;
	size_t count = 0;

	if (load_all(target, err) < 0)
		return -1;
	finish_all(target);
	if (remove_all_unwanted(target, err) < 0)
		return -1;
	/* A host that reconnects without finding its key is refused for good. */
	if (target_keys_restore(target, err) < 0)
		return -1;
	uuids = xcalloc(target->entries.count, sizeof(*uuids));
	for (size_t i = 0; i < target->entries.count; i++) {
		const struct target_entry *entry = target_entry_at(target, i);

		if (entry->present && entry->volume.export_count && prepare(target, entry) == 0)
			uuids[count++] = entry->uuid;
	}
	/* An agent that serves no host can still fence. */
	if (nvmet_link(&target->nvmet, uuids, count, &failure) < 0)
		log_error("volumes not reachable", KV_NUM("exports", count), KV_ERR(&failure));
	log_info("target restored", KV("target", target->id),
		 KV_NUM("volumes", target->entries.count), KV_NUM("exports", count));
	return 0;
}
