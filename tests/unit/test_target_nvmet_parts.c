/* SPDX-License-Identifier: Apache-2.0 */
/* Directories and attributes of nvmet: what is new is only written, what is old is looked at. */
#include "tests/unit/nvmet_tree.h"

#include <errno.h>

#include "nvme/target/nvmet_parts.h"

#define DIR "subsystems/s"

/* Takes what is written, and shows none of it. */
static void put_deaf(const char *attr)
{
	cleanup_free char *path = xasprintf("%s/" DIR "/%s", tree_dir, attr);

	assert_int_equal(symlink("/dev/null", path), 0);
}

static int set(bool fresh, const char *attr, const char *want, struct err *err)
{
	return nvmet_attr_set(&nvmet, DIR, fresh, attr, want, err);
}

static void assert_value(const char *attr, const char *want)
{
	char value[ROOT_VALUE_SIZE];
	struct err err = ERR_INIT;

	assert_int_equal(root_read(&nvmet.root, value, &err, DIR "/%s", attr), 1);
	assert_string_equal(value, want);
}

static void test_only_a_new_directory_is_fresh(void **state)
{
	struct err err = ERR_INIT;
	bool fresh = false;

	(void)state;
	assert_int_equal(nvmet_dir_ensure(&nvmet, DIR, &fresh, &err), 0);
	assert_true(fresh);
	assert_int_equal(nvmet_dir_ensure(&nvmet, DIR, &fresh, &err), 0);
	assert_false(fresh);
	assert_int_equal(nvmet_dir_ensure(&nvmet, "absent/s", &fresh, &err), -1);
	assert_int_equal(err.sys, ENOENT);
	assert_non_null(strstr(err.msg, "absent/s"));
}

static void test_fresh_is_written_and_not_read(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	tree_mkdir(DIR);
	put_deaf("attr_model");
	assert_int_equal(set(true, "attr_model", "nvmeot", &err), 0);
	assert_int_equal(set(false, "attr_model", "nvmeot", &err), -1);
	assert_non_null(strstr(err.msg, "after writing \"nvmeot\""));
	tree_put(DIR "/attr_serial", "random");
	assert_int_equal(set(true, "attr_serial", "0123", &err), 0);
	assert_value("attr_serial", "0123");
}

/* A subsystem that was there may let anybody in; a new one does not. */
static void test_switches_of_the_old_are_put_off(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	tree_mkdir(DIR);
	tree_put(DIR "/attr_allow_any_host", "1\n");
	assert_int_equal(set(true, "attr_allow_any_host", "0", &err), 0);
	assert_value("attr_allow_any_host", "1");
	assert_int_equal(set(false, "attr_allow_any_host", "0", &err), 0);
	assert_value("attr_allow_any_host", "0");
}

static void test_a_refused_write_is_an_error(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	tree_mkdir(DIR);
	assert_int_equal(set(true, "enable", "1", &err), -1);
	assert_non_null(strstr(err.msg, DIR "/enable"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_only_a_new_directory_is_fresh),
		TEST(test_fresh_is_written_and_not_read),
		TEST(test_switches_of_the_old_are_put_off),
		TEST(test_a_refused_write_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
