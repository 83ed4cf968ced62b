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

#include "csi/node/stage.h"
#include "tests/unit/node_world.h"

#define STAGING "/nowhere/staging"
#define FSID "0d1b3f52-93c6-4c43-8a39-000000000000"

/* The subsystem has a live controller of ours and two namespaces, nvme0n1 being the volume. */
static int setup(void **state)
{
	if (world_setup(state) < 0)
		return -1;
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(CONTROLLER, HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", "259:4094");
	tree_namespace(SUBSYS0 "/nvme0n2", OTHER_UUID, "2", "259:4095");
	return 0;
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
	cleanup_free char *path = world_path("nodes/nvme0n1");
	struct node_time time = some_time();
	struct err err = ERR_INIT;

	(void)state;
	if (mknod(path, S_IFBLK | 0600, makedev(259, 4094)) < 0)
		skip();
	hold("nvme0n1");
	/* Staged before, so that nothing is taken back. */
	world_save(NQN, STAGING, true);
	node_fixture_refused(stage_volume(&node, block_spec(), &time, &err), &err,
			     ERR_FAILED_PRECONDITION, "belongs to a mounted btrfs");
}

/* The neighbour is held: the volume goes, its subsystem stays. */
static void test_release_beside_a_held_device(void **state)
{
	struct node_time time = some_time();
	struct err err = ERR_INIT;

	(void)state;
	hold("nvme0n2");
	tree_namespace(SUBSYS0 "/nvme0n1", OTHER_UUID, "3", "259:4094");
	world_save(NQN, STAGING, true);
	if (unstage_volume(&node, ID, STAGING, &time, &err) < 0)
		fail_msg("%s", err.msg);
	assert_false(world_was_disconnected());
	assert_false(world_has_record(ID));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_stage_of_a_held_device),
		TEST(test_release_beside_a_held_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
