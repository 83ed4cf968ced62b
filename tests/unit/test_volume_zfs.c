/* SPDX-License-Identifier: Apache-2.0 */
/* Marks of ZFS: wherever libblkid could find one it is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csi/volume/probe.h"
#include "csi/volume/zfs.h"
#include "nvme/base/cleanup.h"

#define KIB UINT64_C(1024)
#define SIZE (64 * 1024 * KIB + 100 * KIB) /* labels end at a multiple of 256 KiB */
#define END (64 * 1024 * KIB)

static const uint64_t labels[] = { 0, 256 * KIB, END - 512 * KIB, END - 256 * KIB };

static char path[] = "/var/tmp/test_volume_zfs.XXXXXX";
static int fd = -1;

static int setup(void **state)
{
	(void)state;
	strcpy(strrchr(path, '.') + 1, "XXXXXX");
	fd = mkstemp(path);
	return fd < 0 || ftruncate(fd, (off_t)SIZE) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	close(fd);
	return unlink(path);
}

static void put(uint64_t offset, const char *bytes, size_t size)
{
	assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), size);
}

static int suspected(void)
{
	struct err err = ERR_INIT;

	return zfs_is_suspected(fd, path, SIZE, &err);
}

static void test_uberblocks(void **state)
{
	static const char little[8] = "\x0c\xb1\xba\0\0\0\0\0", big[8] = "\0\0\0\0\0\xba\xb1\x0c";

	(void)state;
	assert_int_equal(suspected(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		for (uint64_t block = 0; block < 128; block += 127) {
			uint64_t at = labels[i] + (128 + block) * KIB;

			put(at, block ? big : little, 8);
			assert_int_equal(suspected(), 1);
			put(at, "\0\0\0\0\0\0\0\0", 8);
			assert_int_equal(suspected(), 0);
		}
	}
}

static void test_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		put(labels[i] + 16 * KIB, "\1\1\0\0\0\0\0\0\0\0\0\1", 12);
		assert_int_equal(suspected(), 1);
		put(labels[i] + 16 * KIB, "\4\200\0\0\4\200\1\0\4\200\2\0", 12);
		assert_int_equal(suspected(), 0);
	}
}

static void test_small_and_unreadable(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(zfs_is_suspected(fd, path, 1024 * KIB - 1, &err), 1);
	assert_int_equal(ftruncate(fd, (off_t)END), 0);
	assert_int_equal(zfs_is_suspected(fd, path, END + 512 * KIB, &err), -1);
	assert_non_null(strstr(err.msg, path));
}

/* libblkid wants four. */
static void test_member_is_found(void **state)
{
	struct probe_result result;
	struct err err = ERR_INIT;

	(void)state;
	for (uint64_t i = 0; i < 4; i++)
		put(labels[3] + (130 + i) * KIB, "\x0c\xb1\xba\0\0\0\0\0", 8);
	assert_int_equal(probe_device(fd, path, SIZE, &result, &err), 0);
	assert_false(result.empty);
	assert_string_not_equal(result.fs_type, "ext4");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_uberblocks),
		TEST(test_lists),
		TEST(test_small_and_unreadable),
		TEST(test_member_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
