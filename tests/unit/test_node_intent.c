/* SPDX-License-Identifier: Apache-2.0 */
/* Intents to format: there and back, one per namespace, and what is made of damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csi/node/intent.h"
#include "nvme/base/file.h"

static const struct uuid a = { "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11" };
static const struct uuid b = { "6d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11" };

static char dir[64];
static struct root root;

static int setup(void **state)
{
	struct err err;

	(void)state;
	strcpy(dir, "/tmp/test_node_intent.XXXXXX");
	if (!mkdtemp(dir) || root_open(&root, dir, &err) < 0)
		return -1;
	return root_mkdir(&root, &err, "formatting");
}

/* Each test removes its intents: what is left, a temporary file too, fails it. */
static int teardown(void **state)
{
	struct err err;

	(void)state;
	if (root_rmdir(&root, &err, "formatting") < 0)
		return -1;
	root_close(&root);
	return rmdir(dir);
}

static const char *find(const struct uuid *key)
{
	static char fs_type[INTENT_FS_TYPE_SIZE];
	struct err err = ERR_INIT;
	int found;

	strcpy(fs_type, "untouched");
	found = intent_find(&root, key, fs_type, &err);
	assert_int_not_equal(found, -1);
	if (!found)
		assert_string_equal(fs_type, "untouched");
	return found ? fs_type : NULL;
}

static void test_there_and_back(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_null(find(&a));
	assert_int_equal(intent_save(&root, &a, "ext4", &err), 0);
	assert_string_equal(find(&a), "ext4");
	assert_null(find(&b));
	assert_int_equal(intent_save(&root, &b, "btrfs", &err), 0);
	assert_int_equal(intent_save(&root, &a, "xfs", &err), 0);
	assert_string_equal(find(&a), "xfs");
	assert_int_equal(intent_remove(&root, &a, &err), 0);
	assert_int_equal(intent_remove(&root, &a, &err), 0);
	assert_null(find(&a));
	assert_string_equal(find(&b), "btrfs");
	assert_int_equal(intent_remove(&root, &b, &err), 0);
}

/* It is there, but lets nothing be finished, and the next one replaces it. */
static void test_damaged(void **state)
{
	static const char *const texts[] = { "",      "\n",	"ext",
					     "ext4 ", "ntfs\n", "ext4xext4xext4xext4x" };
	cleanup_free char *file = xasprintf("formatting/%s", a.text);
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(file_replace(&root, "intent", texts[i], &err), 0);
		assert_int_equal(renameat(root.fd, "intent", root.fd, file), 0);
		assert_string_equal(find(&a), "");
	}
	assert_int_equal(intent_save(&root, &a, "ext4", &err), 0);
	assert_string_equal(find(&a), "ext4");
	assert_int_equal(intent_remove(&root, &a, &err), 0);
}

/* Not knowing is not "none": a mkfs must not begin that cannot be finished. */
static void test_no_directory(void **state)
{
	char fs_type[INTENT_FS_TYPE_SIZE];
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_rmdir(&root, &err, "formatting"), 0);
	assert_int_equal(intent_save(&root, &a, "ext4", &err), -1);
	assert_int_equal(intent_find(&root, &a, fs_type, &err), -1);
	assert_int_equal(intent_remove(&root, &a, &err), -1);
	assert_non_null(strstr(err.msg, "formatting"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_there_and_back),
		TEST(test_damaged),
		TEST(test_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
