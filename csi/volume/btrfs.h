/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tells of mounted btrfs file systems and their devices. mountinfo and stat show an
 * anonymous device number for them; the block device is known by the mount's source and by
 * /sys/fs/btrfs/<fsid>/devices. Nothing here touches a file system or waits for a device.
 */
#ifndef CSI_VOLUME_BTRFS_H
#define CSI_VOLUME_BTRFS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "nvme/base/err.h"
#include "nvme/base/root.h"

/*
 * The number of the block device that mountinfo names as the source of a btrfs mount. The kernel
 * shows the path by which it knows the device (btrfs_show_devname), and no other device gets its
 * name or number while the mount holds it. False: there is no such device (any more).
 */
bool btrfs_device_of(const char *source, dev_t *ret);

/*
 * Which mounted btrfs holds the device of the kernel's name "nvme0n1": its directory below sysfs,
 * "fs/btrfs/<fsid>", where the fsid of a clone that is mounted beside its source is a temporary
 * one. 1: found; 0: none holds it; -1: error.
 */
int btrfs_find_holder(const struct root *sysfs, const char *name, char ret[NAME_MAX],
		      struct err *err);

#endif
