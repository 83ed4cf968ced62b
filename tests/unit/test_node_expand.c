/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to expand, and volumes that are not here. What grows: tests/vm/cases/grown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "csi/node/expand.h"
#include "tests/unit/node_fixture.h"

static struct fixture_capability capability;
static Csi__V1__CapacityRange range;
static Csi__V1__NodeExpandVolumeRequest request;
static struct expand_request parsed;

static int setup(void **state)
{
	(void)state;
	request = (Csi__V1__NodeExpandVolumeRequest)CSI__V1__NODE_EXPAND_VOLUME_REQUEST__INIT;
	range = (Csi__V1__CapacityRange)CSI__V1__CAPACITY_RANGE__INIT;
	request.volume_id = (char *)ID;
	request.volume_path = (char *)"/pods/pod";
	request.capacity_range = &range;
	range.required_bytes = 4096;
	return 0;
}

static void refused(enum err_code code, const char *says)
{
	struct err err;

	node_fixture_refused(expand_parse(&request, &parsed, &err), &err, code, says);
}

static void test_whole(void **state)
{
	struct err err;

	(void)state;
	fixture_mount(&capability, MODE(SINGLE_NODE_READER_ONLY), "xfs", NULL, 0);
	request.volume_capability = &capability.capability;
	request.staging_target_path = (char *)"/staging";
	assert_int_equal(expand_parse(&request, &parsed, &err), 0);
	assert_string_equal(parsed.volume_id, ID);
	assert_string_equal(parsed.staging_path, "/staging");
	assert_int_equal(parsed.range.required_bytes, 4096);
	assert_true(parsed.has_access && parsed.reader && !parsed.block);
}

/* A CO need not say more than what and where. */
static void test_bare(void **state)
{
	struct err err;

	(void)state;
	request.capacity_range = NULL;
	assert_int_equal(expand_parse(&request, &parsed, &err), 0);
	assert_int_equal(parsed.range.required_bytes, 0);
	assert_int_equal(parsed.range.limit_bytes, RANGE_MAX_BYTES);
	assert_false(parsed.has_access);
	assert_string_equal(parsed.staging_path, "");
}

static void test_refused(void **state)
{
	(void)state;
	range.limit_bytes = 4095;
	refused(ERR_INVALID_ARGUMENT, "limit_bytes 4095 is less than required_bytes");
	range.limit_bytes = -1;
	refused(ERR_INVALID_ARGUMENT, "limit_bytes -1");
	request.volume_path = (char *)"";
	refused(ERR_INVALID_ARGUMENT, "volume_path is required");
	request.volume_id = (char *)"";
	refused(ERR_INVALID_ARGUMENT, "volume_id is required");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		TEST(test_whole),
		TEST(test_bare),
		TEST(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
