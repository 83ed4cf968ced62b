/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unstaging without a kernel, on a made-up sysfs: what other volumes' records and mounts have to do
 * with it. What is mounted at "/" plays a namespace.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>

#include "csi/node/stage.h"
#include "tests/unit/dhchap_keys.h"
#include "tests/unit/node_world.h"

#define STAGING "/nowhere/staging"

/* The record of a volume becomes one that cannot be read. */
static void spoil(const char *volume_id)
{
	struct uuid name = volume_uuid_of_id(volume_id);
	cleanup_free char *file = xasprintf("%s.json", name.text);

	tree_put("state/volumes", file, "half a rec");
}

static int unstage_from(const char *volume_id, const char *staging, struct err *err)
{
	struct node_time time = { .wait.deadline = deadline_after_ms(60000),
				  .work = deadline_after_ms(1000) };

	*err = ERR_INIT;
	return unstage_volume(&node, volume_id, staging, &time, err);
}

static int unstage(const char *volume_id, struct err *err)
{
	return unstage_from(volume_id, STAGING, err);
}

/* The subsystem of the volume, with a live controller of ours and one more namespace. */
static void connect_with_neighbour(const char *neighbour_dev)
{
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(CONTROLLER, HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n2", OTHER_UUID, "2", neighbour_dev);
}

static void test_bad_record_of_another(void **state)
{
	struct err err;

	(void)state;
	world_save(NQN, STAGING, false);
	spoil("another");
	if (unstage(ID, &err) < 0)
		fail_msg("%s", err.msg);
	assert_false(world_has_record(ID));
	/* Its own volume is refused, and the file is named and kept. */
	assert_int_equal(unstage("another", &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, volume_uuid_of_id("another").text));
	assert_true(world_has_record("another"));
}

/* The record that would speak for the neighbour is bad, but its mount speaks, too. */
static void test_neighbour_in_use(void **state)
{
	char dev[32];
	struct err err;

	(void)state;
	world_mounted_dev("/", dev);
	connect_with_neighbour(dev);
	world_save(NQN, STAGING, false);
	spoil("another");
	if (unstage(ID, &err) < 0)
		fail_msg("%s", err.msg);
	assert_false(world_was_disconnected());
	assert_false(world_has_record(ID));
}

/* Neither is one that the mount table does not show: of a partition, or of somewhere else. */
static void test_neighbour_held(void **state)
{
	struct err err;

	(void)state;
	NEEDS_MOUNT();
	connect_with_neighbour("259:4095");
	world_save(NQN, STAGING, false);
	assert_int_equal(mount("none", "/sys", "tmpfs", 0, NULL), 0);
	world_mkdirs("/sys/fs/ext4/nvme0n2");
	if (unstage(ID, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(umount("/sys"), 0);
	assert_false(world_was_disconnected());
	assert_false(world_has_record(ID));
}

/* A neighbour that nobody uses keeps nothing: the made-up controller is told to go, but does not. */
static void test_neighbour_unused(void **state)
{
	struct err err;

	(void)state;
	connect_with_neighbour("259:4095");
	world_save(NQN, STAGING, false);
	assert_int_equal(unstage(ID, &err), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	assert_true(world_was_disconnected());
	assert_true(world_has_record(ID));
}

/* Another handle by nsid, whose record names the same subsystem, and which is mounted nowhere. */
static void save_another(const char *nqn, uint32_t nsid)
{
	struct node_record record = { .volume_id = "another", .nsid = nsid };
	struct err err = ERR_INIT;

	strcpy(record.nqn, nqn);
	strcpy(record.staging_path, STAGING "/another");
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
}

/* The other one may be about to be staged, and is to find the controllers. */
static void test_another_of_a_foreign_subsystem(void **state)
{
	const char *nqn = "nqn.2014-08.org.example:array";
	struct err err;

	(void)state;
	tree_subsystem(SUBSYS0, nqn);
	tree_controller(CONTROLLER, HOST_NQN, HOST_ID, "live", ADDRESS);
	world_save(nqn, STAGING, false);
	save_another(nqn, 2);
	if (unstage(ID, &err) < 0)
		fail_msg("%s", err.msg);
	assert_false(world_was_disconnected());
	assert_false(world_has_record(ID));
	assert_true(world_has_record("another"));
}

/* A subsystem of ours has one namespace: another handle of it counts when it is mounted. */
static void test_another_of_our_subsystem(void **state)
{
	struct err err;

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(CONTROLLER, HOST_NQN, HOST_ID, "live", ADDRESS);
	world_save(NQN, STAGING, false);
	save_another(NQN, 1);
	assert_int_equal(unstage(ID, &err), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	assert_true(world_was_disconnected());
}

/* Its job need not have the namespace, so the other one may be in the midst of a stage. */
static void test_another_beside_a_handle_by_nsid(void **state)
{
	struct err err;

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(CONTROLLER, HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", "259:4095");
	world_save(NQN, STAGING, false);
	save_another(NQN, 1);
	if (unstage_from("another", STAGING "/another", &err) < 0)
		fail_msg("%s", err.msg);
	assert_false(world_was_disconnected());
	assert_false(world_has_record("another"));
	assert_true(world_has_record(ID));
}

/* What it finds mounted is of the handle whose job has the namespace, even before that is bound. */
static void test_failed_stage_by_nsid_unmounts_nothing(void **state)
{
	cleanup_free char *private = world_path("state/mnt/" UUID);
	struct stage_spec *spec = xcalloc(1, sizeof(*spec));
	struct node_time time = { .wait.deadline = deadline_after_ms(60000),
				  .work = deadline_after_ms(1000) };
	struct err err = ERR_INIT;
	char dev[32];

	(void)state;
	NEEDS_MOUNT();
	world_mkdirs(private);
	assert_int_equal(mount("none", private, "tmpfs", 0, NULL), 0);
	world_mounted_dev(private, dev);
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(CONTROLLER, HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", dev);
	world_save(NQN, STAGING, false);
	strcpy(spec->volume_id, "static");
	strcpy(spec->staging_path, STAGING "/static");
	spec->access.mode_name = "SINGLE_NODE_WRITER";
	spec->access.fs_type = "ext4";
	strcpy(spec->attachment.nqn, NQN);
	spec->attachment.nsid = 1;
	strcpy(spec->parameters.connect.keys.host, KEY_32);
	assert_int_equal(stage_volume(&node, spec, &time, &err), -1);
	assert_true(world_is_mounted(private));
	assert_false(world_was_disconnected());
	assert_false(world_has_record("static"));
	assert_int_equal(umount(private), 0);
}

static int await_go(void *sem, struct err *err)
{
	(void)err;
	sem_wait(sem);
	return 0;
}

/* Of two handles of a namespace one names it by UUID, the other by nsid. */
static void test_two_names(void **state)
{
	struct node_record record = { .volume_id = "static", .nqn = NQN, .nsid = 2 };
	struct node_record other = { .has_uuid = true, .uuid = { OTHER_UUID } };
	struct node_time time = { .wait.deadline = deadline_after_ms(1) };
	struct err err = ERR_INIT;
	sem_t sem;

	(void)state;
	strcpy(record.staging_path, STAGING);
	assert_int_equal(sem_init(&sem, 0, 0), 0);
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
	connect_with_neighbour("259:4095");
	assert_int_equal(
		node_run(&node, "another", &other,
			 (struct job_work) { .request = "a", .run = await_go, .argument = &sem },
			 &time, &err),
		-1);
	assert_int_equal(unstage("static", &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	assert_non_null(strstr(err.msg, "namespace " OTHER_UUID " is busy with the a: "));
	sem_post(&sem);
	assert_int_equal(node_drain(&node, deadline_none()), 0);
	assert_true(world_has_record("static"));
}

static struct {
	sem_t held;
	sem_t go;
} busy;

static int hold_subsystem(void *argument, struct err *err)
{
	(void)argument;
	if (job_hold(NQN, deadline_none(), err) < 0)
		return -1;
	sem_post(&busy.held);
	sem_wait(&busy.go);
	return 0;
}

/* While it waits for the subsystem, the last one beside it leaves: then it is the last. */
static void test_neighbour_leaves_meanwhile(void **state)
{
	struct job_work work = { .key = "a", .request = "a", .run = hold_subsystem };
	struct node_time time = { .work = deadline_after_ms(4000) };
	cleanup_free char *mounted = world_path("neighbour");
	char dev[32];
	struct err err;

	(void)state;
	NEEDS_MOUNT();
	world_mkdirs(mounted);
	assert_int_equal(mount("none", mounted, "tmpfs", 0, NULL), 0);
	world_mounted_dev(mounted, dev);
	connect_with_neighbour(dev);
	world_save(NQN, STAGING, false);
	assert_int_equal(sem_init(&busy.held, 0, 0), 0);
	assert_int_equal(sem_init(&busy.go, 0, 0), 0);
	time.wait.deadline = deadline_after_ms(1);
	assert_int_equal(job_run(node.jobs, &work, &time.wait, &err), -1);
	sem_wait(&busy.held);
	/* It may take a while until it comes to that. */
	do {
		time.wait.deadline = deadline_after_ms(10);
		assert_int_equal(unstage_volume(&node, ID, STAGING, &time, &err), -1);
		assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	} while (!strstr(err.msg, "wait for " NQN));
	assert_int_equal(umount(mounted), 0);
	sem_post(&busy.go);
	time.wait.deadline = deadline_none();
	unstage_volume(&node, ID, STAGING, &time, &err);
	assert_true(world_was_disconnected());
}

/* The CO removes the staging path after an unstage, so that nothing may stay in it. */
static void test_leftover_of_the_unknown(void **state)
{
	cleanup_free char *staging = world_path("staging");
	cleanup_free char *left = xasprintf("%s/volume", staging);
	struct err err;

	(void)state;
	world_mkdirs(left);
	if (unstage_from("static-volume", staging, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(access(left, F_OK), -1);
	if (unstage_from("static-volume", staging, &err) < 0)
		fail_msg("%s", err.msg);
}

static void test_leftover_under_a_cover(void **state)
{
	cleanup_free char *staging = world_path("staging");
	cleanup_free char *left = xasprintf("%s/volume", staging);
	struct err err;

	(void)state;
	NEEDS_MOUNT();
	world_mkdirs(staging);
	assert_int_equal(mount("foreign", staging, "tmpfs", 0, NULL), 0);
	world_mkdirs(left);
	assert_int_equal(unstage_from("static-volume", staging, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "is a mount of foreign (tmpfs)"));
	assert_int_equal(access(left, F_OK), 0);
	assert_int_equal(umount(staging), 0);
}

/* What somebody put where the bind was does not keep the volume connected, and is not removed. */
static void test_leftover_that_is_not_ours(void **state)
{
	cleanup_free char *staging = world_path("staging");
	cleanup_free char *left = xasprintf("%s/volume/file", staging);
	struct err err;

	(void)state;
	world_mkdirs(left);
	world_save(NQN, staging, false);
	assert_int_equal(unstage_from(ID, staging, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "holds files"));
	assert_true(world_has_record(ID));
	connect_with_neighbour("259:4095");
	assert_int_equal(unstage_from(ID, staging, &err), -1);
	assert_true(world_was_disconnected());
	assert_int_equal(access(left, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(test_bad_record_of_another),
		IN_WORLD(test_neighbour_in_use),
		IN_WORLD(test_neighbour_held),
		IN_WORLD(test_neighbour_unused),
		IN_WORLD(test_neighbour_leaves_meanwhile),
		IN_WORLD(test_another_of_a_foreign_subsystem),
		IN_WORLD(test_another_of_our_subsystem),
		IN_WORLD(test_another_beside_a_handle_by_nsid),
		IN_WORLD(test_failed_stage_by_nsid_unmounts_nothing),
		IN_WORLD(test_two_names),
		IN_WORLD(test_leftover_of_the_unknown),
		IN_WORLD(test_leftover_under_a_cover),
		IN_WORLD(test_leftover_that_is_not_ours),
	};

	if (own_mounts() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
