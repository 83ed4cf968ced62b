/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool kind "dir": a directory with one sparse file, its image, a volume or snapshot. Snapshots
 * and clones share blocks with what they are copies of.
 */
#include "nvme/target/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "nvme/target/image.h"
#include "nvme/target/record.h"
#include "nvme/target/space.h"
#include "nvme/target/view.h"

#define WALK_MS 1500 /* over the extents of one, for what it holds by itself */

static int dir_create(struct pool *pool, const struct volume *volume, bool again, struct err *err)
{
	cleanup_close int fd = -1;
	char name[IMAGE_NAME_SIZE];
	bool blank = false;

	(void)again;
	image_name(&volume->uuid, name);
	if (image_open(&pool->records, name, O_RDWR | O_CREAT, &fd, err) < 0 ||
	    image_is_blank(&pool->records, name, fd, &blank, err) < 0)
		return -1;
	if (!blank)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s/%s holds data and has no record: move it away, or put its "
			       "record back",
			       pool->records.path, name);
	if (!volume->volatile_cache && image_sync(&pool->records, name, fd, err) < 0)
		return -1;
	if (image_resize(&pool->records, name, fd, volume, err) < 0)
		return -1;
	/* Its name becomes durable together with the record's, which is in the same directory. */
	if (fsync(fd) < 0)
		return err_sys(err, errno, "fsync %s/%s", pool->records.path, name);
	return 0;
}

static int dir_grow(struct pool *pool, const struct volume *volume, struct err *err)
{
	cleanup_close int fd = -1;
	char name[IMAGE_NAME_SIZE];
	uint64_t size = 0;

	image_name(&volume->uuid, name);
	if (image_get(&pool->records, name, O_RDWR, &fd, &size, err) < 0)
		return -1;
	if (size > volume->size_bytes)
		return err_set(err, ERR_INTERNAL,
			       "%s/%s has %" PRIu64 " bytes, more than the %" PRIu64
			       " it is to grow to; backings are never cut",
			       pool->records.path, name, size, volume->size_bytes);
	if (size < volume->size_bytes && image_resize(&pool->records, name, fd, volume, err) < 0)
		return -1;
	if (fsync(fd) < 0)
		return err_sys(err, errno, "fsync %s/%s", pool->records.path, name);
	return 0;
}

static int dir_attach(struct pool *pool, const struct volume *volume, bool readonly,
		      struct err *err)
{
	cleanup_close int fd = -1;
	char name[IMAGE_NAME_SIZE];
	uint64_t size = 0;

	image_name(&volume->uuid, name);
	if (image_get(&pool->records, name, readonly ? O_RDONLY : O_RDWR, &fd, &size, err) < 0)
		return -1;
	/* The larger size of an expansion under way is as good. */
	if (size != volume->size_bytes && size != volume->growing_bytes)
		return err_set(err, ERR_DATA_LOSS,
			       "%s/%s has %" PRIu64 " bytes, its record says %" PRIu64,
			       pool->records.path, name, size, volume->size_bytes);
	if (readonly)
		return view_ensure(&volume->uuid, fd, size, err);
	return volume->volatile_cache ? 0 : image_sync(&pool->records, name, fd, err);
}

static int dir_detach(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	(void)pool;
	return view_remove(uuid, err);
}

/* What stat(2) says that an image takes, without what the file system needs for itself. */
static uint64_t allocated_of(const struct stat *st)
{
	uint64_t allocated = (uint64_t)st->st_blocks * 512;

	return allocated < (uint64_t)st->st_size ? allocated : (uint64_t)st->st_size;
}

static int dir_find(struct pool *pool, const struct uuid *uuid, struct pool_backing *ret,
		    struct err *err)
{
	cleanup_close int fd = -1;
	char name[IMAGE_NAME_SIZE];
	bool unfinished = false;
	struct stat st;
	bool blank = false;
	int found;

