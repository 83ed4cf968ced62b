/* SPDX-License-Identifier: Apache-2.0 */
/* One request through the core without a network: bad bytes, limits, the gate, the handler. */
#include "rpc_fixture.h"

#include "csi/rpc/dispatch.h"

#define LIMIT 100000000

struct trial {
	struct fixture f;
	struct gate gate;
	struct rpc_call call;
	struct err err;
	ProtobufCMessage *response;
};

static void trial_init(struct trial *t)
{
	*t = (struct trial) { 0 };
	fixture_init(&t->f);
	gate_init(&t->gate);
	rpc_call_init(&t->call, deadline_none(), LIMIT);
	t->call.method = STAGE;
	t->call.context = &t->f;
}

static void trial_fini(struct trial *t)
{
	rpc_call_fini(&t->call);
	gate_fini(&t->gate);
	fixture_fini(&t->f);
}

static int trial_run(struct trial *t, const void *data, size_t size)
{
	return rpc_dispatch(&t->call, &fixture_node[0], &t->gate, data, size, &t->response,
			    &t->err);
}

/* Field 1, "volume_id", of the given length. */
static size_t stage_bytes(unsigned char out[64], const char *volume_id)
{
	out[0] = 0x0a;
	out[1] = (unsigned char)strlen(volume_id);
	memcpy(out + 2, volume_id, out[1]);
	return out[1] + 2u;
}

static void test_good_request(void **state)
{
	unsigned char data[64];
	struct trial t;

	(void)state;
	trial_init(&t);
	assert_int_equal(trial_run(&t, data, stage_bytes(data, "v")), 0);
	assert_ptr_equal(t.response->descriptor, &csi__v1__node_stage_volume_response__descriptor);
	assert_true(gate_enter(&t.gate, "v"));
	gate_leave(&t.gate, "v");
	trial_fini(&t);
}

static void test_every_truncation(void **state)
{
	unsigned char data[64];
	size_t size = stage_bytes(data, "volume");

	(void)state;
	for (size_t len = 1; len < size; len++) {
		struct trial t;

		trial_init(&t);
		assert_int_equal(trial_run(&t, data, len), -1);
		assert_int_equal(t.err.code, ERR_INVALID_ARGUMENT);
		assert_string_equal(t.err.msg, "request of " STAGE
					       " is not a valid csi.v1.NodeStageVolumeRequest");
		trial_fini(&t);
	}
}

/* Small on the wire, large in memory, though far from the limit: empty map entries of two bytes. */
static void test_bomb(void **state)
{
	static unsigned char data[20000];
	struct trial t;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i += 2)
		data[i] = 0x12;
	trial_init(&t);
	assert_int_equal(trial_run(&t, data, sizeof(data)), -1);
	assert_int_equal(t.err.code, ERR_RESOURCE_EXHAUSTED);
	trial_fini(&t);
}

static void test_gone_before_it_began(void **state)
{
	unsigned char data[64];
	struct trial t;

	(void)state;
	trial_init(&t);
	atomic_store(&t.call.cancelled, true);
	assert_int_equal(trial_run(&t, data, stage_bytes(data, "missing")), -1);
	assert_int_equal(t.err.code, ERR_CANCELLED);
	t.call.deadline = deadline_after_ms(0);
	assert_int_equal(trial_run(&t, data, stage_bytes(data, "missing")), -1);
	assert_int_equal(t.err.code, ERR_DEADLINE_EXCEEDED);
	trial_fini(&t);
}

static void test_gate(void **state)
{
	unsigned char data[64];
	struct trial t;

	(void)state;
	trial_init(&t);
	assert_true(gate_enter(&t.gate, "missing"));
	assert_int_equal(trial_run(&t, data, stage_bytes(data, "missing")), -1);
	assert_int_equal(t.err.code, ERR_ABORTED);
	gate_leave(&t.gate, "missing");
	/* A handler that fails leaves the gate as well. */
	assert_int_equal(trial_run(&t, data, stage_bytes(data, "missing")), -1);
	assert_int_equal(t.err.code, ERR_NOT_FOUND);
	assert_true(gate_enter(&t.gate, "missing"));
	gate_leave(&t.gate, "missing");
	trial_fini(&t);
}

static int fail_silently(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	(void)call;
	(void)request;
	(void)response;
	(void)err;
	return -1;
}

static void test_failure_without_reason(void **state)
{
	struct rpc_method method = fixture_identity[0];
	struct trial t;

	(void)state;
	trial_init(&t);
	method.handle = fail_silently;
	assert_int_equal(rpc_dispatch(&t.call, &method, &t.gate, "", 0, &t.response, &t.err), -1);
	assert_int_equal(t.err.code, ERR_INTERNAL);
	trial_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_request), cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_bomb),	     cmocka_unit_test(test_gone_before_it_began),
		cmocka_unit_test(test_gate),	     cmocka_unit_test(test_failure_without_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
