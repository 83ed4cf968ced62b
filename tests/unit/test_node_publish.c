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
#include "tests/unit/node_fixture.h"

/* A request in which everything is right: do not move it. */
struct good {
	struct node_fixture in;
	Csi__V1__NodePublishVolumeRequest request;
};

static void make(struct good *g)
{
	node_fixture_init(&g->in, "");
	csi__v1__node_publish_volume_request__init(&g->request);
	g->request.volume_id = (char *)ID;
	g->request.staging_target_path = (char *)"/tmp/no-such-staging";
	g->request.target_path = (char *)"/tmp//no-such-target/";
	g->request.volume_capability = &g->in.capability.capability;
}

static int parse(struct good *g, struct publish_spec *spec, struct err *err)
{
	NODE_FIXTURE_INTO(&g->request, &g->in);
	*err = ERR_INIT;
	return publish_spec_parse(&g->request, spec, err);
}

static void refused(struct good *g, const char *says)
{
	static struct publish_spec spec;
	struct err err;

	node_fixture_refused(parse(g, &spec, &err), &err, ERR_INVALID_ARGUMENT, says);
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
	g.in.capability.mode.mode = (Csi__V1__VolumeCapability__AccessMode__Mode)99;
	refused(&g, "access_mode 99");
	fixture_map_set(&g.in.publish, "nqn", NULL);
	refused(&g, "publish_context needs nqn");
	fixture_map_set(&g.in.publish, "portals", "x");
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
	fixture_map_set(&g.in.publish, "x", value);
	refused(&g, "publish_context takes");
	fixture_map_set(&g.in.volume, "x", value);
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
	fixture_mount(&g.in.capability, MODE(SINGLE_NODE_WRITER), "", ro, 1);
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_true(spec.readonly);
	make(&g);
	fixture_mount(&g.in.capability, MODE(SINGLE_NODE_READER_ONLY), "", NULL, 0);
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_true(spec.readonly);
	make(&g);
	fixture_block(&g.in.capability, MODE(MULTI_NODE_READER_ONLY));
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_true(spec.readonly);
	make(&g);
	fixture_block(&g.in.capability, MODE(MULTI_NODE_MULTI_WRITER));
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_false(spec.readonly);
}

/* The target refuses writes: a pod that wants to write is told so, not given a mount that fails. */
static void test_attached_readonly(void **state)
{
	static struct publish_spec spec;
	struct good g;
	struct err err;

	(void)state;
	make(&g);
	fixture_map_set(&g.in.publish, "readonly", "true");
	node_fixture_refused(parse(&g, &spec, &err), &err, ERR_FAILED_PRECONDITION,
			     "attached to this node read-only");
	assert_non_null(strstr(err.msg, ID));
	fixture_block(&g.in.capability, MODE(SINGLE_NODE_WRITER));
	node_fixture_refused(parse(&g, &spec, &err), &err, ERR_FAILED_PRECONDITION, "csi.readOnly");
	g.request.readonly = true;
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_true(spec.readonly);
	g.request.readonly = false;
	fixture_mount(&g.in.capability, MODE(SINGLE_NODE_READER_ONLY), "", NULL, 0);
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_true(spec.readonly);
	fixture_map_set(&g.in.publish, "readonly", "perhaps");
	refused(&g, "readonly \"perhaps\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_required_fields),
		cmocka_unit_test(test_oversize_contexts),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_attached_readonly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
