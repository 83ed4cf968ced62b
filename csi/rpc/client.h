/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gRPC client of one server. Connections are made when a call needs one and kept; a lost one is
 * made again, at most 2 s apart. Thread-safe: any number of calls at once.
 */
#ifndef CSI_RPC_CLIENT_H
#define CSI_RPC_CLIENT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/clock.h"
#include "nvme/base/err.h"

struct rpc_client;

/*
 * address: "HOST:PORT", "[IPv6]:PORT" or "unix:///path". With tls_dir (csi/rpc/tls.h says what it
 * holds) both sides show certificates, the server's must be for HOST, and changed files are taken
 * over with the next call; NULL: no TLS, which only goes to a numeric loopback address or a unix
 * socket. Does not connect. ERR_INVALID_ARGUMENT names a bad address, ERR_FAILED_PRECONDITION a bad
 * file.
 */
int rpc_client_new(const char *address, const char *tls_dir, struct rpc_client **ret,
		   struct err *err);

/* No call may be running, and each one begun must be finished or cancelled. */
void rpc_client_free(struct rpc_client *client);

/*
 * A call that is under way. One thread may begin any number of them, on one client or on many, and
 * then finish them in any order: all progress at the same time, whichever is waited for, and none
 * costs a thread (one thread of the process moves the events of all clients).
 */
struct rpc_pending;

/*
 * Starts a call of method ("/nvmeot.target.v1.Target/GetInfo"). The request is packed at once and
 * may go away. Does not wait for the network. *ret must be given to rpc_pending_finish or
 * rpc_pending_cancel, from any thread, before the client is freed. A server that cannot be reached
 * is no error here but at the finish.
 */
int rpc_client_begin(struct rpc_client *client, const char *method, const ProtobufCMessage *request,
		     struct deadline deadline, struct rpc_pending **ret, struct err *err);

/*
 * Blocks until the answer or the deadline, and frees pending whatever comes. *ret is freed with
 * protobuf_c_message_free_unpacked(p, NULL). What the server answers as an error keeps its code and
 * message; when there was no answer the message names the address, with UNAVAILABLE for a server
 * that cannot be reached and DEADLINE_EXCEEDED for one that is too slow; rpc_unanswered tells these
 * from the same codes as an answer.
 */
int rpc_pending_finish(struct rpc_pending *pending, const ProtobufCMessageDescriptor *response,
		       ProtobufCMessage **ret, struct err *err);

/*
 * Whether a finish failed because nothing came back: no connection, a lost one, or silence until
 * the deadline. False when the server answered, whatever it said. Wrapping the error keeps it.
 */
bool rpc_unanswered(const struct err *err);

/* Gives the call up and frees pending; the server may have acted on it. Blocks for a moment only. */
void rpc_pending_cancel(struct rpc_pending *pending);

/*
 * A call whose answer is a stream, begun as rpc_client_begin does it. Ask for its answers one by
 * one with rpc_pending_next; what the server sends meanwhile waits there. To be given to
 * rpc_pending_cancel in any case, also when the stream has ended.
 */
int rpc_client_open(struct rpc_client *client, const char *method, const ProtobufCMessage *request,
		    struct deadline deadline, struct rpc_pending **ret, struct err *err);

/*
 * Blocks until the next answer or the deadline. 1: *ret is the answer, freed as above; 0: that was
 * all; -1: as rpc_pending_finish, after the answers that were sent before.
 */
int rpc_pending_next(struct rpc_pending *pending, const ProtobufCMessageDescriptor *response,
		     ProtobufCMessage **ret, struct err *err);

/*
 * Has a stream end early, from any thread, while another may be waiting in rpc_pending_next: that
 * gets ERR_CANCELLED then, at once. The one that cancels it must not do that before this returns.
 */
void rpc_pending_break(struct rpc_pending *pending);

/* Begin and finish in one: blocks until the answer or the deadline. Results and errors as there. */
int rpc_client_call(struct rpc_client *client, const char *method, const ProtobufCMessage *request,
		    const ProtobufCMessageDescriptor *response, struct deadline deadline,
		    ProtobufCMessage **ret, struct err *err);

DEFINE_CLEANUP(struct rpc_client *, rpc_client_free)
#define cleanup_rpc_client CLEANUP(rpc_client_freep)

DEFINE_CLEANUP(struct rpc_pending *, rpc_pending_cancel)
#define cleanup_rpc_pending CLEANUP(rpc_pending_cancelp)

#endif
