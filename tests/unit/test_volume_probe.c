/* SPDX-License-Identifier: Apache-2.0 */
/* Probing sparse files: nothing that means anything may ever be called empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "csi/volume/probe.h"
#include "nvme/base/cleanup.h"
#include "tests/unit/disk_file.h"

#define MIB (UINT64_C(1) << 20)

static void put(uint64_t offset, const void *data, size_t len)
{
	cleanup_close int fd = open(disk, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, data, len, (off_t)offset), len);
}

static struct probe_result probe(void)
{
	cleanup_close int fd = open(disk, O_RDONLY | O_CLOEXEC);
	struct probe_result result;
	struct err err = ERR_INIT;

	memset(&result, 0x55, sizeof(result));
	if (probe_device(fd, disk, 0, &result, &err) < 0)
		fail_msg("%s", err.msg);
	return result;
}

static void expect(const char *type, const char *fs_type)
{
	struct probe_result result = probe();

	assert_false(result.empty);
	assert_string_equal(result.type, type);
	assert_string_equal(result.fs_type, fs_type);
}

static void test_blank(void **state)
{
	struct probe_result result = probe();

	(void)state;
	assert_true(result.empty);
	assert_string_equal(result.type, "");
	assert_string_equal(result.fs_type, "");
}

static void test_ext4(void **state)
{
	(void)state;
	RUN("mkfs.ext4", "-q", disk);
	expect("ext4", "ext4");
}

static void test_xfs(void **state)
{
	(void)state;
	RUN("mkfs.xfs", "-q", disk);
	expect("xfs", "xfs");
}

/* A damaged superblock is still somebody's data. */
static void test_ext4_bad_checksum(void **state)
{
	(void)state;
	RUN("mkfs.ext4", "-q", "-O", "metadata_csum", disk);
	put(1024 + 0x3fc, "\xde\xad\xbe\xef", 4);
	expect("ext4", "ext4");
}

/* Everything before the first backup superblock of an ext4 is lost. */
static void test_ext4_head_lost(void **state)
{
	cleanup_close int fd = open(disk, O_WRONLY | O_CLOEXEC);

	(void)state;
	RUN("mkfs.ext4", "-q", "-b", "4096", disk);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 128 * MIB),
			 0);
	/* Its first bytes are counters that may be zero. */
	assert_int_equal(strncmp(probe().type, "non-zero bytes at offset 13421772", 33), 0);
}

static void test_gpt(void **state)
{
	(void)state;
	RUN("sh", "-c", "printf 'label: gpt\\n,64M\\n' | sfdisk -q \"$0\"", disk);
	expect("gpt partition table", "");
	/* What is left of it when only the head was wiped: the backup, in the last sectors. */
	put(0, (char[65536]) { 0 }, 65536);
	assert_non_null(strstr(probe().type, "non-zero bytes at offset"));
}

static void test_mbr(void **state)
{
	(void)state;
	RUN("sh", "-c", "printf 'label: dos\\n,64M\\n' | sfdisk -q \"$0\"", disk);
	expect("dos partition table", "");
}

/* A boot sector without any partition is not an empty device either. */
static void test_mbr_signature_only(void **state)
{
	(void)state;
	put(510, "\x55\xaa", 2);
	assert_false(probe().empty);
}

static void test_luks(void **state)
{
	(void)state;
	put(0, "LUKS\xba\xbe\0\1", 8);
	put(0xa8, "12345678-1234-1234-1234-123456789abc", 36);
	expect("crypto_LUKS", "");
}

