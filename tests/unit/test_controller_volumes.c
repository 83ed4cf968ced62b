/* SPDX-License-Identifier: Apache-2.0 */
/* CreateVolume: the checks of the request, and finding or placing the volume among fake agents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csi/controller/volumes.h"
#include "tests/unit/controller_fixture.h"
#include "tests/unit/request_fixture.h"

#define GI (1LL << 30)

/* --- the request --- */

/* A request in which everything is right: do not move it. */
struct good {
	struct fixture_capability capability;
	Csi__V1__VolumeCapability *capabilities[1];
	Csi__V1__CapacityRange range;
	struct fixture_map parameters;
	Csi__V1__CreateVolumeRequest request;
};

static void make(struct good *g)
{
	*g = (struct good) { 0 };
	csi__v1__create_volume_request__init(&g->request);
	csi__v1__capacity_range__init(&g->range);
	g->capabilities[0] = fixture_mount(&g->capability, MODE(SINGLE_NODE_WRITER), "", NULL, 0);
	g->request.name = (char *)"pvc-1";
	g->request.volume_capabilities = g->capabilities;
	g->request.n_volume_capabilities = 1;
	g->request.capacity_range = &g->range;
	g->range.required_bytes = GI;
}

static int parse(struct good *g, struct create_spec *spec, struct err *err)
{
	FIXTURE_MAP_INTO(&g->request, parameters, &g->parameters);
	*err = ERR_INIT;
	return create_spec_parse(&g->request, spec, err);
}

static void refused(struct good *g, enum err_code code, const char *says)
{
	struct create_spec spec = { .size_bytes = 77 };
	struct err err;

	assert_int_equal(parse(g, &spec, &err), -1);
	if (err.code != code || !strstr(err.msg, says))
		fail_msg("%s \"%s\" does not say \"%s\"", err_code_name(err.code), err.msg, says);
	assert_int_equal(spec.size_bytes, 77);
	make(g);
}

static void test_parse(void **state)
{
	struct create_spec spec;
	struct good g;
	struct err err;

	(void)state;
	make(&g);
	fixture_map_set(&g.parameters, "pool", "fast");
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_string_equal(spec.name, "pvc-1");
	assert_string_equal(spec.uuid.text, volume_uuid_of_name("pvc-1").text);
	assert_int_equal(spec.size_bytes, GI);
	assert_string_equal(spec.parameters.pool, "fast");
	assert_int_equal(spec.parameter_map.count, 1);
	g.request.capacity_range = NULL;
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_int_equal(spec.size_bytes, GI);
}

static void test_parse_refusals(void **state)
{
	Csi__V1__VolumeContentSource source = CSI__V1__VOLUME_CONTENT_SOURCE__INIT;
	char name[130];
	struct good g;

	(void)state;
	memset(name, 'n', 129);
	name[129] = '\0';
	make(&g);
	g.request.name = (char *)"";
	refused(&g, ERR_INVALID_ARGUMENT, "name is required");
	g.request.name = name;
	refused(&g, ERR_INVALID_ARGUMENT, "at most 128");
	g.request.name = (char *)"pvc\n1";
	refused(&g, ERR_INVALID_ARGUMENT, "control character 0x0a");
	g.request.n_volume_capabilities = 0;
	refused(&g, ERR_INVALID_ARGUMENT, "volume_capabilities is required");
	g.capability.capability.access_mode = NULL;
	refused(&g, ERR_INVALID_ARGUMENT, "access_mode");
	g.range.required_bytes = -1;
	refused(&g, ERR_INVALID_ARGUMENT, "negative");
	g.range.limit_bytes = GI - 1;
	refused(&g, ERR_INVALID_ARGUMENT, "limit_bytes");
	g.range.required_bytes = INT64_MAX;
	refused(&g, ERR_OUT_OF_RANGE, "9223372036854775807");
	fixture_map_set(&g.parameters, "colour", "red");
	refused(&g, ERR_INVALID_ARGUMENT, "\"colour\" is unknown");
	fixture_map_set(&g.parameters, "mkfsOptions", "-F");
	refused(&g, ERR_INVALID_ARGUMENT, "mkfsOptions");
	g.request.volume_content_source = &source;
	refused(&g, ERR_INVALID_ARGUMENT, "volume_content_source");
}

