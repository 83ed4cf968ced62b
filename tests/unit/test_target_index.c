/* SPDX-License-Identifier: Apache-2.0 */
/* The index: in order whatever the order of adding, found and walked from anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/target/index.h"

#define COUNT 1000

static char keys[COUNT][16];

static int fill(void **state)
{
	(void)state;
	for (int i = 0; i < COUNT; i++)
		snprintf(keys[i], sizeof(keys[i]), "%04d", i);
	return 0;
}

static void assert_order(const struct index *index)
{
	for (size_t i = 1; i < index->count; i++)
		assert_true(strcmp(index->items[i - 1], index->items[i]) < 0);
}

static void test_order_of_adding_does_not_matter(void **state)
{
	static const int steps[] = { 1, COUNT - 1, 7, 333 };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
		struct index index = { 0 };

		for (int i = 0, at = 0; i < COUNT; i++, at = (at + steps[s]) % COUNT)
			index_add(&index, keys[at]);
		assert_int_equal(index.count, COUNT);
		assert_order(&index);
		for (int i = 0; i < COUNT; i++)
			assert_ptr_equal(index_get(&index, keys[i]), keys[i]);
		index_fini(&index);
	}
}

static void test_absent_keys_have_a_place(void **state)
{
	struct index index = { 0 };
	size_t at = 99;

	(void)state;
	assert_false(index_find(&index, "x", &at));
	assert_int_equal(at, 0);
	for (int i = 0; i < COUNT; i += 2)
		index_add(&index, keys[i]);
	assert_false(index_find(&index, "", &at));
	assert_int_equal(at, 0);
	assert_false(index_find(&index, keys[1], &at));
	assert_int_equal(at, 1);
	assert_true(index_find(&index, keys[4], &at));
	assert_int_equal(at, 2);
	assert_false(index_find(&index, keys[COUNT - 1], &at));
	assert_int_equal(at, COUNT / 2);
	assert_null(index_get(&index, keys[1]));
	index_fini(&index);
}

static void test_remove(void **state)
{
	struct index index = { 0 };

	(void)state;
	for (int i = 0; i < COUNT; i++)
		index_add(&index, keys[i]);
	index_remove(&index, "absent");
	for (int i = 0; i < COUNT; i += 3)
		index_remove(&index, keys[i]);
	assert_order(&index);
	for (int i = 0; i < COUNT; i++)
		assert_ptr_equal(index_get(&index, keys[i]), i % 3 ? keys[i] : NULL);
	for (int i = 0; i < COUNT; i++)
		index_remove(&index, keys[i]);
	assert_int_equal(index.count, 0);
	index_fini(&index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_of_adding_does_not_matter),
		cmocka_unit_test(test_absent_keys_have_a_place),
		cmocka_unit_test(test_remove),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
