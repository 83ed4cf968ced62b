/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: defaults, the environment over them, the command line over that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Programs' own code is in no archive. */
#include "cmd/options.c"

static const char *text;
static struct option_list list;
static bool flag;

static const struct option_spec specs[] = {
	{ .name = "state-dir", .arg = "DIR", .help = "where", .text = &text },
	{ .name = "target", .arg = "NAME=ADDRESS", .help = "which", .list = &list },
	{ .name = "insecure", .letter = 'i', .help = "no TLS", .flag = &flag },
	{ 0 },
};

static int setup(void **state)
{
	(void)state;
	text = "/default";
	list.count = 0;
	flag = false;
	unsetenv("NVMEOT_STATE_DIR");
	unsetenv("NVMEOT_TARGET");
	unsetenv("NVMEOT_INSECURE");
	return 0;
}

#define ARGS(...) ((char *[]) { (char *)"program", __VA_ARGS__ __VA_OPT__(, ) NULL })

static int parse_with(const char *args_doc, char **argv)
{
	struct option_program program = { .doc = "doc", .args_doc = args_doc, .specs = specs };
	int argc = 0, first = -1;

	while (argv[argc])
		argc++;
	options_parse(&program, argc, argv, &first);
	return first;
}

/* Runs the parser in a process of its own, because it ends it; gives the code and what was said. */
static int exits(char **argv, char said[4096])
{
	int fd = memfd_create("said", MFD_CLOEXEC), status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		parse_with(NULL, argv);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	said[pread(fd, said, 4095, 0)] = '\0';
	close(fd);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_defaults(void **state)
{
	(void)state;
	parse_with(NULL, ARGS());
	assert_string_equal(text, "/default");
	assert_int_equal(list.count, 0);
	assert_false(flag);
}

static void test_environment(void **state)
{
	(void)state;
	setenv("NVMEOT_STATE_DIR", "/env", 1);
	setenv("NVMEOT_TARGET", " a=1  b=2 ", 1);
	setenv("NVMEOT_INSECURE", "true", 1);
	parse_with(NULL, ARGS());
	assert_string_equal(text, "/env");
	assert_int_equal(list.count, 2);
	assert_string_equal(list.items[0], "a=1");
	assert_string_equal(list.items[1], "b=2");
	assert_true(flag);
}

/* A manifest may leave a variable empty: that says nothing. */
static void test_empty_environment(void **state)
{
	(void)state;
	setenv("NVMEOT_STATE_DIR", "", 1);
	setenv("NVMEOT_TARGET", "", 1);
	setenv("NVMEOT_INSECURE", "", 1);
	parse_with(NULL, ARGS());
	assert_string_equal(text, "/default");
	assert_int_equal(list.count, 0);
	assert_false(flag);
}

static void test_argv_beats_environment(void **state)
{
	(void)state;
	setenv("NVMEOT_STATE_DIR", "/env", 1);
	setenv("NVMEOT_TARGET", "a=1 b=2", 1);
	setenv("NVMEOT_INSECURE", "0", 1);
	parse_with(NULL,
		   ARGS((char *)"--state-dir=/argv", (char *)"--target", (char *)"c=3",
			(char *)"--insecure", (char *)"--target=d=4", (char *)"--state-dir=/last"));
	assert_string_equal(text, "/last");
	assert_int_equal(list.count, 2);
	assert_string_equal(list.items[0], "c=3");
	assert_string_equal(list.items[1], "d=4");
	assert_true(flag);
}

static void test_switch_values(void **state)
{
	static const struct {
		const char *value;
		bool on;
	} rows[] = { { "1", true }, { "true", true }, { "0", false }, { "false", false } };
	char said[4096];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		flag = !rows[i].on;
		setenv("NVMEOT_INSECURE", rows[i].value, 1);
		parse_with(NULL, ARGS());
		assert_int_equal(flag, rows[i].on);
	}
	/* To take "yes" for "no" would surprise whoever wrote it. */
	setenv("NVMEOT_INSECURE", "yes", 1);
	assert_int_equal(exits(ARGS(), said), 2);
	assert_non_null(strstr(said, "NVMEOT_INSECURE \"yes\" is not 1, true, 0 or false"));
}

