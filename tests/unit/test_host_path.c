/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of a namespace in a made-up sysfs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "nvme/host/path.h"
#include "tests/unit/host_tree.h"

static struct host_path_list paths;

static int setup(void **state)
{
	if (tree_setup(state) < 0)
		return -1;
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(SUBSYS0 "/nvme0", HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_controller(SUBSYS0 "/nvme1", HOST_NQN, HOST_ID, "live",
			"traddr=192.0.2.2,trsvcid=4420");
	tree_controller(SUBSYS0 "/nvme2", OTHER_HOST_NQN, OTHER_HOST_ID, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "2", "259:3");
	return 0;
}

static int teardown(void **state)
{
	host_paths_fini(&paths);
	return tree_teardown(state);
}

static void get(void)
{
	struct host_namespace ns = { .nsid = 2 };
	struct err err;

	strcpy(ns.nqn, NQN);
	host_paths_fini(&paths);
	if (host_paths_get(&tree, &ns, HOST_NQN, &paths, &err) < 0)
		fail_msg("%s", err.msg);
}

static void expect(size_t i, const char *name, const char *ana, bool usable)
{
	assert_string_equal(paths.list[i].controller.name, name);
	assert_string_equal(paths.list[i].ana, ana);
	assert_int_equal(host_path_is_usable(&paths.list[i]), usable);
}

static void put_ana(const char *dir, const char *nsid, const char *ana)
{
	tree_put(dir, "nsid", nsid);
	tree_put(dir, "ana_state", ana);
}

static void test_without_ana(void **state)
{
	(void)state;
	tree_put(SUBSYS0 "/nvme1", "state", "connecting");
	get();
	assert_int_equal(paths.count, 2);
	expect(0, "nvme0", "", true);
	expect(1, "nvme1", "", false);
}

static void test_ana(void **state)
{
	char text[256];

	(void)state;
	put_ana(SUBSYS0 "/nvme0/nvme0c0n1", "1", "optimized"); /* another namespace */
	put_ana(SUBSYS0 "/nvme0/nvme0c0n2", "2", "inaccessible");
	put_ana(SUBSYS0 "/nvme1/nvme0c1n2", "2", "non-optimized");
	put_ana(SUBSYS0 "/nvme1/nvme0c1n2p1", "2", "a partition");
	get();
	expect(0, "nvme0", "inaccessible", false);
	expect(1, "nvme1", "non-optimized", true);
	host_paths_describe(&paths, text, sizeof(text));
	assert_string_equal(text, "nvme0 live inaccessible tcp://192.0.2.1:4420, "
				  "nvme1 live non-optimized tcp://192.0.2.2:4420");
	put_ana(SUBSYS0 "/nvme1/nvme0c1n2", "2", "change");
	get();
	expect(1, "nvme1", "change", false);
	put_ana(SUBSYS0 "/nvme1/nvme0c1n2", "2", "optimized");
	get();
	expect(1, "nvme1", "optimized", true);
}

static void test_others(void **state)
{
	struct host_namespace ns = { .nsid = 1 };
	char text[256];
	struct err err;

	(void)state;
	strcpy(ns.nqn, OTHER_NQN);
	assert_int_equal(host_paths_get(&tree, &ns, HOST_NQN, &paths, &err), 0);
	assert_int_equal(paths.count, 0);
	host_paths_describe(&paths, text, sizeof(text));
	assert_string_equal(text, "none");
	host_paths_fini(&paths);
	strcpy(ns.nqn, NQN);
	assert_int_equal(host_paths_get(&tree, &ns, NULL, &paths, &err), 0);
	assert_int_equal(paths.count, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_without_ana),
		TEST(test_ana),
		TEST(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
