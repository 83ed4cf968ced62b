/* SPDX-License-Identifier: Apache-2.0 */
/* Rooted access: nothing leaves the root, absence is told apart from failure, values are whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/root.h"

static char dir[64];
static struct root root;

static int setup(void **state)
{
	struct err err;

	(void)state;
	strcpy(dir, "/tmp/test_base_root.XXXXXX");
	return mkdtemp(dir) ? root_open(&root, dir, &err) : -1;
}

/* Each test removes what it made: what is left fails it. */
static int teardown(void **state)
{
	(void)state;
	root_close(&root);
	root_close(&root);
	return rmdir(dir);
}

static void put(const char *name, const char *text)
{
	cleanup_close int fd = openat(root.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void gone(const char *name)
{
	struct err err = ERR_INIT;

	assert_int_equal(root_unlink(&root, &err, "%s", name), 0);
}

static void test_open_absent(void **state)
{
	struct root none = ROOT_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_open(&none, "/nonexistent/root", &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "/nonexistent/root"));
	assert_int_equal(none.fd, -1);
	put("file", "");
	cleanup_free char *path = xasprintf("%s/file", dir);
	assert_int_equal(root_open(&none, path, &err), -1);
	gone("file");
}

static void test_open_overlong(void **state)
{
	static char path[2 * PATH_MAX];
	struct root none = ROOT_INIT;
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i + 2 < sizeof(path); i += 2)
		memcpy(path + i, "./", 2);
	assert_int_equal(root_open(&none, path, &err), -1);
	assert_int_equal(none.fd, -1);
}

/* Whatever the call, a path that climbs out is refused, and nothing happened outside. */
static void test_climbing_paths(void **state)
{
	static const char *const paths[] = { "..", "../x", "a/../../x", "/etc/passwd", "a/../../..",
					     "",   "../",  "./../x",	"a/.." };
	char value[ROOT_VALUE_SIZE] = "untouched";
	struct root_names names = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(root_read(&root, value, &err, "%s", paths[i]), -1);
		assert_non_null(strstr(err.msg, "does not stay below"));
		assert_non_null(strstr(err.msg, dir));
		assert_int_equal(root_write(&root, "v", &err, "%s", paths[i]), -1);
		assert_int_equal(root_mkdir(&root, &err, "%s", paths[i]), -1);
		assert_int_equal(root_rmdir(&root, &err, "%s", paths[i]), -1);
		assert_int_equal(root_unlink(&root, &err, "%s", paths[i]), -1);
		assert_int_equal(root_symlink(&root, "/", &err, "%s", paths[i]), -1);
		assert_int_equal(root_list(&root, &names, &err, "%s", paths[i]), -1);
		assert_false(root_exists(&root, "%s", paths[i]));
	}
	assert_string_equal(value, "untouched");
}

/* Two dots that are part of a name are no way out: an NQN may well end in them. */
static void test_dots_in_names(void **state)
{
	char value[ROOT_VALUE_SIZE];
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_mkdir(&root, &err, "nqn.2014-08.org:host.."), 0);
	put("nqn.2014-08.org:host../..key", "v");
	assert_int_equal(root_read(&root, value, &err, "nqn.2014-08.org:host../..key"), 1);
	gone("nqn.2014-08.org:host../..key");
	assert_int_equal(root_rmdir(&root, &err, "nqn.2014-08.org:host.."), 0);
}

static void test_overlong_path(void **state)
{
	static char path[2 * PATH_MAX];
	char value[ROOT_VALUE_SIZE];
	struct err err = ERR_INIT;

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	assert_int_equal(root_read(&root, value, &err, "%s", path), -1);
	assert_int_equal(root_mkdir(&root, &err, "%s", path), -1);
	assert_false(root_exists(&root, "%s", path));
}

static void test_read(void **state)
{
	char value[ROOT_VALUE_SIZE] = "untouched";
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_read(&root, value, &err, "absent"), 0);
	assert_int_equal(root_read(&root, value, &err, "absent/below"), 0);
	assert_string_equal(value, "untouched");
	put("attr", " a b \n\n");
	assert_int_equal(root_read(&root, value, &err, "at%s", "tr"), 1);
	assert_string_equal(value, " a b");
	put("empty", "");
	assert_int_equal(root_read(&root, value, &err, "empty"), 1);
	assert_string_equal(value, "");
	assert_int_equal(root_mkdir(&root, &err, "sub"), 0);
	assert_int_equal(root_read(&root, value, &err, "sub"), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_int_equal(root_rmdir(&root, &err, "sub"), 0);
	gone("attr");
	gone("empty");
}

