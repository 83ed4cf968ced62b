/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as JSON: every kind of field, defaults that are left out, secrets that are not shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "csi.pb-c.h"
#include "csi/rpc/json.h"
#include "nvme/base/cleanup.h"
#include "target.pb-c.h"

static void expect(const ProtobufCMessage *message, const char *wanted)
{
	cleanup_free char *text = rpc_json_from_message(message, true);

	assert_string_equal(text, wanted);
}

static void test_defaults_are_left_out(void **state)
{
	Csi__V1__NodeStageVolumeRequest stage = CSI__V1__NODE_STAGE_VOLUME_REQUEST__INIT;
	Nvmeot__Target__V1__Volume volume = NVMEOT__TARGET__V1__VOLUME__INIT;

	(void)state;
	expect(&stage.base, "{}");
	expect(&volume.base, "{}");
	/* A handler may have left NULL where text belongs. */
	stage.volume_id = NULL;
	expect(&stage.base, "{}");
}

static void test_scalars_and_lists(void **state)
{
	Nvmeot__Target__V1__Volume volume = NVMEOT__TARGET__V1__VOLUME__INIT;
	Nvmeot__Target__V1__Export export = NVMEOT__TARGET__V1__EXPORT__INIT;
	Nvmeot__Target__V1__Export *exports[] = { &export };
	char *portals[] = { "tcp://10.0.0.1:4420", "" };

	(void)state;
	volume.uuid = "u\"\n/";
	volume.size_bytes = INT64_MAX;
	volume.write_cache = NVMEOT__TARGET__V1__WRITE_CACHE__WRITE_CACHE_VOLATILE;
	volume.blank = 1;
	volume.portals = portals;
	volume.n_portals = 2;
	export.mode = (Nvmeot__Target__V1__AccessMode)77;
	volume.exports = exports;
	volume.n_exports = 1;
	expect(&volume.base, "{\"uuid\":\"u\\\"\\n/\",\"size_bytes\":9223372036854775807,"
			     "\"write_cache\":\"WRITE_CACHE_VOLATILE\",\"blank\":true,"
			     "\"exports\":[{\"mode\":77}],"
			     "\"portals\":[\"tcp://10.0.0.1:4420\",\"\"]}");
}

static void test_oneof_and_nested(void **state)
{
	Csi__V1__ValidateVolumeCapabilitiesRequest request =
		CSI__V1__VALIDATE_VOLUME_CAPABILITIES_REQUEST__INIT;
	Csi__V1__VolumeCapability capability = CSI__V1__VOLUME_CAPABILITY__INIT;
	Csi__V1__VolumeCapability *capabilities[] = { &capability };
	Csi__V1__VolumeCapability__BlockVolume block =
		CSI__V1__VOLUME_CAPABILITY__BLOCK_VOLUME__INIT;

	(void)state;
	request.volume_capabilities = capabilities;
	request.n_volume_capabilities = 1;
	expect(&request.base, "{\"volume_capabilities\":[{}]}");
	capability.access_type_case = CSI__V1__VOLUME_CAPABILITY__ACCESS_TYPE_BLOCK;
	capability.block = &block;
	expect(&request.base, "{\"volume_capabilities\":[{\"block\":{}}]}");
}

static void test_secrets(void **state)
{
	Csi__V1__NodeStageVolumeRequest stage = CSI__V1__NODE_STAGE_VOLUME_REQUEST__INIT;
	Csi__V1__NodeStageVolumeRequest__SecretsEntry secret =
		CSI__V1__NODE_STAGE_VOLUME_REQUEST__SECRETS_ENTRY__INIT;
	Csi__V1__NodeStageVolumeRequest__SecretsEntry *secrets[] = { &secret };
	Csi__V1__NodeStageVolumeRequest__VolumeContextEntry plain =
		CSI__V1__NODE_STAGE_VOLUME_REQUEST__VOLUME_CONTEXT_ENTRY__INIT;
	Csi__V1__NodeStageVolumeRequest__VolumeContextEntry *context[] = { &plain };
	cleanup_free char *open = NULL;

	(void)state;
	secret.key = "key";
	secret.value = "hunter2";
	stage.secrets = secrets;
	stage.n_secrets = 1;
	plain.key = "nqn";
	plain.value = "";
	stage.volume_context = context;
	stage.n_volume_context = 1;
	expect(&stage.base, "{\"secrets\":\"***stripped***\",\"volume_context\":{\"nqn\":\"\"}}");
	open = rpc_json_from_message(&stage.base, false);
	assert_non_null(strstr(open, "\"secrets\":{\"key\":\"hunter2\"}"));
}

static void test_well_known_types(void **state)
{
	Csi__V1__ProbeResponse probe = CSI__V1__PROBE_RESPONSE__INIT;
	Google__Protobuf__BoolValue ready = GOOGLE__PROTOBUF__BOOL_VALUE__INIT;
	Csi__V1__Snapshot snapshot = CSI__V1__SNAPSHOT__INIT;
	Google__Protobuf__Timestamp when = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Google__Protobuf__BytesValue bytes = GOOGLE__PROTOBUF__BYTES_VALUE__INIT;
	static const char *const coded[] = { "\"\"", "\"TQ==\"", "\"TWE=\"", "\"TWFu\"",
					     "\"TWFu/w==\"" };
	uint8_t data[] = { 'M', 'a', 'n', 0xff };

	(void)state;
	probe.ready = &ready;
	expect(&probe.base, "{\"ready\":false}");
	snapshot.creation_time = &when;
	when.seconds = 1767323045;
	expect(&snapshot.base, "{\"creation_time\":\"2026-01-02T03:04:05Z\"}");
	when.nanos = 1500;
	expect(&snapshot.base, "{\"creation_time\":\"2026-01-02T03:04:05.000001500Z\"}");
	when.seconds = INT64_MAX;
	expect(&snapshot.base,
	       "{\"creation_time\":{\"seconds\":9223372036854775807,\"nanos\":1500}}");
	bytes.value.data = data;
	for (bytes.value.len = 0; bytes.value.len <= 4; bytes.value.len++)
		expect(&bytes.base, coded[bytes.value.len]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_are_left_out),
		cmocka_unit_test(test_scalars_and_lists),
		cmocka_unit_test(test_oneof_and_nested),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_well_known_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
