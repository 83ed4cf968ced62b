/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unstaging without a kernel, on a made-up sysfs: what other volumes' records and mounts have to do
 * with it. The mounts are those of this machine; what is mounted at "/" plays a namespace.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "csi/node/stage.h"
#include "tests/unit/host_tree.h"

#define ID "box/fast/" UUID
#define STAGING "/nowhere/staging"
#define CONTROLLER SUBSYS0 "/nvme0"

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

static void save(const char *volume_id, const char *nqn, const char *uuid)
{
	struct node_record record = { .has_uuid = true };
	struct err err = ERR_INIT;

	strcpy(record.volume_id, volume_id);
	strcpy(record.nqn, nqn);
	strcpy(record.uuid.text, uuid);
	strcpy(record.staging_path, STAGING);
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
}

/* The record of a volume becomes one that cannot be read. */
static void spoil(const char *volume_id)
{
	struct uuid name = volume_uuid_of_id(volume_id);
	cleanup_free char *file = xasprintf("%s.json", name.text);

	tree_put("state/volumes", file, "half a rec");
}

static int unstage(const char *volume_id, struct err *err)
{
	struct node_time time = { .wait.deadline = deadline_after_ms(60000),
				  .work = deadline_after_ms(1000) };

	*err = ERR_INIT;
	return unstage_volume(&node, volume_id, STAGING, &time, err);
}

static bool has_record(const char *volume_id)
{
	struct node_record record;
	struct err err;

	return node_record_load(&node.state, volume_id, &record, &err) != 0;
}

/* The subsystem of the volume, with a live controller of ours and one more namespace. */
static void connect_with_neighbour(const char *neighbour_dev)
{
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(CONTROLLER, HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n2", OTHER_UUID, "2", neighbour_dev);
}

static bool was_disconnected(void)
{
	char value[ROOT_VALUE_SIZE];
	struct err err;

	return root_read(&tree, value, &err, CONTROLLER "/delete_controller") == 1 && *value;
}

static void test_bad_record_of_another(void **state)
{
	struct err err;

	(void)state;
	save(ID, NQN, UUID);
	spoil("another");
	if (unstage(ID, &err) < 0)
		fail_msg("%s", err.msg);
	assert_false(has_record(ID));
	/* Its own volume is refused, and the file is named and kept. */
	assert_int_equal(unstage("another", &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, volume_uuid_of_id("another").text));
	assert_true(has_record("another"));
}

/* The record that would speak for the neighbour is bad, but its mount speaks, too. */
static void test_neighbour_in_use(void **state)
{
	struct stat st;
	char dev[32];
	struct err err;

	(void)state;
	assert_int_equal(stat("/", &st), 0);
	snprintf(dev, sizeof(dev), "%u:%u", major(st.st_dev), minor(st.st_dev));
	connect_with_neighbour(dev);
	save(ID, NQN, UUID);
	spoil("another");
	if (unstage(ID, &err) < 0)
		fail_msg("%s", err.msg);
	assert_false(was_disconnected());
	assert_false(has_record(ID));
}

/* A neighbour that nobody uses keeps nothing: the made-up controller is told to go, but does not. */
static void test_neighbour_unused(void **state)
{
	struct err err;

	(void)state;
	connect_with_neighbour("259:4095");
	save(ID, NQN, UUID);
	assert_int_equal(unstage(ID, &err), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	assert_true(was_disconnected());
	assert_true(has_record(ID));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_bad_record_of_another),
		TEST(test_neighbour_in_use),
		TEST(test_neighbour_unused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