static void test_wrong_arguments(void **state)
{
	char said[4096];

	(void)state;
	assert_int_not_equal(exits(ARGS((char *)"--no-such-flag"), said), 99);
	assert_non_null(strstr(said, "--no-such-flag"));
	assert_int_not_equal(exits(ARGS((char *)"--state-dir"), said), 0);
	assert_non_null(strstr(said, "state-dir"));
	assert_int_not_equal(exits(ARGS((char *)"--insecure=1"), said), 99);
	assert_int_not_equal(exits(ARGS((char *)"stray"), said), 99);
	assert_non_null(strstr(said, "unexpected argument \"stray\""));
	assert_int_equal(exits(ARGS((char *)"--help"), said), 0);
	assert_non_null(strstr(said, "--state-dir=DIR"));
	assert_int_equal(exits(ARGS((char *)"--version"), said), 0);
}

static void test_too_many(void **state)
{
	char value[3 * (OPTION_LIST_MAX + 1) + 1] = "", said[4096];

	(void)state;
	for (int i = 0; i < OPTION_LIST_MAX; i++)
		strcat(value, "a=");
	for (char *p = value; *p; p += 2)
		p[1] = ' ';
	setenv("NVMEOT_TARGET", value, 1);
	parse_with(NULL, ARGS());
	assert_int_equal(list.count, OPTION_LIST_MAX);
	strcat(value, "a");
	setenv("NVMEOT_TARGET", value, 1);
	list.count = 0;
	assert_int_equal(exits(ARGS(), said), 2);
	assert_non_null(strstr(said, "--target is given more than 256 times"));
}

/* Flags go before and after other words; what follows "--" is no flag, nor is a lone dash. */
static void test_positional(void **state)
{
	char **argv = ARGS((char *)"get", (char *)"--state-dir=/x", (char *)"-", (char *)"-i",
			   (char *)"--", (char *)"--no-flag");
	int first = parse_with("COMMAND", argv);

	(void)state;
	assert_true(flag);
	assert_string_equal(text, "/x");
	assert_string_equal(argv[first], "get");
	assert_string_equal(argv[first + 1], "-");
	assert_string_equal(argv[first + 2], "--no-flag");
	assert_null(argv[first + 3]);
	assert_int_equal(parse_with("COMMAND", ARGS()), 1);
}

static void test_split(void **state)
{
	char name[8] = "keep";
	const char *value = NULL;

	(void)state;
	assert_true(option_split("a=b=c", name, sizeof(name), &value));
	assert_string_equal(name, "a");
	assert_string_equal(value, "b=c");
	assert_true(option_split("1234567=", name, sizeof(name), &value));
	assert_string_equal(name, "1234567");
	assert_string_equal(value, "");
	assert_false(option_split("12345678=x", name, sizeof(name), &value));
	assert_false(option_split("=x", name, sizeof(name), &value));
	assert_false(option_split("x", name, sizeof(name), &value));
	assert_false(option_split("", name, sizeof(name), &value));
	assert_string_equal(name, "1234567");
}

static void test_target(void **state)
{
	static const char *const wrong[] = { "t1", "=127.0.0.1:1", "T1=127.0.0.1:1", "a b=x", "" };
	char name[TARGET_NAME_SIZE] = "keep";
	const char *address = "keep";
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(option_target(wrong[i], name, &address, &err), -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		assert_non_null(strstr(err.msg, wrong[i]));
	}
	assert_string_equal(name, "keep");
	assert_string_equal(address, "keep");
	assert_int_equal(option_target("t1=[::1]:9500", name, &address, &err), 0);
	assert_string_equal(name, "t1");
	assert_string_equal(address, "[::1]:9500");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_environment),
		TEST(test_empty_environment),
		TEST(test_argv_beats_environment),
		TEST(test_switch_values),
		TEST(test_wrong_arguments),
		TEST(test_too_many),
		TEST(test_positional),
		TEST(test_split),
		TEST(test_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
