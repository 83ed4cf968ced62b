/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thin_delta(8) of thin-provisioning-tools, by its output, which is read while it comes: two thin
 * volumes are compared by their mappings, no data is read. What is told is by whole chunks of the
 * thin pool:
 *	- "different": both have the chunk, in other places of the pool;
 *	- "left_only": it was discarded in the newer one, where it reads as zeros;
 *	- "right_only": it is new;
 *	- "same", in one place: not told, unless a volume is compared with itself, which tells
 *	  what it has.
 * As in extents.h, one place at one time is one content. Of a thin pool that is in use the time
 * is that of its metadata snapshot: thin_delta looks at nothing else.
 *
 * Nothing is believed that is not as expected, since a range that is overlooked is lost data:
 * any other element, order, number, chunk size or end of the output is ERR_INTERNAL and is
 * shown. What no parser can see is a mapping that the program itself passes over, as 1.0.0 to
 * 1.0.5 do with a chunk that was rewritten amid others (their delta.rs merges ranges by the
 * chunk alone). So a version that is not 0.9 is refused.
 *
 * Memory is some hundred bytes here. The program itself takes about 70 MiB for a million ranges
 * (0.9, measured), and prints nothing before it has read all of both.
 */
#ifndef NVME_TARGET_THIN_DELTA_H
#define NVME_TARGET_THIN_DELTA_H

#include "nvme/base/clock.h"
#include "nvme/base/proc.h"
#include "nvme/target/extents.h"

struct thin_delta_query {
	const char *device;	 /* the path of the thin pool's metadata */
	uint64_t snapshot_block; /* of the metadata snapshot, which has to be reserved meanwhile */
	unsigned id;		 /* of the newer thin volume in its pool */
	unsigned base_id;	 /* of the older one; the same: what the volume has is told */
	uint64_t chunk_bytes;	 /* of the pool */
	uint64_t start_bytes;	 /* what ends before is left out; whole blocks */
};

/*
 * Runs it and fills the list, whose size_bytes, items and max the caller has set: up to its end, or
 * until the list is full, when the program is ended. ERR_FAILED_PRECONDITION: there is no such
 * program, or of another version. ERR_DEADLINE_EXCEEDED. The list is undefined then.
 */
int thin_delta_read(const struct thin_delta_query *query, struct deadline deadline,
		    struct extents *list, struct err *err);

/*
 * Whether a program of thin-provisioning-tools is one of those whose output is known to be exact;
 * else, and if there is none, ERR_FAILED_PRECONDITION. ERR_DEADLINE_EXCEEDED. The result is for its
 * use.
 */
int thin_delta_check(const char *program, struct deadline deadline, struct proc_result *result,
		     struct err *err);

#endif
