/* SPDX-License-Identifier: Apache-2.0 */
/* The node's figures as metrics, over a made-up sysfs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/host_tree.h"
#include "tests/unit/metrics_check.h"

/* Programs' own code is in no archive. */
#include "cmd/metrics.c"
#include "cmd/nvmeot-csi/figures.c"

static struct host host = HOST_INIT;
static struct node node = { .state = ROOT_INIT };

static int setup(void **state)
{
	cleanup_free char *state_dir = NULL;
	struct err err;

	if (tree_setup(state) < 0)
		return -1;
	state_dir = xasprintf("%s/state", tree.path);
	return tree_open_host(&host) < 0 || node_open(&node, &host, state_dir, &err) < 0;
}

static int teardown(void **state)
{
	node_close(&node);
	host_close(&host);
	return tree_teardown(state);
}

static char *figures(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	figures_put_node(&node, out);
	fclose(out);
	return text;
}

static void test_node(void **state)
{
	cleanup_free char *text = NULL;

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(SUBSYS0 "/nvme0", HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_controller(SUBSYS0 "/nvme1", HOST_NQN, HOST_ID, "connecting", ADDRESS);
	tree_put("state/volumes", "x.json", "{}");
	text = figures();
	assert_int_equal(metrics_check(text), 4 + NODE_STATES);
	assert_true(metrics_find(text, "nvmeot_node_volumes_staged") == 1);
	assert_true(metrics_find(text, "nvmeot_node_volumes_missing_paths") == 0);
	assert_true(metrics_find(text, "nvmeot_node_controllers{state=\"live\"}") == 1);
	assert_true(metrics_find(text, "nvmeot_node_controllers{state=\"connecting\"}") == 1);
	assert_true(metrics_find(text, "nvmeot_node_controllers{state=\"dead\"}") == 0);
	assert_true(metrics_find(text, "nvmeot_node_jobs") == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_node, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
