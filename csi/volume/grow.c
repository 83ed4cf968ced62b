/* SPDX-License-Identifier: Apache-2.0 */
/* Growing ext4, xfs and btrfs by ioctl: measure, grow if that is less than the device, measure. */
#include "csi/volume/grow.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "csi/volume/btrfs.h"
#include "csi/volume/xfs.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/strb.h"

/* The mount and its device, open. */
struct mounted {
	const char *path;
	const char *device;
	int fd;
	int device_fd;
	dev_t device_number;
	uint64_t device_bytes;
};

/* What the file system has, and what it could have. */
struct extent {
	uint64_t bytes;
	uint64_t goal_bytes;
	uint64_t granule_bytes; /* ends less than this below its goal */
	uint64_t block_bytes;
	uint64_t id;	       /* btrfs: of the device */
	uint32_t kept_percent; /* xfs: a setting that growing must repeat */
};

struct kind {
	const char *name;
	__fsword_t magic;
	int (*measure)(const struct mounted *m, struct extent *ret, struct err *err);
	/* 0 or an errno */
	int (*grow)(const struct mounted *m, const struct extent *extent);
};

/* --- ext4 --- */

#define EXT4_SUPER_OFFSET 1024
#define EXT4_64BIT 0x80 /* incompatible feature */
#define EXT4_RESIZE_FS _IOW('f', 16, uint64_t)

static uint32_t le32_at(const unsigned char *data, size_t offset)
{
	uint32_t value;

	memcpy(&value, data + offset, sizeof(value));
	return le32toh(value);
}

/* The kernel's own superblock is in the page cache of the device: what is read is what is valid. */
static int ext4_measure(const struct mounted *m, struct extent *ret, struct err *err)
{
	unsigned char super[512];
	uint64_t block_bytes, blocks;

	errno = 0;
	if (pread(m->device_fd, super, sizeof(super), EXT4_SUPER_OFFSET) != sizeof(super))
		return err_sys(err, errno ?: EIO, "read the superblock of %s", m->device);
	if (super[0x38] != 0x53 || super[0x39] != 0xef || le32_at(super, 0x18) > 6)
		return err_set(err, ERR_INTERNAL, "%s has no ext4 superblock", m->device);
	block_bytes = UINT64_C(1024) << le32_at(super, 0x18);
	blocks = le32_at(super, 0x4);
	if (le32_at(super, 0x60) & EXT4_64BIT)
		blocks |= (uint64_t)le32_at(super, 0x150) << 32;
	*ret = (struct extent) {
		.bytes = blocks * block_bytes,
		.goal_bytes = m->device_bytes / block_bytes * block_bytes,
		.granule_bytes = le32_at(super, 0x20) * block_bytes,
		.block_bytes = block_bytes,
	};
	return 0;
}

static int ext4_grow(const struct mounted *m, const struct extent *extent)
{
	uint64_t blocks = extent->goal_bytes / extent->block_bytes;

	return ioctl(m->fd, EXT4_RESIZE_FS, &blocks) < 0 ? errno : 0;
}

/* --- xfs --- */

#define XFS_MIN_AG_BLOCKS 64

static int xfs_measure(const struct mounted *m, struct extent *ret, struct err *err)
{
	struct xfs_geometry geometry = { 0 };
	uint64_t blocks, tail;

	if (ioctl(m->fd, XFS_GEOMETRY, &geometry) < 0)
		return err_sys(err, errno, "geometry of %s", m->path);
	if (!geometry.block_bytes || !geometry.ag_blocks)
		return err_set(err, ERR_INTERNAL, "the geometry of %s is empty", m->path);
	blocks = m->device_bytes / geometry.block_bytes;
	tail = blocks % geometry.ag_blocks;
	*ret = (struct extent) {
		.bytes = geometry.data_blocks * geometry.block_bytes,
		.goal_bytes =
			(tail < XFS_MIN_AG_BLOCKS ? blocks - tail : blocks) * geometry.block_bytes,
		.granule_bytes = 1,
		.block_bytes = geometry.block_bytes,
		.kept_percent = geometry.inode_max_percent,
	};
	return 0;
}

static int xfs_grow(const struct mounted *m, const struct extent *extent)
{
	struct xfs_growth growth = { .data_blocks = extent->goal_bytes / extent->block_bytes,
				     .inode_max_percent = extent->kept_percent };

	return ioctl(m->fd, XFS_GROW_DATA, &growth) < 0 ? errno : 0;
}

/* --- btrfs --- */

/* The one device; IDs begin at 1 and are not given twice. */
static int btrfs_find_device(const struct mounted *m, const struct btrfs_ioctl_fs_info_args *info,
			     struct btrfs_ioctl_dev_info_args *ret, struct err *err)
{
	if (info->num_devices != 1)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s is a btrfs of %llu devices; only one of a single device can be "
			       "grown",
			       m->path, (unsigned long long)info->num_devices);
	for (uint64_t id = 1; id <= info->max_id; id++) {
		*ret = (struct btrfs_ioctl_dev_info_args) { .devid = id };
		if (ioctl(m->fd, BTRFS_IOC_DEV_INFO, ret) == 0)
			return 0;
		if (errno != ENODEV)
			break;
	}
	return err_sys(err, errno, "device of %s", m->path);
}

