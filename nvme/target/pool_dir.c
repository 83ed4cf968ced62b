/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool kind "dir": a directory with one sparse file a volume. Writes are synchronous by the
 * inode flag FS_SYNC_FL, so that nvmet's acknowledgement means durable without buffered I/O.
 */
#include "nvme/target/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "nvme/target/record.h"
#include "nvme/target/view.h"

#define IMAGE_SUFFIX ".img"
#define IMAGE_NAME_SIZE (UUID_TEXT_SIZE + sizeof(IMAGE_SUFFIX))

static void image_name(const struct uuid *uuid, char out[IMAGE_NAME_SIZE])
{
	snprintf(out, IMAGE_NAME_SIZE, "%s%s", uuid->text, IMAGE_SUFFIX);
}

/* For messages. */
static const char *fs_name(int fd)
{
	static const struct {
		long magic;
		const char *name;
	} known[] = {
		{ EXT4_SUPER_MAGIC, "ext4" },	{ XFS_SUPER_MAGIC, "xfs" },
		{ BTRFS_SUPER_MAGIC, "btrfs" }, { TMPFS_MAGIC, "tmpfs" },
		{ NFS_SUPER_MAGIC, "nfs" },	{ OVERLAYFS_SUPER_MAGIC, "overlay" },
		{ F2FS_SUPER_MAGIC, "f2fs" },
	};
	struct statfs st;

	if (fstatfs(fd, &st) == 0)
		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			if (known[i].magic == (long)st.f_type)
				return known[i].name;
	return "unknown";
}

static bool is_sync(int fd)
{
	int flags = 0;

	return ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_SYNC_FL);
}

/* Read back, because a file system may take the flag and not keep it. */
static int sync_ensure(const struct pool *pool, const char *name, int fd, struct err *err)
{
	int flags = 0, failed = 0;

	if (is_sync(fd))
		return 0;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		failed = errno;
	flags |= FS_SYNC_FL;
	if (!failed && ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0)
		failed = errno;
	if (is_sync(fd))
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "%s/%s: the %s file system cannot make writes synchronous (FS_SYNC_FL: %s); "
		       "put the pool on ext4, xfs or btrfs, or give up the durability of "
		       "acknowledged writes with the parameter writeCache: volatile",
		       pool->records.path, name, fs_name(fd),
		       failed ? strerrordesc_np(failed) : "not kept");
}

/* 1: opened; 0: absent. */
static int image_open(const struct pool *pool, const char *name, int flags, int *ret,
		      struct err *err)
{
	cleanup_close int fd = -1;
	struct stat st;

	fd = openat(pool->records.fd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_sys(err, errno, "open %s/%s", pool->records.path, name);
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "stat %s/%s", pool->records.path, name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INTERNAL, "%s/%s is not a regular file", pool->records.path,
			       name);
	*ret = steal_fd(&fd);
	return 1;
}

static int image_is_blank(const struct pool *pool, const char *name, int fd, bool *ret,
			  struct err *err)
{
	off_t data = lseek(fd, 0, SEEK_DATA);

	if (data < 0 && errno != ENXIO)
		return err_sys(err, errno, "look for data in %s/%s", pool->records.path, name);
	*ret = data < 0;
	return 0;
}

static int image_resize(const struct pool *pool, const char *name, int fd,
			const struct volume *volume, struct err *err)
{
	if (ftruncate(fd, (off_t)volume->size_bytes) == 0)
		return 0;
	err_sys(err, errno, "set the size of %s/%s to %" PRIu64 " bytes", pool->records.path, name,
		volume->size_bytes);
	return err->sys == EFBIG ? err_recode(err, ERR_OUT_OF_RANGE) : -1;
}

static int dir_create(struct pool *pool, const struct volume *volume, bool again, struct err *err)
{
	cleanup_close int fd = -1;
	char name[IMAGE_NAME_SIZE];
	bool blank = false;

	(void)again;
	image_name(&volume->uuid, name);
	if (image_open(pool, name, O_RDWR | O_CREAT, &fd, err) < 0 ||
	    image_is_blank(pool, name, fd, &blank, err) < 0)
		return -1;
	if (!blank)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s/%s holds data and has no record: move it away, or put its "
			       "record back",
			       pool->records.path, name);
	if (!volume->volatile_cache && sync_ensure(pool, name, fd, err) < 0)
		return -1;
	if (image_resize(pool, name, fd, volume, err) < 0)
		return -1;
	/* Its name becomes durable together with the record's, which is in the same directory. */
	if (fsync(fd) < 0)
		return err_sys(err, errno, "fsync %s/%s", pool->records.path, name);
	return 0;
}

