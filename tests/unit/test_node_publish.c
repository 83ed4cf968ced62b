/* SPDX-License-Identifier: Apache-2.0 */
/* NodePublishVolume requests: each field missing or malformed, and what makes a publish read-only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "csi/node/publish.h"
#include "csi/request/authentication.h"
#include "tests/unit/dhchap_keys.h"
#include "tests/unit/node_fixture.h"

/* A request in which everything is right, and what is made of it. */
static struct node_fixture in;
static Csi__V1__NodePublishVolumeRequest request;
static struct publish_spec spec;
static struct err err;

static int make(void **state)
{
	(void)state;
	node_fixture_init(&in, "");
	csi__v1__node_publish_volume_request__init(&request);
	request.volume_id = (char *)ID;
	request.staging_target_path = (char *)"/tmp/no-such-staging";
	request.target_path = (char *)"/tmp//no-such-target/";
	request.volume_capability = &in.capability.capability;
	return 0;
}

static int parse(void)
{
	NODE_FIXTURE_INTO(&request, &in);
	err = ERR_INIT;
	return publish_spec_parse(&request, &spec, &err);
}

static void refused(const char *says)
{
	node_fixture_refused(parse(), &err, ERR_INVALID_ARGUMENT, says);
	make(NULL);
}

static void test_good(void **state)
{
	(void)state;
	assert_int_equal(parse(), 0);
	assert_string_equal(spec.volume_id, ID);
	assert_string_equal(spec.staging_path, "/tmp/no-such-staging");
	assert_string_equal(spec.target_path, "/tmp/no-such-target");
	assert_string_equal(spec.attachment.uuid.text, UUID);
	assert_false(spec.readonly);
}

static void test_required_fields(void **state)
{
	(void)state;
	request.volume_id = (char *)"";
	refused("volume_id is required");
	request.target_path = (char *)"";
	refused("target_path is required");
	request.target_path = (char *)"pods/x";
	refused("target_path \"pods/x\"");
	request.target_path = (char *)"/tmp/../etc/x";
	refused("target_path \"/tmp/../etc/x\"");
	request.target_path = (char *)"/nonexistent/dir/x";
	refused("target_path \"/nonexistent/dir/x\"");
	request.staging_target_path = (char *)"";
	refused("staging_target_path is required");
	request.staging_target_path = (char *)"//";
	refused("staging_target_path \"//\"");
	request.staging_target_path = (char *)"/nonexistent/dir/x";
	refused("staging_target_path \"/nonexistent/dir/x\"");
	request.volume_capability = NULL;
	refused("volume_capability is required");
	in.capability.mode.mode = (Csi__V1__VolumeCapability__AccessMode__Mode)99;
	refused("access_mode 99");
	fixture_map_set(&in.publish, "nqn", NULL);
	refused("publish_context needs nqn");
	fixture_map_set(&in.publish, "portals", "x");
	refused("portal \"x\"");
	fixture_map_set(&in.publish, "nsUuid", OTHER_UUID);
	refused("publish_context is another volume's");
}

/* They are for what has to be connected again: none are needed, and wrong ones refused. */
static void test_secrets(void **state)
{
	struct fixture_map secrets = { 0 };
	struct dhchap_keys keys = { .host = KEY_32 };
	struct uuid id = authentication_id(&keys);

	(void)state;
	fixture_map_set(&in.publish, "authentication", "one-way");
	fixture_map_set(&in.publish, "secretId", id.text);
	assert_int_equal(parse(), 0);
	assert_string_equal(spec.parameters.connect.keys.host, "");
	fixture_map_set(&secrets, "dhchapSecret", KEY_OTHER_32);
	FIXTURE_MAP_INTO(&request, secrets, &secrets);
	node_fixture_refused(parse(), &err, ERR_UNAUTHENTICATED,
			     "not those that the volume was published with");
	fixture_map_set(&secrets, "dhchapSecret", KEY_32);
	FIXTURE_MAP_INTO(&request, secrets, &secrets);
	assert_int_equal(parse(), 0);
	assert_string_equal(spec.parameters.connect.keys.host, KEY_32);
	assert_true(spec.parameters.connect.renew);
}

static void test_oversize_contexts(void **state)
{
	char value[4097];

	(void)state;
	memset(value, 'v', 4096);
	value[4096] = '\0';
	make(NULL);
	fixture_map_set(&in.publish, "x", value);
	refused("publish_context takes");
	fixture_map_set(&in.volume, "x", value);
	refused("volume_context takes");
}

/* Any one of the flag, the mode and the mount flag is enough. */
static void test_readonly(void **state)
{
	char *ro[] = { (char *)"ro" };

	(void)state;
	request.readonly = true;
	assert_int_equal(parse(), 0);
	assert_true(spec.readonly);
	make(NULL);
	fixture_mount(&in.capability, MODE(SINGLE_NODE_WRITER), "", ro, 1);
	assert_int_equal(parse(), 0);
	assert_true(spec.readonly);
	make(NULL);
	fixture_mount(&in.capability, MODE(SINGLE_NODE_READER_ONLY), "", NULL, 0);
	assert_int_equal(parse(), 0);
	assert_true(spec.readonly);
	make(NULL);
	fixture_block(&in.capability, MODE(MULTI_NODE_READER_ONLY));
	assert_int_equal(parse(), 0);
	assert_true(spec.readonly);
	make(NULL);
	fixture_block(&in.capability, MODE(MULTI_NODE_MULTI_WRITER));
	assert_int_equal(parse(), 0);
	assert_false(spec.readonly);
}

/* The target refuses writes: a pod that wants to write is told so, not given a mount that fails. */
static void test_attached_readonly(void **state)
{
	(void)state;
	fixture_map_set(&in.publish, "readonly", "true");
	node_fixture_refused(parse(), &err, ERR_FAILED_PRECONDITION,
			     "attached to this node read-only");
	assert_non_null(strstr(err.msg, ID));
	fixture_block(&in.capability, MODE(SINGLE_NODE_WRITER));
	node_fixture_refused(parse(), &err, ERR_FAILED_PRECONDITION, "csi.readOnly");
	request.readonly = true;
	assert_int_equal(parse(), 0);
	assert_true(spec.readonly);
	request.readonly = false;
	fixture_mount(&in.capability, MODE(SINGLE_NODE_READER_ONLY), "", NULL, 0);
	assert_int_equal(parse(), 0);
	assert_true(spec.readonly);
	fixture_map_set(&in.publish, "readonly", "perhaps");
	refused("readonly \"perhaps\"");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, make)
	const struct CMUnitTest tests[] = {
		TEST(test_good),    TEST(test_required_fields), TEST(test_oversize_contexts),
		TEST(test_secrets), TEST(test_readonly),	TEST(test_attached_readonly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
