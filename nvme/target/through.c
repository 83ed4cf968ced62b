/* SPDX-License-Identifier: Apache-2.0 */
/* Write-through devices: fileio backstores as local SCSI disks, by configfs and sysfs. */
#include "nvme/target/through.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "nvme/base/root.h"
#include "nvme/target/devnode.h"

#define TARGET_PATH "/sys/kernel/config/target"
#define SCSI_PATH "/sys/bus/scsi"
#define CORE "core/fileio_28160" /* our backstores together; a number that nobody has in use */
#define STORE CORE "/%s"
#define HBA "loopback/naa.%s" /* the prefix makes it a SAS host, the rest is free text */
#define TPG HBA "/tpgt_1"
#define LUN TPG "/lun/lun_0"
#define COMMAND_SECONDS "86400"
#define NAME_PREFIX "nvmeot-"

void through_path(const struct uuid *uuid, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "/dev/" NAME_PREFIX "%s", uuid->text);
}

static int target_open(struct root *ret, struct err *err)
{
	if (root_open(ret, TARGET_PATH, err) == 0)
		return 0;
	if (err->sys == ENOENT)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       TARGET_PATH
			       " is not there, which durable writes to this pool need: "
			       "load the modules with modprobe -a target_core_mod tcm_loop sd_mod");
	return -1;
}

/* Writes what is not so yet; most attributes refuse a second time. */
static int set_attribute(const struct root *target, const char *uuid, const char *attribute,
			 const char *value, struct err *err)
{
	char have[ROOT_VALUE_SIZE] = "";

	if (root_read(target, have, err, STORE "/%s", uuid, attribute) < 0)
		return -1;
	if (strcmp(have, value) == 0)
		return 0;
	return root_write(target, value, err, STORE "/%s", uuid, attribute);
}

/* The serial number tells disks apart where something looks at them all, as multipath does. */
static int set_serial(const struct root *target, const char *uuid, struct err *err)
{
	char have[ROOT_VALUE_SIZE] = "";

	if (root_read(target, have, err, STORE "/wwn/vpd_unit_serial", uuid) < 0)
		return -1;
	if (strstr(have, uuid))
		return 0;
	return root_write(target, uuid, err, STORE "/wwn/vpd_unit_serial", uuid);
}

static int store_ensure(const struct root *target, const char *uuid, const char *path,
			struct err *err)
{
	char enabled[ROOT_VALUE_SIZE] = "", control[PATH_MAX + 16];

	if (root_mkdir(target, err, CORE) < 0 || root_mkdir(target, err, STORE, uuid) < 0 ||
	    root_read(target, enabled, err, STORE "/enable", uuid) < 0)
		return -1;
	if (strcmp(enabled, "1") != 0) {
		snprintf(control, sizeof(control), "fd_dev_name=%s", path);
		if (root_write(target, control, err, STORE "/control", uuid) < 0 ||
		    root_write(target, "1", err, STORE "/enable", uuid) < 0)
			return -1;
	}
	/* The disk driver unmaps by WRITE SAME, which is the same to the backstore. */
	if (set_attribute(target, uuid, "attrib/emulate_tpu", "1", err) < 0 ||
	    set_attribute(target, uuid, "attrib/emulate_tpws", "1", err) < 0)
		return -1;
	return set_serial(target, uuid, err);
}

static int disk_ensure(const struct root *target, const char *uuid, struct err *err)
{
	char nexus[ROOT_VALUE_SIZE] = "", store[PATH_MAX];
	int found;

	if (root_mkdir(target, err, "loopback") < 0 || root_mkdir(target, err, HBA, uuid) < 0 ||
	    root_mkdir(target, err, TPG, uuid) < 0)
		return -1;
	found = root_read(target, nexus, err, TPG "/nexus", uuid);
	if (found < 0)
		return -1;
	snprintf(nexus, sizeof(nexus), "naa.%s", uuid);
	if (found == 0 && root_write(target, nexus, err, TPG "/nexus", uuid) < 0)
		return -1;
	if (root_mkdir(target, err, LUN, uuid) < 0)
		return -1;
	snprintf(store, sizeof(store), TARGET_PATH "/" STORE, uuid);
	return root_symlink(target, store, err, LUN "/store", uuid);
}

