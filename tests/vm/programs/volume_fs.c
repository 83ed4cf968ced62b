/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File systems that exist: growing, checking and repairing them on a loop device, and what is told
 * of those that fail, on a dm device over it that can be stopped and made to fail. Needs root and a
 * kernel with loop, dm, ext4, xfs and btrfs.
 */
#include "volume_fixture.h"

#include <inttypes.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "csi/volume/check.h"
#include "csi/volume/condition.h"
#include "csi/volume/grow.h"
#include "csi/volume/usage.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (MIB << 10)
#define SECTOR 512
#define DM "volume-fs"
#define DM_NODE "/dev/mapper/" DM

static char loop[64];
static char kernel_name[64]; /* of the device whose condition is asked for */

/* What the dm device is from now on: bytes of the loop device, or errors. */
static void load_table(const char *verb, const char *kind, uint64_t bytes)
{
	cleanup_free char *table =
		strcmp(kind, "linear") ?
			xasprintf("0 %ju %s", (uintmax_t)(bytes / SECTOR), kind) :
			xasprintf("0 %ju linear %s 0", (uintmax_t)(bytes / SECTOR), loop);

	assert_int_equal(RUN("dmsetup", verb, DM, "--table", table), 0);
}

static void swap_table(const char *kind, uint64_t bytes)
{
	load_table("load", kind, bytes);
	assert_int_equal(RUN("dmsetup", "suspend", "--noflush", "--nolockfs", DM), 0);
	assert_int_equal(RUN("dmsetup", "resume", DM), 0);
}

static int setup_dm(void **state)
{
	struct stat st;

	if (setup(state) < 0)
		return -1;
	memcpy(loop, device, sizeof(loop));
	load_table("create", "linear", SIZE);
	strcpy(device, DM_NODE);
	if (stat(device, &st) < 0)
		return -1;
	snprintf(kernel_name, sizeof(kernel_name), "dm-%u", minor(st.st_rdev));
	return 0;
}

static int teardown_dm(void **state)
{
	struct err err = ERR_INIT;

	if (RUN("dmsetup", "resume", DM) < 0 || mount_unmount_all(target, &err) < 0 ||
	    mount_unmount_all(stage, &err) < 0 || RUN("dmsetup", "remove", DM) < 0)
		return -1;
	memcpy(device, loop, sizeof(loop));
	return teardown(state);
}

#define DM_TEST(function) cmocka_unit_test_setup_teardown(function, setup_dm, teardown_dm)

/* --- growing --- */

static void resize(uint64_t bytes)
{
	assert_int_equal(truncate(image, (off_t)bytes), 0);
	assert_int_equal(RUN("losetup", "-c", device), 0);
}

static uint64_t grow(const char *fs)
{
	struct err err = ERR_INIT;
	uint64_t bytes = 0;

	if (grow_mounted(fs_find(fs), stage, device, &bytes, &err) < 0)
		fail_msg("%s", err.msg);
	return bytes;
}

static void expect_not_grown(const char *fs, enum err_code code, const char *word)
{
	struct err err = ERR_INIT;
	uint64_t bytes = 7;

	assert_int_equal(grow_mounted(fs_find(fs), stage, device, &bytes, &err), -1);
	print_message("# %s\n", err.msg);
	assert_string_equal(err_code_name(err.code), err_code_name(code));
	if (!strstr(err.msg, word))
		fail_msg("'%s' is missing in '%s'", word, err.msg);
	assert_int_equal(bytes, 7);
}

static uint64_t sectors_written(void)
{
	struct root root cleanup_root = ROOT_INIT;
	char value[ROOT_VALUE_SIZE];
	struct err err = ERR_INIT;
	uint64_t written;

	assert_int_equal(root_open(&root, "/sys", &err), 0);
	assert_int_equal(
		root_read(&root, value, &err, "class/block/%s/stat", strrchr(device, '/') + 1), 1);
	assert_int_equal(sscanf(value, "%*u %*u %*u %*u %*u %*u %" SCNu64, &written), 1);
	return written;
}

