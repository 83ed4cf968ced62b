/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files: replaced at once or not at all, and the temporary file never stays. */
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

#include "nvme/base/file.h"

static char dir[64];
static struct root root;

static int setup(void **state)
{
	struct err err;

	(void)state;
	strcpy(dir, "/tmp/test_base_file.XXXXXX");
	return mkdtemp(dir) ? root_open(&root, dir, &err) : -1;
}

/* A temporary file that stayed would keep the directory from going. */
static int teardown(void **state)
{
	(void)state;
	root_close(&root);
	return rmdir(dir);
}

static void assert_content(const char *want)
{
	cleanup_free char *text = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(file_read(&root, "f", &text, &err), 1);
	assert_string_equal(text, want);
}

static size_t count_entries(void)
{
	struct root_names names cleanup_root_names = { 0 };
	struct err err;

	assert_int_equal(root_list(&root, &names, &err, "."), 0);
	return names.count;
}

static void test_replace(void **state)
{
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(file_replace(&root, "f", "first, longer", &err), 0);
	assert_content("first, longer");
	assert_int_equal(file_replace(&root, "f", "second", &err), 0);
	assert_content("second");
	assert_int_equal(file_replace(&root, "f", "", &err), 0);
	assert_content("");
	assert_int_equal(count_entries(), 1);
	assert_int_equal(fstatat(root.fd, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(file_remove(&root, "f", &err), 0);
}

/* Whoever had the old file open still reads the old content whole. */
static void test_create(void **state)
{
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(file_create(&root, "f", "first, longer", &err), 0);
	assert_content("first, longer");
	assert_int_equal(file_create(&root, "f", "second", &err), 0);
	assert_content("second");
	assert_int_equal(count_entries(), 1);
	assert_int_equal(fstatat(root.fd, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(file_remove(&root, "f", &err), 0);
	assert_int_equal(root_mkdir(&root, &err, "d"), 0);
	assert_int_equal(file_create(&root, "d", "", &err), -1);
	assert_non_null(strstr(err.msg, "/d: "));
	assert_int_equal(root_rmdir(&root, &err, "d"), 0);
}

static void test_replace_is_atomic(void **state)
{
	cleanup_close int fd = -1;
	struct err err = ERR_INIT;
	char text[32] = "";

	(void)state;
	assert_int_equal(file_replace(&root, "f", "old content", &err), 0);
	fd = openat(root.fd, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(file_replace(&root, "f", "new", &err), 0);
	assert_int_equal(read(fd, text, sizeof(text) - 1), 11);
	assert_string_equal(text, "old content");
	assert_content("new");
	assert_int_equal(file_remove(&root, "f", &err), 0);
}

static void test_failed_replace_leaves_nothing(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_mkdir(&root, &err, "f"), 0);
	assert_int_equal(file_replace(&root, "f", "text", &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, ".f.tmp to f: "));
	assert_int_equal(count_entries(), 1);
	assert_int_equal(root_rmdir(&root, &err, "f"), 0);
	assert_int_equal(file_replace(&root, "no/f", "text", &err), -1);
}

/* What an interrupted replacement left is written over, but never through a link. */
static void test_leftover(void **state)
{
	cleanup_close int fd = openat(root.fd, ".f.tmp", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(write(fd, "half of a much longer text", 26), 26);
	assert_int_equal(file_replace(&root, "f", "text", &err), 0);
	assert_content("text");
	assert_int_equal(root_symlink(&root, "/tmp/test_base_file.stolen", &err, ".f.tmp"), 0);
	assert_int_equal(file_replace(&root, "f", "secret", &err), -1);
	assert_int_equal(access("/tmp/test_base_file.stolen", F_OK), -1);
	assert_content("text");
	assert_int_equal(file_remove(&root, ".f.tmp", &err), 0);
	assert_int_equal(file_remove(&root, "f", &err), 0);
}

static void test_absent(void **state)
{
	char *text = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(file_read(&root, "f", &text, &err), 0);
	assert_null(text);
	assert_int_equal(file_remove(&root, "f", &err), 0);
}

static void test_too_large(void **state)
{
	cleanup_close int fd = openat(root.fd, "f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	char *text = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(ftruncate(fd, FILE_MAX_BYTES + 1), 0);
	assert_int_equal(file_read(&root, "f", &text, &err), -1);
	assert_non_null(strstr(err.msg, "1048576"));
	assert_null(text);
	assert_int_equal(ftruncate(fd, FILE_MAX_BYTES), 0);
	assert_int_equal(file_read(&root, "f", &text, &err), 1);
	free(text);
	assert_int_equal(file_remove(&root, "f", &err), 0);
}

static void test_not_a_file(void **state)
{
	char *text = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_symlink(&root, "/etc/hostname", &err, "f"), 0);
	assert_int_equal(file_read(&root, "f", &text, &err), -1);
	assert_int_equal(file_remove(&root, "f", &err), 0);
	assert_int_equal(root_mkdir(&root, &err, "f"), 0);
	assert_int_equal(file_read(&root, "f", &text, &err), -1);
	assert_int_equal(file_remove(&root, "f", &err), -1);
	assert_int_equal(root_rmdir(&root, &err, "f"), 0);
	assert_null(text);
}

/* A fifo in the way must not hang the reader. */
static void test_fifo(void **state)
{
	char *text = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(mkfifoat(root.fd, "f", 0600), 0);
	alarm(20);
	assert_int_equal(file_read(&root, "f", &text, &err), -1);
	alarm(0);
	assert_null(text);
	assert_int_equal(file_remove(&root, "f", &err), 0);
}

static void test_mkdirs(void **state)
{
	cleanup_free char *path = xasprintf("%s/a/b//c/", dir);
	cleanup_free char *below_file = xasprintf("%s/f/x", dir);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(file_mkdirs(path, &err), 0);
	assert_int_equal(file_mkdirs(path, &err), 0);
	assert_int_equal(file_mkdirs("/", &err), 0);
	assert_true(root_exists(&root, "a/b/c"));
	assert_int_equal(file_replace(&root, "f", "", &err), 0);
	assert_int_equal(file_mkdirs(below_file, &err), -1);
	assert_non_null(strstr(err.msg, below_file));
	assert_int_equal(file_remove(&root, "f", &err), 0);
	assert_int_equal(root_rmdir(&root, &err, "a/b/c"), 0);
	assert_int_equal(root_rmdir(&root, &err, "a/b"), 0);
	assert_int_equal(root_rmdir(&root, &err, "a"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_create),
		TEST(test_replace),
		TEST(test_replace_is_atomic),
		TEST(test_failed_replace_leaves_nothing),
		TEST(test_leftover),
		TEST(test_absent),
		TEST(test_too_large),
		TEST(test_not_a_file),
		TEST(test_fifo),
		TEST(test_mkdirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
