/* SPDX-License-Identifier: Apache-2.0 */
/* The error object: codes, errno texts, wrapping, and messages that do not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "nvme/base/err.h"

static void test_set(void **state)
{
	struct err err = { .sys = 5 };

	(void)state;
	assert_int_equal(err_set(&err, ERR_NOT_FOUND, "volume %s", "v1"), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(err.sys, 0);
	assert_string_equal(err.msg, "volume v1");
}

/* An errno is INTERNAL, whatever it is called. */
static void test_sys(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(err_sys(&err, ENOENT, "open %s", "/x"), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_int_equal(err.sys, ENOENT);
	assert_string_equal(err.msg, "open /x: No such file or directory");
	err_sys(&err, 99999, "open /x");
	assert_string_equal(err.msg, "open /x: unknown error");
}

static void test_wrap_keeps_the_rest(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	err_sys(&err, EBUSY, "umount");
	assert_int_equal(err_wrap(&err, "volume %d", 7), -1);
	assert_string_equal(err.msg, "volume 7: umount: Device or resource busy");
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_int_equal(err.sys, EBUSY);
	assert_int_equal(err_recode(&err, ERR_UNAVAILABLE), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_string_equal(err.msg, "volume 7: umount: Device or resource busy");
}

static void test_full(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_false(err_is_full(&err));
	err_sys(&err, EBUSY, "write");
	assert_false(err_is_full(&err));
	err_sys(&err, EDQUOT, "write");
	assert_true(err_is_full(&err));
	err_sys(&err, ENOSPC, "write");
	err_wrap(&err, "volume %d", 7);
	assert_true(err_is_full(&err));
}

/* What is wrapped may come from the error itself. */
static void test_wrap_of_full_message(void **state)
{
	char text[3 * ERR_MESSAGE_SIZE];
	struct err err = ERR_INIT;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&err, ERR_ABORTED, "%s", text);
	assert_int_equal(strlen(err.msg), ERR_MESSAGE_SIZE - 1);
	err_wrap(&err, "outer");
	assert_int_equal(strlen(err.msg), ERR_MESSAGE_SIZE - 1);
	assert_memory_equal(err.msg, "outer: aaa", 10);
	err_wrap(&err, "%s", text);
	assert_int_equal(strlen(err.msg), ERR_MESSAGE_SIZE - 1);
	err_sys(&err, ENOENT, "%s", text);
	assert_int_equal(strlen(err.msg), ERR_MESSAGE_SIZE - 1);
}

/* Every code has a canonical name of its own; a number that is no code is INTERNAL. */
static void test_names(void **state)
{
	(void)state;
	assert_string_equal(err_code_name(ERR_NONE), "OK");
	assert_string_equal(err_code_name(ERR_FAILED_PRECONDITION), "FAILED_PRECONDITION");
	assert_string_equal(err_code_name(ERR_CODE_COUNT), "INTERNAL");
	assert_string_equal(err_code_name((enum err_code) - 1), "INTERNAL");
	for (int a = 0; a < ERR_CODE_COUNT; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(err_code_name((enum err_code)a),
						err_code_name((enum err_code)b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_sys),
		cmocka_unit_test(test_wrap_keeps_the_rest),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_wrap_of_full_message),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
