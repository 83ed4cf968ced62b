/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of pools, and the way from "NAME=KIND:ARGUMENT" to one of them. */
#include "nvme/target/pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nvme/target/spare.h"

#define MEASURE_MS 60000
#define MEASURE_SHARE 50 /* measuring takes no more than this part of the time */

static const struct pool_ops *const kinds[] = { &pool_dir_ops, &pool_lvm_ops };

static const struct pool_ops *kind_find(const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i]->kind, kind) == 0)
			return kinds[i];
	return NULL;
}

int pool_open(const char *text, struct pool **ret, struct err *err)
{
	cleanup_free char *name = xstrdup(text);
	char *kind = strchr(name, '=');
	char *argument = kind ? strchr(kind, ':') : NULL;
	const struct pool_ops *ops;
	struct pool *pool;

	if (!argument)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "pool \"%.200s\" is not of the form NAME=dir:/PATH or "
			       "NAME=lvm:VG/THINPOOL",
			       text);
	*kind++ = '\0';
	*argument++ = '\0';
	if (!parse_is_name(name))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "pool name \"%.64s\" is not 1 to 32 characters of a-z, 0-9 and -",
			       name);
	ops = kind_find(kind);
	if (!ops)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "pool %s is of the unknown kind \"%.64s\"; known are dir and "
			       "lvm",
			       name, kind);
	if (ops->open(argument, &pool, err) < 0)
		return err_wrap(err, "pool %s", name);
	strcpy(pool->name, name);
	pool->ops = ops;
	pool->overcommit = 1;
	pthread_mutex_init(&pool->lock, NULL);
	spare_fill(&pool->records);
	*ret = pool;
	return 0;
}

void pool_close(struct pool *pool)
{
	pthread_mutex_destroy(&pool->lock);
	pool->ops->close(pool);
}

/* --- room ------------------------------------------------------------------------------------- */

static uint64_t minus(uint64_t from, uint64_t what)
{
	return from > what ? from - what : 0;
}

/*
 * Volumes write and discard while they are looked at one by one. What one has written after its
 * turn is missing from the free space afterwards, what one has discarded after its turn from that
 * before: with the smaller of the two the result is too small at worst.
 */
static int measure(struct pool *pool, struct pool_room *room, uint64_t *ret_usable, struct err *err)
{
	struct pool_allocation ours = { 0 };
	uint64_t before = room->free_bytes;

	if (pool->ops->allocation(pool, &ours, err) < 0 || pool->ops->room(pool, room, err) < 0)
		return -1;
	if (before > room->free_bytes)
		before = room->free_bytes;
	*ret_usable = minus(before + ours.bytes, ours.overhead_bytes);
	return 0;
}

/*
 * Under the lock, which it lets go of meanwhile once there is a figure that others can use: looking
 * at many copies with many extents takes seconds. The longer it takes the less often it is done.
 */
static int measure_due(struct pool *pool, struct pool_room *room, struct err *err)
{
	uint64_t start_ns = clock_now_ns(), usable = 0, took_ms;
	bool first = !pool->measured;
	int r;

	if (pool->measuring || !deadline_passed(pool->measure_again))
		return 0;
	pool->measuring = true;
	if (!first)
		pthread_mutex_unlock(&pool->lock);
	r = measure(pool, room, &usable, err);
	if (!first)
		pthread_mutex_lock(&pool->lock);
	pool->measuring = false;
	if (r < 0)
		return -1;
	took_ms = (clock_now_ns() - start_ns) / NS_PER_MS * MEASURE_SHARE;
	pool->usable_bytes = usable;
	pool->measured = true;
	pool->measure_again = deadline_after_ms(took_ms > MEASURE_MS ? took_ms : MEASURE_MS);
	return 0;
}

static void usage_warn(const struct pool *pool, const struct pool_room *room, uint64_t reserve,
		       char out[256])
{
	uint64_t ours = minus(pool->usable_bytes, room->free_bytes);
	uint64_t unwritten = minus(pool->provisioned_bytes, ours);

	if (room->warning[0])
		strcpy(out, room->warning);
	else if (unwritten > room->free_bytes)
		snprintf(out, 256,
			 "volumes may still write %" PRIu64 " bytes, but only %" PRIu64
			 " of %" PRIu64
			 " are free: add storage or free some before their writes fail",
			 unwritten, room->free_bytes, room->capacity_bytes);
	else if (room->free_bytes <= reserve)
		snprintf(out, 256,
			 "only %" PRIu64 " of %" PRIu64
			 " bytes are free, not more than the reserve "
			 "of %" PRIu64 ": no volume is created any more",
			 room->free_bytes, room->capacity_bytes, reserve);
}

/*
 * What is free or ours can become ours. With overcommit 1 what remains of it after all promises is
 * what is free less what is promised and not written.
 */
