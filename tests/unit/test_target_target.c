/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target without a kernel: nvmet's tree is a plain directory, in which every export fails after
 * its record is written. That is enough for all rules that do not depend on configfs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/file.h"
#include "nvme/base/proc.h"
#include "nvme/target/target.h"
#include "nvme/target/target_table.h"

#define HOST_A "nqn.2014-08.org.nvmexpress:uuid:aaaaaaaa-0000-4000-8000-000000000001"
#define HOST_B "nqn.2014-08.org.nvmexpress:uuid:bbbbbbbb-0000-4000-8000-000000000002"
#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define OTHER "6e6f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a12"

static char dir[64];
static struct target *target;

static int open_target(struct err *err)
{
	cleanup_free char *fast = xasprintf("fast=dir:%s/fast", dir);
	cleanup_free char *slow = xasprintf("slow=dir:%s/slow", dir);
	cleanup_free char *nvmet = xasprintf("%s/nvmet", dir);
	const char *pools[] = { fast, slow };
	struct portal portal;
	struct target_config config = {
		.id = "box-1",
		.pools = pools,
		.pool_count = ARRAY_SIZE(pools),
		.portals = &portal,
		.portal_count = 1,
		.nvmet_path = nvmet,
	};

	if (portal_parse("tcp://127.0.0.1:4420", &portal, err) < 0)
		return -1;
	return target_new(&config, &target, err);
}

static int setup(void **state)
{
	static const char *const parts[] = { "fast", "slow", "nvmet/subsystems", "nvmet/hosts",
					     "nvmet/ports" };
	struct err err;

	(void)state;
	strcpy(dir, "/tmp/test_target.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		cleanup_free char *path = xasprintf("%s/%s", dir, parts[i]);

		if (file_mkdirs(path, &err) < 0)
			return -1;
	}
	return open_target(&err) < 0 ? -1 : target_restore(target, &err);
}

static int teardown(void **state)
{
	const char *argv[] = { "rm", "-rf", dir, NULL };
	static struct proc_result result;
	struct err err;

	(void)state;
	target_free(target);
	return proc_run(argv, deadline_after_ms(10000), &result, &err) < 0 || result.exit_code;
}

static struct volume request(const char *uuid)
{
	struct volume volume = { .size_bytes = 1 << 20, .volatile_cache = true };

	snprintf(volume.uuid.text, sizeof(volume.uuid.text), "%s", uuid);
	volume.name = xstrdup("pvc-1");
	volume_add_parameter(&volume, "nrIoQueues", "2");
	return volume;
}

static int create(const char *uuid, const char *pool, struct err *err)
{
	cleanup_volume struct volume want = request(uuid), made = { 0 };

	snprintf(want.pool, sizeof(want.pool), "%s", pool);
	return target_create(target, &want, &made, err);
}

static bool exists(const char *format, const char *uuid)
{
	cleanup_free char *path = xasprintf("%s/fast/%s%s", dir, uuid, format);

	return access(path, F_OK) == 0;
}

static struct volume_export want(const char *host)
{
	struct volume_export e = { .access = VOLUME_SINGLE_NODE };

	snprintf(e.host_nqn, sizeof(e.host_nqn), "%s", host);
	return e;
}

static int export_to(const char *uuid, const char *host, struct err *err)
{
	cleanup_volume struct volume ret = { 0 };
	struct volume_export e = want(host);

	return target_export(target, uuid, &e, &ret, err);
}

static void assert_code(int r, const struct err *err, enum err_code code)
{
	assert_int_equal(r, -1);
	if (err->code != code)
		fail_msg("%s instead of %s: %s", err_code_name(err->code), err_code_name(code),
			 err->msg);
}

