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
#include "tests/unit/request_fixture.h"

#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define ID "box/fast/" UUID

/* A request in which everything is right: do not move it. */
struct good {
	struct fixture_capability capability;
	struct fixture_map publish, volume;
	Csi__V1__NodePublishVolumeRequest request;
};

static void make(struct good *g)
{
	*g = (struct good) { 0 };
	fixture_map_set(&g->publish, "nqn", "nqn.2026-11.io.nvmeot:" UUID);
	fixture_map_set(&g->publish, "portals", "tcp://192.0.2.1:4420");
	fixture_map_set(&g->publish, "nsUuid", UUID);
	fixture_map_set(&g->publish, "sizeBytes", "4096");
	fixture_map_set(&g->publish, "blank", "false");
	csi__v1__node_publish_volume_request__init(&g->request);
	g->request.volume_id = (char *)ID;
	g->request.staging_target_path = (char *)"/tmp/no-such-staging";
	g->request.target_path = (char *)"/tmp//no-such-target/";
	g->request.volume_capability =
		fixture_mount(&g->capability, MODE(SINGLE_NODE_WRITER), "", NULL, 0);
}

static int parse(struct good *g, struct publish_spec *spec, struct err *err)
{
	FIXTURE_MAP_INTO(&g->request, publish_context, &g->publish);
	FIXTURE_MAP_INTO(&g->request, volume_context, &g->volume);
	*err = ERR_INIT;
	return publish_spec_parse(&g->request, spec, err);
}

static void refused(struct good *g, const char *says)
{
	static struct publish_spec spec;
	struct err err;

	assert_int_equal(parse(g, &spec, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	if (!strstr(err.msg, says))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
	make(g);
}

static void test_good(void **state)
{
	static struct publish_spec spec;
	struct good g;
	struct err err;

	(void)state;
	make(&g);
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_string_equal(spec.volume_id, ID);
	assert_string_equal(spec.staging_path, "/tmp/no-such-staging");
	assert_string_equal(spec.target_path, "/tmp/no-such-target");
	assert_string_equal(spec.attachment.uuid.text, UUID);
	assert_false(spec.readonly);
}

static void test_required_fields(void **state)
{
	struct good g;

	(void)state;
	make(&g);
	g.request.volume_id = (char *)"";
	refused(&g, "volume_id is required");
	g.request.target_path = (char *)"";
	refused(&g, "target_path is required");
	g.request.target_path = (char *)"pods/x";
	refused(&g, "target_path \"pods/x\"");
	g.request.target_path = (char *)"/tmp/../etc/x";
	refused(&g, "target_path \"/tmp/../etc/x\"");
	g.request.target_path = (char *)"/nonexistent/dir/x";
	refused(&g, "target_path \"/nonexistent/dir/x\"");
	g.request.staging_target_path = (char *)"";
	refused(&g, "staging_target_path is required");
	g.request.staging_target_path = (char *)"//";
	refused(&g, "staging_target_path \"//\"");
	g.request.staging_target_path = (char *)"/nonexistent/dir/x";
	refused(&g, "staging_target_path \"/nonexistent/dir/x\"");
	g.request.volume_capability = NULL;
	refused(&g, "volume_capability is required");
	g.capability.mode.mode = (Csi__V1__VolumeCapability__AccessMode__Mode)99;
	refused(&g, "access_mode 99");
	fixture_map_set(&g.publish, "nqn", NULL);
	refused(&g, "publish_context needs nqn");
	fixture_map_set(&g.publish, "portals", "x");
	refused(&g, "portal \"x\"");
}

static void test_oversize_contexts(void **state)
{
	char value[4097];
	struct good g;

	(void)state;
	memset(value, 'v', 4096);
	value[4096] = '\0';
	make(&g);
	fixture_map_set(&g.publish, "x", value);
	refused(&g, "publish_context takes");
	fixture_map_set(&g.volume, "x", value);
	refused(&g, "volume_context takes");
}

/* Any one of the flag, the mode and the mount flag is enough. */
static void test_readonly(void **state)
{
	static struct publish_spec spec;
	char *ro[] = { (char *)"ro" };
	struct good g;
	struct err err;

	(void)state;
	make(&g);
	g.request.readonly = true;
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_true(spec.readonly);
	make(&g);
	fixture_mount(&g.capability, MODE(SINGLE_NODE_WRITER), "", ro, 1);
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_true(spec.readonly);
	make(&g);
	fixture_mount(&g.capability, MODE(SINGLE_NODE_READER_ONLY), "", NULL, 0);
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_true(spec.readonly);
	make(&g);
	fixture_block(&g.capability, MODE(MULTI_NODE_READER_ONLY));
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_true(spec.readonly);
	make(&g);
	fixture_block(&g.capability, MODE(MULTI_NODE_MULTI_WRITER));
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_false(spec.readonly);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_required_fields),
		cmocka_unit_test(test_oversize_contexts),
		cmocka_unit_test(test_readonly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
