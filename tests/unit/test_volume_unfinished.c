/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unfinished mkfs: the real programs, ended at each of their writes, leave something that is empty,
 * or is known to be unfinished, or is finished. What else may be on a device is none of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "csi/volume/fs.h"
#include "csi/volume/unfinished.h"
#include "nvme/base/cleanup.h"
#include "tests/unit/disk_file.h"

#define STEP 3 /* at every third write: enough to meet each kind of them */

static void probe(struct probe_result *ret)
{
	struct err err = ERR_INIT;

	if (probe_device(disk_fd, "the device", DISK_BYTES, ret, &err) < 0)
		fail_msg("%s", err.msg);
}

static int unfinished(const char *fs_type)
{
	struct err err = ERR_INIT;
	struct probe_result found;
	int rc;

	probe(&found);
	rc = unfinished_mkfs(disk_fd, "the device", fs_type, &found, &err);
	assert_int_not_equal(rc, -1);
	return rc;
}

static void put(off_t offset, const char *text)
{
	assert_int_equal(pwrite(disk_fd, text, strlen(text), offset), strlen(text));
}

static void make(const char *fs_type)
{
	struct err err = ERR_INIT;

	if (fs_make(fs_find(fs_type), disk, NULL, true, deadline_none(), &err) < 0)
		fail_msg("%s", err.msg);
}

static void test_finished(void **state)
{
	static const char *const types[] = { "ext4", "xfs", "btrfs" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(types); k++)
			assert_int_equal(unfinished(types[k]), 0);
		make(types[i]);
		assert_int_equal(ftruncate(disk_fd, (off_t)DISK_BYTES), 0);
	}
	for (size_t k = 0; k < ARRAY_SIZE(types); k++)
		assert_int_equal(unfinished(types[k]), 0);
}

static void test_other_data(void **state)
{
	(void)state;
	put(100, "data");
	assert_int_equal(unfinished("ext4"), 0);
	assert_int_equal(unfinished("xfs"), 0);
	assert_int_equal(unfinished("btrfs"), 0);
	put(100, "\001\001\001\001");
	put(65600, "!BHRfS_M");
	assert_int_equal(unfinished("btrfs"), 0);
}

/* The program of that name is, from now on, strace that runs it and ends it at a call. */
static void wrap(const char *dir, const char *fs_type)
{
	cleanup_free char *script = xasprintf("%s/mkfs.%s", dir, fs_type);
	FILE *f = fopen(script, "we");

	assert_non_null(f);
	fprintf(f,
		"#!/bin/sh\nPATH=$REAL_PATH exec strace -f -qq -o /dev/null -e inject=\"$INJECT\" "
		"mkfs.%s \"$@\"\n",
		fs_type);
	assert_int_equal(fchmod(fileno(f), 0700), 0);
	assert_int_equal(fclose(f), 0);
}

static void unwrap(const char *dir, const char *fs_type)
{
	cleanup_free char *script = xasprintf("%s/mkfs.%s", dir, fs_type);

	assert_int_equal(unlink(script), 0);
	assert_int_equal(rmdir(dir), 0);
	setenv("PATH", getenv("REAL_PATH"), 1);
}

/* Our mkfs of the type, ended at its nth write; false: there are not so many. */
static bool make_until(const char *fs_type, int nth)
{
	cleanup_free char *inject = xasprintf("pwrite64:signal=KILL:when=%d", nth);
	struct err err = ERR_INIT;

	setenv("INJECT", inject, 1);
	if (fs_make(fs_find(fs_type), disk, NULL, true, deadline_none(), &err) == 0)
		return false;
	if (!strstr(err.msg, "signal 9"))
		fail_msg("%s", err.msg);
	return true;
}

/* Whatever was left can be written over by the same program, or is whole. */
static void cut_everywhere(const char *fs_type)
{
	char dir[] = "/tmp/test_volume_unfinished.d.XXXXXX";
	cleanup_free char *search = NULL;
	int cut = 0, empty = 0;

	assert_non_null(mkdtemp(dir));
	setenv("REAL_PATH", getenv("PATH"), 1);
	search = xasprintf("%s:%s", dir, getenv("PATH"));
	setenv("PATH", search, 1);
	wrap(dir, fs_type);
	for (int nth = 1; make_until(fs_type, nth); nth += STEP) {
		struct probe_result found;

		probe(&found);
		if (found.empty)
			empty++;
		else if (unfinished(fs_type))
			cut++;
		else if (strcmp(found.fs_type, fs_type) != 0)
			fail_msg("mkfs.%s cut at write %d leaves %s", fs_type, nth, found.type);
		assert_int_equal(ftruncate(disk_fd, 0), 0);
		assert_int_equal(ftruncate(disk_fd, (off_t)DISK_BYTES), 0);
	}
	print_message("mkfs.%s: cut short %d times, %d of them seen, %d before a byte\n", fs_type,
		      cut + empty, cut, empty);
	unwrap(dir, fs_type);
	assert_true(cut > 0);
	assert_int_equal(unfinished(fs_type), 0);
}

static void test_ext4(void **state)
{
	(void)state;
	cut_everywhere("ext4");
}

static void test_xfs(void **state)
{
	(void)state;
	cut_everywhere("xfs");
}

static void test_btrfs(void **state)
{
	(void)state;
	cut_everywhere("btrfs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_DISK(test_finished), ON_DISK(test_other_data), ON_DISK(test_ext4),
		ON_DISK(test_xfs),	ON_DISK(test_btrfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
