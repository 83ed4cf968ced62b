/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces in a made-up sysfs, with native multipath and without, and their device nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "nvme/host/namespace.h"
#include "tests/unit/host_tree.h"

static const struct uuid uuid = { .text = UUID };

static int find(const struct uuid *wanted, unsigned nsid, struct host_namespace *ns,
		struct err *err)
{
	return host_namespace_find(&tree, NQN, wanted, nsid, ns, err);
}

static void test_head_is_found_among_hidden_paths(void **state)
{
	struct host_namespace ns;
	struct err err = ERR_INIT;

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_namespace(SUBSYS0 "/nvme0n2", UUID, "1", "259:5");
	tree_put(SUBSYS0 "/nvme0n2", "ro", "1");
	tree_namespace(SUBSYS0 "/nvme0/nvme0c0n2", UUID, "1", "259:6");
	tree_namespace(SUBSYS0 "/nvme1/nvme0c1n2", UUID, "1", "259:7");
	assert_int_equal(find(&uuid, 0, &ns, &err), 1);
	assert_string_equal(ns.name, "nvme0n2");
	assert_string_equal(ns.nqn, NQN);
	assert_string_equal(ns.uuid.text, UUID);
	assert_int_equal(ns.nsid, 1);
	assert_int_equal(ns.major, 259);
	assert_int_equal(ns.minor, 5);
	assert_int_equal(ns.size_bytes, 2048 * 512);
	assert_true(ns.readonly);
}

static void test_without_multipath_it_is_below_the_controller(void **state)
{
	struct host_namespace ns;
	struct err err = ERR_INIT;

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_put(SUBSYS0 "/nvme4", "state", "live");
	tree_namespace(SUBSYS0 "/nvme4/nvme4n1", UUID, "1", "259:0");
	assert_int_equal(find(&uuid, 0, &ns, &err), 1);
	assert_string_equal(ns.name, "nvme4n1");
}

static void test_several_devices_are_an_error(void **state)
{
	struct host_namespace ns;
	struct err err = ERR_INIT;

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_namespace(SUBSYS0 "/nvme4/nvme4n1", UUID, "1", "259:0");
	tree_namespace(SUBSYS0 "/nvme5/nvme5n1", UUID, "1", "259:1");
	assert_int_equal(find(&uuid, 0, &ns, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "both nvme4n1 and nvme5n1"));
	tree_put(SUBSYS0 "/nvme5/nvme5n1", "dev", "259:0");
	assert_int_equal(find(&uuid, 0, &ns, &err), 1);
}

static void test_uuid_and_subsystem_must_match(void **state)
{
	const struct uuid nil = { .text = "00000000-0000-0000-0000-000000000000" };
	const struct uuid other = { .text = OTHER_UUID };
	struct host_namespace ns;
	struct err err = ERR_INIT;

	(void)state;
	tree_subsystem(SUBSYS1, OTHER_NQN);
	tree_namespace(SUBSYS1 "/nvme1n1", UUID, "1", "259:0");
	assert_int_equal(find(&uuid, 0, &ns, &err), 0);
	tree_subsystem(SUBSYS0, NQN);
	tree_namespace(SUBSYS0 "/nvme0n1", "3F2B8C1D-7A64-4F0B-B0C5-9D8E7F6A5B4C", "1", "259:1");
	tree_namespace(SUBSYS0 "/nvme0n2", nil.text, "2", "259:2");
	assert_int_equal(find(&uuid, 0, &ns, &err), 1);
	assert_string_equal(ns.name, "nvme0n1");
	assert_int_equal(find(&other, 0, &ns, &err), 0);
	assert_int_equal(find(&nil, 0, &ns, &err), 0);
}

static void test_static_volume_is_found_by_nsid(void **state)
{
	struct host_namespace ns;
	struct err err = ERR_INIT;

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "2", "259:1");
	tree_namespace(SUBSYS0 "/nvme0n2", OTHER_UUID, "1", "259:2");
	assert_int_equal(find(NULL, 1, &ns, &err), 1);
	assert_string_equal(ns.name, "nvme0n2");
	assert_int_equal(find(NULL, 3, &ns, &err), 0);
}

static void test_half_gone_device_is_absent(void **state)
{
	struct host_namespace ns;
	struct err err = ERR_INIT;

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", "259:1");
	assert_int_equal(root_unlink(&tree, &err, SUBSYS0 "/nvme0n1/size"), 0);
	assert_int_equal(find(&uuid, 0, &ns, &err), 0);
	tree_put(SUBSYS0 "/nvme0n1", "size", "-5");
	assert_int_equal(find(&uuid, 0, &ns, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "\"-5\""));
}

