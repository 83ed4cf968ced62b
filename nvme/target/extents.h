/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which parts of a file have data, and which of them may differ from those of another file: from
 * the maps that the file system keeps of both (FIEMAP), without reading any data. For snapshots,
 * that is files that nobody writes and that share their storage with the files they were cloned
 * from.
 *
 * A part is the same in both files when
 *	- in neither there is data: a hole, or storage that was allocated and never written, which
 *	  reads as zeros by definition; or
 *	- both have it at one place of the device, and plainly so: no flag but "shared" and the
 *	  like. All else is told: what is compressed (its place says where the packed extent
 *	  begins, not which part of it), inline, not yet placed, or has a flag that is not
 *	  known here.
 *
 * Why one place is the same data, although storage is freed and used again: what a file maps, the
 * file system has not freed. When both maps show one place at the same time, both files read the
 * same bytes from it, whatever was there before; that two files' data cannot lie at one place
 * without being shared is what the file system itself relies on. A write to the live volume cannot
 * change them either, since a shared block is written elsewhere. What is needed besides:
 *	- Nothing of either file lies in the page cache alone: FIEMAP_FLAG_SYNC writes that out
 *	  first, and nobody writes afterwards. The same makes "never written" mean no data.
 *	- The same time. Maps are read one after the other, and btrfs moves data when it
 *	  balances. So the first is read again after the second; if it has changed, all of that
 *	  part is told.
 *	- A place that means one thing. With cifs it is the offset in the file, in both; where a
 *	  file system has several devices it may lie on any of them. Of xfs and btrfs it is known
 *	  what it means: a file of either is on one device, or its places are of all of them.
 *	  Any other file system is refused.
 *
 * Granularity is EXTENTS_BLOCK_BYTES: a range that begins or ends within a block is widened.
 * Memory is some 100 KiB for files of any size and number of extents.
 */
#ifndef NVME_TARGET_EXTENTS_H
#define NVME_TARGET_EXTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nvme/base/err.h"

#define EXTENTS_BLOCK_BYTES 4096U

struct extent {
	uint64_t offset_bytes;
	uint64_t length_bytes;
};

/* A list that is filled up to max: in order, not overlapping, what touches is one. */
struct extents {
	struct extent *items; /* the caller's, room for max */
	size_t max;	      /* at least 1 */
	size_t count;
	/*
	 * How far it goes: all before this is told, here or by earlier calls, and the next call
	 * begins here. It can be short of the end although the list is not full, even empty: one
	 * call does not look at more than some 30,000 extents.
	 */
	uint64_t next_bytes;
	uint64_t size_bytes; /* of the file; the end is where next_bytes is this */
};

/*
 * The file (open for reading, of this path for messages). A file is borrowed, and never read.
 */
struct extents_file {
	int fd;
	const char *path;
};

/*
 * Fills the list with what differs between base and file from start_bytes on, or, with base NULL,
 * with what has data; the block that start_bytes lies in is the first. Beyond its end base counts
 * as zeros; what it has beyond the end of the file is left out. Blocks on the disk.
 * ERR_OUT_OF_RANGE: start_bytes is beyond the end of the file. ERR_FAILED_PRECONDITION: the file
 * system keeps no such maps, or is not known. ERR_INTERNAL: its map makes no sense.
 */
int extents_read(const struct extents_file *file, const struct extents_file *base,
		 uint64_t start_bytes, struct extents *ret, struct err *err);

/*
 * Adds [start_bytes, end_bytes), which begins not before what was added last, and is widened to
 * blocks. False: the list is full, nothing was added, and next_bytes is where to begin again. For
 * whoever fills a list from another source.
 */
bool extents_add(struct extents *list, uint64_t start_bytes, uint64_t end_bytes);

#endif
