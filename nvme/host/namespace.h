/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces of NVMe subsystems and their block devices. A namespace is known by its subsystem's
 * NQN and its UUID; a device name says nothing and is looked up anew each time. Works with native
 * multipath (the device is a child of the subsystem) and without (a child of each controller).
 */
#ifndef NVME_HOST_NAMESPACE_H
#define NVME_HOST_NAMESPACE_H

#include "nvme/host/sysfs.h"

struct host_namespace {
	char name[HOST_NAME_SIZE]; /* of the block device, "nvme0n1" */
	char nqn[NQN_SIZE];
	struct uuid uuid; /* empty text: the target gave none */
	unsigned nsid;
	unsigned major;
	unsigned minor;
	uint64_t size_bytes;
	bool readonly;
};

struct host_namespaces {
	struct host_namespace *list;
	size_t count;
};

#define cleanup_host_namespaces CLEANUP(host_namespaces_fini)

/* All block devices of the subsystem nqn. Does not block. */
int host_namespaces_get(const struct root *sysfs, const char *nqn, struct host_namespaces *ret,
			struct err *err);
void host_namespaces_fini(struct host_namespaces *namespaces);

/*
 * Finds the namespace of the subsystem nqn with this UUID or, if uuid is NULL, with this nsid.
 * 1: found; 0: there is none; -1: error, ERR_FAILED_PRECONDITION if several devices match.
 * Does not block.
 */
int host_namespace_find(const struct root *sysfs, const char *nqn, const struct uuid *uuid,
			unsigned nsid, struct host_namespace *ret, struct err *err);

/*
 * What the mounted device major:minor is, also when its subsystem has no controller left.
 * 1: an NVMe namespace; 0: something else, or gone; -1: error. Does not block.
 */
int host_namespace_by_dev(const struct root *sysfs, unsigned major, unsigned minor,
			  struct host_namespace *ret, struct err *err);

/* "nvme0n1 nsid 1 uuid …, …" or "none" into text, for messages. */
void host_namespaces_describe(const struct host_namespaces *namespaces, char *text, size_t size);

/*
 * Whether dev_dir/<name> is the block device that sysfs means. Does not open it and does not
 * block. ERR_FAILED_PRECONDITION otherwise.
 */
int host_device_check(const char *dev_dir, const struct host_namespace *ns, struct err *err);

/*
 * Opens dev_dir/<name> with flags (O_RDONLY, O_RDWR, O_EXCL, …) and O_CLOEXEC; *ret_fd is owned.
 * ERR_FAILED_PRECONDITION if it cannot be opened or is not the device that sysfs means. The first
 * open of a device waits for the kernel's partition scan.
 */
int host_device_open(const char *dev_dir, const struct host_namespace *ns, int flags, int *ret_fd,
		     struct err *err);

#endif
