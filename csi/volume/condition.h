/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a mounted file system is well: what the kernel has noted down about it, and whether it
 * still answers.
 */
#ifndef CSI_VOLUME_CONDITION_H
#define CSI_VOLUME_CONDITION_H

#include <stdbool.h>

#include "csi/volume/mount.h"
#include "nvme/base/err.h"
#include "nvme/base/root.h"

#define CONDITION_MESSAGE_SIZE 512

struct condition {
	bool abnormal;
	bool inaccessible;  /* nothing can be read any more; else it goes on, in part or at risk */
	const char *reason; /* static, CamelCase, for machines: "FileSystemReadOnly" */
	char message[CONDITION_MESSAGE_SIZE]; /* what is wrong, for people; "" if nothing is */
};

/*
 * Reads the kernel's notes; touches neither the device nor the file system and never hangs.
 * entry is the mount that mount_device made, not a bind of it, which may be read-only by intent.
 * sysfs is /sys, name the kernel's of the device, "nvme0n1". Abnormal is, in this order:
 *  - DeviceGone;
 *  - FileSystemStopped, FileSystemReadOnly: mountinfo shows a superblock that was stopped
 *    ("emergency_ro" and "shutdown" of newer ext4, "abort" of older ones), or that went read-only
 *    below a mount that is read-write;
 *  - FileSystemErrors: ext4 has recorded some (/sys/fs/ext4/<name>/errors_count), which it keeps
 *    until a check;
 *  - DeviceErrors: btrfs counts some of its device (error_stats), which it keeps until they are
 *    reset.
 * xfs keeps no notes in sysfs: see condition_probe.
 */
int condition_read(const struct root *sysfs, const struct mount_entry *entry, const char *name,
		   struct condition *ret, struct err *err);

/*
 * Opens the root directory at path and asks. An xfs that shut down refuses that with EIO
 * (FileSystemStopped), and tells of what it found to be damaged since the mount (FileSystemDamaged).
 * ext4 and btrfs answer until they forget their root directory; what they note down is in
 * condition_read. May hang as long as the device does: call it on a worker that may be left behind.
 */
int condition_probe(const char *path, struct condition *ret, struct err *err);

#endif
