/* SPDX-License-Identifier: Apache-2.0 */
/* String maps of requests: look-up, and the specification's bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "csi/request/map.h"
#include "tests/unit/request_fixture.h"

static void test_get(void **state)
{
	struct fixture_map m = { 0 };

	(void)state;
	assert_null(map_get(fixture_map_of(&m), "a"));
	fixture_map_set(&m, "a", "1");
	fixture_map_set(&m, "ab", "");
	assert_string_equal(map_get(fixture_map_of(&m), "a"), "1");
	assert_string_equal(map_get(fixture_map_of(&m), "ab"), "");
	assert_null(map_get(fixture_map_of(&m), ""));
	assert_null(map_get(fixture_map_of(&m), "A"));
}

/* The entry types that protobuf-c makes really have the layout that map_get assumes. */
static void test_unpacked(void **state)
{
	Csi__V1__NodeStageVolumeRequest__VolumeContextEntry
		entry = CSI__V1__NODE_STAGE_VOLUME_REQUEST__VOLUME_CONTEXT_ENTRY__INIT,
		*entries[] = { &entry };
	Csi__V1__NodeStageVolumeRequest request = CSI__V1__NODE_STAGE_VOLUME_REQUEST__INIT;
	Csi__V1__NodeStageVolumeRequest *unpacked;
	uint8_t wire[64];
	size_t len;

	(void)state;
	entry.key = (char *)"nqn";
	entry.value = (char *)"x";
	request.volume_context = entries;
	request.n_volume_context = 1;
	len = csi__v1__node_stage_volume_request__pack(&request, wire);
	unpacked = csi__v1__node_stage_volume_request__unpack(NULL, len, wire);
	assert_non_null(unpacked);
	assert_string_equal(map_get(MAP_OF(unpacked, volume_context), "nqn"), "x");
	assert_null(map_get(MAP_OF(unpacked, publish_context), "nqn"));
	csi__v1__node_stage_volume_request__free_unpacked(unpacked, NULL);
}

static void test_size(void **state)
{
	struct fixture_map m = { 0 };
	char value[4097];
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(map_check_size("context", fixture_map_of(&m), &err), 0);
	memset(value, 'v', sizeof(value) - 1);
	value[4090] = '\0';
	fixture_map_set(&m, "key", value);
	fixture_map_set(&m, "k", "vv");
	assert_int_equal(map_check_size("context", fixture_map_of(&m), &err), 0);
	fixture_map_set(&m, "k", "vvv");
	assert_int_equal(map_check_size("context", fixture_map_of(&m), &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "context takes 4097 bytes; at most 4096 are allowed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_unpacked),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
