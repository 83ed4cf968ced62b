/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of a streaming call on their way. */
#include "csi/rpc/sending.h"

#include <errno.h>
#include <stdlib.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/log.h"

/* On the poller thread. */
static void on_sent(struct rpc_event *event, bool ok)
{
	struct rpc_sending *sending =
		(struct rpc_sending *)((char *)event - offsetof(struct rpc_sending, sent));

	/* Signalled with the lock held: once it is free all of this may be gone. */
	pthread_mutex_lock(&sending->lock);
	grpc_byte_buffer_destroy(sending->under_way);
	sending->under_way = NULL;
	sending->broken = sending->broken || !ok;
	pthread_cond_signal(&sending->changed);
	pthread_mutex_unlock(&sending->lock);
}

struct rpc_sending *rpc_sending_new(struct rpc_serving *serving, grpc_call *grpc)
{
	struct rpc_sending *sending = xcalloc(1, sizeof(*sending));

	sending->serving = serving;
	sending->grpc = grpc;
	sending->sent.fire = on_sent;
	pthread_mutex_init(&sending->lock, NULL);
	pthread_cond_init(&sending->changed, NULL);
	return sending;
}

void rpc_sending_free(struct rpc_sending *sending)
{
	pthread_cond_destroy(&sending->changed);
	pthread_mutex_destroy(&sending->lock);
	free(sending);
}

bool rpc_sending_settle(struct rpc_sending *sending, struct deadline deadline)
{
	struct timespec until = deadline_timespec(deadline);
	bool broken;
	int rc = 0;

	pthread_mutex_lock(&sending->lock);
	while (sending->under_way && rc != ETIMEDOUT)
		rc = pthread_cond_clockwait(&sending->changed, &sending->lock, CLOCK_MONOTONIC,
					    &until);
	if (sending->under_way) {
		/* What gRPC has it gives back only when the client takes it or the call ends. */
		sending->stalled = sending->broken = true;
		grpc_call_cancel(sending->grpc, NULL);
		while (sending->under_way)
			pthread_cond_wait(&sending->changed, &sending->lock);
	}
	broken = sending->broken;
	pthread_mutex_unlock(&sending->lock);
	return !broken;
}

grpc_byte_buffer *rpc_pack(const ProtobufCMessage *message)
{
	grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
	grpc_byte_buffer *buffer;

	protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
	buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return buffer;
}

bool rpc_sending_put(struct rpc_sending *sending, const ProtobufCMessage *answer,
		     struct deadline deadline)
{
	grpc_op ops[2] = { { .op = GRPC_OP_SEND_MESSAGE },
			   { .op = GRPC_OP_SEND_INITIAL_METADATA } };
	size_t count = sending->begun ? 1 : 2;
	grpc_byte_buffer *packed;

	if (!rpc_sending_settle(sending, deadline))
		return false;
	packed = rpc_pack(answer);
	ops[0].data.send_message.send_message = packed;
	/* The poller may be done with it before the batch's start returns. */
	pthread_mutex_lock(&sending->lock);
	sending->under_way = packed;
	pthread_mutex_unlock(&sending->lock);
	sending->begun = true;
	if (rpc_serving_start(sending->serving, sending->grpc, ops, count, &sending->sent))
		return true;
	on_sent(&sending->sent, false);
	return false;
}
