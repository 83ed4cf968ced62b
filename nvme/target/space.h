/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage that files take when some share blocks (reflink): that of several together, where
 * shared blocks count once, which the sums of stat(2) do not; and what one has that no other file
 * shares. It is found by a walk over their extents (FS_IOC_FIEMAP), some microseconds each.
 */
#ifndef NVME_TARGET_SPACE_H
#define NVME_TARGET_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/clock.h"
#include "nvme/base/err.h"

/* 16 MiB of them. Shared extents beyond, once those that overlap or touch have been made one, are
 * not counted: what files take is too small then. */
#define SPACE_SHARED_MAX (1U << 20)

struct space_range {
	uint64_t at_bytes; /* where it lies in the storage */
	uint64_t bytes;
};

/* Zeroed it is empty. */
struct space {
	uint64_t own_bytes; /* in extents that nothing shares */
	struct space_range *shared;
	size_t count;
	size_t size;
	bool full; /* making them one has not helped */
};

/* Adds a file's extents, but none beyond its size. */
int space_add(struct space *space, int fd, uint64_t size_bytes, struct err *err);

/* What all of them take. Puts the ranges in order. */
uint64_t space_bytes(struct space *space);

/*
 * What of a file no other file shares: its removal frees as much, besides what the file system
 * needs for itself. 1: told; 0: not by then, or the file system does not say so exactly, which only
 * xfs does: others count a block of which a part is shared in ways of their own. The file is not
 * written meanwhile; a writer to one that it shares blocks with may take some out of the sharing.
 */
int space_own(int fd, struct deadline until, uint64_t *ret, struct err *err);

void space_fini(struct space *space);
#define cleanup_space CLEANUP(space_fini)

#endif
