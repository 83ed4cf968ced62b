/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thin_ls(8) of thin-provisioning-tools, by its output, which is read while it comes: how much of
 * each thin volume of a pool no other one has, in whole chunks. It looks at the metadata snapshot
 * that is reserved, and at nothing else of a thin pool that is in use.
 *
 * It takes no single volume: each run reads the mappings of all of them, twice, also where those
 * are shared. A million chunks, of one volume or of many, are 0.2 s of CPU (0.9, measured). It
 * takes about 20 MiB, and two bits for each chunk of the pool.
 */
#ifndef NVME_TARGET_THIN_LS_H
#define NVME_TARGET_THIN_LS_H

#include <stddef.h>
#include <stdint.h>

#include "nvme/base/clock.h"
#include "nvme/base/err.h"

#define THIN_LS_MAX 65536 /* 1 MiB of them; lvm2 has not as many in a pool */

struct thin_ls_volume {
	unsigned id; /* in its pool */
	uint64_t own_bytes;
};

/* Zeroed it is empty. */
struct thin_ls {
	struct thin_ls_volume *items; /* owned, in the order of ids */
	size_t count, size;
};

/*
 * Runs it on the path of a thin pool's metadata and fills the list anew. ERR_FAILED_PRECONDITION:
 * there is no such program, or of another version than thin_delta.h has. ERR_DEADLINE_EXCEEDED. It
 * is ERR_INTERNAL that the output is not as expected, which is shown, or that there are more than
 * THIN_LS_MAX. The list is undefined then, and still to be freed.
 */
int thin_ls_read(const char *device, struct deadline deadline, struct thin_ls *list,
		 struct err *err);

/* The one with the id; NULL: there was none. Borrowed. */
const struct thin_ls_volume *thin_ls_find(const struct thin_ls *list, unsigned id);

void thin_ls_fini(struct thin_ls *list);

#endif
