/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets: every field that holds some is known by the names that logging asks with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "csi.pb-c.h"
#include "csi/proto/secrets.h"

static const ProtobufCMessageDescriptor *const requests[] = {
	&csi__v1__create_volume_request__descriptor,
	&csi__v1__delete_volume_request__descriptor,
	&csi__v1__controller_publish_volume_request__descriptor,
	&csi__v1__controller_unpublish_volume_request__descriptor,
	&csi__v1__validate_volume_capabilities_request__descriptor,
	&csi__v1__create_snapshot_request__descriptor,
	&csi__v1__delete_snapshot_request__descriptor,
	&csi__v1__list_snapshots_request__descriptor,
	&csi__v1__controller_expand_volume_request__descriptor,
	&csi__v1__controller_modify_volume_request__descriptor,
	&csi__v1__node_stage_volume_request__descriptor,
	&csi__v1__node_publish_volume_request__descriptor,
	&csi__v1__node_expand_volume_request__descriptor,
};

/* In these messages "secrets" is secret and nothing else is. */
static void test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		bool found = false;

		for (unsigned j = 0; j < requests[i]->n_fields; j++) {
			const ProtobufCFieldDescriptor *field = &requests[i]->fields[j];
			bool secret = proto_field_is_secret(requests[i]->name, field->id);

			if (secret != (strcmp(field->name, "secrets") == 0))
				fail_msg("%s.%s", requests[i]->name, field->name);
			found = found || secret;
		}
		assert_true(found);
	}
}

static void test_others(void **state)
{
	(void)state;
	assert_false(proto_field_is_secret("csi.v1.NodeStageVolumeRequest", 0));
	assert_false(proto_field_is_secret("csi.v1.NodeStageVolumeRequest", 4294967295U));
	assert_false(proto_field_is_secret("csi.v1.NodeUnstageVolumeRequest", 5));
	assert_false(proto_field_is_secret("NodeStageVolumeRequest", 5));
	assert_false(proto_field_is_secret("", 5));
	assert_true(proto_field_is_secret("csi.v1.NodeStageVolumeRequest", 5));
	/* The agent's protocol. */
	assert_true(proto_field_is_secret("nvmeot.target.v1.ExportRequest", 7));
	assert_true(proto_field_is_secret("nvmeot.target.v1.ExportRequest", 8));
	assert_false(proto_field_is_secret("nvmeot.target.v1.ExportRequest", 3));
	/* Not marked upstream, but called sensitive. */
	assert_true(proto_field_is_secret("csi.v1.VolumeCapability.MountVolume", 2));
}

/* Nothing is in the table twice, and nothing of another package than the contracts'. */
static void test_table(void **state)
{
	(void)state;
	assert_true(proto_secrets_count >= sizeof(requests) / sizeof(*requests));
	for (size_t i = 0; i < proto_secrets_count; i++) {
		assert_true(strncmp(proto_secrets[i].message, "csi.v1.", 7) == 0 ||
			    strncmp(proto_secrets[i].message, "nvmeot.target.v1.", 17) == 0);
		for (size_t j = 0; j < i; j++)
			assert_false(proto_secrets[i].number == proto_secrets[j].number &&
				     strcmp(proto_secrets[i].message, proto_secrets[j].message) ==
					     0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
