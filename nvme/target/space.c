/* SPDX-License-Identifier: Apache-2.0 */
/* Shared blocks, counted once. */
#include "nvme/target/space.h"

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define AT_ONCE 256 /* extents a call */

void space_fini(struct space *space)
{
	free(space->shared);
	*space = (struct space) { 0 };
}

static void add_shared(struct space *space, const struct fiemap_extent *extent)
{
	struct space_range *last = space->count ? &space->shared[space->count - 1] : NULL;

	if (last && last->at_bytes + last->bytes == extent->fe_physical) {
		last->bytes += extent->fe_length;
		return;
	}
	if (space->count == SPACE_SHARED_MAX)
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

int space_add(struct space *space, int fd, uint64_t size_bytes, struct err *err)
{
	cleanup_free struct fiemap *map =
		xcalloc(1, sizeof(*map) + AT_ONCE * sizeof(map->fm_extents[0]));
	uint64_t at = 0;

	while (at < size_bytes) {
		uint32_t i;

		memset(map, 0, sizeof(*map));
		map->fm_start = at;
		map->fm_length = size_bytes - at;
		map->fm_extent_count = AT_ONCE;
		if (ioctl(fd, FS_IOC_FIEMAP, map) < 0)
			return err_sys(err, errno, "ask for the extents of a file");
		for (i = 0; i < map->fm_mapped_extents; i++) {
			const struct fiemap_extent *extent = &map->fm_extents[i];

			if (extent->fe_flags & FIEMAP_EXTENT_SHARED)
				add_shared(space, extent);
			else
				space->own_bytes += extent->fe_length;
			at = extent->fe_logical + extent->fe_length;
		}
		if (!i || map->fm_extents[i - 1].fe_flags & FIEMAP_EXTENT_LAST)
			break;
	}
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct space_range *left = a, *right = b;

	return (left->at_bytes > right->at_bytes) - (left->at_bytes < right->at_bytes);
}

uint64_t space_bytes(struct space *space)
{
	uint64_t sum = space->own_bytes, end = 0;

	if (space->count)
		qsort(space->shared, space->count, sizeof(*space->shared), by_place);
	for (size_t i = 0; i < space->count; i++) {
		const struct space_range *range = &space->shared[i];
		uint64_t begin = range->at_bytes > end ? range->at_bytes : end;

		if (range->at_bytes + range->bytes <= end)
			continue;
		end = range->at_bytes + range->bytes;
		sum += end - begin;
	}
	return sum;
}
