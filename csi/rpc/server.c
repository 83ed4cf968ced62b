/* SPDX-License-Identifier: Apache-2.0 */
/* The server: configuration, listening, the poller thread, draining. */
#include "csi/rpc/server.h"

#include <errno.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "csi/rpc/args.h"
#include "csi/rpc/call.h"
#include "csi/rpc/endpoint.h"
#include "csi/rpc/logtap.h"
#include "csi/rpc/runtime.h"
#include "csi/rpc/socket.h"
#include "csi/rpc/tls.h"
#include "csi/rpc/unpack.h"
#include "nvme/base/log.h"

#define POLLER_STACK_BYTES (512 * 1024)
#define MAX_STREAMS 2048 /* calls at once on one connection; a client queues what is beyond */
#define HANDSHAKE_MS 20000

struct rpc_server {
	struct rpc_serving serving;
	struct rpc_endpoint endpoint, also;
	struct rpc_tls_server *tls;
	struct rpc_socket *socket, *also_socket;
	size_t max_message_bytes;
	int connection_age_ms;
	uint16_t port;
	bool polling;
	atomic_ullong busy_since_ns; /* the poller; 0: it waits for events */
	pthread_t poller;
	struct rpc_event stopped;
};

static void on_stopped(struct rpc_event *event, bool ok)
{
	struct rpc_server *server =
		(struct rpc_server *)((char *)event - offsetof(struct rpc_server, stopped));

	(void)ok;
	pthread_mutex_lock(&server->serving.lock);
	server->serving.stopped = true;
	pthread_cond_broadcast(&server->serving.changed);
	pthread_mutex_unlock(&server->serving.lock);
}

static void *poll_events(void *data)
{
	struct rpc_server *server = data;
	struct rpc_event *tag;
	grpc_event event;

	for (;;) {
		event = grpc_completion_queue_next(server->serving.queue,
						   gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
		if (event.type == GRPC_QUEUE_SHUTDOWN)
			return NULL;
		(void)atomic_load(&server->serving.handed);
		tag = event.tag;
		atomic_store(&server->busy_since_ns, clock_now_ns());
		tag->fire(tag, event.success);
		atomic_store(&server->busy_since_ns, 0);
	}
}

static void init_serving(struct rpc_serving *serving, const struct rpc_server_config *config,
			 size_t max_message_bytes)
{
	size_t max_workers = config->max_workers ?: RPC_MAX_WORKERS;

	serving->services = config->services;
	serving->service_count = config->service_count;
	serving->stats = config->stats;
	rpc_stats_add(config->stats, config->services, config->service_count);
	rpc_callers_init(&serving->callers, config->client_names,
			 config->tls_dir ? config->client_name_count : 0);
	serving->service_callers =
		xcalloc(config->service_count, sizeof(*serving->service_callers));
	for (size_t i = 0; i < config->service_count; i++)
		rpc_callers_init(&serving->service_callers[i], &config->services[i].client_name,
				 config->tls_dir && config->services[i].client_name ? 1 : 0);
	serving->arena_limit_bytes = rpc_unpack_limit(max_message_bytes);
	serving->stall_ms = config->stall_ms ?: RPC_STALL_MS;
	serving->max_streams = config->max_streams ?: max_workers / RPC_STREAM_SHARE ?: 1;
	serving->pool =
		rpc_pool_new(max_workers, config->max_queued ?: RPC_MAX_QUEUED, RPC_POOL_IDLE_MS);
	/* One that comes may be there a moment before the thread of one that went is free. */
	if (config->max_streams)
		serving->stream_pool =
			rpc_pool_new(config->max_streams, config->max_streams, RPC_POOL_IDLE_MS);
	gate_init(&serving->gate);
	pthread_mutex_init(&serving->lock, NULL);
	pthread_cond_init(&serving->changed, NULL);
}

static int check_config(const struct rpc_server_config *config, struct rpc_endpoint *ret_endpoint,
			struct rpc_endpoint *ret_also, struct err *err)
{
	if (rpc_endpoint_parse(config->endpoint, ret_endpoint, err) < 0 ||
	    (config->also && rpc_endpoint_parse(config->also, ret_also, err) < 0))
		return -1;
	if (config->also && !ret_also->is_unix)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "endpoint %s: a second one has to be unix:///PATH", config->also);
	if (!ret_endpoint->is_unix && !config->tls_dir && !ret_endpoint->loopback)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "endpoint %s: without TLS only a loopback address is allowed",
			       config->endpoint);
	if (config->tls_dir && !config->client_name_count)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "endpoint %s: TLS without the names of clients that may call",
			       config->endpoint);
	return 0;
}