static void test_create_get_delete(void **state)
{
	cleanup_volume_list struct volume_list list = { 0 }, none = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_int_equal(target_get(target, UUID, "", &list, &err), 0);
	assert_int_equal(list.count, 1);
	assert_string_equal(list.volumes[0].pool, "fast");
	assert_string_equal(list.volumes[0].name, "pvc-1");
	assert_string_equal(list.volumes[0].parameters[0].value, "2");
	assert_int_equal(list.volumes[0].state, VOLUME_READY);
	assert_true(list.volumes[0].blank);
	assert_true(exists(".img", UUID) && exists(".json", UUID));

	assert_code(target_get(target, UUID, "slow", &none, &err), &err, ERR_NOT_FOUND);
	assert_code(target_get(target, OTHER, NULL, &none, &err), &err, ERR_NOT_FOUND);
	assert_code(target_get(target, "", "nopool", &none, &err), &err, ERR_NOT_FOUND);
	assert_code(target_get(target, "../x", "", &none, &err), &err, ERR_INVALID_ARGUMENT);

	assert_int_equal(target_delete(target, UUID, "", &err), 0);
	assert_int_equal(target_delete(target, UUID, "", &err), 0);
	assert_false(exists(".img", UUID) || exists(".json", UUID));
	assert_code(target_get(target, UUID, "", &none, &err), &err, ERR_NOT_FOUND);
}

static void test_list_is_sorted_and_by_pool(void **state)
{
	cleanup_volume_list struct volume_list all = { 0 }, fast = { 0 }, empty = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(target_get(target, NULL, NULL, &empty, &err), 0);
	assert_int_equal(empty.count, 0);
	assert_int_equal(create(OTHER, "slow", &err), 0);
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_int_equal(target_get(target, "", "", &all, &err), 0);
	assert_int_equal(all.count, 2);
	assert_string_equal(all.volumes[0].uuid.text, UUID);
	assert_string_equal(all.volumes[1].uuid.text, OTHER);
	assert_int_equal(target_get(target, "", "fast", &fast, &err), 0);
	assert_int_equal(fast.count, 1);
}

static void test_create_again(void **state)
{
	cleanup_volume struct volume same = request(UUID), made = { 0 }, none = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_int_equal(target_create(target, &same, &made, &err), 0);
	assert_string_equal(made.pool, "fast");

	same.size_bytes *= 2;
	same.volatile_cache = false;
	assert_code(target_create(target, &same, &none, &err), &err, ERR_ALREADY_EXISTS);
	assert_non_null(strstr(err.msg, "size 1048576 (asked for: 2097152)"));
	assert_non_null(strstr(err.msg, "write cache volatile (asked for: none)"));
	assert_code(create(UUID, "slow", &err), &err, ERR_ALREADY_EXISTS);
	assert_non_null(strstr(err.msg, "pool fast (asked for: slow)"));
}

static void test_create_refusals(void **state)
{
	cleanup_volume struct volume huge = request(UUID), odd = request(UUID), none = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_code(create("../../etc/passwd", "", &err), &err, ERR_INVALID_ARGUMENT);
	assert_code(create(UUID, "nopool", &err), &err, ERR_INVALID_ARGUMENT);
	odd.size_bytes = 1000;
	assert_code(target_create(target, &odd, &none, &err), &err, ERR_INVALID_ARGUMENT);
	huge.size_bytes = 1ULL << 62;
	assert_code(target_create(target, &huge, &none, &err), &err, ERR_RESOURCE_EXHAUSTED);
	/* Nothing is left of it, so that a smaller one succeeds. */
	assert_false(exists(".img", UUID) || exists(".json", UUID));
	assert_int_equal(create(UUID, "fast", &err), 0);
}

static void test_data_without_record_is_never_taken(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" UUID ".img", dir);
	struct err err = ERR_INIT;
	struct stat st;
	int fd;

	(void)state;
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "precious", 8), 8);
	assert_int_equal(close(fd), 0);
	assert_code(create(UUID, "fast", &err), &err, ERR_FAILED_PRECONDITION);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 8);
	assert_false(exists(".json", UUID));
}

