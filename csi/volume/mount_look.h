/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mount, asked for by its ID: what its line of mountinfo says, without the lines of all others,
 * by statmount(2). Linux 6.8 has it. For the inside of csi/volume.
 */
#ifndef CSI_VOLUME_MOUNT_LOOK_H
#define CSI_VOLUME_MOUNT_LOOK_H

#include "csi/volume/mount.h"

/*
 * The ID of the mount that a path (from directory, with flags, as statx(2) takes them) leads to.
 * 1: and the path is where it is mounted; 0: it is mounted further up; -1: not told, be it that
 * nothing is there (errno says so) or that the kernel has no such IDs (errno is 0).
 */
int mount_look_id(int directory, const char *path, int flags, uint64_t *ret);

/*
 * The mount of an ID, as its table would have it; its texts are in `own`. Only of a file system
 * with a block device that is there: of others the kernel does not tell all, or not the same.
 * False: not told. Waits for nothing.
 */
bool mount_look(uint64_t id, struct mount_entry *ret);

/* Whether the mount of an ID lies upon another one at the very same path: 1, 0, -1: not told. */
int mount_look_covers(uint64_t id);

/*
 * Whether the options of a superblock say that an error stopped it, which ext4 tells there: as
 * "emergency_ro" or "shutdown" of newer kernels, as "abort" of 6.1 (6.1.0-56 of Debian does not
 * make it read-only any more, and lets it be synced). NULL: none.
 */
bool mount_is_stopped(const char *fs_options);

#endif
