/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of a class in sysfs, and what is known of them already: reading an attribute of each
 * would make a call cost more with every volume of the node. What is remembered by an inode number
 * stays true, because the kernel gives no number of sysfs to another node later (kernfs: 64 bits,
 * counted up). Of any other file system, as tests have it, nothing is remembered. Never blocks.
 */
#ifndef NVME_HOST_NODES_H
#define NVME_HOST_NODES_H

#include <stddef.h>
#include <stdint.h>

#include "nvme/base/root.h"

#define HOST_NODE_NAME_SIZE 32 /* longer ones are no devices of ours, and are left out */

struct host_node_entry {
	char name[HOST_NODE_NAME_SIZE];
	uint64_t number; /* what it is remembered by; 0: not at all */
};

struct host_nodes {
	struct host_node_entry *list;
	size_t count;
};

#define cleanup_host_nodes CLEANUP(host_nodes_fini)

/* Those of a directory, in the order of their names; an absent directory has none. */
int host_nodes_list(const struct root *sysfs, const char *dir, struct host_nodes *ret,
		    struct err *err);
void host_nodes_fini(struct host_nodes *nodes);

/* What host_node_know said last of this node; false: nothing is known (any more). */
bool host_node_recall(const struct host_node_entry *node, uint32_t *ret);
/* what: of a text, hash_add(HASH_BEGIN, text) cut off. */
void host_node_know(const struct host_node_entry *node, uint32_t what);

#endif
