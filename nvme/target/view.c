/* SPDX-License-Identifier: Apache-2.0 */
/* Read-only views: a loop device under the volume's device-mapper device. */
#include "nvme/target/view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "nvme/base/cleanup.h"
#include "nvme/target/dm.h"
#include "nvme/target/devnode.h"

#define CONTROL_MINOR 237     /* Documentation/admin-guide/devices.txt: "loop-control" */
#define TRIES 64	      /* other processes may take the free loop device first */
#define BLOCK_MAX_BYTES 4096U /* nvmet: min(i_blkbits, 12) of a file */

/* What a view is made of. */
struct backing {
	int fd;
	struct stat st;
	unsigned block_bytes;
};

void view_path(const struct uuid *uuid, char out[PATH_MAX])
{
	dm_path(uuid, out);
}

static int loop_open(unsigned loop, int *ret, struct err *err)
{
	char name[32];

	snprintf(name, sizeof(name), "loop%u", loop);
	return devnode_open(name, S_IFBLK, makedev(LOOP_MAJOR, loop), O_RDONLY, ret, err);
}

/*
 * Takes a free loop device. Without direct I/O, which some file systems do not have, the loop
 * driver reads through the page cache, which is coherent for files.
 */
static int loop_make(const struct backing *backing, int *ret_fd, unsigned *ret_loop,
		     struct err *err)
{
	struct loop_config config = {
		.fd = (uint32_t)backing->fd,
		.block_size = backing->block_bytes,
		.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
	};
	cleanup_close int control = -1;

	if (devnode_control("loop-control", CONTROL_MINOR, "loop devices (loop)", &control, err) <
	    0)
		return -1;
	for (int try = 0; try < TRIES; try++) {
		cleanup_close int fd = -1;
		int loop = ioctl(control, LOOP_CTL_GET_FREE);

		if (loop < 0)
			return err_sys(err, errno, "find a free loop device");
		if (loop_open((unsigned)loop, &fd, err) < 0)
			return -1;
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
			*ret_fd = steal_fd(&fd);
			*ret_loop = (unsigned)loop;
			return 0;
		}
		if (errno != EBUSY)
			return err_sys(err, errno, "set up loop device %d", loop);
	}
	return err_set(err, ERR_UNAVAILABLE, "other processes took %d free loop devices first",
		       TRIES);
}

static bool loop_shows(dev_t device, const struct backing *backing)
{
	cleanup_close int fd = -1;
	struct loop_info64 info;
	struct err ignored;

	if (major(device) != LOOP_MAJOR || loop_open(minor(device), &fd, &ignored) < 0 ||
	    ioctl(fd, LOOP_GET_STATUS64, &info) < 0 || !(info.lo_flags & LO_FLAGS_READ_ONLY) ||
	    info.lo_offset || info.lo_sizelimit)
		return false;
	if (S_ISBLK(backing->st.st_mode))
		return info.lo_rdevice == backing->st.st_rdev;
	return info.lo_device == backing->st.st_dev && info.lo_inode == backing->st.st_ino;
}

static int backing_look(int fd, struct backing *ret, struct err *err)
{
	struct backing backing = { .fd = fd };
	int block = 0;

	if (fstat(fd, &backing.st) < 0)
		return err_sys(err, errno, "stat the backing of a read-only view");
	if (ioctl(fd, S_ISBLK(backing.st.st_mode) ? BLKSSZGET : FIGETBSZ, &block) < 0)
		return err_sys(err, errno, "ask for the block size of a backing");
	backing.block_bytes = (unsigned)block < BLOCK_MAX_BYTES ? (unsigned)block : BLOCK_MAX_BYTES;
	*ret = backing;
	return 0;
}

int view_ensure(const struct uuid *uuid, int backing_fd, uint64_t size_bytes, struct err *err)
{
	struct backing backing = { .fd = -1 };
	cleanup_close int loop_fd = -1;
	uint64_t sectors = 0;
	unsigned loop = 0;
	dev_t below = 0;
	int r;

	if (backing_look(backing_fd, &backing, err) < 0)
		return -1;
	r = dm_look(uuid, &below, &sectors, err);
	if (r < 0)
		return -1;
	/* The loop driver keeps the size that its file had: another size needs another one. */
	if (r == 0 || sectors != size_bytes / DM_SECTOR_BYTES || !loop_shows(below, &backing)) {
		if (dm_remove(uuid, err) < 0 || loop_make(&backing, &loop_fd, &loop, err) < 0)
			return -1;
		below = makedev(LOOP_MAJOR, loop);
	}
	return dm_ensure(uuid, below, size_bytes / DM_SECTOR_BYTES, err);
}

int view_remove(const struct uuid *uuid, struct err *err)
{
	return dm_remove(uuid, err);
}
