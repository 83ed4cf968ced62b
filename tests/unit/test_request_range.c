/* SPDX-License-Identifier: Apache-2.0 */
/* Capacity ranges: what is refused, and which one size comes out of the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "csi/request/range.h"
#include "nvme/base/cleanup.h"

#define GI (1ULL << 30)

static int parse(int64_t required, int64_t limit, struct range *ret, struct err *err)
{
	Csi__V1__CapacityRange wire = CSI__V1__CAPACITY_RANGE__INIT;

	wire.required_bytes = required;
	wire.limit_bytes = limit;
	*err = ERR_INIT;
	return range_parse(&wire, ret, err);
}

static void test_none(void **state)
{
	struct range range;
	struct err err = ERR_INIT;
	uint64_t size;

	(void)state;
	assert_int_equal(range_parse(NULL, &range, &err), 0);
	assert_int_equal(range.required_bytes, 0);
	assert_true(range.limit_bytes == RANGE_MAX_BYTES);
	assert_int_equal(range_size(&range, 0, &size, &err), 0);
	assert_true(size == RANGE_DEFAULT_BYTES);
}

static void test_refused(void **state)
{
	static const struct {
		int64_t required, limit;
		enum err_code code;
		const char *says;
	} rows[] = {
		{ -1, 0, ERR_INVALID_ARGUMENT, "-1" },
		{ 0, -1, ERR_INVALID_ARGUMENT, "-1" },
		{ INT64_MIN, INT64_MIN, ERR_INVALID_ARGUMENT, "-9223372036854775808" },
		{ 0, 0, ERR_INVALID_ARGUMENT, "both" },
		{ 4097, 4096, ERR_INVALID_ARGUMENT, "4097" },
		{ INT64_MAX, INT64_MAX - 1, ERR_INVALID_ARGUMENT, "9223372036854775806" },
		{ INT64_MAX, 0, ERR_OUT_OF_RANGE, "9223372036854775807" },
		{ INT64_MAX, INT64_MAX, ERR_OUT_OF_RANGE, "9223372036854775807" },
		{ (1LL << 50) + 1, 0, ERR_OUT_OF_RANGE, "1125899906842625" },
	};
	struct range range = { .required_bytes = 77 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err;

		assert_int_equal(parse(rows[i].required, rows[i].limit, &range, &err), -1);
		assert_int_equal(err.code, rows[i].code);
		assert_non_null(strstr(err.msg, "capacity_range"));
		assert_non_null(strstr(err.msg, rows[i].says));
	}
	assert_int_equal(range.required_bytes, 77);
}

static void test_size(void **state)
{
	static const struct {
		int64_t required, limit;
		uint64_t minimum, want; /* 0: OUT_OF_RANGE */
	} rows[] = {
		{ 4096, 0, 0, 4096 },
		{ 1, 0, 0, 4096 },
		{ 4097, 0, 0, 8192 },
		{ 4097, 8191, 0, 0 },
		{ 4097, 8192, 0, 8192 },
		{ 4096, 4096, 0, 4096 },
		{ 1, 4095, 0, 0 },
		{ 0, 1, 0, 0 },
		{ 0, 4095, 0, 0 },
		{ 0, 4096, 0, 4096 },
		{ 0, 10000, 0, 8192 },
		{ 0, GI, 0, GI },
		{ 0, GI - 1, 0, GI - 4096 },
		{ 0, 2 * GI, 0, GI },
		{ 0, INT64_MAX, 0, GI },
		{ 1, INT64_MAX, 0, 4096 },
		{ 1, 0, 300 << 20, 300 << 20 },
		{ 1, 300 << 20, 300 << 20, 300 << 20 },
		{ 1, (300 << 20) - 1, 300 << 20, 0 },
		{ 0, 100 << 20, 300 << 20, 0 },
		{ 5000, 0, 4999, 8192 },
		{ 1LL << 50, 0, 0, 1ULL << 50 },
		{ (1LL << 50) - 1, 0, 0, 1ULL << 50 },
		{ (1LL << 50) - 1, (1LL << 50) - 1, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct range range;
		struct err err;
		uint64_t size = 77;
		int rc;

		assert_int_equal(parse(rows[i].required, rows[i].limit, &range, &err), 0);
		rc = range_size(&range, rows[i].minimum, &size, &err);
		if (rows[i].want) {
			assert_int_equal(rc, 0);
			if (size != rows[i].want)
				fail_msg("row %zu: %llu", i, (unsigned long long)size);
		} else {
			if (rc != -1)
				fail_msg("row %zu gives %llu", i, (unsigned long long)size);
			assert_int_equal(err.code, ERR_OUT_OF_RANGE);
			assert_int_equal(size, 77);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
