/* SPDX-License-Identifier: Apache-2.0 */
/* What mkfs.ext4, mkfs.xfs and mkfs.btrfs leave when they are cut short. */
#include "csi/volume/unfinished.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"

#define EXT4_ZEROED_BYTES 2048 /* up to the end of the superblock, whatever the block size */

#define XFS_MAGIC "XFSB"
#define XFS_INPROGRESS_OFFSET 126

#define BTRFS_SUPER_OFFSET 65536
#define BTRFS_MAGIC_OFFSET (BTRFS_SUPER_OFFSET + 64)
#define BTRFS_MAGIC_TEMPORARY "!BHRfS_M"
#define MAGIC_BYTES 8

/* Whatever any of them is told by. */
#define HEAD_BYTES (BTRFS_MAGIC_OFFSET + MAGIC_BYTES)

static int read_head(int fd, const char *name, unsigned char head[HEAD_BYTES], struct err *err)
{
	size_t done = 0;

	while (done < HEAD_BYTES) {
		ssize_t n = pread(fd, head + done, HEAD_BYTES - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, "read %s at %zu", name, done);
		done += (size_t)n;
	}
	return 0;
}

static bool is_zero(const unsigned char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (data[i])
			return false;
	return true;
}

int unfinished_mkfs(int fd, const char *name, const char *fs_type, const struct probe_result *found,
		    struct err *err)
{
	cleanup_free unsigned char *head = NULL;

	/* A half-made xfs has a signature already, the others have none. */
	if (strcmp(fs_type, "xfs") == 0 ? strcmp(found->fs_type, "xfs") != 0 : !found->nameless)
		return 0;
	head = xcalloc(1, HEAD_BYTES);
	if (read_head(fd, name, head, err) < 0)
		return -1;
	if (strcmp(fs_type, "ext4") == 0)
		return is_zero(head, EXT4_ZEROED_BYTES);
	if (strcmp(fs_type, "xfs") == 0)
		return memcmp(head, XFS_MAGIC, strlen(XFS_MAGIC)) == 0 &&
		       head[XFS_INPROGRESS_OFFSET] == 1;
	return is_zero(head, BTRFS_SUPER_OFFSET) &&
	       memcmp(head + BTRFS_MAGIC_OFFSET, BTRFS_MAGIC_TEMPORARY, MAGIC_BYTES) == 0;
}
