/* SPDX-License-Identifier: Apache-2.0 */
/* The target's figures as metrics: none of them before its pools have answered. */
/* Programs' own code is in no archive; and the fixture has a global of a common name. */
#include "cmd/metrics.c"
#include "cmd/nvmeot-target/figures.c"

#include "tests/unit/target_fixture.h"

#include "tests/unit/metrics_check.h"

static char *figures(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	figures_put_target(target, out);
	fclose(out);
	return text;
}

static void test_target(void **state)
{
	cleanup_free char *early = NULL, *later = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(create(UUID, "fast", &err), &err);
	restart();
	early = figures();
	metrics_check(early);
	assert_true(metrics_find(early, "nvmeot_target_volumes") == 1);
	assert_true(metrics_find(early, "nvmeot_target_snapshots") == 0);
	assert_true(metrics_find(early, "nvmeot_target_exports") == 0);
	assert_true(metrics_find(early, "nvmeot_target_pool_up{pool=\"fast\",kind=\"dir\"}") == -1);
	assert_true(metrics_find(early, "nvmeot_target_pool_capacity_bytes{pool=\"fast\"}") == -1);
	assert_true(target_pools_quiet(target));
	later = figures();
	assert_int_equal(metrics_check(later), metrics_check(early) + 2 * 6);
	assert_true(metrics_find(later, "nvmeot_target_pool_up{pool=\"fast\",kind=\"dir\"}") == 1);
	assert_true(metrics_find(later, "nvmeot_target_pool_capacity_bytes{pool=\"fast\"}") > 0);
	assert_true(metrics_find(later, "nvmeot_target_pool_provisioned_bytes{pool=\"fast\"}") > 0);
	assert_true(metrics_find(later, "nvmeot_target_pool_provisioned_bytes{pool=\"slow\"}") ==
		    0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { CASE(test_target) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
