/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publish puts back what a stage made, if there was one, and counts pods, not stages; a stage of
 * what is staged changes its record if it succeeds. No kernel with NVMe is needed: a made-up sysfs
 * says that the volume is connected, a tmpfs plays its file system.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>

#include "csi/node/publish.h"
#include "csi/node/stage.h"
#include "tests/unit/dhchap_keys.h"
#include "tests/unit/node_world.h"

static struct publish_spec spec;
static struct node_record record;
static char private[PATH_MAX], staged[PATH_MAX];

/* A staged volume whose pod only reads: that leaves out all that needs a block device. */
static void make_staged(void)
{
	char number[32], node_path[PATH_MAX];
	struct err err = ERR_INIT;
	struct stat st;

	NEEDS_MOUNT();
	spec = (struct publish_spec) { .readonly = true };
	strcpy(spec.volume_id, ID);
	snprintf(spec.staging_path, PATH_MAX, "%.4000s/staging", tree.path);
	snprintf(spec.target_path, PATH_MAX, "%.4000s/pod", tree.path);
	spec.access = (struct access) { .mode_name = "MODE", .fs_type = "tmpfs", .reader = true };
	spec.attachment = (struct attachment) { .nqn = NQN, .has_uuid = true, .uuid = { UUID } };
	assert_int_equal(portal_parse("tcp://192.0.2.1:4420", &spec.attachment.portals[0], &err),
			 0);
	spec.attachment.portal_count = 1;
	record = node_record_make(ID, &spec.attachment, &spec.access, spec.staging_path);
	device_private_path(&node, &record, private);
	world_mkdirs(private);
	device_stage_path(spec.staging_path, staged);
	world_mkdirs(staged);
	assert_int_equal(mount("/dev/nvme0n1", private, "tmpfs", 0, NULL), 0);
	assert_int_equal(mount(private, staged, NULL, MS_BIND, NULL), 0);
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);

	assert_int_equal(stat(private, &st), 0);
	world_mounted_dev(private, number);
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(CONTROLLER, HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", number);
	tree_put("dev/block", number, "");
	snprintf(node_path, sizeof(node_path), "%s/nvme0n1", host.dev);
	assert_int_equal(mknod(node_path, S_IFBLK | 0600, st.st_dev), 0);
}

static int publish(struct err *err)
{
	struct node_time time = { .work = deadline_after_ms(1000),
				  .wait = { .deadline = deadline_none() } };
	struct publish_spec *copy = xcalloc(1, sizeof(*copy));

	*copy = spec;
	*err = ERR_INIT;
	return publish_volume(&node, copy, &time, err);
}

static void must_publish(void)
{
	struct err err;

	if (publish(&err) < 0)
		fail_msg("%s", err.msg);
	assert_true(world_is_mounted(private) && world_is_mounted(staged) &&
		    world_is_mounted(spec.target_path));
}

static void unmount_all(void)
{
	assert_int_equal(umount(spec.target_path), 0);
	assert_int_equal(umount(staged), 0);
	assert_int_equal(umount(private), 0);
}

static void test_missing(void **state)
{
	(void)state;
	make_staged();
	must_publish();
	assert_int_equal(umount(spec.target_path), 0);
	assert_int_equal(umount(staged), 0);
	must_publish();
	assert_int_equal(umount(private), 0);
	must_publish();
	unmount_all();
}

/* The stage of another handle, whose job has the namespace by the name that it knows of it. */
struct beside {
	int rc;
	struct err err;
};

static int stage_beside(void *argument, struct err *err)
{
	static struct stage_spec stage;
	struct beside *beside = argument;

	(void)err;
	stage.access = spec.access;
	stage.attachment = spec.attachment;
	strcpy(stage.staging_path, spec.staging_path);
	beside->rc = stage_restore(&node, &record, &stage, deadline_none(), &beside->err);
	return 0;
}

static int hang(void *sem, struct err *err)
{
	(void)err;
	sem_wait(sem);
	return 0;
}

