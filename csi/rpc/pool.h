/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded pool of worker threads. Threads are made when work comes and end after a while without
 * any, so that an idle process has none. Jobs start in the order in which they were submitted.
 */
#ifndef CSI_RPC_POOL_H
#define CSI_RPC_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nvme/base/cleanup.h"

#define RPC_POOL_IDLE_MS 10000 /* how long a thread waits for work before it ends */

struct rpc_pool;

/* Embedded in the submitter's object, which must live until run is called. */
struct rpc_job {
	struct rpc_job *next;
	void (*run)(struct rpc_job *job);
	uint64_t submitted_ns; /* the pool's */
};

/* At most max_workers jobs run and max_queued wait; both >= 1. idle_ms: see above. */
struct rpc_pool *rpc_pool_new(size_t max_workers, size_t max_queued, uint64_t idle_ms);

/* Runs what was accepted, waits for it, and ends all threads. Not from a job. */
void rpc_pool_free(struct rpc_pool *pool);

/* false: full, or there is no thread to be had; the job is untouched. Never blocks. */
bool rpc_pool_submit(struct rpc_pool *pool, struct rpc_job *job);

/* For how long the first of those that wait has waited for a thread; 0: none waits. */
uint64_t rpc_pool_waiting_ms(struct rpc_pool *pool);

/* The number of threads now. */
size_t rpc_pool_threads(struct rpc_pool *pool);

DEFINE_CLEANUP(struct rpc_pool *, rpc_pool_free)
#define cleanup_rpc_pool CLEANUP(rpc_pool_freep)

#endif
