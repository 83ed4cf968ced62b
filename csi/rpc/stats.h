/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of a server's calls, by method: how they ended, how long they took, how many run. They
 * outlive the server, so that whoever shows them need not know when it comes and goes. Counting
 * takes no lock; finding what to count in takes one that is held for microseconds. Nothing here
 * blocks or fails.
 */
#ifndef CSI_RPC_STATS_H
#define CSI_RPC_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "csi/rpc/service.h"
#include "nvme/base/cleanup.h"

#define RPC_STATS_BUCKETS 7 /* and one for what takes longer than all of them */

/* The upper bounds of the buckets, in ascending order. */
extern const uint64_t rpc_stats_bounds_ms[RPC_STATS_BUCKETS];

struct rpc_stats;
struct rpc_stats_row;

struct rpc_stats *rpc_stats_new(void);
void rpc_stats_free(struct rpc_stats *stats);
DEFINE_CLEANUP(struct rpc_stats *, rpc_stats_free)
#define cleanup_rpc_stats CLEANUP(rpc_stats_freep)

/* What is known of one method. Borrowed strings. */
struct rpc_stats_method {
	const char *service;		      /* "csi.v1.Node"; "" for calls of no method */
	const char *method;		      /* "NodeStageVolume", or "unknown" */
	uint64_t ended[ERR_CODE_COUNT];	      /* by result; ERR_NONE is success */
	uint64_t took[RPC_STATS_BUCKETS + 1]; /* those up to each bound, and not the one before */
	double took_s;			      /* all of them together */
	uint64_t running;		      /* admitted and not ended; also those that wait */
};

/* Goes over all methods, also those never called. */
void rpc_stats_each(struct rpc_stats *stats,
		    void (*visit)(const struct rpc_stats_method *method, void *context),
		    void *context);

/* --- for the server; NULL stats and rows count nothing ------------------------------------- */

/* Rows for all methods; services must outlive stats. */
void rpc_stats_add(struct rpc_stats *stats, const struct rpc_service *services, size_t count);

/* The row of a method, for as long as stats lives; of NULL, the row of calls of no method. */
struct rpc_stats_row *rpc_stats_find(struct rpc_stats *stats, const struct rpc_method *method);

void rpc_stats_begin(struct rpc_stats_row *row);

/* began: rpc_stats_begin was called for it. */
void rpc_stats_end(struct rpc_stats_row *row, bool began, enum err_code code, uint64_t took_ns);

#endif
