/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of pools, and the way from "NAME=KIND:ARGUMENT" to one of them. */
#include "nvme/target/pool.h"

#include <string.h>

static const struct pool_ops *const kinds[] = { &pool_dir_ops };

bool pool_name_valid(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len < VOLUME_POOL_SIZE &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

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
			       "pool \"%.200s\" is not of the form NAME=dir:/PATH", text);
	*kind++ = '\0';
	*argument++ = '\0';
	if (!pool_name_valid(name))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "pool name \"%.64s\" is not 1 to 32 characters of a-z, 0-9 and -",
			       name);
	ops = kind_find(kind);
	if (!ops)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "pool %s is of the unknown kind \"%.64s\"; known is dir", name,
			       kind);
	if (ops->open(argument, &pool, err) < 0)
		return err_wrap(err, "pool %s", name);
	strcpy(pool->name, name);
	pool->ops = ops;
	pool->overcommit = 1;
	pthread_mutex_init(&pool->lock, NULL);
	*ret = pool;
	return 0;
}

void pool_close(struct pool *pool)
{
	pthread_mutex_destroy(&pool->lock);
	pool->ops->close(pool);
}

int pool_create(struct pool *pool, const struct volume *volume, struct err *err)
{
	struct pool_usage usage;

	if (pool_usage(pool, &usage, err) < 0)
		return -1;
	if (usage.available_bytes < volume->size_bytes)
		return err_set(err, ERR_RESOURCE_EXHAUSTED,
			       "pool %s has %llu bytes available, volume %s needs %llu", pool->name,
			       (unsigned long long)usage.available_bytes, volume->uuid.text,
			       (unsigned long long)volume->size_bytes);
	return pool->ops->create(pool, volume, err);
}

int pool_promise(struct pool *pool, uint64_t bytes, struct err *err)
{
	struct pool_usage usage;
	int r;

	pthread_mutex_lock(&pool->lock);
	r = pool_usage(pool, &usage, err);
	if (r == 0 && usage.available_bytes < bytes)
		r = err_set(err, ERR_RESOURCE_EXHAUSTED,
			    "pool %s has %llu bytes available, %llu are needed", pool->name,
			    (unsigned long long)usage.available_bytes, (unsigned long long)bytes);
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

int pool_list(struct pool *pool, struct root_names *ret, struct err *err)
{
	return pool->ops->list(pool, ret, err);
}

int pool_usage(struct pool *pool, struct pool_usage *ret, struct err *err)
{
	return pool->ops->usage(pool, ret, err);
}

void pool_device_path(const struct pool *pool, const struct volume *volume, bool readonly,
		      char out[PATH_MAX])
{
	pool->ops->device_path(pool, volume, readonly, out);
}