static void test_written_volume_is_not_blank(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" UUID ".img", dir);
	cleanup_volume_list struct volume_list list = { 0 }, lost = { 0 };
	struct err err = ERR_INIT;
	int fd;

	(void)state;
	assert_int_equal(create(UUID, "fast", &err), 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 70000), 1);
	assert_int_equal(close(fd), 0);
	assert_int_equal(target_get(target, UUID, "", &list, &err), 0);
	assert_false(list.volumes[0].blank);
	/* A backing that is gone is no blank one either. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(target_get(target, UUID, "", &lost, &err), 0);
	assert_false(lost.volumes[0].blank);
}

/* The record comes first: a host whose export failed half-way holds the volume until unexport. */
static void test_failed_export_holds_the_volume(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
	assert_code(export_to(UUID, HOST_B, &err), &err, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, HOST_A));
	assert_code(target_delete(target, UUID, "", &err), &err, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, HOST_A));
	assert_true(exists(".img", UUID));

	/* Of a host that has none: no change. */
	assert_int_equal(target_unexport(target, UUID, HOST_B, &err), 0);
	assert_code(target_delete(target, UUID, "", &err), &err, ERR_FAILED_PRECONDITION);

	assert_int_equal(target_unexport(target, UUID, HOST_A, &err), 0);
	assert_int_equal(target_unexport(target, UUID, HOST_A, &err), 0);
	assert_int_equal(target_delete(target, UUID, "", &err), 0);
}

static void test_unexport_all(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(target_unexport(target, UUID, "", &err), 0);
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
	assert_int_equal(target_unexport(target, UUID, NULL, &err), 0);
	assert_int_equal(target_delete(target, UUID, "", &err), 0);
}

static void test_export_refusals(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" UUID ".img", dir);
	struct volume_export bad = want(HOST_A);
	cleanup_volume struct volume ret = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_NOT_FOUND);
	assert_code(export_to(UUID, "nqn.2020-01.org.x:../../a", &err), &err, ERR_INVALID_ARGUMENT);
	assert_code(export_to("x", HOST_A, &err), &err, ERR_INVALID_ARGUMENT);
	bad.access = (enum volume_access)7;
	assert_code(target_export(target, UUID, &bad, &ret, &err), &err, ERR_INVALID_ARGUMENT);
	assert_code(target_unexport(target, UUID, "host", &err), &err, ERR_INVALID_ARGUMENT);

	/* A lost backing is found before the host is written into the record. */
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_int_equal(unlink(path), 0);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_DATA_LOSS);
	assert_int_equal(target_delete(target, UUID, "", &err), 0);
}

static void test_info(void **state)
{
	cleanup_target_info struct target_info info = { 0 };
	char text[PORTAL_TEXT_SIZE];

	(void)state;
	target_info(target, &info);
	assert_string_equal(info.id, "box-1");
	assert_int_equal(info.pool_count, 2);
	assert_string_equal(info.pools[1].name, "slow");
	assert_string_equal(info.pools[1].kind, "dir");
	assert_true(info.pools[0].capacity_bytes > 0);
	assert_int_equal(info.portal_count, 1);
	portal_format(&info.portals[0], text);
	assert_string_equal(text, "tcp://127.0.0.1:4420");
}

static void test_new_says_what_is_missing(void **state)
{
	cleanup_free char *pool = xasprintf("third=dir:%s/nvmet", dir);
	const char *pools[] = { pool };
	struct portal portal;
	struct target_config config = { .id = "Box",
					.pools = pools,
					.pool_count = 1,
					.portals = &portal,
					.portal_count = 1,
					.nvmet_path = dir };
	struct target *none = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(portal_parse("tcp://127.0.0.1:4420", &portal, &err), 0);
	assert_code(target_new(&config, &none, &err), &err, ERR_INVALID_ARGUMENT);
	config.id = "box";
	assert_code(target_new(&config, &none, &err), &err, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "modprobe -a nvmet nvmet-tcp"));
	config.pool_count = 0;
	assert_code(target_new(&config, &none, &err), &err, ERR_INVALID_ARGUMENT);
	assert_null(none);
}