static void test_other_name(void **state)
{
	struct beside beside = { .err = ERR_INIT };
	struct job_wait wait = { .deadline = deadline_after_ms(1) };
	struct job_work work = { .key = "namespace " UUID, .request = "a", .run = hang };
	struct err err;
	sem_t sem;

	(void)state;
	make_staged();
	assert_int_equal(sem_init(&sem, 0, 0), 0);
	work.argument = &sem;
	assert_int_equal(job_run(node.jobs, &work, &wait, &err), -1);
	work = (struct job_work) {
		.key = "b", .request = "b", .run = stage_beside, .argument = &beside
	};
	wait.deadline = deadline_none();
	assert_int_equal(job_run(node.jobs, &work, &wait, &err), 0);
	node_fixture_refused(beside.rc, &beside.err, ERR_ABORTED, "is busy with the a: ");
	sem_post(&sem);
	assert_int_equal(node_drain(&node, deadline_none()), 0);
	assert_int_equal(umount(staged), 0);
	assert_int_equal(umount(private), 0);
}

static void refused(const char *says)
{
	struct err err;

	node_fixture_refused(publish(&err), &err, ERR_FAILED_PRECONDITION, says);
	assert_false(world_is_mounted(spec.target_path));
}

static void unmount_binds(void)
{
	assert_int_equal(umount(spec.target_path), 0);
	assert_int_equal(umount(staged), 0);
}

/* What takes keys is only connected with them, and a publish has none, or brings them. */
static void with_keys(void)
{
	static const char controller[] = SUBSYS0 "/nvme0";
	char held[ROOT_VALUE_SIZE];
	struct err err;

	tree_put(controller, "dhchap_secret", KEY_OTHER_32);
	tree_put(controller, "dhchap_ctrl_secret", "none");
	must_publish();
	unmount_binds();
	must_publish();
	unmount_binds();
	assert_int_equal(root_read(&tree, held, &err, "%s/dhchap_secret", controller), 1);
	assert_string_equal(held, KEY_OTHER_32);
	strcpy(spec.parameters.connect.keys.host, KEY_32);
	must_publish();
	assert_int_equal(root_read(&tree, held, &err, "%s/dhchap_secret", controller), 1);
	assert_string_equal(held, KEY_32);
	unmount_binds();
	spec.parameters.connect.keys.host[0] = '\0';
	tree_put(SUBSYS0, "subsysnqn", "nqn.other");
	assert_int_equal(publish(&err), -1);
	assert_int_equal(err.code, ERR_UNAUTHENTICATED);
	assert_non_null(strstr(err.msg, "takes the volume's secret"));
	assert_false(world_is_mounted(spec.target_path));
	assert_int_equal(umount(private), 0);
}

static void test_missing_with_keys(void **state)
{
	(void)state;
	make_staged();
	spec.attachment.authentication = DHCHAP_ONE_WAY;
	with_keys();
}

/* Of a static volume only its record knows. */
static void test_missing_with_keys_on_record(void **state)
{
	struct err err;

	(void)state;
	make_staged();
	record.takes_keys = true;
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
	with_keys();
}

static int stage(const char *key, struct err *err)
{
	struct node_time time = { .work = deadline_after_ms(1000),
				  .wait = { .deadline = deadline_none() } };
	struct stage_spec *stage = xcalloc(1, sizeof(*stage));

	strcpy(stage->volume_id, ID);
	strcpy(stage->staging_path, spec.staging_path);
	stage->access = spec.access;
	stage->attachment = spec.attachment;
	stage->parameters.connect = host_connect_options_default();
	strcpy(stage->parameters.connect.keys.host, key);
	*err = ERR_INIT;
	return stage_volume(&node, stage, &time, err);
}

static void expect_record(size_t portals, bool takes_keys)
{
	struct node_record now;
	struct err err;

	assert_int_equal(node_record_load(&node.state, ID, &now, &err), 1);
	assert_int_equal(now.connection.portal_count, portals);
	assert_int_equal(now.takes_keys, takes_keys);
}

