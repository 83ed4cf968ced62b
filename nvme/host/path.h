/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paths to a namespace: one for each controller of its subsystem, with what the target says of
 * it (asymmetric namespace access, ANA). Read from sysfs; nothing here blocks.
 */
#ifndef NVME_HOST_PATH_H
#define NVME_HOST_PATH_H

#include "nvme/host/controller.h"
#include "nvme/host/namespace.h"

struct host_path {
	struct host_controller controller;
	/* "optimized", "non-optimized", "inaccessible", "persistent-loss" or "change"; empty: the
	 * target has no ANA, or the kernel no native multipath. */
	char ana[32];
};

struct host_path_list {
	struct host_path *list;
	size_t count;
};

#define cleanup_host_paths CLEANUP(host_paths_fini)

/*
 * Those of the namespace that are connected as hostnqn (NULL: as whatever host), also those that
 * are lost or being deleted.
 */
int host_paths_get(const struct root *sysfs, const struct host_namespace *ns, const char *hostnqn,
		   struct host_path_list *ret, struct err *err);
void host_paths_fini(struct host_path_list *paths);

/* Whether the kernel sends I/O along it now. */
bool host_path_is_usable(const struct host_path *path);

/* "nvme0 live optimized tcp://192.0.2.1:4420, …" or "none" into text, for messages. */
void host_paths_describe(const struct host_path_list *paths, char *text, size_t size);

#endif
