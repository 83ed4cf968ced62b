/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pings: they are sent on idle connections, the server puts up with them, and they find out a peer
 * that is gone without a word, on either side. They take as long as the pings do, so they run side
 * by side.
 */
#include <arpa/inet.h>
#include <grpc/grpc_security.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "csi/rpc/args.h"
#include "rpc_fixture.h"

/* Stands between a client and a server, until it falls silent. One connection at a time. */
struct relay {
	int listener, wake;
	int client, server; /* -1: none */
	uint16_t from_port, to_port;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool mute, ending;
	size_t connections;
	uint64_t spoke_ns; /* when the client sent something last */
};

static void relay_open(struct relay *r)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(r->to_port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	r->client = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
	r->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(r->server, (struct sockaddr *)&in, sizeof(in)), 0);
	pthread_mutex_lock(&r->lock);
	r->connections++;
	pthread_mutex_unlock(&r->lock);
}

static void relay_close(struct relay *r)
{
	close(r->client);
	close(r->server);
	r->client = r->server = -1;
}

static void relay_pass(struct relay *r, int from, int to)
{
	char data[4096];
	ssize_t n = read(from, data, sizeof(data));

	if (n <= 0 || send(to, data, (size_t)n, MSG_NOSIGNAL) != n) {
		relay_close(r);
		return;
	}
	pthread_mutex_lock(&r->lock);
	if (from == r->client)
		r->spoke_ns = clock_now_ns();
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static void *relay_main(void *data)
{
	struct relay *r = data;
	bool mute, ending;

	for (;;) {
		pthread_mutex_lock(&r->lock);
		mute = r->mute;
		ending = r->ending;
		pthread_mutex_unlock(&r->lock);
		if (ending)
			return NULL;
		/* Negative ones are left out: everything when mute, but what is open stays open. */
		struct pollfd fds[] = { { r->wake, POLLIN, 0 },
					{ mute || r->client >= 0 ? -1 : r->listener, POLLIN, 0 },
					{ mute ? -1 : r->client, POLLIN, 0 },
					{ mute ? -1 : r->server, POLLIN, 0 } };
		uint64_t value;

		poll(fds, ARRAY_SIZE(fds), -1);
		if (fds[0].revents)
			(void)!read(r->wake, &value, sizeof(value));
		else if (fds[1].revents)
			relay_open(r);
		else if (fds[2].revents)
			relay_pass(r, r->client, r->server);
		else if (fds[3].revents)
			relay_pass(r, r->server, r->client);
	}
}

static void relay_begin(struct relay *r, uint16_t to_port)
{
	struct portal portal;

	*r = (struct relay) { .client = -1, .server = -1, .to_port = to_port };
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	r->wake = eventfd(0, EFD_CLOEXEC);
	r->listener = listener_open(&portal);
	r->from_port = portal.port;
	assert_int_equal(pthread_create(&r->thread, NULL, relay_main, r), 0);
}

static void relay_set(struct relay *r, bool *flag)
{
	uint64_t one = 1;

	pthread_mutex_lock(&r->lock);
	*flag = true;
	pthread_mutex_unlock(&r->lock);
	assert_int_equal(write(r->wake, &one, sizeof(one)), sizeof(one));
}

static void relay_end(struct relay *r)
{
	relay_set(r, &r->ending);
	pthread_join(r->thread, NULL);
	if (r->client >= 0)
		relay_close(r);
	close(r->listener);
	close(r->wake);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
}

static struct rpc_client *client_of(const struct relay *r)
{
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%u", r->from_port);
	return fixture_client(address, NULL);
}

struct trial {
	struct fixture f;
	struct rpc_server *server;
};

/* A call that is under way when the network dies ends long before its deadline or TCP's. */
static void *silent_peer(void *data)
{
	struct trial *t = data;
	struct fixture_call call;
	struct rpc_client *client;
	struct relay relay;
	uint64_t begun;

	relay_begin(&relay, rpc_server_port(t->server));
	client = client_of(&relay);
	fixture_call_begin(&call, client, "hold");
	fixture_await(&t->f, &t->f.begun, 2);
	relay_set(&relay, &relay.mute);
	begun = clock_now_ns();
	fixture_call_end(&call);
	begun = (clock_now_ns() - begun) / 1000000;
	assert_int_equal(call.rc, -1);
	assert_int_equal(call.err.code, ERR_UNAVAILABLE);
	assert_true(begun < RPC_KEEPALIVE_MS + 2 * RPC_KEEPALIVE_TIMEOUT_MS);
	rpc_client_free(client);
	relay_end(&relay);
	return NULL;
}

/* A client that is gone without a word: whoever answers it hears of that. */
static void *silent_client(void *data)
{
	uint64_t limit_ms = RPC_SERVER_KEEPALIVE_MS + 2 * RPC_KEEPALIVE_TIMEOUT_MS;
	struct fixture_call call;
	struct rpc_client *client;
	struct trial *t = data;
	struct relay relay;
	uint64_t begun;

	relay_begin(&relay, rpc_server_port(t->server));
	client = client_of(&relay);
	fixture_call_begin(&call, client, "leave");
	fixture_await(&t->f, &t->f.begun, 2);
	relay_set(&relay, &relay.mute);
	begun = clock_now_ns();
	fixture_await_finished(&t->f, 1);
	assert_true((clock_now_ns() - begun) / 1000000 < limit_ms);
	fixture_call_end(&call);
	rpc_client_free(client);
	relay_end(&relay);
	return NULL;
}

/* Our client pings without a call, and the connection is still the first one afterwards. */
static void *idle_client(void *data)
{
	struct trial *t = data;
	struct timespec limit = deadline_timespec(deadline_after_ms(2 * RPC_KEEPALIVE_MS));
	struct err err = ERR_INIT;
	struct rpc_client *client;
	struct relay relay;
	uint64_t called;
	int rc = 0;

	relay_begin(&relay, rpc_server_port(t->server));
	client = client_of(&relay);
	assert_int_equal(fixture_call_probe(client, &err), 0);
	called = clock_now_ns();
	pthread_mutex_lock(&relay.lock);
	/* What follows an answer at once is no ping of an idle connection. */
	while (relay.spoke_ns < called + RPC_KEEPALIVE_MS / 2 * 1000000ULL && rc == 0)
		rc = pthread_cond_clockwait(&relay.changed, &relay.lock, CLOCK_MONOTONIC, &limit);
	assert_int_equal(rc, 0);
	pthread_mutex_unlock(&relay.lock);
	assert_int_equal(fixture_call_probe(client, &err), 0);
	rpc_client_free(client);
	relay_end(&relay);
	assert_int_equal(relay.connections, 1);
	return NULL;
}

static grpc_event next(grpc_completion_queue *queue, uint32_t ms)
{
	gpr_timespec limit =
		gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));

	return grpc_completion_queue_next(queue, limit, NULL);
}

