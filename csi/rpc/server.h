/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gRPC server: tables of methods behind one endpoint. One poller thread moves events; handlers
 * run on a bounded pool of worker threads. For every call the core unpacks, logs (secrets left
 * out), keeps the deadline, passes the busy gate, runs the handler, and writes one closing line.
 *
 * A unix endpoint gets a socket of mode 0600, renamed into place: a second server on the same path
 * takes it over, and the first goes on with the connections it has. TCP needs TLS unless the
 * address is a loopback one. The server takes any :authority, empty ones too; a request that has
 * neither :authority nor host is malformed for gRPC and rejected by it.
 *
 * Block the signals that the process waits for before rpc_server_new: threads inherit the mask.
 */
#ifndef CSI_RPC_SERVER_H
#define CSI_RPC_SERVER_H

#include "csi/rpc/service.h"
#include "csi/rpc/stats.h"
#include "nvme/base/cleanup.h"

#define RPC_MAX_WORKERS                                                                            \
	128 /* threads exist only while there is work; some may hang in the kernel */
#define RPC_MAX_QUEUED 256
#define RPC_MAX_MESSAGE_BYTES (4U << 20)

/*
 * A TLS connection takes no new calls after this age, more or less a tenth, and running ones have
 * the grace: its client has to show a certificate again that the files of that day let in.
 */
#define RPC_CONNECTION_AGE_MS 600000
#define RPC_CONNECTION_GRACE_MS 180000

/*
 * A client that takes no answer of a stream for this long has lost interest: its call is ended. It
 * is less than what a probe of rpc_server_check waits for (cmd/monitor.c), since all that time the
 * stream holds its worker.
 */
#define RPC_STALL_MS 120000

/*
 * One worker of so many may be held by a stream, at least one in all: a stream lasts as long as its
 * client likes. What comes beyond gets UNAVAILABLE. Unless max_streams says how many there may be:
 * those have threads of their own, and take no worker.
 */
#define RPC_STREAM_SHARE 4

struct rpc_server;

/* Strings are copied; services and what they point to must outlive the server. */
struct rpc_server_config {
	const char *endpoint; /* csi/rpc/endpoint.h says which forms */
	const char *also;     /* a second one, of a unix socket, for the same services; or NULL */
	const char *tls_dir;  /* csi/rpc/tls.h says what it holds; NULL: no TLS */
	/*
	 * With TLS: the names of which a client's certificate must carry one, as csi/rpc/callers.h
	 * says; at least one, because the authority's other certificates open nothing. Whoever
	 * lacks them gets PERMISSION_DENIED from every method, but for those of a service that
	 * has a name of its own.
	 */
	const char *const *client_names;
	size_t client_name_count;
	const struct rpc_service *services;
	size_t service_count;
	size_t max_workers;	  /* handlers at once; 0: RPC_MAX_WORKERS */
	size_t max_queued;	  /* calls that wait for a worker; 0: RPC_MAX_QUEUED */
	size_t max_streams;	  /* beside the workers; 0: a share of them, RPC_STREAM_SHARE */
	size_t max_message_bytes; /* of a request; 0: RPC_MAX_MESSAGE_BYTES */
	uint64_t stall_ms;	  /* 0: RPC_STALL_MS */
	int connection_age_ms;	  /* with TLS; 0: RPC_CONNECTION_AGE_MS */
	struct rpc_stats *stats;  /* where calls are counted; borrowed; NULL: nowhere */
};

/*
 * Checks the configuration and the TLS files; does not listen yet. ERR_INVALID_ARGUMENT names a bad
 * endpoint, ERR_FAILED_PRECONDITION a bad file.
 */
int rpc_server_new(const struct rpc_server_config *config, struct rpc_server **ret,
		   struct err *err);

/*
 * Listens and serves. Sets the umask of the process for a moment when the endpoint is a unix
 * socket. When it fails the server can only be freed.
 */
int rpc_server_start(struct rpc_server *server, struct err *err);

/* The TCP port it listens at; 0 for a unix endpoint. Only after rpc_server_start. */
uint16_t rpc_server_port(const struct rpc_server *server);

/*
 * Whether calls get on. ERR_UNAVAILABLE: a call has waited for a worker for longer than this, since
 * all are held, or the thread that takes calls in has been at one of them for as long. Never
 * blocks; from any thread.
 */
int rpc_server_check(struct rpc_server *server, uint64_t longer_than_ms, struct err *err);

/*
 * Refuses new calls with UNAVAILABLE from now on, waits for the running ones, then stops serving.
 * A stream ends with UNAVAILABLE at its next answer, which a client that reads nothing puts off.
 * A call that comes in at the very moment of the stop may see CANCELLED instead, which gRPC sends
 * by itself; no handler has seen such a call.
 * ERR_DEADLINE_EXCEEDED: some still ran at the deadline. They cannot be ended, so the process
 * should exit without rpc_server_free, which would wait for them; or drain again.
 */
int rpc_server_drain(struct rpc_server *server, struct deadline deadline, struct err *err);

/* Drains without a deadline what was not drained, and removes the socket if it is still ours. */
void rpc_server_free(struct rpc_server *server);

DEFINE_CLEANUP(struct rpc_server *, rpc_server_free)
#define cleanup_rpc_server CLEANUP(rpc_server_freep)

#endif
