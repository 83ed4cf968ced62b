/* SPDX-License-Identifier: Apache-2.0 */
/* Expanding and modifying: sizes, what the target is asked, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csi/controller/change.h"
#include "tests/unit/controller_fixture.h"
#include "tests/unit/request_fixture.h"

#define GI (1LL << 30)

struct expand {
	Csi__V1__CapacityRange range;
	struct fixture_capability capability;
	Csi__V1__ControllerExpandVolumeRequest request;
	Csi__V1__ControllerExpandVolumeResponse response;
};

/* Do not move it. */
static void make(struct expand *e, int64_t required, int64_t limit)
{
	*e = (struct expand) { 0 };
	csi__v1__capacity_range__init(&e->range);
	csi__v1__controller_expand_volume_request__init(&e->request);
	csi__v1__controller_expand_volume_response__init(&e->response);
	e->range.required_bytes = required;
	e->range.limit_bytes = limit;
	e->request.capacity_range = &e->range;
	e->request.volume_id = (char *)ID_A;
}

static void test_sizes(void **state)
{
	static const struct {
		int64_t present, required, limit, size; /* size 0: ERR_OUT_OF_RANGE */
		const char *says;
	} rows[] = {
		{ GI, 2 * GI, 0, 2 * GI, NULL },
		{ GI, GI, GI, GI, NULL },
		{ GI, 4096, 0, GI, NULL },
		{ GI, 0, GI, GI, NULL },
		{ GI, 0, 2 * GI, GI, NULL },
		{ GI, GI + 1, 0, GI + 4096, NULL },
		{ GI, GI + 1, GI + 4096, GI + 4096, NULL },
		{ GI, GI + 1, GI + 4095, 0, "smallest possible size is 1073745920" },
		{ GI, 0, GI - 1, 0, "more than limit_bytes 1073741823; volumes do not shrink" },
		{ GI, 4096, GI / 2, 0, "do not shrink" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct expand_spec spec;
		struct expand e;
		struct err err = ERR_INIT;
		uint64_t size = 77;
		int rc;

		make(&e, rows[i].required, rows[i].limit);
		assert_int_equal(expand_spec_parse(&e.request, &spec, &err), 0);
		rc = expand_spec_size(&spec, (uint64_t)rows[i].present, &size, &err);
		if (rows[i].size) {
			assert_int_equal(rc, 0);
			assert_true(size == (uint64_t)rows[i].size);
			continue;
		}
		assert_int_equal(rc, -1);
		assert_int_equal(size, 77);
		assert_int_equal(err.code, ERR_OUT_OF_RANGE);
		if (!strstr(err.msg, rows[i].says))
			fail_msg("\"%s\" does not say \"%s\"", err.msg, rows[i].says);
	}
}

static void test_bad_requests(void **state)
{
	struct expand e;

	(void)state;
	a.has_volume = true;
	make(&e, 2 * GI, 0);
	e.request.volume_id = (char *)"";
	CALL_FAILS(change_expand, &e.request, &e.response, ERR_INVALID_ARGUMENT, "volume_id");
	make(&e, 2 * GI, 0);
	e.request.capacity_range = NULL;
	CALL_FAILS(change_expand, &e.request, &e.response, ERR_INVALID_ARGUMENT,
		   "capacity_range is required and missing");
	make(&e, 0, 0);
	CALL_FAILS(change_expand, &e.request, &e.response, ERR_INVALID_ARGUMENT, "both 0");
	make(&e, 2 * GI, GI);
	CALL_FAILS(change_expand, &e.request, &e.response, ERR_INVALID_ARGUMENT, "less than");
	make(&e, INT64_MAX, 0);
	CALL_FAILS(change_expand, &e.request, &e.response, ERR_OUT_OF_RANGE, "largest volume");
	make(&e, 2 * GI, 0);
	e.request.volume_capability = fixture_mount(&e.capability, 99, "", NULL, 0);
	CALL_FAILS(change_expand, &e.request, &e.response, ERR_INVALID_ARGUMENT, "access_mode 99");
	make(&e, 2 * GI, 0);
	e.request.volume_id = (char *)"nonsense";
	CALL_FAILS(change_expand, &e.request, &e.response, ERR_NOT_FOUND, "\"nonsense\"");
	e.request.volume_id = (char *)"b/fast/" FAKE_UUID;
	CALL_FAILS(change_expand, &e.request, &e.response, ERR_NOT_FOUND, "does not exist");
	assert_int_equal(a.expands + b.expands, 0);
}

/* A file system has to grow on the node as well; it counts as one unless it is known to be none. */
static void test_expand(void **state)
{
	struct rpc_call call;
	struct expand e;
	struct err err;

	(void)state;
	a.has_volume = true;
	make(&e, 2 * GI, 0);
	assert_int_equal(CALL(&call, change_expand, &e.request, &e.response, &err), 0);
	rpc_call_fini(&call);
	assert_true(e.response.capacity_bytes == 2 * GI);
	assert_true(e.response.node_expansion_required);
	assert_true(a.asked_size == 2 * GI);
	/* Large enough already: still asked for, with its own size, so that hosts are told. */
	make(&e, GI + 1, 0);
	e.request.volume_capability =
		fixture_mount(&e.capability, MODE(SINGLE_NODE_WRITER), "xfs", NULL, 0);
	assert_int_equal(CALL(&call, change_expand, &e.request, &e.response, &err), 0);
	rpc_call_fini(&call);
	assert_true(e.response.capacity_bytes == 2 * GI);
	assert_true(e.response.node_expansion_required);
	assert_int_equal(a.expands, 2);
	assert_true(a.asked_size == 2 * GI);
	make(&e, 3 * GI, 0);
	e.request.volume_capability = fixture_block(&e.capability, MODE(SINGLE_NODE_WRITER));
	assert_int_equal(CALL(&call, change_expand, &e.request, &e.response, &err), 0);
	rpc_call_fini(&call);
	assert_true(e.response.capacity_bytes == 3 * GI);
	assert_false(e.response.node_expansion_required);
}

static void test_expand_fails(void **state)
{
	struct expand e;

	(void)state;
	a.has_volume = true;
	a.failure = ERR_FAILED_PRECONDITION;
	make(&e, 2 * GI, 0);
	CALL_FAILS(change_expand, &e.request, &e.response, ERR_FAILED_PRECONDITION, "target a");
	a.failure = ERR_RESOURCE_EXHAUSTED;
	CALL_FAILS(change_expand, &e.request, &e.response, ERR_RESOURCE_EXHAUSTED, "target a");
	a.expands = 0;
	make(&e, 0, GI / 2);
	CALL_FAILS(change_expand, &e.request, &e.response, ERR_OUT_OF_RANGE, "do not shrink");
	assert_int_equal(a.expands, 0);
	fake_stop(&a);
	make(&e, 2 * GI, 0);
	CALL_FAILS(change_expand, &e.request, &e.response, ERR_UNAVAILABLE, "target a");
}

static void test_modify(void **state)
{
	Csi__V1__ControllerModifyVolumeRequest request =
		CSI__V1__CONTROLLER_MODIFY_VOLUME_REQUEST__INIT;
	Csi__V1__ControllerModifyVolumeResponse response =
		CSI__V1__CONTROLLER_MODIFY_VOLUME_RESPONSE__INIT;
	struct fixture_map mutables = { 0 };
	struct rpc_call call;
	struct err err;

	(void)state;
	CALL_FAILS(change_modify, &request, &response, ERR_INVALID_ARGUMENT, "volume_id");
	request.volume_id = (char *)ID_A;
	CALL_FAILS(change_modify, &request, &response, ERR_INVALID_ARGUMENT,
		   "mutable_parameters is required and missing");
	fixture_map_set(&mutables, "pool", "slow");
	FIXTURE_MAP_INTO(&request, mutable_parameters, &mutables);
	CALL_FAILS(change_modify, &request, &response, ERR_INVALID_ARGUMENT,
		   "\"pool\" cannot be changed after creation; those that can are: nrIoQueues");
	mutables = (struct fixture_map) { 0 };
	fixture_map_set(&mutables, "queueSize", "32");
	FIXTURE_MAP_INTO(&request, mutable_parameters, &mutables);
	request.volume_id = (char *)"nonsense";
	CALL_FAILS(change_modify, &request, &response, ERR_NOT_FOUND, "\"nonsense\"");
	request.volume_id = (char *)ID_A;
	assert_int_equal(CALL(&call, change_modify, &request, &response, &err), 0);
	rpc_call_fini(&call);
	assert_string_equal(a.asked_uuid, FAKE_UUID);
	assert_string_equal(a.asked_pool, "fast");
	assert_string_equal(a.asked_mutable, "queueSize=32");
	assert_int_equal(a.modifies, 1);
	a.failure = ERR_NOT_FOUND;
	CALL_FAILS(change_modify, &request, &response, ERR_NOT_FOUND, "target a");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes), TEST(test_bad_requests), TEST(test_expand),
		TEST(test_expand_fails),      TEST(test_modify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
