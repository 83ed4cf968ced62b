/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the server: the answers of one streaming call on their way to gRPC, one at a time. gRPC
 * takes the next when the one before has been let through by the client's flow control, so a client
 * that reads slowly slows the handler down, and the memory of a stream is that of two answers.
 */
#ifndef CSI_RPC_SENDING_H
#define CSI_RPC_SENDING_H

#include "csi/rpc/call.h"

struct rpc_sending {
	struct rpc_serving *serving;
	grpc_call *grpc;
	struct rpc_event sent;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	grpc_byte_buffer *under_way; /* what gRPC has; NULL: nothing */
	bool begun;		     /* something was sent, so the head of the answer was, too */
	bool stalled;		     /* the client took nothing until the deadline */
	bool broken;		     /* nothing gets through any more */
};

/* For a call that lives as long as this. */
struct rpc_sending *rpc_sending_new(struct rpc_serving *serving, grpc_call *grpc);

/* Nothing may be under way. */
void rpc_sending_free(struct rpc_sending *sending);

/*
 * Waits until nothing is under way, then hands the answer to gRPC. false: nothing gets through any
 * more, because the client has left, or took nothing until the deadline and the call was ended.
 */
bool rpc_sending_put(struct rpc_sending *sending, const ProtobufCMessage *answer,
		     struct deadline deadline);

/* Waits until nothing is under way. false: as of rpc_sending_put. */
bool rpc_sending_settle(struct rpc_sending *sending, struct deadline deadline);

/* A message as gRPC takes it; owned. */
grpc_byte_buffer *rpc_pack(const ProtobufCMessage *message);

#endif
