/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that attends a target and freezes by its orders: both over the real rpc server, with an
 * ext4 of the test's own at the volume's private path.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "csi/agent/attendance.h"
#include "csi/node/attend.h"
#include "csi/node/freeze.h"
#include "csi/node/stage.h"
#include "csi/rpc/server.h"
#include "csi/volume/guard.h"
#include "nvme/target/target_table.h"
#include "tests/unit/node_world.h"

#include "tests/unit/disk_file.h"

#define WAIT_MS 30000
#define OTHER_ID "box/fast/9b2d7c1e-58f4-4f39-8a53-0c4f0d7f3b60"

/* As rpc_fixture.h says. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "ignore_noninstrumented_modules=1";
}

static struct target *target;
static struct attendance *attendance;
static struct rpc_service service;
static struct rpc_server *server;
static char *mount_path, *address;

static void serve(void)
{
	struct rpc_server_config config = { .endpoint = address,
					    .services = &service,
					    .service_count = 1 };
	struct err err;

	attendance = attendance_new(target);
	service = attendance_service(attendance);
	if (rpc_server_new(&config, &server, &err) < 0 || rpc_server_start(server, &err) < 0)
		fail_msg("%s", err.msg);
}

static void end_service(void)
{
	if (!server)
		return;
	attendance_end(attendance);
	rpc_server_free(server);
	attendance_free(attendance);
	server = NULL;
}

static void open_target(void)
{
	cleanup_free char *place = world_path("pool");
	cleanup_free char *nvmet = world_path("nvmet");
	cleanup_free char *pool = xasprintf("fast=dir:%s", place);
	char *parts[] = { world_path("nvmet/subsystems"), world_path("nvmet/hosts"),
			  world_path("nvmet/ports") };
	const char *pools[] = { pool };
	struct portal portal;
	struct target_config config = { .id = "box",
					.pools = pools,
					.pool_count = 1,
					.portals = &portal,
					.portal_count = 1,
					.nvmet_path = nvmet };
	struct err err;

	world_mkdirs(place);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		world_mkdirs(parts[i]);
		free(parts[i]);
	}
	if (portal_parse("tcp://127.0.0.1:4420", &portal, &err) < 0 ||
	    target_new(&config, &target, &err) < 0)
		fail_msg("%s", err.msg);
}

static void mount_volume(const char *options)
{
	RUN("mount", "-o", options, disk, mount_path);
}

/* The volume is staged, as far as the state directory tells. */
static void put_record_of(const char *id)
{
	struct node_record record;
	struct err err;

	assert_true(node_record_derive(id, &record));
	strcpy(record.staging_path, "/staging");
	if (node_record_save(&node.state, &record, &err) < 0)
		fail_msg("%s", err.msg);
}

static void put_record(void)
{
	put_record_of(ID);
}

static void attend(void)
{
	struct agent *agent;
	struct err err;

	node.attend = attend_new(&node);
	if (agent_new("box", address, NULL, &agent, &err) < 0 ||
	    attend_add(node.attend, agent, &err) < 0)
		fail_msg("%s", err.msg);
	attend_start(node.attend);
}

static int setup(void **state)
{
	if (world_setup(state) < 0)
		return -1;
	mount_path = world_path("state/mnt/" UUID);
	address = xasprintf("unix://%s/agent.sock", tree.path);
	world_mkdirs(mount_path);
	open_target();
	serve();
	if (may_mount)
		mount_volume("loop");
	put_record();
	return 0;
}

static int teardown(void **state)
{
	int rc;

	rc = node_drain(&node, deadline_after_ms(WAIT_MS)) ? -1 : 0;
	end_service();
	target_free(target);
	if (may_mount)
		RUN("umount", "-q", mount_path);
	free(mount_path);
	free(address);
	return world_teardown(state) || rc;
}

static int begin(void **ret, struct err *err)
{
	struct volume volume = { .pool = "fast" };
	struct volume_export export = { 0 };
	const struct volume *volumes[] = { &volume };
	int rc;

	strcpy(volume.uuid.text, UUID);
	strcpy(export.host_nqn, HOST_NQN);
	volume_add_export(&volume, &export);
	rc = target->quiesce.begin(target->quiesce.context, volumes, 1, ret, err);
	volume_fini(&volume);
	return rc;
}

static int end(void *begun, struct err *err)
{
	return target->quiesce.end(target->quiesce.context, begun, err);
}

static void *freeze(void)
{
	struct err err;
	void *begun = NULL;

	if (begin(&begun, &err) < 0)
		fail_msg("%s", err.msg);
	return begun;
}