/* The record goes on to say how the volume is connected. */
static void test_failed_stage_leaves_the_record(void **state)
{
	struct err err;

	(void)state;
	make_staged();
	tree_put(SUBSYS0 "/nvme0", "dhchap_secret", "none");
	tree_put(SUBSYS0 "/nvme0", "dhchap_ctrl_secret", "none");
	assert_int_equal(stage("", &err), 0);
	expect_record(1, false);
	assert_int_equal(stage(KEY_32, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	expect_record(1, false);
	tree_put(SUBSYS0 "/nvme0", "dhchap_secret", KEY_32);
	assert_int_equal(stage(KEY_32, &err), 0);
	expect_record(0, true);
	assert_int_equal(stage("", &err), -1);
	assert_int_equal(err.code, ERR_UNAUTHENTICATED);
	expect_record(0, true);
	assert_int_equal(umount(staged), 0);
	assert_int_equal(umount(private), 0);
}

/* It has the UUID, and is not the device that the target promised. */
static void test_smaller_device(void **state)
{
	struct err err;

	(void)state;
	make_staged();
	spec.attachment.size_bytes = UINT64_C(1) << 40;
	assert_int_equal(stage("", &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "the target promised 1099511627776"));
	spec.attachment.size_bytes = 1;
	assert_int_equal(stage("", &err), 0);
	assert_int_equal(umount(staged), 0);
	assert_int_equal(umount(private), 0);
}

/* Without a record, or without any of its mounts, nobody says that it was staged. */
static void test_not_staged(void **state)
{
	struct node_record others[5];
	struct err err;

	(void)state;
	make_staged();
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = record;
	assert_int_equal(umount(staged), 0);
	assert_int_equal(node_record_remove(&node.state, ID, &err), 0);
	refused("is not staged at");
	assert_false(world_is_mounted(staged));
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
	assert_int_equal(umount(private), 0);
	refused("is not staged at");
	/* Nor is it when the record is of another stage. */
	assert_int_equal(mount("/dev/nvme0n1", private, "tmpfs", 0, NULL), 0);
	strcpy(others[0].staging_path, "/elsewhere");
	strcpy(others[1].nqn, OTHER_NQN);
	strcpy(others[2].uuid.text, OTHER_UUID);
	others[3].block = !record.block;
	others[4].readonly = !record.readonly;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_int_equal(node_record_save(&node.state, &others[i], &err), 0);
		refused("is not staged at");
	}
	assert_int_equal(umount(private), 0);
}

static void test_covered(void **state)
{
	(void)state;
	make_staged();
	assert_int_equal(mount("foreign", spec.staging_path, "tmpfs", 0, NULL), 0);
	refused("is a mount of foreign (tmpfs)");
	assert_true(world_is_mounted(spec.staging_path));
	/* What is there by the name of the bind is not taken for it. */
	assert_int_equal(umount(private), 0);
	world_mkdirs(staged);
	refused("is a mount of foreign (tmpfs)");
	assert_false(world_is_mounted(private));
	assert_int_equal(umount(spec.staging_path), 0);
	must_publish();
	unmount_all();
}

static void bind_at(const char *path)
{
	world_mkdirs(path);
	assert_int_equal(mount(private, path, NULL, MS_BIND, NULL), 0);
}

/* One path: where another handle is staged is no path of a pod, where its pod is, is one. */
static void test_one_path(void **state)
{
	cleanup_free char *pod = xasprintf("%s/another-pod", tree.path);
	char elsewhere[PATH_MAX];
	struct node_record other;
	struct err err;

	(void)state;
	make_staged();
	spec.access.single_path = true;
	other = record;
	strcpy(other.volume_id, "other");
	snprintf(other.staging_path, PATH_MAX, "%.4000s/other", tree.path);
	device_stage_path(other.staging_path, elsewhere);
	assert_int_equal(node_record_save(&node.state, &other, &err), 0);
	bind_at(elsewhere);
	must_publish();
	assert_int_equal(umount(spec.target_path), 0);
	bind_at(pod);
	refused(pod);
	assert_int_equal(umount(pod), 0);
	must_publish();
	assert_int_equal(umount(elsewhere), 0);
	unmount_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(test_missing),
		IN_WORLD(test_other_name),
		IN_WORLD(test_missing_with_keys),
		IN_WORLD(test_missing_with_keys_on_record),
		IN_WORLD(test_failed_stage_leaves_the_record),
		IN_WORLD(test_smaller_device),
		IN_WORLD(test_not_staged),
		IN_WORLD(test_covered),
		IN_WORLD(test_one_path),
	};

	if (own_mounts() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
