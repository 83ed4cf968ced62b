/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a server process: serve until SIGTERM or SIGINT, drain, leave. */
#ifndef CMD_SERVE_H
#define CMD_SERVE_H

#include "cmd/monitor.h"

/*
 * Blocks the signals that end us and ignores SIGPIPE; before any thread is started, since threads
 * inherit the mask.
 */
void serve_prepare(void);

/*
 * What goes on without a call: drain waits for it, and returns how much is left at the deadline.
 * begin comes before calls are drained, for what would not end by itself or begin more meanwhile;
 * it may block for a few seconds. Both may be NULL.
 */
struct serve_work {
	void (*begin)(void *context);
	size_t (*drain)(void *context, struct deadline deadline);
	void *context;
};

/*
 * Serves until a signal comes, then refuses new calls and lets the running ones end, for as long as
 * a Kubernetes pod has. Ends the process with _exit when calls or work are stuck in the kernel by
 * then, with the status that it would have had. work: NULL when there is none beside the calls.
 * monitor, which may be NULL, is told of all that, and counts the calls.
 */
int serve_until_signal(const struct rpc_server_config *config, const struct serve_work *work,
		       struct monitor *monitor, struct err *err);

/*
 * Ends serving as a signal does, but serve_until_signal fails then: ERR_FAILED_PRECONDITION, with
 * this reason. From any thread; the first reason counts.
 */
void serve_fail(const char *why);

#endif
