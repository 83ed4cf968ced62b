/* SPDX-License-Identifier: Apache-2.0 */
/* Calls against a running server: what clients get for good, bad, late, large and many requests. */
#include "rpc_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

#define NOISE_BYTES (10U << 20)

static void test_ok_and_handler_error(void **state)
{
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	fixture_begin(&f);
	assert_int_equal(fixture_call_probe(f.client, &err), 0);
	assert_int_equal(fixture_call_stage(f.client, "v", deadline_none(), &err), 0);
	assert_int_equal(fixture_call_stage(f.client, "missing", deadline_none(), &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_string_equal(err.msg, "volume missing: 100% gone\n\"r\303\251ally\"");
	fixture_end(&f);
}

static void stage_at(const char *address)
{
	struct rpc_client *client = fixture_client(address, NULL);
	struct err err = ERR_INIT;

	assert_int_equal(fixture_call_stage(client, "v", deadline_none(), &err), 0);
	rpc_client_free(client);
}

static void test_peer(void **state)
{
	struct fixture f;
	struct rpc_server *server;
	char address[32];

	(void)state;
	fixture_begin(&f);
	stage_at(f.endpoint);
	assert_string_equal(f.peer, "");
	server = fixture_serve(&f, (struct rpc_server_config) { .endpoint = "tcp://[::1]:0" });
	snprintf(address, sizeof(address), "[::1]:%u", rpc_server_port(server));
	stage_at(address);
	assert_int_equal(strncmp(f.peer, "[::1]:", 6), 0);
	rpc_server_free(server);
	fixture_end(&f);
}

static void test_unknown_method(void **state)
{
	static const char *const names[] = { "/csi.v1.Node/Nonsense", "/csi.v1.Nod/Probe",
					     "/csi.v1.Node", "/" };
	Csi__V1__ProbeRequest request = CSI__V1__PROBE_REQUEST__INIT;
	ProtobufCMessage *response;
	struct fixture f;

	(void)state;
	fixture_begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(rpc_client_call(f.client, names[i], &request.base,
						 &csi__v1__probe_response__descriptor,
						 deadline_none(), &response, &err),
				 -1);
		assert_int_equal(err.code, ERR_UNIMPLEMENTED);
		assert_non_null(strstr(err.msg, names[i]));
	}
	fixture_end(&f);
}

/* The bytes of name are no stage request: field 1 is a number there. */
static void test_wrong_message(void **state)
{
	Google__Protobuf__Int64Value request = GOOGLE__PROTOBUF__INT64_VALUE__INIT;
	ProtobufCMessage *response;
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	fixture_begin(&f);
	request.value = 77;
	assert_int_equal(rpc_client_call(f.client, STAGE, &request.base,
					 &csi__v1__node_stage_volume_response__descriptor,
					 deadline_none(), &response, &err),
			 -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_string_equal(err.msg,
			    "request of " STAGE " is not a valid csi.v1.NodeStageVolumeRequest");
	fixture_end(&f);
}

static void test_oversize(void **state)
{
	struct err err = ERR_INIT;
	struct fixture f;
	char *text = calloc(1, 70001);

	(void)state;
	memset(text, 'x', 70000);
	fixture_begin_as(&f, (struct rpc_server_config) { .max_message_bytes = 65536 });
	assert_int_equal(fixture_call_stage(f.client, text, deadline_none(), &err), -1);
	assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
	assert_non_null(strstr(err.msg, "65536"));
	text[60000] = '\0';
	assert_int_equal(fixture_call_stage(f.client, text, deadline_none(), &err), 0);
	fixture_end(&f);
	free(text);
}

static void test_busy_key(void **state)
{
	struct fixture_call first;
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	fixture_begin(&f);
	fixture_call_begin(&first, f.client, "hold-1");
	fixture_await_held(&f, 1);
	assert_int_equal(fixture_call_stage(f.client, "hold-1", deadline_none(), &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	assert_string_equal(err.msg, "an operation on hold-1 is already running");
	assert_int_equal(fixture_call_stage(f.client, "other", deadline_none(), &err), 0);
	fixture_let_go(&f);
	fixture_call_end(&first);
	assert_int_equal(first.rc, 0);
	assert_int_equal(fixture_call_stage(f.client, "hold-1", deadline_none(), &err), 0);
	fixture_end(&f);
}

/* The client is told at its deadline; the handler runs on, holds its key, and ends in peace. */
static void test_deadline(void **state)
{
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	fixture_begin(&f);
	assert_int_equal(fixture_call_probe(f.client, &err), 0);
	assert_int_equal(fixture_call_stage(f.client, "hold-1", deadline_after_ms(2000), &err), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	assert_non_null(strstr(err.msg, f.endpoint));
	fixture_await_held(&f, 1);
	assert_int_equal(fixture_call_stage(f.client, "hold-1", deadline_none(), &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	assert_int_equal(fixture_finished(&f), 0);
	fixture_let_go(&f);
	fixture_await_finished(&f, 1);
	assert_true(f.saw_cancel);
	/* What drains waits for the handler's end, so the key is free after it. */
	fixture_end(&f);
}

/* A handler that waits is woken when its client leaves, long before any deadline. */
static void test_leaving_client(void **state)
{
	Csi__V1__NodeStageVolumeRequest request = CSI__V1__NODE_STAGE_VOLUME_REQUEST__INIT;
	struct rpc_pending *pending = NULL;
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	request.volume_id = (char *)"leave-1";
	fixture_begin(&f);
	assert_int_equal(rpc_client_begin(f.client, STAGE, &request.base, deadline_none(), &pending,
					  &err),
			 0);
	fixture_await_held(&f, 1);
	rpc_pending_cancel(pending);
	fixture_await_finished(&f, 1);
	fixture_end(&f);
}

static void test_queue_full(void **state)
{
	struct fixture_call calls[3];
	struct err err = ERR_INIT;
	struct fixture f;
	char id[16];

	(void)state;
	fixture_begin_as(&f, (struct rpc_server_config) { .max_workers = 2, .max_queued = 1 });
	for (size_t i = 0; i < 2; i++) {
		snprintf(id, sizeof(id), "hold-%zu", i);
		fixture_call_begin(&calls[i], f.client, id);
	}
	fixture_await_held(&f, 2);
	/* One of these two waits, the other is refused: whichever came second. */
	fixture_call_begin(&calls[2], f.client, "hold-2");
	while (fixture_call_stage(f.client, "free", deadline_after_ms(100), &err) == 0 ||
	       err.code == ERR_DEADLINE_EXCEEDED)
		;
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "too many calls"));
	fixture_let_go(&f);
	for (size_t i = 0; i < 3; i++)
		fixture_call_end(&calls[i]);
	assert_int_equal(calls[0].rc, 0);
	assert_int_equal(calls[1].rc, 0);
	fixture_end(&f);
}

static int connect_unix(const struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s.sock", f->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void test_noise(void **state)
{
	static unsigned char noise[65536];
	struct err err = ERR_INIT;
	struct fixture f;
	uint32_t x = 1;
	ssize_t sent;

	(void)state;
	fixture_begin(&f);
	for (int round = 0; round < 2; round++) {
		int fd = connect_unix(&f);

		/* The second time the noise begins like a good client. */
		if (round == 1)
			assert_int_equal(write(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24), 24);
		for (size_t total = 0; total < NOISE_BYTES; total += (size_t)sent) {
			for (size_t i = 0; i < sizeof(noise); i++) {
				x = x * 1664525 + 1013904223;
				noise[i] = (unsigned char)(x >> 24);
			}
			sent = send(fd, noise, sizeof(noise), MSG_NOSIGNAL);
			if (sent < 0)
				break;
		}
		close(fd);
	}
	assert_int_equal(fixture_call_probe(f.client, &err), 0);
	fixture_end(&f);
}

/* Clients that go away in the middle of a call leave the server unimpressed. */
static void test_vanishing_clients(void **state)
{
	struct err err = ERR_INIT;
	struct fixture f;
	char id[16];

	(void)state;
	fixture_begin(&f);
	for (size_t i = 0; i < 8; i++) {
		struct rpc_client *client = fixture_client(f.endpoint, NULL);

		snprintf(id, sizeof(id), "hold-%zu", i);
		assert_int_equal(fixture_call_stage(client, id, deadline_after_ms(300), &err), -1);
		assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
		rpc_client_free(client);
	}
	assert_int_equal(fixture_call_probe(f.client, &err), 0);
	fixture_let_go(&f);
	fixture_end(&f);
}

#define CLIENTS 64
#define CALLS_EACH 16

static void *many_calls(void *data)
{
	struct fixture *f = data;
	struct rpc_client *client = fixture_client(f->endpoint, NULL);
	size_t good = 0;

	for (size_t i = 0; i < CALLS_EACH; i++) {
		struct err err = ERR_INIT;
		char id[32];

		snprintf(id, sizeof(id), "v-%zx-%zu", (size_t)pthread_self(), i);
		good += fixture_call_stage(client, id, deadline_after_ms(CALL_MS), &err) == 0;
	}
	rpc_client_free(client);
	return (void *)good;
}

static void test_parallel_clients(void **state)
{
	pthread_t threads[CLIENTS];
	struct fixture f;
	void *good;

	(void)state;
	fixture_begin_as(&f, (struct rpc_server_config) { .max_workers = 8, .max_queued = 128 });
	for (size_t i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many_calls, &f), 0);
	for (size_t i = 0; i < CLIENTS; i++) {
		pthread_join(threads[i], &good);
		assert_int_equal((size_t)good, CALLS_EACH);
	}
	fixture_end(&f);
}

#define IN_FLIGHT 1000

static void test_thousand_in_flight(void **state)
{
	static struct fixture_call calls[IN_FLIGHT];
	struct fixture f;
	char id[16];

	(void)state;
	fixture_begin_as(&f, (struct rpc_server_config) { .max_workers = 16, .max_queued = 2000 });
	for (size_t i = 0; i < IN_FLIGHT; i++) {
		snprintf(id, sizeof(id), "hold-%zu", i);
		fixture_call_begin(&calls[i], f.client, id);
	}
	fixture_await_held(&f, 16);
	fixture_let_go(&f);
	for (size_t i = 0; i < IN_FLIGHT; i++) {
		fixture_call_end(&calls[i]);
		assert_int_equal(calls[i].rc, 0);
	}
	assert_int_equal(fixture_finished(&f), IN_FLIGHT);
	fixture_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ok_and_handler_error),
		cmocka_unit_test(test_peer),
		cmocka_unit_test(test_unknown_method),
		cmocka_unit_test(test_wrong_message),
		cmocka_unit_test(test_oversize),
		cmocka_unit_test(test_busy_key),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_leaving_client),
		cmocka_unit_test(test_queue_full),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_vanishing_clients),
		cmocka_unit_test(test_parallel_clients),
		cmocka_unit_test(test_thousand_in_flight),
	};
	struct err err = ERR_INIT;

	log_init("text", "error", &err);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