static void test_parse_mutable(void **state)
{
	Csi__V1__CreateVolumeRequest__MutableParametersEntry
		entry = CSI__V1__CREATE_VOLUME_REQUEST__MUTABLE_PARAMETERS_ENTRY__INIT,
		*entries[] = { &entry };
	struct create_spec spec;
	struct good g;
	struct err err;

	(void)state;
	make(&g);
	entry.key = (char *)"iops";
	entry.value = (char *)"5";
	g.request.mutable_parameters = entries;
	g.request.n_mutable_parameters = 1;
	refused(&g, ERR_INVALID_ARGUMENT,
		"\"iops\" is unknown; known mutable ones are: nrIoQueues");
	entry.key = (char *)"pool";
	g.request.mutable_parameters = entries;
	g.request.n_mutable_parameters = 1;
	refused(&g, ERR_INVALID_ARGUMENT, "\"pool\" cannot be changed");
	entry.key = (char *)"queueSize";
	g.request.mutable_parameters = entries;
	g.request.n_mutable_parameters = 1;
	refused(&g, ERR_INVALID_ARGUMENT, "queueSize \"5\"");
	entry.value = (char *)"64";
	g.request.mutable_parameters = entries;
	g.request.n_mutable_parameters = 1;
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_string_equal(map_get(spec.mutable_map, "queueSize"), "64");
}

/* A file system has a least size; a raw device has none of it. */
static void test_parse_size(void **state)
{
	struct create_spec spec;
	struct good g;
	struct err err;

	(void)state;
	make(&g);
	fixture_map_set(&g.parameters, "csi.storage.k8s.io/fstype", "xfs");
	g.range.required_bytes = 1;
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_int_equal(spec.size_bytes, 300 << 20);
	g.range.limit_bytes = (300 << 20) - 1;
	refused(&g, ERR_OUT_OF_RANGE, "314572800");
	fixture_block(&g.capability, MODE(SINGLE_NODE_WRITER));
	g.range.required_bytes = 1;
	assert_int_equal(parse(&g, &spec, &err), 0);
	assert_int_equal(spec.size_bytes, 4096);
}

/* --- finding and placing --- */

static struct volume_id id;

static struct create_spec wanted(void)
{
	return (struct create_spec) {
		.name = "pvc-1",
		.uuid = { FAKE_UUID },
		.range = { .required_bytes = GI, .limit_bytes = 2 * GI },
		.size_bytes = GI,
	};
}

/* Sets id when it succeeds. */
static int ensure(const struct create_spec *spec, struct err *err)
{
	struct agent_volume volume cleanup_agent_volume = { 0 };
	struct agent_info info cleanup_agent_info = { 0 };
	int rc;

	*err = ERR_INIT;
	rc = volumes_ensure(&controller, spec, soon(), &volume, &info, err);
	if (rc == 0)
		id = volume.id;
	return rc;
}

static void ensure_fails(const struct create_spec *spec, enum err_code code, const char *says)
{
	struct err err;

	assert_int_equal(ensure(spec, &err), -1);
	if (err.code != code || !strstr(err.msg, says))
		fail_msg("%s \"%s\" does not say \"%s\"", err_code_name(err.code), err.msg, says);
	assert_int_equal(a.creates + b.creates, 0);
}