/* The name of the SCSI device, "HOST:CHANNEL:TARGET:LUN". 0: it has none. */
static int scsi_name(const struct root *target, const char *uuid, char ret[ROOT_VALUE_SIZE],
		     struct err *err)
{
	size_t len;
	int found = root_read(target, ret, err, TPG "/address", uuid);

	if (found <= 0)
		return found;
	len = strlen(ret);
	snprintf(ret + len, ROOT_VALUE_SIZE - len, ":0");
	return 1;
}

/*
 * The disk driver finds the disk in a thread of its own. To bind it to the driver by hand waits for
 * that, and then says that it is bound already.
 */
static int disk_find(const struct root *scsi, const char *name, dev_t *ret, struct err *err)
{
	cleanup_root_names struct root_names disks = { 0 };
	char number[ROOT_VALUE_SIZE] = "";
	unsigned major, minor;

	if (!root_exists(scsi, "drivers/sd"))
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "this kernel has no driver for SCSI disks, which durable writes to "
			       "this pool need: load it with modprobe sd_mod");
	if (root_write(scsi, name, err, "drivers/sd/bind") < 0 && err->sys != EBUSY)
		return -1;
	if (root_list(scsi, &disks, err, "devices/%s/block", name) < 0)
		return -1;
	if (disks.count != 1 ||
	    root_read(scsi, number, err, "devices/%s/block/%s/dev", name, disks.names[0]) <= 0 ||
	    sscanf(number, "%u:%u", &major, &minor) != 2)
		return err_set(err, ERR_INTERNAL, "SCSI device %s has not become a disk", name);
	*ret = makedev(major, minor);
	return root_write(scsi, COMMAND_SECONDS, err, "devices/%s/timeout", name);
}

int through_ensure(const struct uuid *uuid, const char *path, struct err *err)
{
	cleanup_root struct root target = ROOT_INIT, scsi = ROOT_INIT;
	char name[ROOT_VALUE_SIZE] = "", node[sizeof(NAME_PREFIX) + UUID_TEXT_SIZE];
	dev_t number = 0;

	snprintf(node, sizeof(node), NAME_PREFIX "%s", uuid->text);
	if (target_open(&target, err) < 0 || store_ensure(&target, uuid->text, path, err) < 0 ||
	    disk_ensure(&target, uuid->text, err) < 0 || root_open(&scsi, SCSI_PATH, err) < 0 ||
	    scsi_name(&target, uuid->text, name, err) < 0 ||
	    disk_find(&scsi, name, &number, err) < 0)
		return -1;
	return devnode_ensure(node, S_IFBLK, number, err);
}

int through_resize(const struct uuid *uuid, struct err *err)
{
	cleanup_root struct root target = ROOT_INIT, scsi = ROOT_INIT;
	char name[ROOT_VALUE_SIZE];
	int found;

	if (access(TARGET_PATH, F_OK) < 0)
		return 0;
	if (root_open(&target, TARGET_PATH, err) < 0)
		return -1;
	found = scsi_name(&target, uuid->text, name, err);
	if (found <= 0)
		return found;
	if (root_open(&scsi, SCSI_PATH, err) < 0)
		return -1;
	if (!root_exists(&scsi, "devices/%s", name))
		return 0;
	return root_write(&scsi, "1", err, "devices/%s/rescan", name);
}

int through_remove(const struct uuid *uuid, struct err *err)
{
	cleanup_root struct root target = ROOT_INIT;
	char node[sizeof(NAME_PREFIX) + UUID_TEXT_SIZE];

	if (access(TARGET_PATH, F_OK) < 0)
		return 0;
	snprintf(node, sizeof(node), NAME_PREFIX "%s", uuid->text);
	if (root_open(&target, TARGET_PATH, err) < 0 ||
	    root_unlink(&target, err, LUN "/store", uuid->text) < 0 ||
	    root_rmdir(&target, err, LUN, uuid->text) < 0 ||
	    root_rmdir(&target, err, TPG, uuid->text) < 0 ||
	    root_rmdir(&target, err, HBA, uuid->text) < 0 ||
	    root_rmdir(&target, err, STORE, uuid->text) < 0)
		return -1;
	return devnode_remove(node, err);
}
