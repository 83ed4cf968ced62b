/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts, probes and mkfs on real block devices: loop devices on sparse files. Needs root and a
 * kernel with loop, ext4, xfs and btrfs; works in a mount namespace of its own.
 */
#include "volume_fixture.h"

#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>

#include "csi/volume/journal.h"
#include "csi/volume/probe.h"

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

static void test_life_btrfs(void **state)
{
	(void)state;
	life_of("btrfs", NULL);
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

static void test_hidden_holder_btrfs(void **state)
{
	(void)state;
	hidden_holder("btrfs");
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

static void test_no_fallback_btrfs(void **state)
{
	(void)state;
	no_fallback("btrfs");
}

static void test_bad_options(void **state)
{
	(void)state;
	make("ext4");
	expect_refused(stage, "ext4", "noatime,nonsense=7", ERR_INVALID_ARGUMENT, "'nonsense'");
	expect_refused(stage, "ext4", "nonsense", ERR_INVALID_ARGUMENT, "nknown parameter");
	expect_refused(stage, "ext4", "commit=soon", ERR_INVALID_ARGUMENT, "'commit'");
	expect_refused(stage, "ext4", "source=/dev/null", ERR_INVALID_ARGUMENT, "source");
	expect_refused(stage, "ext4", "remount", ERR_INVALID_ARGUMENT, "remount");
	/* As kubelet sends it; without SELinux nobody takes it, and it is not dropped. */
	expect_refused(stage, "ext4", "noatime,context=\"system_u:object_r:x_t:s0:c1,c2\"",
		       ERR_INVALID_ARGUMENT, "'context'");
	assert_int_equal(released(), 1);
}

/* Before 6.8 btrfs sees its options only when all are there, and says why in the log. */
static void test_bad_options_btrfs(void **state)
{
	bool late = kernel_is_before(6, 8);

	(void)state;
	make("btrfs");
	expect_refused(stage, "btrfs", "noatime,nonsense=7",
		       late ? ERR_FAILED_PRECONDITION : ERR_INVALID_ARGUMENT,
		       late ? "options" : "'nonsense'");
	must_mount(stage, "btrfs", "nodiscard,noatime,compress=zstd");
}

/* A subvolume is not the volume, whoever asked for it: an option, or the file system itself. */
static void test_btrfs_subvolume(void **state)
{
	cleanup_free char *sub = xasprintf("%s/sub", stage);

	(void)state;
	make("btrfs");
	must_mount(stage, "btrfs", NULL);
	assert_int_equal(RUN("btrfs", "subvolume", "create", sub), 0);
	must_unmount(stage);
	expect_refused(stage, "btrfs", "subvol=sub", ERR_FAILED_PRECONDITION, "subvolume /sub ");
	assert_int_equal(released(), 1);
	must_mount(stage, "btrfs", "subvol=/");
	assert_int_equal(RUN("btrfs", "subvolume", "set-default", sub), 0);
	must_unmount(stage);
	expect_refused(stage, "btrfs", NULL, ERR_FAILED_PRECONDITION, "subvolume set-default 5");
	assert_int_equal(released(), 1);
	must_mount(stage, "btrfs", "subvolid=5");
	assert_int_equal(RUN("btrfs", "subvolume", "set-default", "5", stage), 0);
	must_unmount(stage);
	must_mount(stage, "btrfs", NULL);
}

/* Each is known, but not together with a read-write mount. */
static void test_bad_combination(void **state)
{
	(void)state;
	make("xfs");
	expect_refused(stage, "xfs", "norecovery", ERR_FAILED_PRECONDITION, "options");
	expect_refused(stage, "xfs", "nonsense=7", ERR_INVALID_ARGUMENT, "nknown parameter");
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

static void test_reader_btrfs(void **state)
{
	(void)state;
	reader("btrfs");
}

/* A clone beside its source: same UUID inside, on one node. */
struct clone {
	char image[PATH_MAX];
	char device[sizeof(device)];
};

static void clone_begin(struct clone *clone)
{
	snprintf(clone->image, sizeof(clone->image), "%s/copy", dir);
	assert_int_equal(RUN("cp", "--sparse=always", image, clone->image), 0);
	assert_int_equal(attach_image(clone->image, clone->device), 0);
}

/* Makes the other of the two what `device` means. */
static void clone_swap(struct clone *clone)
{
	char other[sizeof(device)];

	memcpy(other, clone->device, sizeof(other));
	memcpy(clone->device, device, sizeof(other));
	memcpy(device, other, sizeof(other));
}

static void clone_end(const struct clone *clone)
{
	assert_int_equal(RUN("losetup", "-d", clone->device), 0);
	assert_int_equal(unlink(clone->image), 0);
}

static void test_xfs_clone(void **state)
{
	struct clone clone;
	char text[64];
	struct strb options = strb_over(text, sizeof(text));

	(void)state;
	make("xfs");
	clone_begin(&clone);
	must_mount(stage, "xfs", NULL);
	clone_swap(&clone);
	expect_refused(target, "xfs", NULL, ERR_FAILED_PRECONDITION, "xfs");
	fs_mount_options(fs_find("xfs"), false, NULL, &options);
	must_mount(target, "xfs", text);
	assert_int_equal(create_in(target), 0);
	must_unmount(target);
	clone_swap(&clone);
	clone_end(&clone);
}

/* Beside its source it is mounted as what it is or refused; never is the other one mounted. */
static void test_btrfs_clone_beside_source(void **state)
{
	struct clone clone;

	(void)state;
	make("btrfs");
	clone_begin(&clone);
	must_mount(stage, "btrfs", NULL);
	assert_int_equal(create_in(stage), 0);
	clone_swap(&clone);
	if (kernel_is_before(6, 7)) {
		expect_refused(target, "btrfs", NULL, ERR_FAILED_PRECONDITION, "same file system");
	} else {
		must_mount(target, "btrfs", NULL);
		expect_entry(target, "btrfs", false, false);
		assert_int_equal(released(), 0);
		must_unmount(target);
	}
	assert_int_equal(released(), 1);
	clone_swap(&clone);
	assert_int_equal(released(), 0);
	must_unmount(stage);
	clone_end(&clone);
}

/* A file whose name says which of the two file systems it is. */
static void mark(const char *name, const char *other)
{
	cleanup_free char *path = xasprintf("%s/%s", stage, name);
	cleanup_free char *other_path = xasprintf("%s/%s", stage, other);
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(access(other_path, F_OK), -1);
}

/* One after the other any kernel takes them, whichever was written to last. */
static void test_btrfs_clone_after_source(void **state)
{
	struct clone clone;

	(void)state;
	make("btrfs");
	clone_begin(&clone);
	for (int i = 0; i < 6; i++) {
		/* The source is the one with more commits, and comes after the clone again. */
		for (int more = i == 0 ? 3 : 1; more > 0; more--) {
			must_mount(stage, "btrfs", NULL);
			expect_entry(stage, "btrfs", false, false);
			mark(i % 2 ? "clone" : "source", i % 2 ? "source" : "clone");
			must_unmount(stage);
			assert_int_equal(released(), 1);
		}
		clone_swap(&clone);
	}
	clone_end(&clone);
}

/* A file that was synced, but only into the log. */
static void write_synced(const char *where)
{
	cleanup_free char *path = xasprintf("%s/synced", where);
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(fsync(fd), 0);
}

static int pending(const char *fs)
{
	cleanup_close int fd = open(device, O_RDONLY | O_CLOEXEC);
	struct err err = ERR_INIT;

	return journal_is_pending(fd, device, fs, &err);
}

/* A reader that does not replay writes nothing; that there is something to replay is seen. */
static void unreplayed(const char *fs)
{
	cleanup_free char *synced = xasprintf("%s/synced", stage);
	cleanup_free char *before = xasprintf("%s/before", dir);
	struct clone clone;
	char text[64];
	struct strb options = strb_over(text, sizeof(text));

	make(fs);
	assert_int_equal(pending(fs), 0);
	must_mount(stage, fs, NULL);
	write_synced(stage);
	clone_begin(&clone);
	must_unmount(stage);
	assert_int_equal(pending(fs), 0);
	clone_swap(&clone);
	assert_int_equal(pending(fs), 1);
	assert_int_equal(RUN("cp", "--sparse=always", clone.image, before), 0);
	fs_mount_options(fs_find(fs), true, NULL, &options);
	must_mount(stage, fs, text);
	must_unmount(stage);
	assert_int_equal(RUN("cmp", clone.image, before), 0);
	must_mount(stage, fs, NULL);
	assert_int_equal(access(synced, F_OK), 0);
	must_unmount(stage);
	assert_int_equal(pending(fs), 0);
	clone_swap(&clone);
	clone_end(&clone);
	assert_int_equal(unlink(before), 0);
}

static void test_unreplayed_ext4(void **state)
{
	(void)state;
	unreplayed("ext4");
}

static void test_unreplayed_xfs(void **state)
{
	(void)state;
	unreplayed("xfs");
}

static void test_unreplayed_btrfs(void **state)
{
	(void)state;
	unreplayed("btrfs");
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

/* Blocks that are larger than the reads of a probe, which Linux 6.15 and later know. */
static void test_probe_of_large_blocks(void **state)
{
	int fd = open(device, O_RDONLY | O_CLOEXEC);
	int rc = ioctl(fd, LOOP_SET_BLOCK_SIZE, 16384);
	struct probe_result result;
	struct err err = ERR_INIT;

	(void)state;
	close(fd);
	if (rc < 0) {
		print_message("# this kernel has no blocks of 16 KiB\n");
		return;
	}
	fd = open(device, O_RDONLY | O_CLOEXEC);
	assert_int_equal(probe_device(fd, device, SIZE, &result, &err), 0);
	assert_true(result.empty);
	close(fd);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEVICE_TEST(test_life_ext4),
		DEVICE_TEST(test_life_xfs),
		DEVICE_TEST(test_life_btrfs),
		DEVICE_TEST(test_hidden_holder_ext4),
		DEVICE_TEST(test_hidden_holder_xfs),
		DEVICE_TEST(test_hidden_holder_btrfs),
		DEVICE_TEST(test_exclusive_holder),
		DEVICE_TEST(test_no_other_readonly_state),
		DEVICE_TEST(test_no_fallback_ext4),
		DEVICE_TEST(test_no_fallback_xfs),
		DEVICE_TEST(test_no_fallback_btrfs),
		DEVICE_TEST(test_bad_options),
		DEVICE_TEST(test_bad_options_btrfs),
		DEVICE_TEST(test_btrfs_subvolume),
		DEVICE_TEST(test_bad_combination),
		DEVICE_TEST(test_bad_file_systems),
		DEVICE_TEST(test_no_stacking),
		DEVICE_TEST(test_options_arrive),
		DEVICE_TEST(test_reader_ext4),
		DEVICE_TEST(test_reader_xfs),
		DEVICE_TEST(test_reader_btrfs),
		DEVICE_TEST(test_xfs_clone),
		DEVICE_TEST(test_btrfs_clone_beside_source),
		DEVICE_TEST(test_btrfs_clone_after_source),
		DEVICE_TEST(test_unreplayed_ext4),
		DEVICE_TEST(test_unreplayed_xfs),
		DEVICE_TEST(test_unreplayed_btrfs),
		DEVICE_TEST(test_bind_of_device_node),
		DEVICE_TEST(test_probe),
		DEVICE_TEST(test_probe_of_large_blocks),
		DEVICE_TEST(test_probe_of_failing_device),
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