static void sync_stage(void)
{
	cleanup_close int fd = open(stage, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(syncfs(fd), 0);
}

static void expect_no_write_on_grow(const char *fs, uint64_t bytes)
{
	uint64_t before;

	sync_stage();
	before = sectors_written();
	assert_int_equal(grow(fs), bytes);
	assert_int_equal(sectors_written(), before);
}

static struct usage usage_of(void)
{
	struct err err = ERR_INIT;
	struct usage usage;

	if (usage_read(stage, &usage, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(usage.used_bytes + usage.available_bytes <= usage.total_bytes);
	return usage;
}

/* tail: what of the device is too small for the file system to take. */
static void grow_online(const char *fs, const char *options, uint64_t tail)
{
	struct usage before;

	make(fs);
	must_mount(stage, fs, options);
	assert_int_equal(create_in(stage), 0);
	before = usage_of();
	expect_no_write_on_grow(fs, SIZE);
	resize(640 * MIB);
	assert_int_equal(grow(fs), 640 * MIB);
	assert_true(usage_of().total_bytes >= before.total_bytes + 300 * MIB);
	assert_true(usage_of().available_bytes >= before.available_bytes + 200 * MIB);
	expect_no_write_on_grow(fs, 640 * MIB);
	resize(640 * MIB + tail);
	expect_no_write_on_grow(fs, 640 * MIB);
	resize(24 * GIB);
	assert_int_equal(grow(fs), 24 * GIB);
	assert_true(usage_of().total_bytes > 22 * GIB);
	must_unmount(stage);
	must_mount(stage, fs, options);
	assert_int_equal(create_in(stage), 0);
	expect_no_write_on_grow(fs, 24 * GIB);
}

static void test_grow_ext4(void **state)
{
	(void)state;
	/* Else a kernel thread goes on writing inode tables. */
	grow_online("ext4", "noinit_itable", 2048);
}

static void test_grow_xfs(void **state)
{
	(void)state;
	grow_online("xfs", NULL, 63 * 4096);
}

static void test_grow_btrfs(void **state)
{
	(void)state;
	grow_online("btrfs", NULL, 2048);
}

/* Beyond the blocks that mkfs reserved for it, and into a last group that is too small. */
static void test_grow_ext4_far(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(fs_make(fs_find("ext4"), device, "-E resize=100000", false,
				 deadline_after_ms(60000), &err),
			 0);
	must_mount(stage, "ext4", NULL);
	resize(20 * GIB);
	assert_int_equal(grow("ext4"), 20 * GIB);
	resize(20 * GIB + 8 * 4096);
	assert_int_equal(grow("ext4"), 20 * GIB);
	must_unmount(stage);
	assert_int_equal(RUN("e2fsck", "-fn", device), 0);
}

static void test_grow_refused(void **state)
{
	(void)state;
	make("xfs");
	must_mount(stage, "xfs", "ro");
	resize(640 * MIB);
	expect_not_grown("xfs", ERR_FAILED_PRECONDITION, "read-only");
	expect_not_grown("ext4", ERR_INTERNAL, "is not a mount of");
	must_unmount(stage);
	expect_not_grown("xfs", ERR_INTERNAL, "is not a mount of");
}

static void test_grow_ext4_with_errors(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	make("ext4");
	must_mount(stage, "ext4", NULL);
	must_unmount(stage);
	assert_int_equal(RUN("debugfs", "-w", "-R", "set_super_value state 3", device), 0);
	must_mount(stage, "ext4", NULL);
	resize(640 * MIB);
	expect_not_grown("ext4", ERR_FAILED_PRECONDITION, "staged again");
	must_unmount(stage);
	assert_int_equal(check_before_mount(fs_find("ext4"), device, false,
					    deadline_after_ms(60000), &err),
			 0);
	must_mount(stage, "ext4", NULL);
	assert_int_equal(grow("ext4"), 640 * MIB);
}

/* --- checking --- */

static uint64_t check_us(const char *fs)
{
	uint64_t start = clock_now_ns();
	struct err err = ERR_INIT;

	if (check_before_mount(fs_find(fs), device, false, deadline_after_ms(60000), &err) < 0)
		fail_msg("%s", err.msg);
	return (clock_now_ns() - start) / 1000;
}

static void test_check_costs(void **state)
{
	uint64_t clean, program;

	(void)state;
	make("ext4");
	must_mount(stage, "ext4", NULL);
	must_unmount(stage);
	clean = check_us("ext4");
	program = clock_now_ns();
	assert_int_equal(RUN("e2fsck", "-p", device), 0);
	program = (clock_now_ns() - program) / 1000;
	print_message("# clean ext4: %ju us; e2fsck -p of it: %ju us\n", (uintmax_t)clean,
		      (uintmax_t)program);
	assert_true(clean < program);
}

/* Never below a mount. */
static void test_check_of_mounted(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	make("ext4");
	must_mount(stage, "ext4", NULL);
	assert_int_equal(check_before_mount(fs_find("ext4"), device, true, deadline_after_ms(60000),
					    &err),
			 -1);
	print_message("# %s\n", err.msg);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "mounted"));
	assert_int_equal(create_in(stage), 0);
}

/* A device that fails under a mount leaves a journal, and errors; the check puts that right. */
static void test_check_after_failure(void **state)
{
	(void)state;
	make("ext4");
	must_mount(stage, "ext4", NULL);
	assert_int_equal(create_in(stage), 0);
	sync_stage();
	swap_table("error", SIZE);
	create_in(stage);
	must_unmount(stage);
	swap_table("linear", SIZE);
	check_us("ext4");
	must_mount(stage, "ext4", NULL);
	assert_int_equal(create_in(stage), 0);
}

static void flip_byte(uint64_t offset)
{
	cleanup_close int fd = open(device, O_RDWR | O_CLOEXEC);
	unsigned char byte;

	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 0x41;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	assert_int_equal(fsync(fd), 0);
}

/* A byte of the superblock's label: only the checksum tells. */
static void refused_and_repaired(const char *fs, uint64_t offset)
{
	cleanup_free char *file = xasprintf("%s/new", stage);
	struct err err = ERR_INIT, again;

	make(fs);
	must_mount(stage, fs, NULL);
	assert_int_equal(create_in(stage), 0);
	must_unmount(stage);
	flip_byte(offset);
	check_us(fs);
	assert_int_equal(try_mount(stage, fs, NULL, &err), -1);
	print_message("# %s\n", err.msg);
	assert_int_equal(err.code, ERR_DATA_LOSS);
	again = err;
	assert_int_equal(check_after_refusal(fs_find(fs), device, false, deadline_after_ms(60000),
					     &again),
			 -1);
	print_message("# %s\n", again.msg);
	assert_int_equal(again.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(again.msg, "fsRepair"));
	if (check_after_refusal(fs_find(fs), device, true, deadline_after_ms(60000), &err) < 0)
		fail_msg("%s", err.msg);
	must_mount(stage, fs, NULL);
	assert_int_equal(access(file, F_OK), 0);
}

static void test_repair_ext4(void **state)
{
	(void)state;
	refused_and_repaired("ext4", 1024 + 0x78);
}

static void test_repair_xfs(void **state)
{
	(void)state;
	refused_and_repaired("xfs", 108);
}

/* --- condition --- */

static struct condition condition_of_stage(void)
{
	struct mount_table table cleanup_mount_table = { 0 };
	struct root root cleanup_root = ROOT_INIT;
	struct condition noted, asked;
	struct err err = ERR_INIT;

	if (mount_table_read(&table, &err) < 0 || root_open(&root, "/sys", &err) < 0 ||
	    condition_read(&root, mount_table_find(&table, stage), kernel_name, &noted, &err) < 0 ||
	    condition_probe(stage, &asked, &err) < 0)
		fail_msg("%s", err.msg);
	if (noted.abnormal)
		print_message("# noted: %s\n", noted.message);
	if (asked.abnormal)
		print_message("# asked: %s\n", asked.message);
	return noted.abnormal ? noted : asked;
}

/* Stopped by an administrator's ioctl, with no error to note down. */
static void shut_down(const char *fs)
{
	make(fs);
	must_mount(stage, fs, NULL);
	snprintf(kernel_name, sizeof(kernel_name), "%s", strrchr(device, '/') + 1);
	assert_false(condition_of_stage().abnormal);
	assert_int_equal(RUN("xfs_io", "-x", "-c", "shutdown", stage), 0);
}

static void test_shut_down_xfs(void **state)
{
	(void)state;
	shut_down("xfs");
	assert_true(condition_of_stage().abnormal);
	usage_of();
}

static void test_shut_down_ext4(void **state)
{
	(void)state;
	shut_down("ext4");
	if (!kernel_is_before(6, 18))
		assert_true(condition_of_stage().abnormal);
	usage_of();
}

/* Many names, so that the root directory is not kept in the inode. */
static void fill_root(void)
{
	for (int i = 0; i < 200; i++) {
		cleanup_free char *path = xasprintf("%s/some-rather-long-name-%d", stage, i);
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		assert_true(fd >= 0);
		close(fd);
	}
	sync_stage();
}

/* Makes files until even that fails: what cannot be written is of the file system, not of a file. */
static void create_until_it_fails(void)
{
	cleanup_close int root = open(stage, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(root >= 0);
	for (int i = 0; i < 100; i++) {
		cleanup_free char *name = xasprintf("failing-%d", i);
		cleanup_close int fd = openat(root, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0)
			return;
		fsync(root);
	}
	fail_msg("a hundred files were made on a device that fails");
}

static void failing(const char *fs)
{
	make(fs);
	must_mount(stage, fs, NULL);
	fill_root();
	assert_false(condition_of_stage().abnormal);
	swap_table("error", SIZE);
	create_until_it_fails();
	assert_true(condition_of_stage().abnormal);
	must_unmount(stage);
	swap_table("linear", SIZE);
	check_us(fs);
	must_mount(stage, fs, NULL);
}

static void test_failing_ext4(void **state)
{
	(void)state;
	failing("ext4");
	/* The check has done away with what was recorded. */
	assert_false(condition_of_stage().abnormal);
}

static void test_failing_xfs(void **state)
{
	(void)state;
	failing("xfs");
	assert_false(condition_of_stage().abnormal);
}

static void test_failing_btrfs(void **state)
{
	(void)state;
	failing("btrfs");
}

/* Nothing that reads the condition or the usage waits for a device that does not answer. */
static void hanging(const char *fs)
{
	uint64_t start;

	make(fs);
	must_mount(stage, fs, NULL);
	fill_root();
	assert_int_equal(RUN("dmsetup", "suspend", "--noflush", "--nolockfs", DM), 0);
	start = clock_now_ns();
	usage_of();
	assert_false(condition_of_stage().abnormal);
	start = (clock_now_ns() - start) / 1000;
	assert_int_equal(RUN("dmsetup", "resume", DM), 0);
	print_message("# %s on a device that hangs: %ju us\n", fs, (uintmax_t)start);
	assert_true(start < 5000000);
}

static void test_hanging_ext4(void **state)
{
	(void)state;
	hanging("ext4");
}

static void test_hanging_xfs(void **state)
{
	(void)state;
	hanging("xfs");
}

static void test_hanging_btrfs(void **state)
{
	(void)state;
	hanging("btrfs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEVICE_TEST(test_grow_ext4),
		DEVICE_TEST(test_grow_xfs),
		DEVICE_TEST(test_grow_btrfs),
		DEVICE_TEST(test_grow_ext4_far),
		DEVICE_TEST(test_grow_refused),
		DEVICE_TEST(test_grow_ext4_with_errors),
		DEVICE_TEST(test_check_costs),
		DEVICE_TEST(test_check_of_mounted),
		DEVICE_TEST(test_repair_ext4),
		DEVICE_TEST(test_repair_xfs),
		DEVICE_TEST(test_shut_down_xfs),
		DEVICE_TEST(test_shut_down_ext4),
		/* From here on the device fails or hangs. */
		DM_TEST(test_check_after_failure),
		DM_TEST(test_failing_ext4),
		DM_TEST(test_failing_xfs),
		DM_TEST(test_failing_btrfs),
		DM_TEST(test_hanging_ext4),
		DM_TEST(test_hanging_xfs),
		DM_TEST(test_hanging_btrfs),
	};

	/* Without udev, dmsetup itself has to make the nodes. */
	setenv("DM_DISABLE_UDEV", "1", 1);
	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
