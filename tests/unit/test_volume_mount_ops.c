/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binds and unmounts on a tmpfs in a mount namespace of our own. What needs a block device is in
 * tests/vm/programs/volume_mounts.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "csi/volume/mount.h"
#include "tests/unit/own_mounts.h"

#define RACE_ROUNDS 50

static char dir[] = "/tmp/test_volume_mount_ops.XXXXXX";
static char source[PATH_MAX], target[PATH_MAX], file[PATH_MAX], file_target[PATH_MAX];

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	if (own_tmpfs(dir, "size=1m") < 0)
		return -1;
	snprintf(source, sizeof(source), "%s/source", dir);
	snprintf(target, sizeof(target), "%s/target", dir);
	snprintf(file, sizeof(file), "%s/source/file", dir);
	snprintf(file_target, sizeof(file_target), "%s/file_target", dir);
	if (mkdir(source, 0755) < 0 || mkdir(target, 0755) < 0)
		return -1;
	touch(file);
	touch(file_target);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return own_tmpfs_remove(dir);
}

/* Every test begins and ends with nothing mounted below dir. */
static int count_below(void)
{
	struct mount_table table cleanup_mount_table = { 0 };
	struct err err = ERR_INIT;
	int count = 0;

	assert_int_equal(mount_table_read(&table, &err), 0);
	for (size_t i = 0; i < table.count; i++)
		count += !strncmp(table.entries[i].target, dir, strlen(dir));
	return count - 1;
}

#define NEEDS_NO_MOUNT()                                                                           \
	do {                                                                                       \
		NEEDS_MOUNT();                                                                     \
		assert_int_equal(count_below(), 0);                                                \
	} while (0)

static void bind_with(const char *from, const char *to, const char *options)
{
	struct mount_options parsed;
	struct err err = ERR_INIT;

	assert_int_equal(mount_options_parse(options, &parsed, &err), 0);
	if (mount_bind(from, to, &parsed, &err) < 0)
		fail_msg("%s", err.msg);
}