static void test_most_room_wins(void **state)
{
	struct create_spec spec = wanted();
	struct err err;

	(void)state;
	b.available_bytes = 12 * GI;
	assert_int_equal(ensure(&spec, &err), 0);
	assert_string_equal(id.target, "b");
	assert_string_equal(id.pool, "fast");
	assert_string_equal(id.uuid.text, FAKE_UUID);
	assert_int_equal(b.creates, 1);
	assert_string_equal(b.asked_uuid, FAKE_UUID);
	assert_string_equal(b.asked_name, "pvc-1");
	assert_int_equal(b.asked_size, GI);
	b.available_bytes = 8 * GI;
	assert_int_equal(ensure(&spec, &err), 0);
	assert_string_equal(id.target, "a");
	assert_int_equal(a.creates, 1);
	assert_int_equal(b.creates, 1);
}

static void test_found_on_second(void **state)
{
	struct create_spec spec = wanted();
	struct err err;

	(void)state;
	b.has_volume = true;
	b.available_bytes = 0;
	assert_int_equal(ensure(&spec, &err), 0);
	assert_string_equal(id.target, "b");
	assert_int_equal(a.creates + b.creates, 0);
}

static void test_incompatible(void **state)
{
	struct create_spec spec = wanted();
	struct err err;

	(void)state;
	b.has_volume = true;
	b.volume.size_bytes = GI - 4096;
	ensure_fails(&spec, ERR_ALREADY_EXISTS, "1073737728 bytes");
	b.volume.size_bytes = 2 * GI + 4096;
	ensure_fails(&spec, ERR_ALREADY_EXISTS, "2147487744 bytes");
	b.volume.size_bytes = 2 * GI;
	assert_int_equal(ensure(&spec, &err), 0);
	strcpy(spec.parameters.pool, "slow");
	ensure_fails(&spec, ERR_ALREADY_EXISTS,
		     "in pool fast; asked for is target \"\", pool \"slow\"");
	strcpy(spec.parameters.pool, "fast");
	strcpy(spec.parameters.target, "a");
	ensure_fails(&spec, ERR_ALREADY_EXISTS, "on target b");
	strcpy(spec.parameters.target, "b");
	assert_int_equal(ensure(&spec, &err), 0);
	spec.parameters.volatile_cache = true;
	ensure_fails(&spec, ERR_ALREADY_EXISTS, "writeCache none; asked for is volatile");
	b.volume.write_cache = NVMEOT__TARGET__V1__WRITE_CACHE__WRITE_CACHE_VOLATILE;
	assert_int_equal(ensure(&spec, &err), 0);
	spec.parameters.volatile_cache = false;
	ensure_fails(&spec, ERR_ALREADY_EXISTS, "writeCache volatile; asked for is none");
}

static void test_unreachable_first(void **state)
{
	struct create_spec spec = wanted();
	struct err err;

	(void)state;
	fake_stop(&a);
	assert_int_equal(ensure(&spec, &err), 0);
	assert_string_equal(id.target, "b");
	assert_int_equal(b.creates, 1);
}

