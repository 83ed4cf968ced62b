/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CSI Node service: connects volumes by the host NQN, mounts each device once at a private path
 * keyed by its namespace, and hands out binds of that mount. The truth is the kernel's (mountinfo,
 * sysfs); what the node keeps on disk are only records of what it set out to do (record.h).
 */
#ifndef CSI_NODE_NODE_H
#define CSI_NODE_NODE_H

#include "csi/rpc/gate.h"
#include "csi/rpc/service.h"
#include "nvme/base/root.h"
#include "nvme/host/host.h"

#define NODE_TOPOLOGY_MAX 16

/* A topology segment; borrowed strings. */
struct node_segment {
	const char *key;
	const char *value;
};

/* Filled by node_open and its caller before serving, then only read. */
struct node {
	struct host *host; /* borrowed */
	struct root state; /* --state-dir, with volumes/ and mnt/ below it */
	struct gate gate;  /* one operation per namespace, whatever handle it came by */
	int64_t max_volumes;
	struct node_segment topology[NODE_TOPOLOGY_MAX];
	size_t topology_count;
};

/* Opens the state directory and creates what belongs below it. */
int node_open(struct node *node, struct host *host, const char *state_dir, struct err *err);
void node_close(struct node *node);

/*
 * One operation per subsystem at a time: its controllers are shared by all volumes on it.
 * node_enter: ERR_ABORTED while there is one.
 */
int node_enter(struct node *node, const char *nqn, struct err *err);
void node_leave(struct node *node, const char *nqn);

/* Readiness, as struct identity_check wants it: this kernel can connect. */
int node_check(void *node, struct deadline deadline, struct err *err);

/* The method table over node. */
struct rpc_service node_service(struct node *node);

#endif
