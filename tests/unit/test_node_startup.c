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

#include "csi/node/device.h"
#include "csi/node/startup.h"
#include "tests/unit/log_lines.h"
#include "tests/unit/node_world.h"

#define FOREIGN_NQN "nqn.2014-08.org.example:array"
#define UNUSED_DEV "259:4095"

/* A subsystem with one namespace, connected as somebody. */
static void connect_as(const char *nqn, const char *hostnqn, const char *hostid, const char *dev)
{
	tree_subsystem(SUBSYS0, nqn);
	tree_controller(CONTROLLER, hostnqn, hostid, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", dev);
}

/* Whether it led to a disconnect. */
static bool reconcile(void)
{
	startup_reconcile(&node, deadline_after_ms(100));
	/* Its jobs end a little after their deadline. */
	assert_int_equal(node_drain(&node, deadline_after_ms(20000)), 0);
	return world_was_disconnected();
}

/* Letting go of it would have failed, and changed as little: the log says which it was. */
static void is_adopted(void)
{
	static const char *const words[] = { "volume adopted", ID };
	static struct lines lines;
	bool disconnected;
	size_t told;

	lines_begin(&lines);
	disconnected = reconcile();
	told = lines_count(&lines, words, ARRAY_SIZE(words));
	lines_end(&lines);
	assert_int_equal(told, 1);
	assert_false(disconnected);
	assert_true(world_has_record(ID));
}

static void test_record_of_nothing_goes(void **state)
{
	(void)state;
	world_save(NQN, "/nowhere/staging", false);
	assert_false(reconcile());
	assert_false(world_has_record(ID));
}

/* Also of a foreign subsystem: the record says that it is ours to disconnect. */
static void test_record_without_mount_is_let_go(void **state)
{
	(void)state;
	connect_as(FOREIGN_NQN, HOST_NQN, HOST_ID, UNUSED_DEV);
	world_save(FOREIGN_NQN, "/nowhere/staging", false);
	assert_true(reconcile());
	/* It is still connected, so it stays on record. */
	assert_true(world_has_record(ID));
}

static void test_staged_volume_is_adopted(void **state)
{
	char staging[PATH_MAX], staged[PATH_MAX];

	(void)state;
	NEEDS_MOUNT();
	snprintf(staging, sizeof(staging), "%.4000s/staging", tree.path);
	device_stage_path(staging, staged);
	world_mkdirs(staged);
	assert_int_equal(mount("any", staged, "tmpfs", 0, NULL), 0);
	connect_as(NQN, HOST_NQN, HOST_ID, UNUSED_DEV);
	world_save(NQN, staging, false);
	is_adopted();
	assert_int_equal(umount(staged), 0);
}

static void test_mounted_volume_is_adopted(void **state)
{
	char dev[32];

	(void)state;
	world_mounted_dev("/", dev);
	connect_as(NQN, HOST_NQN, HOST_ID, dev);
	world_save(NQN, "/nowhere/staging", false);
	is_adopted();
}

static void test_orphan_is_disconnected(void **state)
{
	(void)state;
	connect_as(NQN, HOST_NQN, HOST_ID, UNUSED_DEV);
	assert_true(reconcile());
}

static void test_mounted_orphan_is_left(void **state)
{
	char dev[32];

	(void)state;
	world_mounted_dev("/", dev);
	connect_as(NQN, HOST_NQN, HOST_ID, dev);
	assert_false(reconcile());
}

/* Neither of another NQN, nor one that only begins like ours, nor of another host. */
static void test_foreign_is_left(void **state)
{
	(void)state;
	connect_as(FOREIGN_NQN, HOST_NQN, HOST_ID, UNUSED_DEV);
	assert_false(reconcile());
}

static void test_similar_name_is_left(void **state)
{
	(void)state;
	connect_as(OTHER_NQN, HOST_NQN, HOST_ID, UNUSED_DEV);
	assert_false(reconcile());
}

static void test_other_host_is_left(void **state)
{
	(void)state;
	connect_as(NQN, OTHER_HOST_NQN, OTHER_HOST_ID, UNUSED_DEV);
	assert_false(reconcile());
}

/* How often it is said, with this word in the line as well. */
static size_t warned(const char *kubelet_dir, const char *says, const char *word)
{
	const char *const words[] = { says, word };
	static struct lines lines;
	size_t told;

	lines_begin(&lines);
	startup_warn(kubelet_dir);
	told = lines_count(&lines, words, ARRAY_SIZE(words));
	lines_end(&lines);
	return told;
}

static void test_missing_programs_are_told(void **state)
{
	cleanup_free char *path = xstrdup(getenv("PATH"));
	cleanup_free char *all = xasprintf("/nowhere:%s", path);

	(void)state;
	setenv("PATH", all, 1);
	assert_int_equal(warned(NULL, "a program is missing", ""), 0);
	setenv("PATH", "/nowhere:", 1);
	assert_int_equal(warned(NULL, "a program is missing", "program=mkfs.xfs"), 1);
	assert_int_equal(warned(NULL, "a program is missing", ""), 6);
	setenv("PATH", path, 1);
}

static void test_mounts_that_nobody_sees_are_told(void **state)
{
	cleanup_free char *mounted = world_path("kubelet"), *dir = world_path("kubelet/a/b");
	cleanup_free char *link = world_path("link");
	char real[PATH_MAX];

	(void)state;
	NEEDS_MOUNT();
	world_mkdirs(mounted);
	assert_int_equal(mount("any", mounted, "tmpfs", 0, NULL), 0);
	world_mkdirs(dir);
	assert_int_equal(symlink(dir, link), 0);
	assert_non_null(realpath(mounted, real));
	assert_int_equal(warned(link, "pods will not see", real), 1);
	assert_int_equal(mount(NULL, mounted, NULL, MS_SHARED, NULL), 0);
	assert_int_equal(warned(link, "pods will not see", ""), 0);
	/* Another one in between. */
	assert_int_equal(mount("any", dir, "tmpfs", 0, NULL), 0);
	assert_int_equal(mount(NULL, dir, NULL, MS_PRIVATE, NULL), 0);
	assert_int_equal(warned(link, "pods will not see", dir), 1);
	assert_int_equal(umount(dir), 0);
	assert_int_equal(umount(mounted), 0);
	/* Where nothing is mounted above: here all is private. */
	assert_int_equal(warned("/", "pods will not see", "mount=/"), 1);
	assert_int_equal(warned("/nowhere/at/all", "pods will not see", ""), 0);
	assert_int_equal(warned(NULL, "pods will not see", ""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(test_record_of_nothing_goes),
		IN_WORLD(test_record_without_mount_is_let_go),
		IN_WORLD(test_staged_volume_is_adopted),
		IN_WORLD(test_mounted_volume_is_adopted),
		IN_WORLD(test_orphan_is_disconnected),
		IN_WORLD(test_mounted_orphan_is_left),
		IN_WORLD(test_foreign_is_left),
		IN_WORLD(test_similar_name_is_left),
		IN_WORLD(test_other_host_is_left),
		IN_WORLD(test_missing_programs_are_told),
		IN_WORLD(test_mounts_that_nobody_sees_are_told),
	};

	if (own_mounts() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