/* 1: it was, and is not any more. */
static int was_frozen(void)
{
	cleanup_close int root = open(mount_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err err;
	int thawed = guard_thaw_now(root, &err);

	if (thawed < 0)
		fail_msg("%s", err.msg);
	return thawed;
}

static size_t marks(void)
{
	struct root_names names cleanup_root_names = { 0 };
	struct err err;

	if (root_list(&node.state, &names, &err, "frozen") < 0)
		fail_msg("%s", err.msg);
	return names.count;
}

/* The only child of this process. */
static pid_t guard_pid(void)
{
	cleanup_free char *path = NULL;
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	int pid = 0;

	while (!pid && (entry = readdir(tasks))) {
		FILE *file;

		free(path);
		path = xasprintf("/proc/self/task/%s/children", entry->d_name);
		file = fopen(path, "re");
		if (file && fscanf(file, "%d", &pid) != 1)
			pid = 0;
		if (file)
			fclose(file);
	}
	closedir(tasks);
	assert_int_not_equal(pid, 0);
	return pid;
}

static void await_jobs(void)
{
	char text[256];

	while (jobs_describe(node.jobs, 0, text, sizeof(text)))
		usleep(1000);
}

static void test_freeze(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	attend();
	for (int i = 0; i < 3; i++) {
		void *begun = freeze();

		assert_int_equal(marks(), 1);
		if (end(begun, &err) < 0)
			fail_msg("%s", err.msg);
		await_jobs();
		assert_int_equal(marks(), 0);
		assert_int_equal(was_frozen(), 0);
	}
}

static void test_holds_the_volume(void **state)
{
	struct node_time time = { .wait.deadline = deadline_after_ms(WAIT_MS) };
	struct err err = ERR_INIT;
	void *begun;

	(void)state;
	NEEDS_MOUNT();
	attend();
	begun = freeze();
	assert_int_equal(unstage_volume(&node, ID, "/staging", &time, &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	assert_non_null(strstr(err.msg, "hold its file system frozen"));
	assert_int_equal(end(begun, &err), 0);
}

static void expect_unquiet(void *begun)
{
	struct err err = ERR_INIT;

	assert_int_equal(end(begun, &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	await_jobs();
	assert_int_equal(was_frozen(), 0);
	assert_int_equal(marks(), 0);
}

static void test_guard_dies(void **state)
{
	void *begun;

	(void)state;
	NEEDS_MOUNT();
	attend();
	begun = freeze();
	kill(guard_pid(), SIGKILL);
	await_jobs();
	expect_unquiet(begun);
}

static void test_agent_ends(void **state)
{
	struct err err = ERR_INIT;
	void *begun;

	(void)state;
	NEEDS_MOUNT();
	attend();
	begun = freeze();
	attendance_end(attendance);
	await_jobs();
	expect_unquiet(begun);
	/* It comes again when there is an agent. */
	end_service();
	serve();
	begun = freeze();
	if (end(begun, &err) < 0)
		fail_msg("%s", err.msg);
}

static void test_node_ends(void **state)
{
	void *begun;

	(void)state;
	NEEDS_MOUNT();
	attend();
	begun = freeze();
	assert_int_equal(node_drain(&node, deadline_after_ms(WAIT_MS)), 0);
	expect_unquiet(begun);
}

/* Whoever would mount it is kept from that until the thaw, and no longer. */
static void expect_kept_unmounted(void)
{
	struct node_time time = { .wait.deadline = deadline_after_ms(WAIT_MS) };
	struct err err = ERR_INIT;
	void *begun = freeze();

	assert_int_equal(marks(), 0);
	assert_int_equal(unstage_volume(&node, ID, "/staging", &time, &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	assert_non_null(strstr(err.msg, "keep its file system from being mounted"));
	if (end(begun, &err) < 0)
		fail_msg("%s", err.msg);
	await_jobs();
}

static void test_not_mounted_for_writing(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	attend();
	RUN("umount", mount_path);
	expect_kept_unmounted();
	mount_volume("loop,ro,noload");
	expect_kept_unmounted();
	RUN("umount", mount_path);
	/* Not even staged, on a node that attends because of another volume. */
	put_record_of(OTHER_ID);
	assert_int_equal(node_record_remove(&node.state, ID, &err), 0);
	expect_kept_unmounted();
	mount_volume("loop");
}

/* It is let go when nobody waits for it any more, and that is said. */
static void test_not_mounted_and_left(void **state)
{
	struct err err = ERR_INIT;
	void *begun;

	(void)state;
	NEEDS_MOUNT();
	attend();
	RUN("umount", mount_path);
	begun = freeze();
	attendance_end(attendance);
	await_jobs();
	assert_int_equal(end(begun, &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	mount_volume("loop");
}

static void test_frozen_by_another(void **state)
{
	struct err err = ERR_INIT;
	void *begun;

	(void)state;
	NEEDS_MOUNT();
	attend();
	RUN("fsfreeze", "-f", mount_path);
	assert_int_equal(begin(&begun, &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	assert_non_null(strstr(err.msg, "somebody else has frozen its file system"));
	await_jobs();
	assert_int_equal(was_frozen(), 1);
	assert_int_equal(marks(), 0);
}

/* Nothing is attended that nothing is staged of. */
static void test_attends_what_is_staged(void **state)
{
	struct err err = ERR_INIT;
	void *begun;

	(void)state;
	NEEDS_MOUNT();
	assert_int_equal(node_record_remove(&node.state, ID, &err), 0);
	attend();
	assert_int_equal(begin(&begun, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	put_record();
	attend_staged(node.attend, ID);
	begun = freeze();
	assert_int_equal(end(begun, &err), 0);
	await_jobs();
	assert_int_equal(node_record_remove(&node.state, ID, &err), 0);
	attend_unstaged(node.attend, ID);
	do /* until the agent has seen it leave */
		assert_int_equal(begin(&begun, &err), -1);
	while (err.code == ERR_ABORTED);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
}

/* A target says nothing about volumes of others. */
static void test_of_another_target(void **state)
{
	struct agent_order order = { .kind = AGENT_ORDER_FREEZE,
				     .id = "1",
				     .volume_id = "other/fast/" UUID,
				     .for_ms = 1000 };
	struct freezes *freezes;
	struct agent *agent;
	struct err err;
	char text[256];
	size_t begun;

	(void)state;
	NEEDS_MOUNT();
	if (agent_new("box", address, NULL, &agent, &err) < 0)
		fail_msg("%s", err.msg);
	freezes = freezes_new(&node, agent);
	freezes_begin(freezes, &order);
	begun = jobs_describe(node.jobs, 0, text, sizeof(text));
	await_jobs();
	freezes_free(freezes);
	agent_free(agent);
	assert_int_equal(begun, 0);
}

static void put_mark(void)
{
	struct root dir cleanup_root = ROOT_INIT;
	cleanup_free char *path = world_path("state/frozen");
	struct err err;

	assert_int_equal(root_open(&dir, path, &err), 0);
	assert_int_equal(file_replace(&dir, UUID, ID "\n", &err), 0);
}

/* Node and guard were killed. */
static void test_start(void **state)
{
	(void)state;
	NEEDS_MOUNT();
	put_mark();
	RUN("fsfreeze", "-f", mount_path);
	freezes_settle(&node, deadline_after_ms(WAIT_MS));
	assert_int_equal(was_frozen(), 0);
	assert_int_equal(marks(), 0);
	/* It had not come to it. */
	put_mark();
	freezes_settle(&node, deadline_after_ms(WAIT_MS));
	assert_int_equal(marks(), 0);
	/* The machine was started anew: it would be the state directory's own file system. */
	RUN("umount", mount_path);
	put_mark();
	freezes_settle(&node, deadline_after_ms(WAIT_MS));
	assert_int_equal(marks(), 0);
	mount_volume("loop");
}

/* The private mount is gone meanwhile; a pod has another one. */
static void test_start_by_another_mount(void **state)
{
	cleanup_free char *pod = world_path("pod");
	char dev[32];
	int root;

	(void)state;
	NEEDS_MOUNT();
	world_mkdirs(pod);
	world_mounted_dev(mount_path, dev);
	tree_subsystem(SUBSYS0, NQN);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", dev);
	RUN("mount", "--bind", mount_path, pod);
	RUN("umount", mount_path);
	put_mark();
	RUN("fsfreeze", "-f", pod);
	freezes_settle(&node, deadline_after_ms(WAIT_MS));
	root = open(pod, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(guard_thaw_now(root, &(struct err) { 0 }), 0);
	close(root);
	assert_int_equal(marks(), 0);
	RUN("umount", pod);
	mount_volume("loop");
}

/* A guard that lives still is waited for: it might be about to freeze. */
static void test_start_beside_a_guard(void **state)
{
	cleanup_free char *path = world_path("state/frozen/" UUID);
	int lock;

	(void)state;
	NEEDS_MOUNT();
	put_mark();
	lock = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	freezes_settle(&node, deadline_after_ms(50));
	assert_int_equal(marks(), 1);
	close(lock);
	await_jobs();
	assert_int_equal(marks(), 0);
}

static int group_setup(void **state)
{
	if (own_mounts() < 0 || disk_setup(state) < 0)
		return -1;
	if (may_mount)
		RUN("mkfs.ext4", "-q", disk);
	return 0;
}

#define OF_NODE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		OF_NODE(test_freeze),
		OF_NODE(test_holds_the_volume),
		OF_NODE(test_guard_dies),
		OF_NODE(test_agent_ends),
		OF_NODE(test_node_ends),
		OF_NODE(test_not_mounted_for_writing),
		OF_NODE(test_not_mounted_and_left),
		OF_NODE(test_frozen_by_another),
		OF_NODE(test_attends_what_is_staged),
		OF_NODE(test_of_another_target),
		OF_NODE(test_start),
		OF_NODE(test_start_by_another_mount),
		OF_NODE(test_start_beside_a_guard),
	};

	if (argc == 3 && strcmp(argv[1], GUARD_COMMAND) == 0)
		return guard_main(argv[2]);
	return cmocka_run_group_tests(tests, group_setup, disk_teardown);
}
