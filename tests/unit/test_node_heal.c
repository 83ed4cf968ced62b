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

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "csi/node/heal.h"
#include "tests/unit/host_tree.h"

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

/* Nothing is mounted at the volume's places; what is not the volume's is not looked at. */
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
	record.block = false;
	strcpy(record.staging_path, "/");
	assert_int_equal(heal_dead_mounts(&node, &record, &ns, &err), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_is_dead),
		TEST(test_block),
		TEST(test_nothing_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
