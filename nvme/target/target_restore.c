/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up: from the records to pools and configfs. Runs alone, so it takes no volume's lock. */
#include "nvme/target/target.h"

#include <string.h>

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

/* Only what is malformed is set aside: a newer version, or what cannot be read now, may be whole. */
static void quarantine(struct target *target, struct pool *pool, const char *name,
		       const struct uuid *uuid, const struct err *why)
{
	struct target_entry *entry = target_entry_ensure(target, uuid);

	entry->quarantined = true;
	entry->pool = pool;
	if (why->code == ERR_DATA_LOSS)
		entry->set_aside = set_aside(pool, name, why);
	else
		log_error("volume record not understood and left as it is", KV("pool", pool->name),
			  KV("record", name), KV_ERR(why));
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
		return;
	}
	found = record_load(&pool->records, &uuid, &volume, &err);
	if (found < 0)
		quarantine(target, pool, name, &uuid, &err);
	else if (found)
		target_put(target, target_entry_ensure(target, &uuid), pool, &volume);
}

/* What was set aside by an earlier start stays so until an operator has seen to it. */
static void load_bad(struct target *target, struct pool *pool, const char *name)
{
	struct target_entry *entry;
	struct uuid uuid;
	struct err err;

	if (record_name_uuid(name, &uuid, &err) < 0)
		return;
	entry = target_entry_ensure(target, &uuid);
	if (entry->present || entry->quarantined)
		return;
	log_error("a bad volume record waits for repair", KV("pool", pool->name),
		  KV("record", name));
	entry->quarantined = true;
	entry->set_aside = true;
	entry->pool = pool;
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

static void finish_all(struct target *target)
{
	struct target_entry *entry, *next;
	struct err err;

	HASH_ITER (hh, target->entries, entry, next) {
		enum volume_state state = entry->volume.state;
		int r = 0;

		if (!entry->present || state == VOLUME_READY)
			continue;
		r = state == VOLUME_CREATING ? target_finish_create(target, entry, &err) :
					       target_finish_delete(target, entry, &err);
		if (r < 0)
			log_error("volume not finished", KV("volume", entry->uuid.text),
				  KV("state", volume_state_name(state)), KV_ERR(&err));
		else
			log_info("volume finished", KV("volume", entry->uuid.text),
				 KV("state", volume_state_name(state)));
	}
}

/* --- exports ---------------------------------------------------------------------------------- */

/* Whether a subsystem exports a backing that is there, in one of the pools. */
static bool backing_is_ours(struct target *target, const struct nvmet_found *found)
{
	struct pool_backing backing;
	char path[PATH_MAX];
	struct err ignored;

	for (size_t i = 0; found->uuid.text[0] && i < target->pool_count; i++) {
		pool_device_path(target->pools[i], &(struct volume) { .uuid = found->uuid }, false,
				 path);
		if (strcmp(path, found->device_path) == 0 &&
		    pool_find(target->pools[i], &found->uuid, &backing, &ignored) > 0)
			return true;
	}
	return false;
}

/* A subsystem that no record wants. One without a backing is the rest of an unfinished removal. */
static bool may_remove(struct target *target, const struct nvmet_found *found)
{
	const struct target_entry *entry = target_entry_find(target, &found->uuid);

	if (entry && entry->quarantined)
		return false;
	if (entry && entry->present && !found->device_path[0])
		return true;
	return backing_is_ours(target, found);
}

static void remove_unwanted(struct target *target, const struct nvmet_found *found)
{
	const struct target_entry *entry = target_entry_find(target, &found->uuid);
	struct volume volume = { .uuid = found->uuid };
	struct err err;

	if (entry && entry->present && entry->volume.export_count)
		return;
	if (!may_remove(target, found)) {
		log_warning("unknown export left alone", KV("subsystem", found->nqn),
			    KV("device", found->device_path), KV_NUM("hosts", found->hosts.count));
		return;
	}
	if (nvmet_remove(&target->nvmet, &volume, &err) < 0)
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
	    nvmet_prepare(&target->nvmet, &entry->volume, path, &err) == 0)
		return 0;
	log_error("export not restored", KV("volume", entry->uuid.text), KV_ERR(&err));
	return -1;
}

int target_restore(struct target *target, struct err *err)
{
	cleanup_free struct uuid *uuids = NULL;
	struct target_entry *entry, *next;
	struct err failure;
	size_t count = 0;

	if (load_all(target, err) < 0)
		return -1;
	finish_all(target);
	if (remove_all_unwanted(target, err) < 0)
		return -1;
	uuids = xcalloc(HASH_COUNT(target->entries), sizeof(*uuids));
	HASH_ITER (hh, target->entries, entry, next) {
		if (entry->present && entry->volume.export_count && prepare(target, entry) == 0)
			uuids[count++] = entry->uuid;
	}
	/* An agent that serves no host can still fence. */
	if (nvmet_link(&target->nvmet, uuids, count, &failure) < 0)
		log_error("volumes not reachable", KV_NUM("exports", count), KV_ERR(&failure));
	log_info("target restored", KV("target", target->id),
		 KV_NUM("volumes", HASH_COUNT(target->entries)), KV_NUM("exports", count));
	return 0;
}
