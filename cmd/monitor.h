/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process says of itself over HTTP (--http), for probes and metrics:
 *
 *	/livez		200 while it serves. 503: calls stand still, see rpc_server_check; only a
 *			restart helps. Never because of a target, a pool or a device.
 *	/readyz		200 once it serves and all it needs is there; else 503. The body says what
 *			is missing. 503 also while it drains.
 *	/metrics	Prometheus' text format, 0.0.4
 *
 * It is there from the start of the process, before it serves, to the end of its drain. A NULL
 * monitor is one that was not asked for, and costs nothing. All may be called from any thread.
 */
#ifndef CMD_MONITOR_H
#define CMD_MONITOR_H

#include <stdio.h>

#include "csi/rpc/server.h"

struct monitor;

struct monitor_config {
	const char *address; /* "IP:PORT" or "[IPv6]:PORT"; NULL: no monitor */
	const char *program; /* for build info */
	const char *role;
	/* NULL, or whether what it needs beside the server is there. Waits for a moment at most.
	 * Not called any more once it has said so. */
	int (*ready)(void *context, struct err *err);
	/* Adds metrics; waits for nothing. */
	void (*metrics)(void *context, FILE *out);
	void *context; /* of both, which are not called before monitor_serving */
};

/*
 * Listens and answers. Strings are borrowed. *ret is NULL without an address. ERR_INVALID_ARGUMENT
 * for one that is malformed; what else is wrong with it is the system's error.
 */
int monitor_new(const struct monitor_config *config, struct monitor **ret, struct err *err);

/* Before context goes. */
void monitor_free(struct monitor *monitor);

DEFINE_CLEANUP(struct monitor *, monitor_free)
#define cleanup_monitor CLEANUP(monitor_freep)

/* Where it listens, with the port it has got; NULL without a monitor. Borrowed. */
const char *monitor_address(const struct monitor *monitor);

/* Where the server counts its calls; NULL without a monitor. Borrowed. */
struct rpc_stats *monitor_stats(struct monitor *monitor);

/* What it does before it serves, as "not ready: …" goes on; borrowed. */
void monitor_doing(struct monitor *monitor, const char *doing);

/* Calls are served from now on, by this server. */
void monitor_serving(struct monitor *monitor, struct rpc_server *server);

/* No new ones any more. */
void monitor_draining(struct monitor *monitor);

/* The server is about to go. */
void monitor_stopped(struct monitor *monitor);

#endif
