/* SPDX-License-Identifier: Apache-2.0 */
/* Images of volumes and snapshots: the files of a dir pool. */
#include "nvme/target/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "nvme/base/clock.h"
#include "nvme/base/log.h"

#define SLOW_MS 2000

void image_name(const struct uuid *uuid, char out[IMAGE_NAME_SIZE])
{
	snprintf(out, IMAGE_NAME_SIZE, "%s" IMAGE_SUFFIX, uuid->text);
}

void image_new_name(const struct uuid *uuid, char out[IMAGE_NAME_SIZE])
{
	snprintf(out, IMAGE_NAME_SIZE, "%s" IMAGE_NEW_SUFFIX, uuid->text);
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
int image_sync(const struct root *dir, const char *name, int fd, struct err *err)
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
		       dir->path, name, fs_name(fd), failed ? strerrordesc_np(failed) : "not kept");
}

int image_open(const struct root *dir, const char *name, int flags, int *ret, struct err *err)
{
	cleanup_close int fd = -1;
	struct stat st;

	fd = openat(dir->fd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0) {
		err_sys(err, errno, "open %s/%s", dir->path, name);
		return err_is_full(err) ? err_recode(err, ERR_RESOURCE_EXHAUSTED) : -1;
	}
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "stat %s/%s", dir->path, name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INTERNAL, "%s/%s is not a regular file", dir->path, name);
	*ret = steal_fd(&fd);
	return 1;
}

int image_is_blank(const struct root *dir, const char *name, int fd, bool *ret, struct err *err)
{
	off_t data = lseek(fd, 0, SEEK_DATA);

	if (data < 0 && errno != ENXIO)
		return err_sys(err, errno, "look for data in %s/%s", dir->path, name);
	*ret = data < 0;
	return 0;
}

int image_resize(const struct root *dir, const char *name, int fd, const struct volume *volume,
		 struct err *err)
{
	if (ftruncate(fd, (off_t)volume->size_bytes) == 0)
		return 0;
	err_sys(err, errno, "set the size of %s/%s to %" PRIu64 " bytes", dir->path, name,
		volume->size_bytes);
	return err->sys == EFBIG ? err_recode(err, ERR_OUT_OF_RANGE) : -1;
}

int image_get(const struct root *dir, const char *name, int flags, int *ret, uint64_t *ret_size,
	      struct err *err)
{
	struct stat st;
	int found;

	found = image_open(dir, name, flags, ret, err);
	if (found < 0)
		return -1;
	if (!found)
		return err_set(err, ERR_DATA_LOSS, "the backing %s/%s of the volume is gone",
			       dir->path, name);
	if (fstat(*ret, &st) < 0)
		return err_sys(err, errno, "stat %s/%s", dir->path, name);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

/* --- copies ----------------------------------------------------------------------------------- */

static int refuse_copy(const struct root *dir, int fd, struct err *err)
{
	return err_set(
		err, ERR_FAILED_PRECONDITION,
		"%s: the %s file system cannot share blocks between files (%s), so there are "
		"no snapshots and no clones here; put the pool on btrfs, or on an xfs that "
		"was made with reflink=1",
		dir->path, fs_name(fd), strerrordesc_np(EOPNOTSUPP));
}

/* Reads and writes of the source wait meanwhile. */
static void tell_slow(const struct root *dir, const char *from_name, uint64_t took_ms)
{
	if (took_ms > SLOW_MS)
		log_warning("copying an image kept its hosts waiting, since it has many extents: "
			    "see xfs_fsr(8), for when no host has it",
			    KV("directory", dir->path), KV("image", from_name),
			    KV_NUM("ms", took_ms));
}

static int share_blocks(const struct root *dir, const char *name, const char *from_name, int fd,
			int from_fd, struct err *err)
{
	uint64_t start_ns = clock_now_ns();

	if (ioctl(fd, FICLONE, from_fd) == 0) {
		tell_slow(dir, from_name, (clock_now_ns() - start_ns) / NS_PER_MS);
		return 0;
	}
	if (errno == EOPNOTSUPP || errno == ENOTTY)
		return refuse_copy(dir, fd, err);
	err_sys(err, errno, "share the blocks of another image with %s/%s", dir->path, name);
	return err_is_full(err) ? err_recode(err, ERR_RESOURCE_EXHAUSTED) : -1;
}

int image_copy(const struct root *dir, const struct volume *copy, const struct volume *from,
	       struct err *err)
{
	char name[IMAGE_NAME_SIZE], from_name[IMAGE_NAME_SIZE];
	cleanup_close int fd = -1, from_fd = -1;
	uint64_t size = 0;

	image_new_name(&copy->uuid, name);
	image_name(&from->uuid, from_name);
	if (image_get(dir, from_name, O_RDONLY, &from_fd, &size, err) < 0)
		return -1;
	if (size != from->size_bytes)
		return err_set(err, ERR_DATA_LOSS,
			       "%s/%s has %" PRIu64 " bytes, its record says %" PRIu64
			       ": it is not copied",
			       dir->path, from_name, size, from->size_bytes);
	if (root_unlink(dir, err, "%s", name) < 0 ||
	    image_open(dir, name, O_RDWR | O_CREAT | O_EXCL, &fd, err) < 0)
		return -1;
	if (share_blocks(dir, name, from_name, fd, from_fd, err) < 0) {
		struct err ignored;

		root_unlink(dir, &ignored, "%s", name);
		return -1;
	}
	return 0;
}

int image_copy_finish(const struct root *dir, const struct volume *copy, struct err *err)
{
	char name[IMAGE_NAME_SIZE], new_name[IMAGE_NAME_SIZE];
	cleanup_close int fd = -1;
	struct stat st;
	int found;

	image_name(&copy->uuid, name);
	image_new_name(&copy->uuid, new_name);
	found = image_open(dir, new_name, O_RDWR, &fd, err);
	if (found < 0)
		return -1;
	if (!found && root_exists(dir, "%s", name))
		return 0;
	if (!found)
		return err_set(err, ERR_INTERNAL, "the copy %s/%s is gone", dir->path, new_name);
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "stat %s/%s", dir->path, new_name);
	/* Not for nothing: it would be one more change that the fsync has to wait for. */
	if ((uint64_t)st.st_size != copy->size_bytes &&
	    image_resize(dir, new_name, fd, copy, err) < 0)
		return -1;
	/* Nothing writes to a snapshot. */
	if (!copy->volatile_cache && !volume_is_snapshot(copy) &&
	    image_sync(dir, new_name, fd, err) < 0)
		return -1;
	if (fsync(fd) < 0)
		return err_sys(err, errno, "fsync %s/%s", dir->path, new_name);
	if (renameat2(dir->fd, new_name, dir->fd, name, RENAME_NOREPLACE) < 0)
		return err_sys(err, errno, "rename %s/%s to %s", dir->path, new_name, name);
	return 0;
}

int image_remove(const struct root *dir, const struct uuid *uuid, struct err *err)
{
	char name[IMAGE_NAME_SIZE], new_name[IMAGE_NAME_SIZE];

	image_name(uuid, name);
	image_new_name(uuid, new_name);
	if (root_unlink(dir, err, "%s", new_name) < 0 || root_unlink(dir, err, "%s", name) < 0)
		return -1;
	if (fsync(dir->fd) < 0)
		return err_sys(err, errno, "fsync %s", dir->path);
	return 0;
}
