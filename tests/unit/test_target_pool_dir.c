/* SPDX-License-Identifier: Apache-2.0 */
/* The directory pool on a real file system: making, blankness, durability flag, and refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "nvme/target/pool.h"
#include "nvme/target/record.h"
#include "nvme/target/spare.h"

#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"

static char dir[64];
static struct pool *pool;

static int setup(void **state)
{
	cleanup_free char *text = NULL;
	struct err err;

	(void)state;
	strcpy(dir, "/tmp/test_target_pool.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	text = xasprintf("fast=dir:%s", dir);
	return pool_open(text, &pool, &err);
}

static int teardown(void **state)
{
	struct uuid uuid = { UUID };
	struct err err;

	(void)state;
	if (pool_remove(pool, &uuid, &err) < 0)
		return -1;
	while (spare_give(&pool->records))
		;
	pool_close(pool);
	return rmdir(dir);
}

static struct volume sample(void)
{
	return (struct volume) { .uuid = { UUID }, .size_bytes = 1 << 20, .volatile_cache = true };
}

static char *image(void)
{
	return xasprintf("%s/" UUID ".img", dir);
}

static void put_byte(off_t at)
{
	cleanup_free char *path = image();
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, "x", 1, at), 1);
}

static int image_flags(void)
{
	cleanup_free char *path = image();
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	int flags = 0;

	assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
	return flags;
}

/* File systems that are known to keep FS_SYNC_FL. */
static bool keeps_sync_flag(void)
{
	struct statfs st;

	assert_int_equal(statfs(dir, &st), 0);
	return st.f_type == EXT4_SUPER_MAGIC || st.f_type == XFS_SUPER_MAGIC ||
	       st.f_type == (__typeof__(st.f_type))BTRFS_SUPER_MAGIC;
}

static void test_create_is_sparse_blank_and_repeatable(void **state)
{
	struct volume volume = sample();
	struct pool_backing backing = { 0 };
	char path[PATH_MAX];
	struct stat st;
	struct err err;

	(void)state;
	assert_int_equal(pool_find(pool, &volume.uuid, &backing, &err), 0);
	assert_int_equal(pool_create(pool, &volume, false, &err), 0);
	assert_int_equal(pool_create(pool, &volume, false, &err), 0);
	assert_int_equal(pool_find(pool, &volume.uuid, &backing, &err), 1);
	assert_int_equal(backing.size_bytes, 1 << 20);
	assert_true(backing.blank);
	pool_device_path(pool, &volume, false, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_blocks, 0);
}

/* One byte anywhere, also at the very end, makes it a volume that must never be formatted. */
static void test_one_byte_is_not_blank(void **state)
{
	const off_t places[] = { 0, 65536, (1 << 20) - 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct volume volume = sample();
		struct pool_backing backing = { .blank = true };
		struct err err;

		assert_int_equal(pool_create(pool, &volume, false, &err), 0);
		put_byte(places[i]);
		assert_int_equal(pool_find(pool, &volume.uuid, &backing, &err), 1);
		assert_false(backing.blank);
		assert_int_equal(pool_remove(pool, &volume.uuid, &err), 0);
	}
}

static void test_create_never_touches_data(void **state)
{
	struct volume volume = sample();
	struct pool_backing backing;
	struct err err;

	(void)state;
	assert_int_equal(pool_create(pool, &volume, false, &err), 0);
	put_byte(5000);
	volume.size_bytes = 4096;
	assert_int_equal(pool_create(pool, &volume, false, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, UUID ".img holds data"));
	assert_int_equal(pool_find(pool, &volume.uuid, &backing, &err), 1);
	assert_int_equal(backing.size_bytes, 1 << 20);
}

static void test_sync_flag(void **state)
{
	struct volume volume = sample();
	struct err err = ERR_INIT;
	int off = 0;

	(void)state;
	volume.volatile_cache = false;
	if (!keeps_sync_flag()) {
		print_message("the flag itself is not tested: /tmp is not ext4, xfs or btrfs\n");
		if (pool_create(pool, &volume, false, &err) < 0) {
			assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
			assert_non_null(strstr(err.msg, "writeCache: volatile"));
		}
		return;
	}
	assert_int_equal(pool_create(pool, &volume, false, &err), 0);
	assert_true(image_flags() & FS_SYNC_FL);

	/* A copy that came back from a backup has lost it. */
	{
		cleanup_free char *path = image();
		cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

		assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &off), 0);
	}
	assert_false(image_flags() & FS_SYNC_FL);
	assert_int_equal(pool_attach(pool, &volume, false, &err), 0);
	assert_true(image_flags() & FS_SYNC_FL);
}