static void test_long_value_is_cut(void **state)
{
	static char text[2 * ROOT_VALUE_SIZE];
	char value[ROOT_VALUE_SIZE];
	struct err err = ERR_INIT;

	(void)state;
	memset(text, 'v', sizeof(text) - 1);
	put("attr", text);
	assert_int_equal(root_read(&root, value, &err, "attr"), 1);
	assert_int_equal(strlen(value), ROOT_VALUE_SIZE - 1);
	gone("attr");
}

static void test_write(void **state)
{
	char value[ROOT_VALUE_SIZE];
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_write(&root, "1", &err, "absent"), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "absent"));
	assert_false(root_exists(&root, "absent"));
	put("attr", "longer than before");
	assert_int_equal(root_write(&root, "1", &err, "attr"), 0);
	assert_int_equal(root_read(&root, value, &err, "attr"), 1);
	assert_string_equal(value, "1");
	gone("attr");
}

/* The message of a refused write names value and path: that is all an operator has. */
static void test_refused_write_names_all(void **state)
{
	struct root dev = ROOT_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_open(&dev, "/dev", &err), 0);
	assert_int_equal(root_write(&dev, "the value", &err, "full"), -1);
	assert_string_equal(err.msg, "write \"the value\" to /dev/full: No space left on device");
	/* … unless the value is nobody's business. */
	assert_int_equal(root_write_secret(&dev, "the value", &err, "full"), -1);
	assert_string_equal(err.msg, "write a secret to /dev/full: No space left on device");
	root_close(&dev);
}

static void test_secret_is_for_its_owner(void **state)
{
	char value[ROOT_VALUE_SIZE];
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	put("attr", "");
	assert_int_equal(fchmodat(root.fd, "attr", 0644, 0), 0);
	assert_int_equal(root_write_secret(&root, "hidden", &err, "attr"), 0);
	assert_int_equal(fstatat(root.fd, "attr", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(root_read(&root, value, &err, "attr"), 1);
	assert_string_equal(value, "hidden");
	gone("attr");
	assert_int_equal(root_write_secret(&root, "hidden", &err, "attr"), -1);
	assert_null(strstr(err.msg, "hidden"));
}

static void test_directories(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_mkdir(&root, &err, "d%d", 1), 0);
	assert_int_equal(root_mkdir(&root, &err, "d1"), 0);
	assert_true(root_exists(&root, "d1"));
	assert_int_equal(root_mkdir(&root, &err, "no/d1"), -1);
	put("d1/file", "");
	assert_int_equal(root_rmdir(&root, &err, "d1"), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	gone("d1/file");
	assert_int_equal(root_rmdir(&root, &err, "d1"), 0);
	assert_int_equal(root_rmdir(&root, &err, "d1"), 0);
}

static void test_symlinks(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_symlink(&root, "/nonexistent", &err, "link"), 0);
	assert_int_equal(root_symlink(&root, "/nonexistent", &err, "link"), 0);
	assert_true(root_exists(&root, "link"));
	assert_int_equal(root_unlink(&root, &err, "link"), 0);
	assert_false(root_exists(&root, "link"));
	assert_int_equal(root_unlink(&root, &err, "link"), 0);
}

static void test_list(void **state)
{
	struct root_names names cleanup_root_names = { 0 };
	struct root_names none = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	put("b", "");
	put(".hidden", "");
	put("a", "");
	assert_int_equal(root_list(&root, &names, &err, "."), 0);
	assert_int_equal(names.count, 3);
	assert_string_equal(names.names[0], ".hidden");
	assert_string_equal(names.names[1], "a");
	assert_string_equal(names.names[2], "b");
	assert_int_equal(root_list(&root, &none, &err, "absent"), 0);
	assert_int_equal(none.count, 0);
	assert_int_equal(root_list(&root, &none, &err, "a"), -1);
	gone("a");
	gone("b");
	gone(".hidden");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_open_absent),
		TEST(test_open_overlong),
		TEST(test_climbing_paths),
		TEST(test_dots_in_names),
		TEST(test_overlong_path),
		TEST(test_read),
		TEST(test_long_value_is_cut),
		TEST(test_write),
		TEST(test_refused_write_names_all),
		TEST(test_secret_is_for_its_owner),
		TEST(test_directories),
		TEST(test_symlinks),
		TEST(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
