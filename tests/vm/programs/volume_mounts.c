/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts, probes and mkfs on real block devices: loop devices on sparse files. Needs root and a
 * kernel with loop, ext4 and xfs; works in a mount namespace of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "csi/volume/fs.h"
#include "csi/volume/mount.h"
#include "csi/volume/probe.h"
#include "nvme/base/proc.h"

#define SIZE (UINT64_C(320) << 20)

static char dir[] = "/tmp/volume_mounts.XXXXXX";
static char image[PATH_MAX], device[64], stage[PATH_MAX], target[PATH_MAX];

static int run(const char *const argv[], char *out, size_t size)
{
	cleanup_free struct proc_result *result = xcalloc(1, sizeof(*result));
	struct err err = ERR_INIT;

	if (proc_run(argv, deadline_after_ms(60000), result, &err) < 0) {
		print_error("%s\n", err.msg);
		return -1;
	}
	if (result->exit_code)
		print_error("%s: %s\n", argv[0], result->err);
	if (out)
		snprintf(out, size, "%.*s", (int)strcspn(result->out, "\n"), result->out);
	return result->exit_code ? -1 : 0;
}

#define RUN(...) run((const char *const[]) { __VA_ARGS__, NULL }, NULL, 0)

static int attach_image(const char *file, char ret_device[64])
{
	return run((const char *const[]) { "losetup", "--show", "-f", file, NULL }, ret_device, 64);
}

static int setup_group(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(stage, sizeof(stage), "%s/stage", dir);
	snprintf(target, sizeof(target), "%s/target", dir);
	return mkdir(stage, 0755) || mkdir(target, 0755) ? -1 : 0;
}

static int teardown_group(void **state)
{
	(void)state;
	return rmdir(stage) || rmdir(target) || rmdir(dir) ? -1 : 0;
}

static int setup(void **state)
{
	int fd = open(image, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	(void)state;
	if (fd < 0 || ftruncate(fd, (off_t)SIZE) < 0)
		return -1;
	close(fd);
	return attach_image(image, device);
}

static int teardown(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (mount_unmount_all(target, &err) < 0 || mount_unmount_all(stage, &err) < 0) {
		print_error("%s\n", err.msg);
		return -1;
	}
	return RUN("losetup", "-d", device) < 0 || unlink(image) < 0 ? -1 : 0;
}

static void make(const char *fs)
{
	struct err err = ERR_INIT;

	if (fs_make(fs_find(fs), device, NULL, false, deadline_after_ms(60000), &err) < 0)
		fail_msg("%s", err.msg);
}

static int try_mount(const char *where, const char *fs, const char *options, struct err *err)
{
	struct mount_options parsed;

	assert_int_equal(mount_options_parse(options, &parsed, err), 0);
	return mount_device(device, where, fs, &parsed, err);
}

static void must_mount(const char *where, const char *fs, const char *options)
{
	struct err err = ERR_INIT;

	if (try_mount(where, fs, options, &err) < 0)
		fail_msg("%s", err.msg);
}

static void bind_ro(const char *from, const char *to)
{
	struct mount_options ro = { .readonly = true };
	struct err err = ERR_INIT;

	if (mount_bind(from, to, &ro, &err) < 0)
		fail_msg("%s", err.msg);
}

static void must_unmount(const char *where)
{
	struct err err = ERR_INIT;

	if (mount_unmount_all(where, &err) < 0)
		fail_msg("%s", err.msg);
}

/* The refusal: its code, a word of its message, and that nothing came to be at that place. */
static void expect_refused(const char *where, const char *fs, const char *options,
			   enum err_code code, const char *word)
{
	struct mount_table table cleanup_mount_table = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(try_mount(where, fs, options, &err), -1);
	print_message("# %s\n", err.msg);
	assert_string_equal(err_code_name(err.code), err_code_name(code));
	if (!strstr(err.msg, word))
		fail_msg("'%s' is missing in '%s'", word, err.msg);
	assert_int_equal(mount_table_read(&table, &err), 0);
	assert_null(mount_table_find(&table, where));
}

static int released(void)
{
	struct err err = ERR_INIT;

	return mount_device_released(device, strrchr(device, '/') + 1, &err);
}

static int create_in(const char *where)
{
	cleanup_free char *path = xasprintf("%s/new", where);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	return fd < 0 ? errno : close(fd);
}

static void expect_entry(const char *where, const char *fs, bool readonly, bool sb_readonly)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *entry;
	struct err err = ERR_INIT;
	struct stat st;

	assert_int_equal(stat(device, &st), 0);
	assert_int_equal(mount_table_read(&table, &err), 0);
	entry = mount_table_find(&table, where);
	assert_non_null(entry);
	assert_int_equal(entry->major, major(st.st_rdev));
	assert_int_equal(entry->minor, minor(st.st_rdev));
	assert_string_equal(entry->fs_type, fs);
	assert_int_equal(entry->readonly, readonly);
	assert_int_equal(entry->sb_readonly, sb_readonly);
}

