/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps of files, compared window by window: each window is as long as one reading of each file
 * reaches, so that a call keeps no state but its place.
 */
#include "nvme/target/extents.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "nvme/base/cleanup.h"

#define MAP_PIECES 512 /* extents in one reading of a map */
#define WINDOWS_MAX 64 /* of one call */

/* Those that say nothing about where the data is and whether it is all of it. */
#define FLAGS_PLAIN (FIEMAP_EXTENT_LAST | FIEMAP_EXTENT_MERGED | FIEMAP_EXTENT_SHARED)

enum kind {
	KIND_ZERO,
	KIND_PLACED, /* at this place of the device */
	KIND_OPAQUE,
};

struct piece {
	enum kind kind;
	uint64_t start, end; /* bytes of the file */
	uint64_t place;	     /* of its start */
};

/* What a file has in a part of it; what lies between the pieces is a hole. */
struct map {
	uint64_t end; /* known up to here */
	size_t count;
	struct piece pieces[MAP_PIECES];
};

/* What one call needs. */
struct maps {
	struct map file, base, again;
	union {
		struct fiemap head;
		unsigned char
			room[sizeof(struct fiemap) + MAP_PIECES * sizeof(struct fiemap_extent)];
	} answer;
};

static enum kind kind_of(uint32_t flags)
{
	flags &= ~(uint32_t)FLAGS_PLAIN;
	if (flags == FIEMAP_EXTENT_UNWRITTEN)
		return KIND_ZERO;
	return flags ? KIND_OPAQUE : KIND_PLACED;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Adds an extent to the map, cut to where the map begins and ends. */
static int add_piece(struct map *map, const struct fiemap_extent *extent, uint64_t start,
		     const struct extents_file *file, struct err *err)
{
	uint64_t from = map->count ? map->pieces[map->count - 1].end : start;
	uint64_t begins = extent->fe_logical, ends = begins + extent->fe_length;
	struct piece *piece;

	if (ends <= from || (map->count && begins < from))
		return err_set(err, ERR_INTERNAL,
			       "%s: its file system tells of an extent of %" PRIu64
			       " bytes at %" PRIu64 " after one that ends at %" PRIu64,
			       file->path, (uint64_t)extent->fe_length, begins, from);
	if (begins >= map->end)
		return 0;
	piece = &map->pieces[map->count++];
	piece->kind = kind_of(extent->fe_flags);
	piece->start = begins < start ? start : begins;
	piece->end = min_u64(ends, map->end);
	piece->place = extent->fe_physical + (piece->start - begins);
	return 0;
}

/* Of others a place may be an offset in the file (cifs), or be on one of several devices. */
static int check_fs(const struct extents_file *file, struct err *err)
{
	struct statfs st;

	if (fstatfs(file->fd, &st) < 0)
		return err_sys(err, errno, "ask for the file system of %s", file->path);
	if (st.f_type == XFS_SUPER_MAGIC || st.f_type == BTRFS_SUPER_MAGIC)
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "%s: of its file system, type %#lx, it is not known that data at one place "
		       "is the same data; keep the pool on xfs or btrfs",
		       file->path, (unsigned long)st.f_type);
}

static int raise_fiemap(const struct extents_file *file, int failed, struct err *err)
{
	if (failed == EOPNOTSUPP || failed == ENOTTY || failed == EBADR)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s: its file system does not tell where a file has its data "
			       "(FIEMAP: %s); keep the pool on xfs or btrfs",
			       file->path, strerrordesc_np(failed));
	return err_sys(err, failed, "read the extents of %s", file->path);
}

/* Reads the map of [start, end), or of as much of it as goes into one. */
static int map_load(struct maps *maps, const struct extents_file *file, uint64_t start,
		    uint64_t end, struct map *ret, struct err *err)
{
	struct fiemap *head = &maps->answer.head;

	ret->count = 0;
	ret->end = end;
	if (start >= end)
		return 0;
	*head = (struct fiemap) { .fm_start = start,
				  .fm_length = end - start,
				  .fm_flags = FIEMAP_FLAG_SYNC,
				  .fm_extent_count = MAP_PIECES };
	if (ioctl(file->fd, FS_IOC_FIEMAP, head) < 0)
		return raise_fiemap(file, errno, err);
	for (size_t i = 0; i < min_u64(head->fm_mapped_extents, MAP_PIECES); i++)
		if (add_piece(ret, &head->fm_extents[i], start, file, err) < 0)
			return -1;
	if (ret->count == MAP_PIECES)
		ret->end = ret->pieces[MAP_PIECES - 1].end;
	return 0;
}

static bool map_equal(const struct map *a, const struct map *b)
{
	if (a->count != b->count || a->end != b->end)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct piece *p = &a->pieces[i], *q = &b->pieces[i];

		if (p->kind != q->kind || p->start != q->start || p->end != q->end ||
		    p->place != q->place)
			return false;
	}
	return true;
}

