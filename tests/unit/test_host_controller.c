/* SPDX-License-Identifier: Apache-2.0 */
/* Controllers in a made-up sysfs: whose they are, where they lead, and whether they conflict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "nvme/host/controller.h"
#include "tests/unit/host_tree.h"

static const struct host_identity identity = { .nqn = HOST_NQN, .id = { .text = HOST_ID } };

static struct host_controllers get(const char *nqn, const char *hostnqn)
{
	struct host_controllers all = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(host_controllers_get(&tree, nqn, hostnqn, &all, &err), 0);
	return all;
}

static struct portal portal_of(const char *text)
{
	struct portal portal = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(portal_parse(text, &portal, &err), 0);
	return portal;
}

static void test_controller_is_read(void **state)
{
	cleanup_host_controllers struct host_controllers all = { 0 };
	struct portal portal = portal_of("tcp://192.0.2.1:4420");

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(SUBSYS0 "/nvme3", HOST_NQN, HOST_ID, "live", ADDRESS);
	all = get(NQN, HOST_NQN);
	assert_int_equal(all.count, 1);
	assert_string_equal(all.list[0].name, "nvme3");
	assert_string_equal(all.list[0].path, SUBSYS0 "/nvme3");
	assert_string_equal(all.list[0].nqn, NQN);
	assert_string_equal(all.list[0].hostnqn, HOST_NQN);
	assert_string_equal(all.list[0].hostid, HOST_ID);
	assert_string_equal(all.list[0].transport, "tcp");
	assert_true(portal_equal(&all.list[0].portal, &portal));
	assert_true(host_controller_is_live(&all.list[0]));
}

static void test_ipv6_address_is_canonical(void **state)
{
	cleanup_host_controllers struct host_controllers all = { 0 };
	struct portal portal = portal_of("tcp://[fd00::1]:8009");

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(SUBSYS0 "/nvme0", HOST_NQN, HOST_ID, "live",
			"traddr=FD00:0:0:0::1,trsvcid=8009");
	all = get(NQN, NULL);
	assert_non_null(host_controllers_at(&all, &portal));
}

static void test_other_hosts_and_subsystems_are_left_out(void **state)
{
	cleanup_host_controllers struct host_controllers ours = { 0 }, all = { 0 };

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_subsystem(SUBSYS1, OTHER_NQN);
	tree_controller(SUBSYS0 "/nvme0", HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_controller(SUBSYS0 "/nvme1", OTHER_HOST_NQN, OTHER_HOST_ID, "live", ADDRESS);
	tree_controller(SUBSYS1 "/nvme2", HOST_NQN, HOST_ID, "live", ADDRESS);
	ours = get(NQN, HOST_NQN);
	assert_int_equal(ours.count, 1);
	assert_string_equal(ours.list[0].name, "nvme0");
	all = get(NULL, NULL);
	assert_int_equal(all.count, 3);
}

static void test_dying_controller_does_not_hold_the_portal(void **state)
{
	static const char *const dying[] = { "deleting", "deleting (no IO)", "dead" };
	struct portal portal = portal_of("tcp://192.0.2.1:4420");
	struct portal other_port = portal_of("tcp://192.0.2.1:4421");

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(SUBSYS0 "/nvme0", HOST_NQN, HOST_ID, "connecting", ADDRESS);
	{
		cleanup_host_controllers struct host_controllers all = get(NQN, NULL);

		assert_non_null(host_controllers_at(&all, &portal));
		assert_null(host_controllers_at(&all, &other_port));
		assert_false(host_controller_is_live(&all.list[0]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(dying); i++) {
		cleanup_host_controllers struct host_controllers all = { 0 };

		tree_put(SUBSYS0 "/nvme0", "state", dying[i]);
		all = get(NQN, NULL);
		assert_null(host_controllers_at(&all, &portal));
	}
}

static void check(const char *hostnqn, const char *hostid, const char *conflict)
{
	cleanup_host_controllers struct host_controllers all = { 0 };
	struct err err = ERR_INIT;

	tree_controller(SUBSYS0 "/nvme0", hostnqn, hostid, "live", ADDRESS);
	all = get(NULL, NULL);
	assert_int_equal(host_controllers_check_identity(&all, &identity, &err), conflict ? -1 : 0);
	if (!conflict)
		return;
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, HOST_NQN " with host ID " HOST_ID));
	assert_non_null(strstr(err.msg, conflict));
}

static void test_identity_conflicts_name_both(void **state)
{
	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	check(HOST_NQN, HOST_ID, NULL);
	check(HOST_NQN, "0D1B3F52-93C6-4C43-8A39-1B2B0D7A2C77", NULL);
	check(OTHER_HOST_NQN, OTHER_HOST_ID, NULL);
	check(HOST_NQN, OTHER_HOST_ID, HOST_NQN " with host ID " OTHER_HOST_ID);
	check(OTHER_HOST_NQN, HOST_ID, OTHER_HOST_NQN " with host ID " HOST_ID);
}

static void test_local_drive_is_no_conflict_and_no_portal(void **state)
{
	cleanup_host_controllers struct host_controllers all = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	tree_subsystem(SUBSYS0, "nqn.2014.08.org.nvmexpress:144d144dS5GXNX0T      Example Drive");
	tree_put(SUBSYS0 "/nvme0", "state", "live");
	tree_put(SUBSYS0 "/nvme0", "transport", "pcie");
	tree_put(SUBSYS0 "/nvme0", "address", "0000:01:00.0");
	all = get(NULL, NULL);
	assert_int_equal(all.count, 1);
	assert_int_equal(all.list[0].portal.family, 0);
	assert_string_equal(all.list[0].hostnqn, "");
	assert_int_equal(host_controllers_check_identity(&all, &identity, &err), 0);
}

static void test_description(void **state)
{
	cleanup_host_controllers struct host_controllers all = { 0 };
	char text[128];

	(void)state;
	host_controllers_describe(&all, text, sizeof(text));
	assert_string_equal(text, "none");
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(SUBSYS0 "/nvme0", HOST_NQN, HOST_ID, "connecting", ADDRESS);
	tree_controller(SUBSYS0 "/nvme1", HOST_NQN, HOST_ID, "live", "traddr=fd00::1,trsvcid=4420");
	all = get(NQN, NULL);
	host_controllers_describe(&all, text, sizeof(text));
	assert_string_equal(text, "nvme0 connecting tcp://192.0.2.1:4420, "
				  "nvme1 live tcp://[fd00::1]:4420");
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TREE(test_controller_is_read),
		IN_TREE(test_ipv6_address_is_canonical),
		IN_TREE(test_other_hosts_and_subsystems_are_left_out),
		IN_TREE(test_dying_controller_does_not_hold_the_portal),
		IN_TREE(test_identity_conflicts_name_both),
		IN_TREE(test_local_drive_is_no_conflict_and_no_portal),
		IN_TREE(test_description),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
