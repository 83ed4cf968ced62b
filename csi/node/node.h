/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CSI Node service: connects volumes by the host NQN, mounts each device once at a private path
 * keyed by its namespace, and hands out binds of that mount. The truth is the kernel's (mountinfo,
 * sysfs); what the node keeps on disk are only records of what it set out to do (record.h).
 */
#ifndef CSI_NODE_NODE_H
#define CSI_NODE_NODE_H

#include "csi/rpc/service.h"
#include "nvme/base/job.h"
#include "nvme/base/root.h"
#include "nvme/host/host.h"

#define NODE_TOPOLOGY_MAX 16

struct node_record;

/* A topology segment; borrowed strings. */
struct node_segment {
	const char *key;
	const char *value;
};

/* Filled by node_open and its caller before serving, then only read. */
struct node {
	struct host *host;     /* borrowed */
	struct root state;     /* --state-dir, with volumes/, formatting/, frozen/ and mnt/ in it */
	struct jobs *jobs;     /* every operation is one, see node_run */
	struct keeper *keeper; /* NULL: none runs */
	struct attend *attend; /* owned; NULL: no target is attended */
	int64_t max_volumes;
	struct node_segment topology[NODE_TOPOLOGY_MAX];
	size_t topology_count;
};

/* Opens the state directory and creates what belongs below it. */
int node_open(struct node *node, struct host *host, const char *state_dir, struct err *err);

/* Ends the keeper and attending. No operation may be running: node_drain has returned 0, or none
 * was begun. */
void node_close(struct node *node);

/*
 * Ends attending, waits for the operations that run; none is begun any more. Returns how many are
 * stuck in the kernel at the deadline. They go on, so the process then has to exit without
 * node_close.
 */
size_t node_drain(struct node *node, struct deadline deadline);

/* The time of an operation. */
struct node_time {
	struct deadline work; /* by when steps that can be bounded give up, with their reason */
	struct job_wait wait; /* for how long the caller waits; what cannot be bounded goes on */
};

/*
 * The time of an operation that a call asks for. The wait ends a little before the caller's
 * deadline, so that what the job is doing still reaches it. The work ends earlier still, so that it
 * gets the reason of a failure instead, and what was begun can be taken back. Until
 * rpc_call_unwatch the caller's leave ends the wait, too.
 */
struct node_time node_attend(struct rpc_call *call);

/*
 * What jobs call the namespace of a record; owned. Two handles may name it by UUID and by nsid:
 * while it is connected it is called by its UUID, if it has one, so that both mean the same.
 */
char *node_namespace(const struct node *node, const struct node_record *record);

/*
 * Runs an operation as a job, as job_run says. One at a time per volume ID, and per namespace (that
 * of record; NULL: not known), which several IDs may be handles of. The keys in work are set here.
 * Volumes of one subsystem share its controllers: who connects or disconnects holds its NQN for
 * that long (job_hold), and no longer, so that a device that hangs stands in the way of no other.
 */
int node_run(struct node *node, const char *volume_id, const struct node_record *record,
	     struct job_work work, const struct node_time *time, struct err *err);

/*
 * Readiness, as struct identity_check wants it: this kernel can connect. ERR_DEADLINE_EXCEEDED: it
 * did not say so in time, since a connect holds it; the question goes on, and is joined.
 */
int node_check(void *node, struct deadline deadline, struct err *err);

/*
 * How many calls the server has to take at once: one of each volume may wait for a device that
 * hangs, and those for other volumes must find a worker beside them.
 */
size_t node_max_workers(const struct node *node);

/* The method table over node. */
struct rpc_service node_service(struct node *node);

#endif
