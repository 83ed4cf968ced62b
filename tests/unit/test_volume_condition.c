/* SPDX-License-Identifier: Apache-2.0 */
/* What is made of a made-up sysfs and of mount table entries; asking a file system that is well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csi/volume/btrfs.h"
#include "csi/volume/condition.h"
#include "nvme/base/file.h"
#include "nvme/base/proc.h"

static char dir[] = "/tmp/test_volume_condition.XXXXXX";
static struct root sysfs = { .fd = -1 };

static int setup(void **state)
{
	struct err err;

	(void)state;
	strcpy(strrchr(dir, '.'), ".XXXXXX");
	return mkdtemp(dir) ? root_open(&sysfs, dir, &err) : -1;
}

static int teardown(void **state)
{
	cleanup_free struct proc_result *result = xcalloc(1, sizeof(*result));
	struct err err;

	(void)state;
	root_close(&sysfs);
	return proc_run((const char *const[]) { "rm", "-r", dir, NULL }, deadline_after_ms(10000),
			result, &err) < 0 ?
		       -1 :
		       result->exit_code;
}

/* An attribute with its directories. */
static void put(const char *path, const char *text)
{
	cleanup_free char *full = xasprintf("%s/%s", dir, path);
	cleanup_free char *parent = xstrdup(full);
	cleanup_close int fd = -1;
	struct err err;

	*strrchr(parent, '/') = '\0';
	assert_int_equal(file_mkdirs(parent, &err), 0);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static struct mount_entry mount_of(const char *fs_type)
{
	return (struct mount_entry) { .target = (char *)"/the/mount",
				      .fs_type = (char *)fs_type,
				      .source = (char *)"/dev/nvme0n1",
				      .fs_root = (char *)"/" };
}

static void read_it(const struct mount_entry *entry, struct condition *ret)
{
	struct err err = ERR_INIT;

	if (condition_read(&sysfs, entry, "nvme0n1", ret, &err) < 0)
		fail_msg("%s", err.msg);
}

static void expect_well(const struct mount_entry *entry)
{
	struct condition condition;

	read_it(entry, &condition);
	assert_string_equal(condition.message, "");
	assert_false(condition.abnormal);
}

static void expect_abnormal(const struct mount_entry *entry, const char *word)
{
	struct condition condition;

	read_it(entry, &condition);
	assert_true(condition.abnormal);
	if (!strstr(condition.message, word))
		fail_msg("'%s' is missing in '%s'", word, condition.message);
}

static void expect_reason(const struct mount_entry *entry, const char *reason, bool inaccessible)
{
	struct condition condition;

	read_it(entry, &condition);
	assert_string_equal(condition.reason, reason);
	assert_int_equal(condition.inaccessible, inaccessible);
}

static void put_device(void)
{
	put("class/block/nvme0n1/dev", "259:0\n");
}

static void test_device_is_gone(void **state)
{
	struct mount_entry entry = mount_of("xfs");

	(void)state;
	entry.sb_readonly = true;
	expect_abnormal(&entry, "device nvme0n1 of the xfs at /the/mount is gone");
	expect_reason(&entry, "DeviceGone", true);
}

static void test_superblock(void **state)
{
	struct mount_entry entry = mount_of("ext4");

	(void)state;
	put_device();
	expect_well(&entry);
	entry.sb_readonly = true;
	expect_abnormal(&entry, "the ext4 at /the/mount went read-only");
	expect_reason(&entry, "FileSystemReadOnly", false);
	entry.readonly = true;
	expect_well(&entry);
	entry.sb_stopped = true;
	expect_abnormal(&entry, "stopped");
	expect_reason(&entry, "FileSystemStopped", true);
}

static void test_ext4_errors(void **state)
{
	struct mount_entry entry = mount_of("ext4");

	(void)state;
	put_device();
	put("fs/ext4/nvme0n1/errors_count", "0\n");
	put("fs/ext4/nvme1n1/errors_count", "5\n");
	expect_well(&entry);
	put("fs/ext4/nvme0n1/errors_count", "3\n");
	expect_abnormal(&entry, "recorded 3 errors;");
	expect_reason(&entry, "FileSystemErrors", false);
	put("fs/ext4/nvme0n1/first_error_func", "ext4_lookup\n");
	put("fs/ext4/nvme0n1/first_error_line", "1785\n");
	put("fs/ext4/nvme0n1/last_error_func", "ext4_iget\n");
	put("fs/ext4/nvme0n1/last_error_line", "9\n");
	expect_abnormal(&entry,
			"3 errors, the first in ext4_lookup:1785, the last in ext4_iget:9;");
}

#define NO_ERRORS "write_errs 0\nread_errs 0\nflush_errs 0\ncorruption_errs 0\ngeneration_errs 0\n"

static void test_btrfs_errors(void **state)
{
	struct mount_entry entry = mount_of("btrfs");

	(void)state;
	put_device();
	put("fs/btrfs/features/x", "");
	expect_well(&entry);
	put("fs/btrfs/aaaa/devices/nvme1n1", "");
	put("fs/btrfs/aaaa/devinfo/1/error_stats", "write_errs 7\n");
	put("fs/btrfs/bbbb/devices/nvme0n1", "");
	put("fs/btrfs/bbbb/devinfo/1/error_stats", NO_ERRORS);
	expect_well(&entry);
	put("fs/btrfs/bbbb/devinfo/1/error_stats",
	    "write_errs 2\nread_errs 0\nflush_errs 0\ncorruption_errs 11\ngeneration_errs 0\n");
	expect_abnormal(&entry, ": write_errs 2, corruption_errs 11 (");
}

static void test_btrfs_holder(void **state)
{
	char holder[NAME_MAX] = "untouched";
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(btrfs_find_holder(&sysfs, "nvme0n1", holder, &err), 0);
	put("fs/btrfs/aaaa/devices/nvme0n10", "");
	assert_int_equal(btrfs_find_holder(&sysfs, "nvme0n1", holder, &err), 0);
	assert_string_equal(holder, "untouched");
	assert_int_equal(btrfs_find_holder(&sysfs, "nvme0n10", holder, &err), 1);
	assert_string_equal(holder, "fs/btrfs/aaaa");
}

static void test_source_that_is_no_device(void **state)
{
	dev_t device = 5;

	(void)state;
	assert_false(btrfs_device_of("/dev/nvme999n1", &device));
	assert_false(btrfs_device_of("/dev/null", &device));
	assert_false(btrfs_device_of("none", &device));
	assert_int_equal(device, 5);
}

static void test_probe(void **state)
{
	struct condition condition;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(condition_probe(dir, &condition, &err), 0);
	assert_false(condition.abnormal);
	assert_int_equal(condition_probe("/no/such/mount", &condition, &err), -1);
	assert_non_null(strstr(err.msg, "/no/such/mount"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_device_is_gone), TEST(test_superblock),
		TEST(test_ext4_errors),	   TEST(test_btrfs_errors),
		TEST(test_btrfs_holder),   TEST(test_source_that_is_no_device),
		TEST(test_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