	image_name(uuid, name);
	found = image_open(&pool->records, name, O_RDONLY, &fd, err);
	if (found == 0) {
		unfinished = true;
		image_new_name(uuid, name);
		found = image_open(&pool->records, name, O_RDONLY, &fd, err);
	}
	if (found <= 0)
		return found;
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "stat %s/%s", pool->records.path, name);
	if (image_is_blank(&pool->records, name, fd, &blank, err) < 0)
		return -1;
	*ret = (struct pool_backing) { .size_bytes = (uint64_t)st.st_size,
				       .allocated_bytes = allocated_of(&st),
				       .blank = blank && !unfinished,
				       .unfinished = unfinished };
	return 1;
}

static int dir_remove(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	return image_remove(&pool->records, uuid, err);
}

static int dir_copy(struct pool *pool, const struct volume *copy, const struct volume *from,
		    struct err *err)
{
	return image_copy(&pool->records, copy, from, err);
}

static int dir_copy_finish(struct pool *pool, const struct volume *copy, struct err *err)
{
	return image_copy_finish(&pool->records, copy, err);
}

static int dir_copy_is_whole(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	struct pool_backing backing = { 0 };
	int found = dir_find(pool, uuid, &backing, err);

	return found <= 0 ? found : !backing.unfinished;
}

/* An image to be asked for its extents, and its path, until the end of the scope. */
struct mapped {
	int fd;
	char *path;
};

static void mapped_fini(struct mapped *mapped)
{
	cleanup_closep(&mapped->fd);
	free(mapped->path);
}

/* What one that was cut has lost would look as if it had been zeros all the time. */
static int map_image(struct pool *pool, const struct volume *snapshot, struct mapped *ret,
		     struct err *err)
{
	char name[IMAGE_NAME_SIZE];
	uint64_t size = 0;

	image_name(&snapshot->uuid, name);
	ret->path = xasprintf("%s/%s", pool->records.path, name);
	if (image_get(&pool->records, name, O_RDONLY, &ret->fd, &size, err) < 0)
		return -1;
	if (size != snapshot->size_bytes)
		return err_set(err, ERR_DATA_LOSS,
			       "%s has %" PRIu64 " bytes, its record says %" PRIu64, ret->path,
			       size, snapshot->size_bytes);
	return 0;
}

static int dir_extents(struct pool *pool, const struct volume *snapshot, const struct volume *base,
		       uint64_t start_bytes, struct extents *ret, struct err *err)
{
	CLEANUP(mapped_fini) struct mapped image = { .fd = -1 }, older = { .fd = -1 };

	if (map_image(pool, snapshot, &image, err) < 0 ||
	    (base && map_image(pool, base, &older, err) < 0))
		return -1;
	return extents_read(&(struct extents_file) { image.fd, image.path },
			    base ? &(struct extents_file) { older.fd, older.path } : NULL,
			    start_bytes, ret, err);
}

/* As it is now. */
static int dir_used(struct pool *pool, const struct uuid *uuid, uint64_t since_ns, uint64_t *ret,
		    struct err *err)
{
	cleanup_close int fd = -1;
	char name[IMAGE_NAME_SIZE];
	int found;

	(void)since_ns;
	image_name(uuid, name);
	found = image_open(&pool->records, name, O_RDONLY, &fd, err);
	return found <= 0 ? found : space_own(fd, deadline_after_ms(WALK_MS), ret, err);
}

static bool cut_suffix(char *name, const char *suffix)
{
	size_t len = strlen(name), suffix_len = strlen(suffix);

	if (len <= suffix_len || strcmp(name + len - suffix_len, suffix) != 0)
		return false;
	name[len - suffix_len] = '\0';
	return true;
}

/* Cuts the suffix off; false when the name is not that of an image, or the image itself is there. */
static bool name_to_uuid(char *name, const void *records)
{
	struct err ignored;
	struct uuid uuid;

	if (cut_suffix(name, IMAGE_NEW_SUFFIX)) {
		if (root_exists(records, "%s" IMAGE_SUFFIX, name))
			return false;
	} else if (!cut_suffix(name, IMAGE_SUFFIX)) {
		return false;
	}
	return parse_uuid("image", name, &uuid, &ignored) == 0 && strcmp(uuid.text, name) == 0;
}

static int dir_list(struct pool *pool, struct root_names *ret, struct err *err)
{
	if (root_list(&pool->records, ret, err, ".") < 0)
		return -1;
	root_names_filter(ret, name_to_uuid, &pool->records);
	return 0;
}

