/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file system of records: that all of its storage is taken, and when it is checked and mounted
 * anew, by made-up programs. With the real ones, on thin storage: tests/vm/cases/full.sh.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/file.h"
#include "nvme/target/records_fs.h"
#include "tests/unit/own_mounts.h"

static char dir[] = "/tmp/test_target_records_fs.XXXXXX", image[64], at[64];
static struct root root = { .fd = -1 };

static void put_program(const char *name, int status)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);
	cleanup_free char *text = xasprintf("#!/bin/sh\n"
					    "echo \"$(basename $0) $*\" >>%s/log\n"
					    "echo 'what it says'\n"
					    "exit %d\n",
					    dir, status);
	struct err err;

	assert_int_equal(file_replace(&root, name, text, &err), 0);
	assert_int_equal(chmod(path, 0700), 0);
}

static void assert_ran(const char *expected)
{
	cleanup_free char *log = NULL;
	struct err err;

	if (file_read(&root, "log", &log, &err) == 0)
		log = xstrdup("");
	assert_string_equal(log, expected);
	assert_int_equal(root_unlink(&root, &err, "log"), 0);
}

static int setup(void **state)
{
	cleanup_free char *path = NULL;
	struct err err;

	(void)state;
	if (!mkdtemp(dir) || root_open(&root, dir, &err) < 0)
		return -1;
	path = xasprintf("%s:/usr/bin:/bin", dir);
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(at, sizeof(at), "%s/at", dir);
	if (setenv("PATH", path, 1) < 0 || mkdir(at, 0700) < 0)
		return -1;
	return own_mounts();
}

static int teardown(void **state)
{
	cleanup_root_names struct root_names names = { 0 };
	struct err err;

	(void)state;
	if (rmdir(at) < 0 || root_list(&root, &names, &err, ".") < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		if (root_unlink(&root, &err, "%s", names.names[i]) < 0)
			return -1;
	root_close(&root);
	return rmdir(dir);
}

static void make_image(off_t size)
{
	cleanup_close int fd = open(image, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(ftruncate(fd, size), 0);
}

static void test_make(void **state)
{
	cleanup_free char *ran = xasprintf("mkfs.ext4 -q -F -m 0 -J size=8 -N 65536 -E nodiscard,"
					   "lazy_itable_init=1,lazy_journal_init=1 %s\n",
					   image);
	off_t size = (3 << 20) + 4096;
	struct stat st;
	struct err err;

	(void)state;
	put_program("mkfs.ext4", 0);
	make_image(size);
	assert_int_equal(records_fs_make(image, (uint64_t)size, &err), 0);
	assert_ran(ran);
	assert_int_equal(stat(image, &st), 0);
	assert_int_equal(st.st_size, size);
	assert_true(st.st_blocks * 512 >= size);
}

/* A file system whose storage is not all there is not made. */
static void test_make_failures(void **state)
{
	struct err err;

	(void)state;
	put_program("mkfs.ext4", 1);
	assert_int_equal(records_fs_make("/dev/full", 4096, &err), -1);
	assert_int_equal(err.sys, ENOSPC);
	assert_int_equal(records_fs_make("/nowhere", 4096, &err), -1);
	assert_int_equal(err.sys, ENOENT);
	assert_ran("");
	make_image(4096);
	assert_int_equal(records_fs_make(image, 4096, &err), -1);
	assert_non_null(strstr(err.msg, "mkfs.ext4 /tmp/"));
	assert_non_null(strstr(err.msg, "failed with status 1: what it says"));
	root_unlink(&root, &err, "log");
}

/* One that is mounted and can be written is left alone, one that cannot is not. */
static void test_mounted_already(void **state)
{
	cleanup_root struct root records = ROOT_INIT;
	struct stat mounted, below;
	struct err err;

	(void)state;
	NEEDS_MOUNT();
	put_program("e2fsck", 4);
	make_image(4096);
	assert_int_equal(stat(at, &below), 0);
	assert_int_equal(mount("test", at, "tmpfs", 0, NULL), 0);
	assert_int_equal(stat(at, &mounted), 0);
	assert_int_equal(records_fs_mount(image, mounted.st_dev, at, &err), 0);
	assert_int_equal(root_open(&records, at, &err), 0);
	assert_false(records_fs_is_broken(&records));
	assert_ran("");

	assert_int_equal(mount("test", at, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_true(records_fs_is_broken(&records));
	assert_int_equal(records_fs_mount(image, mounted.st_dev, at, &err), -1);
	assert_int_equal(err.sys, EBUSY);
	root_close(&records);
	assert_int_equal(records_fs_mount(image, mounted.st_dev, at, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "failed with status 4: what it says"));
	assert_int_equal(stat(at, &mounted), 0);
	assert_int_equal(mounted.st_dev, below.st_dev);
	root_unlink(&root, &err, "log");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_make_failures),
		cmocka_unit_test(test_mounted_already),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
