/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks and repairs: with real programs on sparse files, and with made-up ones that end with each
 * status there is.
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

#include "csi/volume/check.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/strb.h"
#include "tests/unit/disk_file.h"

static char dir[] = "/tmp/test_volume_check.XXXXXX";
static char program[64], runs[64];
static const char *real_path;

static int setup_group(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(runs, sizeof(runs), "%s/runs", dir);
	real_path = getenv("PATH");
	return 0;
}

static int teardown_group(void **state)
{
	(void)state;
	return rmdir(dir);
}

static int setup(void **state)
{
	return disk_setup(state) < 0 ? -1 : ftruncate(disk_fd, 64 << 20);
}

static int teardown(void **state)
{
	if (program[0])
		unlink(program);
	program[0] = '\0';
	unlink(runs);
	return setenv("PATH", real_path, 1) < 0 ? -1 : disk_teardown(state);
}

static void make_ext4(void)
{
	RUN("mkfs.ext4", "-q", disk);
}

static void debugfs(const char *command)
{
	RUN("debugfs", "-w", "-R", command, disk);
}

/* A script in place of a program, which notes its arguments. */
static void fake(const char *name, const char *body)
{
	cleanup_free char *path = xasprintf("%s:%s", dir, real_path);
	FILE *f;

	snprintf(program, sizeof(program), "%s/%s", dir, name);
	f = fopen(program, "we");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\necho \"$*\" >>%s\n%s\n", runs, body);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(program, 0755), 0);
	assert_int_equal(setenv("PATH", path, 1), 0);
}

/* What ran with the device as its last argument: the words before it; NULL: nothing (more). */
static void expect_runs(const char *first, const char *second)
{
	char text[512] = "", want[512];
	struct strb out = strb_over(want, sizeof(want));
	int fd = open(runs, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		assert_true(read(fd, text, sizeof(text) - 1) >= 0);
		close(fd);
	}
	if (first)
		strb_addf(&out, "%s%s\n", first, disk);
	if (second)
		strb_addf(&out, "%s%s\n", second, disk);
	assert_string_equal(text, want);
}

static int check(const char *fs, bool repair, struct err *err)
{
	*err = ERR_INIT;
	return check_before_mount(fs_find(fs), disk, repair, deadline_after_ms(60000), err);
}

static void must_check(const char *fs, bool repair)
{
	struct err err;

	if (check(fs, repair, &err) < 0)
		fail_msg("%s", err.msg);
}

static void expect_error(const struct err *err, enum err_code code, const char *word)
{
	assert_string_equal(err_code_name(err->code), err_code_name(code));
	if (!strstr(err->msg, word))
		fail_msg("'%s' is missing in '%s'", word, err->msg);
}

static void test_clean_runs_nothing(void **state)
{
	(void)state;
	make_ext4();
	fake("e2fsck", "exit 4");
	must_check("ext4", false);
	must_check("ext4", true);
	must_check("xfs", true);
	must_check("btrfs", true);
	expect_runs(NULL, NULL);
}

/* Orphans in a file of their own, which the installed e2fsprogs may not know. */
static void mark_orphan_present(void)
{
	int fd = open(disk, O_RDWR | O_CLOEXEC);
	unsigned char byte;

	assert_int_equal(pread(fd, &byte, 1, 1024 + 0x66), 1);
	byte |= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 1024 + 0x66), 1);
	close(fd);
}

/* Each mark of an unclean superblock, one at a time. */
static void test_each_mark_is_checked(void **state)
{
	static const char *const marks[] = { "set_super_value state 0", "set_super_value state 3",
					     "feature needs_recovery",
					     "set_super_value last_orphan 12" };

	(void)state;
	for (size_t i = 0; i <= ARRAY_SIZE(marks); i++) {
		make_ext4();
		if (i < ARRAY_SIZE(marks))
			debugfs(marks[i]);
		else
			mark_orphan_present();
		fake("e2fsck", "exit 0");
		must_check("ext4", false);
		expect_runs("-p ", NULL);
		assert_int_equal(unlink(runs), 0);
		assert_int_equal(unlink(program), 0);
	}
}

