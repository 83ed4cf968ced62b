/* SPDX-License-Identifier: Apache-2.0 */
/* Probing a device. The one owner of libblkid. */
#include "csi/volume/probe.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "csi/volume/zfs.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/strb.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define EDGE_BYTES MIB
#define SPOT_BYTES (4 * KIB)
#define HEAD_BYTES (264 * KIB)
#define CHUNK_BYTES (256 * KIB)

/* Where a file system whose head was lost would still show. */
static const uint64_t spots[] = {
	8193 * KIB, 24577 * KIB,      /* ext4 backups in groups 1 and 3, 1 KiB blocks */
	32 * MIB,   96 * MIB,	      /* 2 KiB blocks */
	128 * MIB,  384 * MIB,	      /* 4 KiB blocks */
	64 * MIB,   256 * 1024 * MIB, /* btrfs mirrors */
};

DEFINE_CLEANUP(blkid_probe, blkid_free_probe)

static int get_size(int fd, const char *name, uint64_t *ret, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "stat %s", name);
	if (S_ISREG(st.st_mode)) {
		*ret = (uint64_t)st.st_size;
		return 0;
	}
	if (!S_ISBLK(st.st_mode))
		return err_set(err, ERR_INTERNAL, "%s is not a block device", name);
	if (ioctl(fd, BLKGETSIZE64, ret) < 0)
		return err_sys(err, errno, "size of %s", name);
	return 0;
}

static int check_size(int fd, const char *name, uint64_t expected, uint64_t *ret, struct err *err)
{
	uint64_t size;

	if (get_size(fd, name, &size, err) < 0)
		return -1;
	if (expected && size != expected)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s has %" PRIu64 " bytes, expected are %" PRIu64, name, size,
			       expected);
	if (!size)
		return err_set(err, ERR_INTERNAL, "%s has no size", name);
	*ret = size;
	return 0;
}

static const char *lookup(blkid_probe probe, const char *key)
{
	const char *value;

	return blkid_probe_lookup_value(probe, key, &value, NULL) == 0 ? value : NULL;
}

static void describe(blkid_probe probe, struct probe_result *result)
{
	const char *type = lookup(probe, "TYPE");
	const char *usage = lookup(probe, "USAGE");
	const char *table = lookup(probe, "PTTYPE");
	struct strb text = strb_over(result->type, sizeof(result->type));
	struct strb fs_type = strb_over(result->fs_type, sizeof(result->fs_type));

	if (type)
		strb_add(&text, type);
	if (table)
		strb_addf(&text, "%s%s partition table", type ? " and " : "", table);
	if (!text.len)
		strb_add(&text, "unknown signature");
	if (type && !table && usage && !strcmp(usage, "filesystem"))
		strb_add(&fs_type, type);
}

static int find_signatures(int fd, const char *name, bool zfs, struct probe_result *result,
			   struct err *err)
{
	static char *no_zfs[] = { "zfs_member", NULL };
	blkid_probe probe CLEANUP(blkid_free_probep) = blkid_new_probe();
	int rc;

	if (!probe)
		return err_sys(err, ENOMEM, "probe %s", name);
	errno = 0;
	if (blkid_probe_set_device(probe, fd, 0, 0) < 0 ||
	    blkid_probe_enable_superblocks(probe, 1) < 0 ||
	    blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE |
							     BLKID_SUBLKS_BADCSUM) < 0 ||
	    blkid_probe_enable_partitions(probe, 1) < 0 ||
	    (!zfs && blkid_probe_filter_superblocks_type(probe, BLKID_FLTR_NOTIN, no_zfs) < 0))
		return err_sys(err, errno ?: EIO, "prepare to probe %s", name);
	errno = 0;
	rc = blkid_do_safeprobe(probe);
	switch (rc) {
	case 1:
		result->empty = true;
		return 0;
	case 0:
		describe(probe, result);
		return 0;
	case -2:
		strcpy(result->type, "ambivalent signatures");
		return 0;
	default:
		return err_sys(err, errno ?: EIO, "probe %s", name);
	}
}

