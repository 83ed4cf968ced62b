/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over NVMe subsystems in sysfs on which all lookups stand. It starts at the subsystem,
 * never at /sys/class/nvme: reading the subsysnqn file of a controller that is still connecting for
 * the first time dereferences NULL in the kernel (nvme_sysfs_show_subsysnqn), and only controllers
 * that have joined a subsystem are linked below it. Nothing here blocks.
 */
#ifndef NVME_HOST_SYSFS_H
#define NVME_HOST_SYSFS_H

#include "nvme/base/parse.h"
#include "nvme/base/root.h"

#define HOST_NAME_SIZE 32  /* of a device: "nvme0", "nvme0n1" */
#define HOST_PATH_SIZE 128 /* of a device's directory, relative to sysfs */

/* What a name stands for. Hidden paths (nvme0c0n1) and everything else are HOST_NODE_OTHER. */
enum host_node { HOST_NODE_OTHER, HOST_NODE_CONTROLLER, HOST_NODE_NAMESPACE };

enum host_node host_node_of(const char *name);

/* One entry of a subsystem's directory. Borrowed, valid during the visit. */
struct host_entry {
	const char *dir; /* the subsystem's, relative to sysfs */
	const char *nqn;
	const char *name;
};

/*
 * Calls visit for each controller and namespace in the directory of the subsystem with this NQN
 * (NULL: of all) until one returns -1. Entries that vanish during the walk are left out. Linux has
 * one subsystem for an NQN (nvme_init_subsystem); only one that just goes, and is empty, may stand
 * beside it, so the first that is not empty is the one. What it costs to look for one NQN hardly
 * grows with the subsystems of the node.
 */
int host_subsystem_walk(const struct root *sysfs, const char *nqn,
			int (*visit)(const struct root *sysfs, const struct host_entry *entry,
				     void *context, struct err *err),
			void *context, struct err *err);

/* Reads dir/name into text, cut to size. 1: read; 0: absent (text is then empty); -1: error. */
int host_attribute_read(const struct root *sysfs, const char *dir, const char *name, char *text,
			size_t size, struct err *err);

#endif
