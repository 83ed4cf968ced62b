/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read from thin_delta, by a made-up one on PATH: which ranges are told, in lists of any
 * length, cut where they are to be, and that nothing is believed that is not as expected. With the
 * real one: tests/vm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "nvme/target/thin_delta.h"
#include "tests/unit/thin_program.h"

#define AMPLE_MS 60000
#define CHUNK UINT64_C(65536)
#define HEAD "<superblock uuid=\"\" time=\"2\" transaction=\"3\" data_block_size=\"128\" "
#define BEGIN HEAD "nr_data_blocks=\"0\">\n  <diff left=\"2\" right=\"3\">\n"
#define END "  </diff>\n</superblock>\n"
#define RANGE(kind, begin, length) "    <" kind " begin=\"" #begin "\" length=\"" #length "\"/>\n"
#define SOME                                                                                       \
	RANGE("left_only", 3, 1)                                                                   \
	RANGE("different", 4, 1)                                                                   \
	RANGE("same", 5, 2)                                                                        \
	RANGE("same", 100, 1)                                                                      \
	RANGE("right_only", 200, 8)

static struct extent items[64];
static struct extents list;
static struct thin_delta_query query;

static int setup(void **state)
{
	(void)state;
	query = (struct thin_delta_query) {
		.device = "/dev/mapper/vg-tp_tmeta",
		.snapshot_block = 51,
		.id = 3,
		.base_id = 2,
		.chunk_bytes = CHUNK,
	};
	return programs_begin() < 0 || program_add("thin_delta") < 0;
}

static int teardown(void **state)
{
	(void)state;
	return programs_end();
}

static int read_some(size_t max)
{
	list = (struct extents) { .items = items, .max = max, .size_bytes = 1024 * CHUNK };
	err = ERR_INIT;
	return thin_delta_read(&query, deadline_after_ms(AMPLE_MS), &list, &err);
}

static void assert_range(size_t i, uint64_t begin, uint64_t length)
{
	assert_true(i < list.count);
	assert_int_equal(list.items[i].offset_bytes, begin);
	assert_int_equal(list.items[i].length_bytes, length);
}

static void test_what_differs(void **state)
{
	(void)state;
	put("out", BEGIN SOME END);
	assert_int_equal(read_some(64), 0);
	assert_int_equal(list.count, 2);
	assert_range(0, 3 * CHUNK, 2 * CHUNK);
	assert_range(1, 200 * CHUNK, 8 * CHUNK);
	assert_int_equal(list.next_bytes, list.size_bytes);
	assert_ran("--snap1=2 --snap2=3 --metadata-snap=51 /dev/mapper/vg-tp_tmeta\n");
}

static void test_what_a_volume_has(void **state)
{
	(void)state;
	query.base_id = 3;
	put("out", HEAD "nr_data_blocks=\"0\"><diff left=\"3\" right=\"3\">" RANGE("same", 5, 2)
			   RANGE("same", 100, 1) "</diff></superblock>");
	assert_int_equal(read_some(64), 0);
	assert_int_equal(list.count, 2);
	assert_range(0, 5 * CHUNK, 2 * CHUNK);
	assert_range(1, 100 * CHUNK, CHUNK);
}

static void test_nothing_differs(void **state)
{
	(void)state;
	put("out", BEGIN END);
	assert_int_equal(read_some(64), 0);
	assert_int_equal(list.count, 0);
	assert_int_equal(list.next_bytes, list.size_bytes);
}

static void test_cut_to_what_is_asked_for(void **state)
{
	(void)state;
	put("out", BEGIN SOME RANGE("right_only", 1000, 100) RANGE("left_only", 5000, 7) END);
	query.start_bytes = 4 * CHUNK + 8192;
	assert_int_equal(read_some(64), 0);
	assert_int_equal(list.count, 3);
	assert_range(0, 4 * CHUNK + 8192, CHUNK - 8192);
	assert_range(1, 200 * CHUNK, 8 * CHUNK);
	assert_range(2, 1000 * CHUNK, 24 * CHUNK);
	query.start_bytes = 208 * CHUNK;
	assert_int_equal(read_some(64), 0);
	assert_int_equal(list.count, 1);
}

/* The program is not waited for: it would write for ever. */
static void test_full_list(void **state)
{
	(void)state;
	put("out", BEGIN SOME);
	put("then", "exec cat /dev/zero");
	assert_int_equal(read_some(1), 0);
	assert_int_equal(list.count, 1);
	assert_range(0, 3 * CHUNK, 2 * CHUNK);
	assert_int_equal(list.next_bytes, 200 * CHUNK);
}

