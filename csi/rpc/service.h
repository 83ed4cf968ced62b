/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service: a static table of methods, and what a handler sees of the call it serves. No gRPC
 * here, so that a unit test can make a call of its own and run a handler on it.
 */
#ifndef CSI_RPC_SERVICE_H
#define CSI_RPC_SERVICE_H

#include <protobuf-c/protobuf-c.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "csi/rpc/arena.h"
#include "nvme/base/clock.h"
#include "nvme/base/err.h"

/*
 * Where an answer of many items stops, and leaves the rest to the next page: half of what clients
 * of gRPC take unless told otherwise.
 */
#define RPC_PAGE_BYTES (2U << 20)

struct rpc_call {
	void *context;		  /* of the service */
	const char *method;	  /* full name, "/csi.v1.Node/NodeStageVolume" */
	const char *peer;	  /* the client, "192.0.2.1:40000"; "" by a unix socket */
	struct deadline deadline; /* the client's; none when it gave none */
	uint64_t started_ns;	  /* CLOCK_MONOTONIC, for the closing log line */
	atomic_bool cancelled;
	struct rpc_arena arena;
	/* Sends an answer of a stream, as rpc_send says: the server's, or a test's. */
	int (*send)(struct rpc_call *call, const ProtobufCMessage *answer, struct err *err);
	pthread_mutex_t lock; /* of what follows */
	void (*on_cancel)(void *context);
	void *on_cancel_context;
};

/* Rows are written with designated initialisers: further members may come. */
struct rpc_method {
	const char *name; /* "NodeStageVolume" */
	const ProtobufCMessageDescriptor *request;
	const ProtobufCMessageDescriptor *response;

	/*
	 * Runs on a worker thread and may block. request and response lie in the call's arena, the
	 * response initialised; whatever is hung into it must come from there too (or be static).
	 * Returns 0, or -1 with err filled, whose code and message the client gets. Runs to its
	 * end even when the client's deadline passes or it cancels meanwhile.
	 */
	int (*handle)(struct rpc_call *call, const void *request, void *response, struct err *err);

	/*
	 * Instead of handle, of a method that answers with a stream: gives each answer to rpc_send.
	 * All answers it has sent reach the client, also before an error.
	 */
	int (*stream)(struct rpc_call *call, const void *request, struct err *err);

	/*
	 * What may not be worked on twice at once: while one call with this key runs, others with
	 * the same key, of any method of the server, get ABORTED. NULL, or a NULL or empty result:
	 * no such thing.
	 */
	const char *(*lock_key)(struct rpc_call *call, const void *request);

	bool quiet; /* success is logged at debug: for probes and the like */
};

struct rpc_service {
	const char *name; /* "csi.v1.Node" */
	const struct rpc_method *methods;
	size_t count;
	void *context; /* handed to every handler in call->context; borrowed */
	/*
	 * With TLS: the one name that a client's certificate must carry for this service, instead
	 * of the server's names, which then open nothing here. NULL: the server's.
	 */
	const char *client_name;
};

/* For the server, and for tests of handlers. arena_limit_bytes bounds the unpacked request. */
void rpc_call_init(struct rpc_call *call, struct deadline deadline, size_t arena_limit_bytes);
void rpc_call_fini(struct rpc_call *call);

/*
 * Sends one answer of a stream. It is packed before this returns, so one message can be filled
 * again and again; what is taken from the call's arena for each would add up. Blocks until the
 * client's flow control has let the answer before through. ERR_CANCELLED and ERR_DEADLINE_EXCEEDED:
 * the client has left, or has taken nothing for a long time (rpc_server_config says how long), or
 * the deadline has passed; there is nobody to answer any more. ERR_UNAVAILABLE: the server drains,
 * and the client shall go on with another.
 */
int rpc_send(struct rpc_call *call, const void *answer, struct err *err);

/* Whether the client has gone away or its deadline has passed; a long handler may stop early. */
bool rpc_call_cancelled(struct rpc_call *call);

/*
 * Has notify called, on a thread of the server, when the client goes away from now on: a handler
 * that waits for something else is woken by it. What is called must neither block nor call anything
 * here but rpc_call_cancelled. Look at that once more after rpc_call_watch, before waiting.
 * Once rpc_call_unwatch has returned, notify is not running and will not be called.
 */
void rpc_call_watch(struct rpc_call *call, void (*notify)(void *context), void *context);
void rpc_call_unwatch(struct rpc_call *call);

/* For the server, and for tests of handlers: the client has gone away. */
void rpc_call_cancel(struct rpc_call *call);

/* From the call's arena: live until the response is sent, never NULL, never freed by hand. */
void *rpc_alloc(struct rpc_call *call, size_t size); /* zeroed */
char *rpc_strdup(struct rpc_call *call, const char *text);
char *rpc_printf(struct rpc_call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A message in the arena, initialised by its own init function. */
#define RPC_NEW(call, type, init)                                                                  \
	({                                                                                         \
		type *new_ = rpc_alloc(call, sizeof(type));                                        \
		init(new_);                                                                        \
		new_;                                                                              \
	})

/* Finds the method of a full name; NULL when there is none. *ret_service is its service. */
const struct rpc_method *rpc_method_find(const struct rpc_service *services, size_t count,
					 const char *full_name,
					 const struct rpc_service **ret_service);

#endif
