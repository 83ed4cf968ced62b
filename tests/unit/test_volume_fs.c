/* SPDX-License-Identifier: Apache-2.0 */
/* mkfs on sparse files, the check of mkfsOptions, mount options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "csi/volume/fs.h"
#include "csi/volume/probe.h"
#include "nvme/base/cleanup.h"
#include "tests/unit/disk_file.h"

static int make(const char *name, uint64_t size, const char *options, bool overwrite,
		struct err *err)
{
	assert_int_equal(truncate(disk, (off_t)size), 0);
	return fs_make(fs_find(name), disk, options, overwrite, deadline_after_ms(60000), err);
}

static void must_make(const char *name, uint64_t size, const char *options)
{
	struct err err = ERR_INIT;

	if (make(name, size, options, false, &err) < 0)
		fail_msg("%s", err.msg);
}

static void expect_probed(const char *type)
{
	cleanup_close int fd = open(disk, O_RDONLY | O_CLOEXEC);
	struct probe_result result;
	struct err err = ERR_INIT;

	assert_int_equal(probe_device(fd, disk, 0, &result, &err), 0);
	assert_string_equal(result.fs_type, type);
}

static void expect_in_output(const char *const argv[], const char *const words[], bool present)
{
	cleanup_free struct proc_result *result = run_for(0, argv);

	for (size_t i = 0; words[i]; i++)
		if (!strstr(result->out, words[i]) == present)
			fail_msg("'%s' %s the output of %s:\n%s", words[i],
				 present ? "is missing in" : "should not be in", argv[0],
				 result->out);
}

#define WORDS(...) ((const char *const[]) { __VA_ARGS__, NULL })

static void test_table(void **state)
{
	(void)state;
	assert_string_equal(fs_name(fs_find("ext4")), "ext4");
	assert_string_equal(fs_name(fs_find("xfs")), "xfs");
	assert_int_equal(fs_min_bytes(fs_find("xfs")), 300 << 20);
	assert_string_equal(fs_name(fs_find("btrfs")), "btrfs");
	for (const char *const *name = (const char *const[]) { "ext4", "xfs", "btrfs", NULL };
	     *name; name++)
		assert_non_null(strstr(FS_NAMES, *name));
	assert_null(fs_find("ext3"));
	assert_null(fs_find(""));
	assert_null(fs_find(NULL));
}

static void test_ext4(void **state)
{
	const char *const dump[] = { "dumpe2fs", "-h", disk, NULL };

	(void)state;
	must_make("ext4", fs_min_bytes(fs_find("ext4")), NULL);
	expect_probed("ext4");
	expect_in_output(dump,
			 WORDS("has_journal", "metadata_csum", "64bit", "resize_inode",
			       "Block size:               4096", "Inode size:	          256",
			       "Reserved block count:     0"),
			 true);
	expect_in_output(dump, WORDS("orphan_file", "metadata_csum_seed", "quota"), false);
}

static void test_ext4_options_follow_ours(void **state)
{
	(void)state;
	must_make("ext4", 64 << 20, "-b1024  -m 5\t-O ^has_journal,quota -E root_owner=7:7");
	expect_in_output((const char *const[]) { "dumpe2fs", "-h", disk, NULL },
			 WORDS("Block size:               1024", "quota", "metadata_csum"), true);
	expect_in_output((const char *const[]) { "dumpe2fs", "-h", disk, NULL },
			 WORDS("has_journal", "Reserved block count:     0"), false);
}

/* What was allocated stays so, also when mkfsOptions have an option of their own beside ours. */
static void test_ext4_never_discards(void **state)
{
	int fd = open(disk, O_WRONLY | O_CLOEXEC);
	struct stat before, after;

	(void)state;
	assert_int_equal(fallocate(fd, 0, 0, 64 << 20), 0);
	assert_int_equal(fstat(fd, &before), 0);
	must_make("ext4", 64 << 20, "-E stride=16 -Estripe_width=64");
	assert_int_equal(fstat(fd, &after), 0);
	close(fd);
	assert_true(after.st_blocks >= before.st_blocks);
	expect_in_output((const char *const[]) { "dumpe2fs", "-h", disk, NULL },
			 WORDS("RAID stride:              16", "RAID stripe width:        64"),
			 true);
}

static void test_xfs(void **state)
{
	(void)state;
	must_make("xfs", fs_min_bytes(fs_find("xfs")), "");
	expect_probed("xfs");
	expect_in_output((const char *const[]) { "xfs_db", "-r", "-c", "version", disk, NULL },
			 WORDS("V5", "BIGTIME", "INOBTCNT", "REFLINK"), true);
	expect_in_output((const char *const[]) { "xfs_db", "-r", "-c", "version", disk, NULL },
			 WORDS("NREXT64", "RMAPBT"), false);
}

