/* SPDX-License-Identifier: Apache-2.0 */
/* The target as a whole: opening, closing, looking up. */
#include "nvme/target/target.h"

#include <stdio.h>
#include <string.h>

#include "nvme/base/log.h"
#include "nvme/target/target_table.h"

#define TURN_WAIT_MS 2000
#define FREEZE_WAIT_MS 20000 /* two that hosts keep waiting */
#define ANSWER_WAIT_MS 4000
#define START_WAIT_MS 60000 /* of one volume; storage may be slow then, and mounts depend on it */

static int open_pools(struct target *target, const struct target_config *config, struct err *err)
{
	target->pools = xcalloc(config->pool_count, sizeof(struct pool *));
	target->rooms = xcalloc(config->pool_count, sizeof(*target->rooms));
	target->turns = xcalloc(config->pool_count, sizeof(*target->turns));
	for (size_t i = 0; i < config->pool_count; i++) {
		cleanup_pool struct pool *pool = NULL;

		if (pool_open(config->pools[i], &pool, err) < 0)
			return -1;
		for (size_t j = 0; j < i; j++)
			if (strcmp(target->pools[j]->name, pool->name) == 0)
				return err_set(err, ERR_INVALID_ARGUMENT,
					       "two pools have the name %s", pool->name);
		sem_init(&target->turns[i], 0, TARGET_TURNS);
		target->pools[target->pool_count++] = steal_ptr(&pool);
	}
	if (target->pool_count == 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "no pool is given; one has the form NAME=dir:/PATH or "
			       "NAME=lvm:VG/THINPOOL");
	return 0;
}

int target_new(const struct target_config *config, struct target **ret, struct err *err)
{
	cleanup_target struct target *target = xcalloc(1, sizeof(*target));

	target->nvmet.root = ROOT_INIT;
	target->turn_wait_ms = TURN_WAIT_MS;
	sem_init(&target->freezes, 0, TARGET_FREEZES);
	target->freeze_wait_ms = FREEZE_WAIT_MS;
	target->answer_wait_ms = ANSWER_WAIT_MS;
	target->start_wait_ms = START_WAIT_MS;
	pthread_mutex_init(&target->lock, NULL);
	pthread_cond_init(&target->heard, NULL);
	nvmet_pause_init(&target->pause, strcmp(config->nvmet_path ?: NVMET_PATH, NVMET_PATH) == 0);
	if (!parse_is_name(config->id))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "target name \"%.64s\" is not 1 to 32 characters of a-z, 0-9 and -",
			       config->id);
	strcpy(target->id, config->id);
	if (open_pools(target, config, err) < 0 ||
	    target_config_overcommit(target, config, err) < 0 ||
	    target_config_topology(target, config, err) < 0 ||
	    nvmet_open(&target->nvmet, config->nvmet_path, config->portals, config->portal_count,
		       err) < 0)
		return -1;
	*ret = steal_ptr(&target);
	return 0;
}

void target_free(struct target *target)
{
	/* Storage that hangs keeps a thread that still needs it. */
	if (!target_pools_quiet(target))
		return;
	for (size_t i = 0; i < target->entries.count; i++) {
		struct target_entry *entry = target_entry_at(target, i);

		volume_fini(&entry->volume);
		pthread_rwlock_destroy(&entry->busy);
		free(entry);
	}
	index_fini(&target->entries);
	for (size_t i = 0; i < target->hosts.count; i++)
		target_host_free(target->hosts.items[i]);
	index_fini(&target->hosts);
	for (size_t i = 0; i < target->pool_count; i++) {
		pool_close(target->pools[i]);
		sem_destroy(&target->turns[i]);
	}
	free(target->pools);
	free(target->rooms);
	free(target->turns);
	free(target->topology);
	nvmet_close(&target->nvmet);
	nvmet_pause_fini(&target->pause);
	sem_destroy(&target->freezes);
	pthread_cond_destroy(&target->heard);
	pthread_mutex_destroy(&target->lock);
	free(target);
}

/* --- looking up ------------------------------------------------------------------------------- */

static void add_match(struct target_matches *matches, const struct target_entry *entry)
{
	matches->items[matches->count++] = (struct target_match) {
		.volume = volume_copy(&entry->volume),
		.pool = entry->pool,
	};
}

/* The entry of a volume that may be shown. Under the lock. */
static int find_shown(struct target *target, const struct uuid *uuid, const char *pool,
		      const struct target_entry **ret, struct err *err)
{
	const struct target_entry *entry = target_entry_find(target, uuid);
	const struct target_entry absent = { .uuid = *uuid };

	if (entry && entry->quarantined)
		return target_quarantined(entry, err);
	if (target_expect(target, entry ?: &absent, pool, err) < 0)
		return -1;
	*ret = entry;
	return 0;
}

