/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead mounts, told by mountinfo and a made-up sysfs. What is mounted at "/" on this machine plays
 * a volume's mount: nothing here may unmount it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csi/node/heal.h"
#include "tests/unit/node_world.h"

#define ENTRY(type, from, at)                                                                      \
	{                                                                                          \
		.major = 259, .minor = 3, .fs_type = (char *)(type), .source = (char *)(from),     \
		.target = (char *)(at), .fs_root = (char *)"/"                                     \
	}

static void test_is_dead(void **state)
{
	struct mount_entry entry = ENTRY("ext4", "/dev/nvme0n1", "/");
	char reason[HEAL_REASON_SIZE] = "";

	(void)state;
	tree_put("dev/block/259:3", "dev", "259:3");
	assert_false(heal_is_dead(&node, &entry, reason));
	assert_string_equal(reason, "");
	entry.minor = 4;
	assert_true(heal_is_dead(&node, &entry, reason));
	assert_non_null(strstr(reason, "device went away"));
	entry.minor = 3;
	entry.sb_readonly = true;
	assert_true(heal_is_dead(&node, &entry, reason));
	assert_non_null(strstr(reason, "read-only after an error"));
	/* A volume for readers is both. */
	entry.readonly = true;
	assert_false(heal_is_dead(&node, &entry, reason));
	entry.sb_stopped = true;
	assert_true(heal_is_dead(&node, &entry, reason));
	assert_non_null(strstr(reason, "stopped"));
}

/* It is asked to sync then, which this one does. */
static void test_recorded_errors(void **state)
{
	struct mount_entry entry = ENTRY("ext4", "/dev/nvme0n1", "/tmp");
	char reason[HEAL_REASON_SIZE];

	(void)state;
	tree_put("dev/block/259:3", "dev", "259:3");
	tree_put("fs/ext4/nvme0n1", "errors_count", "3");
	assert_false(heal_is_dead(&node, &entry, reason));
}

static void test_block(void **state)
{
	struct mount_entry entry = ENTRY("devtmpfs", "udev", "/nowhere/file");
	char reason[HEAL_REASON_SIZE];

	(void)state;
	entry.fs_root = (char *)"/nvme0n1";
	tree_put("class/block/nvme0n1", "dev", "259:3");
	assert_false(heal_is_dead(&node, &entry, reason));
	entry.fs_root = (char *)"/nvme0n1//deleted";
	assert_true(heal_is_dead(&node, &entry, reason));
}

/* Nothing is mounted at the volume's places. */
static void test_nothing_dead(void **state)
{
	struct node_record record = { .has_uuid = true, .uuid = { UUID } };
	struct host_namespace ns = { .name = "nvme0n1", .major = 259, .minor = 3 };
	struct err err = ERR_INIT;

	(void)state;
	strcpy(record.staging_path, "/nowhere/staging");
	assert_int_equal(heal_dead_mounts(&node, &record, &ns, &err), 0);
	record.block = true;
	assert_int_equal(heal_dead_mounts(&node, &record, &ns, &err), 0);
}

/* The private mount, its staging bind, and what else may be there. */
static struct node_record record;
static char private[PATH_MAX], staged[PATH_MAX], pod[PATH_MAX];

static void make_mounts(void)
{
	NEEDS_MOUNT();
	record = (struct node_record) { .has_uuid = true, .uuid = { UUID } };
	device_private_path(&node, &record, private);
	snprintf(record.staging_path, PATH_MAX, "%.4000s/staging", tree.path);
	device_stage_path(record.staging_path, staged);
	snprintf(pod, sizeof(pod), "%.4000s/pod", tree.path);
	world_mkdirs(private);
	world_mkdirs(staged);
	world_mkdirs(pod);
	assert_int_equal(mount("/dev/nvme0n1", private, "tmpfs", 0, NULL), 0);
	assert_int_equal(mount(private, staged, NULL, MS_BIND, NULL), 0);
}

static int heal(const struct host_namespace *ns, struct err *err)
{
	*err = ERR_INIT;
	return heal_dead_mounts(&node, &record, ns, err);
}

/* The namespace came back as another device: the mounts are dead. */
static const struct host_namespace replaced = { .name = "nvme0n2", .major = 259, .minor = 3 };

static void test_dead_goes(void **state)
{
	struct err err;

	(void)state;
	make_mounts();
	if (heal(&replaced, &err) < 0)
		fail_msg("%s", err.msg);
	assert_false(world_is_mounted(private));
	assert_false(world_is_mounted(staged));
	/* Again there is nothing to do; and after being cut short in between, the rest. */
	assert_int_equal(heal(&replaced, &err), 0);
	make_mounts();
	assert_int_equal(umount(staged), 0);
	assert_int_equal(heal(&replaced, &err), 0);
	assert_false(world_is_mounted(private));
}

static void test_dead_in_use(void **state)
{
	struct err err;

	(void)state;
	make_mounts();
	assert_int_equal(mount(private, pod, NULL, MS_BIND, NULL), 0);
	assert_int_equal(heal(&replaced, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "device went away"));
	assert_non_null(strstr(err.msg, pod));
	assert_true(world_is_mounted(private) && world_is_mounted(staged) && world_is_mounted(pod));
	assert_int_equal(umount(pod), 0);
	assert_int_equal(heal(&replaced, &err), 0);
	assert_false(world_is_mounted(private) || world_is_mounted(staged));
}

static void test_alive_stays(void **state)
{
	struct host_namespace ns = { .name = "nvme0n1" };
	struct stat st;
	char number[64];
	struct err err;

	(void)state;
	make_mounts();
	assert_int_equal(stat(private, &st), 0);
	ns.major = major(st.st_dev);
	ns.minor = minor(st.st_dev);
	snprintf(number, sizeof(number), "dev/block/%u:%u", ns.major, ns.minor);
	tree_put(number, "dev", "");
	assert_int_equal(heal(&ns, &err), 0);
	assert_true(world_is_mounted(private) && world_is_mounted(staged));
	/* What is not the volume's is not looked at, though it looks as after an error. */
	assert_int_equal(mount("foreign", staged, "tmpfs", MS_RDONLY, NULL), 0);
	assert_int_equal(mount(NULL, staged, NULL, MS_REMOUNT | MS_BIND, NULL), 0);
	assert_int_equal(heal(&ns, &err), 0);
	assert_int_equal(stat(staged, &st), 0);
	assert_false(major(st.st_dev) == ns.major && minor(st.st_dev) == ns.minor);
	assert_int_equal(umount(staged), 0);
	assert_int_equal(umount(staged), 0);
	assert_int_equal(umount(private), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(test_is_dead),	    IN_WORLD(test_recorded_errors),
		IN_WORLD(test_block),	    IN_WORLD(test_nothing_dead),
		IN_WORLD(test_dead_goes),   IN_WORLD(test_dead_in_use),
		IN_WORLD(test_alive_stays),
	};

	if (own_mounts() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
