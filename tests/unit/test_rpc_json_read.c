/* SPDX-License-Identifier: Apache-2.0 */
/* JSON to messages: what was written is read again, and errors say where and what would be right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "csi.pb-c.h"
#include "csi/rpc/arena.h"
#include "csi/rpc/json.h"
#include "nvme/base/cleanup.h"
#include "target.pb-c.h"

static const char stage_text[] =
	"{\"volume_id\":\"t/p/u\",\"publish_context\":{\"a\":\"1\",\"b\":\"\"},"
	"\"volume_capability\":{\"mount\":{\"fs_type\":\"xfs\",\"mount_flags\":[\"ro\",\"x\"]},"
	"\"access_mode\":{\"mode\":\"SINGLE_NODE_WRITER\"}},\"secrets\":{\"k\":\"v\"}}";

static void round_trip(const ProtobufCMessageDescriptor *type, const char *text)
{
	ProtobufCMessage *message = NULL;
	struct err err = ERR_INIT;
	char *again;

	if (rpc_json_to_message(type, text, NULL, &message, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	again = rpc_json_from_message(message, false);
	assert_string_equal(again, text);
	cleanup_freep(&again);
	protobuf_c_message_free_unpacked(message, NULL);
}

static void test_round_trips(void **state)
{
	(void)state;
	round_trip(&csi__v1__node_stage_volume_request__descriptor, "{}");
	round_trip(&csi__v1__node_stage_volume_request__descriptor, stage_text);
	round_trip(&nvmeot__target__v1__volume__descriptor,
		   "{\"size_bytes\":-9223372036854775808,\"write_cache\":\"WRITE_CACHE_VOLATILE\","
		   "\"blank\":true,\"exports\":[{},{\"host_nqn\":\"n\"}]}");
	round_trip(&csi__v1__probe_response__descriptor, "{\"ready\":false}");
	round_trip(&csi__v1__snapshot__descriptor,
		   "{\"creation_time\":\"2026-01-02T03:04:05.000001500Z\"}");
	round_trip(&google__protobuf__bytes_value__descriptor, "\"TWFu/w==\"");
	round_trip(&google__protobuf__bytes_value__descriptor, "\"TWE=\"");
	round_trip(&google__protobuf__uint64_value__descriptor, "18446744073709551615");
	round_trip(&google__protobuf__double_value__descriptor, "0.5");
}

/* The packed form is the same as that of a message built by hand: oneof case and all. */
static void test_arena_and_oneof(void **state)
{
	Csi__V1__NodeStageVolumeRequest *stage;
	ProtobufCMessage *message = NULL;
	struct err err = ERR_INIT;
	struct rpc_arena arena;

	(void)state;
	rpc_arena_init(&arena, 1 << 20);
	assert_int_equal(rpc_json_to_message(&csi__v1__node_stage_volume_request__descriptor,
					     stage_text, &arena.allocator, &message, &err),
			 0);
	stage = (Csi__V1__NodeStageVolumeRequest *)message;
	assert_int_equal(stage->volume_capability->access_type_case,
			 CSI__V1__VOLUME_CAPABILITY__ACCESS_TYPE_MOUNT);
	assert_string_equal(stage->volume_capability->mount->mount_flags[1], "x");
	assert_int_equal(stage->n_publish_context, 2);
	rpc_arena_fini(&arena);
}

static void test_null_is_unset(void **state)
{
	ProtobufCMessage *message = NULL;
	struct err err = ERR_INIT;
	char *text;

	(void)state;
	assert_int_equal(rpc_json_to_message(&csi__v1__node_stage_volume_request__descriptor,
					     "{\"volume_id\":null,\"volume_capability\":null,"
					     "\"secrets\":{},\"volume_context\":null}",
					     NULL, &message, &err),
			 0);
	text = rpc_json_from_message(message, true);
	assert_string_equal(text, "{}");
	cleanup_freep(&text);
	protobuf_c_message_free_unpacked(message, NULL);
}

