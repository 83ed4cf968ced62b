/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces, read from sysfs, and their block devices. */
#include "nvme/host/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "nvme/base/strb.h"

#define SECTOR_BYTES 512 /* the unit of a block device's size file, whatever its LBA size */

static int read_u64(const struct root *sysfs, const char *dir, const char *name, uint64_t *ret,
		    struct err *err)
{
	char text[32];
	int rc = host_attribute_read(sysfs, dir, name, text, sizeof(text), err);

	if (rc <= 0)
		return rc;
	if (parse_u64(name, text, 0, UINT64_MAX / SECTOR_BYTES, ret, err) < 0) {
		err_wrap(err, "%s/%s", sysfs->path, dir);
		return err_recode(err, ERR_INTERNAL);
	}
	return 1;
}

static int read_dev(const struct root *sysfs, const char *dir, struct host_namespace *ns,
		    struct err *err)
{
	char text[32];
	int rc = host_attribute_read(sysfs, dir, "dev", text, sizeof(text), err);

	if (rc <= 0)
		return rc;
	if (sscanf(text, "%u:%u", &ns->major, &ns->minor) != 2)
		return err_set(err, ERR_INTERNAL, "%s/%s/dev: \"%s\" is not MAJOR:MINOR",
			       sysfs->path, dir, text);
	return 1;
}

/* All but name and nqn, from the device's directory. 1: read; 0: it has vanished; -1: error. */
static int read_namespace(const struct root *sysfs, const char *dir, struct host_namespace *ns,
			  struct err *err)
{
	uint64_t sectors, nsid, readonly;
	char text[UUID_TEXT_SIZE];
	struct err no_uuid;
	int rc;

	if ((rc = read_dev(sysfs, dir, ns, err)) <= 0 ||
	    (rc = read_u64(sysfs, dir, "size", &sectors, err)) <= 0 ||
	    (rc = read_u64(sysfs, dir, "nsid", &nsid, err)) <= 0 ||
	    (rc = read_u64(sysfs, dir, "ro", &readonly, err)) <= 0)
		return rc;
	if (host_attribute_read(sysfs, dir, "uuid", text, sizeof(text), err) < 0)
		return -1;
	if (parse_uuid("uuid", text, &ns->uuid, &no_uuid) < 0)
		ns->uuid.text[0] = '\0';
	ns->size_bytes = sectors * SECTOR_BYTES;
	ns->nsid = (unsigned)nsid;
	ns->readonly = readonly != 0;
	return 1;
}

static int add_namespace(const struct root *sysfs, const char *parent, const char *nqn,
			 const char *name, struct host_namespaces *found, struct err *err)
{
	struct host_namespace ns = { 0 };
	char dir[HOST_PATH_SIZE + HOST_NAME_SIZE];
	int rc;

	snprintf(ns.name, sizeof(ns.name), "%s", name);
	snprintf(ns.nqn, sizeof(ns.nqn), "%s", nqn);
	snprintf(dir, sizeof(dir), "%s/%s", parent, name);
	rc = read_namespace(sysfs, dir, &ns, err);
	if (rc <= 0)
		return rc;
	found->list = xrealloc(found->list, found->count + 1, sizeof(*found->list));
	found->list[found->count++] = ns;
	return 0;
}

static int collect(const struct root *sysfs, const struct host_entry *entry, void *context,
		   struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };
	struct host_namespaces *found = context;
	char dir[HOST_PATH_SIZE];

	if (host_node_of(entry->name) == HOST_NODE_NAMESPACE)
		return add_namespace(sysfs, entry->dir, entry->nqn, entry->name, found, err);
	snprintf(dir, sizeof(dir), "%s/%s", entry->dir, entry->name);
	if (root_list(sysfs, &names, err, "%s", dir) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		if (host_node_of(names.names[i]) == HOST_NODE_NAMESPACE &&
		    add_namespace(sysfs, dir, entry->nqn, names.names[i], found, err) < 0)
			return -1;
	return 0;
}

int host_namespaces_get(const struct root *sysfs, const char *nqn, struct host_namespaces *ret,
			struct err *err)
{
	struct host_namespaces found = { 0 };

	if (host_subsystem_walk(sysfs, nqn, collect, &found, err) < 0) {
		host_namespaces_fini(&found);
		return -1;
	}
	*ret = found;
	return 0;
}

void host_namespaces_fini(struct host_namespaces *namespaces)
{
	free(namespaces->list);
	*namespaces = (struct host_namespaces) { 0 };
}

static bool matches(const struct host_namespace *ns, const struct uuid *uuid, unsigned nsid)
{
	/* Both texts are canonical; an absent one is empty and equals no UUID. */
	return uuid ? strcmp(ns->uuid.text, uuid->text) == 0 : ns->nsid == nsid;
}