/* --- room ------------------------------------------------------------------------------------- */

/* One that cannot be looked at counts as none: with too little less is promised. */
static void add_allocated(const struct pool *pool, const char *name, struct space *space)
{
	cleanup_close int fd = -1;
	struct err ignored;
	struct stat st;

	if (fstatat(pool->records.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (!pool->shares || !st.st_blocks)
		space->own_bytes += allocated_of(&st);
	else if (image_open(&pool->records, name, O_RDONLY, &fd, &ignored) > 0)
		space_add(space, fd, (uint64_t)st.st_size, &ignored);
}

/* An image without a record is somebody else's file here. */
static int dir_allocation(struct pool *pool, struct pool_allocation *ret, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };
	cleanup_space struct space space = { 0 };

	if (record_list(&pool->records, RECORD_LIVE, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		char name[IMAGE_NAME_SIZE];
		struct err ignored;
		struct uuid uuid;

		if (record_name_uuid(names.names[i], &uuid, &ignored) < 0)
			continue;
		image_name(&uuid, name);
		add_allocated(pool, name, &space);
	}
	*ret = (struct pool_allocation) { .bytes = space_bytes(&space) };
	return 0;
}

static int dir_room(struct pool *pool, struct pool_room *ret, struct err *err)
{
	struct statvfs st;

	if (fstatvfs(pool->records.fd, &st) < 0)
		return err_sys(err, errno, "statvfs %s", pool->records.path);
	*ret = (struct pool_room) {
		.capacity_bytes = (uint64_t)st.f_blocks * st.f_frsize,
		.free_bytes = (uint64_t)st.f_bavail * st.f_frsize,
	};
	return 0;
}

static void dir_device_path(const struct pool *pool, const struct volume *volume, bool readonly,
			    char out[PATH_MAX])
{
	if (readonly) {
		view_path(&volume->uuid, out);
		return;
	}
	/* dir_open has made sure that it fits. */
	snprintf(out, PATH_MAX, "%.*s/%s%s", (int)(PATH_MAX - IMAGE_NAME_SIZE - 2),
		 pool->records.path, volume->uuid.text, IMAGE_SUFFIX);
}

static bool path_is_plain(const char *path)
{
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return false;
	return strlen(path) + IMAGE_NAME_SIZE + 2 < PATH_MAX;
}

/*
 * The directory must exist: one that is created here could hide a file system that is not mounted
 * yet, and with it all records.
 */
static int dir_open(const char *argument, struct pool **ret, struct err *err)
{
	cleanup_free struct pool *pool = xcalloc(1, sizeof(*pool));
	cleanup_root struct root records = ROOT_INIT;
	cleanup_free char *path = NULL;

	if (argument[0] != '/')
		return err_set(err, ERR_INVALID_ARGUMENT, "\"%.200s\" is not an absolute path",
			       argument);
	path = realpath(argument, NULL);
	if (!path)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "directory %.200s cannot be used: %s; create it, or mount its file "
			       "system, first",
			       argument, strerrordesc_np(errno));
	if (!path_is_plain(path))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "path \"%.200s\" has blanks or control characters, or is too long",
			       path);
	if (root_open(&records, path, err) < 0)
		return err_recode(err, ERR_FAILED_PRECONDITION);
	if (flock(records.fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "directory %s is served by another process (%s)", path,
			       strerrordesc_np(errno));
	pool->records = records;
	records.fd = -1;
	*ret = steal_ptr(&pool);
	return 0;
}

static void dir_close(struct pool *pool)
{
	root_close(&pool->records);
	free(pool);
}

const struct pool_ops pool_dir_ops = {
	.kind = "dir",
	.open = dir_open,
	.close = dir_close,
	.create = dir_create,
	.grow = dir_grow,
	.attach = dir_attach,
	.detach = dir_detach,
	.find = dir_find,
	.remove = dir_remove,
	.copy = dir_copy,
	.copy_finish = dir_copy_finish,
	.copy_is_whole = dir_copy_is_whole,
	.extents = dir_extents,
	.used = dir_used,
	.list = dir_list,
	.room = dir_room,
	.allocation = dir_allocation,
	.device_path = dir_device_path,
};
