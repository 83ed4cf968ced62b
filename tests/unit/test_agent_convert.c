/* SPDX-License-Identifier: Apache-2.0 */
/* The enumerations of the agent protocol, there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "csi/agent/convert.h"

#define WIRE(name) NVMEOT__TARGET__V1__ACCESS_MODE__ACCESS_MODE_##name

static void test_access(void **state)
{
	(void)state;
	assert_int_equal(convert_access_to_wire(VOLUME_SINGLE_NODE), WIRE(SINGLE_NODE));
	assert_int_equal(convert_access_to_wire(VOLUME_MULTI_WRITER), WIRE(MULTI_NODE_WRITER));
	assert_int_equal(convert_access_to_wire(VOLUME_MULTI_READER), WIRE(MULTI_NODE_READER));
	for (int i = 0; i < VOLUME_ACCESS_COUNT; i++) {
		enum volume_access back = VOLUME_ACCESS_COUNT;
		struct err err = ERR_INIT;

		assert_int_equal(
			convert_access_from_wire(convert_access_to_wire((enum volume_access)i),
						 &back, &err),
			0);
		assert_int_equal(back, i);
	}
}

static void test_bad_access(void **state)
{
	static const int bad[] = { WIRE(UNKNOWN), 4, -1, 2147483647 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		enum volume_access access = VOLUME_ACCESS_COUNT;
		struct err err = ERR_INIT;

		assert_int_equal(convert_access_from_wire((Nvmeot__Target__V1__AccessMode)bad[i],
							  &access, &err),
				 -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		assert_int_equal(access, VOLUME_ACCESS_COUNT);
	}
}

static void test_cache(void **state)
{
	struct err err = ERR_INIT;
	bool is_volatile;

	(void)state;
	for (int i = 0; i < 2; i++) {
		is_volatile = !i;
		assert_int_equal(
			convert_cache_from_wire(convert_cache_to_wire(i), &is_volatile, &err), 0);
		assert_int_equal(is_volatile, i);
	}
	/* Left out of a message is 0, and that must be the safe one. */
	assert_int_equal(convert_cache_to_wire(false), 0);
	assert_int_equal(
		convert_cache_from_wire((Nvmeot__Target__V1__WriteCache)2, &is_volatile, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_non_null(strstr(err.msg, "write_cache 2"));
}

#define STATUS(name) NVMEOT__TARGET__V1__CONDITION_STATUS__CONDITION_##name

static void test_status(void **state)
{
	(void)state;
	assert_int_equal(convert_status_to_wire(VOLUME_DEGRADED), STATUS(DEGRADED));
	assert_int_equal(convert_status_to_wire(VOLUME_INACCESSIBLE), STATUS(INACCESSIBLE));
	assert_int_equal(convert_status_to_wire(VOLUME_DATA_LOSS), STATUS(DATA_LOSS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_bad_access),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