static void test_each_status(void **state)
{
	static const struct {
		int status;
		enum err_code code; /* ERR_NONE: fine */
		const char *word;
	} rows[] = {
		{ 0, ERR_NONE, "" },
		{ 1, ERR_NONE, "" },
		{ 2, ERR_NONE, "" },
		{ 3, ERR_NONE, "" },
		{ 4, ERR_FAILED_PRECONDITION, "fsRepair" },
		{ 5, ERR_FAILED_PRECONDITION, "fsRepair" },
		{ 8, ERR_FAILED_PRECONDITION, "cannot work on the device" },
		{ 12, ERR_FAILED_PRECONDITION, "cannot work on the device" },
		{ 16, ERR_INTERNAL, "does not fit" },
		{ 32, ERR_INTERNAL, "cancelled" },
		{ 128, ERR_INTERNAL, "does not fit" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_free char *body = xasprintf("echo one; echo two; exit %d", rows[i].status);
		struct err err;

		fake("e2fsck", body);
		assert_int_equal(check("ext4", false, &err), rows[i].code ? -1 : 0);
		if (!rows[i].code)
			continue;
		expect_error(&err, rows[i].code, rows[i].word);
		expect_error(&err, rows[i].code, "one two");
		expect_error(&err, rows[i].code, disk);
	}
}

static void test_repair_only_after_it_gave_up(void **state)
{
	struct err err;

	(void)state;
	fake("e2fsck", "[ \"$1\" = -p ] && exit 4; exit 1");
	must_check("ext4", true);
	expect_runs("-p ", "-fy ");
	assert_int_equal(unlink(runs), 0);
	fake("e2fsck", "exit 8");
	assert_int_equal(check("ext4", true, &err), -1);
	expect_runs("-p ", NULL);
}

static void test_repair_that_fails(void **state)
{
	struct err err;

	(void)state;
	fake("e2fsck", "echo still broken; exit 4");
	assert_int_equal(check("ext4", true, &err), -1);
	expect_error(&err, ERR_FAILED_PRECONDITION, "e2fsck -fy");
	expect_error(&err, ERR_FAILED_PRECONDITION, "still broken");
	if (strstr(err.msg, "fsRepair"))
		fail_msg("it is asked for already: %s", err.msg);
}

static void test_long_output_keeps_its_end(void **state)
{
	struct err err;

	(void)state;
	fake("e2fsck", "seq 1 2000; echo THE END; exit 4");
	assert_int_equal(check("ext4", false, &err), -1);
	expect_error(&err, ERR_FAILED_PRECONDITION, "THE END");
	expect_error(&err, ERR_FAILED_PRECONDITION, "fsRepair");
}

static void test_signal_and_absence(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	fake("e2fsck", "kill -9 $$");
	assert_int_equal(check("ext4", true, &err), -1);
	expect_error(&err, ERR_INTERNAL, "signal 9");
	assert_int_equal(unlink(program), 0);
	assert_int_equal(setenv("PATH", dir, 1), 0);
	assert_int_equal(check("ext4", true, &err), -1);
	expect_error(&err, ERR_FAILED_PRECONDITION, "e2fsck");
}

/* A check is not begun without time left; what has begun is not ended by the time of the call. */
static void test_check_and_deadline(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	fake("e2fsck", "[ \"$1\" = -p ] && sleep 0.3 && exit 4; exit 1");
	assert_int_equal(
		check_before_mount(fs_find("ext4"), disk, true, deadline_after_ms(0), &err), -1);
	expect_error(&err, ERR_DEADLINE_EXCEEDED, "not begun");
	expect_runs(NULL, NULL);
	err = ERR_INIT;
	if (check_before_mount(fs_find("ext4"), disk, true, deadline_after_ms(100), &err) < 0)
		fail_msg("%s", err.msg);
	expect_runs("-p ", "-fy ");
}

/* What a preen corrects, what it leaves, and that the repair leaves nothing. */
static void test_real_damage(void **state)
{
	struct err err;

	(void)state;
	make_ext4();
	debugfs("set_super_value state 2");
	debugfs("set_super_value free_blocks_count 7");
	must_check("ext4", false);
	RUN("e2fsck", "-fn", disk);
	debugfs("clri <2>");
	debugfs("set_super_value state 2");
	assert_int_equal(check("ext4", false, &err), -1);
	print_message("# %s\n", err.msg);
	expect_error(&err, ERR_FAILED_PRECONDITION, "fsRepair");
	must_check("ext4", true);
	RUN("e2fsck", "-fn", disk);
}

/* As mount_device raises it. */
static void corrupt(struct err *err, int sys)
{
	*err = ERR_INIT;
	err_sys(err, sys, "mount %s", disk);
	err_recode(err, ERR_DATA_LOSS);
}

static int after(const char *fs, int sys, bool repair, struct err *err)
{
	corrupt(err, sys);
	return check_after_refusal(fs_find(fs), disk, repair, deadline_after_ms(60000), err);
}

/* mountinfo that cannot be read has an errno that file systems use for bad checksums. */
static void test_refusal_that_is_no_corruption(void **state)
{
	static const int other[] = { EBUSY, EBADMSG, EUCLEAN };

	(void)state;
	fake("xfs_repair", "exit 0");
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		struct err err = ERR_INIT;

		err_sys(&err, other[i], "read /proc/self/mountinfo");
		assert_int_equal(check_after_refusal(fs_find("xfs"), disk, true,
						     deadline_after_ms(60000), &err),
				 -1);
		expect_error(&err, ERR_INTERNAL, "mountinfo");
	}
	expect_runs(NULL, NULL);
}

