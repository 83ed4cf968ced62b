/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop device on a sparse file and two directories to mount it at, in a mount namespace of our
 * own; and the calls of csi/volume that must succeed or must be refused. Needs root.
 */
#ifndef TESTS_VM_VOLUME_FIXTURE_H
#define TESTS_VM_VOLUME_FIXTURE_H

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
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "csi/volume/fs.h"
#include "csi/volume/mount.h"
#include "nvme/base/proc.h"

#define SIZE (UINT64_C(320) << 20)

static char dir[] = "/tmp/volume.XXXXXX";
static char image[PATH_MAX], device[64], stage[PATH_MAX], target[PATH_MAX];

static inline int run(const char *const argv[], char *out, size_t size)
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

static inline int attach_image(const char *file, char ret_device[64])
{
	return run((const char *const[]) { "losetup", "--show", "-f", file, NULL }, ret_device, 64);
}

static inline int setup_group(void **state)
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

static inline int teardown_group(void **state)
{
	(void)state;
	return rmdir(stage) || rmdir(target) || rmdir(dir) ? -1 : 0;
}

static inline int setup(void **state)
{
	int fd = open(image, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	(void)state;
	if (fd < 0 || ftruncate(fd, (off_t)SIZE) < 0)
		return -1;
	close(fd);
	return attach_image(image, device);
}

static inline int teardown(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (mount_unmount_all(target, &err) < 0 || mount_unmount_all(stage, &err) < 0) {
		print_error("%s\n", err.msg);
		return -1;
	}
	return RUN("losetup", "-d", device) < 0 || unlink(image) < 0 ? -1 : 0;
}

static inline void make(const char *fs)
{
	struct err err = ERR_INIT;

	if (fs_make(fs_find(fs), device, NULL, false, deadline_after_ms(60000), &err) < 0)
		fail_msg("%s", err.msg);
}

static inline int try_mount(const char *where, const char *fs, const char *options, struct err *err)
{
	struct mount_options parsed;

	assert_int_equal(mount_options_parse(options, &parsed, err), 0);
	return mount_device(device, where, fs, &parsed, err);
}

static inline void must_mount(const char *where, const char *fs, const char *options)
{
	struct err err = ERR_INIT;

	if (try_mount(where, fs, options, &err) < 0)
		fail_msg("%s", err.msg);
}

static inline void bind_ro(const char *from, const char *to)
{
	struct mount_options ro = { .readonly = true };
	struct err err = ERR_INIT;

	if (mount_bind(from, to, &ro, &err) < 0)
		fail_msg("%s", err.msg);
}

static inline void must_unmount(const char *where)
{
	struct err err = ERR_INIT;

	if (mount_unmount_all(where, &err) < 0)
		fail_msg("%s", err.msg);
}

/* The refusal: its code, a word of its message, and that nothing came to be at that place. */
static inline void expect_refused(const char *where, const char *fs, const char *options,
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

static inline int released(void)
{
	struct err err = ERR_INIT;

	return mount_device_released(device, strrchr(device, '/') + 1, &err);
}

static inline int create_in(const char *where)
{
	cleanup_free char *path = xasprintf("%s/new", where);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	return fd < 0 ? errno : close(fd);
}

static inline void expect_entry(const char *where, const char *fs, bool readonly, bool sb_readonly)
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

static inline bool kernel_is_before(int major, int minor)
{
	struct utsname name;
	int have[2];

	assert_int_equal(uname(&name), 0);
	assert_int_equal(sscanf(name.release, "%d.%d", &have[0], &have[1]), 2);
	return have[0] < major || (have[0] == major && have[1] < minor);
}

#define DEVICE_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

#endif
