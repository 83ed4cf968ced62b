/* SPDX-License-Identifier: Apache-2.0 */
/* The client: a channel that follows the TLS files, and calls on it. */
#include "csi/rpc/client.h"

#include <errno.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi/rpc/args.h"
#include "csi/rpc/endpoint.h"
#include "csi/rpc/loop.h"
#include "csi/rpc/refusal.h"
#include "csi/rpc/runtime.h"
#include "csi/rpc/status.h"
#include "csi/rpc/tls.h"
#include "csi/rpc/unpack.h"
#include "nvme/base/log.h"

#define BACKOFF_FIRST_MS 200
#define BACKOFF_MAX_MS 2000
#define CONNECT_MS 10000 /* for one attempt, with its TLS handshake */

/* Shared by the calls that run on it; a change of the TLS files brings a new one. */
struct channel {
	grpc_channel *grpc;
	struct rpc_tls_own own; /* zeros without TLS */
	unsigned int refs;	/* under the client's lock */
};

struct rpc_client {
	char *address;
	char *target;
	char *tls_dir;
	pthread_mutex_t lock;
	struct channel *current;
	struct rpc_tls_stamp logged; /* TLS files that were bad, as the log says */
};

/* From its operations to what came back. */
struct rpc_pending {
	struct rpc_client *client;
	struct channel *channel;
	char *method;
	struct rpc_waiter waiter;
	grpc_call *call;
	grpc_byte_buffer *request;
	grpc_byte_buffer *response;
	grpc_metadata_array head;
	grpc_metadata_array tail;
	grpc_status_code status;
	grpc_slice details;
	const char *debug; /* where the status came from */
};

static int target_of(const char *address, char **ret, struct err *err)
{
	const char *colon = strrchr(address, ':');

	if (strncmp(address, "unix:///", 8) == 0)
		*ret = rpc_unix_target(address + 7);
	else if (!colon || colon == address || !colon[1] || strspn(colon + 1, "0123456789") > 5 ||
		 colon[1 + strspn(colon + 1, "0123456789")] || strchr(address, '/'))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "address \"%.200s\" is not HOST:PORT, [IPv6]:PORT or unix:///path",
			       address);
	else if (*address == '[')
		*ret = xasprintf("ipv6:%s", address);
	else
		*ret = xasprintf("dns:///%s", address);
	return 0;
}

