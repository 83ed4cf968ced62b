/* SPDX-License-Identifier: Apache-2.0 */
/* What every operation of the node's NVMe side needs: who we are, and where sysfs and /dev are. */
#ifndef NVME_HOST_HOST_H
#define NVME_HOST_HOST_H

#include "nvme/host/identity.h"

#include "nvme/base/root.h"

/* NULL: the default. */
struct host_paths {
	const char *sysfs;	     /* "/sys" */
	const char *dev;	     /* "/dev" */
	const char *nqn_file;	     /* "/etc/nvme/hostnqn" of the host, as this process sees it */
	const char *machine_id_file; /* "/etc/machine-id" of the host, likewise */
	const char *state_dir;	     /* "/var/lib/nvmeot" */
};

/* Constant after host_open, so that any number of threads can share it. */
struct host {
	struct host_identity identity;
	struct root sysfs;
	char *dev;
};

#define HOST_INIT ((struct host) { .sysfs = { .fd = -1 } })
#define cleanup_host CLEANUP(host_close)

/* Resolves the identity (see there) and opens sysfs. host must be HOST_INIT. */
int host_open(struct host *host, const struct host_paths *paths, struct err *err);
void host_close(struct host *host);

#endif