static ssize_t first_nonzero(const unsigned char *data, size_t len)
{
	/* A comparison with itself, one byte on: the C library has that for many bytes at a time. */
	if (len && !data[0] && memcmp(data, data + 1, len - 1) == 0)
		return -1;
	for (size_t i = 0; i < len; i++)
		if (data[i])
			return (ssize_t)i;
	return -1;
}

/*
 * The same device past the page cache: what is read in bulk is not copied there, and comes in fewer
 * requests. -1: not of this kind, or in blocks larger than what is read.
 */
static int open_direct(int fd)
{
	char text[32];
	struct strb path = strb_over(text, sizeof(text));
	struct stat st;
	int block_bytes;

	if (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) || ioctl(fd, BLKSSZGET, &block_bytes) < 0 ||
	    (uint64_t)block_bytes > SPOT_BYTES)
		return -1;
	strb_addf(&path, "/proc/self/fd/%d", fd);
	return open(text, O_RDONLY | O_DIRECT | O_CLOEXEC);
}

/* Reads size bytes at offset; notes the first one that is not zero. */
static int check_zero(int fd, const char *name, uint64_t offset, uint64_t size,
		      struct probe_result *result, struct err *err)
{
	/* Not cleared: that would cost as much as looking at it. */
	cleanup_free unsigned char *chunk =
		aligned_alloc(ZFS_ALIGNMENT, size <= SPOT_BYTES ? SPOT_BYTES : CHUNK_BYTES);
	uint64_t end = offset + size;

	if (!chunk)
		abort();
	while (offset < end && result->empty) {
		size_t want = end - offset < CHUNK_BYTES ? (size_t)(end - offset) : CHUNK_BYTES;
		ssize_t n = pread(fd, chunk, want, (off_t)offset);
		ssize_t at;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, "read %s at %" PRIu64, name,
				       offset);
		at = first_nonzero(chunk, (size_t)n);
		if (at >= 0) {
			struct strb text = strb_over(result->type, sizeof(result->type));

			strb_addf(&text, "non-zero bytes at offset %" PRIu64,
				  offset + (uint64_t)at);
			result->empty = false;
			result->nameless = true;
		}
		offset += (uint64_t)n;
	}
	return 0;
}

/* The edges by edge_fd, which may have to be read in whole blocks. */
static int check_all_zero(int fd, int edge_fd, const char *name, uint64_t size,
			  struct probe_result *result, struct err *err)
{
	uint64_t edge = size < EDGE_BYTES ? size : EDGE_BYTES;
	uint64_t head = size < SPOT_BYTES ? size : SPOT_BYTES;

	/* Most of what is not empty shows in its first block. */
	if (check_zero(edge_fd, name, 0, head, result, err) < 0 ||
	    check_zero(edge_fd, name, head, edge - head, result, err) < 0 ||
	    check_zero(edge_fd, name, size - edge, edge, result, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(spots); i++)
		if (spots[i] + SPOT_BYTES <= size &&
		    check_zero(fd, name, spots[i], SPOT_BYTES, result, err) < 0)
			return -1;
	return 0;
}

int probe_device(int fd, const char *name, uint64_t size_bytes, struct probe_result *ret,
		 struct err *err)
{
	struct probe_result result = { 0 }, zero = { .empty = true };
	cleanup_close int direct = -1;
	uint64_t size = 0;
	int zfs;

	if (check_size(fd, name, size_bytes, &size, err) < 0)
		return -1;
	/* Only a help: it fails on nothing that the reads would not fail on. */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	/* What libblkid takes in dozens of small reads, and in one large one last of all. */
	(void)posix_fadvise(fd, 0, HEAD_BYTES, POSIX_FADV_WILLNEED);
	direct = open_direct(fd);
	if (direct < 0 && (direct = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
		return err_sys(err, errno, "open %s again", name);
	if (check_all_zero(fd, direct, name, size, &zero, err) < 0)
		return -1;
	/* All labels lie in what was read. */
	zfs = zero.empty ? 0 : zfs_is_suspected(direct, name, size, err);
	if (zfs < 0 || find_signatures(fd, name, zfs, &result, err) < 0)
		return -1;
	if (result.empty)
		result = zero;
	*ret = result;
	return 0;
}
