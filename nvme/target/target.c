/* SPDX-License-Identifier: Apache-2.0 */
/* The target as a whole: opening, closing, looking up. */
#include "nvme/target/target.h"

#include <string.h>

#include "nvme/base/log.h"
#include "nvme/target/target_table.h"

static int open_pools(struct target *target, const struct target_config *config, struct err *err)
{
	target->pools = xcalloc(config->pool_count, sizeof(struct pool *));
	for (size_t i = 0; i < config->pool_count; i++) {
		cleanup_pool struct pool *pool = NULL;

		if (pool_open(config->pools[i], &pool, err) < 0)
			return -1;
		for (size_t j = 0; j < i; j++)
			if (strcmp(target->pools[j]->name, pool->name) == 0)
				return err_set(err, ERR_INVALID_ARGUMENT,
					       "two pools have the name %s", pool->name);
		target->pools[target->pool_count++] = steal_ptr(&pool);
	}
	if (target->pool_count == 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "no pool is given; one has the form NAME=dir:/PATH");
	return 0;
}

int target_new(const struct target_config *config, struct target **ret, struct err *err)
{
	cleanup_target struct target *target = xcalloc(1, sizeof(*target));

	target->nvmet.root = ROOT_INIT;
	pthread_mutex_init(&target->lock, NULL);
	if (!pool_name_valid(config->id))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "target name \"%.64s\" is not 1 to 32 characters of a-z, 0-9 and -",
			       config->id);
	strcpy(target->id, config->id);
	if (open_pools(target, config, err) < 0 ||
	    nvmet_open(&target->nvmet, config->nvmet_path, config->portals, config->portal_count,
		       err) < 0)
		return -1;
	*ret = steal_ptr(&target);
	return 0;
}

void target_free(struct target *target)
{
	struct target_entry *entry, *next;

	HASH_ITER (hh, target->entries, entry, next) {
		HASH_DEL(target->entries, entry);
		volume_fini(&entry->volume);
		pthread_mutex_destroy(&entry->busy);
		free(entry);
	}
	for (size_t i = 0; i < target->pool_count; i++)
		pool_close(target->pools[i]);
	free(target->pools);
	nvmet_close(&target->nvmet);
	pthread_mutex_destroy(&target->lock);
	free(target);
}

/* --- looking up ------------------------------------------------------------------------------- */

/* A copied volume and the pool to ask whether it is blank, without any lock. */
struct match {
	struct volume volume;
	struct pool *pool;
};

struct matches {
	struct match *items;
	size_t count;
};

static void matches_fini(struct matches *matches)
{
	for (size_t i = 0; i < matches->count; i++)
		volume_fini(&matches->items[i].volume);
	free(matches->items);
}

static void add_match(struct matches *matches, const struct target_entry *entry)
{
	matches->items[matches->count++] = (struct match) {
		.volume = volume_copy(&entry->volume),
		.pool = entry->pool,
	};
}

static bool is_in_pool(const struct target_entry *entry, const char *pool)
{
	return entry->present && (!pool[0] || strcmp(pool, entry->pool->name) == 0);
}

static int collect_one(struct target *target, const struct uuid *uuid, const char *pool,
		       struct matches *ret, struct err *err)
{
	const struct target_entry *entry = target_entry_find(target, uuid);

	if (entry && entry->quarantined)
		return target_quarantined(entry, err);
	if (!entry || !is_in_pool(entry, pool))
		return err_set(err, ERR_NOT_FOUND, "target %s has no volume %s%s%s", target->id,
			       uuid->text, pool[0] ? " in pool " : "", pool);
	if (entry->volume.state != VOLUME_READY)
		return err_set(err, ERR_ABORTED,
			       "volume %s is in state %s: the call that is to "
			       "finish this runs, or must be made again",
			       uuid->text, volume_state_name(entry->volume.state));
	ret->items = xcalloc(1, sizeof(*ret->items));
	add_match(ret, entry);
	return 0;
}

static void collect_all(struct target *target, const char *pool, struct matches *ret)
{
	struct target_entry *entry, *next;

	ret->items = xcalloc(HASH_COUNT(target->entries), sizeof(*ret->items));
	HASH_ITER (hh, target->entries, entry, next)
		if (is_in_pool(entry, pool) && entry->volume.state == VOLUME_READY)
			add_match(ret, entry);
}

static int collect(struct target *target, const struct uuid *uuid, const char *pool,
		   struct matches *ret, struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&target->lock);
	if (uuid->text[0])
		r = collect_one(target, uuid, pool, ret, err);
	else
		collect_all(target, pool, ret);
	pthread_mutex_unlock(&target->lock);
	return r;
}

