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

/* --- pools ------------------------------------------------------------------------------------ */

/* What is found in a pool, which may hang: the property of the thread that looks. */
struct part {
	struct target *target;
	struct pool *pool;
	struct target_orphans found;
};

/* The UUID of a record, if its name has one, and what is known of it. */
static struct look look_up_record(struct target *target, const char *name, struct uuid *ret)
{
	struct err ignored;

	*ret = (struct uuid) { 0 };
	return record_name_uuid(name, ret, &ignored) == 0 ? look_up(target, ret) :
							    (struct look) { 0 };
}

static void add_record(struct part *part, const char *name, const struct uuid *uuid,
		       const char *why)
{
	add(&part->found, "record", part->pool, uuid,
	    xasprintf("%s/%s", part->pool->records.path, name), "%s", why);
}

static void look_at_record(struct part *part, const char *name)
{
	struct uuid uuid;
	struct look look = look_up_record(part->target, name, &uuid);
	const char *why;

	/* Gone since it was listed: what was deleted meanwhile. */
	if (look.known == KNOWN_BUSY || (look.known == KNOWN_VOLUME && look.pool == part->pool) ||
	    !root_exists(&part->pool->records, "%s", name))
		return;
	if (!uuid.text[0])
		why = "its name is not that of a record; remove it";
	else if (look.known == KNOWN_VOLUME)
		why = "the volume has a record in another pool, which is the one in use; remove "
		      "one of the two";
	else if (look.known == KNOWN_BAD && !look.set_aside)
		why = "it could not be read when the target started, whose log says why; once it "
		      "can be, restart the target, or remove it if the volume is not needed";
	else if (look.known == KNOWN_BAD && record_is_begun(name))
		why = "it is older than the volume's record that was set aside; remove it together "
		      "with that one";
	else
		why = "it came after the target started; restart the target";
	add_record(part, name, &uuid, why);
}

static void look_at_bad_record(struct part *part, const char *name)
{
	struct uuid uuid;
	struct look look = look_up_record(part->target, name, &uuid);
	const char *why;

	if (!uuid.text[0])
		why = "it was set aside because its name is not that of a record; remove it";
	else if (look.known == KNOWN_VOLUME || look.known == KNOWN_BUSY)
		why = "it was set aside, and the volume has another record now; remove this one";
	else
		why = "it was set aside because it could not be understood; repair it, name it "
		      ".json again and restart the target, or remove it if the volume is not "
		      "needed";
	add_record(part, name, &uuid, why);
}

static void look_at_backing(struct part *part, const char *name)
{
	struct volume volume = { .volatile_cache = true };
	struct pool_backing backing = { 0 };
	cleanup_free char *whole = NULL;
	struct look look;
	char path[PATH_MAX];
	struct err ignored;

	snprintf(volume.uuid.text, sizeof(volume.uuid.text), "%s", name);
	look = look_up(part->target, &volume.uuid);
	if (look.known == KNOWN_BUSY || (look.known != KNOWN_NOTHING && look.pool == part->pool) ||
	    pool_find(part->pool, &volume.uuid, &backing, &ignored) <= 0)
		return;
	pool_device_path(part->pool, &volume, false, path);
	whole = xasprintf("%s%s", path, backing.unfinished ? ".new" : "");
	if (look.known == KNOWN_NOTHING)
		add(&part->found, "backing", part->pool, &volume.uuid, steal_ptr(&whole),
		    "it has no record; put its record back and restart the target, or remove it "
		    "if its data is not needed");
	else
		add(&part->found, "backing", part->pool, &volume.uuid, steal_ptr(&whole),
		    "the volume is in pool %s; remove this one if its data is not needed",
		    look.pool->name);
}

/* Looks at each of these names while somebody waits for it. */
static void look_at_all(struct target_ask *ask, struct part *part, const struct root_names *names,
			void (*look_at)(struct part *part, const char *name))
{
	for (size_t i = 0; i < names->count && target_ask_at(ask, part->pool, NULL); i++)
		look_at(part, names->names[i]);
}

static int look_at_records(struct target_ask *ask, void *arg, struct err *err)
{
	cleanup_root_names struct root_names bad = { 0 }, live = { 0 };
	cleanup_turn struct target_turn turn = { 0 };
	struct part *part = arg;

	if (target_turn_take(part->target, part->pool, &turn, err) < 0)
		return -1;
	if (record_list(&part->pool->records, RECORD_BAD, &bad, err) < 0 ||
	    record_list(&part->pool->records, RECORD_LIVE, &live, err) < 0)
		return err_wrap(err, "pool %s", part->pool->name);
	look_at_all(ask, part, &bad, look_at_bad_record);
	look_at_all(ask, part, &live, look_at_record);
	return 0;
}

static int look_at_backings(struct target_ask *ask, void *arg, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };
	cleanup_turn struct target_turn turn = { 0 };
	struct part *part = arg;

	if (target_turn_take(part->target, part->pool, &turn, err) < 0)
		return -1;
	if (pool_list(part->pool, &names, err) < 0)
		return err_wrap(err, "pool %s", part->pool->name);
	look_at_all(ask, part, &names, look_at_backing);
	return 0;
}

static void part_free(void *arg)
{
	struct part *part = arg;

	target_orphans_fini(&part->found);
	free(part);
}

/* Moves what was found to the end of ret. */
static void take_over(struct target_orphans *ret, struct target_orphans *found)
{
	ret->items = xrealloc(ret->items, ret->count + found->count, sizeof(*ret->items));
	for (size_t i = 0; i < found->count; i++)
		ret->items[ret->count++] = found->items[i];
	found->count = 0;
}

static int add_pool(struct target *target, struct pool *pool,
		    int (*run)(struct target_ask *ask, void *arg, struct err *err),
		    struct target_orphans *ret, struct err *err)
{
	struct part *part = xcalloc(1, sizeof(*part));
	const struct target_work work = {
		.run = run,
		.argument = part,
		.free_argument = part_free,
		.pool = pool,
	};

	part->target = target;
	part->pool = pool;
	if (target_ask(target, &work, target->answer_wait_ms, err) < 0)
		return -1;
	take_over(ret, &part->found);
	part_free(part);
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
	for (size_t i = 0; i < target->pool_count; i++)
		if (add_pool(target, target->pools[i], look_at_records, ret, err) < 0)
			return -1;
	for (size_t i = 0; i < target->pool_count; i++)
		if (add_pool(target, target->pools[i], look_at_backings, ret, err) < 0)
			return -1;
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
