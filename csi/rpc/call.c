/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a call on the server. */
#include "csi/rpc/call.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "csi/rpc/dispatch.h"
#include "csi/rpc/logtap.h"
#include "csi/rpc/sending.h"
#include "csi/rpc/status.h"
#include "nvme/base/log.h"

#define METHOD_NAME_MAX 256 /* longer paths are cut, and then match nothing */

#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

struct server_call {
	struct rpc_call base;
	struct rpc_serving *serving;
	const struct rpc_method *method;
	const struct rpc_callers *callers; /* who may make it */
	struct rpc_stats_row *row;
	bool counted; /* as one that runs */
	grpc_call *grpc;
	grpc_call_details details;
	grpc_metadata_array metadata;
	grpc_byte_buffer *payload;
	grpc_byte_buffer *reply;
	grpc_slice reason;
	int closed_early; /* written by gRPC before the closed event */
	struct rpc_event arrived;
	struct rpc_event received;
	struct rpc_event answered;
	struct rpc_event closed;
	struct rpc_job job;
	struct rpc_sending *sending; /* of a stream that runs; NULL: none */
	atomic_uint refs;	     /* the way to the answer holds one, the closed event another */
};

static void count_down(struct rpc_serving *serving, size_t *counter)
{
	pthread_mutex_lock(&serving->lock);
	if (--*counter == 0)
		pthread_cond_broadcast(&serving->changed);
	pthread_mutex_unlock(&serving->lock);
}

static void count_up(struct rpc_serving *serving, size_t *counter)
{
	pthread_mutex_lock(&serving->lock);
	++*counter;
	pthread_mutex_unlock(&serving->lock);
}

static void call_unref(struct server_call *call)
{
	struct rpc_serving *serving = call->serving;

	if (atomic_fetch_sub(&call->refs, 1) > 1)
		return;
	if (call->grpc)
		grpc_call_unref(call->grpc);
	grpc_call_details_destroy(&call->details);
	grpc_metadata_array_destroy(&call->metadata);
	grpc_byte_buffer_destroy(call->payload);
	grpc_byte_buffer_destroy(call->reply);
	grpc_slice_unref(call->reason);
	if (call->sending)
		rpc_sending_free(call->sending);
	rpc_call_fini(&call->base);
	free(call);
	/* Last: the server may be gone after it. */
	count_down(serving, &serving->calls);
}

bool rpc_serving_start(struct rpc_serving *serving, grpc_call *grpc, const grpc_op *ops,
		       size_t count, struct rpc_event *event)
{
	grpc_call_error rc;

	atomic_fetch_add(&serving->handed, 1);
	rc = grpc_call_start_batch(grpc, ops, count, event, NULL);
	if (rc != GRPC_CALL_OK)
		log_error("gRPC refused an operation", KV("error", grpc_call_error_to_string(rc)));
	return rc == GRPC_CALL_OK;
}

static bool start(struct server_call *call, const grpc_op *ops, size_t count,
		  struct rpc_event *event)
{
	return rpc_serving_start(call->serving, call->grpc, ops, count, event);
}

/* Starts the answer, or its end; response is NULL when err is set, and of a stream. */
static void send_answer(struct server_call *call, const ProtobufCMessage *response,
			const struct err *err)
{
	grpc_op ops[3] = { { .op = GRPC_OP_SEND_STATUS_FROM_SERVER } };
	size_t count = 1;

	if (err->code != ERR_NONE) {
		call->reason = grpc_slice_from_copied_string(err->msg);
		ops[0].data.send_status_from_server.status_details = &call->reason;
	} else if (response) {
		call->reply = rpc_pack(response);
		ops[count++] = (grpc_op) { .op = GRPC_OP_SEND_MESSAGE,
					   .data.send_message.send_message = call->reply };
	}
	if (!call->sending || !call->sending->begun)
		ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
	/* Before the client can know that its call has ended. */
	rpc_stats_end(call->row, call->counted, err->code, clock_now_ns() - call->base.started_ns);
	ops[0].data.send_status_from_server.status = rpc_status_of(err->code);
	if (!start(call, ops, count, &call->answered)) {
		count_down(call->serving, &call->serving->active);
		call_unref(call);
	}
}

static void answer(struct server_call *call, const ProtobufCMessage *response,
		   const struct err *err)
{
	rpc_log_end(&call->base, call->method && call->method->quiet, err);
	send_answer(call, response, err);
}

static void on_answered(struct rpc_event *event, bool ok)
{
	struct server_call *call = container_of(event, struct server_call, answered);

	/* Not ok: the client is gone, and there is nobody to tell. */
	(void)ok;
	count_down(call->serving, &call->serving->active);
	call_unref(call);
}

static void refuse(struct server_call *call, enum err_code code, const char *why)
{
	struct err err = ERR_INIT;

	count_up(call->serving, &call->serving->active);
	err_set(&err, code, "%s: %s", call->base.method, why);
	answer(call, NULL, &err);
}

