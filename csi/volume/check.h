/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking a file system that exists, before it is mounted for writing, and its repair, which an
 * operator has to ask for (parameter fsRepair). Only for devices that are mounted nowhere and that
 * this node alone may write to: never for readers, never at publish.
 */
#ifndef CSI_VOLUME_CHECK_H
#define CSI_VOLUME_CHECK_H

#include <stdbool.h>

#include "csi/volume/fs.h"
#include "nvme/base/clock.h"
#include "nvme/base/err.h"

/*
 * Makes the file system on the device fit to be mounted, as far as that needs no decision.
 *
 * ext4: nothing for one whose superblock says that it was unmounted and found no errors: one read.
 * Else e2fsck -p: it replays the journal and corrects what loses nothing. Where it gives up (exit
 * status 4): with repair, e2fsck -fy, which may move or drop files; without,
 * ERR_FAILED_PRECONDITION with the end of what it said and the way out. Exit statuses are those of
 * e2fsck(8); 2, "reboot", is for a root file system and counts as 1 here, corrected.
 *
 * xfs, btrfs: nothing. Their mount replays the log.
 *
 * What e2fsck said is logged. ERR_FAILED_PRECONDITION also if e2fsck or tune2fs is not installed,
 * cannot work on the device, or finds it in use.
 *
 * The deadline is the one by which it has to begin: ERR_DEADLINE_EXCEEDED. What has begun goes on
 * after it, as every retry would have to begin anew: e2fsck -p of a large volume for up to 10
 * minutes, when it is killed (ERR_DEADLINE_EXCEEDED, too), and a repair until it is done. Call it
 * on a thread that outlives its caller.
 *
 * Killing -p is safe: a journal is replayed from its start until the superblock says that it is
 * done, and the superblock is marked clean at the end of a check only, so that the next check
 * begins anew. If a reboot or the loss of the device ends a repair, the next check begins anew,
 * too: before a repair the file system is durably marked as one with errors (by tune2fs, if e2fsck
 * -p has not done so), which e2fsck takes back at its end.
 */
int check_before_mount(const struct fs *fs, const char *device, bool repair,
		       struct deadline deadline, struct err *err);

/*
 * What to do when the mount was refused: err has the error of mount_device. 0: the file system was
 * repaired, mount it again. -1: err stands; ERR_DATA_LOSS, a corrupt file system, becomes
 * ERR_FAILED_PRECONDITION with the way out.
 *
 * With repair: ext4 by e2fsck -fy, xfs by xfs_repair, which never gets -L: a log that cannot be
 * replayed stays, and the error says so. btrfs is not repaired: btrfs check(8) warns of its
 * --repair. Blocks as check_before_mount does.
 */
int check_after_refusal(const struct fs *fs, const char *device, bool repair,
			struct deadline deadline, struct err *err);

#endif