static int check_pool(struct target *target, const char *pool, struct err *err)
{
	if (!pool[0] || target_pool_find(target, pool))
		return 0;
	return err_set(err, ERR_NOT_FOUND, "target %s has no pool \"%.64s\"", target->id, pool);
}

int target_has(struct target *target, const char *uuid, const char *pool, struct err *err)
{
	const struct target_entry *entry;
	struct uuid key;
	int r;

	if (parse_uuid("volume", uuid, &key, err) < 0 || check_pool(target, pool, err) < 0)
		return -1;
	pthread_mutex_lock(&target->lock);
	r = find_shown(target, &key, pool, &entry, err);
	pthread_mutex_unlock(&target->lock);
	return r;
}

int target_get(struct target *target, const char *uuid, const char *pool, struct volume *ret,
	       struct err *err)
{
	CLEANUP(target_matches_fini) struct target_matches matches = { 0 };
	const struct target_entry *entry;
	struct uuid key;
	int r;

	if (parse_uuid("volume", uuid, &key, err) < 0 || check_pool(target, pool, err) < 0)
		return -1;
	matches.items = xcalloc(1, sizeof(*matches.items));
	pthread_mutex_lock(&target->lock);
	r = find_shown(target, &key, pool, &entry, err);
	if (r == 0)
		add_match(&matches, entry);
	pthread_mutex_unlock(&target->lock);
	if (r < 0 || target_look(target, &matches, err) < 0)
		return -1;
	/* It is the caller's now. */
	*ret = matches.items[0].volume;
	matches.count = 0;
	return 0;
}

/* Begins after a volume that may have been deleted since. */
static void collect_page(struct target *target, const char *after, size_t max,
			 struct target_matches *ret, bool *ret_more)
{
	size_t at;

	pthread_mutex_lock(&target->lock);
	if (index_find(&target->entries, after, &at))
		at++;
	for (; at < target->entries.count; at++) {
		const struct target_entry *e = target_entry_at(target, at);

		if (!e->present || e->volume.state != VOLUME_READY ||
		    volume_is_snapshot(&e->volume))
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
	CLEANUP(target_matches_fini) struct target_matches matches = { 0 };
	struct uuid key = { 0 };
	struct volume_list list = { 0 };
	bool more = false;

	if (after[0] && parse_uuid("start_after", after, &key, err) < 0)
		return -1;
	matches.items = xcalloc(max, sizeof(*matches.items));
	collect_page(target, key.text, max, &matches, &more);
	if (target_look(target, &matches, err) < 0)
		return -1;
	list.volumes = xcalloc(matches.count, sizeof(*list.volumes));
	for (; list.count < matches.count; list.count++)
		list.volumes[list.count] = matches.items[list.count].volume;
	/* They are the list's now. */
	matches.count = 0;
	*ret = list;
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

const struct target_label *target_topology(const struct target *target, size_t *ret_count)
{
	*ret_count = target->topology_count;
	return target->topology;
}

static void pool_info(const struct pool *pool, const struct target_answer *answer,
		      struct target_pool_info *ret)
{
	strcpy(ret->name, pool->name);
	ret->kind = pool->ops->kind;
	if (answer->failed) {
		log_warning("pool cannot be asked", KV("pool", pool->name), KV_ERR(&answer->err));
		snprintf(ret->warning, sizeof(ret->warning), "%.*s", (int)sizeof(ret->warning) - 1,
			 answer->err.msg);
		return;
	}
	ret->capacity_bytes = answer->usage.capacity_bytes;
	ret->available_bytes = answer->usage.available_bytes;
	ret->maximum_bytes = answer->usage.maximum_bytes;
	strcpy(ret->warning, answer->usage.warning);
	ret->provisioned_bytes = answer->provisioned_bytes;
}

void target_info(struct target *target, struct target_info *ret)
{
	struct target_info info = { .pool_count = target->pool_count };
	cleanup_free struct target_answer *answers = xcalloc(target->pool_count, sizeof(*answers));

	info.pools = xcalloc(target->pool_count, sizeof(*info.pools));
	target_usages(target, answers);
	for (size_t i = 0; i < target->pool_count; i++)
		pool_info(target->pools[i], &answers[i], &info.pools[i]);
	*ret = info;
}

void target_info_fini(struct target_info *info)
{
	free(info->pools);
	*info = (struct target_info) { 0 };
}