int host_namespace_find(const struct root *sysfs, const char *nqn, const struct uuid *uuid,
			unsigned nsid, struct host_namespace *ret, struct err *err)
{
	cleanup_host_namespaces struct host_namespaces all = { 0 };
	const struct host_namespace *found = NULL;

	if (host_namespaces_get(sysfs, nqn, &all, err) < 0)
		return -1;
	for (size_t i = 0; i < all.count; i++) {
		const struct host_namespace *ns = &all.list[i];

		if (!matches(ns, uuid, nsid))
			continue;
		if (found && (found->major != ns->major || found->minor != ns->minor))
			return err_set(err, ERR_FAILED_PRECONDITION,
				       "both %s and %s are namespace %s%s (nsid %u) of %s; without "
				       "native multipath (nvme_core.multipath=Y) a volume can "
				       "have only one connection",
				       found->name, ns->name, uuid ? "UUID " : "",
				       uuid ? uuid->text : "", ns->nsid, nqn);
		found = ns;
	}
	if (!found)
		return 0;
	*ret = *found;
	return 1;
}

/* The value of DEVNAME in a device's uevent file, which is its name below /dev. */
static int read_name(const struct root *sysfs, const char *dir, char name[HOST_NAME_SIZE],
		     struct err *err)
{
	char text[ROOT_VALUE_SIZE];
	int rc = host_attribute_read(sysfs, dir, "uevent", text, sizeof(text), err);
	char *rest = text, *line;

	if (rc <= 0)
		return rc;
	while ((line = strsep(&rest, "\n"))) {
		if (strncmp(line, "DEVNAME=", 8) != 0 ||
		    host_node_of(line + 8) != HOST_NODE_NAMESPACE)
			continue;
		snprintf(name, HOST_NAME_SIZE, "%s", line + 8);
		return 1;
	}
	return 0;
}

int host_namespace_by_dev(const struct root *sysfs, unsigned major, unsigned minor,
			  struct host_namespace *ret, struct err *err)
{
	struct host_namespace ns = { 0 };
	char dir[HOST_PATH_SIZE];
	int rc;

	snprintf(dir, sizeof(dir), "dev/block/%u:%u", major, minor);
	/* The parent is the subsystem or, without multipath, a controller; both have the NQN. */
	if ((rc = host_attribute_read(sysfs, dir, "device/subsysnqn", ns.nqn, sizeof(ns.nqn),
				      err)) <= 0 ||
	    (rc = read_name(sysfs, dir, ns.name, err)) <= 0 ||
	    (rc = read_namespace(sysfs, dir, &ns, err)) <= 0)
		return rc;
	*ret = ns;
	return 1;
}

void host_namespaces_describe(const struct host_namespaces *namespaces, char *text, size_t size)
{
	struct strb s = strb_over(text, size);

	if (namespaces->count == 0)
		strb_add(&s, "none");
	for (size_t i = 0; i < namespaces->count; i++) {
		const struct host_namespace *ns = &namespaces->list[i];

		strb_addf(&s, "%s%s nsid %u uuid %s", i ? ", " : "", ns->name, ns->nsid,
			  ns->uuid.text[0] ? ns->uuid.text : "none");
	}
}

static int check_stat(const char *path, const struct stat *st, const struct host_namespace *ns,
		      struct err *err)
{
	if (!S_ISBLK(st->st_mode))
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s is not a block device (is the host's /dev visible here?)", path);
	if (st->st_rdev != makedev(ns->major, ns->minor))
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s is device %u:%u, but sysfs says that %s is %u:%u", path,
			       major(st->st_rdev), minor(st->st_rdev), ns->name, ns->major,
			       ns->minor);
	return 0;
}

static int fail_device(const char *verb, const char *path, struct err *err)
{
	err_sys(err, errno, "%s %s", verb, path);
	return err_recode(err, ERR_FAILED_PRECONDITION);
}

int host_device_check(const char *dev_dir, const struct host_namespace *ns, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/%s", dev_dir, ns->name);
	struct stat st;

	if (lstat(path, &st) < 0)
		return fail_device("stat", path, err);
	return check_stat(path, &st, ns, err);
}

int host_device_open(const char *dev_dir, const struct host_namespace *ns, int flags, int *ret_fd,
		     struct err *err)
{
	cleanup_free char *path = xasprintf("%s/%s", dev_dir, ns->name);
	cleanup_close int fd = -1;
	struct stat st;

	/* Looked at first: opening a FIFO or a foreign device would have effects of its own. */
	if (host_device_check(dev_dir, ns, err) < 0)
		return -1;
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_device("open", path, err);
	if (check_stat(path, &st, ns, err) < 0)
		return -1;
	*ret_fd = steal_fd(&fd);
	return 0;
}
