/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a file system's journal holds changes that no mount has replayed yet. A mount without
 * replay (ext4 "noload", xfs "norecovery", btrfs "rescue=nologreplay") would show such a file
 * system without what was written last, or as it never was.
 */
#ifndef CSI_VOLUME_JOURNAL_H
#define CSI_VOLUME_JOURNAL_H

#include "nvme/base/err.h"

/*
 * Looks at the unmounted file system on the device open for reading at fd; fs_type is one of fs.h,
 * name is for messages. 1: pending; 0: all is in place; -1: error, ERR_INTERNAL also for what is no
 * such file system.
 *
 * ext4: the needs_recovery feature, which the kernel sets while it is mounted read-write and takes
 * away when all is written (Documentation/filesystems/ext4/super.rst). xfs: the newest record of
 * the log has to be the one that an unmount writes, as xlog_check_unmount_rec in
 * fs/xfs/xfs_log_recover.c demands; every other log counts as pending. btrfs: log_root of the
 * superblock, which is set from an fsync to the next commit (fs/btrfs/tree-log.c); all else of a
 * btrfs is whole at any time. The same limits as for probe_device: it blocks for as long as the
 * device does, and sees fresh data only after probe_device.
 */
int journal_is_pending(int fd, const char *name, const char *fs_type, struct err *err);

#endif