/* Whoever may not call learns nothing else, and cannot fill the log. */
static bool refuse_stranger(struct server_call *call)
{
	struct err err = ERR_INIT;

	if (rpc_callers_check(call->callers, call->grpc, &err) == 0)
		return false;
	count_up(call->serving, &call->serving->active);
	send_answer(call, NULL, &err);
	return true;
}

/* How long the client of a stream may take nothing from now on. */
static struct deadline patience(const struct server_call *call)
{
	return deadline_min(call->base.deadline, deadline_after_ms(call->serving->stall_ms));
}

static int raise_broken(struct server_call *call, struct err *err)
{
	if (deadline_passed(call->base.deadline))
		return err_set(err, ERR_DEADLINE_EXCEEDED,
			       "the deadline passed before the last answer of %s",
			       call->base.method);
	if (call->sending->stalled)
		return err_set(err, ERR_CANCELLED,
			       "the client took no answer of %s for %" PRIu64 " ms",
			       call->base.method, call->serving->stall_ms);
	return err_set(err, ERR_CANCELLED, "the client left before the last answer of %s",
		       call->base.method);
}

static bool is_draining(struct rpc_serving *serving)
{
	bool draining;

	pthread_mutex_lock(&serving->lock);
	draining = serving->draining;
	pthread_mutex_unlock(&serving->lock);
	return draining;
}

/* On a worker thread, as the next two. */
static int send_one(struct rpc_call *base, const ProtobufCMessage *message, struct err *err)
{
	struct server_call *call = container_of(base, struct server_call, base);

	/* Streams go on where the client says, so another server can take over. */
	if (is_draining(call->serving))
		return err_set(err, ERR_UNAVAILABLE,
			       "%s: the server is shutting down; go on with another after the last "
			       "answer",
			       base->method);
	/* gRPC may take what it can give to nobody any more. */
	if (rpc_call_cancelled(base) || !rpc_sending_put(call->sending, message, patience(call)))
		return raise_broken(call, err);
	return 0;
}

static int dispatch(struct server_call *call, const void *data, size_t size,
		    ProtobufCMessage **ret_response, struct err *err)
{
	if (call->method->stream) {
		call->sending = rpc_sending_new(call->serving, call->grpc);
		call->base.send = send_one;
	}
	if (rpc_dispatch(&call->base, call->method, &call->serving->gate, data, size, ret_response,
			 err) < 0) {
		if (call->sending)
			rpc_sending_settle(call->sending, patience(call));
		return -1;
	}
	if (call->sending && !rpc_sending_settle(call->sending, patience(call)))
		return raise_broken(call, err);
	return 0;
}

/* A stream lasts as long as its client likes: some workers are left to what does not. */
static bool take_stream(struct server_call *call)
{
	struct rpc_serving *serving = call->serving;
	bool room;

	if (!call->method->stream)
		return true;
	pthread_mutex_lock(&serving->lock);
	room = serving->streams < serving->max_streams;
	if (room)
		serving->streams++;
	pthread_mutex_unlock(&serving->lock);
	return room;
}

static void give_stream(struct server_call *call)
{
	if (call->method->stream)
		count_down(call->serving, &call->serving->streams);
}

static void run(struct rpc_job *job)
{
	struct server_call *call = container_of(job, struct server_call, job);
	ProtobufCMessage *response = NULL;
	struct err err = ERR_INIT;
	grpc_byte_buffer_reader reader;
	grpc_slice data;

	if (grpc_byte_buffer_reader_init(&reader, call->payload)) {
		data = grpc_byte_buffer_reader_readall(&reader);
		grpc_byte_buffer_reader_destroy(&reader);
		dispatch(call, GRPC_SLICE_START_PTR(data), GRPC_SLICE_LENGTH(data), &response,
			 &err);
		grpc_slice_unref(data);
	} else {
		err_set(&err, ERR_INTERNAL, "the request of %s cannot be read", call->base.method);
	}
	/* Before the client can know that it may begin another. */
	give_stream(call);
	answer(call, response, &err);
}

/* Counts the call as active unless the server drains. */
static bool admit(struct rpc_serving *serving)
{
	bool admitted;

	pthread_mutex_lock(&serving->lock);
	admitted = !serving->draining;
	if (admitted)
		serving->active++;
	pthread_mutex_unlock(&serving->lock);
	return admitted;
}

static struct rpc_pool *pool_of(const struct server_call *call)
{
	const struct rpc_serving *serving = call->serving;

	return call->method->stream && serving->stream_pool ? serving->stream_pool : serving->pool;
}

