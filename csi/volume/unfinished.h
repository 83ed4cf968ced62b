/* SPDX-License-Identifier: Apache-2.0 */
/* Telling a mkfs that was cut short from everything else that may be on a device. */
#ifndef CSI_VOLUME_UNFINISHED_H
#define CSI_VOLUME_UNFINISHED_H

#include "csi/volume/probe.h"
#include "nvme/base/err.h"

/*
 * Whether what the probe found at fd is what an interrupted mkfs of fs_type (one of fs.h) leaves,
 * and so nothing that could ever be mounted. All three programs make that a single last write:
 *  ext4: mke2fs first zeroes what lies before the block of the superblock and that itself, and
 *	writes the superblock last, between two fsyncs. Until then there is no signature, and the
 *	first 2 KiB are zero.
 *  xfs: mkfs.xfs writes a superblock early whose sb_inprogress is 1 until the last write; the
 *	kernel refuses such a one (xfs_validate_sb_common in fs/xfs/libxfs/xfs_sb.c).
 *  btrfs: mkfs.btrfs writes superblocks of another magic number, "!BHRfS_M", until the last one;
 *	no kernel knows that. What comes before it is zero.
 * Seen with e2fsprogs 1.47, xfsprogs 6.1 and btrfs-progs 6.2.
 *
 * 1: so it is; 0: it is something else, a finished file system above all; -1: it cannot be read.
 * It proves that no file system was in use, not that nobody wrote: raw data without a signature
 * whose first 2 KiB are zero look like an ext4 cut short. So it is one condition among others.
 * Moves no file offset; blocks as probe_device does, which has to come first.
 */
int unfinished_mkfs(int fd, const char *name, const char *fs_type, const struct probe_result *found,
		    struct err *err);

#endif
