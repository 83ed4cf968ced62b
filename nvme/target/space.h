/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage that several files take together when some share blocks (reflink): shared blocks
 * count once, which the sums of stat(2) do not. It is found by a walk over their extents
 * (FS_IOC_FIEMAP), some microseconds each.
 */
#ifndef NVME_TARGET_SPACE_H
#define NVME_TARGET_SPACE_H

#include <stddef.h>
#include <stdint.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/err.h"

/* 16 MiB of them. Shared extents beyond are not counted: what files take is too small then. */
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
};

/* Adds a file's extents, but none beyond its size. */
int space_add(struct space *space, int fd, uint64_t size_bytes, struct err *err);

/* What all of them take. Puts the ranges in order. */
uint64_t space_bytes(struct space *space);

void space_fini(struct space *space);
#define cleanup_space CLEANUP(space_fini)

#endif