/* mkfs.xfs refuses a key given twice, so ours must give way; the others stay. */
static void test_xfs_options_replace_ours(void **state)
{
	(void)state;
	must_make("xfs", 512 << 20, "-m reflink=0 -i size=1024,nrext64=1");
	expect_in_output((const char *const[]) { "xfs_db", "-r", "-c", "version", disk, NULL },
			 WORDS("BIGTIME", "NREXT64"), true);
	expect_in_output((const char *const[]) { "xfs_db", "-r", "-c", "version", disk, NULL },
			 WORDS("REFLINK"), false);
}

/* A number of the superblock. */
static uint64_t btrfs_super(unsigned offset)
{
	cleanup_close int fd = open(disk, O_RDONLY | O_CLOEXEC);
	uint64_t value;

	assert_int_equal(pread(fd, &value, sizeof(value), 65536 + offset), sizeof(value));
	return le64toh(value);
}

/* Each bit by the kernel's name: what is not here, a program turned on by itself. */
static void test_btrfs(void **state)
{
	const uint64_t mixed_backref = 1, extended_iref = 0x40;
	const uint64_t skinny_metadata = 0x100, no_holes = 0x200;
	const uint64_t free_space_tree = 1, free_space_tree_valid = 2;

	(void)state;
	must_make("btrfs", fs_min_bytes(fs_find("btrfs")), NULL);
	expect_probed("btrfs");
	assert_int_equal(btrfs_super(0xac), 0);
	assert_int_equal(btrfs_super(0xb4), free_space_tree | free_space_tree_valid);
	assert_int_equal(btrfs_super(0xbc),
			 mixed_backref | extended_iref | skinny_metadata | no_holes);
	assert_int_equal((uint32_t)btrfs_super(0x90), 4096);
	assert_int_equal((uint32_t)btrfs_super(0x94), 16384);
}

static void test_btrfs_options_follow_ours(void **state)
{
	(void)state;
	must_make("btrfs", 256 << 20, "-m single -n 4096 -O^no-holes");
	assert_int_equal(btrfs_super(0xbc) & 0x200, 0);
	assert_int_equal((uint32_t)btrfs_super(0x94), 4096);
}