static void life_of(const char *fs, const char *options)
{
	assert_int_equal(released(), 1);
	make(fs);
	must_mount(stage, fs, options);
	expect_entry(stage, fs, false, false);
	assert_int_equal(released(), 0);
	bind_ro(stage, target);
	expect_entry(target, fs, true, false);
	assert_int_equal(create_in(target), EROFS);
	assert_int_equal(create_in(stage), 0);
	/* The bind alone keeps the superblock. */
	must_unmount(stage);
	assert_int_equal(released(), 0);
	must_unmount(target);
	assert_int_equal(released(), 1);
}

static void test_life_ext4(void **state)
{
	(void)state;
	life_of("ext4", NULL);
}

static void test_life_xfs(void **state)
{
	(void)state;
	life_of("xfs", "nouuid");
}

/* A superblock that no mount table shows: only a detached mount is left of it. */
static void hidden_holder(const char *fs)
{
	int tree;

	make(fs);
	must_mount(stage, fs, NULL);
	tree = open_tree(AT_FDCWD, stage, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	assert_true(tree >= 0);
	must_unmount(stage);
	assert_int_equal(released(), 0);
	close(tree);
	assert_int_equal(released(), 1);
}

static void test_hidden_holder_ext4(void **state)
{
	(void)state;
	hidden_holder("ext4");
}

static void test_hidden_holder_xfs(void **state)
{
	(void)state;
	hidden_holder("xfs");
}

/* A holder that is no file system. */
static void test_exclusive_holder(void **state)
{
	int fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(released(), 0);
	close(fd);
	assert_int_equal(released(), 1);
}

static void test_no_other_readonly_state(void **state)
{
	(void)state;
	make("ext4");
	must_mount(stage, "ext4", NULL);
	expect_refused(target, "ext4", "ro", ERR_FAILED_PRECONDITION, "read-only state");
	must_unmount(stage);
	must_mount(stage, "ext4", "ro");
	expect_entry(stage, "ext4", true, true);
	expect_refused(target, "ext4", NULL, ERR_FAILED_PRECONDITION, "read-only state");
}

static void no_fallback(const char *fs)
{
	make(fs);
	assert_int_equal(RUN("blockdev", "--setro", device), 0);
	expect_refused(stage, fs, NULL, ERR_FAILED_PRECONDITION, "write-protected");
	must_mount(stage, fs, "ro");
	must_unmount(stage);
	assert_int_equal(RUN("blockdev", "--setrw", device), 0);
}

static void test_no_fallback_ext4(void **state)
{
	(void)state;
	no_fallback("ext4");
}

static void test_no_fallback_xfs(void **state)
{
	(void)state;
	no_fallback("xfs");
}

static void test_bad_options(void **state)
{
	(void)state;
	make("ext4");
	expect_refused(stage, "ext4", "noatime,nonsense=7", ERR_INVALID_ARGUMENT, "nonsense=7");
	expect_refused(stage, "ext4", "nonsense", ERR_INVALID_ARGUMENT, "nknown parameter");
	expect_refused(stage, "ext4", "commit=soon", ERR_INVALID_ARGUMENT, "commit=soon");
	expect_refused(stage, "ext4", "source=/dev/null", ERR_INVALID_ARGUMENT, "source");
	expect_refused(stage, "ext4", "remount", ERR_INVALID_ARGUMENT, "remount");
	assert_int_equal(released(), 1);
}

/* Each is known, but not together with a read-write mount. */
static void test_bad_combination(void **state)
{
	(void)state;
	make("xfs");
	expect_refused(stage, "xfs", "norecovery", ERR_FAILED_PRECONDITION, "options");
	assert_int_equal(released(), 1);
}

static void test_bad_file_systems(void **state)
{
	(void)state;
	make("ext4");
	expect_refused(stage, "xfs", NULL, ERR_FAILED_PRECONDITION, "xfs");
	expect_refused(stage, "nosuchfs", NULL, ERR_FAILED_PRECONDITION, "nosuchfs");
	assert_int_equal(released(), 1);
}

static void test_no_stacking(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	make("ext4");
	assert_int_equal(mount("below", stage, "tmpfs", 0, NULL), 0);
	assert_int_equal(try_mount(stage, "ext4", NULL, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "mount point already"));
	/* Only ours was undone. */
	assert_int_equal(released(), 1);
	assert_int_equal(mount_unmount(stage, &err), 0);
	must_mount(stage, "ext4", NULL);
}

static void test_options_arrive(void **state)
{
	char text[65536];
	struct statvfs st;
	FILE *f;
	size_t n;

	(void)state;
	make("ext4");
	must_mount(stage, "ext4", "nosuid,nodev,noatime,commit=30,x-note=1,_netdev");
	assert_int_equal(statvfs(stage, &st), 0);
	assert_int_equal(st.f_flag & (ST_NOSUID | ST_NODEV | ST_NOATIME | ST_NOEXEC),
			 ST_NOSUID | ST_NODEV | ST_NOATIME);
	f = fopen("/proc/self/mountinfo", "re");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	assert_non_null(strstr(text, "commit=30"));
}

static void reader(const char *fs)
{
	char text[128];
	struct strb options = strb_over(text, sizeof(text));

	make(fs);
	fs_mount_options(fs_find(fs), true, "noatime", &options);
	must_mount(stage, fs, text);
	expect_entry(stage, fs, true, true);
	assert_int_equal(create_in(stage), EROFS);
}

static void test_reader_ext4(void **state)
{
	(void)state;
	reader("ext4");
}

static void test_reader_xfs(void **state)
{
	(void)state;
	reader("xfs");
}

/* A clone beside its source: same UUID inside, on one node. */
static void test_xfs_clone(void **state)
{
	char copy[PATH_MAX], source[sizeof(device)], text[64];
	struct strb options = strb_over(text, sizeof(text));

	(void)state;
	make("xfs");
	snprintf(copy, sizeof(copy), "%s/copy", dir);
	assert_int_equal(RUN("cp", "--sparse=always", image, copy), 0);
	must_mount(stage, "xfs", NULL);
	memcpy(source, device, sizeof(source));
	assert_int_equal(attach_image(copy, device), 0);
	expect_refused(target, "xfs", NULL, ERR_FAILED_PRECONDITION, "xfs");
	fs_mount_options(fs_find("xfs"), false, NULL, &options);
	must_mount(target, "xfs", text);
	assert_int_equal(create_in(target), 0);
	must_unmount(target);
	assert_int_equal(RUN("losetup", "-d", device), 0);
	assert_int_equal(unlink(copy), 0);
	memcpy(device, source, sizeof(source));
}

static void test_bind_of_device_node(void **state)
{
	char node[PATH_MAX];
	struct stat a, b;
	int fd;

	(void)state;
	snprintf(node, sizeof(node), "%s/node", dir);
	fd = open(node, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
	bind_ro(device, node);
	assert_int_equal(stat(device, &a) | stat(node, &b), 0);
	assert_true(S_ISBLK(b.st_mode));
	assert_int_equal(a.st_rdev, b.st_rdev);
	must_unmount(node);
	assert_int_equal(unlink(node), 0);
}

static void test_probe(void **state)
{
	cleanup_close int fd = open(device, O_RDONLY | O_CLOEXEC);
	struct probe_result result;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(probe_device(fd, device, SIZE, &result, &err), 0);
	assert_true(result.empty);
	assert_int_equal(probe_device(fd, device, SIZE + 512, &result, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	make("xfs");
	assert_int_equal(probe_device(fd, device, SIZE, &result, &err), 0);
	assert_string_equal(result.fs_type, "xfs");
}

/* A blank device, all but eight sectors of which can be read. */
static void probe_with_bad_spot(uint64_t bad)
{
	uint64_t sectors = SIZE / 512;
	cleanup_free char *head = xasprintf("0 %ju linear %s 0,", (uintmax_t)bad, device);
	cleanup_free char *tail = xasprintf(",%ju %ju linear %s %ju", (uintmax_t)bad + 8,
					    (uintmax_t)(sectors - bad - 8), device,
					    (uintmax_t)bad + 8);
	cleanup_free char *table = xasprintf("volume-mounts,,,rw,%s%ju 8 error%s", bad ? head : "",
					     (uintmax_t)bad, bad + 8 < sectors ? tail : "");
	struct probe_result result = { .type = "untouched" };
	struct err err = ERR_INIT;
	int fd;

	assert_int_equal(RUN("dmsetup", "create", "--concise", table), 0);
	fd = open("/dev/mapper/volume-mounts", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(probe_device(fd, "dm", SIZE, &result, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_string_equal(result.type, "untouched");
	assert_false(result.empty);
	print_message("# bad sector %ju: %s\n", (uintmax_t)bad, err.msg);
	close(fd);
	assert_int_equal(RUN("dmsetup", "remove", "volume-mounts"), 0);
}

static void test_probe_of_failing_device(void **state)
{
	static const uint64_t bad[] = { 0, 128, 1024, (128 << 20) / 512, SIZE / 512 - 8 };

	(void)state;
	/* Without udev, dmsetup itself has to make the node. */
	setenv("DM_DISABLE_UDEV", "1", 1);
	if (RUN("dmsetup", "version") < 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		probe_with_bad_spot(bad[i]);
}

#define DEVICE_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEVICE_TEST(test_life_ext4),
		DEVICE_TEST(test_life_xfs),
		DEVICE_TEST(test_hidden_holder_ext4),
		DEVICE_TEST(test_hidden_holder_xfs),
		DEVICE_TEST(test_exclusive_holder),
		DEVICE_TEST(test_no_other_readonly_state),
		DEVICE_TEST(test_no_fallback_ext4),
		DEVICE_TEST(test_no_fallback_xfs),
		DEVICE_TEST(test_bad_options),
		DEVICE_TEST(test_bad_combination),
		DEVICE_TEST(test_bad_file_systems),
		DEVICE_TEST(test_no_stacking),
		DEVICE_TEST(test_options_arrive),
		DEVICE_TEST(test_reader_ext4),
		DEVICE_TEST(test_reader_xfs),
		DEVICE_TEST(test_xfs_clone),
		DEVICE_TEST(test_bind_of_device_node),
		DEVICE_TEST(test_probe),
		DEVICE_TEST(test_probe_of_failing_device),
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