/* Has a worker run what was admitted, or says why not. */
static void submit(struct server_call *call)
{
	struct err err = ERR_INIT;

	if (!take_stream(call)) {
		err_set(&err, ERR_UNAVAILABLE, "%s: %zu streams are running, which is the most",
			call->base.method, call->serving->max_streams);
		answer(call, NULL, &err);
	} else if (!rpc_pool_submit(pool_of(call), &call->job)) {
		give_stream(call);
		err_set(&err, ERR_UNAVAILABLE, "%s: too many calls are running and waiting",
			call->base.method);
		answer(call, NULL, &err);
	}
}

static void on_received(struct rpc_event *event, bool ok)
{
	struct server_call *call = container_of(event, struct server_call, received);

	if (!ok || grpc_call_failed_before_recv_message(call->grpc)) {
		/* gRPC has told the client why, if there still is one. */
		refuse(call, ERR_CANCELLED, "request not received: cancelled, broken or too large");
		return;
	}
	if (!call->payload) {
		refuse(call, ERR_INVALID_ARGUMENT, "no request message");
		return;
	}
	if (!admit(call->serving)) {
		refuse(call, ERR_UNAVAILABLE, "the server is shutting down");
		return;
	}
	call->counted = true;
	rpc_stats_begin(call->row);
	submit(call);
}

static void on_closed(struct rpc_event *event, bool ok)
{
	struct server_call *call = container_of(event, struct server_call, closed);

	(void)ok;
	if (call->closed_early)
		rpc_call_cancel(&call->base);
	call_unref(call);
}

static struct deadline deadline_of(gpr_timespec when)
{
	gpr_timespec t = gpr_convert_clock_type(when, GPR_CLOCK_MONOTONIC);

	if (gpr_time_cmp(t, gpr_inf_future(GPR_CLOCK_MONOTONIC)) >= 0)
		return deadline_none();
	if (t.tv_sec < 0)
		return (struct deadline) { .at_ns = 0 };
	return (struct deadline) { .at_ns = (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec };
}

static const char *peer_of(struct server_call *call)
{
	char *uri = grpc_call_get_peer(call->grpc);
	char text[RPC_PEER_SIZE] = "";

	if (strncmp(uri, "ipv", 3) == 0)
		rpc_peer_text(uri, text);
	gpr_free(uri);
	return rpc_strdup(&call->base, text);
}

/* Fills what handlers see of a call that has arrived. */
static void identify(struct server_call *call)
{
	struct rpc_serving *serving = call->serving;
	const struct rpc_service *service = NULL;
	size_t len = GRPC_SLICE_LENGTH(call->details.method);
	char *name;

	rpc_call_init(&call->base, deadline_of(call->details.deadline), serving->arena_limit_bytes);
	len = len < METHOD_NAME_MAX ? len : METHOD_NAME_MAX;
	name = rpc_alloc(&call->base, len + 1);
	memcpy(name, GRPC_SLICE_START_PTR(call->details.method), len);
	call->base.method = name;
	call->base.peer = peer_of(call);
	call->method = rpc_method_find(serving->services, serving->service_count, name, &service);
	call->row = rpc_stats_find(serving->stats, call->method);
	call->callers = &serving->callers;
	if (!call->method)
		return;
	call->base.context = service->context;
	if (service->client_name)
		call->callers = &serving->service_callers[service - serving->services];
}

static void on_arrived(struct rpc_event *event, bool ok)
{
	struct server_call *call = container_of(event, struct server_call, arrived);
	grpc_op close = { .op = GRPC_OP_RECV_CLOSE_ON_SERVER,
			  .data.recv_close_on_server.cancelled = &call->closed_early };
	grpc_op receive = { .op = GRPC_OP_RECV_MESSAGE,
			    .data.recv_message.recv_message = &call->payload };

	if (!ok) {
		call_unref(call);
		return;
	}
	rpc_call_await(call->serving);
	identify(call);
	atomic_fetch_add(&call->refs, 1);
	if (!start(call, &close, 1, &call->closed))
		call_unref(call);
	if (refuse_stranger(call))
		return;
	if (!call->method)
		refuse(call, ERR_UNIMPLEMENTED, "unknown method");
	else if (!start(call, &receive, 1, &call->received))
		call_unref(call);
}

void rpc_call_await(struct rpc_serving *serving)
{
	struct server_call *call = xcalloc(1, sizeof(*call));

	call->serving = serving;
	count_up(serving, &serving->calls);
	call->arrived.fire = on_arrived;
	call->received.fire = on_received;
	call->answered.fire = on_answered;
	call->closed.fire = on_closed;
	call->job.run = run;
	call->reason = grpc_empty_slice();
	atomic_init(&call->refs, 1);
	grpc_call_details_init(&call->details);
	grpc_metadata_array_init(&call->metadata);
	atomic_fetch_add(&serving->handed, 1);
	if (grpc_server_request_call(serving->grpc, &call->grpc, &call->details, &call->metadata,
				     serving->queue, serving->queue,
				     &call->arrived) != GRPC_CALL_OK)
		call_unref(call);
}