static void test_refusal_without_repair(void **state)
{
	struct err err;

	(void)state;
	fake("xfs_repair", "exit 0");
	assert_int_equal(after("xfs", EUCLEAN, false, &err), -1);
	expect_error(&err, ERR_FAILED_PRECONDITION, "fsRepair");
	assert_int_equal(after("ext4", EBADMSG, false, &err), -1);
	expect_error(&err, ERR_FAILED_PRECONDITION, "fsRepair");
	assert_int_equal(after("btrfs", EUCLEAN, true, &err), -1);
	expect_error(&err, ERR_FAILED_PRECONDITION, "not repaired");
	expect_runs(NULL, NULL);
}

static void test_refusal_repaired(void **state)
{
	struct err err;

	(void)state;
	fake("xfs_repair", "exit 0");
	assert_int_equal(after("xfs", EBADMSG, true, &err), 0);
	assert_int_equal(err.code, ERR_NONE);
	expect_runs("", NULL);
	assert_int_equal(unlink(program), 0);
	assert_int_equal(unlink(runs), 0);
	fake("e2fsck", "exit 1");
	assert_int_equal(after("ext4", EUCLEAN, true, &err), 0);
	expect_runs("-fy ", NULL);
}

static void test_xfs_repair_that_fails(void **state)
{
	struct err err;

	(void)state;
	fake("xfs_repair", "exit 2");
	assert_int_equal(after("xfs", EUCLEAN, true, &err), -1);
	expect_error(&err, ERR_FAILED_PRECONDITION, "log holds changes");
	fake("xfs_repair", "echo no superblock >&2; exit 1");
	assert_int_equal(after("xfs", EUCLEAN, true, &err), -1);
	expect_error(&err, ERR_FAILED_PRECONDITION, "no superblock");
}

/* The kernel refused what its superblock calls clean: a descriptor and inodes are bad. */
static void make_clean_but_broken(void)
{
	make_ext4();
	debugfs("clri <2>");
	debugfs("set_bg 0 checksum 0x1234");
}

/* Whatever ends a repair, the next check does not take the file system for clean. */
static void test_repair_killed(void **state)
{
	struct err err;

	(void)state;
	make_clean_but_broken();
	fake("e2fsck", "kill -9 $$");
	assert_int_equal(after("ext4", EBADMSG, true, &err), -1);
	expect_error(&err, ERR_INTERNAL, "signal 9");
	assert_int_equal(unlink(program), 0);
	assert_int_equal(check("ext4", false, &err), -1);
	expect_error(&err, ERR_FAILED_PRECONDITION, "fsRepair");
	must_check("ext4", true);
	RUN("e2fsck", "-fn", disk);
}

/* Nothing is repaired that cannot be marked, but for a superblock that nobody can read. */
static void test_repair_of_what_cannot_be_marked(void **state)
{
	struct err err;

	(void)state;
	make_ext4();
	debugfs("clri <11>");
	fake("tune2fs", "[ \"$1\" = -l ] || { echo no write >&2; exit 1; }");
	assert_int_equal(after("ext4", EBADMSG, true, &err), -1);
	expect_error(&err, ERR_FAILED_PRECONDITION, "no write");
	fake("tune2fs", "kill -9 $$");
	assert_int_equal(after("ext4", EBADMSG, true, &err), -1);
	expect_error(&err, ERR_INTERNAL, "signal 9");
	RUN_FOR(4, "e2fsck", "-fn", disk);
	fake("tune2fs", "exit 1");
	assert_int_equal(after("ext4", EBADMSG, true, &err), 0);
	RUN("e2fsck", "-fn", disk);
}

/* A repair is not begun without time left, and not ended by the time. */
static void test_repair_and_deadline(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	fake("xfs_repair", "sleep 0.3; echo done >>$0.done");
	corrupt(&err, EUCLEAN);
	assert_int_equal(
		check_after_refusal(fs_find("xfs"), disk, true, deadline_after_ms(0), &err), -1);
	expect_error(&err, ERR_DEADLINE_EXCEEDED, "not begun");
	expect_runs(NULL, NULL);
	corrupt(&err, EUCLEAN);
	assert_int_equal(
		check_after_refusal(fs_find("xfs"), disk, true, deadline_after_ms(100), &err), 0);
	snprintf(program + strlen(program), 6, ".done");
	assert_int_equal(unlink(program), 0);
	*strrchr(program, '.') = '\0';
}

#define DISK_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DISK_TEST(test_clean_runs_nothing),
		DISK_TEST(test_each_mark_is_checked),
		DISK_TEST(test_each_status),
		DISK_TEST(test_repair_only_after_it_gave_up),
		DISK_TEST(test_repair_that_fails),
		DISK_TEST(test_long_output_keeps_its_end),
		DISK_TEST(test_signal_and_absence),
		DISK_TEST(test_check_and_deadline),
		DISK_TEST(test_real_damage),
		DISK_TEST(test_refusal_that_is_no_corruption),
		DISK_TEST(test_refusal_without_repair),
		DISK_TEST(test_refusal_repaired),
		DISK_TEST(test_xfs_repair_that_fails),
		DISK_TEST(test_repair_killed),
		DISK_TEST(test_repair_of_what_cannot_be_marked),
		DISK_TEST(test_repair_and_deadline),
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
