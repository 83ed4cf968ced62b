/* SPDX-License-Identifier: Apache-2.0 */
/* Usage, from statfs. */
#include "csi/volume/usage.h"

#include <errno.h>
#include <sys/vfs.h>

static uint64_t at_most(uint64_t value, uint64_t limit)
{
	return value < limit ? value : limit;
}

int usage_read(const char *path, struct usage *ret, struct err *err)
{
	struct statfs fs;
	uint64_t block_bytes;

	if (statfs(path, &fs) < 0)
		return err_sys(err, errno, "statfs %s", path);
	/* Linux counts in f_frsize, which is 0 where it is f_bsize. */
	block_bytes = (uint64_t)(fs.f_frsize ?: fs.f_bsize);
	*ret = (struct usage) {
		.total_bytes = fs.f_blocks * block_bytes,
		.used_bytes = (fs.f_blocks - at_most(fs.f_bfree, fs.f_blocks)) * block_bytes,
		.available_bytes = at_most(fs.f_bavail, fs.f_blocks) * block_bytes,
		.total_inodes = fs.f_files,
		.used_inodes = fs.f_files - at_most(fs.f_ffree, fs.f_files),
		.available_inodes = at_most(fs.f_ffree, fs.f_files),
	};
	return 0;
}
