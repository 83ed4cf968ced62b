/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read-only views and device-mapper devices on a made-up kernel: the ioctls of device-mapper and of
 * loop devices are answered here, each can fail, and after every failure the same call succeeds.
 * That no write comes through is seen on real kernels (tests/vm/cases/view.sh).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/target/devnode.h"
#include "nvme/target/dm.h"
#include "nvme/target/view.h"

#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define DM_NUMBER makedev(254, 9)
#define SIZE (1ULL << 20)
#define LOOP 7

static const struct uuid uuid = { UUID };
static int backing = -1;

/* The kernel. */
static struct {
	bool there, running, busy;
	unsigned loop;
	uint64_t sectors, loaded;
	struct stat loop_of; /* what the loop device shows */
	unsigned loop_block;
	bool loop_readonly;
	int taken;  /* times that another process takes the free loop device first */
	dev_t node; /* what /dev/mapper/nvmeot-UUID leads to; 0: there is none */
	int calls, fail_at, fail_errno;
} kernel;

/* Counts a call that can fail. */
static bool fails(void)
{
	if (kernel.fail_at == 0 || ++kernel.calls != kernel.fail_at)
		return false;
	errno = kernel.fail_errno;
	return true;
}

int devnode_ensure(const char *name, mode_t type, dev_t number, struct err *err)
{
	assert_int_equal(type, S_IFBLK);
	assert_string_equal(name, "mapper/nvmeot-" UUID);
	if (fails())
		return err_sys(err, errno, "make the node %s", name);
	kernel.node = number;
	return 0;
}

int devnode_open(const char *name, mode_t type, dev_t number, int flags, int *ret, struct err *err)
{
	assert_int_equal(type, S_IFBLK);
	assert_int_equal(flags, O_RDONLY);
	assert_int_equal(number, makedev(7, LOOP));
	assert_string_equal(name, "loop7");
	if (fails())
		return err_sys(err, errno, "open %s", name);
	*ret = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
}

int devnode_control(const char *name, unsigned minor, const char *what, int *ret, struct err *err)
{
	assert_int_equal(minor, strcmp(name, "loop-control") == 0 ? 237 : 236);
	if (fails())
		return err_set(err, ERR_FAILED_PRECONDITION, "this kernel has no %s", what);
	*ret = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
}

int devnode_remove(const char *name, struct err *err)
{
	if (fails())
		return err_sys(err, errno, "remove %s", name);
	kernel.node = 0;
	return 0;
}

int mkdir(const char *path, mode_t mode)
{
	assert_string_equal(path, "/dev/mapper");
	(void)mode;
	return 0;
}

int access(const char *path, int mode)
{
	assert_string_equal(path, "/sys/class/misc/device-mapper");
	(void)mode;
	return 0;
}

static int fake_table_load(struct dm_ioctl *head)
{
	struct dm_target_spec *spec = (void *)((char *)head + head->data_start);

	assert_int_equal(head->flags & DM_READONLY_FLAG, 0);
	assert_string_equal(spec->target_type, "linear");
	assert_int_equal(sscanf((char *)(spec + 1), "7:%u 0", &kernel.loop), 1);
	kernel.loaded = spec->length;
	return 0;
}

static int fake_table_status(struct dm_ioctl *head)
{
	struct dm_target_spec *spec = (void *)((char *)head + head->data_start);

	head->flags = kernel.running ? DM_ACTIVE_PRESENT_FLAG : 0;
	head->dev = DM_NUMBER;
	head->target_count = kernel.running;
	*spec = (struct dm_target_spec) { .length = kernel.sectors, .target_type = "linear" };
	sprintf((char *)(spec + 1), "7:%u 0", kernel.loop);
	return 0;
}

static int fake_dm(unsigned long command, struct dm_ioctl *head)
{
	assert_string_equal(head->name, "nvmeot-" UUID);
	if (command != DM_DEV_CREATE && !kernel.there) {
		errno = ENXIO;
		return -1;
	}
	switch (command) {
	case DM_DEV_CREATE:
		assert_false(kernel.there);
		kernel.there = true;
		return 0;
	case DM_TABLE_LOAD:
		return fake_table_load(head);
	case DM_DEV_SUSPEND:
		assert_int_equal(head->flags, 0);
		kernel.running = true;
		kernel.sectors = kernel.loaded;
		head->dev = DM_NUMBER;
		return 0;
	case DM_TABLE_STATUS:
		return fake_table_status(head);
	case DM_DEV_REMOVE:
		errno = EBUSY;
		if (kernel.busy)
			return -1;
		kernel.there = kernel.running = false;
		return 0;
	}
	fail_msg("device-mapper command %lx", command);
	return -1;
}

static int fake_loop_configure(const struct loop_config *config)
{
	errno = EBUSY;
	if (kernel.taken-- > 0)
		return -1;
	assert_int_equal(config->info.lo_flags & LO_FLAGS_AUTOCLEAR, LO_FLAGS_AUTOCLEAR);
	kernel.loop_readonly = config->info.lo_flags & LO_FLAGS_READ_ONLY;
	kernel.loop_block = config->block_size;
	return fstat((int)config->fd, &kernel.loop_of);
}