static void overwrites_only_when_told(const char *fs, const char *word)
{
	struct err err = ERR_INIT;

	must_make(fs, 512 << 20, NULL);
	assert_int_equal(make(fs, 512 << 20, NULL, false, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	if (!strstr(err.msg, word))
		fail_msg("'%s' is missing in '%s'", word, err.msg);
	assert_int_equal(make(fs, 512 << 20, NULL, true, &err), 0);
}

static void test_xfs_overwrites_only_when_told(void **state)
{
	(void)state;
	overwrites_only_when_told("xfs", "existing filesystem");
}

static void test_btrfs_overwrites_only_when_told(void **state)
{
	(void)state;
	overwrites_only_when_told("btrfs", "overwrite");
}

/* Nothing may ask: over anything of another kind both answer at once, one way or the other. */
static void test_ext4_over_remains(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	must_make("ext4", 64 << 20, NULL);
	assert_int_equal(make("ext4", 64 << 20, NULL, true, &err), 0);
	expect_probed("ext4");
}

static void test_failure_has_the_reason(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(make("xfs", 32 << 20, NULL, false, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "mkfs.xfs"));
	assert_non_null(strstr(err.msg, disk));
	assert_non_null(strstr(err.msg, "exit status 1"));
	assert_int_equal(make("ext4", 32 << 20, "-O no_such_feature", false, &err), -1);
	assert_non_null(strstr(err.msg, "no_such_feature"));
}

static void test_deadline(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(truncate(disk, 1 << 30), 0);
	assert_int_equal(fs_make(fs_find("ext4"), disk, NULL, false, deadline_after_ms(0), &err),
			 -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
}

static void test_device_is_no_option(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(fs_make(fs_find("ext4"), "-n", NULL, false, deadline_after_ms(1000), &err),
			 -1);
	assert_int_equal(err.code, ERR_INTERNAL);
}

static void test_mkfs_options_accepted(void **state)
{
	static const char *const ext4[] = { "",		 " \t ",
					    "-i 8192",	 "-N 100 -O ^64bit",
					    "-J size=8", "-E stride=16,stripe_width=64" };
	static const char *const xfs[] = { "-d agcount=4", "-d su=64k,sw=4 -l size=64m -n size=8k",
					   "-mreflink=0 -s size=4096 -b size=4096" };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(fs_check_mkfs_options(fs_find("ext4"), NULL, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ext4); i++)
		if (fs_check_mkfs_options(fs_find("ext4"), ext4[i], &err) < 0)
			fail_msg("%s", err.msg);
	for (size_t i = 0; i < ARRAY_SIZE(xfs); i++)
		if (fs_check_mkfs_options(fs_find("xfs"), xfs[i], &err) < 0)
			fail_msg("%s", err.msg);
}

static void expect_refused(const char *fs, const char *options, const char *word)
{
	struct err err = ERR_INIT;

	if (fs_check_mkfs_options(fs_find(fs), options, &err) == 0)
		fail_msg("%s: '%s' was accepted", fs, options);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	if (!strstr(err.msg, word))
		fail_msg("'%s' does not name '%s'", err.msg, word);
}

static void test_mkfs_options_refused(void **state)
{
	char text[2048];

	(void)state;
	expect_refused("ext4", "-F", "-F");
	expect_refused("ext4", "-n", "-n");
	expect_refused("ext4", "-", "'-'");
	expect_refused("ext4", "--", "'--'");
	expect_refused("ext4", "/dev/sda", "/dev/sda");
	expect_refused("ext4", "-m 1 sda", "sda");
	expect_refused("ext4", "-m", "-m");
	expect_refused("ext4", "-m -b 1024", "-m");
	expect_refused("ext4", "-d /etc", "-d");
	expect_refused("ext4", "-J size=4,device=UUID=1", "device");
	expect_refused("ext4", "-E offset=4096", "offset");
	expect_refused("ext4", "-O journal_dev", "journal_dev");
	expect_refused("ext4", "-O ^quota,+journal_dev", "journal_dev");
	expect_refused("ext4", "-O Journal_Dev", "journal_dev");
	expect_refused("ext4", "-E root=/x", "/x");
	expect_refused("ext4", "-E $(reboot)", "$(reboot)");
	expect_refused("btrfs", "-f", "-f");
	expect_refused("btrfs", "-b 1g", "-b");
	expect_refused("btrfs", "-M", "-M");
	expect_refused("xfs", "-f", "-f");
	expect_refused("xfs", "-c options=x", "-c");
	expect_refused("xfs", "-d size=1g,name=sda", "name");
	expect_refused("xfs", "-d file", "file");
	expect_refused("xfs", "-l logdev=sda", "logdev");
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	expect_refused("xfs", text, "1023");
	for (size_t i = 0; i < 33; i++)
		memcpy(text + 5 * i, "-m 1 ", 6);
	expect_refused("ext4", text, "32");
}

static void expect_mount_options(const char *fs, bool reader, const char *extra, const char *want)
{
	char text[128];
	struct strb out = strb_over(text, sizeof(text));

	fs_mount_options(fs_find(fs), reader, extra, &out);
	assert_string_equal(text, want);
}

static void test_mount_options(void **state)
{
	char small[8];
	struct strb out = strb_over(small, sizeof(small));

	(void)state;
	expect_mount_options("ext4", false, NULL, "");
	expect_mount_options("ext4", false, "discard,noatime", "discard,noatime");
	expect_mount_options("ext4", true, "noatime", "ro,noload,noatime");
	expect_mount_options("xfs", false, "", "nouuid");
	expect_mount_options("xfs", true, NULL, "ro,norecovery,nouuid");
	expect_mount_options("btrfs", false, "discard=async", "nodiscard,discard=async");
	expect_mount_options("btrfs", true, NULL, "ro,rescue=nologreplay");
	fs_mount_options(fs_find("xfs"), true, NULL, &out);
	assert_true(out.overflow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		ON_DISK(test_ext4),
		ON_DISK(test_ext4_options_follow_ours),
		ON_DISK(test_ext4_never_discards),
		ON_DISK(test_xfs),
		ON_DISK(test_xfs_options_replace_ours),
		ON_DISK(test_xfs_overwrites_only_when_told),
		ON_DISK(test_btrfs),
		ON_DISK(test_btrfs_options_follow_ours),
		ON_DISK(test_btrfs_overwrites_only_when_told),
		ON_DISK(test_ext4_over_remains),
		ON_DISK(test_failure_has_the_reason),
		ON_DISK(test_deadline),
		cmocka_unit_test(test_device_is_no_option),
		cmocka_unit_test(test_mkfs_options_accepted),
		cmocka_unit_test(test_mkfs_options_refused),
		cmocka_unit_test(test_mount_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
