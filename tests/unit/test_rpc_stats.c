/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of calls: every end is counted once, by method and code; what runs, and how long. */
#include "rpc_fixture.h"

#include "csi/rpc/stats.h"

struct wanted {
	const char *method;
	struct rpc_stats_method found;
};

static void take(const struct rpc_stats_method *method, void *context)
{
	struct wanted *wanted = context;

	if (strcmp(method->method, wanted->method) == 0)
		wanted->found = *method;
}

static struct rpc_stats_method of(struct rpc_stats *stats, const char *method)
{
	struct wanted wanted = { .method = method };

	rpc_stats_each(stats, take, &wanted);
	assert_non_null(wanted.found.method);
	return wanted.found;
}

static uint64_t all_took(const struct rpc_stats_method *method)
{
	uint64_t sum = 0;

	for (size_t i = 0; i <= RPC_STATS_BUCKETS; i++)
		sum += method->took[i];
	return sum;
}

static void call_unknown(struct rpc_client *client)
{
	Csi__V1__ProbeRequest request = CSI__V1__PROBE_REQUEST__INIT;
	ProtobufCMessage *response = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(rpc_client_call(client, "/csi.v1.Node/NoSuchThing", &request.base,
					 &csi__v1__probe_response__descriptor,
					 deadline_after_ms(CALL_MS), &response, &err),
			 -1);
	assert_int_equal(err.code, ERR_UNIMPLEMENTED);
}

static void test_calls_are_counted(void **state)
{
	struct rpc_stats *stats = rpc_stats_new();
	struct rpc_stats_method stage, probe, unknown;
	struct fixture_call call;
	struct rpc_server *server;
	struct rpc_client *client;
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	server = fixture_serve(&f, (struct rpc_server_config) { .stats = stats });
	stage = of(stats, "NodeStageVolume");
	assert_string_equal(stage.service, "csi.v1.Node");
	assert_int_equal(all_took(&stage), 0);
	client = fixture_client(f.endpoint, NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fixture_call_probe(client, &err), 0);
	assert_int_equal(fixture_call_stage(client, "a", deadline_none(), &err), 0);
	assert_int_equal(fixture_call_stage(client, "missing", deadline_none(), &err), -1);
	call_unknown(client);
	fixture_call_begin(&call, client, "hold-1");
	fixture_await_held(&f, 1);
	assert_int_equal(of(stats, "NodeStageVolume").running, 1);
	assert_int_equal(fixture_call_stage(client, "hold-1", deadline_none(), &err), -1);
	fixture_let_go(&f);
	fixture_call_end(&call);
	rpc_client_free(client);
	rpc_server_free(server);

	probe = of(stats, "Probe");
	assert_int_equal(probe.ended[ERR_NONE], 3);
	assert_int_equal(all_took(&probe), 3);
	stage = of(stats, "NodeStageVolume");
	assert_int_equal(stage.ended[ERR_NONE], 2);
	assert_int_equal(stage.ended[ERR_NOT_FOUND], 1);
	assert_int_equal(stage.ended[ERR_ABORTED], 1);
	assert_int_equal(all_took(&stage), 4);
	assert_true(stage.took_s > 0);
	assert_int_equal(stage.running, 0);
	unknown = of(stats, "unknown");
	assert_string_equal(unknown.service, "");
	assert_int_equal(unknown.ended[ERR_UNIMPLEMENTED], 1);
	assert_int_equal(unknown.running, 0);
	rpc_stats_free(stats);
	fixture_fini(&f);
}

static void test_a_full_server_leaves_nothing_running(void **state)
{
	struct rpc_stats *stats = rpc_stats_new();
	struct fixture_call held, more[3];
	struct rpc_server *server;
	struct rpc_client *client;
	struct rpc_stats_method stage;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	server = fixture_serve(&f, (struct rpc_server_config) {
					   .stats = stats, .max_workers = 1, .max_queued = 1 });
	client = fixture_client(f.endpoint, NULL);
	fixture_call_begin(&held, client, "hold-1");
	fixture_await_held(&f, 1);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		fixture_call_begin(&more[i], client, "a");
	/* Two of them are turned away, whichever comes last. */
	do {
		stage = of(stats, "NodeStageVolume");
	} while (stage.ended[ERR_UNAVAILABLE] < 2);
	assert_int_equal(stage.running, 2);
	fixture_let_go(&f);
	fixture_call_end(&held);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		fixture_call_end(&more[i]);
	rpc_client_free(client);
	rpc_server_free(server);
	stage = of(stats, "NodeStageVolume");
	assert_int_equal(stage.running, 0);
	assert_int_equal(stage.ended[ERR_NONE], 2);
	assert_int_equal(stage.ended[ERR_UNAVAILABLE], 2);
	rpc_stats_free(stats);
	fixture_fini(&f);
}

static void test_buckets(void **state)
{
	static const struct rpc_service services[] = { { "x", fixture_identity, 1, NULL, NULL } };
	struct rpc_stats *stats = rpc_stats_new();
	struct rpc_stats_row *row;
	struct rpc_stats_method probe;

	(void)state;
	rpc_stats_add(stats, services, 1);
	row = rpc_stats_find(stats, &fixture_identity[0]);
	for (size_t i = 0; i < RPC_STATS_BUCKETS; i++) {
		rpc_stats_end(row, false, ERR_NONE, rpc_stats_bounds_ms[i] * 1000000);
		rpc_stats_end(row, false, ERR_NONE, rpc_stats_bounds_ms[i] * 1000000 + 1);
	}
	probe = of(stats, "Probe");
	assert_int_equal(probe.took[0], 1);
	for (size_t i = 1; i < RPC_STATS_BUCKETS; i++)
		assert_int_equal(probe.took[i], 2);
	assert_int_equal(probe.took[RPC_STATS_BUCKETS], 1);
	assert_int_equal(probe.running, 0);
	rpc_stats_free(stats);
}

static void test_without_counters(void **state)
{
	(void)state;
	rpc_stats_add(NULL, NULL, 0);
	assert_null(rpc_stats_find(NULL, &fixture_node[0]));
	rpc_stats_begin(NULL);
	rpc_stats_end(NULL, true, ERR_NONE, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_are_counted),
		cmocka_unit_test(test_a_full_server_leaves_nothing_running),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_without_counters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
