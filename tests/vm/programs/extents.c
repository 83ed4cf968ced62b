/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extents DIR ROUNDS exact|coarse|packed: a file in DIR is changed at random and cloned, round
 * after round; what is told to differ, applied to a copy of the clone before, makes it the new
 * clone byte for byte. So does what differs from the clone of ten rounds ago, when those between
 * are gone and their storage is in use again, and what has data, applied to zeros. exact: no block
 * is told that was not touched. packed: the file system compresses, which btrfs does not do to a
 * file with storage that was allocated ahead; what is compressed is always told.
 *
 * extents list FILE [BASE]: "OFFSET LENGTH" of each range.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/target/extents.h"

#define BLOCK ((size_t)EXTENTS_BLOCK_BYTES)
#define BEGIN_BYTES ((size_t)12 << 20)
#define GROWN_BYTES ((size_t)16 << 20)
#define CHANGE_MAX ((size_t)96 << 10)
#define FAR 10 /* rounds */

static const char *dir;
static unsigned long rounds;
static bool exact, packed;

static struct {
	int fd, direct_fd;
	size_t bytes;
	bool touched[GROWN_BYTES / BLOCK]; /* since the clone before */
	size_t told_bytes, touched_bytes;
} live;

static unsigned char *noise; /* CHANGE_MAX bytes, aligned for O_DIRECT */

static size_t below(size_t n)
{
	return (size_t)random() % n;
}

static void path_of(unsigned long round, char out[256])
{
	snprintf(out, 256, "%s/clone-%lu", dir, round);
}

static void must(bool good, const char *what)
{
	if (!good)
		fail_msg("%s: %s", what, strerror(errno));
}

static void touch(size_t at, size_t length)
{
	for (size_t i = at / BLOCK; i <= (at + length - 1) / BLOCK; i++)
		live.touched[i] = true;
}

/* Different each time, and yet what compresses well. */
static void renew_noise(void)
{
	long run = 0;

	for (size_t i = 0; i < CHANGE_MAX; i += sizeof(long)) {
		run = i % 512 ? run : random();
		*(long *)(noise + i) = run;
	}
}

/* One change of any kind, of any bytes or of whole blocks. */
static void change(void)
{
	size_t at = below(live.bytes - CHANGE_MAX), length = 1 + below(CHANGE_MAX);
	size_t whole = (length + BLOCK - 1) / BLOCK * BLOCK;
	struct file_clone_range range = { .src_fd = live.fd,
					  .src_offset = below(live.bytes / 2) / BLOCK * BLOCK,
					  .src_length = whole };

	renew_noise();
	switch (packed ? 4 + below(4) : below(8)) {
	case 0:
		memset(noise, 0, length);
		must(pwrite(live.fd, noise, length, (off_t)at) == (ssize_t)length, "write zeros");
		break;
	case 1:
		must(fallocate(live.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
			       (off_t)length) == 0,
		     "punch a hole");
		break;
	case 2:
		must(fallocate(live.fd, 0, (off_t)at, (off_t)length) == 0, "allocate");
		break;
	case 3:
		must(fallocate(live.fd, FALLOC_FL_ZERO_RANGE, (off_t)at, (off_t)length) == 0,
		     "make zeros");
		break;
	case 4:
		/* Storage of the file at another place of the same file. */
		at = (live.bytes / 2 + below(live.bytes / 2 - 2 * CHANGE_MAX)) / BLOCK * BLOCK;
		length = whole;
		range.dest_offset = at;
		if (range.src_offset + whole > at)
			range.src_offset = 0;
		must(ioctl(live.fd, FICLONERANGE, &range) == 0, "clone a range");
		break;
	case 5:
		length = 1 + below(BLOCK);
		must(pwrite(live.fd, noise, length, (off_t)at) == (ssize_t)length,
		     "write a little");
		break;
	case 6:
		at -= at % BLOCK;
		length = whole;
		must(pwrite(live.direct_fd, noise, length, (off_t)at) == (ssize_t)length,
		     "write past the page cache");
		break;
	default:
		must(pwrite(live.fd, noise, length, (off_t)at) == (ssize_t)length, "write");
	}
	touch(at, length);
}

