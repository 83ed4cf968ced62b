/* SPDX-License-Identifier: Apache-2.0 */
/* Probes and metrics over HTTP, through the life of a server. */
#include "rpc_fixture.h"

#include "tests/unit/http_client.h"
#include "tests/unit/metrics_check.h"

/* Programs' own code is in no archive. */
#include "cmd/metrics.c"
#include "cmd/monitor.c"

#define KUBELET_WAIT_MS 120000 /* pkg/volume/csi/csi_plugin.go: csiTimeout */

struct life {
	struct fixture f;
	struct rpc_server *server;
	struct monitor *monitor;
	const char *missing; /* what is not there yet */
	int asked;
};

static int ready(void *context, struct err *err)
{
	struct life *life = context;

	life->asked++;
	return life->missing ? err_set(err, ERR_FAILED_PRECONDITION, "%s", life->missing) : 0;
}

static void put_figures(void *context, FILE *out)
{
	(void)context;
	metrics_value(out, "nvmeot_answer", "gauge", "All.", 42);
}

static void begin(struct life *life)
{
	const struct monitor_config config = { .address = "127.0.0.1:0",
					       .program = "test",
					       .role = "all",
					       .ready = ready,
					       .metrics = put_figures,
					       .context = life };
	struct err err = ERR_INIT;

	*life = (struct life) { 0 };
	fixture_init(&life->f);
	if (monitor_new(&config, &life->monitor, &err) < 0)
		fail_msg("%s", err.msg);
}

static void serve(struct life *life, struct rpc_server_config config)
{
	config.stats = monitor_stats(life->monitor);
	life->server = fixture_serve(&life->f, config);
	monitor_serving(life->monitor, life->server);
}

static void stop(struct life *life)
{
	monitor_draining(life->monitor);
	monitor_stopped(life->monitor);
	rpc_server_free(life->server);
}

static void end(struct life *life)
{
	monitor_free(life->monitor);
	fixture_fini(&life->f);
}

static char *ask(const struct life *life, const char *path)
{
	return http_ask(monitor_address(life->monitor), "GET", path);
}

static void expect(const struct life *life, const char *path, unsigned int status, const char *body)
{
	cleanup_free char *answer = ask(life, path);

	assert_string_equal(http_body(answer), body);
	assert_int_equal(http_status(answer), status);
}

static void test_a_life(void **state)
{
	struct life life;

	(void)state;
	begin(&life);
	expect(&life, "/livez", 200, "ok\n");
	expect(&life, "/readyz", 503, "not ready: starting\n");
	monitor_doing(life.monitor, "restoring");
	expect(&life, "/readyz", 503, "not ready: restoring\n");
	assert_int_equal(life.asked, 0);
	serve(&life, (struct rpc_server_config) { 0 });
	life.missing = "the kernel is not fit";
	expect(&life, "/readyz", 503, "not ready: the kernel is not fit\n");
	expect(&life, "/livez", 200, "ok\n");
	life.missing = NULL;
	expect(&life, "/readyz", 200, "ok\n");
	/* It is not asked again, so that a probe costs nothing. */
	life.missing = "whatever";
	expect(&life, "/readyz", 200, "ok\n");
	assert_int_equal(life.asked, 2);
	monitor_draining(life.monitor);
	expect(&life, "/readyz", 503, "not ready: shutting down\n");
	expect(&life, "/livez", 200, "ok\n");
	stop(&life);
	expect(&life, "/readyz", 503, "not ready: shutting down\n");
	expect(&life, "/livez", 200, "ok\n");
	end(&life);
}

