/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the kernel of a new size. */
#include "tests/unit/nvmet_tree.h"

#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define NAMESPACE "subsystems/" VOLUME_NQN_PREFIX UUID "/namespaces/1"

static const struct uuid uuid = { UUID };

static bool was_told(void)
{
	char value[ROOT_VALUE_SIZE];
	struct err err = ERR_INIT;

	return root_read(&nvmet.root, value, &err, NAMESPACE "/revalidate_size") == 1 &&
	       strcmp(value, "1") == 0;
}

static void test_revalidate(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	tree_mkdir(NAMESPACE);
	tree_put(NAMESPACE "/enable", "1\n");
	tree_put(NAMESPACE "/revalidate_size", "");
	assert_int_equal(nvmet_revalidate(&nvmet, &uuid, &err), 0);
	assert_true(was_told());
}

static void test_not_enabled(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	tree_mkdir(NAMESPACE);
	tree_put(NAMESPACE "/enable", "0\n");
	tree_put(NAMESPACE "/revalidate_size", "");
	assert_int_equal(nvmet_revalidate(&nvmet, &uuid, &err), 0);
	assert_false(was_told());
}

static void test_no_subsystem(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(nvmet_revalidate(&nvmet, &uuid, &err), 0);
}

static void test_refused(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	tree_mkdir(NAMESPACE);
	tree_put(NAMESPACE "/enable", "1\n");
	assert_int_equal(nvmet_revalidate(&nvmet, &uuid, &err), -1);
	assert_non_null(strstr(err.msg, "revalidate_size"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_revalidate),
		TEST(test_not_enabled),
		TEST(test_no_subsystem),
		TEST(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
