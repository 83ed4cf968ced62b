/* SPDX-License-Identifier: Apache-2.0 */
/* What is made of a volume's paths. What the kernel shows: tests/vm/cases/stats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "csi/node/health.h"

static struct host_path made[3];
static Csi__V1__VolumeHealthErrorType status;
static const char *reason;

static struct host_path path(const char *state, const char *ana)
{
	struct host_path ret = { 0 };

	snprintf(ret.controller.state, sizeof(ret.controller.state), "%s", state);
	snprintf(ret.ana, sizeof(ret.ana), "%s", ana);
	return ret;
}

static int judge(size_t count)
{
	struct host_path_list paths = { .list = made, .count = count };

	return health_of_paths(&paths, &status, &reason);
}

static void expect(size_t count, Csi__V1__VolumeHealthErrorType wanted, const char *name)
{
	assert_int_equal(judge(count), 1);
	assert_int_equal(status, wanted);
	assert_string_equal(reason, name);
}

static void test_well(void **state)
{
	(void)state;
	made[0] = path("live", "");
	assert_int_equal(judge(1), 0);
	made[0] = path("live", "optimized");
	made[1] = path("live", "non-optimized");
	assert_int_equal(judge(2), 0);
	/* A standby. */
	made[1] = path("live", "inaccessible");
	assert_int_equal(judge(2), 0);
}

static void test_lost(void **state)
{
	(void)state;
	made[0] = path("live", "optimized");
	made[1] = path("connecting", "optimized");
	expect(2, CSI__V1__VOLUME_HEALTH_ERROR_TYPE__DEGRADED, "PathLost");
	made[1] = path("live", "persistent-loss");
	expect(2, CSI__V1__VOLUME_HEALTH_ERROR_TYPE__DEGRADED, "PathLost");
}

static void test_none(void **state)
{
	(void)state;
	expect(0, CSI__V1__VOLUME_HEALTH_ERROR_TYPE__INACCESSIBLE, "NoPath");
	made[0] = path("connecting", "optimized");
	made[1] = path("live", "inaccessible");
	made[2] = path("deleting", "");
	expect(3, CSI__V1__VOLUME_HEALTH_ERROR_TYPE__INACCESSIBLE, "NoPath");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_well),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