static uint32_t lvm_crc(const unsigned char *data, size_t len)
{
	uint32_t crc = 0xf597a6cf;

	while (len--) {
		crc ^= *data++;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}

static void test_lvm(void **state)
{
	unsigned char label[512] = "LABELONE\1\0\0\0\0\0\0\0\0\0\0\0\x20\0\0\0LVM2 001"
				   "abcdefghijklmnopqrstuvwxyz012345";
	uint32_t crc = lvm_crc(label + 20, sizeof(label) - 20);

	(void)state;
	memcpy(label + 16, &crc, sizeof(crc));
	put(512, label, sizeof(label));
	expect("LVM2_member", "");
}

/* md superblocks 0.90 and 1.0 lie at the end, 1.2 at 4 KiB. */
static void test_md(void **state)
{
	uint32_t magic = 0xa92b4efc, major = 1;
	uint64_t sector = (DISK_BYTES / 512 - 16) & ~UINT64_C(7);

	(void)state;
	put(DISK_BYTES - 65536, &magic, sizeof(magic));
	assert_false(probe().empty);
	put(DISK_BYTES - 65536, "\0\0\0\0", 4);
	assert_true(probe().empty);
	put(sector * 512, &magic, sizeof(magic));
	put(sector * 512 + 4, &major, sizeof(major));
	put(sector * 512 + 144, &sector, sizeof(sector));
	expect("linux_raid_member", "");
}

static void test_swap(void **state)
{
	(void)state;
	RUN("mkswap", "-q", disk);
	expect("swap", "");
}

static void test_two_signatures(void **state)
{
	(void)state;
	RUN("mkfs.xfs", "-q", disk);
	put(65536 + 64, "_BHRfS_M", 8); /* the magic of btrfs */
	expect("ambivalent signatures", "");
}

/* Which of the two is right is not ours to guess, so no file system is named. */
static void test_file_system_and_partitions(void **state)
{
	(void)state;
	RUN("mkfs.ext4", "-q", disk);
	put(446, "\0\0\2\0\x83\0\0\0\0\10\0\0\0\0\2\0", 16);
	put(510, "\x55\xaa", 2);
	expect("ext4 and dos partition table", "");
}

static void expect_nonzero_at(uint64_t offset)
{
	char text[64];

	put(offset, "\1", 1);
	snprintf(text, sizeof(text), "non-zero bytes at offset %ju", (uintmax_t)offset);
	expect(text, "");
	put(offset, "\0", 1);
	assert_true(probe().empty);
}

static void test_stray_bytes(void **state)
{
	static const uint64_t offsets[] = {
		0,
		1,
		511,
		4095,
		65535,
		65536,
		MIB - 1,
		DISK_BYTES - MIB,
		DISK_BYTES - 512,
		DISK_BYTES - 1,
		8193 << 10,
		32 * MIB,
		128 * MIB,
		384 * MIB + 4095,
		64 * MIB,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
		expect_nonzero_at(offsets[i]);
}

static void test_small_sizes(void **state)
{
	static const uint64_t sizes[] = { 512, 4096, 65536, 65536 + 512, 2 * MIB - 512 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(truncate(disk, (off_t)sizes[i]), 0);
		assert_true(probe().empty);
		expect_nonzero_at(sizes[i] - 1);
	}
}

static void test_size_is_checked(void **state)
{
	cleanup_close int fd = open(disk, O_RDONLY | O_CLOEXEC);
	struct probe_result result = { .type = "untouched" };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(probe_device(fd, disk, DISK_BYTES, &result, &err), 0);
	assert_true(result.empty);
	assert_int_equal(truncate(disk, DISK_BYTES - 4096), 0);
	assert_int_equal(probe_device(fd, disk, DISK_BYTES, &result, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "536866816"));
	assert_int_equal(truncate(disk, 0), 0);
	assert_int_equal(probe_device(fd, disk, 0, &result, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
}

static void test_read_errors(void **state)
{
	cleanup_close int write_only = open(disk, O_WRONLY | O_CLOEXEC);
	cleanup_close int not_a_disk = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct probe_result result = { .type = "untouched" };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(probe_device(write_only, disk, DISK_BYTES, &result, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_int_equal(probe_device(not_a_disk, "/dev/zero", 0, &result, &err), -1);
	assert_int_equal(probe_device(-1, "closed", 0, &result, &err), -1);
	assert_string_equal(result.type, "untouched");
	assert_false(result.empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_DISK(test_blank),
		ON_DISK(test_ext4),
		ON_DISK(test_xfs),
		ON_DISK(test_ext4_bad_checksum),
		ON_DISK(test_ext4_head_lost),
		ON_DISK(test_gpt),
		ON_DISK(test_mbr),
		ON_DISK(test_mbr_signature_only),
		ON_DISK(test_luks),
		ON_DISK(test_lvm),
		ON_DISK(test_md),
		ON_DISK(test_swap),
		ON_DISK(test_two_signatures),
		ON_DISK(test_file_system_and_partitions),
		ON_DISK(test_stray_bytes),
		ON_DISK(test_small_sizes),
		ON_DISK(test_size_is_checked),
		ON_DISK(test_read_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
