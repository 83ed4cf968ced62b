/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decisions at the start, over a made-up sysfs and this machine's mount table: "/" is what is
 * mounted. No controller goes, as there is no kernel behind; it is told to. Real ones:
 * tests/vm/cases/startup.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "csi/node/record.h"
#include "csi/node/startup.h"
#include "tests/unit/host_tree.h"

#define ID "box/fast/" UUID
#define CONTROLLER SUBSYS0 "/nvme0"
#define FOREIGN_NQN "nqn.2014-08.org.example:array"
#define UNUSED_DEV "259:4095"

static struct host host;
static struct node node;

static int setup(void **state)
{
	cleanup_free char *dir = NULL;
	struct err err;

	if (tree_setup(state) < 0)
		return -1;
	dir = xasprintf("%s/state", tree.path);
	host = HOST_INIT;
	strcpy(host.identity.nqn, HOST_NQN);
	host.dev = xstrdup("/nowhere/dev");
	if (root_open(&host.sysfs, tree.path, &err) < 0)
		return -1;
	return node_open(&node, &host, dir, &err);
}

static int teardown(void **state)
{
	node_close(&node);
	root_close(&host.sysfs);
	free(host.dev);
	return tree_teardown(state);
}

static void save(const char *nqn, const char *staging_path)
{
	struct node_record record = { .has_uuid = true };
	struct err err = ERR_INIT;

	strcpy(record.volume_id, ID);
	strcpy(record.nqn, nqn);
	strcpy(record.uuid.text, UUID);
	strcpy(record.staging_path, staging_path);
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
}

static bool has_record(void)
{
	struct node_record record;
	struct err err;

	return node_record_load(&node.state, ID, &record, &err) != 0;
}

/* A subsystem with one namespace, connected as somebody. */
static void connect_as(const char *nqn, const char *hostnqn, const char *hostid, const char *dev)
{
	tree_subsystem(SUBSYS0, nqn);
	tree_controller(CONTROLLER, hostnqn, hostid, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", dev);
}

static bool was_disconnected(void)
{
	char value[ROOT_VALUE_SIZE];
	struct err err;

	startup_reconcile(&node, deadline_after_ms(100));
	/* Its jobs end a little after their deadline. */
	assert_int_equal(node_drain(&node, deadline_after_ms(20000)), 0);
	return root_read(&tree, value, &err, CONTROLLER "/delete_controller") == 1 && *value;
}

static void mounted_dev(char ret[32])
{
	struct stat st;

	assert_int_equal(stat("/", &st), 0);
	snprintf(ret, 32, "%u:%u", major(st.st_dev), minor(st.st_dev));
}

static void test_record_of_nothing_goes(void **state)
{
	(void)state;
	save(NQN, "/nowhere/staging");
	assert_false(was_disconnected());
	assert_false(has_record());
}

/* Also of a foreign subsystem: the record says that it is ours to disconnect. */
static void test_record_without_mount_is_let_go(void **state)
{
	(void)state;
	connect_as(FOREIGN_NQN, HOST_NQN, HOST_ID, UNUSED_DEV);
	save(FOREIGN_NQN, "/nowhere/staging");
	assert_true(was_disconnected());
	/* It is still connected, so it stays on record. */
	assert_true(has_record());
}

static void test_staged_volume_is_adopted(void **state)
{
	(void)state;
	connect_as(NQN, HOST_NQN, HOST_ID, UNUSED_DEV);
	save(NQN, "/proc"); /* a mount, anyhow */
	assert_false(was_disconnected());
	assert_true(has_record());
}

static void test_mounted_volume_is_adopted(void **state)
{
	char dev[32];

	(void)state;
	mounted_dev(dev);
	connect_as(NQN, HOST_NQN, HOST_ID, dev);
	save(NQN, "/nowhere/staging");
	assert_false(was_disconnected());
	assert_true(has_record());
}

static void test_orphan_is_disconnected(void **state)
{
	(void)state;
	connect_as(NQN, HOST_NQN, HOST_ID, UNUSED_DEV);
	assert_true(was_disconnected());
}

static void test_mounted_orphan_is_left(void **state)
{
	char dev[32];

	(void)state;
	mounted_dev(dev);
	connect_as(NQN, HOST_NQN, HOST_ID, dev);
	assert_false(was_disconnected());
}

/* Neither of another NQN, nor one that only begins like ours, nor of another host. */
static void test_foreign_is_left(void **state)
{
	(void)state;
	connect_as(FOREIGN_NQN, HOST_NQN, HOST_ID, UNUSED_DEV);
	assert_false(was_disconnected());
}

static void test_similar_name_is_left(void **state)
{
	(void)state;
	connect_as(OTHER_NQN, HOST_NQN, HOST_ID, UNUSED_DEV);
	assert_false(was_disconnected());
}

static void test_other_host_is_left(void **state)
{
	(void)state;
	connect_as(NQN, OTHER_HOST_NQN, OTHER_HOST_ID, UNUSED_DEV);
	assert_false(was_disconnected());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_record_of_nothing_goes),   TEST(test_record_without_mount_is_let_go),
		TEST(test_staged_volume_is_adopted), TEST(test_mounted_volume_is_adopted),
		TEST(test_orphan_is_disconnected),   TEST(test_mounted_orphan_is_left),
		TEST(test_foreign_is_left),	     TEST(test_similar_name_is_left),
		TEST(test_other_host_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