static int fake_loop_status(struct loop_info64 *info)
{
	*info = (struct loop_info64) {
		.lo_device = kernel.loop_of.st_dev,
		.lo_inode = kernel.loop_of.st_ino,
		.lo_flags = kernel.loop_readonly ? LO_FLAGS_READ_ONLY : 0,
	};
	return 0;
}

int ioctl(int fd, unsigned long command, ...)
{
	va_list args;
	void *argument;

	(void)fd;
	va_start(args, command);
	argument = va_arg(args, void *);
	va_end(args);
	if (fails())
		return -1;
	switch (command) {
	case FIGETBSZ:
		*(int *)argument = 16384;
		return 0;
	case LOOP_CTL_GET_FREE:
		return LOOP;
	case LOOP_CONFIGURE:
		return fake_loop_configure(argument);
	case LOOP_GET_STATUS64:
		return fake_loop_status(argument);
	}
	return fake_dm(command, argument);
}

static int setup(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	backing = memfd_create("backing", MFD_CLOEXEC);
	return ftruncate(backing, (off_t)SIZE);
}

static int teardown(void **state)
{
	(void)state;
	return close(backing);
}

static void assert_right(void)
{
	struct stat st;

	assert_int_equal(fstat(backing, &st), 0);
	assert_true(kernel.running);
	assert_true(kernel.loop_readonly);
	assert_int_equal(kernel.sectors, SIZE / 512);
	assert_int_equal(kernel.loop_block, 4096);
	assert_int_equal(kernel.loop_of.st_ino, st.st_ino);
	assert_int_equal(kernel.node, DM_NUMBER);
}

static void ensure(void)
{
	struct err err = ERR_INIT;

	if (view_ensure(&uuid, backing, SIZE, &err) < 0)
		fail_msg("%s", err.msg);
	assert_right();
}

static void test_path(void **state)
{
	char path[PATH_MAX];

	(void)state;
	view_path(&uuid, path);
	assert_string_equal(path, "/dev/mapper/nvmeot-" UUID);
}

static void test_made_once(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	ensure();
	/* In use it can only be left alone. */
	kernel.busy = true;
	kernel.node = 0;
	ensure();
	assert_int_equal(view_remove(&uuid, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "/dev/mapper/nvmeot-" UUID " is in use"));
	kernel.busy = false;
	assert_int_equal(view_remove(&uuid, &err), 0);
	assert_false(kernel.there);
	assert_int_equal(kernel.node, 0);
	assert_int_equal(view_remove(&uuid, &err), 0);
}

/* Whatever is there in its place: it is replaced, or refused when it is in use. */
static void test_wrong_ones_are_replaced(void **state)
{
	struct err err;

	(void)state;
	for (int i = 0; i < 4; i++) {
		ensure();
		if (i == 0)
			kernel.loop_of.st_ino++;
		else if (i == 1)
			kernel.loop_readonly = false;
		else if (i == 2)
			kernel.running = false;
		else
			kernel.sectors *= 2;
		kernel.busy = true;
		assert_int_equal(view_ensure(&uuid, backing, SIZE, &err), -1);
		assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
		kernel.busy = false;
		ensure();
	}
}

static void test_other_processes_take_loop_devices(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	kernel.taken = 3;
	ensure();
	kernel.loop_of.st_ino++;
	kernel.taken = 1000;
	assert_int_equal(view_ensure(&uuid, backing, SIZE, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
}

static void test_each_step_fails_in_turn(void **state)
{
	struct err err;
	int n, points = 0;

	(void)state;
	for (n = 1; n < 100; n++) {
		kernel.calls = 0;
		kernel.fail_at = n;
		kernel.fail_errno = EIO;
		err = ERR_INIT;
		if (view_ensure(&uuid, backing, SIZE, &err) == 0 && kernel.calls < n)
			break;
		points++;
		kernel.fail_at = 0;
		ensure();
		assert_int_equal(view_remove(&uuid, &err), 0);
	}
	assert_true(points > 8);
	for (n = 1; n < 100; n++) {
		kernel.fail_at = 0;
		ensure();
		kernel.calls = 0;
		kernel.fail_at = n;
		if (view_remove(&uuid, &err) == 0)
			break;
		points++;
		kernel.fail_at = 0;
		assert_int_equal(view_remove(&uuid, &err), 0);
		assert_false(kernel.there);
	}
	print_message("each of %d calls failed in turn\n", points);
}

static void test_what_hosts_see_is_never_cut(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(dm_ensure(&uuid, makedev(7, LOOP), 1000, &err), 0);
	assert_int_equal(kernel.sectors, 1000);
	kernel.busy = true;
	assert_int_equal(dm_ensure(&uuid, makedev(7, LOOP), 2000, &err), 0);
	assert_int_equal(kernel.sectors, 2000);
	assert_int_equal(dm_ensure(&uuid, makedev(7, LOOP), 1000, &err), 0);
	assert_int_equal(kernel.sectors, 2000);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_path),
		CASE(test_made_once),
		CASE(test_wrong_ones_are_replaced),
		CASE(test_other_processes_take_loop_devices),
		CASE(test_each_step_fails_in_turn),
		CASE(test_what_hosts_see_is_never_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
