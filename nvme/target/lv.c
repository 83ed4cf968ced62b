/* SPDX-License-Identifier: Apache-2.0 */
/* A thin volume: its device, by device-mapper, and by lvm2 where that does not tell. */
#include "nvme/target/lv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "nvme/base/root.h"
#include "nvme/target/devnode.h"
#include "nvme/target/dm.h"

#define SYS_PATH "/sys"

void lv_close(struct lv *lv)
{
	cleanup_closep(&lv->fd);
}

void lv_path(const struct lvm *lvm, const char *name, char out[PATH_MAX])
{
	char device[DM_NAME_SIZE];

	lvm_dm_name(lvm, name, "", device);
	snprintf(out, PATH_MAX, "/dev/mapper/%s", device);
}

/* What lvm2 has made of nodes does not count: in a container with a /dev of its own there are none
 * for what was active before. */
int lv_open(const struct lvm *lvm, const char *name, struct lv *ret, struct err *err)
{
	char device[DM_NAME_SIZE], node[DM_NAME_SIZE + sizeof("mapper/")];
	cleanup_close int fd = -1;
	uint64_t size = 0;
	dev_t number = 0;
	int found;

	lvm_dm_name(lvm, name, "", device);
	found = dm_number(device, &number, err);
	if (found <= 0)
		return found;
	snprintf(node, sizeof(node), "mapper/%s", device);
	if (devnode_open(node, S_IFBLK, number, O_RDONLY, &fd, err) < 0)
		/* It went in this moment. */
		return err->sys == ENXIO || err->sys == ENODEV ? 0 : -1;
	if (ioctl(fd, BLKGETSIZE64, &size) < 0)
		return err_sys(err, errno, "ask for the size of /dev/%s", node);
	*ret = (struct lv) { steal_fd(&fd), number, size };
	return 1;
}

/* The name alone says neither which thin pool of the volume group it is in nor who made it. */
int lv_find(const struct lvm *lvm, const char *name, struct lv *ret, struct err *err)
{
	int found = lvm_claim(lvm, name, LV_TAG, err);
	struct err failure = { 0 };

	if (found <= 0)
		return found;
	found = lv_open(lvm, name, ret, err);
	if (found != 0)
		return found;
	/* What lvm2 complains about need not be this volume. */
	if (lvm_activate(lvm, name, &failure) == 0)
		err_set(&failure, ERR_INTERNAL, "thin volume %s/%s cannot be activated", lvm->group,
			name);
	found = lv_open(lvm, name, ret, err);
	if (found != 0)
		return found;
	*err = failure;
	return -1;
}

/* Whether a block device is a thin volume of the thin pool, by sysfs; false: that is not known. */
static bool is_in_pool(const struct lvm *lvm, dev_t number)
{
	cleanup_root_names struct root_names below = { 0 };
	cleanup_root struct root sys = ROOT_INIT;
	char name[ROOT_VALUE_SIZE], pool[DM_NAME_SIZE];
	struct err ignored;

	if (!lvm_dm_name(lvm, lvm->pool, "-tpool", pool) ||
	    root_open(&sys, SYS_PATH, &ignored) < 0 ||
	    root_list(&sys, &below, &ignored, "dev/block/%u:%u/slaves", major(number),
		      minor(number)) < 0)
		return false;
	for (size_t i = 0; i < below.count; i++)
		if (root_read(&sys, name, &ignored, "dev/block/%u:%u/slaves/%s/dm/name",
			      major(number), minor(number), below.names[i]) > 0 &&
		    strcmp(name, pool) == 0)
			return true;
	return false;
}

int lv_glance(const struct lvm *lvm, const char *name, struct lv *ret, struct err *err)
{
	CLEANUP(lv_close) struct lv lv = { .fd = -1 };
	int found = lv_open(lvm, name, &lv, err);

	if (found < 0)
		return -1;
	if (!found || !is_in_pool(lvm, lv.number))
		return lv_find(lvm, name, ret, err);
	*ret = lv;
	lv.fd = -1;
	return 1;
}

int lv_mapped(const struct lvm *lvm, const char *name, uint64_t *ret_bytes, struct err *err)
{
	char device[DM_NAME_SIZE], status[DM_STATUS_SIZE];
	uint64_t sectors;
	int found;

	lvm_dm_name(lvm, name, "", device);
	found = dm_status(device, status, err);
	if (found < 0)
		return -1;
	if (!found)
		return err_set(err, ERR_INTERNAL,
			       "thin volume %s/%s has no device-mapper device %s", lvm->group, name,
			       device);
	if (sscanf(status, "%" SCNu64, &sectors) != 1)
		return err_set(err, ERR_INTERNAL, "thin volume %s/%s has the status \"%.100s\"",
			       lvm->group, name, status);
	*ret_bytes = sectors * DM_SECTOR_BYTES;
	return 0;
}
