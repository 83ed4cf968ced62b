/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a size as far as it is decided by sysfs alone: what is asked of the kernel, and what
 * is said when nothing comes of it. What the kernel does: tests/vm/cases/grown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "nvme/host/size.h"
#include "tests/unit/host_tree.h"

static struct host host = HOST_INIT;
static struct host_namespace ns;

static int setup(void **state)
{
	struct err err;

	if (tree_setup(state) < 0 || root_open(&host.sysfs, tree.path, &err) < 0)
		return -1;
	strcpy(host.identity.nqn, HOST_NQN);
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(SUBSYS0 "/nvme0", HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_controller(SUBSYS0 "/nvme1", HOST_NQN, HOST_ID, "connecting", ADDRESS);
	tree_controller(SUBSYS0 "/nvme2", OTHER_HOST_NQN, OTHER_HOST_ID, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", "259:3"); /* of 1 MiB */
	for (int i = 0; i < 3; i++) {
		char dir[64];

		snprintf(dir, sizeof(dir), SUBSYS0 "/nvme%d", i);
		tree_put(dir, "rescan_controller", "");
	}
	return 0;
}

static int teardown(void **state)
{
	root_close(&host.sysfs);
	return tree_teardown(state);
}

static int wait_for(const char *uuid_text, uint64_t bytes, struct err *err)
{
	struct uuid uuid;

	strcpy(uuid.text, uuid_text);
	return host_wait_size(&host, NQN, &uuid, 0, bytes, deadline_after_ms(20), &ns, err);
}

static void expect_scanned(const char *controller, bool yes)
{
	char value[ROOT_VALUE_SIZE];
	struct err err;

	assert_int_equal(root_read(&tree, value, &err, SUBSYS0 "/%s/rescan_controller", controller),
			 1);
	assert_string_equal(value, yes ? "1" : "");
}

static void refused(int rc, const struct err *err, enum err_code code, const char *says)
{
	assert_int_equal(rc, -1);
	assert_int_equal(err->code, code);
	if (!strstr(err->msg, says))
		fail_msg("\"%s\" does not say \"%s\"", err->msg, says);
}

static void test_large_enough(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(wait_for(UUID, 1 << 20, &err), 0);
	assert_string_equal(ns.name, "nvme0n1");
	assert_int_equal(ns.size_bytes, 1 << 20);
	expect_scanned("nvme0", false);
}

static void test_too_small(void **state)
{
	struct err err;

	(void)state;
	refused(wait_for(UUID, (1 << 20) + 1, &err), &err, ERR_DEADLINE_EXCEEDED,
		"device nvme0n1 of " NQN " has 1048576 bytes, not the required 1048577; "
		"controllers: nvme0 live");
	expect_scanned("nvme0", true);
	expect_scanned("nvme1", false); /* it cannot */
	expect_scanned("nvme2", false); /* not ours */
}

static void test_nobody_to_ask(void **state)
{
	struct err err;

	(void)state;
	tree_put(SUBSYS0 "/nvme0", "state", "connecting");
	refused(wait_for(UUID, 1 << 21, &err), &err, ERR_UNAVAILABLE, "cannot be asked");
	expect_scanned("nvme0", false);
}

static void test_absent(void **state)
{
	struct err err;

	(void)state;
	refused(wait_for(OTHER_UUID, 1, &err), &err, ERR_NOT_FOUND,
		"namespace " OTHER_UUID " of " NQN " is not connected");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_large_enough),
		TEST(test_too_small),
		TEST(test_nobody_to_ask),
		TEST(test_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