/* What the map has at pos, and up to where; *at is where it was found, and goes up only. */
static struct piece map_look(const struct map *map, size_t *at, uint64_t pos, uint64_t end)
{
	const struct piece *piece;

	while (*at < map->count && map->pieces[*at].end <= pos)
		++*at;
	if (*at == map->count)
		return (struct piece) { .kind = KIND_ZERO, .end = end };
	piece = &map->pieces[*at];
	if (piece->start > pos)
		return (struct piece) { .kind = KIND_ZERO, .end = min_u64(piece->start, end) };
	return (struct piece) { .kind = piece->kind,
				.end = min_u64(piece->end, end),
				.place = piece->place + (pos - piece->start) };
}

static bool same(const struct piece *a, const struct piece *b)
{
	return a->kind == b->kind &&
	       (a->kind == KIND_ZERO || (a->kind == KIND_PLACED && a->place == b->place));
}

bool extents_add(struct extents *list, uint64_t start_bytes, uint64_t end_bytes)
{
	struct extent *last = list->count ? &list->items[list->count - 1] : NULL;
	uint64_t start = start_bytes - start_bytes % EXTENTS_BLOCK_BYTES;
	uint64_t end = end_bytes + (EXTENTS_BLOCK_BYTES - 1);

	end = min_u64(end - end % EXTENTS_BLOCK_BYTES, list->size_bytes);
	if (last && start <= last->offset_bytes + last->length_bytes) {
		if (end > last->offset_bytes + last->length_bytes)
			last->length_bytes = end - last->offset_bytes;
		return true;
	}
	if (list->count == list->max) {
		list->next_bytes = start;
		return false;
	}
	list->items[list->count++] =
		(struct extent) { .offset_bytes = start, .length_bytes = end - start };
	return true;
}

/* Tells how the maps differ in [start, end). False: the list is full. */
static bool compare(const struct map *file, const struct map *base, uint64_t start, uint64_t end,
		    struct extents *list)
{
	size_t at = 0, base_at = 0;
	struct piece ours, theirs;
	uint64_t stop;

	for (uint64_t pos = start; pos < end; pos = stop) {
		ours = map_look(file, &at, pos, end);
		theirs = map_look(base, &base_at, pos, end);
		stop = min_u64(ours.end, theirs.end);
		if (!same(&ours, &theirs) && !extents_add(list, pos, stop))
			return false;
	}
	return true;
}

/* One window from start on: its end in *ret_end. 1: told; 0: the list is full; -1: error. */
static int window(struct maps *maps, const struct extents_file *file,
		  const struct extents_file *base, uint64_t start, struct extents *list,
		  uint64_t *ret_end, struct err *err)
{
	uint64_t size = list->size_bytes;

	if (map_load(maps, file, start, size, &maps->file, err) < 0)
		return -1;
	maps->base.count = 0;
	maps->base.end = maps->file.end;
	if (base && (map_load(maps, base, start, maps->file.end, &maps->base, err) < 0 ||
		     map_load(maps, file, start, size, &maps->again, err) < 0))
		return -1;
	*ret_end = maps->base.end;
	if (base && !map_equal(&maps->file, &maps->again))
		return extents_add(list, start, *ret_end);
	return compare(&maps->file, &maps->base, start, *ret_end, list);
}

/* Where the next call begins: not within a block that is told already, nor after one that is not. */
static uint64_t next_of(const struct extents *list, uint64_t pos)
{
	const struct extent *last = list->count ? &list->items[list->count - 1] : NULL;

	if (pos >= list->size_bytes)
		return list->size_bytes;
	pos -= pos % EXTENTS_BLOCK_BYTES;
	if (last && last->offset_bytes + last->length_bytes > pos)
		return last->offset_bytes + last->length_bytes;
	return pos;
}

int extents_read(const struct extents_file *file, const struct extents_file *base,
		 uint64_t start_bytes, struct extents *ret, struct err *err)
{
	struct extents list = { .items = ret->items, .max = ret->max };
	cleanup_free struct maps *maps = xcalloc(1, sizeof(*maps));
	uint64_t pos = start_bytes - start_bytes % EXTENTS_BLOCK_BYTES;
	struct stat st;
	int rc = 1;

	if (check_fs(file, err) < 0)
		return -1;
	if (fstat(file->fd, &st) < 0)
		return err_sys(err, errno, "stat %s", file->path);
	list.size_bytes = (uint64_t)st.st_size;
	if (start_bytes > list.size_bytes)
		return err_set(err, ERR_OUT_OF_RANGE,
			       "offset %" PRIu64 " is beyond the end of %s, which has %" PRIu64
			       " bytes",
			       start_bytes, file->path, list.size_bytes);
	for (size_t i = 0; rc == 1 && i < WINDOWS_MAX && pos < list.size_bytes; i++)
		rc = window(maps, file, base, pos, &list, &pos, err);
	if (rc < 0)
		return -1;
	if (rc == 1)
		list.next_bytes = next_of(&list, pos);
	*ret = list;
	return 0;
}
