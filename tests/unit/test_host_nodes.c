/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of devices, and what is remembered of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "nvme/host/nodes.h"
#include "tests/unit/host_tree.h"

static void test_list(void **state)
{
	cleanup_host_nodes struct host_nodes nodes = { 0 };
	struct err err = ERR_INIT;
	uint32_t what;

	(void)state;
	assert_int_equal(host_nodes_list(&tree, "class/nvme", &nodes, &err), 0);
	assert_int_equal(nodes.count, 0);
	tree_put("class/nvme/nvme1", "state", "live");
	tree_put("class/nvme/nvme0", "state", "live");
	tree_put("class/nvme/with-a-name-longer-than-any-device-has", "state", "live");
	assert_int_equal(host_nodes_list(&tree, "class/nvme", &nodes, &err), 0);
	assert_int_equal(nodes.count, 2);
	assert_string_equal(nodes.list[0].name, "nvme0");
	assert_string_equal(nodes.list[1].name, "nvme1");
	/* What is no sysfs may give a number to another file at any time. */
	host_node_know(&nodes.list[0], 1);
	assert_false(host_node_recall(&nodes.list[0], &what));
}

static void test_sysfs_numbers_its_nodes(void **state)
{
	cleanup_root struct root sysfs = ROOT_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_open(&sysfs, "/sys", &err), 0);
	for (int i = 0; i < 2; i++) {
		cleanup_host_nodes struct host_nodes nodes = { 0 };
		uint32_t what = 0;

		assert_int_equal(host_nodes_list(&sysfs, "class", &nodes, &err), 0);
		assert_true(nodes.count > 1);
		assert_int_not_equal(nodes.list[0].number, nodes.list[1].number);
		assert_int_equal(host_node_recall(&nodes.list[0], &what), i == 1);
		assert_int_equal(what, i == 1 ? 7 : 0);
		host_node_know(&nodes.list[0], 7);
	}
}

static void test_one_takes_the_place_of_another(void **state)
{
	struct host_node_entry old = { .number = 5 }, young = { .number = 5 + 4096 };
	uint32_t what;

	(void)state;
	host_node_know(&old, 1);
	host_node_know(&young, 2);
	assert_false(host_node_recall(&old, &what));
	assert_true(host_node_recall(&young, &what));
	assert_int_equal(what, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_list, tree_setup, tree_teardown),
		cmocka_unit_test(test_sysfs_numbers_its_nodes),
		cmocka_unit_test(test_one_takes_the_place_of_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
