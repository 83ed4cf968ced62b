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

/* A request in which everything is right: do not move it. */
struct good {
	struct node_fixture in;
	Csi__V1__NodeStageVolumeRequest request;
};

static void make(struct good *g)
{
	node_fixture_init(&g->in, "xfs");
	csi__v1__node_stage_volume_request__init(&g->request);
	g->request.volume_id = (char *)ID;
	g->request.staging_target_path = (char *)"/staging";
	g->request.volume_capability = &g->in.capability.capability;
}

static int parse(struct good *g, struct stage_spec *spec, struct err *err)
{
	NODE_FIXTURE_INTO(&g->request, &g->in);
	*err = ERR_INIT;
	return stage_spec_parse(&g->request, spec, err);
}

static void refused(struct good *g, const char *says)
{
	static struct stage_spec spec;
	struct err err;

	node_fixture_refused(parse(g, &spec, &err), &err, ERR_INVALID_ARGUMENT, says);
	make(g);
}

static void test_good(void **state)
{
	static struct stage_spec spec;
	struct good g;
	struct err err;

	(void)state;
	make(&g);
	fixture_map_set(&g.in.volume, "queueSize", "64");
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_string_equal(spec.volume_id, ID);
	assert_string_equal(spec.access.fs_type, "xfs");
	assert_string_equal(spec.attachment.uuid.text, UUID);
	assert_int_equal(spec.attachment.size_bytes, 4096);
	assert_int_equal(spec.parameters.connect.queue_size, 64);
}

/* They go to the connect, and have to be those of the publish. */
static void test_secrets(void **state)
{
	static struct stage_spec spec;
	struct fixture_map secrets = { 0 };
	struct dhchap_keys keys = { 0 };
	struct uuid id;
	struct good g;
	struct err err;

	(void)state;
	make(&g);
	fixture_map_set(&secrets, "dhchapSecret", KEY_32);
	FIXTURE_MAP_INTO(&g.request, secrets, &secrets);
	node_fixture_refused(parse(&g, &spec, &err), &err, ERR_FAILED_PRECONDITION,
			     "published with authentication none");
	fixture_map_set(&g.in.publish, "authentication", "one-way");
	node_fixture_refused(parse(&g, &spec, &err), &err, ERR_INVALID_ARGUMENT, "secretId");
	strcpy(keys.host, KEY_32);
	id = authentication_id(&keys);
	fixture_map_set(&g.in.publish, "secretId", id.text);
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_string_equal(spec.parameters.connect.keys.host, KEY_32);
	g.request.n_secrets = 0;
	node_fixture_refused(parse(&g, &spec, &err), &err, ERR_UNAUTHENTICATED,
			     "this call has no dhchapSecret");
}

static void test_required_fields(void **state)
{
	char long_id[130];
	struct good g;

	(void)state;
	memset(long_id, 'i', 129);
	long_id[129] = '\0';
	make(&g);
	g.request.volume_id = (char *)"";
	refused(&g, "volume_id is required");
	g.request.volume_id = long_id;
	refused(&g, "volume_id \"iii");
	g.request.volume_id = (char *)"a\nb";
	refused(&g, "volume_id holds the control character");
	g.request.staging_target_path = (char *)"";
	refused(&g, "staging_target_path is required");
	g.request.staging_target_path = (char *)"staging";
	refused(&g, "staging_target_path \"staging\"");
	g.request.staging_target_path = (char *)"/staging/../etc";
	refused(&g, "staging_target_path \"/staging/../etc\"");
	g.request.volume_capability = NULL;
	refused(&g, "volume_capability is required");
	g.in.capability.capability.access_mode = NULL;
	refused(&g, "access_mode");
}

static void test_contexts(void **state)
{
	static const char *const keys[] = { "nqn", "portals", "nsUuid", "sizeBytes", "blank" };
	char value[4097];
	struct good g;

	(void)state;
	memset(value, 'v', 4096);
	value[4096] = '\0';
	make(&g);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		fixture_map_set(&g.in.publish, keys[i], NULL);
		refused(&g, keys[i]);
		fixture_map_set(&g.in.publish, keys[i], "?");
		refused(&g, "?");
	}
	g.in.publish.count = 0;
	refused(&g, "publish_context needs");
	fixture_map_set(&g.in.publish, "x", value);
	refused(&g, "publish_context takes");
	fixture_map_set(&g.in.volume, "x", value);
	refused(&g, "volume_context takes");
	fixture_map_set(&g.in.volume, "queueSize", "1");
	refused(&g, "volume_context: parameter queueSize");
}

/* The volume context is as the volume was created; what was changed since is in the other one. */
static void test_publish_context_wins(void **state)
{
	static struct stage_spec spec;
	struct good g;
	struct err err;

	(void)state;
	make(&g);
	fixture_map_set(&g.in.volume, "queueSize", "64");
	fixture_map_set(&g.in.volume, "ctrlLossTmo", "60");
	fixture_map_set(&g.in.publish, "queueSize", "128");
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_int_equal(spec.parameters.connect.queue_size, 128);
	assert_int_equal(spec.parameters.connect.ctrl_loss_tmo_s, 60);
	fixture_map_set(&g.in.publish, "queueSize", "1");
	refused(&g, "queueSize");
}

static void test_static(void **state)
{
	static struct stage_spec spec;
	struct good g;
	struct err err;

	(void)state;
	make(&g);
	g.in.publish.count = 0;
	g.request.volume_id = (char *)"any handle, as the administrator likes";
	fixture_map_set(&g.in.volume, "nqn", "nqn.2014-08.org.example:array");
	fixture_map_set(&g.in.volume, "portals", "tcp://192.0.2.9:4420");
	fixture_map_set(&g.in.volume, "nsid", "1");
	fixture_map_set(&g.in.volume, "ctrlLossTmo", "60");
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_int_equal(spec.attachment.nsid, 1);
	assert_int_equal(spec.parameters.connect.ctrl_loss_tmo_s, 60);
	/* An unstage without a record would take it for the subsystem that the ID stands for. */
	g.request.volume_id = (char *)ID;
	refused(&g, "is statically provisioned");
	make(&g);
	g.in.publish.count = 0;
	g.request.volume_id = (char *)"any handle";
	fixture_map_set(&g.in.volume, "nqn", "nqn.2014-08.org.example:array");
	fixture_map_set(&g.in.volume, "portals", "tcp://192.0.2.9:4420");
	fixture_map_set(&g.in.volume, "nsid", "0");
	refused(&g, "nsid \"0\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	 cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_good),	 cmocka_unit_test(test_required_fields),
		cmocka_unit_test(test_contexts), cmocka_unit_test(test_publish_context_wins),
		cmocka_unit_test(test_static),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