/* Opens the image of a volume that has one, and says its size. */
static int image_get(const struct pool *pool, const char *name, int flags, int *ret,
		     uint64_t *ret_size, struct err *err)
{
	struct stat st;
	int found;

	found = image_open(pool, name, flags, ret, err);
	if (found < 0)
		return -1;
	if (!found)
		return err_set(err, ERR_DATA_LOSS, "the backing %s/%s of the volume is gone",
			       pool->records.path, name);
	if (fstat(*ret, &st) < 0)
		return err_sys(err, errno, "stat %s/%s", pool->records.path, name);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static int dir_grow(struct pool *pool, const struct volume *volume, struct err *err)
{
	cleanup_close int fd = -1;
	char name[IMAGE_NAME_SIZE];
	uint64_t size = 0;

	image_name(&volume->uuid, name);
	if (image_get(pool, name, O_RDWR, &fd, &size, err) < 0)
		return -1;
	if (size > volume->size_bytes)
		return err_set(err, ERR_INTERNAL,
			       "%s/%s has %" PRIu64 " bytes, more than the %" PRIu64
			       " it is to grow to; backings are never cut",
			       pool->records.path, name, size, volume->size_bytes);
	if (size < volume->size_bytes && image_resize(pool, name, fd, volume, err) < 0)
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
	if (image_get(pool, name, readonly ? O_RDONLY : O_RDWR, &fd, &size, err) < 0)
		return -1;
	/* The larger size of an expansion under way is as good. */
	if (size != volume->size_bytes && size != volume->growing_bytes)
		return err_set(err, ERR_DATA_LOSS,
			       "%s/%s has %" PRIu64 " bytes, its record says %" PRIu64,
			       pool->records.path, name, size, volume->size_bytes);
	if (readonly)
		return view_ensure(&volume->uuid, fd, size, err);
	return volume->volatile_cache ? 0 : sync_ensure(pool, name, fd, err);
}

static int dir_detach(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	(void)pool;
	return view_remove(uuid, err);
}

static int dir_find(struct pool *pool, const struct uuid *uuid, struct pool_backing *ret,
		    struct err *err)
{
	cleanup_close int fd = -1;
	char name[IMAGE_NAME_SIZE];
	struct stat st;
	bool blank = false;
	int found;

	image_name(uuid, name);
	found = image_open(pool, name, O_RDONLY, &fd, err);
	if (found <= 0)
		return found;
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "stat %s/%s", pool->records.path, name);
	if (image_is_blank(pool, name, fd, &blank, err) < 0)
		return -1;
	*ret = (struct pool_backing) { .size_bytes = (uint64_t)st.st_size, .blank = blank };
	return 1;
}

static int dir_remove(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	char name[IMAGE_NAME_SIZE];

	image_name(uuid, name);
	if (root_unlink(&pool->records, err, "%s", name) < 0)
		return -1;
	if (fsync(pool->records.fd) < 0)
		return err_sys(err, errno, "fsync %s", pool->records.path);
	return 0;
}

/* Cuts the suffix off; false when the name is not that of an image. */
static bool name_to_uuid(char *name, const void *context)
{
	size_t len = strlen(name), suffix = strlen(IMAGE_SUFFIX);
	struct err ignored;
	struct uuid uuid;

	(void)context;
	if (len <= suffix || strcmp(name + len - suffix, IMAGE_SUFFIX) != 0)
		return false;
	name[len - suffix] = '\0';
	return parse_uuid("image", name, &uuid, &ignored) == 0 && strcmp(uuid.text, name) == 0;
}

static int dir_list(struct pool *pool, struct root_names *ret, struct err *err)
{
	if (root_list(&pool->records, ret, err, ".") < 0)
		return -1;
	root_names_filter(ret, name_to_uuid, NULL);
	return 0;
}

/* --- room ------------------------------------------------------------------------------------- */

/* An image without a record is somebody else's file here. */
static int dir_allocation(struct pool *pool, struct pool_allocation *ret, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };
	struct pool_allocation sum = { 0 };

	if (record_list(&pool->records, RECORD_LIVE, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		char name[IMAGE_NAME_SIZE];
		uint64_t allocated;
		struct err ignored;
		struct uuid uuid;
		struct stat st;

		if (record_name_uuid(names.names[i], &uuid, &ignored) < 0)
			continue;
		image_name(&uuid, name);
		if (fstatat(pool->records.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		/* Without what the file system needs for itself. */
		allocated = (uint64_t)st.st_blocks * 512;
		sum.bytes += allocated < (uint64_t)st.st_size ? allocated : (uint64_t)st.st_size;
	}
	*ret = sum;
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
	.list = dir_list,
	.room = dir_room,
	.allocation = dir_allocation,
	.device_path = dir_device_path,
};
