/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lvm2's commands, by a made-up `lvm` on PATH: what is asked of it, how its reports are read, and
 * that each of its failures is an error that says what it said. With the real one: tests/vm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/file.h"
#include "nvme/target/lvm.h"

#define NAME "nvmeot-5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define REPORT(rows) "{ \"report\": [ { \"lv\": [" rows "] } ] }"
#define FACTS(zero)                                                                                \
	REPORT("{\"vg_extent_size\":\"4194304\", \"chunk_size\":\"65536\", \"zero\":\"" zero "\""  \
	       "}")

/* Appends its arguments to the log, and says and returns what the files beside it say. */
static const char script[] = "#!/bin/sh\n"
			     "dir=${0%/*}\n"
			     "echo \"$@\" >>$dir/log\n"
			     "[ ! -e $dir/answer ] || . $dir/answer\n"
			     "cat $dir/out\n"
			     "cat $dir/err >&2\n"
			     "exit $(cat $dir/status)\n";

static char dir[64], path[PATH_MAX];
static struct root root;
static struct lvm lvm;

static void put(const char *name, const char *text)
{
	struct err err;

	assert_int_equal(file_replace(&root, name, text, &err), 0);
}

static void answer(const char *out)
{
	put("out", out);
	put("err", "");
	put("status", "0");
}

static int setup(void **state)
{
	cleanup_free char *program = NULL;
	struct err err;

	(void)state;
	strcpy(dir, "/tmp/test_target_lvm.XXXXXX");
	if (!mkdtemp(dir) || root_open(&root, dir, &err) < 0)
		return -1;
	put("lvm", script);
	program = xasprintf("%s/lvm", dir);
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", dir);
	answer(FACTS("zero"));
	if (chmod(program, 0700) < 0 || setenv("PATH", path, 1) < 0 ||
	    lvm_open("vg/tp", &lvm, &err) < 0)
		return -1;
	put("log", "");
	return 0;
}

