/* SPDX-License-Identifier: Apache-2.0 */
/* Usage of a tmpfs that is filled up, and of nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "csi/volume/usage.h"
#include "nvme/base/cleanup.h"

static char dir[] = "/tmp/test_volume_usage.XXXXXX";
static bool may_mount;

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	if (unshare(CLONE_NEWNS) < 0)
		return errno == EPERM ? 0 : -1;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("test", dir, "tmpfs", 0, "size=1m,nr_inodes=10") < 0)
		return -1;
	may_mount = true;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (may_mount && umount2(dir, MNT_DETACH) < 0)
		return -1;
	return rmdir(dir);
}

static void test_filled(void **state)
{
	cleanup_free char *path = xasprintf("%s/file", dir);
	cleanup_close int fd = -1;
	struct err err = ERR_INIT;
	struct usage usage;

	(void)state;
	if (!may_mount)
		skip();
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
