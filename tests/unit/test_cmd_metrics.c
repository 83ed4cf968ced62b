/* SPDX-License-Identifier: Apache-2.0 */
/* The text of metrics, as Prometheus reads it. */
#include "rpc_fixture.h"

#include "tests/unit/metrics_check.h"

/* Programs' own code is in no archive. */
#include "cmd/metrics.c"

static char *text;
static size_t len;
static FILE *out;

static int setup(void **state)
{
	(void)state;
	out = open_memstream(&text, &len);
	return out ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	fclose(out);
	free(text);
	return 0;
}

static void test_samples(void **state)
{
	(void)state;
	metrics_value(out, "a", "gauge", "An a.", 1);
	metrics_head(out, "b_total", "counter", "Bs.");
	metrics_sample(out, "b_total", 1e15, "x", "y", "z", "", NULL);
	metrics_sample(out, "b_total", 0.25, "x", "q\"\\\n", NULL);
	fflush(out);
	assert_string_equal(text, "# HELP a An a.\n# TYPE a gauge\na 1\n"
				  "# HELP b_total Bs.\n# TYPE b_total counter\n"
				  "b_total{x=\"y\",z=\"\"} 1000000000000000\n"
				  "b_total{x=\"q\\\"\\\\\\n\"} 0.25\n");
	assert_int_equal(metrics_check(text), 3);
}

static void test_sizes_are_exact(void **state)
{
	(void)state;
	metrics_value(out, "a", "gauge", "Bytes.", (double)(UINT64_C(123456789) << 24));
	fflush(out);
	assert_non_null(strstr(text, "\na 2071261215719424\n"));
}

#define PROBED "service=\"csi.v1.Identity\",method=\"Probe\""
#define STAGED "service=\"csi.v1.Node\",method=\"NodeStageVolume\""

static void test_calls(void **state)
{
	struct rpc_stats *stats = rpc_stats_new();
	struct rpc_stats_row *probe, *stage;
	struct rpc_service services[2];
	struct fixture f;

	(void)state;
	fixture_services(&f, services);
	rpc_stats_add(stats, services, 2);
	probe = rpc_stats_find(stats, &fixture_identity[0]);
	stage = rpc_stats_find(stats, &fixture_node[0]);
	rpc_stats_end(probe, false, ERR_NONE, 1000000);
	rpc_stats_end(probe, false, ERR_NONE, 100 * 1000000ULL);
	rpc_stats_end(probe, false, ERR_ABORTED, 3600 * 1000000000ULL);
	rpc_stats_begin(stage);
	metrics_rpc(out, stats);
	fflush(out);
	assert_true(metrics_check(text) > 20);
#define IS(series, value) assert_true(metrics_find(text, series) == (value))
	IS("nvmeot_rpc_calls_total{" PROBED ",code=\"OK\"}", 2);
	IS("nvmeot_rpc_calls_total{" PROBED ",code=\"ABORTED\"}", 1);
	IS("nvmeot_rpc_calls_total{" PROBED ",code=\"INTERNAL\"}", -1);
	IS("nvmeot_rpc_calls_total{" STAGED ",code=\"OK\"}", 0);
	IS("nvmeot_rpc_in_flight{" STAGED "}", 1);
	IS("nvmeot_rpc_in_flight{" PROBED "}", 0);
	IS("nvmeot_rpc_duration_seconds_bucket{" PROBED ",le=\"0.005\"}", 1);
	IS("nvmeot_rpc_duration_seconds_bucket{" PROBED ",le=\"0.25\"}", 2);
	IS("nvmeot_rpc_duration_seconds_bucket{" PROBED ",le=\"60\"}", 2);
	IS("nvmeot_rpc_duration_seconds_bucket{" PROBED ",le=\"+Inf\"}", 3);
	IS("nvmeot_rpc_duration_seconds_count{" PROBED "}", 3);
	IS("nvmeot_rpc_duration_seconds_sum{" PROBED "}", 3600.101);
	/* Nothing that a client may choose is a label. */
	IS("nvmeot_rpc_in_flight{service=\"\",method=\"unknown\"}", 0);
	rpc_stats_free(stats);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_samples),
		CASE(test_sizes_are_exact),
		CASE(test_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
