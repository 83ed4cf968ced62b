/* SPDX-License-Identifier: Apache-2.0 */
/* Shared blocks, counted once. */
#include "nvme/target/space.h"

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#define AT_ONCE 256 /* extents a call */

void space_fini(struct space *space)
{
	free(space->shared);
	*space = (struct space) { 0 };
}

static int by_place(const void *a, const void *b)
{
	const struct space_range *left = a, *right = b;

	return (left->at_bytes > right->at_bytes) - (left->at_bytes < right->at_bytes);
}

/* Puts the ranges in order, and makes one of those that overlap or touch. */
static void merge(struct space *space)
{
	size_t count = 0;

	if (space->count)
		qsort(space->shared, space->count, sizeof(*space->shared), by_place);
	for (size_t i = 0; i < space->count; i++) {
		const struct space_range *range = &space->shared[i];
		struct space_range *last = count ? &space->shared[count - 1] : NULL;
		uint64_t end = range->at_bytes + range->bytes;

		if (!last || range->at_bytes > last->at_bytes + last->bytes)
			space->shared[count++] = *range;
		else if (end > last->at_bytes + last->bytes)
			last->bytes = end - last->at_bytes;
	}
	space->count = count;
}

/* Many copies of one file have mostly the same. */
static bool has_place(struct space *space)
{
	if (space->count == SPACE_SHARED_MAX && !space->full) {
		merge(space);
		space->full = space->count > SPACE_SHARED_MAX / 2;
	}
	return space->count < SPACE_SHARED_MAX;
}

static void add_shared(struct space *space, const struct fiemap_extent *extent)
{
	struct space_range *last = space->count ? &space->shared[space->count - 1] : NULL;

	if (last && last->at_bytes + last->bytes == extent->fe_physical) {
		last->bytes += extent->fe_length;
		return;
	}
	if (!has_place(space))
		return;
	if (space->count == space->size) {
		space->size = space->size ? 2 * space->size : AT_ONCE;
		space->shared = xrealloc(space->shared, space->size, sizeof(*space->shared));
	}
	space->shared[space->count++] = (struct space_range) {
		.at_bytes = extent->fe_physical,
		.bytes = extent->fe_length,
	};
}

/* A walk over the extents of a file, some at a time. */
struct walk {
	int fd;
	uint64_t at_bytes, end_bytes;
	struct fiemap *map;
};

static void walk_fini(struct walk *walk)
{
	free(walk->map);
}

static struct walk walk_begin(int fd, uint64_t end_bytes)
{
	return (struct walk) {
		.fd = fd,
		.end_bytes = end_bytes,
		.map = xcalloc(1, sizeof(struct fiemap) + AT_ONCE * sizeof(struct fiemap_extent)),
	};
}

/* Reads the next ones into the map. 1: read; 0: there are no more. */
static int walk_on(struct walk *walk, struct err *err)
{
	struct fiemap *map = walk->map;
	const struct fiemap_extent *last;

	if (walk->at_bytes >= walk->end_bytes)
		return 0;
	memset(map, 0, sizeof(*map));
	map->fm_start = walk->at_bytes;
	map->fm_length = walk->end_bytes - walk->at_bytes;
	map->fm_extent_count = AT_ONCE;
	if (ioctl(walk->fd, FS_IOC_FIEMAP, map) < 0)
		return err_sys(err, errno, "ask for the extents of a file");
	if (!map->fm_mapped_extents)
		return 0;
	last = &map->fm_extents[map->fm_mapped_extents - 1];
	walk->at_bytes = last->fe_logical + last->fe_length;
	if (last->fe_flags & FIEMAP_EXTENT_LAST)
		walk->at_bytes = walk->end_bytes;
	return 1;
}

int space_add(struct space *space, int fd, uint64_t size_bytes, struct err *err)
{
	CLEANUP(walk_fini) struct walk walk = walk_begin(fd, size_bytes);
	int r;

	while ((r = walk_on(&walk, err)) > 0) {
		for (uint32_t i = 0; i < walk.map->fm_mapped_extents; i++) {
			const struct fiemap_extent *extent = &walk.map->fm_extents[i];

			if (extent->fe_flags & FIEMAP_EXTENT_SHARED)
				add_shared(space, extent);
			else
				space->own_bytes += extent->fe_length;
		}
	}
	return r;
}

/* Those with which an extent takes what its length says. */
#define FLAGS_PLAIN                                                                                \
	(FIEMAP_EXTENT_LAST | FIEMAP_EXTENT_MERGED | FIEMAP_EXTENT_SHARED | FIEMAP_EXTENT_UNWRITTEN)

int space_own(int fd, struct deadline until, uint64_t *ret, struct err *err)
{
	CLEANUP(walk_fini) struct walk walk = walk_begin(fd, INT64_MAX);
	uint64_t own = 0;
	struct statfs st;
	int r;

	if (fstatfs(fd, &st) < 0)
		return err_sys(err, errno, "ask for the file system of a file");
	if (st.f_type != XFS_SUPER_MAGIC)
		return 0;
	while ((r = walk_on(&walk, err)) > 0) {
		for (uint32_t i = 0; i < walk.map->fm_mapped_extents; i++) {
			const struct fiemap_extent *extent = &walk.map->fm_extents[i];

			if (extent->fe_flags & ~(uint32_t)FLAGS_PLAIN)
				return 0;
			if (!(extent->fe_flags & FIEMAP_EXTENT_SHARED))
				own += extent->fe_length;
		}
		if (deadline_passed(until))
			return 0;
	}
	if (r < 0)
		return -1;
	*ret = own;
	return 1;
}

uint64_t space_bytes(struct space *space)
{
	uint64_t sum = space->own_bytes;

	merge(space);
	for (size_t i = 0; i < space->count; i++)
		sum += space->shared[i].bytes;
	return sum;
}