static int btrfs_measure(const struct mounted *m, struct extent *ret, struct err *err)
{
	struct btrfs_ioctl_fs_info_args info = { 0 };
	struct btrfs_ioctl_dev_info_args device;
	uint64_t sector;
	dev_t number;

	if (ioctl(m->fd, BTRFS_IOC_FS_INFO, &info) < 0)
		return err_sys(err, errno, "btrfs info of %s", m->path);
	if (btrfs_find_device(m, &info, &device, err) < 0)
		return -1;
	device.path[sizeof(device.path) - 1] = '\0';
	if (!btrfs_device_of((char *)device.path, &number) || number != m->device_number)
		return err_set(err, ERR_INTERNAL, "%s is a mount of %s, not of %s", m->path,
			       (char *)device.path, m->device);
	sector = info.sectorsize ?: 4096;
	*ret = (struct extent) {
		.bytes = device.total_bytes,
		.goal_bytes = m->device_bytes / sector * sector,
		.granule_bytes = 1,
		.block_bytes = sector,
		.id = device.devid,
	};
	return 0;
}

static int btrfs_grow(const struct mounted *m, const struct extent *extent)
{
	struct btrfs_ioctl_vol_args args = { 0 };
	struct strb name = strb_over(args.name, sizeof(args.name));
	int rc;

	/* Not "max": that would shrink it, too. */
	strb_addf(&name, "%" PRIu64 ":%" PRIu64, extent->id, extent->goal_bytes);
	rc = ioctl(m->fd, BTRFS_IOC_RESIZE, &args);
	/* It has numbers of its own for what excludes it, a balance for example. */
	return rc < 0 ? errno : rc > 0 ? EBUSY : 0;
}

/* --- all of them --- */

static const struct kind kinds[] = {
	{ "ext4", EXT4_SUPER_MAGIC, ext4_measure, ext4_grow },
	{ "xfs", XFS_SUPER_MAGIC, xfs_measure, xfs_grow },
	{ "btrfs", BTRFS_SUPER_MAGIC, btrfs_measure, btrfs_grow },
};

static const struct kind *kind_of(const struct fs *fs)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].name, fs_name(fs)))
			return &kinds[i];
	return NULL;
}

static void mounted_close(struct mounted *m)
{
	cleanup_closep(&m->fd);
	cleanup_closep(&m->device_fd);
}

static int open_device(struct mounted *m, struct err *err)
{
	struct stat st;

	m->device_fd = open(m->device, O_RDONLY | O_CLOEXEC);
	if (m->device_fd < 0 || fstat(m->device_fd, &st) < 0)
		return err_sys(err, errno, "open %s", m->device);
	if (!S_ISBLK(st.st_mode))
		return err_set(err, ERR_INTERNAL, "%s is not a block device", m->device);
	m->device_number = st.st_rdev;
	if (ioctl(m->device_fd, BLKGETSIZE64, &m->device_bytes) < 0)
		return err_sys(err, errno, "size of %s", m->device);
	return 0;
}

static int open_mount(struct mounted *m, const struct kind *kind, struct err *err)
{
	struct statfs fs;
	struct stat st;

	m->fd = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->fd < 0 || fstat(m->fd, &st) < 0 || fstatfs(m->fd, &fs) < 0)
		return err_sys(err, errno, "open %s", m->path);
	/* A btrfs has an anonymous device number; its measure compares the device. */
	if (fs.f_type != kind->magic ||
	    (kind->magic != BTRFS_SUPER_MAGIC && st.st_dev != m->device_number))
		return err_set(err, ERR_INTERNAL, "%s is not a mount of %s as %s", m->path,
			       m->device, kind->name);
	return 0;
}

static int raise_grow(struct err *err, int sys, const struct mounted *m)
{
	switch (sys) {
	case EROFS:
		err_sys(err, sys, "grow %s: it is mounted read-only", m->path);
		return err_recode(err, ERR_FAILED_PRECONDITION);
	case EPERM:
		err_sys(err, sys,
			"grow %s: the kernel refuses: the file system has recorded errors, and has "
			"to be unmounted and staged again, which checks it; or the driver lacks "
			"CAP_SYS_RESOURCE",
			m->path);
		return err_recode(err, ERR_FAILED_PRECONDITION);
	case EOPNOTSUPP:
	case ENOTTY:
		err_sys(err, sys, "grow %s: this kernel cannot grow such a file system online",
			m->path);
		return err_recode(err, ERR_FAILED_PRECONDITION);
	case EBUSY:
	case EAGAIN:
		err_sys(err, sys, "grow %s: another change of its size is under way", m->path);
		return err_recode(err, ERR_ABORTED);
	default:
		return err_sys(err, sys, "grow %s", m->path);
	}
}

static int grow(const struct mounted *m, const struct kind *kind, uint64_t *ret_bytes,
		struct err *err)
{
	struct extent extent;
	int rc;

	if (kind->measure(m, &extent, err) < 0)
		return -1;
	if (extent.goal_bytes > extent.bytes) {
		rc = kind->grow(m, &extent);
		if (rc)
			return raise_grow(err, rc, m);
		if (kind->measure(m, &extent, err) < 0)
			return -1;
	}
	if (extent.bytes + extent.granule_bytes <= extent.goal_bytes)
		return err_set(err, ERR_INTERNAL,
			       "%s has %" PRIu64 " bytes after growing, its device %" PRIu64,
			       m->path, extent.bytes, m->device_bytes);
	*ret_bytes = extent.bytes;
	return 0;
}

int grow_mounted(const struct fs *fs, const char *mount_path, const char *device,
		 uint64_t *ret_bytes, struct err *err)
{
	struct mounted m CLEANUP(mounted_close) = {
		.path = mount_path, .device = device, .fd = -1, .device_fd = -1
	};
	const struct kind *kind = kind_of(fs);

	if (!kind)
		return err_set(err, ERR_INTERNAL, "growing %s is unknown", fs_name(fs));
	if (open_device(&m, err) < 0 || open_mount(&m, kind, err) < 0)
		return -1;
	return grow(&m, kind, ret_bytes, err);
}
