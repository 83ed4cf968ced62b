/* SPDX-License-Identifier: Apache-2.0 */
/* Growing a mounted file system to the size of its device. */
#ifndef CSI_VOLUME_GROW_H
#define CSI_VOLUME_GROW_H

#include <stdint.h>

#include "csi/volume/fs.h"
#include "nvme/base/err.h"

/*
 * Makes the file system that is mounted read-write at mount_path fill its block device, by the
 * ioctls that resize2fs, xfs_growfs and btrfs use. It never shrinks, and a file system that fills
 * its device already is success without a write. *ret_bytes is the size reached, device bytes as
 * the file system counts them, that is at most this much less than the device:
 *  ext4: a block group (128 MiB with 4 KiB blocks), if what is left has no room for a group's own
 *	blocks; else a block. The kernel takes the blocks reserved for growth (1024 times the first
 *	size) and goes on with meta_bg when they are used up.
 *  xfs: 64 blocks, the least of an allocation group.
 *  btrfs: a sector. One of several devices is refused.
 *
 * ERR_FAILED_PRECONDITION: read-only; recorded errors (ext4 has to be checked first); something
 * that this kernel cannot grow. ERR_ABORTED: another one is at it. ERR_INTERNAL: mount_path is not
 * a mount of the device, or the kernel failed; a retry goes on from where it ended.
 * The caller needs CAP_SYS_ADMIN and CAP_SYS_RESOURCE. Blocks for as long as the device does.
 */
int grow_mounted(const struct fs *fs, const char *mount_path, const char *device,
		 uint64_t *ret_bytes, struct err *err);

#endif
