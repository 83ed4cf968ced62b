/* SPDX-License-Identifier: Apache-2.0 */
/* The target's pools: found by name, asked for their room, and kept from holding all callers. */
#include <errno.h>
#include <string.h>

#include "nvme/target/target_table.h"

#define LATELY_MS 5000

struct pool *target_pool_find(const struct target *target, const char *name)
{
	for (size_t i = 0; i < target->pool_count; i++)
		if (strcmp(target->pools[i]->name, name) == 0)
			return target->pools[i];
	return NULL;
}

static size_t place_of(const struct target *target, const struct pool *pool)
{
	size_t i = 0;

	while (target->pools[i] != pool)
		i++;
	return i;
}

int target_turn_take(struct target *target, const struct pool *pool, struct target_turn *ret,
		     struct err *err)
{
	sem_t *turn = &target->turns[place_of(target, pool)];
	struct timespec until = deadline_timespec(deadline_after_ms(target->turn_wait_ms));
	int r;

	do {
		r = sem_clockwait(turn, CLOCK_MONOTONIC, &until);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE,
			       "pool %s does not answer: %d calls wait for its storage", pool->name,
			       TARGET_TURNS);
	ret->taken = turn;
	return 0;
}

void target_turn_fini(struct target_turn *turn)
{
	if (turn->taken)
		sem_post(turn->taken);
	turn->taken = NULL;
}

int target_usage(struct target *target, struct pool *pool, struct pool_usage *ret, struct err *err)
{
	cleanup_turn struct target_turn turn = { 0 };
	struct target_room *room = &target->rooms[place_of(target, pool)];
	struct pool_usage usage;

	if (target_turn_take(target, pool, &turn, err) < 0 || pool_usage(pool, &usage, err) < 0)
		return -1;
	pthread_mutex_lock(&target->lock);
	room->usage = usage;
	room->until = deadline_after_ms(LATELY_MS);
	pthread_mutex_unlock(&target->lock);
	*ret = usage;
	return 0;
}

int target_usage_lately(struct target *target, struct pool *pool, struct pool_usage *ret,
			struct err *err)
{
	const struct target_room *room = &target->rooms[place_of(target, pool)];
	bool fresh;

	pthread_mutex_lock(&target->lock);
	fresh = !deadline_passed(room->until);
	if (fresh)
		*ret = room->usage;
	pthread_mutex_unlock(&target->lock);
	return fresh ? 0 : target_usage(target, pool, ret, err);
}

bool target_path_is_in(const struct pool *pool, const struct uuid *uuid, const char *path)
{
	struct volume volume = { .uuid = *uuid };
	char candidate[PATH_MAX];

	for (int way = 0; way < 4; way++) {
		volume.volatile_cache = way & 1;
		pool_device_path(pool, &volume, way & 2, candidate);
		if (strcmp(candidate, path) == 0)
			return true;
	}
	return false;
}
