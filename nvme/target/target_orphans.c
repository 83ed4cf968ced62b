/* SPDX-License-Identifier: Apache-2.0 */
/* Finding what no volume accounts for: in the pools, and in the kernel. */
#include "nvme/target/target.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "nvme/target/record.h"
#include "nvme/target/target_table.h"

/* What the table knows of a UUID. */
enum known {
	KNOWN_NOTHING,
	KNOWN_BUSY, /* a call is at work on it */
	KNOWN_BAD,  /* it has a record that could not be read */
	KNOWN_VOLUME,
};

struct look {
	enum known known;
	bool exported;
	bool set_aside;
	struct pool *pool; /* of a volume and of a record that could not be read */
};

static struct look look_up(struct target *target, const struct uuid *uuid)
{
	const struct target_entry *entry;
	struct look look = { 0 };

	pthread_mutex_lock(&target->lock);
	entry = target_entry_find(target, uuid);
	if (entry && entry->refs)
		look.known = KNOWN_BUSY;
	else if (entry && entry->quarantined && !entry->present)
		look.known = KNOWN_BAD;
	else if (entry && entry->present)
		look.known = KNOWN_VOLUME;
	if (entry) {
		look.exported = entry->volume.export_count;
		look.set_aside = entry->set_aside;
		look.pool = entry->pool;
	}
	pthread_mutex_unlock(&target->lock);
	return look;
}

__attribute__((format(printf, 6, 7))) static void add(struct target_orphans *orphans,
						      const char *kind, const struct pool *pool,
						      const struct uuid *uuid, char *path,
						      const char *format, ...)
{
	struct target_orphan orphan = { .kind = kind, .path = path };
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (pool)
		strcpy(orphan.pool, pool->name);
	strcpy(orphan.uuid, uuid->text);
	orphan.message = xstrdup(message);
	orphans->items = xrealloc(orphans->items, orphans->count + 1, sizeof(*orphans->items));
	orphans->items[orphans->count++] = orphan;
}

/* --- records ---------------------------------------------------------------------------------- */

static void look_at_record(struct target *target, struct pool *pool, const char *name,
			   struct target_orphans *ret)
{
	struct uuid uuid = { 0 };
	struct err err = ERR_INIT;
	struct look look = { 0 };
	const char *why;

	if (record_name_uuid(name, &uuid, &err) == 0)
		look = look_up(target, &uuid);
	/* Gone since it was listed: what was deleted meanwhile. */
	if (look.known == KNOWN_BUSY || (look.known == KNOWN_VOLUME && look.pool == pool) ||
	    !root_exists(&pool->records, "%s", name))
		return;
	if (!uuid.text[0])
		why = "its name is not that of a record; remove it";
	else if (look.known == KNOWN_VOLUME)
		why = "the volume has a record in another pool, which is the one in use; remove "
		      "one "
		      "of the two";
	else if (look.known == KNOWN_BAD && !look.set_aside)
		why = "it could not be read when the target started, whose log says why; once it "
		      "can be, restart the target, or remove it if the volume is not needed";
	else if (look.known == KNOWN_BAD && record_is_begun(name))
		why = "it is older than the volume's record that was set aside; remove it together "
		      "with that one";
	else
		why = "it came after the target started; restart the target";
	add(ret, "record", pool, &uuid, xasprintf("%s/%s", pool->records.path, name), "%s", why);
}

static void look_at_bad_record(struct target *target, struct pool *pool, const char *name,
			       struct target_orphans *ret)
{
	struct uuid uuid = { 0 };
	struct err err = ERR_INIT;
	struct look look = { 0 };
	const char *why;

	if (record_name_uuid(name, &uuid, &err) == 0)
		look = look_up(target, &uuid);
	if (!uuid.text[0])
		why = "it was set aside because its name is not that of a record; remove it";
	else if (look.known == KNOWN_VOLUME || look.known == KNOWN_BUSY)
		why = "it was set aside, and the volume has another record now; remove this one";
	else
		why = "it was set aside because it could not be understood; repair it, name it "
		      ".json again and restart the target, or remove it if the volume is not "
		      "needed";
	add(ret, "record", pool, &uuid, xasprintf("%s/%s", pool->records.path, name), "%s", why);
}

static int add_records(struct target *target, struct pool *pool, enum record_kind kind,
		       struct target_orphans *ret, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };

	if (record_list(&pool->records, kind, &names, err) < 0)
		return err_wrap(err, "pool %s", pool->name);
	for (size_t i = 0; i < names.count; i++) {
		if (kind == RECORD_LIVE)
			look_at_record(target, pool, names.names[i], ret);
		else
			look_at_bad_record(target, pool, names.names[i], ret);
	}
	return 0;
}

/* --- backings --------------------------------------------------------------------------------- */

