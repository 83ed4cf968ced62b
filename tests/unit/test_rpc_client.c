/* SPDX-License-Identifier: Apache-2.0 */
/* The client: addresses, unreachable servers, slow ones, lost ones, and threads that share it. */
#include "rpc_fixture.h"

#define BOMB_ENTRIES 500000

static void test_bad_addresses(void **state)
{
	static const char *const bad[] = { "",	   "host",  ":80",	"host:",   "host:port",
					   "h:1x", "h/p:1", "unix://x", "h:123456" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rpc_client *client = NULL;
		struct err err = ERR_INIT;

		if (rpc_client_new(bad[i], NULL, &client, &err) == 0)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		assert_null(client);
	}
}

/* Plaintext stays on this machine; a name might lead anywhere. */
static void test_plaintext(void **state)
{
	static const char *const refused[] = { "192.0.2.2:9500", "[2001:db8::1]:9500",
					       "localhost:9500", "storage.example:9500" };
	static const char *const fine[] = { "127.0.0.1:9500", "[::1]:9500", "unix:///tmp/x.sock" };
	struct rpc_client *client = NULL;
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		assert_int_equal(rpc_client_new(refused[i], NULL, &client, &err), -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		assert_non_null(strstr(err.msg, refused[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		assert_int_equal(rpc_client_new(fine[i], NULL, &client, &err), 0);
		rpc_client_free(client);
	}
}

static void test_unreachable(void **state)
{
	static const char *const nobody[] = { "127.0.0.1:1", "unix:///nonexistent/s.sock" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nobody); i++) {
		struct rpc_client *client = fixture_client(nobody[i], NULL);
		struct err err = ERR_INIT;

		assert_int_equal(fixture_call_probe(client, &err), -1);
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		assert_int_equal(strncmp(err.msg, nobody[i], strlen(nobody[i])), 0);
		rpc_client_free(client);
	}
}

/* A server that answers would say so itself, if it came first. */
static void test_deadline_already_passed(void **state)
{
	char address[32];
	cleanup_close int silence = fixture_silence(address);
	struct rpc_client *client = fixture_client(address, NULL);
	struct err err = ERR_INIT;

	(void)state, (void)silence;
	assert_int_equal(fixture_call_stage(client, "v", deadline_after_ms(0), &err), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	assert_non_null(strstr(err.msg, STAGE));
	err_wrap(&err, "target %s", "t1");
	assert_true(rpc_unanswered(&err));
	rpc_client_free(client);
}

static void test_answer_of_another_type(void **state)
{
	Csi__V1__ProbeRequest request = CSI__V1__PROBE_REQUEST__INIT;
	ProtobufCMessage *response = NULL;
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	fixture_begin(&f);
	/* Field 1 of the answer is a message, of an Int64Value a number. */
	assert_int_equal(rpc_client_call(f.client, PROBE, &request.base,
					 &google__protobuf__int64_value__descriptor,
					 deadline_none(), &response, &err),
			 -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "google.protobuf.Int64Value"));
	assert_null(response);
	fixture_end(&f);
}

/* Half a million entries of two bytes each, all the same one. */
static int answer_with_a_bomb(struct rpc_call *call, const void *request, void *response,
			      struct err *err)
{
	Csi__V1__ListVolumesResponse *list = response;
	Csi__V1__ListVolumesResponse__Entry *entry =
		RPC_NEW(call, Csi__V1__ListVolumesResponse__Entry,
			csi__v1__list_volumes_response__entry__init);

	(void)request, (void)err;
	list->entries = rpc_alloc(call, BOMB_ENTRIES * sizeof(*list->entries));
	while (list->n_entries < BOMB_ENTRIES)
		list->entries[list->n_entries++] = entry;
	return 0;
}

static void test_bomb(void **state)
{
	static const struct rpc_method method = {
		.name = "ListVolumes",
		.request = &csi__v1__list_volumes_request__descriptor,
		.response = &csi__v1__list_volumes_response__descriptor,
		.handle = answer_with_a_bomb,
	};
	struct rpc_service service = { .name = "csi.v1.Controller",
				       .methods = &method,
				       .count = 1 };
	Csi__V1__ListVolumesRequest request = CSI__V1__LIST_VOLUMES_REQUEST__INIT;
	ProtobufCMessage *response = NULL;
	struct rpc_server_config config = { .services = &service, .service_count = 1 };
	struct rpc_server *server = NULL;
	struct rpc_client *client;
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	config.endpoint = f.endpoint;
	assert_int_equal(rpc_server_new(&config, &server, &err), 0);
	assert_int_equal(rpc_server_start(server, &err), 0);
	client = fixture_client(f.endpoint, NULL);
	assert_int_equal(rpc_client_call(client, "/csi.v1.Controller/ListVolumes", &request.base,
					 method.response, deadline_after_ms(CALL_MS), &response,
					 &err),
			 -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "takes far more memory"));
	rpc_client_free(client);
	rpc_server_free(server);
	fixture_fini(&f);
}

/* A server that comes back is found again, at most about two seconds later. */
static void test_reconnect(void **state)
{
	struct deadline limit = deadline_after_ms(20000);
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	fixture_begin(&f);
	assert_int_equal(fixture_call_probe(f.client, &err), 0);
	rpc_server_free(f.server);
	/* The last thing that a connection says may be an answer. */
	do {
		assert_int_equal(fixture_call_probe(f.client, &err), -1);
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		assert_false(deadline_passed(limit));
	} while (!rpc_unanswered(&err));
	f.server = fixture_serve(&f, (struct rpc_server_config) { 0 });
	while (fixture_call_probe(f.client, &err) < 0) {
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		assert_false(deadline_passed(limit));
	}
	fixture_end(&f);
}

#define THREADS 16

static void test_shared_by_threads(void **state)
{
	struct fixture_call calls[THREADS];
	struct fixture f;
	char id[16];

	(void)state;
	fixture_begin(&f);
	for (size_t i = 0; i < THREADS; i++) {
		snprintf(id, sizeof(id), "hold-%zu", i);
		fixture_call_begin(&calls[i], f.client, id);
	}
	fixture_await_held(&f, THREADS);
	fixture_let_go(&f);
	for (size_t i = 0; i < THREADS; i++) {
		fixture_call_end(&calls[i]);
		assert_int_equal(calls[i].rc, 0);
	}
	fixture_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_addresses),
		cmocka_unit_test(test_plaintext),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_deadline_already_passed),
		cmocka_unit_test(test_answer_of_another_type),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_reconnect),
		cmocka_unit_test(test_shared_by_threads),
	};
	struct err err = ERR_INIT;

	log_init("text", "error", &err);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
