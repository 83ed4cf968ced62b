/* SPDX-License-Identifier: Apache-2.0 */
/* The hash, against the published values of FNV-1a. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "nvme/base/hash.h"

static void test_published_values(void **state)
{
	(void)state;
	assert_int_equal(hash_add(HASH_BEGIN, ""), 0xcbf29ce484222325ULL);
	assert_int_equal(hash_add(HASH_BEGIN, "a"), 0xaf63dc4c8601ec8cULL);
	assert_int_equal(hash_add(HASH_BEGIN, "foobar"), 0x85944171f73967e8ULL);
}

static void test_parts_are_as_the_whole(void **state)
{
	(void)state;
	assert_int_equal(hash_add(hash_add(HASH_BEGIN, "foo"), "bar"),
			 hash_add(HASH_BEGIN, "foobar"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_values),
		cmocka_unit_test(test_parts_are_as_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
