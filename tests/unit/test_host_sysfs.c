/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over subsystems: which names are what, and which entries are visited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "nvme/base/strb.h"
#include "nvme/host/sysfs.h"
#include "tests/unit/host_tree.h"

static void test_names_are_told_apart(void **state)
{
	static const char *const others[] = {
		"nvme",
		"nvme0c0n1",
		"nvme0n",
		"nvme0n1p1",
		"nvmen1",
		"nvme-subsys0",
		"subsysnqn",
		"nvme0 ",
		"Nvme0n1",
		"xnvme0n1",
		"nvme0n1n1",
		"",
		"nvme0n1000000000000000000000000000000000",
	};

	(void)state;
	assert_int_equal(host_node_of("nvme0"), HOST_NODE_CONTROLLER);
	assert_int_equal(host_node_of("nvme127"), HOST_NODE_CONTROLLER);
	assert_int_equal(host_node_of("nvme0n1"), HOST_NODE_NAMESPACE);
	assert_int_equal(host_node_of("nvme12n345"), HOST_NODE_NAMESPACE);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(host_node_of(others[i]), HOST_NODE_OTHER);
}

static int note(const struct root *sysfs, const struct host_entry *entry, void *context,
		struct err *err)
{
	(void)sysfs;
	(void)err;
	strb_addf(context, "%s %s %s;", entry->dir, entry->nqn, entry->name);
	return 0;
}

static void test_walk_visits_the_subsystems_with_the_nqn(void **state)
{
	struct err err = ERR_INIT;
	char text[1024];
	struct strb seen = strb_over(text, sizeof(text));

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_put(SUBSYS0 "/nvme0", "state", "live");
	tree_put(SUBSYS0 "/nvme0n1", "nsid", "1");
	tree_put(SUBSYS0 "/nvme0c0n1", "nsid", "1");
	tree_put(SUBSYS0 "/power", "control", "auto");
	tree_subsystem(SUBSYS1, OTHER_NQN);
	tree_put(SUBSYS1 "/nvme1", "state", "live");
	assert_int_equal(host_subsystem_walk(&tree, NQN, note, &seen, &err), 0);
	assert_string_equal(text, SUBSYS0 " " NQN " nvme0;" SUBSYS0 " " NQN " nvme0n1;");
	strb_clear(&seen);
	assert_int_equal(host_subsystem_walk(&tree, NULL, note, &seen, &err), 0);
	assert_non_null(strstr(text, SUBSYS1 " " OTHER_NQN " nvme1;"));
	assert_non_null(strstr(text, " nvme0n1;"));
}

/* Where a subsystem was is remembered, and believed only as long as it is true. */
static void test_walk_finds_a_subsystem_that_moved(void **state)
{
	struct err err = ERR_INIT;
	char text[1024];
	struct strb seen = strb_over(text, sizeof(text));

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_put(SUBSYS0 "/nvme0", "state", "live");
	assert_int_equal(host_subsystem_walk(&tree, NQN, note, &seen, &err), 0);
	assert_string_equal(text, SUBSYS0 " " NQN " nvme0;");
	tree_put(SUBSYS0, "subsysnqn", OTHER_NQN);
	strb_clear(&seen);
	assert_int_equal(host_subsystem_walk(&tree, NQN, note, &seen, &err), 0);
	assert_string_equal(text, "");
	tree_subsystem(SUBSYS1, NQN);
	tree_put(SUBSYS1 "/nvme1", "state", "live");
	assert_int_equal(host_subsystem_walk(&tree, NQN, note, &seen, &err), 0);
	assert_string_equal(text, SUBSYS1 " " NQN " nvme1;");
	strb_clear(&seen);
	assert_int_equal(host_subsystem_walk(&tree, OTHER_NQN, note, &seen, &err), 0);
	assert_string_equal(text, SUBSYS0 " " OTHER_NQN " nvme0;");
}

/* One that just goes is empty already. */
static void test_walk_passes_an_empty_subsystem(void **state)
{
	struct err err = ERR_INIT;
	char text[1024];
	struct strb seen = strb_over(text, sizeof(text));

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_subsystem(SUBSYS1, NQN);
	tree_put(SUBSYS1 "/nvme1", "state", "live");
	for (int i = 0; i < 2; i++) {
		strb_clear(&seen);
		assert_int_equal(host_subsystem_walk(&tree, NQN, note, &seen, &err), 0);
		assert_string_equal(text, SUBSYS1 " " NQN " nvme1;");
	}
}

static void test_walk_without_nvme_is_empty(void **state)
{
	struct err err = ERR_INIT;
	char text[64];
	struct strb seen = strb_over(text, sizeof(text));

	(void)state;
	assert_int_equal(host_subsystem_walk(&tree, NULL, note, &seen, &err), 0);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_told_apart),
		cmocka_unit_test_setup_teardown(test_walk_visits_the_subsystems_with_the_nqn,
						tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_walk_finds_a_subsystem_that_moved, tree_setup,
						tree_teardown),
		cmocka_unit_test_setup_teardown(test_walk_passes_an_empty_subsystem, tree_setup,
						tree_teardown),
		cmocka_unit_test_setup_teardown(test_walk_without_nvme_is_empty, tree_setup,
						tree_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
