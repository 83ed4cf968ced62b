/* SPDX-License-Identifier: Apache-2.0 */
/* How full a mounted file system is. */
#ifndef CSI_VOLUME_USAGE_H
#define CSI_VOLUME_USAGE_H

#include <stdint.h>

#include "nvme/base/err.h"

struct usage {
	uint64_t total_bytes;
	uint64_t used_bytes;
	uint64_t available_bytes; /* to an unprivileged user: what is reserved is in neither */
	/* All zero where the file system has no such number: btrfs. Those of an xfs are a guess. */
	uint64_t total_inodes;
	uint64_t used_inodes;
	uint64_t available_inodes;
};

/*
 * Reads it for the file system at path; no value is more than its total. The caller knows that the
 * mount is there. statfs(2) answers from memory on ext4, xfs and btrfs, but a path is looked up:
 * call it on a worker that may hang.
 */
int usage_read(const char *path, struct usage *ret, struct err *err);

#endif