static void unmount_all(const char *path)
{
	struct err err = ERR_INIT;

	if (mount_unmount_all(path, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(count_below(), 0);
}

/* 0, or the errno of creating a file in the target. */
static int create_in_target(void)
{
	cleanup_free char *path = xasprintf("%s/new", target);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return errno;
	close(fd);
	assert_int_equal(unlink(path), 0);
	return 0;
}

static void test_bind_rw(void **state)
{
	struct mount_table table cleanup_mount_table = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_NO_MOUNT();
	bind_with(source, target, "");
	assert_int_equal(create_in_target(), 0);
	assert_int_equal(mount_table_read(&table, &err), 0);
	assert_false(mount_table_find(&table, target)->readonly);
	assert_string_equal(mount_table_find(&table, target)->fs_root, "/source");
	unmount_all(target);
}

static void test_bind_ro_beside_rw(void **state)
{
	cleanup_free char *seen = xasprintf("%s/late", target);
	cleanup_free char *made = xasprintf("%s/late", source);

	(void)state;
	NEEDS_NO_MOUNT();
	bind_with(source, target, "ro");
	assert_int_equal(create_in_target(), EROFS);
	/* The source stays writable, and what is written there shows. */
	touch(made);
	assert_int_equal(access(seen, F_OK), 0);
	assert_int_equal(unlink(made), 0);
	unmount_all(target);
}

/* In the place of the C library's: a kernel that says yes and does nothing. */
static bool attributes_are_lost;

int mount_setattr(int directory, const char *path, unsigned flags, struct mount_attr *attr,
		  size_t size)
{
	if (attributes_are_lost)
		return 0;
	return (int)syscall(SYS_mount_setattr, directory, path, flags, attr, size);
}

/* What came out is looked at, and a reader's mount that can be written to does not stay. */
static void test_bind_that_is_not_ro_is_undone(void **state)
{
	const struct mount_options options = { .readonly = true };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_NO_MOUNT();
	attributes_are_lost = true;
	assert_int_equal(mount_bind(source, target, &options, &err), -1);
	attributes_are_lost = false;
	assert_non_null(strstr(err.msg, "came out read-write"));
	assert_int_equal(count_below(), 0);
}

static void test_bind_file_ro(void **state)
{
	(void)state;
	NEEDS_NO_MOUNT();
	bind_with(file, file_target, "ro");
	assert_int_equal(open(file_target, O_WRONLY | O_CLOEXEC), -1);
	assert_int_equal(errno, EROFS);
	unmount_all(file_target);
}

static void test_bind_attributes(void **state)
{
	struct statvfs st;

	(void)state;
	NEEDS_NO_MOUNT();
	bind_with(source, target, "nosuid,nodev,noexec,noatime,discard");
	assert_int_equal(statvfs(target, &st), 0);
	assert_int_equal(st.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_NOATIME | ST_RDONLY),
			 ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_NOATIME);
	unmount_all(target);
}

/* Attributes of the source stay: neither ro nor nosuid can be got rid of by a bind. */
static void test_bind_never_escalates(void **state)
{
	cleanup_free char *middle = xasprintf("%s/middle", dir);
	struct mount_options rw = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_NO_MOUNT();
	assert_int_equal(mkdir(middle, 0755), 0);
	bind_with(source, middle, "ro,nosuid");
	assert_int_equal(mount_bind(middle, target, &rw, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "read-only"));
	assert_int_equal(count_below(), 1);
	bind_with(middle, target, "ro");
	assert_int_equal(create_in_target(), EROFS);
	assert_int_equal(mount_unmount_all(target, &err), 0);
	unmount_all(middle);
	assert_int_equal(rmdir(middle), 0);
}

static void test_bind_refuses_stacking(void **state)
{
	struct mount_options ro = { .readonly = true };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_NO_MOUNT();
	bind_with(source, target, "");
	assert_int_equal(mount_bind(source, target, &ro, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "mount point already"));
	/* The first one is still there, as it was. */
	assert_int_equal(count_below(), 1);
	assert_int_equal(create_in_target(), 0);
	unmount_all(target);
}

static void test_bind_errors_name_paths(void **state)
{
	cleanup_free char *absent = xasprintf("%s/absent", dir);
	struct mount_options rw = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_NO_MOUNT();
	assert_int_equal(mount_bind(absent, target, &rw, &err), -1);
	assert_int_equal(err.sys, ENOENT);
	assert_non_null(strstr(err.msg, absent));
	assert_int_equal(mount_bind(file, target, &rw, &err), -1);
	assert_int_equal(count_below(), 0);
	assert_int_equal(mount_bind(source, absent, &rw, &err), -1);
	assert_non_null(strstr(err.msg, absent));
}

/* A last symbolic link is never followed, so nobody can lead a mount astray. */
static void test_bind_follows_no_link(void **state)
{
	cleanup_free char *link = xasprintf("%s/link", dir);
	struct mount_options rw = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_NO_MOUNT();
	assert_int_equal(symlink("target", link), 0);
	assert_int_equal(mount_bind(source, link, &rw, &err), -1);
	assert_int_equal(mount_bind(link, target, &rw, &err), -1);
	assert_int_equal(count_below(), 0);
	assert_int_equal(unlink(link), 0);
}

static void test_bind_propagation_is_the_parents(void **state)
{
	cleanup_free char *shared = xasprintf("%s/shared", dir);
	cleanup_free char *mirror = xasprintf("%s/mirror", dir);
	cleanup_free char *inner = xasprintf("%s/shared/inner", dir);
	cleanup_free char *mirrored = xasprintf("%s/mirror/inner", dir);
	struct mount_table table cleanup_mount_table = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_NO_MOUNT();
	assert_int_equal(mkdir(shared, 0755) | mkdir(mirror, 0755), 0);
	assert_int_equal(mkdir(inner, 0755), 0);
	assert_int_equal(mount(shared, shared, NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, shared, NULL, MS_SHARED, NULL), 0);
	assert_int_equal(mount(shared, mirror, NULL, MS_BIND, NULL), 0);
	bind_with(source, inner, "ro");
	assert_int_equal(mount_table_read(&table, &err), 0);
	assert_non_null(mount_table_find(&table, mirrored));
	assert_true(mount_table_find(&table, mirrored)->readonly);
	assert_int_equal(mount_unmount_all(inner, &err), 0);
	assert_int_equal(count_below(), 2);
	assert_int_equal(mount_unmount_all(mirror, &err), 0);
	unmount_all(shared);
	assert_int_equal(rmdir(inner) | rmdir(shared) | rmdir(mirror), 0);
}

struct watch {
	atomic_bool stop;
	atomic_int seen_ro;
	atomic_int seen_rw;
};

static void *watch_target(void *arg)
{
	struct watch *watch = arg;

	while (!atomic_load(&watch->stop)) {
		struct mount_table table cleanup_mount_table = { 0 };
		const struct mount_entry *entry;
		struct err err = ERR_INIT;

		if (mount_table_read(&table, &err) < 0)
			continue;
		entry = mount_table_find(&table, target);
		if (entry)
			atomic_fetch_add(entry->readonly ? &watch->seen_ro : &watch->seen_rw, 1);
	}
	return NULL;
}

/* The bind waits until the watcher has looked at it, or each round would prove nothing. */
static void test_bind_ro_never_seen_rw(void **state)
{
	struct watch watch = { 0 };
	pthread_t thread;

	(void)state;
	NEEDS_NO_MOUNT();
	assert_int_equal(pthread_create(&thread, NULL, watch_target, &watch), 0);
	for (int i = 0; i < RACE_ROUNDS; i++) {
		struct err err = ERR_INIT;
		int before = atomic_load(&watch.seen_ro);

		bind_with(source, target, "ro");
		while (atomic_load(&watch.seen_ro) == before && !atomic_load(&watch.seen_rw))
			sched_yield();
		assert_int_equal(mount_unmount(target, &err), 0);
	}
	atomic_store(&watch.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&watch.seen_rw), 0);
	assert_true(atomic_load(&watch.seen_ro) >= RACE_ROUNDS);
}

