/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read from thin_ls, by a made-up one on PATH: its table, of any length up to a bound, and
 * that nothing is believed that is not as expected. With the real one: tests/vm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "nvme/target/thin_ls.h"
#include "tests/unit/thin_program.h"

#define AMPLE_MS 60000

static struct thin_ls list;

static int setup(void **state)
{
	(void)state;
	return programs_begin() < 0 || program_add("thin_ls") < 0;
}

static int teardown(void **state)
{
	(void)state;
	thin_ls_fini(&list);
	return programs_end();
}

static int read_within(uint64_t ms)
{
	err = ERR_INIT;
	return thin_ls_read("/dev/mapper/vg-tp_tmeta", deadline_after_ms(ms), &list, &err);
}

static void assert_own(unsigned id, uint64_t bytes)
{
	const struct thin_ls_volume *found = thin_ls_find(&list, id);

	assert_non_null(found);
	assert_int_equal(found->own_bytes, bytes);
}

static void test_a_table(void **state)
{
	(void)state;
	put("out", "       1       327680 \n       2            0 \n16777215 281474976710656\n");
	assert_int_equal(read_within(AMPLE_MS), 0);
	assert_int_equal(list.count, 3);
	assert_own(1, 327680);
	assert_own(2, 0);
	assert_own(16777215, UINT64_C(1) << 48);
	assert_null(thin_ls_find(&list, 0));
	assert_null(thin_ls_find(&list, 3));
	assert_ran("--metadata-snap --no-headers --format DEV,EXCLUSIVE_BYTES "
		   "/dev/mapper/vg-tp_tmeta\n");
	put("out", "");
	assert_int_equal(read_within(AMPLE_MS), 0);
	assert_int_equal(list.count, 0);
	assert_null(thin_ls_find(&list, 1));
}

/* In pieces of any size. */
static void test_many(void **state)
{
	(void)state;
	put("out", "");
	put("then", "exec seq -f '%.0f 65536 ' 1 65536");
	assert_int_equal(read_within(AMPLE_MS), 0);
	assert_int_equal(list.count, THIN_LS_MAX);
	for (unsigned id = 1; id <= THIN_LS_MAX; id++)
		assert_own(id, 65536);
	/* The program is not waited for: it would write for ever. */
	put("then", "seq -f '%.0f 65536 ' 1 65537; exec yes 3 4");
	assert_int_equal(read_within(AMPLE_MS), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "more than 65536 thin volumes"));
}

static void test_nothing_unexpected_is_believed(void **state)
{
	static const struct {
		const char *out, *message;
	} rows[] = {
		{ "1 65536 \n2 655", "did not print all of \"2 655\"" },
		{ "DEV EXCLUSIVE_BYTES \n", "\"DEV EXCLUSIVE_BYTES \"" },
		{ "1 65536 \n\n", "\"\"" },
		{ "1 \n", "\"1 \"" },
		{ "1 64KiB \n", "64KiB" },
		{ "1 -5 \n", "1 -5" },
		{ "1 65536 7 \n", "65536 7" },
		{ "1 65536 \n1 0 \n", "\"1 0 \"" },
		{ "2 65536 \n1 0 \n", "\"1 0 \"" },
		{ "123456789 1 \n", "123456789" },
		{ "1 1234567890123456789 \n", "1234567890123456789" },
	};
	char endless[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		put("out", rows[i].out);
		if (read_within(AMPLE_MS) == 0)
			fail_msg("row %zu is believed", i);
		assert_int_equal(err.code, ERR_INTERNAL);
		if (!strstr(err.msg, rows[i].message))
			fail_msg("row %zu: %s", i, err.msg);
	}
	memset(endless, ' ', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	put("out", endless);
	assert_int_equal(read_within(AMPLE_MS), -1);
	assert_non_null(strstr(err.msg, "not understood: \"   "));
}

static void test_failures(void **state)
{
	(void)state;
	put("out", "1 65536 \n");
	put("then", "echo no current metadata snap >&2; exit 1");
	assert_int_equal(read_within(AMPLE_MS), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "thin_ls failed with status 1: no current metadata snap"));
	put("then", "kill -9 $$");
	assert_int_equal(read_within(AMPLE_MS), -1);
	put("then", "exec sleep 1000");
	assert_int_equal(read_within(100), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	put("version", "thin_ls 1.0.4\n");
	assert_int_equal(read_within(AMPLE_MS), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "thin_ls is of version \"thin_ls 1.0.4\""));
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(read_within(AMPLE_MS), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "thin_ls"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_table),
		CASE(test_many),
		CASE(test_nothing_unexpected_is_believed),
		CASE(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
