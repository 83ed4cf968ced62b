/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has data and what differs, by made-up maps of two files: every flag, other bounds of extents,
 * blocks that are smaller than ours, files of other sizes, lists that are full, maps that change
 * between two readings, maps that make no sense; and random ones against a block by block model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/target/extents.h"
#include "nvme/target/pool.h"

#define K UINT64_C(1024)
#define BLOCK ((uint64_t)EXTENTS_BLOCK_BYTES)
#define TIB (UINT64_C(1) << 40)
#define MANY 300000

/* A file as its file system maps it. */
struct fake {
	int fd;
	struct fiemap_extent *extents;
	size_t count;
	size_t readings;
	size_t moves_at; /* the place of its first extent changes before this reading; 0: never */
};

static struct fake newer, older;
static int fails; /* with this errno */
static long fs_type;

static struct fake *fake_of(int fd)
{
	return fd == newer.fd ? &newer : &older;
}

int fstatfs(int fd, struct statfs *buf)
{
	(void)fd;
	buf->f_type = fs_type;
	return 0;
}

/* As FS_IOC_FIEMAP: whole extents that touch the range, as many as there is room for. */
int ioctl(int fd, unsigned long request, ...)
{
	struct fake *f = fake_of(fd);
	struct fiemap *map;
	va_list args;

	va_start(args, request);
	map = va_arg(args, struct fiemap *);
	va_end(args);
	assert_int_equal(request, FS_IOC_FIEMAP);
	assert_int_equal(map->fm_flags, FIEMAP_FLAG_SYNC);
	if (fails) {
		errno = fails;
		return -1;
	}
	if (++f->readings == f->moves_at)
		f->extents[0].fe_physical += 1000 * BLOCK;
	map->fm_mapped_extents = 0;
	for (size_t i = 0; i < f->count && map->fm_mapped_extents < map->fm_extent_count; i++)
		if (f->extents[i].fe_logical + f->extents[i].fe_length > map->fm_start &&
		    f->extents[i].fe_logical < map->fm_start + map->fm_length)
			map->fm_extents[map->fm_mapped_extents++] = f->extents[i];
	return 0;
}

static void fake_init(struct fake *f, uint64_t size_bytes)
{
	*f = (struct fake) { .fd = memfd_create("file", MFD_CLOEXEC) };
	f->extents = xcalloc(MANY, sizeof(*f->extents));
	assert_int_equal(ftruncate(f->fd, (off_t)size_bytes), 0);
}

static void has(struct fake *f, uint64_t start, uint64_t length, uint64_t place, uint32_t flags)
{
	f->extents[f->count++] = (struct fiemap_extent) {
		.fe_logical = start, .fe_length = length, .fe_physical = place, .fe_flags = flags
	};
}

static int setup(void **state)
{
	(void)state;
	fails = 0;
	fs_type = XFS_SUPER_MAGIC;
	fake_init(&newer, TIB);
	fake_init(&older, TIB);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(newer.extents);
	free(older.extents);
	return close(newer.fd) | close(older.fd);
}

static int read_list(bool delta, uint64_t start, struct extents *ret, struct err *err)
{
	const struct extents_file file = { .fd = newer.fd, .path = "/pool/new.img" };
	const struct extents_file base = { .fd = older.fd, .path = "/pool/old.img" };

	return extents_read(&file, delta ? &base : NULL, start, ret, err);
}

/* The whole list as text, "OFFSET+LENGTH …" in KiB, in as many calls as it takes. */
static const char *list(bool delta, uint64_t start, size_t max)
{
	static char text[8192];
	struct extent items[64];
	struct extents got = { .items = items, .max = max };
	struct err err = ERR_INIT;
	uint64_t told = 0;

	text[0] = '\0';
	do {
		if (read_list(delta, start, &got, &err) < 0)
			fail_msg("%s", err.msg);
		assert_true(got.count <= max);
		for (size_t i = 0; i < got.count; i++) {
			assert_true(items[i].offset_bytes >= told && items[i].length_bytes > 0);
			told = items[i].offset_bytes + items[i].length_bytes;
			sprintf(text + strlen(text), "%s%llu+%llu", *text ? " " : "",
				(unsigned long long)(items[i].offset_bytes / K),
				(unsigned long long)(items[i].length_bytes / K));
		}
		assert_true(got.next_bytes >= told);
		assert_true(got.next_bytes > start || start == got.size_bytes);
		start = got.next_bytes;
	} while (start < got.size_bytes);
	return text;
}