/* A pool that hangs must not take every caller with it. */
static void test_busy_volume_does_not_wait(void **state)
{
	struct target_entry *entry;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(target_acquire(target, UUID, &entry, &err), 0);
	assert_code(create(UUID, "fast", &err), &err, ERR_ABORTED);
	assert_code(target_delete(target, UUID, "", &err), &err, ERR_ABORTED);
	assert_code(target_unexport(target, UUID, "", &err), &err, ERR_ABORTED);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_ABORTED);
	assert_int_equal(create(OTHER, "fast", &err), 0);
	target_release(target, entry);
	assert_int_equal(create(UUID, "fast", &err), 0);
}

static bool is_recorded_as_made(const char *uuid)
{
	cleanup_free char *path = xasprintf("%s/fast/%s.json", dir, uuid);
	char text[4096] = "";
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	return strstr(text, "\"hostMade\":true");
}

/* The exports fail, but the record says before that whose the hosts are. */
static void test_whose_a_host_is(void **state)
{
	cleanup_free char *a = xasprintf("%s/nvmet/hosts/" HOST_A, dir);
	cleanup_free char *b = xasprintf("%s/nvmet/hosts/" HOST_B, dir);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_int_equal(create(OTHER, "fast", &err), 0);
	assert_int_equal(mkdir(b, 0755), 0);
	assert_code(export_to(UUID, HOST_B, &err), &err, ERR_INTERNAL);
	assert_false(is_recorded_as_made(UUID));
	assert_int_equal(target_unexport(target, UUID, HOST_B, &err), 0);
	assert_int_equal(access(b, F_OK), 0);

	/* The second volume finds the host that the first one made. */
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
	assert_true(is_recorded_as_made(UUID));
	assert_int_equal(mkdir(a, 0755), 0);
	assert_code(export_to(OTHER, HOST_A, &err), &err, ERR_INTERNAL);
	assert_true(is_recorded_as_made(OTHER));
	assert_int_equal(target_unexport(target, UUID, HOST_A, &err), 0);
	assert_int_equal(access(a, F_OK), -1);
}

/* Empty and with an id of our range, but without one of our addresses: somebody else's. */
static void test_foreign_port_stays(void **state)
{
	cleanup_free char *port = xasprintf("%s/nvmet/ports/28170", dir);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(mkdir(port, 0755), 0);
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
	assert_int_equal(target_unexport(target, UUID, HOST_A, &err), 0);
	assert_int_equal(access(port, F_OK), 0);
}

/* Many callers of the same two volumes: one at a time each, the others are told so. */
static void *hammer(void *failures)
{
	for (int i = 0; i < 40; i++) {
		cleanup_volume_list struct volume_list list = { 0 };
		const char *uuid = i % 2 ? UUID : OTHER;
		struct err err = ERR_INIT;

		if (target_get(target, "", "", &list, &err) < 0 ||
		    ((create(uuid, "fast", &err) < 0 ||
		      target_unexport(target, uuid, "", &err) < 0 ||
		      target_delete(target, uuid, "", &err) < 0) &&
		     err.code != ERR_ABORTED))
			__atomic_add_fetch((int *)failures, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_threads(void **state)
{
	cleanup_volume_list struct volume_list list = { 0 };
	pthread_t threads[4];
	struct err err = ERR_INIT;
	int failures = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, &failures), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(failures, 0);
	assert_int_equal(target_delete(target, UUID, "", &err), 0);
	assert_int_equal(target_delete(target, OTHER, "", &err), 0);
	assert_int_equal(target_get(target, "", "", &list, &err), 0);
	assert_int_equal(list.count, 0);
	assert_false(exists(".img", UUID) || exists(".json", UUID) || exists(".img", OTHER));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_create_get_delete),
		CASE(test_list_is_sorted_and_by_pool),
		CASE(test_create_again),
		CASE(test_create_refusals),
		CASE(test_data_without_record_is_never_taken),
		CASE(test_written_volume_is_not_blank),
		CASE(test_failed_export_holds_the_volume),
		CASE(test_unexport_all),
		CASE(test_export_refusals),
		CASE(test_info),
		CASE(test_new_says_what_is_missing),
		CASE(test_busy_volume_does_not_wait),
		CASE(test_whose_a_host_is),
		CASE(test_foreign_port_stays),
		CASE(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