static int compare_matches(const void *a, const void *b)
{
	const struct match *left = a, *right = b;

	return strcmp(left->volume.uuid.text, right->volume.uuid.text);
}

static int check_pool(struct target *target, const char *pool, struct err *err)
{
	for (size_t i = 0; i < target->pool_count; i++)
		if (!pool[0] || strcmp(target->pools[i]->name, pool) == 0)
			return 0;
	return err_set(err, ERR_NOT_FOUND, "target %s has no pool \"%.64s\"", target->id, pool);
}

int target_get(struct target *target, const char *uuid, const char *pool, struct volume_list *ret,
	       struct err *err)
{
	CLEANUP(matches_fini) struct matches matches = { 0 };
	struct uuid key = { 0 };

	pool = pool ?: "";
	if (uuid && uuid[0] && parse_uuid("volume", uuid, &key, err) < 0)
		return -1;
	if (check_pool(target, pool, err) < 0 || collect(target, &key, pool, &matches, err) < 0)
		return -1;
	qsort(matches.items, matches.count, sizeof(*matches.items), compare_matches);
	ret->volumes = xcalloc(matches.count, sizeof(*ret->volumes));
	ret->count = matches.count;
	for (size_t i = 0; i < matches.count; i++)
		ret->volumes[i] = target_result(matches.items[i].pool, &matches.items[i].volume);
	return 0;
}

/* The first entry of a page. A volume that was deleted between two pages costs a walk. */
static struct target_entry *page_start(struct target *target, const char *after)
{
	struct target_entry *entry = NULL;

	if (!after[0])
		return target->entries;
	HASH_FIND_STR(target->entries, after, entry);
	if (entry)
		return entry->hh.next;
	entry = target->entries;
	while (entry && strcmp(entry->uuid.text, after) <= 0)
		entry = entry->hh.next;
	return entry;
}

static void collect_page(struct target *target, const char *after, size_t max, struct matches *ret,
			 bool *ret_more)
{
	pthread_mutex_lock(&target->lock);
	for (struct target_entry *e = page_start(target, after); e; e = e->hh.next) {
		if (!e->present || e->volume.state != VOLUME_READY)
			continue;
		*ret_more = ret->count == max;
		if (*ret_more)
			break;
		add_match(ret, e);
	}
	pthread_mutex_unlock(&target->lock);
}

int target_list(struct target *target, const char *after, size_t max, struct volume_list *ret,
		bool *ret_more, struct err *err)
{
	CLEANUP(matches_fini) struct matches matches = { 0 };
	struct uuid key = { 0 };
	bool more = false;

	if (after[0] && parse_uuid("start_after", after, &key, err) < 0)
		return -1;
	matches.items = xcalloc(max, sizeof(*matches.items));
	collect_page(target, key.text, max, &matches, &more);
	ret->volumes = xcalloc(matches.count, sizeof(*ret->volumes));
	ret->count = matches.count;
	for (size_t i = 0; i < matches.count; i++)
		ret->volumes[i] = target_result(matches.items[i].pool, &matches.items[i].volume);
	*ret_more = more;
	return 0;
}

/* --- the target itself ------------------------------------------------------------------------ */

const char *target_id(const struct target *target)
{
	return target->id;
}

const struct portal *target_portals(const struct target *target, size_t *ret_count)
{
	*ret_count = target->nvmet.portal_count;
	return target->nvmet.portals;
}

void target_info(struct target *target, struct target_info *ret)
{
	struct target_info info = { .portal_count = target->nvmet.portal_count };

	strcpy(info.id, target->id);
	memcpy(info.portals, target->nvmet.portals, sizeof(info.portals));
	info.pools = xcalloc(target->pool_count, sizeof(*info.pools));
	info.pool_count = target->pool_count;
	for (size_t i = 0; i < target->pool_count; i++) {
		struct target_pool_info *pool = &info.pools[i];
		struct pool_usage usage = { 0 };
		struct err err;

		if (pool_usage(target->pools[i], &usage, &err) < 0)
			log_warning("pool cannot be asked", KV("pool", target->pools[i]->name),
				    KV_ERR(&err));
		strcpy(pool->name, target->pools[i]->name);
		pool->kind = target->pools[i]->ops->kind;
		pool->capacity_bytes = usage.capacity_bytes;
		pool->available_bytes = usage.available_bytes;
	}
	*ret = info;
}

void target_info_fini(struct target_info *info)
{
	free(info->pools);
	*info = (struct target_info) { 0 };
}
