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

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "nvme/base/file.h"
#include "nvme/base/strb.h"
#include "nvme/target/lvm.h"

#define NAME "nvmeot-5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define REPORT(rows) "{ \"report\": [ { \"lv\": [" rows "] } ] }"
#define ROW(pool, tags)                                                                            \
	REPORT("{\"lv_name\":\"" NAME "\",\"pool_lv\":\"" pool "\",\"lv_tags\":\"" tags "\"}")
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
static bool no_turn;

/* A turn that comes within a minute of monotonic time, or not at all. */
int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	assert_int_equal(clock, CLOCK_MONOTONIC);
	assert_in_range(until->tv_sec - now.tv_sec, 50, 60);
	return no_turn ? ETIMEDOUT : pthread_mutex_lock(mutex);
}

/* What device-mapper says is suspended: the lines of a file, in which a refresh clears up. */
int dm_list_suspended(const char *prefix, struct root_names *ret, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };
	cleanup_free char *text = NULL;
	char *save = NULL;

	assert_string_equal(prefix, "vg-");
	if (file_read(&root, "suspended", &text, err) < 0)
		return -1;
	for (char *l = strtok_r(text ?: "", "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		names.names = xrealloc(names.names, names.count + 1, sizeof(*names.names));
		names.names[names.count++] = xstrdup(l);
	}
	*ret = names;
	names = (struct root_names) { 0 };
	return 0;
}

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
	lvm_close(&lvm);
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