int rpc_server_new(const struct rpc_server_config *config, struct rpc_server **ret, struct err *err)
{
	struct rpc_endpoint endpoint, also = { 0 };
	struct rpc_tls_server *tls = NULL;
	struct rpc_server *server;

	if (check_config(config, &endpoint, &also, err) < 0)
		return -1;
	rpc_runtime_get();
	if (!endpoint.is_unix)
		rpc_logtap_follow_peers();
	if (config->tls_dir && rpc_tls_server_new(config->tls_dir, &tls, err) < 0) {
		rpc_runtime_put();
		return -1;
	}
	server = xcalloc(1, sizeof(*server));
	server->endpoint = endpoint;
	server->also = also;
	server->tls = tls;
	server->max_message_bytes = config->max_message_bytes ?: RPC_MAX_MESSAGE_BYTES;
	server->connection_age_ms = config->connection_age_ms ?: RPC_CONNECTION_AGE_MS;
	server->stopped.fire = on_stopped;
	init_serving(&server->serving, config, server->max_message_bytes);
	*ret = server;
	return 0;
}

static void create(struct rpc_server *server)
{
	/* On a unix socket the kernel tells at once when the peer is gone. */
	bool tcp = !server->endpoint.is_unix;
	grpc_arg args[] = {
		RPC_INTEGER_ARG(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, server->max_message_bytes),
		RPC_INTEGER_ARG(GRPC_ARG_MAX_CONCURRENT_STREAMS, MAX_STREAMS),
		RPC_INTEGER_ARG(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_MS),
		/* What was let in once would otherwise stay, whatever becomes of its certificate. */
		RPC_INTEGER_ARG(GRPC_ARG_MAX_CONNECTION_AGE_MS,
				server->tls ? server->connection_age_ms : INT32_MAX),
		RPC_INTEGER_ARG(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, RPC_CONNECTION_GRACE_MS),
		RPC_INTEGER_ARG(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
				RPC_PING_MIN_MS),
		RPC_INTEGER_ARG(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
		RPC_INTEGER_ARG(GRPC_ARG_KEEPALIVE_TIME_MS,
				tcp ? RPC_SERVER_KEEPALIVE_MS : INT32_MAX),
		RPC_INTEGER_ARG(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, RPC_KEEPALIVE_TIMEOUT_MS),
		/* Without end, too: a stream of orders may say nothing for minutes. */
		RPC_INTEGER_ARG(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
		/* A second server on one port would silently get half of the connections. */
		RPC_INTEGER_ARG(GRPC_ARG_ALLOW_REUSEPORT, 0),
		/* A small compressed message may unpack to any size. */
		RPC_INTEGER_ARG(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
				1 << GRPC_COMPRESS_NONE),
		RPC_INTEGER_ARG(GRPC_ARG_ENABLE_CHANNELZ, 0),
		RPC_INTEGER_ARG(GRPC_ARG_MAX_CHANNEL_TRACE_EVENT_MEMORY_PER_NODE, 0),
	};
	grpc_channel_args all = { .num_args = ARRAY_SIZE(args), .args = args };

	server->serving.grpc = grpc_server_create(&all, NULL);
	server->serving.queue = grpc_completion_queue_create_for_next(NULL);
	grpc_server_register_completion_queue(server->serving.grpc, server->serving.queue, NULL);
}

static int start_poller(struct rpc_server *server, struct err *err)
{
	pthread_attr_t attr;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, POLLER_STACK_BYTES);
	rc = pthread_create(&server->poller, &attr, poll_events, server);
	pthread_attr_destroy(&attr);
	if (rc != 0)
		return err_sys(err, rc, "start the poller thread");
	server->polling = true;
	return 0;
}

/* gRPC does not say why it cannot listen; a socket of our own does. */
static int try_bind(const struct rpc_endpoint *endpoint, struct err *err)
{
	cleanup_close int fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return err_sys(err, errno, "socket for tcp://%s", endpoint->listen);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&endpoint->address, endpoint->address_len) < 0)
		return err_sys(err, errno, "listen at tcp://%s", endpoint->listen);
	return 0;
}

static int add_port(struct rpc_server *server, const char *address)
{
	grpc_server_credentials *plain;
	int port;

	if (server->tls)
		return grpc_server_add_http2_port(server->serving.grpc, address,
						  rpc_tls_server_credentials(server->tls));
	plain = grpc_insecure_server_credentials_create();
	port = grpc_server_add_http2_port(server->serving.grpc, address, plain);
	grpc_server_credentials_release(plain);
	return port;
}

static int listen_unix(struct rpc_server *server, const char *path, struct rpc_socket **ret_socket,
		       struct err *err)
{
	cleanup_free char *target = NULL;
	mode_t old;
	int rc;

	if (rpc_socket_new(path, ret_socket, err) < 0)
		return -1;
	target = rpc_unix_target(rpc_socket_temporary(*ret_socket));
	/* A chmod afterwards would leave a moment in which others can connect. */
	old = umask(0177);
	rc = add_port(server, target);
	umask(old);
	if (!rc)
		return err_set(err, ERR_INTERNAL, "cannot listen at unix://%s", path);
	return rpc_socket_publish(*ret_socket, err);
}

static int listen_tcp(struct rpc_server *server, struct err *err)
{
	int port;

	if (try_bind(&server->endpoint, err) < 0)
		return -1;
	port = add_port(server, server->endpoint.listen);
	if (port > 0) {
		server->port = (uint16_t)port;
		return 0;
	}
	if (server->tls)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "cannot listen at tcp://%s with the TLS files",
			       server->endpoint.listen);
	return err_set(err, ERR_INTERNAL, "cannot listen at tcp://%s", server->endpoint.listen);
}