static int clone_live(unsigned long round)
{
	char path[256];
	int fd;

	path_of(round, path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	must(fd >= 0 && ioctl(fd, FICLONE, live.fd) == 0, path);
	return fd;
}

/* Brings a copy of base to what fd is, by what is told alone. Returns the bytes told. */
static size_t apply(int fd, int base_fd, unsigned char *copy)
{
	const struct extents_file file = { .fd = fd, .path = "clone" };
	const struct extents_file base = { .fd = base_fd, .path = "base" };
	struct extent items[7];
	struct extents list = { .items = items, .max = 1 + below(ARRAY_SIZE(items)) };
	struct err err = ERR_INIT;
	size_t told = 0;

	do {
		if (extents_read(&file, base_fd < 0 ? NULL : &base, list.next_bytes, &list, &err) <
		    0)
			fail_msg("%s", err.msg);
		for (size_t i = 0; i < list.count; i++) {
			size_t at = items[i].offset_bytes, length = items[i].length_bytes;

			must(pread(fd, copy + at, length, (off_t)at) == (ssize_t)length, "read");
			assert_int_equal(at % BLOCK, 0);
			assert_int_equal(length % BLOCK, 0);
			told += length;
		}
	} while (list.next_bytes < list.size_bytes);
	return told;
}

static void check_equal(int fd, const unsigned char *copy, const char *what, unsigned long round)
{
	const unsigned char *now = mmap(NULL, live.bytes, PROT_READ, MAP_SHARED, fd, 0);

	must(now != MAP_FAILED, "map the clone");
	for (size_t i = 0; i < live.bytes; i += BLOCK)
		if (memcmp(now + i, copy + i, BLOCK) != 0)
			fail_msg("round %lu: byte %zu and on differ: %s", round, i, what);
	munmap((void *)now, live.bytes);
}

static void drop(unsigned long round, int fd)
{
	char path[256];

	path_of(round, path);
	must(close(fd) == 0 && unlink(path) == 0, path);
}

static void check_touched(size_t told)
{
	size_t touched = 0;

	for (size_t i = 0; i < GROWN_BYTES / BLOCK; i++)
		touched += live.touched[i] ? BLOCK : 0;
	live.told_bytes += told;
	live.touched_bytes += touched;
	memset(live.touched, 0, sizeof(live.touched));
	if (exact && told > touched)
		fail_msg("%zu bytes are told, %zu were touched", told, touched);
}

static void one_round(unsigned long round, int *before, int *far, unsigned char *copy,
		      unsigned char *far_copy, unsigned char *zeros)
{
	int now;

	if (round == rounds / 2) {
		must(ftruncate(live.fd, GROWN_BYTES) == 0, "grow");
		live.bytes = GROWN_BYTES;
	}
	for (size_t i = below(16); i > 0; i--)
		change();
	now = clone_live(round);
	check_touched(apply(now, *before, copy));
	check_equal(now, copy, "the changes of the last round", round);
	if (*before != *far)
		drop(round - 1, *before);
	*before = now;
	if (round % FAR)
		return;
	apply(now, *far, far_copy);
	check_equal(now, far_copy, "the changes of ten rounds", round);
	memset(zeros, 0, GROWN_BYTES);
	apply(now, -1, zeros);
	check_equal(now, zeros, "all that has data", round);
	drop(round - FAR, *far);
	*far = now;
}

static void test_rounds(void **state)
{
	unsigned char *copy = xcalloc(1, GROWN_BYTES), *far_copy = xcalloc(1, GROWN_BYTES);
	unsigned char *zeros = xcalloc(1, GROWN_BYTES);
	char path[256];
	int before, far;

	(void)state;
	snprintf(path, sizeof(path), "%s/live", dir);
	live.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	live.direct_fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	live.bytes = BEGIN_BYTES;
	must(live.direct_fd >= 0 && ftruncate(live.fd, (off_t)live.bytes) == 0, path);
	before = far = clone_live(0);
	for (unsigned long round = 1; round <= rounds; round++)
		one_round(round, &before, &far, copy, far_copy, zeros);
	if (packed)
		assert_true(live.told_bytes > live.touched_bytes);
	printf("%lu rounds: %zu KiB told, %zu KiB touched\n", rounds, live.told_bytes >> 10,
	       live.touched_bytes >> 10);
	close(before);
	if (far != before)
		close(far);
	close(live.fd);
	close(live.direct_fd);
	free(copy);
	free(far_copy);
	free(zeros);
}

static int list_ranges(const char *path, const char *base_path)
{
	struct extents_file file = { .fd = open(path, O_RDONLY | O_CLOEXEC), .path = path };
	struct extents_file base = { .fd = base_path ? open(base_path, O_RDONLY | O_CLOEXEC) : -1,
				     .path = base_path };
	struct extent items[256];
	struct extents list = { .items = items, .max = ARRAY_SIZE(items) };
	struct err err = ERR_INIT;

	do {
		if (extents_read(&file, base_path ? &base : NULL, list.next_bytes, &list, &err) <
		    0) {
			fprintf(stderr, "%s: %s\n", err_code_name(err.code), err.msg);
			return EXIT_FAILURE;
		}
		for (size_t i = 0; i < list.count; i++)
			printf("%" PRIu64 " %" PRIu64 "\n", items[i].offset_bytes,
			       items[i].length_bytes);
	} while (list.next_bytes < list.size_bytes);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rounds) };
	unsigned long seed;

	if (argc >= 3 && strcmp(argv[1], "list") == 0)
		return list_ranges(argv[2], argv[3]);
	if (argc != 4)
		return 2;
	dir = argv[1];
	rounds = strtoul(argv[2], NULL, 10);
	exact = strcmp(argv[3], "exact") == 0;
	packed = strcmp(argv[3], "packed") == 0;
	seed = getenv("SEED") ? strtoul(getenv("SEED"), NULL, 10) : (unsigned long)time(NULL);
	srandom((unsigned)seed);
	printf("SEED=%lu\n", seed);
	noise = aligned_alloc(BLOCK, CHANGE_MAX);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