static void assert_not_ran(const char *unexpected)
{
	cleanup_free char *log = NULL;
	struct err err;

	assert_int_equal(file_read(&root, "log", &log, &err), 1);
	assert_null(strstr(log, unexpected));
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

/* Answers a list as the real one does: by the regular expression. */
static const char lists[] = "re=${*##*=~}\n"
			    "rows=$(grep -E -e \"${re% vg}\" $dir/names |"
			    " sed 's/.*/{\"lv_name\":\"&\"},/')\n"
			    "printf '{\"report\":[{\"lv\":[%s]}]}' \"${rows%,}\"\n"
			    "exit 0\n";

/* A report that is longer than what is captured is not cut: it is asked for in parts. */
static void test_long_list(void **state)
{
	static char text[2000 * sizeof(NAME)];
	struct strb all = strb_over(text, sizeof(text));
	cleanup_root_names struct root_names names = { 0 };
	struct err err;

	(void)state;
	for (unsigned i = 0; i < 1500; i++)
		strb_addf(&all, "nvmeot-%08x-6f0c-4f0e-9f0a-0b6f3f6c2a11\n", i * 2654435761U);
	strb_add(&all, "other\nnvmeot-records-tp\n");
	assert_false(all.overflow);
	put("names", text);
	put("answer", lists);
	assert_int_equal(lvm_list(&lvm, "nvmeot", "nvmeot-", &names, &err), 0);
	assert_int_equal(names.count, 1500);
	for (size_t i = 0; i < names.count; i++)
		assert_non_null(strstr(text, names.names[i]));
}

static void test_endless_list(void **state)
{
	cleanup_root_names struct root_names names = { 0 };
	struct err err;

	(void)state;
	put("answer", "head -c 100000 /dev/zero | tr '\\0' x\nexit 0\n");
	assert_int_equal(lvm_list(&lvm, "nvmeot", "nvmeot-", &names, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "printed too much for tags=nvmeot && pool_lv=tp && "
					"lv_name=~^nvmeot-000000000000000000000000000000000000"));
	assert_int_equal(names.count, 0);
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
	assert_int_equal(lvm_activate(&lvm, NAME, &err), 0);
	assert_ran("--activate y vg/" NAME);
	assert_int_equal(lvm_grow(&lvm, NAME, 8192, &err), 0);
	assert_ran("--yes --size 8192b vg/" NAME);
	assert_int_equal(lvm_refresh(&lvm, NAME, &err), 0);
	assert_ran("--refresh vg/" NAME);
	assert_int_equal(lvm_untag(&lvm, NAME, "t", &err), 0);
	assert_ran("--deltag t vg/" NAME);
	answer(ROW("tp", "nvmeot"));
	assert_int_equal(lvm_remove(&lvm, NAME, "nvmeot", &err), 0);
	assert_ran("--yes vg/" NAME);
}

/* What another thin pool holds, or somebody else made, is never removed. */
static void test_others_are_not_removed(void **state)
{
	static const struct {
		const char *out, *message;
	} rows[] = {
		{ ROW("other", "nvmeot"), "vg/" NAME " is not in thin pool tp" },
		{ ROW("", "nvmeot"), "vg/" NAME " is not in thin pool tp" },
		{ ROW("tp", "a,nvmeot.formatting"), "vg/" NAME " has not the tag nvmeot, " },
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		answer(rows[i].out);
		assert_int_equal(lvm_claim(&lvm, NAME, "nvmeot", &err), -1);
		assert_int_equal(lvm_remove(&lvm, NAME, "nvmeot", &err), -1);
		assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
		assert_non_null(strstr(err.msg, rows[i].message));
		assert_not_ran("lvremove");
	}
	answer(ROW("tp", "a,nvmeot"));
	assert_int_equal(lvm_claim(&lvm, NAME, "nvmeot", &err), 1);
	answer(REPORT(""));
	assert_int_equal(lvm_claim(&lvm, NAME, "nvmeot", &err), 0);
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
	assert_int_equal(lvm_activate(&lvm, NAME, &err[1]), -1);
	assert_int_equal(lvm_grow(&lvm, NAME, 8192, &err[2]), -1);
	assert_int_equal(lvm_untag(&lvm, NAME, "t", &err[3]), -1);
	assert_int_equal(lvm_remove(&lvm, NAME, "nvmeot", &err[4]), -1);
	assert_int_equal(lvm_list(&lvm, "nvmeot", "nvmeot-", &names, &err[5]), -1);
	for (size_t i = 0; i < ARRAY_SIZE(err); i++) {
		assert_int_equal(err[i].code, ERR_INTERNAL);
		assert_non_null(strstr(err[i].msg, "status 5:   Device is   on fire"));
	}
	put("err", "Free space in pool vg/tp is above threshold, new volumes are not allowed.");
	assert_int_equal(lvm_create(&lvm, NAME, 4096, tags, &err[0]), -1);
	assert_int_equal(err[0].code, ERR_RESOURCE_EXHAUSTED);
	put("err", "VG vg 300 metadata on /dev/loop0 (521791 bytes) exceeds maximum metadata size "
		   "(521472 bytes)");
	assert_int_equal(lvm_snapshot(&lvm, NAME, "nvmeot-x", tags, &err[0]), -1);
	assert_int_equal(err[0].code, ERR_RESOURCE_EXHAUSTED);
	assert_non_null(strstr(err[0].msg, "--metadatasize in pvcreate(8)"));
}

/* Also one that somebody else removes in that moment. */
static void test_an_absent_one_is_removed(void **state)
{
	struct err err;

	(void)state;
	answer(REPORT(""));
	assert_int_equal(lvm_remove(&lvm, NAME, "nvmeot", &err), 0);
	answer(ROW("tp", "nvmeot"));
	put("rows", REPORT(""));
	put("answer", "case $1 in lvremove) mv $dir/rows $dir/out\n"
		      "echo 'Failed to find logical volume' >&2; exit 5;; esac\n");
	assert_int_equal(lvm_remove(&lvm, NAME, "nvmeot", &err), 0);
	answer(ROW("tp", "nvmeot"));
	put("answer", "case $1 in lvremove) echo 'in use' >&2; exit 5;; esac\n");
	assert_int_equal(lvm_remove(&lvm, NAME, "nvmeot", &err), -1);
	assert_non_null(strstr(err.msg, "remove a thin volume: lvm lvremove failed with status 5"));
}

/* All of this group, and what is ours among it. */
static const char suspended[] = "vg-root\n"
				"vg-nvmeot--5d5f4a53--6f0c--4f0e--9f0a--0b6f3f6c2a11\n"
				"vg-tp2-tpool\n"
				"vg-tp-tpool\n"
				"vg-tp_tmeta\n"
				"vg-nvmeot--records--tp\n";

static char *refreshed(void)
{
	cleanup_free char *log = NULL;
	char *found = xstrdup(""), *save = NULL;
	struct err err;

	assert_int_equal(file_read(&root, "log", &log, &err), 1);
	for (char *l = strtok_r(log, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		cleanup_free char *before = found;

		found = xasprintf("%s%s%s", before, strstr(l, "--refresh") ? strrchr(l, ' ') : "",
				  strstr(l, "lvextend") ? " lvextend" : "");
	}
	return found;
}

/* Of a command that was killed: lvm2 resumes them, those underneath first, foreign ones never. */
static void test_suspended_devices_are_resumed(void **state)
{
	static const char all[] = " vg/tp vg/" NAME " vg/nvmeot-records-tp";
	cleanup_free char *at_open = NULL, *after_failure = NULL;
	struct lvm other = { 0 };
	struct err err;

	(void)state;
	put("suspended", suspended);
	put("answer", "case $* in *nvmeot-records-tp) echo vg-root >$dir/suspended;; esac\n");
	assert_int_equal(lvm_open("vg/tp", &other, &err), 0);
	lvm_close(&other);
	at_open = refreshed();
	assert_string_equal(at_open, all);
	put("log", "");
	put("suspended", "");
	put("answer", "case $* in\n"
		      "lvextend*) echo vg-tp-tpool >$dir/suspended; kill -9 $$;;\n"
		      "*--refresh*vg/tp) : >$dir/suspended;;\n"
		      "esac\n");
	assert_int_equal(lvm_grow(&lvm, NAME, 8192, &err), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	after_failure = refreshed();
	assert_string_equal(after_failure, " lvextend vg/tp");
}

static void test_one_that_stays_suspended_is_named(void **state)
{
	cleanup_free char *tried = NULL;
	struct lvm other = { 0 };
	struct err err;

	(void)state;
	put("suspended", suspended);
	put("answer", "case $* in *--refresh*) echo 'no way' >&2; exit 5;; esac\n");
	assert_int_equal(lvm_open("vg/tp", &other, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(
		err.msg,
		"dmsetup resume vg-nvmeot--records--tp; refresh a thin volume: lvm lvchange failed "
		"with status 5: no way"));
	/* Over a part that is suspended alone lvm2 itself would hang. */
	put("log", "");
	put("suspended", "vg-tp_tdata\nvg-nvmeot--records--tp\n");
	assert_int_equal(lvm_open("vg/tp", &other, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	tried = refreshed();
	assert_string_equal(tried, "");
	put("answer", "echo 'on fire' >&2; exit 5\n");
	assert_int_equal(lvm_grow(&lvm, NAME, 8192, &err), -1);
	assert_non_null(strstr(err.msg, "stays so: dmsetup resume"));
	assert_non_null(strstr(err.msg, "grow a thin volume: lvm lvextend failed with status 5"));
}

static void *grow(void *unused)
{
	struct err err;

	(void)unused;
	return lvm_grow(&lvm, NAME, 8192, &err) == 0 ? &lvm : NULL;
}

/* A command that changes something never begins while another one is at work. */
static void test_changes_go_one_by_one(void **state)
{
	pthread_t threads[4];

	(void)state;
	put("answer", "mkdir $dir/at-work || { echo overlap >>$dir/log; exit 1; }\n"
		      "sleep 0.05\n"
		      "rmdir $dir/at-work\n");
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, grow, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *result = NULL;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_non_null(result);
	}
	assert_not_ran("overlap");
}

/* Who has waited too long has begun nothing. */
static void test_a_turn_that_does_not_come(void **state)
{
	static const char *const tags[] = { NULL };
	struct err err[4];

	(void)state;
	no_turn = true;
	assert_int_equal(lvm_create(&lvm, NAME, 4096, tags, &err[0]), -1);
	assert_int_equal(lvm_activate(&lvm, NAME, &err[1]), -1);
	assert_int_equal(lvm_grow(&lvm, NAME, 8192, &err[2]), -1);
	assert_int_equal(lvm_refresh(&lvm, NAME, &err[3]), -1);
	no_turn = false;
	for (size_t i = 0; i < ARRAY_SIZE(err); i++) {
		assert_int_equal(err[i].code, ERR_UNAVAILABLE);
		assert_non_null(strstr(err[i].msg, "volume group vg is busy"));
	}
	assert_int_equal(lvm_grow(&lvm, NAME, 8192, &err[0]), 0);
	assert_ran("lvextend");
	assert_not_ran("lvcreate");
}

static void test_names_of_devices(void **state)
{
	struct lvm other = { .group = "my-vg", .pool = "a-b" };
	char name[DM_NAME_SIZE];

	(void)state;
	assert_true(lvm_dm_name(&other, "x-y", "", name));
	assert_string_equal(name, "my--vg-x--y");
	assert_true(lvm_dm_name(&other, other.pool, "-tpool", name));
	assert_string_equal(name, "my--vg-a--b-tpool");
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
		CASE(test_endless_list),
		CASE(test_find),
		CASE(test_changes),
		CASE(test_others_are_not_removed),
		CASE(test_failures_say_what_lvm_says),
		CASE(test_an_absent_one_is_removed),
		CASE(test_suspended_devices_are_resumed),
		CASE(test_one_that_stays_suspended_is_named),
		CASE(test_changes_go_one_by_one),
		CASE(test_a_turn_that_does_not_come),
		CASE(test_names_of_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
