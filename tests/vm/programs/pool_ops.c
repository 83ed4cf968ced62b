/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One operation of a pool from the command line, for cases that look at what it does to the kernel
 * and kill it at every step.
 *
 *	pool_ops POOL create|grow|attach-rw|attach-ro|path-rw|path-ro UUID BYTES [volatile]
 *	pool_ops POOL find|detach|remove UUID
 *	pool_ops POOL list|usage
 *	pool_ops through:PATH attach|detach UUID	the write-through device over a block device
 *	pool_ops POOL -			such lines from standard input; "." or an error
 *				ends each answer
 *
 * A volume that is made gets a record, as the target would write it, so that it counts as ours.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nvme/target/pool.h"
#include "nvme/target/record.h"
#include "nvme/target/through.h"

#define THROUGH "through:"

static int do_create(struct pool *pool, const struct volume *volume, struct err *err)
{
	struct volume recorded = *volume;

	recorded.name = (char *)"made by pool_ops";
	recorded.state = VOLUME_READY;
	/* Cases come back to what they have killed. */
	if (pool_create(pool, volume, true, err) < 0)
		return -1;
	return record_save(&pool->records, &recorded, err);
}

static int do_find(struct pool *pool, const struct volume *volume, struct err *err)
{
	struct pool_backing backing;
	int found = pool_find(pool, &volume->uuid, &backing, err);

	if (found > 0)
		printf("%" PRIu64 " %s\n", backing.size_bytes, backing.blank ? "blank" : "data");
	else if (found == 0)
		puts("absent");
	return found < 0 ? -1 : 0;
}

static int do_remove(struct pool *pool, const struct volume *volume, struct err *err)
{
	if (pool_remove(pool, &volume->uuid, err) < 0)
		return -1;
	return record_remove(&pool->records, &volume->uuid, err);
}

static int do_list(struct pool *pool, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };

	if (pool_list(pool, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		puts(names.names[i]);
	return 0;
}

static int do_usage(struct pool *pool, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };
	struct pool_usage usage;

	/* What the target does at its start. */
	pool_unpromise(pool, pool->provisioned_bytes);
	pool->measure_again = (struct deadline) { 0 };
	if (record_list(&pool->records, RECORD_LIVE, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		cleanup_volume struct volume volume = { 0 };
		struct uuid uuid;

		if (record_name_uuid(names.names[i], &uuid, err) < 0 ||
		    record_load(&pool->records, &uuid, &volume, err) < 0)
			return -1;
		pool_count(pool, volume.size_bytes);
	}
	if (pool_usage(pool, &usage, err) < 0)
		return -1;
	printf("capacity %" PRIu64 "\navailable %" PRIu64 "\nmaximum %" PRIu64 "\nwarning %s\n",
	       usage.capacity_bytes, usage.available_bytes, usage.maximum_bytes, usage.warning);
	return 0;
}

static int do_path(struct pool *pool, const struct volume *volume, bool readonly)
{
	char path[PATH_MAX];

	pool_device_path(pool, volume, readonly, path);
	puts(path);
	return 0;
}

static int run(struct pool *pool, const char *verb, const struct volume *volume, struct err *err)
{
	if (strcmp(verb, "create") == 0)
		return do_create(pool, volume, err);
	if (strcmp(verb, "grow") == 0)
		return pool_grow(pool, volume, err);
	if (strcmp(verb, "attach-rw") == 0)
		return pool_attach(pool, volume, false, err);
	if (strcmp(verb, "attach-ro") == 0)
		return pool_attach(pool, volume, true, err);
	if (strcmp(verb, "path-rw") == 0)
		return do_path(pool, volume, false);
	if (strcmp(verb, "path-ro") == 0)
		return do_path(pool, volume, true);
	if (strcmp(verb, "detach") == 0)
		return pool_detach(pool, &volume->uuid, err);
	if (strcmp(verb, "find") == 0)
		return do_find(pool, volume, err);
	if (strcmp(verb, "remove") == 0)
		return do_remove(pool, volume, err);
	if (strcmp(verb, "list") == 0)
		return do_list(pool, err);
	if (strcmp(verb, "usage") == 0)
		return do_usage(pool, err);
	return err_set(err, ERR_INVALID_ARGUMENT, "no operation %s", verb);
}

/* words: the operation, then what it is for. */
static int run_words(struct pool *pool, char *const words[], size_t count, struct err *err)
{
	struct volume volume = { .volatile_cache = count > 3 };

	if ((count > 1 && parse_uuid("volume", words[1], &volume.uuid, err) < 0) ||
	    (count > 2 && parse_u64("size", words[2], 1, INT64_MAX, &volume.size_bytes, err) < 0))
		return -1;
	return run(pool, words[0], &volume, err);
}

static void run_line(struct pool *pool, char *line)
{
	struct err err = ERR_INIT;
	char *words[4], *save = NULL;
	size_t count = 0;

	for (char *w = strtok_r(line, " \n", &save); w && count < ARRAY_SIZE(words);
	     w = strtok_r(NULL, " \n", &save))
		words[count++] = w;
	if (count && run_words(pool, words, count, &err) < 0)
		printf("!%s: %s\n", err_code_name(err.code), err.msg);
	else
		puts(".");
	fflush(stdout);
}

static int run_through(const char *path, const char *verb, const char *text, struct err *err)
{
	struct uuid uuid = { 0 };

	if (parse_uuid("volume", text, &uuid, err) < 0)
		return -1;
	return strcmp(verb, "attach") == 0 ? through_ensure(&uuid, path, err) :
					     through_remove(&uuid, err);
}

static int run_once(char *const argv[], int argc, struct pool **ret, struct err *err)
{
	if (argc > 3 && strncmp(argv[1], THROUGH, strlen(THROUGH)) == 0)
		return run_through(argv[1] + strlen(THROUGH), argv[2], argv[3], err);
	if (pool_open(argv[1], ret, err) < 0)
		return -1;
	return strcmp(argv[2], "-") == 0 ? 0 : run_words(*ret, argv + 2, (size_t)argc - 2, err);
}

int main(int argc, char **argv)
{
	cleanup_pool struct pool *pool = NULL;
	struct err err = ERR_INIT;
	char line[256];

	if (argc < 3) {
		fprintf(stderr, "usage: pool_ops POOL -|OPERATION [UUID [BYTES [volatile]]]\n");
		return 2;
	}
	if (run_once(argv, argc, &pool, &err) < 0) {
		fprintf(stderr, "%s: %s\n", err_code_name(err.code), err.msg);
		return 1;
	}
	while (strcmp(argv[2], "-") == 0 && fgets(line, sizeof(line), stdin))
		run_line(pool, line);
	return 0;
}
