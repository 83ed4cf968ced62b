/* SPDX-License-Identifier: Apache-2.0 */
/* What files take together that share blocks in part, on an xfs. */
#include "tests/unit/reflink_fixture.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

#include "nvme/target/space.h"

#define BLOCK 4096

static int open_file(const char *name)
{
	cleanup_free char *path = xasprintf("%s/fast/%s", dir, name);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void write_blocks(int fd, unsigned first, unsigned count)
{
	char block[BLOCK];

	memset(block, 'x', sizeof(block));
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(pwrite(fd, block, BLOCK, (off_t)(first + i) * BLOCK), BLOCK);
	assert_int_equal(fsync(fd), 0);
}

static void share(int from, unsigned first, unsigned count, int to, unsigned at)
{
	struct file_clone_range range = { .src_fd = from,
					  .src_offset = (uint64_t)first * BLOCK,
					  .src_length = (uint64_t)count * BLOCK,
					  .dest_offset = (uint64_t)at * BLOCK };

	assert_int_equal(ioctl(to, FICLONERANGE, &range), 0);
	assert_int_equal(fsync(to), 0);
}

/* Blocks of all these together. */
static uint64_t blocks_of(const int fds[], size_t count)
{
	cleanup_space struct space space = { 0 };
	struct err err = ERR_INIT;

	for (size_t i = 0; i < count; i++)
		assert_ok(space_add(&space, fds[i], 1 << 20, &err), &err);
	return space_bytes(&space) / BLOCK;
}

static void test_parts(void **state)
{
	cleanup_close int a = -1, b = -1, c = -1;

	(void)state;
	NEEDS_MOUNT();
	a = open_file("a");
	b = open_file("b");
	c = open_file("c");
	write_blocks(a, 0, 16);
	assert_int_equal(blocks_of((int[]) { a }, 1), 16);
	share(a, 0, 16, b, 0);
	assert_int_equal(blocks_of((int[]) { a, b }, 2), 16);
	/* Parts, in another order and at other places, of extents that others share otherwise. */
	share(a, 8, 8, c, 0);
	share(a, 4, 8, c, 16);
	assert_int_equal(blocks_of((int[]) { a, b, c }, 3), 16);
	assert_int_equal(blocks_of((int[]) { c }, 1), 12);
	assert_int_equal(blocks_of((int[]) { c, c, c }, 3), 12);
	write_blocks(a, 6, 4);
	assert_int_equal(blocks_of((int[]) { a, b, c }, 3), 20);
	assert_int_equal(blocks_of((int[]) { b, a }, 2), 20);
	assert_int_equal(ftruncate(a, 0), 0);
	assert_int_equal(blocks_of((int[]) { a, b, c }, 3), 16);
}

/* More extents than are asked for at once; holes and nothing at all. */
static void test_many_extents(void **state)
{
	cleanup_close int a = -1, b = -1, none = -1;

	(void)state;
	NEEDS_MOUNT();
	a = open_file("a");
	b = open_file("b");
	none = open_file("none");
	/* Else xfs allocates more than is written at its end. */
	assert_int_equal(ftruncate(a, 10 << 20), 0);
	for (unsigned i = 0; i < 600; i++)
		assert_int_equal(pwrite(a, "x", 1, (off_t)i * 4 * BLOCK), 1);
	assert_int_equal(fsync(a), 0);
	assert_int_equal(ioctl(b, FICLONE, a), 0);
	{
		cleanup_space struct space space = { 0 };
		struct err err = ERR_INIT;

		assert_ok(space_add(&space, a, 10 << 20, &err), &err);
		assert_ok(space_add(&space, b, 10 << 20, &err), &err);
		assert_int_equal(space.own_bytes, 0);
		assert_int_equal(space_bytes(&space) / BLOCK, 600);
	}
	assert_int_equal(blocks_of((int[]) { none }, 1), 0);
}

/* Blocks that the file alone has; -1: not told. */
static int64_t own_blocks(int fd, uint64_t within_ms)
{
	struct err err = ERR_INIT;
	uint64_t bytes = 0;
	int r = space_own(fd, deadline_after_ms(within_ms), &bytes, &err);

	assert_true(r >= 0);
	return r ? (int64_t)(bytes / BLOCK) : -1;
}

static void test_own(void **state)
{
	cleanup_close int a = -1, b = -1, c = -1, slow = -1;

	(void)state;
	NEEDS_MOUNT();
	a = open_file("a");
	b = open_file("b");
	c = open_file("c");
	assert_int_equal(own_blocks(a, 10000), 0);
	write_blocks(a, 0, 16);
	assert_int_equal(own_blocks(a, 10000), 16);
	share(a, 0, 16, b, 0);
	assert_int_equal(own_blocks(a, 10000), 0);
	/* What the other one writes anew is nobody else's. */
	write_blocks(a, 6, 4);
	assert_int_equal(own_blocks(b, 10000), 4);
	share(b, 0, 8, c, 0);
	assert_int_equal(own_blocks(b, 10000), 2);
	assert_int_equal(ftruncate(a, 0), 0);
	assert_int_equal(own_blocks(b, 10000), 8);
	assert_int_equal(own_blocks(c, 10000), 0);
	/* Storage that was taken ahead is held, too. */
	assert_int_equal(fallocate(c, 0, 64 * BLOCK, 3 * BLOCK), 0);
	assert_int_equal(own_blocks(c, 10000), 3);
	assert_int_equal(own_blocks(b, 0), -1);
	{
		cleanup_free char *path = xasprintf("%s/slow/x", dir);

		slow = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	}
	assert_int_equal(own_blocks(slow, 10000), -1);
}

/* More ranges than are kept, of copies of one file: none is left out. */
static void test_many_copies(void **state)
{
	cleanup_space struct space space = { 0 };
	cleanup_close int a = -1, b = -1;
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	a = open_file("a");
	b = open_file("b");
	assert_int_equal(ftruncate(a, 10 << 20), 0);
	for (unsigned i = 0; i < 1200; i++)
		assert_int_equal(pwrite(a, "x", 1, (off_t)i * 2 * BLOCK), 1);
	assert_int_equal(fsync(a), 0);
	assert_int_equal(ioctl(b, FICLONE, a), 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_ok(space_add(&space, b, 10 << 20, &err), &err);
	/* The copies have taken all places. */
	write_blocks(a, 1, 1);
	share(a, 1, 1, b, 2 * 1200 - 1);
	assert_ok(space_add(&space, b, 10 << 20, &err), &err);
	assert_int_equal(space_bytes(&space) / BLOCK, 1201);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		REFLINK(test_parts),
		REFLINK(test_many_extents),
		REFLINK(test_own),
		REFLINK(test_many_copies),
	};

	return cmocka_run_group_tests(tests, reflink_group_setup, reflink_group_teardown);
}
