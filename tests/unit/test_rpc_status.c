/* SPDX-License-Identifier: Apache-2.0 */
/* Error codes and gRPC status numbers: there and back, and what has no counterpart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "csi/rpc/status.h"

static void test_there_and_back(void **state)
{
	(void)state;
	for (int code = 0; code < ERR_CODE_COUNT; code++)
		assert_int_equal(rpc_err_of_status(rpc_status_of((enum err_code)code)), code);
}

/* The numbers that doc/statuscodes.md of gRPC gives. */
static void test_numbers(void **state)
{
	(void)state;
	assert_int_equal(rpc_status_of(ERR_NONE), 0);
	assert_int_equal(rpc_status_of(ERR_INVALID_ARGUMENT), 3);
	assert_int_equal(rpc_status_of(ERR_NOT_FOUND), 5);
	assert_int_equal(rpc_status_of(ERR_FAILED_PRECONDITION), 9);
	assert_int_equal(rpc_status_of(ERR_ABORTED), 10);
	assert_int_equal(rpc_status_of(ERR_UNAVAILABLE), 14);
	assert_int_equal(rpc_status_of(ERR_UNAUTHENTICATED), 16);
}

static void test_strangers_are_internal(void **state)
{
	(void)state;
	assert_int_equal(rpc_status_of(ERR_CODE_COUNT), 13);
	assert_int_equal(rpc_status_of((enum err_code) - 1), 13);
	assert_int_equal(rpc_err_of_status(2), ERR_INTERNAL);
	assert_int_equal(rpc_err_of_status(99), ERR_INTERNAL);
	assert_int_equal(rpc_err_of_status(-1), ERR_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_strangers_are_internal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
