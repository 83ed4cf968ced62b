/* SPDX-License-Identifier: Apache-2.0 */
/* Journals: what the mkfs programs leave, and made-up xfs logs with their newest record anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csi/volume/journal.h"
#include "nvme/base/cleanup.h"
#include "tests/unit/disk_file.h"

#define MIB (UINT64_C(1) << 20)
#define BLOCK 512
#define LOG_START (64 * 4096) /* of the made-up log */
#define LOG_BLOCKS 32
#define UNMOUNT 0x20
#define COMMIT 0x02

static void put32(uint64_t offset, uint32_t value)
{
	uint32_t be = htobe32(value);

	assert_int_equal(pwrite(disk_fd, &be, sizeof(be), (off_t)offset), sizeof(be));
}

static int pending(const char *fs_type)
{
	struct err err = ERR_INIT;
	int rc = journal_is_pending(disk_fd, "the device", fs_type, &err);

	if (rc < 0)
		assert_non_null(strstr(err.msg, "the device"));
	return rc;
}

static void test_ext4(void **state)
{
	unsigned char features;

	(void)state;
	assert_int_equal(pending("ext4"), -1);
	RUN("mkfs.ext4", "-q", disk);
	assert_int_equal(pending("ext4"), 0);
	assert_int_equal(pread(disk_fd, &features, 1, 1024 + 0x60), 1);
	features |= 0x4; /* as the kernel does when it mounts it read-write */
	assert_int_equal(pwrite(disk_fd, &features, 1, 1024 + 0x60), 1);
	assert_int_equal(pending("ext4"), 1);
	assert_int_equal(pending("xfs"), -1);
}

static void test_xfs(void **state)
{
	uint32_t super[32];
	uint64_t log;

	(void)state;
	assert_int_equal(pending("xfs"), -1);
	RUN("mkfs.xfs", "-q", disk);
	assert_int_equal(pending("xfs"), 0);
	/* Its log begins with the only record, which says that it is an unmount's. */
	assert_int_equal(pread(disk_fd, super, sizeof(super), 0), sizeof(super));
	log = be32toh(super[13]);
	log = ((log >> (be32toh(super[31]) >> 24)) * be32toh(super[21]) +
	       (log & ((1U << (be32toh(super[31]) >> 24)) - 1))) *
	      4096;
	put32(log + 40, 2);
	assert_int_equal(pending("xfs"), 1);
	assert_int_equal(pending("ext4"), -1);
}

static void test_btrfs(void **state)
{
	uint64_t log_root = htole64(30 * MIB);

	(void)state;
	assert_int_equal(pending("btrfs"), -1);
	RUN("mkfs.btrfs", "-q", disk);
	assert_int_equal(pending("btrfs"), 0);
	/* As the kernel does at the first fsync after a commit. */
	assert_int_equal(pwrite(disk_fd, &log_root, sizeof(log_root), 65536 + 0x60),
			 sizeof(log_root));
	assert_int_equal(pending("btrfs"), 1);
	assert_int_equal(pending("ext4"), -1);
}

static void test_short_and_unknown(void **state)
{
	(void)state;
	assert_int_equal(pending("f2fs"), -1);
	assert_int_equal(ftruncate(disk_fd, 100), 0);
	assert_int_equal(pending("ext4"), -1);
	assert_int_equal(pending("xfs"), -1);
	assert_int_equal(pending("btrfs"), -1);
}

/* A superblock whose log has LOG_BLOCKS blocks, all of them written in this lap. */
static void make_log(uint32_t lap)
{
	put32(0, 0x58465342);
	put32(4, 4096); /* block size */
	put32(48, 0);	/* log start: group 1, block 24 of 40 to a group */
	put32(52, 1 << 6 | 24);
	put32(84, 40); /* blocks of a group */
	put32(96, LOG_BLOCKS * BLOCK / 4096);
	put32(124, 6U << 24); /* bits of a block number within its group */
	for (unsigned i = 0; i < LOG_BLOCKS; i++)
		put32(LOG_START + i * BLOCK, lap);
}

static void put_lap(unsigned from, unsigned to, uint32_t lap)
{
	for (unsigned i = from; i < to; i++)
		put32(LOG_START + i * BLOCK, lap);
}

/* A record: its header blocks, then one block of data with the first operation's flags. */
static void put_record(unsigned at, uint32_t lap, unsigned headers, unsigned flags, unsigned ops)
{
	uint64_t header = LOG_START + at * BLOCK;
	unsigned body = at + headers;

	put32(header, 0xfeedbabe);
	put32(header + 4, lap);
	put32(header + 8, 2);
	put32(header + 12, BLOCK);
	put32(header + 40, ops);
	put32(header + 320, headers * 32768);
	for (unsigned i = at + 1; i < body; i++)
		put32(LOG_START + i * BLOCK, lap);
	put32(LOG_START + body % LOG_BLOCKS * BLOCK, body < LOG_BLOCKS ? lap : lap + 1);
	put32(LOG_START + body % LOG_BLOCKS * BLOCK + 8, flags << 16);
}

static void test_xfs_newest_record_anywhere(void **state)
{
	(void)state;
	for (unsigned headers = 1; headers <= 3; headers++) {
		for (unsigned at = 0; at + headers <= LOG_BLOCKS; at++) {
			make_log(4);
			put_lap(0, at, 5);
			put_record(at, at + headers == LOG_BLOCKS ? 4 : 5, headers, UNMOUNT, 1);
			if (at + headers == LOG_BLOCKS)
				put_lap(1, at, 4);
			if (pending("xfs") != 0)
				fail_msg("unmount at %u, %u headers", at, headers);
			put_record(at, at + headers == LOG_BLOCKS ? 4 : 5, headers, COMMIT, 1);
			if (pending("xfs") != 1)
				fail_msg("commit at %u, %u headers", at, headers);
			put_record(at, at + headers == LOG_BLOCKS ? 4 : 5, headers, UNMOUNT, 2);
			if (pending("xfs") != 1)
				fail_msg("two operations at %u, %u headers", at, headers);
		}
	}
}

static void test_xfs_in_doubt(void **state)
{
	(void)state;
	make_log(0);
	assert_int_equal(pending("xfs"), 0); /* never used */
	put_record(0, 1, 1, UNMOUNT, 1);
	assert_int_equal(pending("xfs"), 0); /* a new one: zeroes after it */
	put_record(2, 1, 1, COMMIT, 1);
	assert_int_equal(pending("xfs"), 1); /* mounted since */
	put_record(4, 1, 1, UNMOUNT, 1);
	assert_int_equal(pending("xfs"), 0); /* and unmounted */
	put_lap(6, 7, 1);
	assert_int_equal(pending("xfs"), 1); /* something after it that is no record */
	make_log(3);
	assert_int_equal(pending("xfs"), 1); /* no record at all */
	put32(52, 0);
	assert_int_equal(pending("xfs"), -1); /* an external log */
	make_log(3);
	put32(96, 0);
	assert_int_equal(pending("xfs"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_DISK(test_ext4),
		ON_DISK(test_xfs),
		ON_DISK(test_btrfs),
		ON_DISK(test_short_and_unknown),
		ON_DISK(test_xfs_newest_record_anywhere),
		ON_DISK(test_xfs_in_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