static void test_unmount_nothing(void **state)
{
	cleanup_free char *absent = xasprintf("%s/absent/deep", dir);
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_NO_MOUNT();
	assert_int_equal(mount_unmount(target, &err), 0);
	assert_int_equal(mount_unmount(absent, &err), 0);
	assert_int_equal(mount_unmount_all(target, &err), 0);
	assert_int_equal(mount_unmount_all(absent, &err), 0);
}

static void test_unmount_stack(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_NO_MOUNT();
	for (int i = 0; i < 4; i++)
		assert_int_equal(mount(source, target, NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount_unmount(target, &err), 0);
	assert_int_equal(count_below(), 3);
	unmount_all(target);
}

/* Of what usually has a block device, so that the kernel is asked for this mount alone. */
static void test_bind_of_a_disk(void **state)
{
	struct mount_options options = { .readonly = true };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	bind_with("/usr", target, "ro,nosuid");
	assert_int_equal(create_in_target(), EROFS);
	assert_int_equal(mount_bind("/usr", target, &options, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "mount point already"));
	assert_int_equal(count_below(), 1);
	options.readonly = false;
	assert_int_equal(mount_bind(target, source, &options, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "read-write was asked for"));
	unmount_all(target);
}

static void test_unmount_busy(void **state)
{
	cleanup_free char *path = xasprintf("%s/file", target);
	struct err err = ERR_INIT;
	int fd;

	(void)state;
	NEEDS_NO_MOUNT();
	bind_with(source, target, "");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(mount_unmount(target, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, target));
	assert_int_equal(mount_unmount_all(target, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	close(fd);
	unmount_all(target);
}

/* A mount point hidden below another mount cannot be unmounted, and that is not called success. */
static void test_unmount_hidden(void **state)
{
	cleanup_free char *inner = xasprintf("%s/inner", source);
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_NO_MOUNT();
	assert_int_equal(mkdir(inner, 0755), 0);
	assert_int_equal(mount("inner", inner, "tmpfs", 0, NULL), 0);
	assert_int_equal(mount("cover", source, "tmpfs", 0, NULL), 0);
	assert_int_equal(mount_unmount_all(inner, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_int_equal(mount_unmount(source, &err), 0);
	unmount_all(inner);
	assert_int_equal(rmdir(inner), 0);
}

static void test_device_refuses_files(void **state)
{
	struct mount_options rw = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_NO_MOUNT();
	assert_int_equal(mount_device(file, target, "ext4", &rw, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "not a block device"));
}

static void test_released_when_gone(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(mount_device_released("/dev/nvme999n1", "nvme999n1", &err), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bind_rw),
		cmocka_unit_test(test_bind_ro_beside_rw),
		cmocka_unit_test(test_bind_that_is_not_ro_is_undone),
		cmocka_unit_test(test_bind_file_ro),
		cmocka_unit_test(test_bind_attributes),
		cmocka_unit_test(test_bind_never_escalates),
		cmocka_unit_test(test_bind_refuses_stacking),
		cmocka_unit_test(test_bind_errors_name_paths),
		cmocka_unit_test(test_bind_follows_no_link),
		cmocka_unit_test(test_bind_propagation_is_the_parents),
		cmocka_unit_test(test_bind_ro_never_seen_rw),
		cmocka_unit_test(test_unmount_nothing),
		cmocka_unit_test(test_unmount_stack),
		cmocka_unit_test(test_bind_of_a_disk),
		cmocka_unit_test(test_unmount_busy),
		cmocka_unit_test(test_unmount_hidden),
		cmocka_unit_test(test_device_refuses_files),
		cmocka_unit_test(test_released_when_gone),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