static void test_by_dev(void **state)
{
	struct host_namespace ns;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(host_namespace_by_dev(&tree, 259, 3, &ns, &err), 0);
	/* A head without controllers: only its own directory and its subsystem are left. */
	tree_put("dev/block/259:3/device", "subsysnqn", NQN);
	tree_put("dev/block/259:3", "uevent", "MAJOR=259\nMINOR=3\nDEVNAME=nvme0n1\nDEVTYPE=disk");
	tree_namespace("dev/block/259:3", UUID, "1", "259:3");
	assert_int_equal(host_namespace_by_dev(&tree, 259, 3, &ns, &err), 1);
	assert_string_equal(ns.name, "nvme0n1");
	assert_string_equal(ns.nqn, NQN);
	assert_string_equal(ns.uuid.text, UUID);
}

static void test_by_dev_of_other_devices(void **state)
{
	struct host_namespace ns;
	struct err err = ERR_INIT;

	(void)state;
	tree_put("dev/block/8:0/device", "model", "disk");
	tree_put("dev/block/8:0", "dev", "8:0");
	assert_int_equal(host_namespace_by_dev(&tree, 8, 0, &ns, &err), 0);
	tree_put("dev/block/259:4", "uevent", "DEVNAME=nvme0n1p1");
	assert_int_equal(host_namespace_by_dev(&tree, 259, 4, &ns, &err), 0);
}

static void test_description(void **state)
{
	cleanup_host_namespaces struct host_namespaces all = { 0 };
	struct err err = ERR_INIT;
	char text[128];

	(void)state;
	host_namespaces_describe(&all, text, sizeof(text));
	assert_string_equal(text, "none");
	tree_subsystem(SUBSYS0, NQN);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", "259:1");
	tree_namespace(SUBSYS0 "/nvme0n2", "", "2", "259:2");
	assert_int_equal(host_namespaces_get(&tree, NQN, &all, &err), 0);
	host_namespaces_describe(&all, text, sizeof(text));
	assert_string_equal(text, "nvme0n1 nsid 1 uuid " UUID ", nvme0n2 nsid 2 uuid none");
}

static void expect_no_device(const struct host_namespace *ns, const char *reason)
{
	struct err err = ERR_INIT;
	int fd = -1;

	assert_int_equal(host_device_open(tree.path, ns, O_RDWR, &fd, &err), -1);
	assert_int_equal(fd, -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, reason));
	assert_int_equal(host_device_check(tree.path, ns, &err), -1);
}

/* That the right device is opened needs one: tests/vm/cases/host. */
static void test_wrong_device_nodes_are_refused(void **state)
{
	const struct host_namespace ns = { .name = "nvme0n1", .major = 259, .minor = 1 };
	cleanup_free char *path = xasprintf("%s/nvme0n1", tree.path);

	(void)state;
	expect_no_device(&ns, "No such file");
	assert_false(root_exists(&tree, "nvme0n1"));
	tree_put(".", "nvme0n1", "a regular file");
	expect_no_device(&ns, "is not a block device");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_no_device(&ns, "is not a block device");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/null", path), 0);
	expect_no_device(&ns, "is not a block device");
}

static void test_device_node_of_another_number_is_refused(void **state)
{
	const struct host_namespace ns = { .name = "nvme0n1", .major = 259, .minor = 1 };
	cleanup_free char *path = xasprintf("%s/nvme0n1", tree.path);

	(void)state;
	if (mknod(path, S_IFBLK | 0600, 259 << 8 | 9) < 0 && errno == EPERM)
		skip(); /* needs CAP_MKNOD */
	expect_no_device(&ns, "is device");
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TREE(test_head_is_found_among_hidden_paths),
		IN_TREE(test_without_multipath_it_is_below_the_controller),
		IN_TREE(test_several_devices_are_an_error),
		IN_TREE(test_uuid_and_subsystem_must_match),
		IN_TREE(test_static_volume_is_found_by_nsid),
		IN_TREE(test_half_gone_device_is_absent),
		IN_TREE(test_by_dev),
		IN_TREE(test_by_dev_of_other_devices),
		IN_TREE(test_description),
		IN_TREE(test_wrong_device_nodes_are_refused),
		IN_TREE(test_device_node_of_another_number_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
