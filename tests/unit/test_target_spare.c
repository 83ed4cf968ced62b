/* SPDX-License-Identifier: Apache-2.0 */
/* Records in a directory that is full: a small tmpfs, in a mount namespace of this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "nvme/target/record.h"
#include "nvme/target/spare.h"
#include "tests/unit/own_mounts.h"

#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"

static char dir[] = "/tmp/test_target_spare.XXXXXX";
static struct root root = { .fd = -1 };
static const struct uuid uuid = { UUID };

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) ? own_mounts() : -1;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

static int setup_one(void **state)
{
	struct err err;

	(void)state;
	if (!may_mount)
		return 0;
	return mount("test", dir, "tmpfs", 0, "size=1m,nr_inodes=64") < 0 ||
			       root_open(&root, dir, &err) < 0 ?
		       -1 :
		       0;
}

static int teardown_one(void **state)
{
	(void)state;
	if (!may_mount)
		return 0;
	root_close(&root);
	return umount(dir);
}

static int spares(void)
{
	int count = 0;

	for (int i = 0; i < 100; i++) {
		struct stat st;
		char name[64];

		snprintf(name, sizeof(name), SPARE_PREFIX "%d", i);
		if (fstatat(root.fd, name, &st, 0) < 0)
			continue;
		assert_true(st.st_blocks * 512 >= SPARE_BYTES);
		count++;
	}
	return count;
}

static void fill_space(void)
{
	cleanup_close int fd =
		openat(root.fd, "filler", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	static const char block[4096] = { 1 };

	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
}

static void fill_inodes(void)
{
	for (int i = 0;; i++) {
		char name[32];
		cleanup_close int fd = -1;

		snprintf(name, sizeof(name), "file-%d", i);
		fd = openat(root.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			break;
	}
	assert_int_equal(errno, ENOSPC);
}

static struct volume sample(void)
{
	return (struct volume) {
		.uuid = uuid,
		.name = xstrdup("full"),
		.size_bytes = 4096,
		.state = VOLUME_READY,
	};
}

static void test_made_once(void **state)
{
	(void)state;
	NEEDS_MOUNT();
	assert_int_equal(spares(), 0);
	for (int i = 0; i < 2; i++) {
		spare_fill(&root);
		assert_int_equal(spares(), SPARE_COUNT);
	}
	for (int i = 0; i < SPARE_COUNT; i++)
		assert_true(spare_give(&root));
	assert_false(spare_give(&root));
	assert_int_equal(spares(), 0);
}

static void test_none_where_there_is_no_space(void **state)
{
	struct err err;

	(void)state;
	NEEDS_MOUNT();
	fill_space();
	spare_fill(&root);
	assert_int_equal(spares(), 0);
	assert_int_equal(root_unlink(&root, &err, "filler"), 0);
	spare_fill(&root);
	assert_int_equal(spares(), SPARE_COUNT);
}

/* One volume after the other goes, while what each gives back is taken at once by others. */
static void test_full_directory(void **state)
{
	cleanup_volume struct volume volume = sample(), back = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	spare_fill(&root);
	assert_int_equal(record_save(&root, &volume, &err), 0);
	fill_space();
	for (int i = 0; i < SPARE_COUNT; i++) {
		volume.size_bytes += 4096;
		assert_int_equal(record_save(&root, &volume, &err), 0);
		fill_space();
	}
	assert_int_equal(record_load(&root, &uuid, &back, &err), 1);
	assert_int_equal(back.size_bytes, volume.size_bytes);
	assert_int_equal(record_remove(&root, &uuid, &err), 0);

	/* That others have taken all of them is an error, until there is space again. */
	fill_space();
	while (spare_give(&root))
		;
	fill_space();
	assert_int_equal(record_save(&root, &volume, &err), -1);
	assert_int_equal(err.sys, ENOSPC);
	assert_int_equal(root_unlink(&root, &err, "filler"), 0);
	assert_int_equal(record_save(&root, &volume, &err), 0);
	assert_int_equal(spares(), SPARE_COUNT);
	assert_int_equal(record_remove(&root, &uuid, &err), 0);
}

static void test_no_inodes(void **state)
{
	cleanup_volume struct volume volume = sample();
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_int_equal(record_save(&root, &volume, &err), 0);
	fill_inodes();
	for (int i = 0; i < 3; i++)
		assert_int_equal(record_save(&root, &volume, &err), 0);
	assert_int_equal(record_remove(&root, &uuid, &err), 0);
	assert_true(spares() >= SPARE_COUNT - 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup_one, teardown_one)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_made_once),
		CASE(test_none_where_there_is_no_space),
		CASE(test_full_directory),
		CASE(test_no_inodes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