/* Something that accepts connections and never says a word must leave time for the others. */
static void test_silent_first(void **state)
{
	struct controller silent_first = { 0 };
	struct create_spec spec = wanted();
	struct silent silent;
	struct agent_volume made cleanup_agent_volume = { 0 };
	struct agent_info info cleanup_agent_info = { 0 };
	struct agent *agent = NULL;
	struct err err = ERR_INIT;

	(void)state;
	silent_start(&silent);
	assert_int_equal(agent_new("silent", silent.address, NULL, &agent, &err), 0);
	assert_int_equal(controller_add_target(&silent_first, agent, &err), 0);
	assert_int_equal(controller_add_target(&silent_first, fake_client(&b, "b"), &err), 0);
	if (volumes_ensure(&silent_first, &spec, deadline_after_ms(3000), &made, &info, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(made.id.target, "b");
	assert_int_equal(controller_check(&silent_first, deadline_after_ms(3000), &err), 0);
	controller_fini(&silent_first);
	silent_stop(&silent);
}

/* Its pool hangs, or it stops: it is there and may have the volume, so no other gets it. */
static void test_answers_with_trouble(void **state)
{
	static const enum err_code codes[] = { ERR_UNAVAILABLE, ERR_DEADLINE_EXCEEDED,
					       ERR_CANCELLED, ERR_INTERNAL };
	struct create_spec spec = wanted();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		a.find_failure = codes[i];
		ensure_fails(&spec, codes[i], "target a: the fake's own words");
	}
}

/* A creation that was cut short ends where it was begun, or nowhere. */
static void test_begun(void **state)
{
	struct create_spec spec = wanted();
	struct err err;

	(void)state;
	a.find_failure = a.failure = ERR_ABORTED;
	assert_int_equal(ensure(&spec, &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
	assert_int_equal(b.creates, 0);
	a.failure = ERR_NONE;
	if (ensure(&spec, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(id.target, "a");
	assert_int_equal(b.creates, 0);
}

/* One that does not let us in is as good as down; when it is needed it is named. */
static void test_not_let_in(void **state)
{
	static const enum err_code codes[] = { ERR_PERMISSION_DENIED, ERR_UNAUTHENTICATED };
	struct create_spec spec = wanted();
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		a.find_failure = codes[i];
		b.creates = 0;
		if (ensure(&spec, &err) < 0)
			fail_msg("%s", err.msg);
		assert_string_equal(id.target, "b");
		assert_int_equal(b.creates, 1);
		b.creates = 0;
		spec.size_bytes = 100 * GI;
		ensure_fails(&spec, ERR_UNAVAILABLE, "target a: the fake's own words");
		spec.size_bytes = GI;
	}
}

static void test_all_unreachable(void **state)
{
	struct create_spec spec = wanted();

	(void)state;
	fake_stop(&a);
	fake_stop(&b);
	ensure_fails(&spec, ERR_UNAVAILABLE, "no target can take volume \"pvc-1\": target ");
}

static void test_chosen_target(void **state)
{
	struct create_spec spec = wanted();
	struct err err;

	(void)state;
	strcpy(spec.parameters.target, "a");
	a.available_bytes = 2 * GI;
	assert_int_equal(ensure(&spec, &err), 0);
	assert_string_equal(id.target, "a");
	a.creates = 0;
	strcpy(spec.parameters.target, "c");
	ensure_fails(&spec, ERR_INVALID_ARGUMENT, "parameter target \"c\" names no target");
	/* Nor does it get better when a target that is not meant comes back. */
	fake_stop(&b);
	ensure_fails(&spec, ERR_INVALID_ARGUMENT, "parameter target \"c\" names no target");
	strcpy(spec.parameters.target, "b");
	ensure_fails(&spec, ERR_UNAVAILABLE, "target b");
}

static void test_chosen_pool(void **state)
{
	struct create_spec spec = wanted();
	struct err err;

	(void)state;
	strcpy(spec.parameters.pool, "slow");
	ensure_fails(&spec, ERR_INVALID_ARGUMENT, "no target has pool \"slow\"");
	a.pool = "slow";
	a.volume.pool = (char *)"slow";
	a.available_bytes = GI;
	assert_int_equal(ensure(&spec, &err), 0);
	assert_string_equal(id.target, "a");
	assert_string_equal(id.pool, "slow");
	assert_string_equal(a.asked_pool, "slow");
	a.creates = 0;
	/* The pool may be on the one that does not answer: that is no mistake of the user's. */
	fake_stop(&a);
	ensure_fails(&spec, ERR_UNAVAILABLE, "target a");
}

/* A misconfigured address is no outage: nothing is created until it is put right. */
static void test_wrong_identity(void **state)
{
	struct create_spec spec = wanted();

	(void)state;
	a.id = "b";
	a.has_volume = true;
	ensure_fails(&spec, ERR_FAILED_PRECONDITION, "calls itself \"b\"");
	assert_int_equal(b.creates, 0);
	strcpy(spec.parameters.target, "a");
	ensure_fails(&spec, ERR_FAILED_PRECONDITION, "calls itself \"b\"");
}

static void test_create_fails(void **state)
{
	struct create_spec spec = wanted();
	struct err err;

	(void)state;
	b.available_bytes = 20 * GI;
	b.failure = ERR_INTERNAL;
	assert_int_equal(ensure(&spec, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_string_equal(err.msg, "target b: the fake's own words");
	assert_int_equal(a.creates, 0);
}

/* A target that has become full between the look and the creation has created nothing. */
static void test_became_full(void **state)
{
	struct create_spec spec = wanted();
	struct err err;

	(void)state;
	b.available_bytes = 20 * GI;
	b.failure = ERR_RESOURCE_EXHAUSTED;
	assert_int_equal(ensure(&spec, &err), 0);
	assert_string_equal(id.target, "a");
	assert_int_equal(b.creates, 1);
	a.failure = ERR_RESOURCE_EXHAUSTED;
	assert_int_equal(ensure(&spec, &err), -1);
	assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
	assert_string_equal(err.msg, "target a: the fake's own words");
	/* There may be room on the one that was not asked. */
	a.find_failure = ERR_PERMISSION_DENIED;
	assert_int_equal(ensure(&spec, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "target a: the fake's own words; of those that answer: "
					"target b: the fake's own words"));
}

/* The name has two volumes: the one that may matter to anybody is it, two such are an error. */
static void test_twins(void **state)
{
	struct create_spec spec = wanted();
	struct err err;

	(void)state;
	a.has_volume = b.has_volume = true;
	a.volume.blank = b.volume.blank = true;
	assert_int_equal(ensure(&spec, &err), 0);
	assert_string_equal(id.target, "a");
	b.volume.blank = false;
	assert_int_equal(ensure(&spec, &err), 0);
	assert_string_equal(id.target, "b");
	fake_exported(&a, false);
	ensure_fails(&spec, ERR_FAILED_PRECONDITION,
		     "exists on target a and on target b, and both are in use");
	b.volume.blank = true;
	assert_int_equal(ensure(&spec, &err), 0);
	assert_string_equal(id.target, "a");
	assert_int_equal(a.creates + b.creates, 0);
}

/* A requirement of one zone. */
struct in_zone {
	Csi__V1__TopologyRequirement requirement;
	Csi__V1__Topology topology, *requisite[1];
	struct fixture_map segments;
};

static const Csi__V1__TopologyRequirement *in_zone(struct in_zone *z, const char *zone)
{
	*z = (struct in_zone) { 0 };
	csi__v1__topology_requirement__init(&z->requirement);
	csi__v1__topology__init(&z->topology);
	fixture_map_set(&z->segments, "zone", zone);
	FIXTURE_MAP_INTO(&z->topology, segments, &z->segments);
	z->requisite[0] = &z->topology;
	z->requirement.requisite = z->requisite;
	z->requirement.n_requisite = 1;
	return &z->requirement;
}

static void test_topology(void **state)
{
	struct create_spec spec = wanted();
	struct in_zone z;
	struct err err;

	(void)state;
	a.zone = "za";
	b.zone = "zb";
	a.available_bytes = 100 * GI;
	spec.topology = in_zone(&z, "zb");
	assert_int_equal(ensure(&spec, &err), 0);
	assert_string_equal(id.target, "b");
	b.has_volume = true;
	assert_int_equal(ensure(&spec, &err), 0);
	assert_int_equal(b.creates, 1);
	b.creates = 0;
	spec.topology = in_zone(&z, "za");
	ensure_fails(&spec, ERR_ALREADY_EXISTS, "on target b, which cannot be reached from any");
	b.has_volume = false;
	spec.topology = in_zone(&z, "zc");
	ensure_fails(&spec, ERR_RESOURCE_EXHAUSTED, "no target can be reached from any of the");
	/* What is reachable from everywhere is so from there. */
	b.zone = NULL;
	assert_int_equal(ensure(&spec, &err), 0);
	assert_string_equal(id.target, "b");
}

static void test_passed_on(void **state)
{
	struct create_spec spec = wanted();
	struct fixture_map parameters = { 0 }, mutables = { 0 };
	struct err err;

	(void)state;
	fixture_map_set(&parameters, "ctrlLossTmo", "600");
	fixture_map_set(&mutables, "queueSize", "64");
	spec.parameter_map = fixture_map_of(&parameters);
	spec.mutable_map = fixture_map_of(&mutables);
	a.available_bytes = 100 * GI;
	assert_int_equal(ensure(&spec, &err), 0);
	assert_string_equal(a.asked_parameter, "ctrlLossTmo=600");
	assert_string_equal(a.asked_mutable, "queueSize=64");
}

/* The whole call: what the answer shows is the volume as the target has it. */
static void test_answer(void **state)
{
	Csi__V1__CreateVolumeResponse response = CSI__V1__CREATE_VOLUME_RESPONSE__INIT;
	struct uuid uuid = volume_uuid_of_name("pvc-1");
	struct rpc_call call;
	struct good g;
	struct err err = ERR_INIT;

	(void)state;
	make(&g);
	fake_parameter(&b, "queueSize", "64");
	fake_parameter(&b, "pool", "fast");
	fake_mutable(&b, "queueSize", "32");
	b.volume.uuid = uuid.text;
	b.has_volume = true;
	b.zone = "zb";
	assert_int_equal(CALL(&call, volumes_create, &g.request, &response, &err), 0);
	assert_string_equal(response.volume->volume_id,
			    rpc_printf(&call, "b/fast/%s", b.volume.uuid));
	assert_int_equal(response.volume->capacity_bytes, GI);
	assert_int_equal(response.volume->n_volume_context, 1);
	assert_string_equal(response.volume->volume_context[0]->key, "queueSize");
	assert_string_equal(response.volume->volume_context[0]->value, "64");
	assert_int_equal(response.volume->n_accessible_topology, 1);
	assert_string_equal(response.volume->accessible_topology[0]->segments[0]->key, "zone");
	assert_string_equal(response.volume->accessible_topology[0]->segments[0]->value, "zb");
	rpc_call_fini(&call);
}

static void test_no_targets(void **state)
{
	struct controller none = { 0 };
	struct create_spec spec = wanted();
	struct agent_volume volume;
	struct agent_info info;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(volumes_ensure(&none, &spec, deadline_none(), &volume, &info, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_int_equal(controller_check(&none, deadline_none(), &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
}

static void test_targets(void **state)
{
	struct agent *again = fake_client(&b, "a"), *target;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(controller_add_target(&controller, again, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "target \"a\" is given twice");
	agent_free(again);
	assert_int_equal(controller_locate(&controller, "b/p/5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11",
					   &id, &target, &err),
			 0);
	assert_string_equal(agent_name(target), "b");
	assert_int_equal(controller_locate(&controller, "c/p/5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11",
					   &id, &target, &err),
			 -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	fake_stop(&a);
	assert_int_equal(controller_check(&controller, deadline_after_ms(FAKE_MS), &err), 0);
	fake_stop(&b);
	assert_int_equal(controller_check(&controller, deadline_after_ms(FAKE_MS), &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "none of 2 targets answers"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refusals),
		cmocka_unit_test(test_parse_mutable),
		cmocka_unit_test(test_parse_size),
		TEST(test_most_room_wins),
		TEST(test_found_on_second),
		TEST(test_incompatible),
		TEST(test_unreachable_first),
		TEST(test_silent_first),
		TEST(test_answers_with_trouble),
		TEST(test_begun),
		TEST(test_not_let_in),
		TEST(test_all_unreachable),
		TEST(test_chosen_target),
		TEST(test_chosen_pool),
		TEST(test_wrong_identity),
		TEST(test_create_fails),
		TEST(test_became_full),
		TEST(test_twins),
		TEST(test_topology),
		TEST(test_passed_on),
		TEST(test_answer),
		TEST(test_no_targets),
		TEST(test_targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