static void look_at_backing(struct target *target, struct pool *pool, const char *name,
			    struct target_orphans *ret)
{
	struct volume volume = { .volatile_cache = true };
	struct pool_backing backing;
	struct look look;
	char path[PATH_MAX];
	struct err ignored;

	snprintf(volume.uuid.text, sizeof(volume.uuid.text), "%s", name);
	look = look_up(target, &volume.uuid);
	if (look.known == KNOWN_BUSY || (look.known != KNOWN_NOTHING && look.pool == pool) ||
	    pool_find(pool, &volume.uuid, &backing, &ignored) <= 0)
		return;
	pool_device_path(pool, &volume, false, path);
	if (look.known == KNOWN_NOTHING)
		add(ret, "backing", pool, &volume.uuid, xstrdup(path),
		    "it has no record; put its record back and restart the target, or remove it "
		    "if its data is not needed");
	else
		add(ret, "backing", pool, &volume.uuid, xstrdup(path),
		    "the volume is in pool %s; remove this one if its data is not needed",
		    look.pool->name);
}

static int add_backings(struct target *target, struct pool *pool, struct target_orphans *ret,
			struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };

	if (pool_list(pool, &names, err) < 0)
		return err_wrap(err, "pool %s", pool->name);
	for (size_t i = 0; i < names.count; i++)
		look_at_backing(target, pool, names.names[i], ret);
	return 0;
}

/* --- exports ---------------------------------------------------------------------------------- */

static struct pool *pool_of_path(struct target *target, const struct nvmet_found *found)
{
	for (size_t i = 0; i < target->pool_count; i++)
		if (target_path_is_in(target->pools[i], &found->uuid, found->device_path))
			return target->pools[i];
	return NULL;
}

static void look_at_export(struct target *target, const struct nvmet_found *found,
			   struct target_orphans *ret)
{
	struct look look = { 0 };
	const char *why;

	if (found->uuid.text[0])
		look = look_up(target, &found->uuid);
	if (look.known == KNOWN_BUSY || (look.known == KNOWN_VOLUME && look.exported) ||
	    !root_exists(&target->nvmet.root, "subsystems/%s", found->nqn))
		return;
	if (look.known == KNOWN_VOLUME)
		why = "the volume's record has no export; unpublish the volume everywhere to end "
		      "this one";
	else if (look.known == KNOWN_BAD)
		why = "the volume's record could not be read, so what its hosts may do is not "
		      "known; "
		      "see to that record";
	else if (found->uuid.text[0])
		why = "no pool has a record of this volume; give the agent its pool, or unpublish "
		      "the volume everywhere to end the export";
	else
		why = "its name has our prefix and no volume's UUID; remove it from nvmet by hand";
	add(ret, "export", pool_of_path(target, found), &found->uuid,
	    xasprintf("%s/subsystems/%s", target->nvmet.root.path, found->nqn),
	    "%s (%zu hosts, device \"%.256s\")", why, found->hosts.count, found->device_path);
}

static int add_exports(struct target *target, struct target_orphans *ret, struct err *err)
{
	cleanup_nvmet_found_list struct nvmet_found_list list = { 0 };

	if (nvmet_list(&target->nvmet, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < list.count; i++)
		look_at_export(target, &list.found[i], ret);
	return 0;
}

/* --- all -------------------------------------------------------------------------------------- */

static int collect(struct target *target, struct target_orphans *ret, struct err *err)
{
	static const enum record_kind kinds[] = { RECORD_BAD, RECORD_LIVE };

	for (size_t i = 0; i < target->pool_count * ARRAY_SIZE(kinds); i++) {
		cleanup_turn struct target_turn turn = { 0 };
		struct pool *pool = target->pools[i / ARRAY_SIZE(kinds)];

		if (target_turn_take(target, pool, &turn, err) < 0 ||
		    add_records(target, pool, kinds[i % ARRAY_SIZE(kinds)], ret, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < target->pool_count; i++) {
		cleanup_turn struct target_turn turn = { 0 };

		if (target_turn_take(target, target->pools[i], &turn, err) < 0 ||
		    add_backings(target, target->pools[i], ret, err) < 0)
			return -1;
	}
	return add_exports(target, ret, err);
}

int target_orphans(struct target *target, struct target_orphans *ret, struct err *err)
{
	cleanup_target_orphans struct target_orphans orphans = { 0 };

	if (collect(target, &orphans, err) < 0)
		return -1;
	*ret = orphans;
	orphans = (struct target_orphans) { 0 };
	return 0;
}

void target_orphans_fini(struct target_orphans *orphans)
{
	for (size_t i = 0; i < orphans->count; i++) {
		free(orphans->items[i].path);
		free(orphans->items[i].message);
	}
	free(orphans->items);
	*orphans = (struct target_orphans) { 0 };
}
