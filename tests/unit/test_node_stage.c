/* SPDX-License-Identifier: Apache-2.0 */
/* NodeStageVolume requests: each field missing or malformed, and where the bind goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "csi/node/stage.h"
#include "csi/request/authentication.h"
#include "tests/unit/dhchap_keys.h"
#include "tests/unit/node_fixture.h"

/* A request in which everything is right, and what is made of it. */
static struct node_fixture in;
static Csi__V1__NodeStageVolumeRequest request;
static struct stage_spec spec;
static struct err err;

static int make(void **state)
{
	(void)state;
	node_fixture_init(&in, "xfs");
	csi__v1__node_stage_volume_request__init(&request);
	request.volume_id = (char *)ID;
	request.staging_target_path = (char *)"/staging";
	request.volume_capability = &in.capability.capability;
	return 0;
}

static int parse(void)
{
	NODE_FIXTURE_INTO(&request, &in);
	err = ERR_INIT;
	return stage_spec_parse(&request, &spec, &err);
}

static void refused(const char *says)
{
	node_fixture_refused(parse(), &err, ERR_INVALID_ARGUMENT, says);
	make(NULL);
}

static void test_good(void **state)
{
	(void)state;
	fixture_map_set(&in.volume, "queueSize", "64");
	assert_int_equal(parse(), 0);
	assert_string_equal(spec.volume_id, ID);
	assert_string_equal(spec.access.fs_type, "xfs");
	assert_string_equal(spec.attachment.uuid.text, UUID);
	assert_int_equal(spec.attachment.size_bytes, 4096);
	assert_int_equal(spec.parameters.connect.queue_size, 64);
}

/* They go to the connect, and have to be those of the publish. */
static void test_secrets(void **state)
{
	struct fixture_map secrets = { 0 };
	struct dhchap_keys keys = { 0 };
	struct uuid id;

	(void)state;
	fixture_map_set(&secrets, "dhchapSecret", KEY_32);
	FIXTURE_MAP_INTO(&request, secrets, &secrets);
	node_fixture_refused(parse(), &err, ERR_FAILED_PRECONDITION,
			     "published with authentication none");
	fixture_map_set(&in.publish, "authentication", "one-way");
	node_fixture_refused(parse(), &err, ERR_INVALID_ARGUMENT, "secretId");
	strcpy(keys.host, KEY_32);
	id = authentication_id(&keys);
	fixture_map_set(&in.publish, "secretId", id.text);
	assert_int_equal(parse(), 0);
	assert_string_equal(spec.parameters.connect.keys.host, KEY_32);
	request.n_secrets = 0;
	node_fixture_refused(parse(), &err, ERR_UNAUTHENTICATED, "this call has no dhchapSecret");
}

static void test_required_fields(void **state)
{
	char long_id[130];

	(void)state;
	memset(long_id, 'i', 129);
	long_id[129] = '\0';
	make(NULL);
	request.volume_id = (char *)"";
	refused("volume_id is required");
	request.volume_id = long_id;
	refused("volume_id \"iii");
	request.volume_id = (char *)"a\nb";
	refused("volume_id holds the control character");
	request.staging_target_path = (char *)"";
	refused("staging_target_path is required");
	request.staging_target_path = (char *)"staging";
	refused("staging_target_path \"staging\"");
	request.staging_target_path = (char *)"/staging/../etc";
	refused("staging_target_path \"/staging/../etc\"");
	request.volume_capability = NULL;
	refused("volume_capability is required");
	in.capability.capability.access_mode = NULL;
	refused("access_mode");
}

static void test_contexts(void **state)
{
	static const char *const keys[] = { "nqn", "portals", "nsUuid", "sizeBytes", "blank" };
	char value[4097];

	(void)state;
	memset(value, 'v', 4096);
	value[4096] = '\0';
	make(NULL);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		fixture_map_set(&in.publish, keys[i], NULL);
		refused(keys[i]);
		fixture_map_set(&in.publish, keys[i], "?");
		refused("?");
	}
	in.publish.count = 0;
	refused("publish_context needs");
	fixture_map_set(&in.publish, "x", value);
	refused("publish_context takes");
	fixture_map_set(&in.volume, "x", value);
	refused("volume_context takes");
	fixture_map_set(&in.volume, "queueSize", "1");
	refused("volume_context: parameter queueSize");
}

/* What is published is the volume, and known by its UUID: else another one might be formatted. */
static void test_context_of_another(void **state)
{
	(void)state;
	fixture_map_set(&in.publish, "nsUuid", OTHER_UUID);
	refused("publish_context is another volume's");
	fixture_map_set(&in.publish, "nqn", OTHER_NQN);
	refused("publish_context is another volume's");
	fixture_map_set(&in.publish, "nsUuid", NULL);
	fixture_map_set(&in.publish, "nsid", "1");
	refused("publish_context needs nsUuid");
}

/* The volume context is as the volume was created; what was changed since is in the other one. */
static void test_publish_context_wins(void **state)
{
	(void)state;
	fixture_map_set(&in.volume, "queueSize", "64");
	fixture_map_set(&in.volume, "ctrlLossTmo", "60");
	fixture_map_set(&in.publish, "queueSize", "128");
	assert_int_equal(parse(), 0);
	assert_int_equal(spec.parameters.connect.queue_size, 128);
	assert_int_equal(spec.parameters.connect.ctrl_loss_tmo_s, 60);
	fixture_map_set(&in.publish, "queueSize", "1");
	refused("queueSize");
}

static void test_static(void **state)
{
	(void)state;
	in.publish.count = 0;
	request.volume_id = (char *)"any handle, as the administrator likes";
	fixture_map_set(&in.volume, "nqn", "nqn.2014-08.org.example:array");
	fixture_map_set(&in.volume, "portals", "tcp://192.0.2.9:4420");
	fixture_map_set(&in.volume, "nsid", "1");
	fixture_map_set(&in.volume, "ctrlLossTmo", "60");
	assert_int_equal(parse(), 0);
	assert_int_equal(spec.attachment.nsid, 1);
	assert_int_equal(spec.parameters.connect.ctrl_loss_tmo_s, 60);
	/* An unstage without a record would take it for the subsystem that the ID stands for. */
	request.volume_id = (char *)ID;
	refused("is statically provisioned");
	make(NULL);
	in.publish.count = 0;
	request.volume_id = (char *)"any handle";
	fixture_map_set(&in.volume, "nqn", "nqn.2014-08.org.example:array");
	fixture_map_set(&in.volume, "portals", "tcp://192.0.2.9:4420");
	fixture_map_set(&in.volume, "nsid", "0");
	refused("nsid \"0\"");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, make)
	const struct CMUnitTest tests[] = {
		TEST(test_good),
		TEST(test_secrets),
		TEST(test_required_fields),
		TEST(test_contexts),
		TEST(test_context_of_another),
		TEST(test_publish_context_wins),
		TEST(test_static),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
