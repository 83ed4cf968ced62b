/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file systems we make: one row each for how to make and mount it. Features are pinned to what
 * Linux 6.1 mounts, whatever newer mkfs programs have for defaults.
 */
#ifndef CSI_VOLUME_FS_H
#define CSI_VOLUME_FS_H

#include <stdbool.h>
#include <stdint.h>

#include "nvme/base/clock.h"
#include "nvme/base/err.h"
#include "nvme/base/strb.h"

#define FS_NAMES "ext4, xfs or btrfs" /* for messages: what would be right */

/* A row of the table, static. */
struct fs;

/* The file system of that name; NULL if we do not make it. */
const struct fs *fs_find(const char *name);

const char *fs_name(const struct fs *fs);

/*
 * The least size of a volume: mkfs.xfs refuses less than 300 MiB; a small ext4 gets no journal; a
 * btrfs of 109 MiB, the least that mkfs.btrfs makes, is mostly metadata.
 */
uint64_t fs_min_bytes(const struct fs *fs);

/*
 * Checks the StorageClass's mkfsOptions: words split at blanks, each "-X value" or "-Xvalue" with X
 * out of a list for the file system and a value that cannot name a file. NULL counts as empty.
 * ERR_INVALID_ARGUMENT names the word and what would be right.
 */
int fs_check_mkfs_options(const struct fs *fs, const char *options, struct err *err);

/*
 * Makes the file system on the block device (or regular file) at the absolute path device, with
 * mkfs_options after our own, and makes it durable. Never asks, does not discard. The caller has
 * established that nothing is lost (probe.h, and the laws of data safety).
 *
 * overwrite: an unfinished mkfs of ours is there and may be written over; without it mkfs.xfs
 * and mkfs.btrfs refuse a device on which it sees a signature, as a last defence.
 *
 * ERR_INVALID_ARGUMENT: mkfs_options. ERR_FAILED_PRECONDITION: the program is not installed.
 * ERR_DEADLINE_EXCEEDED: it was killed; something unfinished may be there.
 * ERR_INTERNAL: it failed; the message has the end of what it said.
 * Blocks until done.
 */
int fs_make(const struct fs *fs, const char *device, const char *mkfs_options, bool overwrite,
	    struct deadline deadline, struct err *err);

/*
 * Adds the mount options of the file system to out, comma separated: what it always needs, for a
 * reader (one of many nodes, which must not write, not even to replay a journal) also "ro" and no
 * replay, then extra (NULL: none). out->overflow tells that they did not fit.
 */
void fs_mount_options(const struct fs *fs, bool reader, const char *extra, struct strb *out);

#endif
