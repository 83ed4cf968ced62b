/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A btrfs holds devices that no mount names, as only sysfs tells: they are neither staged as raw
 * block nor disconnected. On a made-up sysfs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "csi/node/stage.h"
#include "tests/unit/host_tree.h"

#define ID "box/fast/" UUID
#define STAGING "/nowhere/staging"
#define CONTROLLER SUBSYS0 "/nvme0"
#define FSID "0d1b3f52-93c6-4c43-8a39-000000000000"

static struct host host;
static struct node node;

/* The subsystem has a live controller of ours and two namespaces, nvme0n1 being the volume. */
static int setup(void **state)
{
	cleanup_free char *dir = NULL;
	struct err err;

	if (tree_setup(state) < 0)
		return -1;
	dir = xasprintf("%s/state", tree.path);
	host = HOST_INIT;
	strcpy(host.identity.nqn, HOST_NQN);
	strcpy(host.identity.id.text, HOST_ID);
	host.dev = xstrdup(tree.path);
	if (root_open(&host.sysfs, tree.path, &err) < 0)
		return -1;
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(CONTROLLER, HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", "259:4094");
	tree_namespace(SUBSYS0 "/nvme0n2", OTHER_UUID, "2", "259:4095");
	return node_open(&node, &host, dir, &err);
}

static int teardown(void **state)
{
	node_close(&node);
	root_close(&host.sysfs);
	free(host.dev);
	return tree_teardown(state);
}

static struct node_time some_time(void)
{
	return (struct node_time) { .work = deadline_after_ms(1000),
				    .wait = { .deadline = deadline_none() } };
}

static void hold(const char *device)
{
	cleanup_free char *dir = xasprintf("fs/btrfs/" FSID "/devices/%s", device);

	tree_put(dir, "size", "2048");
}

static void save(const char *volume_id)
{
	struct node_record record = { .has_uuid = true, .block = true };
	struct err err = ERR_INIT;

	strcpy(record.volume_id, volume_id);
	strcpy(record.nqn, NQN);
	strcpy(record.uuid.text, UUID);
	strcpy(record.staging_path, STAGING);
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
}

static struct stage_spec *block_spec(void)
{
	struct stage_spec *spec = xcalloc(1, sizeof(*spec));
	struct err err;

	strcpy(spec->volume_id, ID);
	strcpy(spec->staging_path, STAGING);
	spec->access =
		(struct access) { .mode_name = "SINGLE_NODE_WRITER", .block = true, .fs_type = "" };
	strcpy(spec->attachment.nqn, NQN);
	spec->attachment.has_uuid = true;
	strcpy(spec->attachment.uuid.text, UUID);
	assert_int_equal(portal_parse_list("tcp://192.0.2.1:4420", spec->attachment.portals,
					   &spec->attachment.portal_count, &err),
			 0);
	return spec;
}

static void test_stage_of_a_held_device(void **state)
{
	cleanup_free char *path = xasprintf("%s/nvme0n1", tree.path);
	struct node_time time = some_time();
	struct err err = ERR_INIT;

	(void)state;
	if (mknod(path, S_IFBLK | 0600, makedev(259, 4094)) < 0)
		skip();
	hold("nvme0n1");
	/* Staged before, so that nothing is taken back. */
	save(ID);
	assert_int_equal(stage_volume(&node, block_spec(), &time, &err), -1);
	if (!strstr(err.msg, "belongs to a mounted btrfs"))
		fail_msg("%s", err.msg);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
}

/* The neighbour is held: the volume goes, its subsystem stays. */
static void test_release_beside_a_held_device(void **state)
{
	struct node_time time = some_time();
	char value[ROOT_VALUE_SIZE];
	struct node_record record;
	struct err err = ERR_INIT;

	(void)state;
	hold("nvme0n2");
	tree_namespace(SUBSYS0 "/nvme0n1", OTHER_UUID, "3", "259:4094");
	save(ID);
	if (unstage_volume(&node, ID, STAGING, &time, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(root_read(&tree, value, &err, CONTROLLER "/delete_controller"), 1);
	assert_string_equal(value, "");
	assert_int_equal(node_record_load(&node.state, ID, &record, &err), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_stage_of_a_held_device),
		TEST(test_release_beside_a_held_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