static int teardown(void **state)
{
	cleanup_root_names struct root_names names = { 0 };
	struct err err;

	(void)state;
	if (root_list(&root, &names, &err, ".") < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		if (root_unlink(&root, &err, "%s", names.names[i]) < 0)
			return -1;
	root_close(&root);
	return rmdir(dir);
}

static void assert_ran(const char *expected)
{
	cleanup_free char *log = NULL;
	struct err err;

	assert_int_equal(file_read(&root, "log", &log, &err), 1);
	if (!strstr(log, expected))
		fail_msg("\"%s\" is not in:\n%s", expected, log);
	assert_non_null(strstr(log, "--config activation{udev_sync=0 udev_rules=0}"));
}

static void test_open(void **state)
{
	(void)state;
	assert_string_equal(lvm.group, "vg");
	assert_string_equal(lvm.pool, "tp");
	assert_int_equal(lvm.extent_bytes, 4194304);
	assert_int_equal(lvm.chunk_bytes, 65536);
}

static void test_open_refusals(void **state)
{
	static const char *const malformed[] = { "",	    "vg",     "/tp",	"vg/",	"-vg/tp",
						 "vg/tp/x", "v g/tp", "vg/t;p", "../tp" };
	static const struct {
		const char *out, *message;
	} rows[] = {
		{ REPORT(""), "no thin pool vg/tp" }, { FACTS(""), "lvchange --zero y vg/tp" },
		{ "", "printed no report" },	      { "{}", "printed no report" },
		{ "[1,", "printed no report" },
	};
	struct lvm ignored;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(malformed); i++) {
		assert_int_equal(lvm_open(malformed[i], &ignored, &err), -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		answer(rows[i].out);
		assert_int_equal(lvm_open("vg/tp", &ignored, &err), -1);
		assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
		assert_non_null(strstr(err.msg, rows[i].message));
	}
	assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
	assert_int_equal(lvm_open("vg/tp", &ignored, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_int_equal(setenv("PATH", path, 1), 0);
}

static void test_list(void **state)
{
	cleanup_root_names struct root_names names = { 0 };
	struct err err;

	(void)state;
	answer(REPORT("{\"lv_name\":\"nvmeot-a\"},{\"lv_name\":\"nvmeot-b\"}"));
	assert_int_equal(lvm_list(&lvm, "nvmeot", "nvmeot-", &names, &err), 0);
	assert_int_equal(names.count, 2);
	assert_string_equal(names.names[0], "nvmeot-a");
	assert_string_equal(names.names[1], "nvmeot-b");
	assert_ran("-S tags=nvmeot && pool_lv=tp && lv_name=~^nvmeot- vg");
}

/* A report that is longer than what is captured is not cut: it is asked for in parts. */
static void test_long_list(void **state)
{
	cleanup_root_names struct root_names names = { 0 };
	struct err err;

	(void)state;
	put("answer", "case \"$*\" in\n"
		      "*'=~^nvmeot- vg') head -c 100000 /dev/zero | tr '\\0' x; exit 0;;\n"
		      "*'=~^nvmeot-7 vg') echo '" REPORT(
			      "{\\\"lv_name\\\":\\\"nvmeot-7a\\\"}") "' |"
								     " tr -d '\\\\'; exit 0;;\n"
								     "esac\n");
	answer(REPORT(""));
	assert_int_equal(lvm_list(&lvm, "nvmeot", "nvmeot-", &names, &err), 0);
	assert_int_equal(names.count, 1);
	assert_string_equal(names.names[0], "nvmeot-7a");
}

static void test_find(void **state)
{
	static const struct {
		const char *tags, *tag;
		bool expected;
	} rows[] = {
		{ "", "nvmeot", false },	  { "nvmeot", "nvmeot", true },
		{ "a,nvmeot", "nvmeot", true },	  { "nvmeot.formatting", "nvmeot", false },
		{ "nvmeot,b", "nvmeot", true },	  { "nvmeotx,b", "nvmeot", false },
		{ "a,xnvmeot", "nvmeot", false }, { "a,b,c", "c", true },
	};
	bool tagged = false;
	struct err err;

	(void)state;
	answer(REPORT(""));
	assert_int_equal(lvm_find(&lvm, NAME, "nvmeot", &tagged, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_free char *out =
			xasprintf(REPORT("{\"lv_name\":\"" NAME "\",\"pool_lv\":\"tp\","
					 "\"lv_tags\":\"%s\"}"),
				  rows[i].tags);

		answer(out);
		assert_int_equal(lvm_find(&lvm, NAME, rows[i].tag, &tagged, &err), 1);
		assert_int_equal(tagged, rows[i].expected);
	}
	answer(REPORT("{\"lv_name\":\"" NAME "\",\"pool_lv\":\"other\"}"));
	assert_int_equal(lvm_find(&lvm, NAME, "nvmeot", &tagged, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
}

static void test_changes(void **state)
{
	static const char *const tags[] = { "nvmeot", "nvmeot.formatting", NULL };
	struct err err;

	(void)state;
	assert_int_equal(lvm_create(&lvm, NAME, 4096, tags, &err), 0);
	assert_ran("lvcreate --config activation{udev_sync=0 udev_rules=0} --yes --name " NAME
		   " --virtualsize 4096b --thinpool tp --setactivationskip n --addtag nvmeot "
		   "--addtag nvmeot.formatting vg");
	assert_int_equal(lvm_activate(&lvm, "nvmeot", &err), 0);
	assert_ran("--activate y -S tags=nvmeot && pool_lv=tp vg");
	assert_int_equal(lvm_grow(&lvm, NAME, 8192, &err), 0);
	assert_ran("--yes --size 8192b vg/" NAME);
	assert_int_equal(lvm_untag(&lvm, NAME, "t", &err), 0);
	assert_ran("--deltag t vg/" NAME);
	assert_int_equal(lvm_remove(&lvm, NAME, &err), 0);
	assert_ran("lvremove");
}

static void test_failures_say_what_lvm_says(void **state)
{
	static const char *const tags[] = { NULL };
	cleanup_root_names struct root_names names = { 0 };
	struct err err[6];

	(void)state;
	put("status", "5");
	put("err", "  Device is\n  on fire\n");
	assert_int_equal(lvm_create(&lvm, NAME, 4096, tags, &err[0]), -1);
	assert_int_equal(lvm_activate(&lvm, "nvmeot", &err[1]), -1);
	assert_int_equal(lvm_grow(&lvm, NAME, 8192, &err[2]), -1);
	assert_int_equal(lvm_untag(&lvm, NAME, "t", &err[3]), -1);
	assert_int_equal(lvm_remove(&lvm, NAME, &err[4]), -1);
	assert_int_equal(lvm_list(&lvm, "nvmeot", "nvmeot-", &names, &err[5]), -1);
	for (size_t i = 0; i < ARRAY_SIZE(err); i++) {
		assert_int_equal(err[i].code, ERR_INTERNAL);
		assert_non_null(strstr(err[i].msg, "status 5:   Device is   on fire"));
	}
	put("err", "Free space in pool vg/tp is above threshold, new volumes are not allowed.");
	assert_int_equal(lvm_create(&lvm, NAME, 4096, tags, &err[0]), -1);
	assert_int_equal(err[0].code, ERR_RESOURCE_EXHAUSTED);
}

static void test_an_absent_one_is_removed(void **state)
{
	struct err err;

	(void)state;
	answer(REPORT(""));
	put("answer",
	    "case $1 in lvremove) echo 'Failed to find logical volume' >&2; exit 5;; esac\n");
	assert_int_equal(lvm_remove(&lvm, NAME, &err), 0);
}

static void test_names_of_devices(void **state)
{
	struct lvm other = { .group = "my-vg", .pool = "a-b" };
	char name[DM_NAME_SIZE], device[PATH_MAX];

	(void)state;
	assert_true(lvm_dm_name(&other, "x-y", "", name));
	assert_string_equal(name, "my--vg-x--y");
	assert_true(lvm_dm_name(&other, other.pool, "-tpool", name));
	assert_string_equal(name, "my--vg-a--b-tpool");
	lvm_path(&other, "x-y", device);
	assert_string_equal(device, "/dev/my-vg/x-y");
	memset(other.group, '-', 100);
	assert_false(lvm_dm_name(&other, "x", "", name));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_open),
		CASE(test_open_refusals),
		CASE(test_list),
		CASE(test_long_list),
		CASE(test_find),
		CASE(test_changes),
		CASE(test_failures_say_what_lvm_says),
		CASE(test_an_absent_one_is_removed),
		CASE(test_names_of_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