static void test_allocated(void **state)
{
	(void)state;
	assert_string_equal(list(false, 0, 64), "");
	assert_int_equal(newer.readings, 1);
	has(&newer, 8 * K, 8 * K, 800 * K, 0);
	has(&newer, 16 * K, 4 * K, 100 * K, FIEMAP_EXTENT_SHARED);
	has(&newer, 20 * K, 4 * K, 104 * K, FIEMAP_EXTENT_UNWRITTEN);
	has(&newer, 40 * K, 4 * K, 0, FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC);
	has(&newer, 60 * K, 4 * K, 120 * K, FIEMAP_EXTENT_ENCODED);
	has(&newer, 80 * K, 4 * K, 140 * K, FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_SHARED);
	has(&newer, TIB - 4 * K, 4 * K, 160 * K, FIEMAP_EXTENT_LAST);
	assert_string_equal(list(false, 0, 64), "8+12 40+4 60+4 1073741820+4");
}

/* What both have at one place, and no flag casts doubt on. */
static void test_same(void **state)
{
	static const uint32_t plain[] = { 0, FIEMAP_EXTENT_SHARED, FIEMAP_EXTENT_LAST,
					  FIEMAP_EXTENT_MERGED };
	static const uint32_t doubtful[] = { FIEMAP_EXTENT_UNKNOWN,
					     FIEMAP_EXTENT_DELALLOC,
					     FIEMAP_EXTENT_ENCODED,
					     FIEMAP_EXTENT_DATA_ENCRYPTED,
					     FIEMAP_EXTENT_NOT_ALIGNED,
					     FIEMAP_EXTENT_DATA_INLINE,
					     FIEMAP_EXTENT_DATA_TAIL,
					     1U << 30,
					     FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_UNKNOWN };

	(void)state;
	has(&newer, 8 * K, 8 * K, 800 * K, 0);
	has(&older, 8 * K, 8 * K, 800 * K, 0);
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		newer.extents[0].fe_flags = plain[i];
		assert_string_equal(list(true, 0, 64), "");
	}
	for (size_t i = 0; i < ARRAY_SIZE(doubtful); i++) {
		newer.extents[0].fe_flags = older.extents[0].fe_flags = doubtful[i];
		assert_string_equal(list(true, 0, 64), "8+8");
		older.extents[0].fe_flags = 0;
		assert_string_equal(list(true, 0, 64), "8+8");
	}
	newer.extents[0].fe_flags = 0;
	older.extents[0].fe_physical = 804 * K;
	assert_string_equal(list(true, 0, 64), "8+8");
}

static void test_zeros(void **state)
{
	(void)state;
	/* Never written in one, in the other a hole, or never written elsewhere. */
	has(&newer, 8 * K, 8 * K, 800 * K, FIEMAP_EXTENT_UNWRITTEN);
	has(&newer, 40 * K, 8 * K, 900 * K, FIEMAP_EXTENT_UNWRITTEN);
	has(&older, 40 * K, 8 * K, 990 * K, FIEMAP_EXTENT_UNWRITTEN);
	assert_string_equal(list(true, 0, 64), "");
	/* At one place, but written in one of them only. */
	older.extents[0].fe_physical = 900 * K;
	older.extents[0].fe_flags = 0;
	assert_string_equal(list(true, 0, 64), "40+8");
	/* Data that is a hole now. */
	has(&older, 100 * K, 4 * K, 100 * K, 0);
	assert_string_equal(list(true, 0, 64), "40+8 100+4");
}

/* The maps cut the same storage at other bounds. */
static void test_other_bounds(void **state)
{
	(void)state;
	has(&older, 0, 64 * K, 1000 * K, 0);
	has(&newer, 0, 16 * K, 1000 * K, 0);
	has(&newer, 16 * K, 8 * K, 1016 * K, 0);
	has(&newer, 24 * K, 4 * K, 5000 * K, 0);
	has(&newer, 28 * K, 4 * K, 5004 * K, 0);
	has(&newer, 32 * K, 16 * K, 1032 * K, 0);
	has(&newer, 48 * K, 20 * K, 1052 * K, 0); /* shifted */
	assert_string_equal(list(true, 0, 64), "24+8 48+20");
	assert_string_equal(list(true, 0, 1), "24+8 48+20");
	assert_string_equal(list(true, 28 * K, 64), "28+4 48+20");
	assert_string_equal(list(true, 28 * K + 5, 64), "28+4 48+20");
	assert_string_equal(list(true, 32 * K, 64), "48+20");
	assert_string_equal(list(true, 50 * K, 64), "48+20");
	assert_string_equal(list(true, TIB, 64), "");
}