static void watch(grpc_channel *channel, grpc_completion_queue *queue,
		  grpc_connectivity_state state, uint32_t ms)
{
	gpr_timespec limit =
		gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));

	grpc_channel_watch_connectivity_state(channel, state, limit, queue, NULL);
}

/* Five pings as close together as the server lets them come, and no call at all. */
static void *quick_pings(void *data)
{
	struct trial *t = data;
	grpc_arg args[] = { RPC_INTEGER_ARG(GRPC_ARG_KEEPALIVE_TIME_MS, RPC_PING_MIN_MS + 100),
			    RPC_INTEGER_ARG(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
			    RPC_INTEGER_ARG(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0) };
	grpc_channel_args all = { ARRAY_SIZE(args), args };
	grpc_channel_credentials *plain = grpc_insecure_credentials_create();
	grpc_completion_queue *queue = grpc_completion_queue_create_for_next(NULL);
	grpc_connectivity_state state;
	grpc_channel *channel;
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%u", rpc_server_port(t->server));
	channel = grpc_channel_create(address, plain, &all);
	while ((state = grpc_channel_check_connectivity_state(channel, 1)) != GRPC_CHANNEL_READY) {
		watch(channel, queue, state, 10000);
		assert_true(next(queue, 11000).success);
	}
	/* An end of the connection would be a change; there is none for as long as we wait. */
	watch(channel, queue, GRPC_CHANNEL_READY, 5 * RPC_PING_MIN_MS + 2000);
	assert_false(next(queue, 6 * RPC_PING_MIN_MS + 2000).success);
	assert_int_equal(grpc_channel_check_connectivity_state(channel, 0), GRPC_CHANNEL_READY);
	grpc_channel_destroy(channel);
	grpc_channel_credentials_release(plain);
	grpc_completion_queue_shutdown(queue);
	while (next(queue, 1000).type != GRPC_QUEUE_SHUTDOWN)
		;
	grpc_completion_queue_destroy(queue);
	return NULL;
}

static void test_pings(void **state)
{
	void *(*const parts[])(void *) = { silent_peer, silent_client, idle_client };
	pthread_t thread[ARRAY_SIZE(parts)];
	struct trial t;

	(void)state;
	fixture_init(&t.f);
	t.server =
		fixture_serve(&t.f, (struct rpc_server_config) { .endpoint = "tcp://127.0.0.1:0" });
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, parts[i], &t), 0);
	quick_pings(&t);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		pthread_join(thread[i], NULL);
	fixture_let_go(&t.f);
	rpc_server_free(t.server);
	fixture_fini(&t.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