/* In pieces of any size, more than is ever kept of it. */
static void test_long_output(void **state)
{
	(void)state;
	put("out", BEGIN);
	put("then", "i=0\n"
		    "while [ $i -lt 20000 ]; do\n"
		    "echo \"<same begin='$i' length='1'/>\"\n"
		    "i=$((i + 1))\n"
		    "done | tr \"'\" '\"'\n"
		    "echo '<right_only begin=\"20000\" length=\"1\"/></diff></superblock>'\n");
	list.size_bytes = 0;
	assert_int_equal(read_some(64), 0);
	assert_int_equal(list.count, 0);
	list = (struct extents) { .items = items, .max = 64, .size_bytes = 30000 * CHUNK };
	assert_int_equal(thin_delta_read(&query, deadline_after_ms(AMPLE_MS), &list, &err), 0);
	assert_int_equal(list.count, 1);
	assert_range(0, 20000 * CHUNK, CHUNK);
}

static void test_nothing_unexpected_is_believed(void **state)
{
	static const struct {
		const char *out, *message;
	} rows[] = {
		{ "", "did not print all of it" },
		{ BEGIN, "did not print all of it" },
		{ BEGIN SOME "  </diff>\n", "did not print all of it" },
		{ BEGIN "  <same begin=\"1\" len", "did not print all of it" },
		{ "<thing>", "\"thing\"" },
		{ "no", "\"n\"" },
		{ "<superblock data_block_size=\"256\">", "data_block_size=\"256\"" },
		{ "<superblock>", "\"superblock\"" },
		{ HEAD "><diff left=\"2\" right=\"4\">", "right=\"4\"" },
		{ HEAD "><diff left=\"1\" right=\"3\">", "left=\"1\"" },
		{ BEGIN RANGE("other", 1, 1) END, "other begin" },
		{ BEGIN RANGE("samesame", 1, 1) END, "samesame begin" },
		{ BEGIN RANGE("same", 4, 2) RANGE("different", 5, 1) END, "different begin" },
		{ BEGIN RANGE("different", -1, 1) END, "-1" },
		{ BEGIN RANGE("different", 1, 0) END, "length=\"0\"" },
		{ BEGIN RANGE("different", 1x, 1) END, "1x" },
		{ BEGIN "<different begin=\"1\"/>" END, "different begin" },
		{ BEGIN RANGE("different", 1, 140737488355328) END, "140737488355328" },
		{ BEGIN RANGE("different", 99999999999999999999, 1) END, "99999999999" },
		{ BEGIN END "<superblock>", "\"superblock\"" },
		{ BEGIN "<!-- more -->" END, "!-- more" },
	};
	char endless[700];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		put("out", rows[i].out);
		if (read_some(64) == 0)
			fail_msg("row %zu is believed", i);
		assert_int_equal(err.code, ERR_INTERNAL);
		if (!strstr(err.msg, rows[i].message) || !strstr(err.msg, "volumes 2 and 3"))
			fail_msg("row %zu: %s", i, err.msg);
	}
	memset(endless, 'x', sizeof(endless) - 1);
	endless[0] = '<';
	endless[sizeof(endless) - 1] = '\0';
	put("out", endless);
	assert_int_equal(read_some(64), -1);
	assert_non_null(strstr(err.msg, "not understood: \"xxxx"));
}

static void test_failures(void **state)
{
	(void)state;
	put("out", BEGIN SOME END);
	put("then", "printf 'no current metadata snap\\nUsage: of it\\n' >&2; exit 1");
	assert_int_equal(read_some(64), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "failed with status 1: no current metadata snap"));
	assert_null(strstr(err.msg, "Usage"));
	put("then", "kill -9 $$");
	assert_int_equal(read_some(64), -1);
	put("then", "exec sleep 1000");
	assert_int_equal(thin_delta_read(&query, deadline_after_ms(100), &list, &err), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(read_some(64), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "thin_delta"));
}

/* One that is known to leave out what differs, one that nobody knows, and none at all. */
static void test_other_versions(void **state)
{
	static const char *const versions[] = { "thin_delta 1.0.4\n", "0.10.0\n", "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		put("version", versions[i]);
		assert_int_equal(read_some(64), -1);
		assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
		assert_non_null(strstr(err.msg, "only of 0.9.x it is known"));
		assert_false(root_exists(&root, "log"));
	}
	assert_non_null(strstr(err.msg, "of version \"\""));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_differs),    CASE(test_what_a_volume_has),
		CASE(test_nothing_differs), CASE(test_cut_to_what_is_asked_for),
		CASE(test_full_list),	    CASE(test_long_output),
		CASE(test_other_versions),  CASE(test_nothing_unexpected_is_believed),
		CASE(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
