/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata of a thin pool: which chunks its thin volumes have, and where, as far as that tells
 * what differs between two snapshots, or what one has alone. The pool is in use all the time, so a
 * metadata snapshot is reserved for it, which is what the metadata is at that moment; then
 * thin_delta.h or thin_ls.h reads it.
 *
 * Of a thin pool there can be one metadata snapshot (dm-thin-metadata.c refuses a second with
 * EBUSY). It lasts until it is released, also over a deactivation and a crash of the machine, and
 * while it is there each change of the metadata writes copies. So:
 *	- One call at a time has it. The others wait, CALLERS_MAX altogether; more would keep the
 *	  turns of the pool from other calls (ERR_UNAVAILABLE).
 *	- Before it is reserved a file beside the records says so, durably, and then which block it
 *	  begins at; that file goes after it has been released. So what a killed process has left is
 *	  released by the next thin_new, or the next use. A crash between the two writes leaves it
 *	  unsaid which block; then what is reserved counts as ours, even if it is of another program
 *	  that has come since. The same is so of one that got the block of ours, when we died just
 *	  before the file went.
 *	- It is not reserved in metadata that are more than half full: see may_reserve.
 *	- Any other is that of another program, which may be at work: it stays, and the call is
 *	  ERR_UNAVAILABLE and says how to release it. If another program releases ours, what
 *	  was read does not count.
 *
 * No lvm2 command is run. The id of a thin volume in its pool is in the table of its device, so
 * nothing takes longer with more volumes.
 *
 * One run of thin_delta reads the whole mapping of both volumes (a million ranges: half a second
 * and 70 MiB). So the first KEPT_MAX ranges of a run are kept (1 MiB), for the KEPT_RUNS pairs that
 * were asked about last, and calls that go on where another one has ended get theirs from these. A
 * mapping of snapshots does not change, but an id
 * may be given to another volume: what is kept counts until anything is made or deleted in the
 * pool, which changes the transaction id that lvm2 has the pool keep.
 *
 * One run of thin_ls reads the mappings of all thin volumes of the pool, so what it has told is
 * kept for whoever asks about another one as part of the same question.
 */
#ifndef NVME_TARGET_THIN_H
#define NVME_TARGET_THIN_H

#include "nvme/base/root.h"
#include "nvme/target/extents.h"
#include "nvme/target/lvm.h"

struct thin;

/*
 * Both are borrowed: the pool, which is active, and the directory of its records, for the mark.
 * Releases what an earlier process of ours has left; that this fails is logged, and the next use
 * tries again.
 */
struct thin *thin_new(const struct lvm *lvm, const struct root *records);
void thin_free(struct thin *thin);

struct thin_query {
	const char *name;      /* of a thin volume that nobody writes and that has its device */
	const char *base_name; /* of an older snapshot of the same volume; NULL: none */
	uint64_t size_bytes;   /* of what is asked about: the rest of the thin volume is left out */
	uint64_t start_bytes;
};

/*
 * Fills the list as extents_read does, in whole chunks. Blocks on the disk and on thin_delta, for
 * less than 25 seconds. ERR_OUT_OF_RANGE: start_bytes is beyond the end. ERR_FAILED_PRECONDITION:
 * there is no thin_delta that is known to be exact, or the pool takes no changes to its metadata or
 * has too little room for them. ERR_UNAVAILABLE: see above.
 * ERR_DEADLINE_EXCEEDED: thin_delta takes too long, and was killed.
 */
int thin_extents(struct thin *thin, const struct thin_query *query, struct extents *ret,
		 struct err *err);

/*
 * What the thin volume has that no other one of the pool has, in whole chunks: as it was at some
 * moment since since_ns (clock_now_ns). 1: told; 0: that is not known of any of them, for a reason
 * that thin_extents may have, too, or because there are too many: it is logged, but not again and
 * again, and not tried again for an earlier since_ns; or this one was not there then. -1: it has no
 * device in this pool. Blocks on the disk and on thin_ls, for less than 13 seconds.
 */
int thin_own(struct thin *thin, const char *name, uint64_t since_ns, uint64_t *ret_bytes,
	     struct err *err);

#endif