static void test_errors(void **state)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{ "{\"volume_capability\":{\"mount\":{\"fstype\":\"xfs\"}}}",
		  "field volume_capability.mount: unknown field \"fstype\"; known: fs_type, "
		  "mount_flags, volume_mount_group" },
		{ "{\"nonsense\":1}", "unknown field \"nonsense\"; known: volume_id, " },
		{ "{\"volume_id\":7}", "field volume_id: wants text, has 7" },
		{ "{\"volume_id\":\"a\\u0000b\"}", "field volume_id: wants text without NUL" },
		{ "{\"secrets\":[]}", "field secrets: wants an object, has []" },
		{ "{\"secrets\":{\"a\":\"x\",\"b\":7}}", "field secrets.b: wants text, has 7" },
		{ "{\"secrets\":{\"a\":null}}", "field secrets.a: wants text, has null" },
		{ "{\"volume_capability\":{\"mount\":{\"mount_flags\":[\"a\",{}]}}}",
		  "field volume_capability.mount.mount_flags.1: wants text, has {}" },
		{ "{\"volume_capability\":{\"mount\":{},\"block\":{}}}",
		  "field volume_capability.block: only one field of its oneof can be set" },
		{ "{\"volume_capability\":{\"access_mode\":{\"mode\":\"RWX\"}}}",
		  "field volume_capability.access_mode.mode: wants one of UNKNOWN "
		  "SINGLE_NODE_WRITER " },
		{ "[]", "field (the message): wants an object, has []" },
		{ "null", "null is no message" },
		{ "", "not JSON: " },
		{ "{", "not JSON: " },
		{ "{} x", "not JSON: " },
		{ "{\"volume_id\":\"\xff\"}", "not JSON: " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ProtobufCMessage *message = NULL;
		struct err err = ERR_INIT;

		if (rpc_json_to_message(&csi__v1__node_stage_volume_request__descriptor,
					cases[i].text, NULL, &message, &err) == 0)
			fail_msg("%s was taken", cases[i].text);
		assert_null(message);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		if (strncmp(err.msg, cases[i].wanted, strlen(cases[i].wanted)) != 0)
			fail_msg("%s: \"%s\"", cases[i].text, err.msg);
	}
}

static void test_bad_values(void **state)
{
	static const struct {
		const ProtobufCMessageDescriptor *type;
		const char *text;
	} cases[] = {
		{ &google__protobuf__int32_value__descriptor, "2147483648" },
		{ &google__protobuf__int32_value__descriptor, "-2147483649" },
		{ &google__protobuf__int32_value__descriptor, "1.0" },
		{ &google__protobuf__int32_value__descriptor, "\"1\"" },
		{ &google__protobuf__uint32_value__descriptor, "4294967296" },
		{ &google__protobuf__uint32_value__descriptor, "-1" },
		{ &google__protobuf__int64_value__descriptor, "9223372036854775808" },
		{ &google__protobuf__uint64_value__descriptor, "-1" },
		{ &google__protobuf__bool_value__descriptor, "0" },
		{ &google__protobuf__double_value__descriptor, "\"x\"" },
		{ &google__protobuf__bytes_value__descriptor, "\"A\"" },
		{ &google__protobuf__bytes_value__descriptor, "\"A===\"" },
		{ &google__protobuf__bytes_value__descriptor, "\"AA=A\"" },
		{ &google__protobuf__bytes_value__descriptor, "\"AA-A\"" },
		{ &google__protobuf__timestamp__descriptor, "\"2026-01-02T03:04:05\"" },
		{ &google__protobuf__timestamp__descriptor, "\"2026-01-02\"" },
		{ &google__protobuf__timestamp__descriptor, "5" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ProtobufCMessage *message = NULL;
		struct err err = ERR_INIT;

		if (rpc_json_to_message(cases[i].type, cases[i].text, NULL, &message, &err) == 0)
			fail_msg("%s was taken for a %s", cases[i].text, cases[i].type->name);
		assert_non_null(strstr(err.msg, "wants"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),   cmocka_unit_test(test_arena_and_oneof),
		cmocka_unit_test(test_null_is_unset), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_bad_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