/* A file system with blocks of 1 KiB. */
static void test_small_blocks(void **state)
{
	(void)state;
	has(&newer, 1 * K, 1 * K, 1000 * K, 0);
	has(&newer, 3 * K, 1 * K, 2000 * K, 0);
	has(&newer, 7 * K, 2 * K, 3000 * K, 0);
	has(&newer, 17 * K, 1 * K, 4000 * K, 0);
	has(&newer, 19 * K, 1 * K, 5000 * K, 0);
	assert_string_equal(list(false, 0, 64), "0+12 16+4");
	assert_string_equal(list(false, 0, 1), "0+12 16+4");
	assert_string_equal(list(true, 3 * K, 1), "0+12 16+4");
	assert_string_equal(list(true, 18 * K, 1), "16+4");
}

static void test_sizes(void **state)
{
	(void)state;
	assert_int_equal(ftruncate(newer.fd, (off_t)(64 * K)), 0);
	assert_int_equal(ftruncate(older.fd, (off_t)(32 * K)), 0);
	has(&newer, 28 * K, 8 * K, 1028 * K, 0);
	has(&newer, 60 * K, 8 * K, 1060 * K, 0); /* beyond the end, too */
	has(&older, 28 * K, 4 * K, 1028 * K, 0);
	assert_string_equal(list(true, 0, 64), "32+4 60+4");
	assert_int_equal(ftruncate(older.fd, (off_t)TIB), 0);
	has(&older, 80 * K, 8 * K, 1080 * K, 0);
	assert_string_equal(list(true, 0, 64), "32+4 60+4");
	assert_string_equal(list(true, 64 * K, 64), "");
}

/* One call neither keeps nor looks at more than so much of files in very many pieces. */
static void test_many(void **state)
{
	struct extent items[4];
	struct extents got = { .items = items, .max = 4 };
	struct err err = ERR_INIT;
	size_t calls = 0;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		has(&newer, i * 2 * BLOCK, BLOCK, (MANY - i) * BLOCK, 0);
		has(&older, i * 2 * BLOCK, BLOCK, (MANY - i) * BLOCK, 0);
	}
	newer.extents[MANY - 1].fe_physical = 7 * MANY * BLOCK;
	for (uint64_t at = 0; at < TIB; at = got.next_bytes, calls++) {
		newer.readings = older.readings = 0;
		assert_int_equal(read_list(true, at, &got, &err), 0);
		assert_in_range(newer.readings, 1, 128);
		assert_in_range(older.readings, 1, 64);
		assert_int_equal(got.size_bytes, TIB);
		if (got.next_bytes < TIB)
			assert_int_equal(got.count, 0);
	}
	assert_in_range(calls, 2, 12);
	assert_int_equal(got.count, 1);
	assert_int_equal(items[0].offset_bytes, (MANY - 1) * 2 * BLOCK);
	assert_int_equal(items[0].length_bytes, BLOCK);
}

/* What is moved between the two readings of the first file is told as a whole. */
static void test_moved(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3000; i++) {
		has(&newer, i * 2 * BLOCK, BLOCK, (3000 - i) * BLOCK, 0);
		has(&older, i * 2 * BLOCK, BLOCK, (3000 - i) * BLOCK, 0);
	}
	assert_string_equal(list(true, 0, 64), "");
	newer.readings = 0;
	newer.moves_at = 2;
	assert_string_equal(list(true, 0, 64), "0+4092");
	newer.moves_at = 0;
	assert_string_equal(list(true, 0, 64), "0+4");
}