static void test_volatile_has_no_sync_flag(void **state)
{
	struct volume volume = sample();
	struct err err;

	(void)state;
	assert_int_equal(pool_create(pool, &volume, false, &err), 0);
	if (keeps_sync_flag())
		assert_false(image_flags() & FS_SYNC_FL);
	assert_int_equal(pool_attach(pool, &volume, false, &err), 0);
}

static void test_attach_finds_loss(void **state)
{
	struct volume volume = sample();
	cleanup_free char *path = image();
	struct err err;

	(void)state;
	assert_int_equal(pool_attach(pool, &volume, false, &err), -1);
	assert_int_equal(err.code, ERR_DATA_LOSS);
	assert_int_equal(pool_create(pool, &volume, false, &err), 0);
	assert_int_equal(truncate(path, 4096), 0);
	assert_int_equal(pool_attach(pool, &volume, false, &err), -1);
	assert_int_equal(err.code, ERR_DATA_LOSS);
	assert_non_null(strstr(err.msg, "has 4096 bytes, its record says 1048576"));
}

static void put_record(const struct volume *volume)
{
	struct volume recorded = *volume;
	struct err err;

	recorded.name = (char *)"pvc-1";
	recorded.state = VOLUME_READY;
	assert_int_equal(record_save(&pool->records, &recorded, &err), 0);
}

static void fill(off_t bytes)
{
	cleanup_free char *path = image();
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(posix_fallocate(fd, 0, bytes), 0);
}

static uint64_t allocated(void)
{
	struct pool_allocation ret;
	struct err err;

	assert_int_equal(pool->ops->allocation(pool, &ret, &err), 0);
	assert_int_equal(ret.overhead_bytes, 0);
	return ret.bytes;
}

static void test_what_volumes_have_allocated(void **state)
{
	struct volume volume = sample();
	struct pool_room room;
	struct err err;

	(void)state;
	assert_int_equal(pool->ops->room(pool, &room, &err), 0);
	assert_true(room.capacity_bytes >= room.free_bytes && room.free_bytes > 0);
	assert_string_equal(room.warning, "");
	volume.size_bytes = 8 << 20;
	assert_int_equal(pool_create(pool, &volume, false, &err), 0);
	fill(4 << 20);
	/* Without a record it is a file like those of others. */
	assert_int_equal(allocated(), 0);
	put_record(&volume);
	assert_int_equal(allocated(), 4 << 20);
	fill(8 << 20);
	assert_int_equal(allocated(), 8 << 20);
	assert_int_equal(record_remove(&pool->records, &volume.uuid, &err), 0);
}

static void test_create_leaves_room_to_promises(void **state)
{
	struct volume volume = sample();
	struct pool_usage usage;
	struct err err;

	(void)state;
	assert_int_equal(pool_usage(pool, &usage, &err), 0);
	assert_true(usage.available_bytes > 0);
	volume.size_bytes = (usage.capacity_bytes / 4096 + 1) * 4096;
	assert_int_equal(pool_promise(pool, volume.size_bytes, &err), -1);
	assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
	assert_int_equal(pool_create(pool, &volume, false, &err), 0);
}

static void test_size_beyond_the_file_system(void **state)
{
	struct volume volume = sample();
	struct err err;

	(void)state;
	volume.size_bytes = INT64_MAX / 4096 * 4096;
	if (pool_create(pool, &volume, false, &err) < 0)
		assert_int_equal(err.code, ERR_OUT_OF_RANGE);
}

