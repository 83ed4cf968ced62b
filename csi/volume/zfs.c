/* SPDX-License-Identifier: Apache-2.0 */
/* Marks of ZFS labels. */
#include "csi/volume/zfs.h"

#include <byteswap.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"

#define KIB 1024
#define LABEL_BYTES (256 * KIB)
#define LABELS 4
#define NVLIST_OFFSET (16 * KIB)
#define UBERBLOCK_OFFSET (128 * KIB)
#define UBERBLOCKS_BYTES (LABEL_BYTES - UBERBLOCK_OFFSET)
#define UBERBLOCK_BYTES KIB /* the least; larger ones are at multiples of it */
#define UBERBLOCK_MAGIC UINT64_C(0x00bab10c)

static int read_at(int fd, const char *name, uint64_t offset, void *buffer, size_t size,
		   struct err *err)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, (char *)buffer + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, "read %s at %ju", name,
				       (uintmax_t)(offset + done));
		done += (size_t)n;
	}
	return 0;
}

/* Encoding (native or XDR) and byte order, each 0 or 1, and two reserved bytes, which are 0. */
static bool is_nvlist(const unsigned char *head)
{
	static const unsigned char none[64];

	return head[0] <= 1 && head[1] <= 1 && !head[2] && !head[3] &&
	       memcmp(head, none, sizeof(none)) != 0;
}

static bool has_uberblock(const unsigned char *blocks)
{
	for (size_t i = 0; i < UBERBLOCKS_BYTES; i += UBERBLOCK_BYTES) {
		uint64_t magic;

		memcpy(&magic, blocks + i, sizeof(magic));
		if (magic == UBERBLOCK_MAGIC || magic == bswap_64(UBERBLOCK_MAGIC))
			return true;
	}
	return false;
}

int zfs_is_suspected(int fd, const char *name, uint64_t size_bytes, struct err *err)
{
	uint64_t end = size_bytes / LABEL_BYTES * LABEL_BYTES;
	const uint64_t labels[LABELS] = { 0, LABEL_BYTES, end - 2 * LABEL_BYTES,
					  end - LABEL_BYTES };
	cleanup_free unsigned char *buffer = aligned_alloc(ZFS_ALIGNMENT, UBERBLOCKS_BYTES);

	if (!buffer)
		abort();
	/* Too small for four labels; whoever asks libblkid all the same is on the safe side. */
	if (end < LABELS * LABEL_BYTES)
		return 1;
	for (size_t i = 0; i < LABELS; i++) {
		if (read_at(fd, name, labels[i] + NVLIST_OFFSET, buffer, ZFS_ALIGNMENT, err) < 0)
			return -1;
		if (is_nvlist(buffer))
			return 1;
		if (read_at(fd, name, labels[i] + UBERBLOCK_OFFSET, buffer, UBERBLOCKS_BYTES, err) <
		    0)
			return -1;
		if (has_uberblock(buffer))
			return 1;
	}
	return 0;
}
