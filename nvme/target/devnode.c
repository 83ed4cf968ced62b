/* SPDX-License-Identifier: Apache-2.0 */
/* Device nodes. */
#include "nvme/target/devnode.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "nvme/base/root.h"

#define DEV_PATH "/dev"

int devnode_ensure(const char *name, mode_t type, dev_t number, struct err *err)
{
	cleanup_root struct root dev = ROOT_INIT;
	struct stat st;

	if (root_open(&dev, DEV_PATH, err) < 0)
		return -1;
	if (fstatat(dev.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		/* udev makes links of some. */
		if (S_ISLNK(st.st_mode))
			fstatat(dev.fd, name, &st, 0);
		if ((st.st_mode & S_IFMT) == type && st.st_rdev == number)
			return 0;
		if (root_unlink(&dev, err, "%s", name) < 0)
			return -1;
	}
	/* The kernel's devtmpfs may be faster. */
	if (mknodat(dev.fd, name, type | 0600, number) < 0 && errno != EEXIST)
		return err_sys(err, errno, "make the device node " DEV_PATH "/%s", name);
	return 0;
}

int devnode_open(const char *name, mode_t type, dev_t number, int flags, int *ret, struct err *err)
{
	cleanup_root struct root dev = ROOT_INIT;
	int fd;

	if (devnode_ensure(name, type, number, err) < 0 || root_open(&dev, DEV_PATH, err) < 0)
		return -1;
	fd = openat(dev.fd, name, flags | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "open " DEV_PATH "/%s", name);
	*ret = fd;
	return 0;
}

int devnode_remove(const char *name, struct err *err)
{
	cleanup_root struct root dev = ROOT_INIT;

	if (root_open(&dev, DEV_PATH, err) < 0)
		return -1;
	return root_unlink(&dev, err, "%s", name);
}

int devnode_control(const char *name, unsigned minor, const char *what, int *ret, struct err *err)
{
	if (devnode_open(name, S_IFCHR, makedev(MISC_MAJOR, minor), O_RDWR, ret, err) == 0)
		return 0;
	if (err->sys == ENODEV || err->sys == ENXIO)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "this kernel has no %s: load that module with modprobe", what);
	return -1;
}
