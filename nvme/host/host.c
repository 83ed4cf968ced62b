/* SPDX-License-Identifier: Apache-2.0 */
/* The node's NVMe side: opening and closing. */
#include "nvme/host/host.h"

#include <stdlib.h>

int host_open(struct host *host, const struct host_paths *paths, struct err *err)
{
	if (host_identity_resolve(
		    paths->nqn_file ?: "/etc/nvme/hostnqn", paths->state_dir ?: "/var/lib/nvmeot",
		    paths->machine_id_file ?: "/etc/machine-id", &host->identity, err) < 0 ||
	    root_open(&host->sysfs, paths->sysfs ?: "/sys", err) < 0)
		return -1;
	host->dev = xstrdup(paths->dev ?: "/dev");
	return 0;
}

void host_close(struct host *host)
{
	root_close(&host->sysfs);
	free(steal_ptr(&host->dev));
}
