/* SPDX-License-Identifier: Apache-2.0 */
/* The client: a channel that follows the TLS files, and blocking calls on it. */
#include "csi/rpc/client.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "csi/rpc/endpoint.h"
#include "csi/rpc/runtime.h"
#include "csi/rpc/status.h"
#include "csi/rpc/tls.h"

#define BACKOFF_FIRST_MS 200
#define BACKOFF_MAX_MS 2000
#define CONNECT_MS 10000 /* for one attempt, with its TLS handshake */
#define KEEPALIVE_MS 30000
#define KEEPALIVE_TIMEOUT_MS 10000
#define NS_PER_S 1000000000ULL

/* Shared by the calls that run on it; a change of the TLS files brings a new one. */
struct channel {
	grpc_channel *grpc;
	struct rpc_tls_stamp stamp;
	unsigned int refs; /* under the client's lock */
};

struct rpc_client {
	char *address;
	char *target;
	char *tls_dir;
	pthread_mutex_t lock;
	struct channel *current;
};

/* One call, from its operations to what came back. */
struct exchange {
	grpc_completion_queue *queue;
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

#define INTEGER_ARG(name, number)                                                                  \
	{                                                                                          \
		.type = GRPC_ARG_INTEGER, .key = (char *)(name), .value.integer = (number)         \
	}

static int channel_new(const struct rpc_client *client, struct channel **ret, struct err *err)
{
	grpc_arg args[] = {
		INTEGER_ARG(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, BACKOFF_FIRST_MS),
		/* Despite its name this bounds the time of an attempt, not between two. */
		INTEGER_ARG(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_MS),
		INTEGER_ARG(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, BACKOFF_MAX_MS),
		INTEGER_ARG(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS),
		INTEGER_ARG(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS),
		/* An agent is reached directly, whatever the environment says of web proxies. */
		INTEGER_ARG(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
		INTEGER_ARG(GRPC_ARG_ENABLE_CHANNELZ, 0),
		INTEGER_ARG(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
	};
	grpc_channel_args all = { .num_args = ARRAY_SIZE(args), .args = args };
	grpc_channel_credentials *credentials = NULL;
	struct rpc_tls_stamp stamp = { 0 };
	struct channel *channel;

	if (!client->tls_dir)
		credentials = grpc_insecure_credentials_create();
	else if (rpc_tls_client(client->tls_dir, &credentials, &stamp, err) < 0)
		return -1;
	channel = xcalloc(1, sizeof(*channel));
	channel->grpc = grpc_channel_create(client->target, credentials, &all);
	channel->stamp = stamp;
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

/* The channel for a new call: another one when the TLS files have changed. */
static struct channel *channel_take(struct rpc_client *client)
{
	struct rpc_tls_stamp now;
	struct channel *fresh;
	struct channel *taken;
	struct err err = ERR_INIT;

	pthread_mutex_lock(&client->lock);
	if (client->tls_dir) {
		now = rpc_tls_stamp(client->tls_dir);
		/* Files that are bad for the moment leave the channel as it is. */
		if (!rpc_tls_stamp_equal(&now, &client->current->stamp) &&
		    channel_new(client, &fresh, &err) == 0) {
			channel_unref(client->current);
			client->current = fresh;
		}
	}
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

static void exchange_init(struct exchange *x, struct channel *channel, const char *method,
			  const ProtobufCMessage *request, struct deadline deadline)
{
	grpc_slice name = grpc_slice_from_copied_string(method);
	grpc_slice data = grpc_slice_malloc(protobuf_c_message_get_packed_size(request));

	protobuf_c_message_pack(request, GRPC_SLICE_START_PTR(data));
	*x = (struct exchange) { .details = grpc_empty_slice() };
	x->request = grpc_raw_byte_buffer_create(&data, 1);
	x->queue = grpc_completion_queue_create_for_pluck(NULL);
	x->call = grpc_channel_create_call(channel->grpc, NULL, GRPC_PROPAGATE_DEFAULTS, x->queue,
					   name, NULL, timespec_of(deadline), NULL);
	grpc_metadata_array_init(&x->head);
	grpc_metadata_array_init(&x->tail);
	grpc_slice_unref(data);
	grpc_slice_unref(name);
}

static void exchange_fini(struct exchange *x)
{
	grpc_call_unref(x->call);
	grpc_completion_queue_shutdown(x->queue);
	grpc_completion_queue_destroy(x->queue);
	grpc_byte_buffer_destroy(x->request);
	grpc_byte_buffer_destroy(x->response);
	grpc_metadata_array_destroy(&x->head);
	grpc_metadata_array_destroy(&x->tail);
	grpc_slice_unref(x->details);
	gpr_free((void *)x->debug);
}

/* Sends everything and waits for everything; the deadline is gRPC's to keep. */
static int exchange_run(struct exchange *x, struct err *err)
{
	grpc_op ops[] = {
		{ .op = GRPC_OP_SEND_INITIAL_METADATA },
		{ .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = x->request },
		{ .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
		{ .op = GRPC_OP_RECV_INITIAL_METADATA,
		  .data.recv_initial_metadata.recv_initial_metadata = &x->head },
		{ .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &x->response },
		{ .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
		  .data.recv_status_on_client = { .trailing_metadata = &x->tail,
						  .status = &x->status,
						  .status_details = &x->details,
						  .error_string = &x->debug } },
	};
	grpc_call_error rc = grpc_call_start_batch(x->call, ops, ARRAY_SIZE(ops), x, NULL);

	if (rc != GRPC_CALL_OK)
		return err_set(err, ERR_INTERNAL, "gRPC: %s", grpc_call_error_to_string(rc));
	grpc_completion_queue_pluck(x->queue, x, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	return 0;
}

static int raise_status(const struct rpc_client *client, const char *method,
			const struct exchange *x, struct err *err)
{
	enum err_code code = rpc_err_of_status(x->status);
	bool from_peer = x->debug && strstr(x->debug, "received from peer");

	if (!from_peer && code == ERR_DEADLINE_EXCEEDED)
		return err_set(err, code, "%s did not answer %s before the deadline",
			       client->address, method);
	err_set(err, code, "%.*s", (int)GRPC_SLICE_LENGTH(x->details),
		(const char *)GRPC_SLICE_START_PTR(x->details));
	return from_peer ? -1 : err_wrap(err, "%s", client->address);
}

static int unpack(const struct rpc_client *client, const char *method, const struct exchange *x,
		  const ProtobufCMessageDescriptor *response, ProtobufCMessage **ret,
		  struct err *err)
{
	ProtobufCMessage *message = NULL;
	grpc_byte_buffer_reader reader;
	grpc_slice data;

	if (x->response && grpc_byte_buffer_reader_init(&reader, x->response)) {
		data = grpc_byte_buffer_reader_readall(&reader);
		grpc_byte_buffer_reader_destroy(&reader);
		message = protobuf_c_message_unpack(response, NULL, GRPC_SLICE_LENGTH(data),
						    GRPC_SLICE_START_PTR(data));
		grpc_slice_unref(data);
	}
	if (!message)
		return err_set(err, ERR_INTERNAL, "%s answered %s with something that is not a %s",
			       client->address, method, response->name);
	*ret = message;
	return 0;
}

int rpc_client_call(struct rpc_client *client, const char *method, const ProtobufCMessage *request,
		    const ProtobufCMessageDescriptor *response, struct deadline deadline,
		    ProtobufCMessage **ret, struct err *err)
{
	struct channel *channel = channel_take(client);
	struct exchange x;
	int rc;

	exchange_init(&x, channel, method, request, deadline);
	rc = exchange_run(&x, err);
	if (rc == 0 && x.status != GRPC_STATUS_OK)
		rc = raise_status(client, method, &x, err);
	else if (rc == 0)
		rc = unpack(client, method, &x, response, ret, err);
	exchange_fini(&x);
	channel_give_back(client, channel);
	return rc;
}
