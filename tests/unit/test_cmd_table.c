/* SPDX-License-Identifier: Apache-2.0 */
/* nvmeotctl's tables: what lines up with what, and sizes for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

/* Programs' own code is in no archive. */
#include "cmd/nvmeotctl/text.c"
#include "cmd/nvmeotctl/table.c"

static void assert_prints(const struct table *table, const char *want)
{
	cleanup_free char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	table_print(table, out);
	fclose(out);
	assert_string_equal(text, want);
}

static void add(struct table *table, const char *const *cells, size_t count)
{
	for (size_t i = 0; i < count; i++)
		table_add(table, xstrdup(cells[i]));
}

#define ADD(table, ...)                                                                            \
	add(table, (const char *const[]) { __VA_ARGS__ },                                          \
	    ARRAY_SIZE(((const char *const[]) { __VA_ARGS__ })))

static void test_widths_by_the_data(void **state)
{
	CLEANUP(table_fini) struct table table = { .columns = 3 };

	(void)state;
	assert_prints(&table, "");
	ADD(&table, "A", "LONGER", "LAST");
	assert_prints(&table, "A  LONGER  LAST\n");
	ADD(&table, "value", "b", "a text with blanks");
	ADD(&table, "", "c", "");
	assert_prints(&table, "A      LONGER  LAST\n"
			      "value  b       a text with blanks\n"
			      "-      c       -\n");
}

static void test_characters_not_bytes(void **state)
{
	CLEANUP(table_fini) struct table table = { .columns = 2 };

	(void)state;
	ADD(&table, "größe", "1", "abcde", "2");
	assert_prints(&table, "größe  1\nabcde  2\n");
}

/* A name from outside moves neither the cursor nor the lines. */
static void test_control_characters(void **state)
{
	CLEANUP(table_fini) struct table table = { .columns = 1 };

	(void)state;
	ADD(&table, "a\nb\033[2J\tc\177");
	ADD(&table, "a\302\2332J");
	assert_prints(&table, "a?b?[2J?c?\na?2J\n");
}

static void test_absent_cell(void **state)
{
	CLEANUP(table_fini) struct table table = { .columns = 1 };

	(void)state;
	table_add(&table, NULL);
	assert_prints(&table, "-\n");
}

static void test_many_rows(void **state)
{
	CLEANUP(table_fini) struct table table = { .columns = 2 };

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		ADD(&table, "x", "y");
	assert_int_equal(table.count, 2000);
	assert_string_equal(table.cells[1999], "y");
}

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{ 0, "0" },
		{ 1, "1" },
		{ 1023, "1023" },
		{ 1024, "1Ki" },
		{ 1536, "1.5Ki" },
		{ 10ULL << 30, "10Gi" },
		{ (10ULL << 30) + 1, "10.0Gi" },
		{ (1ULL << 40) - 1, "1023.9Gi" },
		{ 3ULL << 59, "1.5Ei" },
		{ UINT64_MAX, "15.9Ei" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		cleanup_free char *text = table_size(sizes[i].bytes);

		assert_string_equal(text, sizes[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_widths_by_the_data),
		cmocka_unit_test(test_characters_not_bytes),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_absent_cell),
		cmocka_unit_test(test_many_rows),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