/* The second one comes after the first: who finds it may look at the first at once. */
static int listen_at(struct rpc_server *server, struct err *err)
{
	const struct rpc_endpoint *endpoint = &server->endpoint;

	if ((endpoint->is_unix ? listen_unix(server, endpoint->path, &server->socket, err) :
				 listen_tcp(server, err)) < 0)
		return -1;
	if (!server->also.is_unix)
		return 0;
	return listen_unix(server, server->also.path, &server->also_socket, err);
}

int rpc_server_start(struct rpc_server *server, struct err *err)
{
	create(server);
	if (start_poller(server, err) < 0)
		return -1;
	if (listen_at(server, err) < 0)
		return -1;
	grpc_server_start(server->serving.grpc);
	rpc_call_await(&server->serving);
	if (server->endpoint.is_unix)
		log_info("serving", KV("path", server->endpoint.path));
	else
		log_info("serving", KV("address", server->endpoint.listen),
			 KV_NUM("port", server->port), KV("tls", server->tls ? "mutual" : "none"));
	if (server->also.is_unix)
		log_info("serving", KV("path", server->also.path));
	return 0;
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
	return server->port;
}

static int check_pool(struct rpc_pool *pool, uint64_t longer_than_ms, struct err *err)
{
	uint64_t waiting_ms = pool ? rpc_pool_waiting_ms(pool) : 0;

	if (waiting_ms <= longer_than_ms)
		return 0;
	return err_set(err, ERR_UNAVAILABLE,
		       "a call has waited for %" PRIu64 " s for one of %zu workers",
		       waiting_ms / 1000, rpc_pool_threads(pool));
}

int rpc_server_check(struct rpc_server *server, uint64_t longer_than_ms, struct err *err)
{
	uint64_t since_ns = atomic_load(&server->busy_since_ns);
	uint64_t now_ns = clock_now_ns();

	if (check_pool(server->serving.pool, longer_than_ms, err) < 0 ||
	    check_pool(server->serving.stream_pool, longer_than_ms, err) < 0)
		return -1;
	/* The event may have ended, and another begun, since now was not yet. */
	if (since_ns && now_ns > since_ns && (now_ns - since_ns) / NS_PER_MS > longer_than_ms)
		return err_set(err, ERR_UNAVAILABLE, "no call has been taken in for %" PRIu64 " s",
			       (now_ns - since_ns) / NS_PER_MS / 1000);
	return 0;
}

/* Takes gRPC's server down; no call is active any more. */
static void stop(struct rpc_server *server)
{
	struct rpc_serving *serving = &server->serving;

	grpc_server_shutdown_and_notify(serving->grpc, serving->queue, &server->stopped);
	/* What is left are calls that never sent their message, and connections. */
	grpc_server_cancel_all_calls(serving->grpc);
	/* A call that starts an operation after the queue's shutdown would abort the process. */
	pthread_mutex_lock(&serving->lock);
	while (!serving->stopped || serving->calls > 0)
		pthread_cond_wait(&serving->changed, &serving->lock);
	pthread_mutex_unlock(&serving->lock);
	grpc_completion_queue_shutdown(serving->queue);
	pthread_join(server->poller, NULL);
	server->polling = false;
}

int rpc_server_drain(struct rpc_server *server, struct deadline deadline, struct err *err)
{
	struct timespec until = deadline_timespec(deadline);
	struct rpc_serving *serving = &server->serving;
	size_t left;
	int rc = 0;

	pthread_mutex_lock(&serving->lock);
	serving->draining = true;
	while (serving->active > 0 && rc != ETIMEDOUT)
		rc = pthread_cond_clockwait(&serving->changed, &serving->lock, CLOCK_MONOTONIC,
					    &until);
	left = serving->active;
	pthread_mutex_unlock(&serving->lock);
	if (left > 0)
		return err_set(err, ERR_DEADLINE_EXCEEDED, "%zu calls still run", left);
	if (server->polling)
		stop(server);
	return 0;
}

void rpc_server_free(struct rpc_server *server)
{
	struct rpc_serving *serving = &server->serving;
	struct err err = ERR_INIT;

	rpc_server_drain(server, deadline_none(), &err);
	rpc_pool_free(serving->pool);
	if (serving->stream_pool)
		rpc_pool_free(serving->stream_pool);
	if (server->also_socket)
		rpc_socket_free(server->also_socket);
	if (server->socket)
		rpc_socket_free(server->socket);
	if (serving->grpc) {
		grpc_server_destroy(serving->grpc);
		grpc_completion_queue_destroy(serving->queue);
	}
	if (server->tls)
		rpc_tls_server_free(server->tls);
	gate_fini(&serving->gate);
	rpc_callers_fini(&serving->callers);
	for (size_t i = 0; i < serving->service_count; i++)
		rpc_callers_fini(&serving->service_callers[i]);
	free(serving->service_callers);
	pthread_cond_destroy(&serving->changed);
	pthread_mutex_destroy(&serving->lock);
	rpc_runtime_put();
	free(server);
}