static int channel_new(const struct rpc_client *client, struct channel **ret, struct err *err)
{
	/* On a unix socket the kernel tells at once when the peer is gone. */
	bool tcp = strncmp(client->target, "unix:", strlen("unix:")) != 0;
	grpc_arg args[] = {
		RPC_INTEGER_ARG(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, BACKOFF_FIRST_MS),
		/* Despite its name this bounds the time of an attempt, not between two. */
		RPC_INTEGER_ARG(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_MS),
		RPC_INTEGER_ARG(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, BACKOFF_MAX_MS),
		RPC_INTEGER_ARG(GRPC_ARG_KEEPALIVE_TIME_MS, tcp ? RPC_KEEPALIVE_MS : INT32_MAX),
		RPC_INTEGER_ARG(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, RPC_KEEPALIVE_TIMEOUT_MS),
		/* Idle connections too, and without end: by default two pings go without data. */
		RPC_INTEGER_ARG(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
		RPC_INTEGER_ARG(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
		/* An agent is reached directly, whatever the environment says of web proxies. */
		RPC_INTEGER_ARG(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
		/* A small compressed answer may unpack to any size. */
		RPC_INTEGER_ARG(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
				1 << GRPC_COMPRESS_NONE),
		RPC_INTEGER_ARG(GRPC_ARG_ENABLE_CHANNELZ, 0),
		RPC_INTEGER_ARG(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
	};
	grpc_channel_args all = { .num_args = ARRAY_SIZE(args), .args = args };
	grpc_channel_credentials *credentials = NULL;
	struct rpc_tls_own own = { 0 };
	struct channel *channel;

	if (!client->tls_dir)
		credentials = grpc_insecure_credentials_create();
	else if (rpc_tls_client(client->tls_dir, &credentials, &own, err) < 0)
		return -1;
	channel = xcalloc(1, sizeof(*channel));
	channel->grpc = grpc_channel_create(client->target, credentials, &all);
	channel->own = own;
	channel->refs = 1;
	grpc_channel_credentials_release(credentials);
	*ret = channel;
	return 0;
}

/* Called with the client's lock held. */
static void channel_unref(struct channel *channel)
{
	if (--channel->refs > 0)
		return;
	grpc_channel_destroy(channel->grpc);
	free(channel);
}

/* Called with the client's lock held. Bad files leave the channel as it is. */
static void follow_files(struct rpc_client *client)
{
	struct rpc_tls_stamp now = rpc_tls_stamp(client->tls_dir);
	struct channel *fresh;
	struct err err = ERR_INIT;

	if (!rpc_tls_stamp_equal(&now, &client->current->own.stamp)) {
		if (channel_new(client, &fresh, &err) == 0) {
			channel_unref(client->current);
			client->current = fresh;
			rpc_refusal_forget();
		} else {
			rpc_tls_log_bad(&client->logged, &now, &err);
		}
	}
	rpc_tls_warn(client->tls_dir, &client->current->own);
}

/* The channel for a new call: another one when the TLS files have changed. */
static struct channel *channel_take(struct rpc_client *client)
{
	struct channel *taken;

	pthread_mutex_lock(&client->lock);
	if (client->tls_dir)
		follow_files(client);
	taken = client->current;
	taken->refs++;
	pthread_mutex_unlock(&client->lock);
	return taken;
}

static void channel_give_back(struct rpc_client *client, struct channel *channel)
{
	pthread_mutex_lock(&client->lock);
	channel_unref(channel);
	pthread_mutex_unlock(&client->lock);
}

/* Without TLS nothing may leave this machine; a host name could lead anywhere. */
static int check_plaintext(const char *address, struct err *err)
{
	cleanup_free char *text = xasprintf("tcp://%s", address);
	struct rpc_endpoint endpoint;
	struct err ignored;

	if (strncmp(address, "unix://", strlen("unix://")) == 0 ||
	    (rpc_endpoint_parse(text, &endpoint, &ignored) == 0 && endpoint.loopback))
		return 0;
	return err_set(err, ERR_INVALID_ARGUMENT,
		       "address \"%.200s\": without TLS only a numeric loopback address or a unix "
		       "socket is called",
		       address);
}

int rpc_client_new(const char *address, const char *tls_dir, struct rpc_client **ret,
		   struct err *err)
{
	struct rpc_client *client;
	char *target = NULL;

	if ((!tls_dir && check_plaintext(address, err) < 0) || target_of(address, &target, err) < 0)
		return -1;
	rpc_runtime_get();
	if (rpc_loop_get(err) < 0) {
		rpc_runtime_put();
		free(target);
		return -1;
	}
	client = xcalloc(1, sizeof(*client));
	client->address = xstrdup(address);
	client->target = target;
	client->tls_dir = tls_dir ? xstrdup(tls_dir) : NULL;
	pthread_mutex_init(&client->lock, NULL);
	if (channel_new(client, &client->current, err) < 0) {
		rpc_client_free(client);
		return -1;
	}
	*ret = client;
	return 0;
}

void rpc_client_free(struct rpc_client *client)
{
	if (client->current)
		channel_unref(client->current);
	pthread_mutex_destroy(&client->lock);
	free(client->tls_dir);
	free(client->target);
	free(client->address);
	free(client);
	rpc_loop_put();
	rpc_runtime_put();
}

static gpr_timespec timespec_of(struct deadline deadline)
{
	if (deadline.at_ns == UINT64_MAX)
		return gpr_inf_future(GPR_CLOCK_MONOTONIC);
	return (gpr_timespec) { .tv_sec = (int64_t)(deadline.at_ns / NS_PER_S),
				.tv_nsec = (int32_t)(deadline.at_ns % NS_PER_S),
				.clock_type = GPR_CLOCK_MONOTONIC };
}

static struct rpc_pending *pending_new(struct rpc_client *client, const char *method,
				       const ProtobufCMessage *request, struct deadline deadline)
{
	struct rpc_pending *p = xcalloc(1, sizeof(*p));
	grpc_slice name = grpc_slice_from_copied_string(method);
	grpc_slice data = grpc_slice_malloc(protobuf_c_message_get_packed_size(request));

	protobuf_c_message_pack(request, GRPC_SLICE_START_PTR(data));
	p->client = client;
	p->channel = channel_take(client);
	p->method = xstrdup(method);
	p->details = grpc_empty_slice();
	p->request = grpc_raw_byte_buffer_create(&data, 1);
	p->call = grpc_channel_create_call(p->channel->grpc, NULL, GRPC_PROPAGATE_DEFAULTS,
					   rpc_loop_queue(), name, NULL, timespec_of(deadline),
					   NULL);
	rpc_waiter_init(&p->waiter);
	grpc_metadata_array_init(&p->head);
	grpc_metadata_array_init(&p->tail);
	grpc_slice_unref(data);
	grpc_slice_unref(name);
	return p;
}

/* None of its operations may be under way. */
static void pending_free(struct rpc_pending *p)
{
	grpc_call_unref(p->call);
	rpc_waiter_fini(&p->waiter);
	grpc_byte_buffer_destroy(p->request);
	grpc_byte_buffer_destroy(p->response);
	grpc_metadata_array_destroy(&p->head);
	grpc_metadata_array_destroy(&p->tail);
	grpc_slice_unref(p->details);
	gpr_free((void *)p->debug);
	channel_give_back(p->client, p->channel);
	free(p->method);
	free(p);
}

/*
 * All but the answers of a stream in one batch, which is done when the status is there; the
 * deadline is gRPC's to keep.
 */
static int begin(struct rpc_client *client, const char *method, const ProtobufCMessage *request,
		 struct deadline deadline, bool stream, struct rpc_pending **ret, struct err *err)
{
	struct rpc_pending *p = pending_new(client, method, request, deadline);
	grpc_op ops[] = {
		{ .op = GRPC_OP_SEND_INITIAL_METADATA },
		{ .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = p->request },
		{ .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
		{ .op = GRPC_OP_RECV_INITIAL_METADATA,
		  .data.recv_initial_metadata.recv_initial_metadata = &p->head },
		{ .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
		  .data.recv_status_on_client = { .trailing_metadata = &p->tail,
						  .status = &p->status,
						  .status_details = &p->details,
						  .error_string = &p->debug } },
		{ .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &p->response },
	};
	size_t count = ARRAY_SIZE(ops) - (stream ? 1 : 0);
	grpc_call_error rc = grpc_call_start_batch(p->call, ops, count, &p->waiter, NULL);

	if (rc != GRPC_CALL_OK) {
		pending_free(p);
		return err_set(err, ERR_INTERNAL, "gRPC: %s", grpc_call_error_to_string(rc));
	}
	*ret = p;
	return 0;
}

int rpc_client_begin(struct rpc_client *client, const char *method, const ProtobufCMessage *request,
		     struct deadline deadline, struct rpc_pending **ret, struct err *err)
{
	return begin(client, method, request, deadline, false, ret, err);
}

int rpc_client_open(struct rpc_client *client, const char *method, const ProtobufCMessage *request,
		    struct deadline deadline, struct rpc_pending **ret, struct err *err)
{
	return begin(client, method, request, deadline, true, ret, err);
}

/* An error of ours, not of the server: the errno behind it is what rpc_unanswered knows it by. */
static int raise_unanswered(struct err *err, int sys)
{
	err->sys = sys;
	return -1;
}

bool rpc_unanswered(const struct err *err)
{
	return (err->code == ERR_UNAVAILABLE && err->sys == EHOSTUNREACH) ||
	       (err->code == ERR_DEADLINE_EXCEEDED && err->sys == ETIMEDOUT);
}

/* No connection: the reason in our words, if it is one that somebody has to look after. */
static int raise_refusal(const struct rpc_pending *p, const char *text, struct err *err)
{
	const struct rpc_certificate *own = &p->channel->own.certificate;
	char ours[RPC_CERTIFICATE_TEXT_SIZE + 32];
	char reason[RPC_REASON_SIZE];

	snprintf(ours, sizeof(ours), "%s%s", own->text,
		 *own->text ? rpc_certificate_fault(own, time(NULL)) : "");
	if (rpc_refusal_of_server(text, ours, reason)) {
		rpc_refusal_log_server(p->client->address, reason);
		text = reason;
	}
	err_set(err, ERR_UNAVAILABLE, "%s: %s", p->client->address, text);
	return raise_unanswered(err, EHOSTUNREACH);
}

static int raise_status(const struct rpc_pending *p, struct err *err)
{
	cleanup_free char *text = xasprintf("%.*s", (int)GRPC_SLICE_LENGTH(p->details),
					    (const char *)GRPC_SLICE_START_PTR(p->details));
	enum err_code code = rpc_err_of_status(p->status);

	if (p->debug && strstr(p->debug, "received from peer"))
		return err_set(err, code, "%s", text);
	if (code == ERR_UNAVAILABLE)
		return raise_refusal(p, text, err);
	if (code == ERR_DEADLINE_EXCEEDED) {
		err_set(err, code, "%s did not answer %s before the deadline", p->client->address,
			p->method);
		return raise_unanswered(err, ETIMEDOUT);
	}
	/* Too large an answer: that says nothing of what the server has done, or has room for. */
	if (code == ERR_RESOURCE_EXHAUSTED)
		code = ERR_INTERNAL;
	return err_set(err, code, "%s: %s", p->client->address, text);
}

static int unpack(const struct rpc_pending *p, const ProtobufCMessageDescriptor *response,
		  ProtobufCMessage **ret, struct err *err)
{
	ProtobufCMessage *message = NULL;
	grpc_byte_buffer_reader reader;
	bool exhausted = false;
	grpc_slice data;

	if (p->response && grpc_byte_buffer_reader_init(&reader, p->response)) {
		data = grpc_byte_buffer_reader_readall(&reader);
		grpc_byte_buffer_reader_destroy(&reader);
		message = rpc_unpack(response, GRPC_SLICE_START_PTR(data), GRPC_SLICE_LENGTH(data),
				     &exhausted);
		grpc_slice_unref(data);
	}
	if (!message && exhausted)
		return err_set(err, ERR_INTERNAL,
			       "%s answered %s with a %s that takes far more memory than bytes on "
			       "the wire; it is not taken",
			       p->client->address, p->method, response->name);
	if (!message)
		return err_set(err, ERR_INTERNAL, "%s answered %s with something that is not a %s",
			       p->client->address, p->method, response->name);
	*ret = message;
	return 0;
}

int rpc_pending_finish(struct rpc_pending *p, const ProtobufCMessageDescriptor *response,
		       ProtobufCMessage **ret, struct err *err)
{
	int rc;

	rpc_waiter_wait(&p->waiter);
	if (p->status == GRPC_STATUS_OK)
		rc = unpack(p, response, ret, err);
	else
		rc = raise_status(p, err);
	pending_free(p);
	return rc;
}

/* Waits for one answer of a stream; none is there when it has ended. */
static int receive(struct rpc_pending *p, struct err *err)
{
	grpc_op op = { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &p->response };
	struct rpc_waiter waiter;
	grpc_call_error rc;

	grpc_byte_buffer_destroy(p->response);
	p->response = NULL;
	rpc_waiter_init(&waiter);
	rc = grpc_call_start_batch(p->call, &op, 1, &waiter, NULL);
	if (rc == GRPC_CALL_OK)
		rpc_waiter_wait(&waiter);
	rpc_waiter_fini(&waiter);
	if (rc != GRPC_CALL_OK)
		return err_set(err, ERR_INTERNAL, "gRPC: %s", grpc_call_error_to_string(rc));
	return 0;
}

int rpc_pending_next(struct rpc_pending *p, const ProtobufCMessageDescriptor *response,
		     ProtobufCMessage **ret, struct err *err)
{
	if (receive(p, err) < 0)
		return -1;
	if (p->response)
		return unpack(p, response, ret, err) < 0 ? -1 : 1;
	rpc_waiter_wait(&p->waiter);
	return p->status == GRPC_STATUS_OK ? 0 : raise_status(p, err);
}

void rpc_pending_break(struct rpc_pending *p)
{
	grpc_call_cancel(p->call, NULL);
}

void rpc_pending_cancel(struct rpc_pending *p)
{
	grpc_call_cancel(p->call, NULL);
	rpc_waiter_wait(&p->waiter);
	pending_free(p);
}

int rpc_client_call(struct rpc_client *client, const char *method, const ProtobufCMessage *request,
		    const ProtobufCMessageDescriptor *response, struct deadline deadline,
		    ProtobufCMessage **ret, struct err *err)
{
	struct rpc_pending *pending;

	if (rpc_client_begin(client, method, request, deadline, &pending, err) < 0)
		return -1;
	return rpc_pending_finish(pending, response, ret, err);
}