static void test_failures(void **state)
{
	static const struct {
		int sys;
		enum err_code code;
	} known[] = { { EOPNOTSUPP, ERR_FAILED_PRECONDITION },
		      { ENOTTY, ERR_FAILED_PRECONDITION },
		      { EBADR, ERR_FAILED_PRECONDITION },
		      { EIO, ERR_INTERNAL } };
	struct extent item;
	struct extents got = { .items = &item, .max = 1 };
	struct err err;

	(void)state;
	assert_int_equal(read_list(true, TIB + 1, &got, &err), -1);
	assert_int_equal(err.code, ERR_OUT_OF_RANGE);
	assert_non_null(strstr(err.msg, "1099511627777"));
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		fails = known[i].sys;
		assert_int_equal(read_list(true, 0, &got, &err), -1);
		assert_int_equal(err.code, known[i].code);
		assert_non_null(strstr(err.msg, "/pool/new.img"));
	}
	fails = 0;
	has(&older, 8 * K, 8 * K, 800 * K, 0);
	has(&older, 12 * K, 8 * K, 900 * K, 0);
	assert_int_equal(read_list(true, 0, &got, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_string_equal(err.msg, "/pool/old.img: its file system tells of an extent of 8192 "
				     "bytes at 12288 after one that ends at 16384");
	older.extents[1].fe_logical = 20 * K;
	older.extents[1].fe_length = 0;
	assert_int_equal(read_list(true, 0, &got, &err), 0);
}

/* What others call a place may be the offset in the file, as with cifs: all would be the same. */
static void test_other_file_systems(void **state)
{
	struct extent item;
	struct extents got = { .items = &item, .max = 1 };
	struct err err = ERR_INIT;

	(void)state;
	has(&newer, 8 * K, 8 * K, 8 * K, 0);
	has(&older, 8 * K, 8 * K, 8 * K, 0);
	fs_type = SMB2_SUPER_MAGIC;
	assert_int_equal(read_list(true, 0, &got, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "/pool/new.img: "));
	assert_non_null(strstr(err.msg, "keep the pool on xfs or btrfs"));
	assert_int_equal(read_list(false, 0, &got, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	fs_type = BTRFS_SUPER_MAGIC;
	assert_int_equal(read_list(true, 0, &got, &err), 0);
	assert_int_equal(got.count, 0);
}

/* A kind of pool that cannot tell. */
static void test_kind_without(void **state)
{
	static const struct pool_ops ops = { .kind = "tape" };
	const struct volume snapshot = { .uuid = { "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11" } };
	struct pool pool = { .name = "slow", .ops = &ops };
	struct extents got = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(pool_extents(&pool, &snapshot, NULL, 0, &got, &err), -1);
	/* By CSI 1.13 the answer that makes a backup program read everything. */
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "pool slow is of kind tape"));
}

/* Random maps, block by block: exactly what differs, in lists of any length. */

#define MODEL_BLOCKS 400

static void random_map(struct fake *f, uint64_t place[MODEL_BLOCKS], uint32_t flags[MODEL_BLOCKS])
{
	f->count = 0;
	for (size_t i = 0; i < MODEL_BLOCKS; i++) {
		struct fiemap_extent *last = f->count ? &f->extents[f->count - 1] : NULL;

		if (!place[i])
			continue;
		if (last && last->fe_logical + last->fe_length == i * BLOCK &&
		    last->fe_physical + last->fe_length == place[i] && last->fe_flags == flags[i] &&
		    rand() % 4)
			last->fe_length += BLOCK;
		else
			has(f, i * BLOCK, BLOCK, place[i], flags[i]);
	}
}

static bool is_data(uint64_t place, uint32_t flags)
{
	return place && flags != FIEMAP_EXTENT_UNWRITTEN;
}

static void check_random(const uint64_t place[2][MODEL_BLOCKS],
			 const uint32_t flags[2][MODEL_BLOCKS])
{
	char want[8192] = "";
	size_t from = MODEL_BLOCKS;

	for (size_t i = 0; i <= MODEL_BLOCKS; i++) {
		bool differs = false;

		if (i < MODEL_BLOCKS &&
		    (is_data(place[0][i], flags[0][i]) || is_data(place[1][i], flags[1][i])))
			differs = place[0][i] != place[1][i] || flags[0][i] != flags[1][i] ||
				  flags[0][i];
		if (differs && from == MODEL_BLOCKS)
			from = i;
		if (differs || from == MODEL_BLOCKS)
			continue;
		sprintf(want + strlen(want), "%s%zu+%zu", *want ? " " : "", from * 4,
			(i - from) * 4);
		from = MODEL_BLOCKS;
	}
	assert_string_equal(list(true, 0, 1 + (size_t)rand() % 64), want);
}

static void test_random(void **state)
{
	static const uint32_t some[] = { 0, 0, 0, FIEMAP_EXTENT_UNWRITTEN, FIEMAP_EXTENT_ENCODED };
	static uint64_t place[2][MODEL_BLOCKS];
	static uint32_t flags[2][MODEL_BLOCKS];

	(void)state;
	srand(20261122);
	for (size_t round = 0; round < 300; round++) {
		uint64_t at = 1 << 20;

		for (size_t i = 0; i < MODEL_BLOCKS; i++) {
			at += rand() % 8 ? BLOCK : 9 * BLOCK;
			place[0][i] = place[1][i] = rand() % 5 ? at : 0;
			flags[0][i] = flags[1][i] = some[i / 50 % ARRAY_SIZE(some)];
			if (rand() % 10)
				continue;
			place[0][i] = rand() % 3 ? at + 4096 * BLOCK : 0;
			flags[0][i] = some[(size_t)rand() % ARRAY_SIZE(some)];
		}
		random_map(&newer, place[0], flags[0]);
		random_map(&older, place[1], flags[1]);
		check_random(place, flags);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_allocated),	 TEST(test_same),	  TEST(test_zeros),
		TEST(test_other_bounds), TEST(test_small_blocks), TEST(test_sizes),
		TEST(test_many),	 TEST(test_moved),	  TEST(test_failures),
		TEST(test_kind_without), TEST(test_random),	  TEST(test_other_file_systems),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
