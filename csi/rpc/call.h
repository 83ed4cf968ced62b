/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the server: the state that its calls share, and the life of a call on gRPC's completion
 * queue. A call waits to arrive, receives its message, runs on a worker, and is answered; a second
 * event tells when the client has closed it. Callbacks of events run on the poller thread.
 */
#ifndef CSI_RPC_CALL_H
#define CSI_RPC_CALL_H

#include <grpc/grpc.h>
#include <pthread.h>

#include "csi/rpc/callers.h"
#include "csi/rpc/gate.h"
#include "csi/rpc/pool.h"
#include "csi/rpc/service.h"
#include "csi/rpc/stats.h"

/* The tag of an operation: the poller calls fire once, when the operation is done. */
struct rpc_event {
	void (*fire)(struct rpc_event *event, bool ok);
};

/* What calls need of their server. */
struct rpc_serving {
	grpc_server *grpc;
	grpc_completion_queue *queue;
	const struct rpc_service *services;
	size_t service_count;
	size_t arena_limit_bytes;
	uint64_t stall_ms;		     /* how long a client may take nothing of a stream */
	struct rpc_stats *stats;	     /* borrowed; NULL: nothing is counted */
	struct rpc_callers callers;	     /* of services without a name of their own */
	struct rpc_callers *service_callers; /* one for each service; of the others empty */
	struct rpc_pool *pool;
	struct rpc_pool *stream_pool; /* NULL: streams run in the other one */
	struct gate gate;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* active or calls became 0, or stopped was set */
	size_t calls;		/* all there are, also those that wait to arrive */
	size_t active;		/* of these, between admission or refusal and the answer's end */
	/*
	 * Counted up before anything is handed to gRPC and read by the poller after each event, so
	 * that the order of both sides does not hang on what gRPC does inside.
	 */
	atomic_uint handed;
	size_t max_streams;
	size_t streams; /* between admission and the end of their handlers */
	bool draining;
	bool stopped;
};

/* Hands operations of a call to gRPC, which fires the event when they are done. false: it did not
 * take them, and says so in the log. */
bool rpc_serving_start(struct rpc_serving *serving, grpc_call *grpc, const grpc_op *ops,
		       size_t count, struct rpc_event *event);

/* Waits for one more call to arrive; each that arrives waits for the next. */
void rpc_call_await(struct rpc_serving *serving);

#endif
