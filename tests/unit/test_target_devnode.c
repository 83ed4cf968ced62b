/* SPDX-License-Identifier: Apache-2.0 */
/* Device nodes, in a /dev of this process's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "nvme/target/devnode.h"
#include "tests/unit/own_mounts.h"

#define NODE "/dev/node"
#define NUMBER makedev(250, 7)

static int setup(void **state)
{
	(void)state;
	return own_mounts();
}

static int setup_one(void **state)
{
	(void)state;
	return may_mount ? mount("test", "/dev", "tmpfs", 0, NULL) : 0;
}

static int teardown_one(void **state)
{
	(void)state;
	return may_mount ? umount("/dev") : 0;
}

static void assert_ensured(void)
{
	struct stat st;
	struct err err;

	assert_int_equal(devnode_ensure("node", S_IFBLK, NUMBER, &err), 0);
	assert_int_equal(stat(NODE, &st), 0);
	assert_int_equal(st.st_mode & S_IFMT, S_IFBLK);
	assert_int_equal(st.st_rdev, NUMBER);
}

static void test_made_and_kept(void **state)
{
	struct stat before, after;
	struct err err;

	(void)state;
	NEEDS_MOUNT();
	assert_ensured();
	assert_int_equal(stat(NODE, &before), 0);
	assert_int_equal(before.st_mode & 0777, 0600);
	assert_ensured();
	assert_int_equal(stat(NODE, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	for (int i = 0; i < 2; i++)
		assert_int_equal(devnode_remove("node", &err), 0);
	assert_int_equal(access(NODE, F_OK), -1);
}

static void test_others_are_replaced(void **state)
{
	(void)state;
	NEEDS_MOUNT();
	assert_int_equal(mknod(NODE, S_IFBLK | 0600, makedev(250, 8)), 0);
	assert_ensured();
	assert_int_equal(unlink(NODE), 0);
	assert_int_equal(mknod(NODE, S_IFCHR | 0600, NUMBER), 0);
	assert_ensured();
	assert_int_equal(unlink(NODE), 0);
	assert_int_equal(mknod(NODE, S_IFREG | 0600, 0), 0);
	assert_ensured();
}

static void test_links(void **state)
{
	struct stat st;

	(void)state;
	NEEDS_MOUNT();
	/* One that leads nowhere, or to another device. */
	assert_int_equal(symlink("dm-7", NODE), 0);
	assert_ensured();
	assert_int_equal(unlink(NODE), 0);
	assert_int_equal(mknod("/dev/dm-8", S_IFBLK | 0600, makedev(250, 8)), 0);
	assert_int_equal(symlink("dm-8", NODE), 0);
	assert_ensured();
	assert_int_equal(lstat(NODE, &st), 0);
	assert_true(S_ISBLK(st.st_mode));
	assert_int_equal(unlink(NODE), 0);
	/* udev's, to the right one, stays. */
	assert_int_equal(mknod("/dev/dm-7", S_IFBLK | 0600, NUMBER), 0);
	assert_int_equal(symlink("dm-7", NODE), 0);
	assert_ensured();
	assert_int_equal(lstat(NODE, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

/* There is no such device. */
static void test_open(void **state)
{
	struct err err;
	int fd = -1;

	(void)state;
	NEEDS_MOUNT();
	assert_int_equal(devnode_open("node", S_IFBLK, NUMBER, O_RDONLY, &fd, &err), -1);
	assert_int_equal(err.sys, ENXIO);
	assert_int_equal(devnode_open("null", S_IFCHR, makedev(1, 3), O_RDONLY, &fd, &err), 0);
	assert_int_equal(close(fd), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup_one, teardown_one)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_made_and_kept),
		CASE(test_others_are_replaced),
		CASE(test_links),
		CASE(test_open),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
