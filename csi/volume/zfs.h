/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a device may be a member of a ZFS pool. libblkid reads all four labels for this, a MiB,
 * which costs more than all its other probes; what it could find is found here in less.
 */
#ifndef CSI_VOLUME_ZFS_H
#define CSI_VOLUME_ZFS_H

#include <stdint.h>

#include "nvme/base/err.h"

#define ZFS_ALIGNMENT 4096 /* of whatever is read: fd may be open with O_DIRECT */

/*
 * 1: one of the labels (two at either end, of 256 KiB; "ZFS On-Disk Specification", 1.2) has the
 * magic of an uberblock in a place of one, in either byte order, or begins its list of names and
 * values as such a list does; 0: none has, so that no version of libblkid would call it a member;
 * -1: it cannot be read. A real member has hundreds of these marks.
 */
int zfs_is_suspected(int fd, const char *name, uint64_t size_bytes, struct err *err);

#endif
