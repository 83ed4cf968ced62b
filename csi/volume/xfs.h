/* SPDX-License-Identifier: Apache-2.0 */
/* What an xfs tells by ioctl. Its structures are no part of the kernel's installed headers. */
#ifndef CSI_VOLUME_XFS_H
#define CSI_VOLUME_XFS_H

#include <stdint.h>
#include <sys/ioctl.h>

/* struct xfs_fsop_geom of fs/xfs/libxfs/xfs_fs.h, the same since Linux 5.2. */
struct xfs_geometry {
	uint32_t block_bytes;
	uint32_t rt_extent_blocks;
	uint32_t ag_blocks;
	uint32_t ag_count;
	uint32_t log_blocks;
	uint32_t sector_bytes;
	uint32_t inode_bytes;
	uint32_t inode_max_percent;
	uint64_t data_blocks;
	uint64_t rt_blocks;
	uint64_t rt_extents;
	uint64_t log_start;
	unsigned char uuid[16];
	uint32_t stripe_unit;
	uint32_t stripe_width;
	int32_t version;
	uint32_t flags;
	uint32_t log_sector_bytes;
	uint32_t rt_sector_bytes;
	uint32_t dir_block_bytes;
	uint32_t log_stripe_unit;
	uint32_t sick; /* bits of what was found to be damaged since the mount */
	uint32_t checked;
	uint64_t more[17];
};

/* struct xfs_growfs_data. */
struct xfs_growth {
	uint64_t data_blocks;
	uint32_t inode_max_percent;
};

/* Both are for a descriptor of any file or directory in the file system. */
#define XFS_GEOMETRY _IOR('X', 126, struct xfs_geometry)
#define XFS_GROW_DATA _IOW('X', 110, struct xfs_growth)

_Static_assert(sizeof(struct xfs_geometry) == 256, "as in the kernel");
_Static_assert(sizeof(struct xfs_growth) == 16, "as in the kernel");

#endif
