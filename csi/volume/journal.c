/* SPDX-License-Identifier: Apache-2.0 */
/* Journals of ext4, xfs and btrfs, read from the device. */
#include "csi/volume/journal.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* A device or image, for messages with its name. */
struct source {
	int fd;
	const char *name;
};

static int read_at(const struct source *source, uint64_t offset, void *ret, size_t size,
		   struct err *err)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n =
			pread(source->fd, (char *)ret + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, "read %s at %" PRIu64,
				       source->name, offset + done);
		done += (size_t)n;
	}
	return 0;
}

static uint32_t be32_at(const unsigned char *data, size_t offset)
{
	uint32_t value;

	memcpy(&value, data + offset, sizeof(value));
	return be32toh(value);
}

static uint64_t be64_at(const unsigned char *data, size_t offset)
{
	uint64_t value;

	memcpy(&value, data + offset, sizeof(value));
	return be64toh(value);
}

static int not_a(const struct source *source, const char *what, struct err *err)
{
	return err_set(err, ERR_INTERNAL, "%s has no %s", source->name, what);
}

/* --- ext4 --- */

#define EXT4_SUPER_OFFSET 1024
#define EXT4_NEEDS_RECOVERY 0x4 /* of the incompatible features at 0x60 */

static int ext4_is_pending(const struct source *source, struct err *err)
{
	unsigned char super[128];

	if (read_at(source, EXT4_SUPER_OFFSET, super, sizeof(super), err) < 0)
		return -1;
	if (super[0x38] != 0x53 || super[0x39] != 0xef)
		return not_a(source, "ext4 superblock", err);
	return (super[0x60] & EXT4_NEEDS_RECOVERY) != 0;
}

/* --- xfs --- */

#define XFS_MAGIC 0x58465342
#define XLOG_MAGIC 0xfeedbabe /* the first word of a record's header, and of nothing else */
#define XLOG_BLOCK_BYTES 512
#define XLOG_HEADER_BYTES (32 * 1024) /* what of a record one header block describes */
#define XLOG_RECORD_BLOCKS_MAX (8 + 256 * 1024 / XLOG_BLOCK_BYTES)
#define XLOG_VERSION_2 0x2
#define XLOG_UNMOUNT_TRANS 0x20

/* The internal log, a ring of blocks, each with the number of the lap in which it was written. */
struct xlog {
	struct source source;
	uint64_t start_bytes;
	uint64_t blocks;
};

static int xlog_open(const struct source *source, struct xlog *ret, struct err *err)
{
	unsigned char super[256];
	uint64_t block_bytes, start, ag_blocks, ag_bits;

	if (read_at(source, 0, super, sizeof(super), err) < 0)
		return -1;
	block_bytes = be32_at(super, 4);
	start = be64_at(super, 48);
	ag_blocks = be32_at(super, 84);
	ag_bits = super[124];
	if (be32_at(super, 0) != XFS_MAGIC || block_bytes < XLOG_BLOCK_BYTES || ag_bits > 31)
		return not_a(source, "xfs superblock", err);
	if (!start)
		return not_a(source, "internal xfs log", err);
	start = (start >> ag_bits) * ag_blocks + (start & ((UINT64_C(1) << ag_bits) - 1));
	*ret = (struct xlog) { .source = *source,
			       .start_bytes = start * block_bytes,
			       .blocks = be32_at(super, 96) * block_bytes / XLOG_BLOCK_BYTES };
	return ret->blocks ? 0 : not_a(source, "xfs log", err);
}

static int xlog_read(const struct xlog *log, uint64_t block, unsigned char data[XLOG_BLOCK_BYTES],
		     struct err *err)
{
	uint64_t offset = log->start_bytes + block % log->blocks * XLOG_BLOCK_BYTES;

	return read_at(&log->source, offset, data, XLOG_BLOCK_BYTES, err);
}