static void test_grow(void **state)
{
	struct volume volume = sample();
	struct pool_backing backing;
	struct err err;

	(void)state;
	assert_int_equal(pool_grow(pool, &volume, &err), -1);
	assert_int_equal(err.code, ERR_DATA_LOSS);
	assert_int_equal(pool_create(pool, &volume, false, &err), 0);
	put_byte(5000);
	volume.size_bytes = 3 << 20;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pool_grow(pool, &volume, &err), 0);
		assert_int_equal(pool_find(pool, &volume.uuid, &backing, &err), 1);
		assert_int_equal(backing.size_bytes, 3 << 20);
		assert_false(backing.blank);
	}
	volume.size_bytes = 2 << 20;
	assert_int_equal(pool_grow(pool, &volume, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "has 3145728 bytes, more than the 2097152"));
	assert_int_equal(pool_find(pool, &volume.uuid, &backing, &err), 1);
	assert_int_equal(backing.size_bytes, 3 << 20);
}

static void test_device_paths(void **state)
{
	cleanup_free char *expected = image();
	struct volume volume = sample();
	char path[PATH_MAX];

	(void)state;
	pool_device_path(pool, &volume, false, path);
	assert_string_equal(path, expected);
	pool_device_path(pool, &volume, true, path);
	assert_string_equal(path, "/dev/mapper/nvmeot-" UUID);
}

static void test_symlink_is_not_followed(void **state)
{
	struct volume volume = sample();
	cleanup_free char *path = image();
	struct err err;

	(void)state;
	assert_int_equal(symlink("/etc/hostname", path), 0);
	assert_int_equal(pool_create(pool, &volume, false, &err), -1);
	assert_int_equal(pool_attach(pool, &volume, false, &err), -1);
}

static void test_list(void **state)
{
	cleanup_root_names struct root_names names = { 0 };
	cleanup_free char *path = xasprintf("%s/other.img", dir);
	struct volume volume = sample();
	struct err err;

	(void)state;
	assert_int_equal(pool_create(pool, &volume, false, &err), 0);
	assert_int_equal(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
	assert_int_equal(pool_list(pool, &names, &err), 0);
	assert_int_equal(names.count, 1);
	assert_string_equal(names.names[0], UUID);
	assert_int_equal(unlink(path), 0);
}

static void test_open_refusals(void **state)
{
	static const struct {
		const char *text;
		enum err_code code;
	} rows[] = {
		{ "", ERR_INVALID_ARGUMENT },
		{ "fast", ERR_INVALID_ARGUMENT },
		{ "fast=dir", ERR_INVALID_ARGUMENT },
		{ "=dir:/tmp", ERR_INVALID_ARGUMENT },
		{ "Fast=dir:/tmp", ERR_INVALID_ARGUMENT },
		{ "a/b=dir:/tmp", ERR_INVALID_ARGUMENT },
		{ "a23456789012345678901234567890123=dir:/tmp", ERR_INVALID_ARGUMENT },
		{ "fast=zfs:/tmp", ERR_INVALID_ARGUMENT },
		{ "fast=dir:tmp", ERR_INVALID_ARGUMENT },
		{ "fast=dir:/nowhere/at/all", ERR_FAILED_PRECONDITION },
		{ "fast=dir:/etc/passwd", ERR_FAILED_PRECONDITION },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pool *opened = NULL;
		struct err err = ERR_INIT;

		print_message("%s\n", rows[i].text);
		assert_int_equal(pool_open(rows[i].text, &opened, &err), -1);
		assert_int_equal(err.code, rows[i].code);
		assert_null(opened);
	}
}

static void test_one_process_serves_a_pool(void **state)
{
	cleanup_free char *text = xasprintf("again=dir:%s", dir);
	struct pool *second = NULL;
	struct err err;

	(void)state;
	assert_int_equal(pool_open(text, &second, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "served by another process"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_create_is_sparse_blank_and_repeatable),
		CASE(test_one_byte_is_not_blank),
		CASE(test_create_never_touches_data),
		CASE(test_sync_flag),
		CASE(test_volatile_has_no_sync_flag),
		CASE(test_attach_finds_loss),
		CASE(test_what_volumes_have_allocated),
		CASE(test_create_leaves_room_to_promises),
		CASE(test_size_beyond_the_file_system),
		CASE(test_grow),
		CASE(test_device_paths),
		CASE(test_symlink_is_not_followed),
		CASE(test_list),
		cmocka_unit_test(test_open_refusals),
		CASE(test_one_process_serves_a_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
