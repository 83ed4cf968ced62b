/* SPDX-License-Identifier: Apache-2.0 */
/* Usage of a tmpfs that is filled up, and of nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>

#include "csi/volume/usage.h"
#include "nvme/base/cleanup.h"
#include "tests/unit/own_mounts.h"

static char dir[] = "/tmp/test_volume_usage.XXXXXX";

static int setup(void **state)
{
	(void)state;
	return own_tmpfs(dir, "size=1m,nr_inodes=10");
}

static int teardown(void **state)
{
	(void)state;
	return own_tmpfs_remove(dir);
}

static void test_filled(void **state)
{
	cleanup_free char *path = xasprintf("%s/file", dir);
	cleanup_close int fd = -1;
	struct err err = ERR_INIT;
	struct usage usage;

	(void)state;
	NEEDS_MOUNT();
	assert_int_equal(usage_read(dir, &usage, &err), 0);
	assert_int_equal(usage.total_bytes, 1 << 20);
	assert_int_equal(usage.used_bytes, 0);
	assert_int_equal(usage.available_bytes, 1 << 20);
	assert_int_equal(usage.total_inodes, 10);
	assert_int_equal(usage.used_inodes, 1);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0, 1 << 20), 0);
	assert_int_equal(usage_read(dir, &usage, &err), 0);
	assert_int_equal(usage.used_bytes, 1 << 20);
	assert_int_equal(usage.available_bytes, 0);
	assert_int_equal(usage.available_inodes, 8);
}

static void test_nothing_there(void **state)
{
	struct usage usage = { .total_bytes = 7 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(usage_read("/no/such/mount", &usage, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "/no/such/mount"));
	assert_int_equal(usage.total_bytes, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filled),
		cmocka_unit_test(test_nothing_there),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