static int xlog_lap(const struct xlog *log, uint64_t block, uint32_t *ret, struct err *err)
{
	unsigned char data[XLOG_BLOCK_BYTES];

	if (xlog_read(log, block, data, err) < 0)
		return -1;
	*ret = be32_at(data, be32_at(data, 0) == XLOG_MAGIC ? 4 : 0);
	return 0;
}

/* The block after the newest: where the lap of the first block ends, or the end of the ring. */
static int xlog_find_head(const struct xlog *log, uint32_t lap, uint64_t *ret, struct err *err)
{
	uint64_t low = 0, high = log->blocks;
	uint32_t other;

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		if (xlog_lap(log, middle, &other, err) < 0)
			return -1;
		if (other == lap)
			low = middle;
		else
			high = middle;
	}
	*ret = high;
	return 0;
}

/* How many blocks describe the record before its data begin. */
static uint64_t header_blocks(const unsigned char *header)
{
	uint64_t size = be32_at(header, 320);

	if (!(be32_at(header, 8) & XLOG_VERSION_2) || size <= XLOG_HEADER_BYTES)
		return 1;
	return (size + XLOG_HEADER_BYTES - 1) / XLOG_HEADER_BYTES;
}

/* Whether the record at block is an unmount's and ends just before head. */
static int is_unmount(const struct xlog *log, const unsigned char *header, uint64_t block,
		      uint64_t head, struct err *err)
{
	unsigned char data[XLOG_BLOCK_BYTES];
	uint64_t body = block + header_blocks(header);
	uint64_t body_blocks =
		((uint64_t)be32_at(header, 12) + XLOG_BLOCK_BYTES - 1) / XLOG_BLOCK_BYTES;

	if (be32_at(header, 40) != 1 || (body + body_blocks) % log->blocks != head % log->blocks)
		return 0;
	if (xlog_read(log, body, data, err) < 0)
		return -1;
	return (data[9] & XLOG_UNMOUNT_TRANS) != 0;
}

static int xfs_is_pending(const struct source *source, struct err *err)
{
	unsigned char data[XLOG_BLOCK_BYTES];
	struct xlog log;
	uint64_t head;
	uint32_t lap;

	if (xlog_open(source, &log, err) < 0 || xlog_lap(&log, 0, &lap, err) < 0)
		return -1;
	if (!lap)
		return 0; /* never used */
	if (xlog_find_head(&log, lap, &head, err) < 0)
		return -1;
	for (uint64_t back = 1; back <= XLOG_RECORD_BLOCKS_MAX && back <= log.blocks; back++) {
		uint64_t block = log.blocks + head - back;
		int unmount;

		if (xlog_read(&log, block, data, err) < 0)
			return -1;
		if (be32_at(data, 0) != XLOG_MAGIC)
			continue;
		unmount = is_unmount(&log, data, block, head, err);
		return unmount < 0 ? -1 : !unmount;
	}
	return 1;
}

/* --- btrfs --- */

#define BTRFS_SUPER_OFFSET (64 * 1024)
#define BTRFS_MAGIC "_BHRfS_M"

static int btrfs_is_pending(const struct source *source, struct err *err)
{
	unsigned char super[128];

	if (read_at(source, BTRFS_SUPER_OFFSET, super, sizeof(super), err) < 0)
		return -1;
	if (memcmp(super + 0x40, BTRFS_MAGIC, strlen(BTRFS_MAGIC)) != 0)
		return not_a(source, "btrfs superblock", err);
	return be64_at(super, 0x60) != 0;
}

int journal_is_pending(int fd, const char *name, const char *fs_type, struct err *err)
{
	struct source source = { .fd = fd, .name = name };

	if (strcmp(fs_type, "ext4") == 0)
		return ext4_is_pending(&source, err);
	if (strcmp(fs_type, "xfs") == 0)
		return xfs_is_pending(&source, err);
	if (strcmp(fs_type, "btrfs") == 0)
		return btrfs_is_pending(&source, err);
	return err_set(err, ERR_INTERNAL, "the journal of %s on %s is of an unknown kind", fs_type,
		       name);
}