static void test_calls_that_stand_still(void **state)
{
	struct fixture_call held, waits;
	struct rpc_client *client;
	struct life life;
	unsigned int status;

	(void)state;
	begin(&life);
	/* What hangs may hold all workers for as long as the kubelet waits, or a stream's server. */
	assert_true(life.monitor->stalled_ms > KUBELET_WAIT_MS);
	assert_true(life.monitor->stalled_ms > RPC_STALL_MS);
	life.monitor->stalled_ms = 20;
	serve(&life, (struct rpc_server_config) { .max_workers = 1 });
	client = fixture_client(life.f.endpoint, NULL);
	fixture_call_begin(&held, client, "hold-1");
	fixture_await_held(&life.f, 1);
	expect(&life, "/livez", 200, "ok\n");
	fixture_call_begin(&waits, client, "hold-2");
	do {
		cleanup_free char *answer = ask(&life, "/livez");

		status = http_status(answer);
		if (status != 200)
			assert_non_null(strstr(answer, "not alive: a call has waited for 0 s for "
						       "one of 1 workers\n"));
	} while (status == 200);
	assert_int_equal(status, 503);
	fixture_let_go(&life.f);
	fixture_call_end(&held);
	fixture_call_end(&waits);
	expect(&life, "/livez", 200, "ok\n");
	rpc_client_free(client);
	stop(&life);
	end(&life);
}

static void test_metrics(void **state)
{
	cleanup_free char *early = NULL, *later = NULL;
	struct rpc_client *client;
	struct err err = ERR_INIT;
	struct life life;

	(void)state;
	begin(&life);
	early = ask(&life, "/metrics");
	assert_int_equal(http_status(early), 200);
	assert_non_null(strstr(early, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r"));
	metrics_check(http_body(early));
	assert_true(metrics_find(http_body(early), "nvmeot_serving") == 0);
	assert_true(metrics_find(http_body(early), "nvmeot_answer") == -1);
	serve(&life, (struct rpc_server_config) { 0 });
	client = fixture_client(life.f.endpoint, NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fixture_call_probe(client, &err), 0);
	later = ask(&life, "/metrics");
	metrics_check(http_body(later));
	assert_true(metrics_find(http_body(later), "nvmeot_serving") == 1);
	assert_true(metrics_find(http_body(later), "nvmeot_answer") == 42);
	assert_true(metrics_find(http_body(later),
				 "nvmeot_rpc_calls_total{service=\"csi.v1.Identity\",method="
				 "\"Probe\",code=\"OK\"}") == 3);
	assert_true(metrics_find(http_body(later),
				 "nvmeot_build_info{program=\"test\",role=\"all\",version="
				 "\"" NVMEOT_VERSION "\"}") == 1);
	rpc_client_free(client);
	stop(&life);
	end(&life);
}

/* Probes while everything comes and goes: what TSan is for. */
static void *ask_often(void *data)
{
	for (int i = 0; i < 50; i++) {
		cleanup_free char *metrics = ask(data, "/metrics");
		cleanup_free char *live = ask(data, "/livez");
		cleanup_free char *ready_answer = ask(data, "/readyz");

		assert_int_equal(http_status(metrics), 200);
		assert_int_equal(http_status(live), 200);
		assert_true(http_status(ready_answer) == 200 || http_status(ready_answer) == 503);
	}
	return NULL;
}

static void test_probes_at_any_time(void **state)
{
	struct err err = ERR_INIT;
	struct rpc_client *client;
	struct life life;
	pthread_t thread;

	(void)state;
	begin(&life);
	assert_int_equal(pthread_create(&thread, NULL, ask_often, &life), 0);
	serve(&life, (struct rpc_server_config) { 0 });
	client = fixture_client(life.f.endpoint, NULL);
	for (int i = 0; i < 20; i++)
		assert_int_equal(fixture_call_probe(client, &err), 0);
	rpc_client_free(client);
	stop(&life);
	pthread_join(thread, NULL);
	end(&life);
}

static void test_none(void **state)
{
	const struct monitor_config config = { .program = "test", .role = "all" };
	struct monitor *monitor = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(monitor_new(&config, &monitor, &err), 0);
	assert_null(monitor);
	assert_null(monitor_stats(NULL));
	assert_null(monitor_address(NULL));
	monitor_doing(NULL, "x");
	monitor_serving(NULL, NULL);
	monitor_draining(NULL);
	monitor_stopped(NULL);
}

static void test_bad_address(void **state)
{
	const struct monitor_config config = { .address = "*:80", .program = "x", .role = "x" };
	struct monitor *monitor = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(monitor_new(&config, &monitor, &err), -1);
	assert_null(monitor);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_non_null(strstr(err.msg, "--http: \"*:80\" is not IP:PORT"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_life),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_calls_that_stand_still),
		cmocka_unit_test(test_probes_at_any_time),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_bad_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