static int usage_locked(struct pool *pool, struct pool_usage *ret, struct err *err)
{
	struct pool_room room = { 0 };
	uint64_t reserve, promisable;

	if (pool->ops->room(pool, &room, err) < 0 || measure_due(pool, &room, err) < 0)
		return -1;
	reserve = room.capacity_bytes / 100 * POOL_RESERVE_PERCENT;
	promisable = minus(pool->usable_bytes, reserve);
	/* In whole numbers where no fraction is asked for: a double has 53 bits. */
	if (pool->overcommit > 1)
		promisable = (uint64_t)((double)promisable * pool->overcommit);
	*ret = (struct pool_usage) {
		.capacity_bytes = room.capacity_bytes,
		.allocated_bytes = minus(pool->usable_bytes, room.free_bytes),
	};
	if (!room.closed && room.free_bytes > reserve)
		ret->available_bytes = minus(promisable, pool->provisioned_bytes);
	/* What others have taken since the measurement. */
	if (pool->overcommit <= 1 && ret->available_bytes > minus(room.free_bytes, reserve))
		ret->available_bytes = minus(room.free_bytes, reserve);
	ret->maximum_bytes = ret->available_bytes / VOLUME_BLOCK_BYTES * VOLUME_BLOCK_BYTES;
	usage_warn(pool, &room, reserve, ret->warning);
	return 0;
}

int pool_usage(struct pool *pool, struct pool_usage *ret, struct err *err)
{
	struct pool_usage usage;
	int r;

	pthread_mutex_lock(&pool->lock);
	r = usage_locked(pool, &usage, err);
	pthread_mutex_unlock(&pool->lock);
	if (r == 0)
		*ret = usage;
	return r;
}

int pool_promise(struct pool *pool, uint64_t bytes, struct err *err)
{
	struct pool_usage usage;
	int r;

	pthread_mutex_lock(&pool->lock);
	r = usage_locked(pool, &usage, err);
	if (r == 0 && usage.available_bytes < bytes)
		r = err_set(err, ERR_RESOURCE_EXHAUSTED,
			    "pool %s has %" PRIu64 " bytes available, %" PRIu64 " are needed%s%s",
			    pool->name, usage.available_bytes, bytes, usage.warning[0] ? "; " : "",
			    usage.warning);
	if (r == 0)
		pool->provisioned_bytes += bytes;
	pthread_mutex_unlock(&pool->lock);
	return r;
}

void pool_unpromise(struct pool *pool, uint64_t bytes)
{
	pthread_mutex_lock(&pool->lock);
	pool->provisioned_bytes -= bytes;
	pthread_mutex_unlock(&pool->lock);
}

void pool_count(struct pool *pool, uint64_t bytes)
{
	pthread_mutex_lock(&pool->lock);
	pool->provisioned_bytes += bytes;
	pthread_mutex_unlock(&pool->lock);
}

void pool_set_shares(struct pool *pool)
{
	pool->shares = true;
}

/* --- backings --------------------------------------------------------------------------------- */

int pool_create(struct pool *pool, const struct volume *volume, bool again, struct err *err)
{
	return pool->ops->create(pool, volume, again, err);
}

int pool_grow(struct pool *pool, const struct volume *volume, struct err *err)
{
	return pool->ops->grow(pool, volume, err);
}

int pool_attach(struct pool *pool, const struct volume *volume, bool readonly, struct err *err)
{
	return pool->ops->attach(pool, volume, readonly, err);
}

int pool_detach(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	return pool->ops->detach(pool, uuid, err);
}

int pool_find(struct pool *pool, const struct uuid *uuid, struct pool_backing *ret, struct err *err)
{
	return pool->ops->find(pool, uuid, ret, err);
}

int pool_remove(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	return pool->ops->remove(pool, uuid, err);
}

int pool_copy(struct pool *pool, const struct volume *copy, const struct volume *from,
	      struct err *err)
{
	if (pool->ops->copy(pool, copy, from, err) < 0)
		return -1;
	pool_set_shares(pool);
	return 0;
}

int pool_extents(struct pool *pool, const struct volume *snapshot, const struct volume *base,
		 uint64_t start_bytes, struct extents *ret, struct err *err)
{
	if (!pool->ops->extents)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "pool %s is of kind %s, which does not tell where snapshot %s has "
			       "its data: read all of it instead",
			       pool->name, pool->ops->kind, snapshot->uuid.text);
	return pool->ops->extents(pool, snapshot, base, start_bytes, ret, err);
}

int pool_used(struct pool *pool, const struct uuid *uuid, uint64_t since_ns, uint64_t *ret,
	      struct err *err)
{
	return pool->ops->used ? pool->ops->used(pool, uuid, since_ns, ret, err) : 0;
}

int pool_copy_finish(struct pool *pool, const struct volume *copy, struct err *err)
{
	return pool->ops->copy_finish(pool, copy, err);
}

int pool_copy_is_whole(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	return pool->ops->copy_is_whole(pool, uuid, err);
}

int pool_list(struct pool *pool, struct root_names *ret, struct err *err)
{
	return pool->ops->list(pool, ret, err);
}

void pool_device_path(const struct pool *pool, const struct volume *volume, bool readonly,
		      char out[PATH_MAX])
{
	pool->ops->device_path(pool, volume, readonly, out);
}
