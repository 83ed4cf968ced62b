/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of btrfs file systems, from sysfs and /dev. */
#include "csi/volume/btrfs.h"

#include <sys/stat.h>

#include "nvme/base/strb.h"

bool btrfs_device_of(const char *source, dev_t *ret)
{
	struct stat st;

	if (source[0] != '/' || stat(source, &st) < 0 || !S_ISBLK(st.st_mode))
		return false;
	*ret = st.st_rdev;
	return true;
}

int btrfs_find_holder(const struct root *sysfs, const char *name, char ret[NAME_MAX],
		      struct err *err)
{
	struct root_names ids cleanup_root_names = { 0 };

	if (root_list(sysfs, &ids, err, "fs/btrfs") < 0)
		return -1;
	for (size_t i = 0; i < ids.count; i++) {
		struct strb out;

		if (!root_exists(sysfs, "fs/btrfs/%s/devices/%s", ids.names[i], name))
			continue;
		out = strb_over(ret, NAME_MAX);
		strb_addf(&out, "fs/btrfs/%s", ids.names[i]);
		return 1;
	}
	return 0;
}
