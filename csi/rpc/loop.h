/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events of all clients of the process: one completion queue and one thread that empties it,
 * there while somebody holds the loop. Because the thread is always in the queue, connections are
 * served (pings answered, losses noticed) also while no call waits.
 */
#ifndef CSI_RPC_LOOP_H
#define CSI_RPC_LOOP_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdbool.h>

#include "nvme/base/err.h"

/* The tag of one batch of operations; embedded, and not to be moved or freed before it is done. */
struct rpc_waiter {
	pthread_cond_t changed;
	bool done;
};

/* Each successful _get needs one _put, when all its batches are done. Fails without a thread. */
int rpc_loop_get(struct err *err);
void rpc_loop_put(void);

/* What batches are started on; only between _get and _put. */
grpc_completion_queue *rpc_loop_queue(void);

/* Before the waiter is handed to gRPC as a tag. */
void rpc_waiter_init(struct rpc_waiter *waiter);

/* Blocks until the batch is done. Any thread, but one for each waiter. */
void rpc_waiter_wait(struct rpc_waiter *waiter);

void rpc_waiter_fini(struct rpc_waiter *waiter);

#endif
