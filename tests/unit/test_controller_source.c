/* SPDX-License-Identifier: Apache-2.0 */
/* CreateVolume from a snapshot and from a volume: the place, the size, and what is shown of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csi/controller/listing.h"
#include "csi/controller/volumes.h"
#include "tests/unit/controller_fixture.h"
#include "tests/unit/request_fixture.h"

#define GI (1LL << 30)
#define SNAPSHOT "77777777-0000-5000-8000-000000000000"
#define SNAPSHOT_ID "b/fast/@" SNAPSHOT
#define VOLUME "88888888-0000-5000-8000-000000000000"

/* A request for a copy, in which everything is right: do not move it. */
struct copy {
	struct fixture_capability capability;
	Csi__V1__VolumeCapability *capabilities[1];
	Csi__V1__CapacityRange range;
	struct fixture_map parameters;
	Csi__V1__VolumeContentSource source;
	Csi__V1__VolumeContentSource__SnapshotSource snapshot;
	Csi__V1__VolumeContentSource__VolumeSource volume;
	Csi__V1__CreateVolumeRequest request;
	char uuid[UUID_TEXT_SIZE]; /* of the volume to be */
};

static void make(struct copy *c)
{
	*c = (struct copy) { 0 };
	csi__v1__create_volume_request__init(&c->request);
	csi__v1__capacity_range__init(&c->range);
	csi__v1__volume_content_source__init(&c->source);
	csi__v1__volume_content_source__snapshot_source__init(&c->snapshot);
	csi__v1__volume_content_source__volume_source__init(&c->volume);
	c->capabilities[0] = fixture_mount(&c->capability, MODE(SINGLE_NODE_WRITER), "", NULL, 0);
	c->request.name = (char *)"copy";
	c->request.volume_capabilities = c->capabilities;
	c->request.n_volume_capabilities = 1;
	c->request.capacity_range = &c->range;
	c->range.required_bytes = GI;
	c->snapshot.snapshot_id = (char *)SNAPSHOT_ID;
	c->source.type_case = CSI__V1__VOLUME_CONTENT_SOURCE__TYPE_SNAPSHOT;
	c->source.snapshot = &c->snapshot;
	c->request.volume_content_source = &c->source;
	strcpy(c->uuid, volume_uuid_of_name("copy").text);
}

static void of_volume(struct copy *c, const char *volume_id)
{
	c->volume.volume_id = (char *)volume_id;
	c->source.type_case = CSI__V1__VOLUME_CONTENT_SOURCE__TYPE_VOLUME;
	c->source.volume = &c->volume;
}

/* The response lives as long as the call. */
static Csi__V1__CreateVolumeResponse *create(struct copy *c, struct rpc_call *call)
{
	static Csi__V1__CreateVolumeResponse response;
	struct err err;

	csi__v1__create_volume_response__init(&response);
	FIXTURE_MAP_INTO(&c->request, parameters, &c->parameters);
	if (CALL(call, volumes_create, &c->request, &response, &err) < 0)
		fail_msg("%s", err.msg);
	return &response;
}

static void refused(struct copy *c, enum err_code code, const char *says)
{
	Csi__V1__CreateVolumeResponse response = CSI__V1__CREATE_VOLUME_RESPONSE__INIT;

	FIXTURE_MAP_INTO(&c->request, parameters, &c->parameters);
	CALL_FAILS(volumes_create, &c->request, &response, code, says);
	assert_int_equal(a.creates + b.creates, 0);
	make(c);
}

/* b has the snapshot, and makes a copy of it when asked; a has more room. */
static void prepare(struct copy *c)
{
	make(c);
	a.available_bytes = 100 * GI;
	fake_snapshot_add(&b.snapshots, SNAPSHOT, VOLUME, "");
	b.volume.uuid = c->uuid;
	fake_copied(&b, SNAPSHOT, "");
}

static void test_of_snapshot(void **state)
{
	const Csi__V1__CreateVolumeResponse *response;
	struct rpc_call call;
	struct copy c;

	(void)state;
	prepare(&c);
	response = create(&c, &call);
	assert_int_equal(a.creates, 0);
	assert_string_equal(b.asked_pool, "fast");
	assert_string_equal(b.asked_snapshot, SNAPSHOT);
	assert_string_equal(b.asked_source, "");
	assert_int_equal(b.asked_size, GI);
	assert_int_equal(response->volume->content_source->type_case,
			 CSI__V1__VOLUME_CONTENT_SOURCE__TYPE_SNAPSHOT);
	assert_string_equal(response->volume->content_source->snapshot->snapshot_id, SNAPSHOT_ID);
	rpc_call_fini(&call);
}

static void test_of_volume(void **state)
{
	const Csi__V1__CreateVolumeResponse *response;
	struct rpc_call call;
	struct copy c;

	(void)state;
	prepare(&c);
	of_volume(&c, "b/fast/" VOLUME);
	fake_copied(&b, "", VOLUME);
	b.has_volume = true;
	b.volume.uuid = c.uuid;
	response = create(&c, &call);
	assert_int_equal(b.creates, 0);
	assert_string_equal(response->volume->content_source->volume->volume_id, "b/fast/" VOLUME);
	rpc_call_fini(&call);
}

/* The source of one that is not there yet is found, and its size asked for. */
static void test_new_of_volume(void **state)
{
	struct rpc_call call;
	struct copy c;

	(void)state;
	prepare(&c);
	of_volume(&c, "b/fast/" VOLUME);
	fake_copied(&b, "", VOLUME);
	b.only_uuid = VOLUME;
	b.volume.size_bytes = 3 * GI;
	c.request.capacity_range = NULL;
	create(&c, &call);
	assert_string_equal(b.asked_source, VOLUME);
	assert_string_equal(b.asked_snapshot, "");
	assert_int_equal(b.asked_size, 3 * GI);
	rpc_call_fini(&call);
}

static void test_size(void **state)
{
	struct rpc_call call;
	struct copy c;

	(void)state;
	prepare(&c);
	c.range.required_bytes = GI - 4096;
	refused(&c, ERR_OUT_OF_RANGE,
		"required_bytes 1073737728 is less than the 1073741824 bytes of "
		"snapshot " SNAPSHOT_ID);
	c.range.required_bytes = 0;
	c.range.limit_bytes = GI - 4096;
	refused(&c, ERR_OUT_OF_RANGE, "snapshot " SNAPSHOT_ID " of 1073741824 bytes");
	/* Without a size it is as large as its source, whatever a blank volume would be. */
	b.snapshots.rows[0].size_bytes = GI / 16;
	b.volume.size_bytes = GI / 16;
	c.request.capacity_range = NULL;
	create(&c, &call);
	assert_int_equal(b.asked_size, GI / 16);
	rpc_call_fini(&call);
	make(&c);
	c.range.required_bytes = GI / 8;
	b.volume.size_bytes = GI / 8;
	create(&c, &call);
	assert_int_equal(b.asked_size, GI / 8);
	rpc_call_fini(&call);
}

/* What asks for another place names both. */
static void test_place(void **state)
{
	Csi__V1__TopologyRequirement requirement = CSI__V1__TOPOLOGY_REQUIREMENT__INIT;
	Csi__V1__Topology topology = CSI__V1__TOPOLOGY__INIT, *requisite[] = { &topology };
	struct fixture_map segments = { 0 };
	struct copy c;

	(void)state;
	prepare(&c);
	fixture_map_set(&c.parameters, "target", "a");
	refused(&c, ERR_INVALID_ARGUMENT,
		"made of snapshot " SNAPSHOT_ID
		", and so on target b in pool fast; the parameters ask for target \"a\"");
	fixture_map_set(&c.parameters, "pool", "slow");
	refused(&c, ERR_INVALID_ARGUMENT,
		"in pool fast; the parameters ask for target \"\", pool "
		"\"slow\"");
	a.zone = "za";
	b.zone = "zb";
	requirement.requisite = requisite;
	requirement.n_requisite = 1;
	fixture_map_set(&segments, "zone", "za");
	FIXTURE_MAP_INTO(&topology, segments, &segments);
	c.request.accessibility_requirements = &requirement;
	refused(&c, ERR_RESOURCE_EXHAUSTED,
		"made of snapshot " SNAPSHOT_ID ", and so on target b, which cannot be reached");
	b.available_bytes = GI / 2;
	refused(&c, ERR_RESOURCE_EXHAUSTED, "on target b");
}

static void test_no_source(void **state)
{
	struct copy c;

	(void)state;
	prepare(&c);
	c.snapshot.snapshot_id = (char *)"b/fast/@" VOLUME;
	refused(&c, ERR_NOT_FOUND, "snapshot \"b/fast/@" VOLUME "\" does not exist");
	c.snapshot.snapshot_id = (char *)"z/fast/@" SNAPSHOT;
	refused(&c, ERR_NOT_FOUND, "on target \"z\"");
	c.snapshot.snapshot_id = (char *)"b/fast/" SNAPSHOT;
	refused(&c, ERR_NOT_FOUND, "target/pool/@uuid");
	of_volume(&c, "b/fast/" VOLUME);
	refused(&c, ERR_NOT_FOUND, "volume \"b/fast/" VOLUME "\" does not exist");
	of_volume(&c, "nonsense");
	refused(&c, ERR_NOT_FOUND, "target/pool/uuid");
	fake_stop(&b);
	refused(&c, ERR_UNAVAILABLE, "target b");
}

/* A volume of that name is the one only if it is a copy of the same. */
static void test_incompatible(void **state)
{
	struct copy c;

	(void)state;
	prepare(&c);
	b.has_volume = true;
	fake_copied(&b, "", VOLUME);
	refused(&c, ERR_ALREADY_EXISTS,
		"is made of volume b/fast/" VOLUME "; asked for is one made of snapshot");
	b.volume.source = NULL;
	refused(&c, ERR_ALREADY_EXISTS, "is made of nothing; asked for is one made of snapshot");
	fake_copied(&b, SNAPSHOT, "");
	c.request.volume_content_source = NULL;
	refused(&c, ERR_ALREADY_EXISTS,
		"is made of snapshot " SNAPSHOT_ID "; asked for is one made of nothing");
	c.snapshot.snapshot_id = (char *)"a/fast/@" SNAPSHOT;
	refused(&c, ERR_ALREADY_EXISTS, "asked for is one made of snapshot a/fast/@" SNAPSHOT);
}

/* Made again, it needs its source no more. */
static void test_again(void **state)
{
	struct rpc_call call;
	struct copy c;

	(void)state;
	prepare(&c);
	b.has_volume = true;
	b.snapshots.count = 0;
	create(&c, &call);
	assert_int_equal(b.creates, 0);
	rpc_call_fini(&call);
}

/* A creation that was cut short is ended where it was begun, which is where the source is. */
static void test_begun(void **state)
{
	struct rpc_call call;
	struct copy c;

	(void)state;
	prepare(&c);
	b.find_failure = ERR_ABORTED;
	create(&c, &call);
	assert_int_equal(b.creates, 1);
	assert_string_equal(b.asked_snapshot, SNAPSHOT);
	rpc_call_fini(&call);
	b.creates = 0;
	b.find_failure = ERR_NONE;
	a.find_failure = ERR_ABORTED;
	refused(&c, ERR_ABORTED, "target a: the fake's own words");
}

/* So it is when the source has gone or grown since: its target knows first. */
static void test_begun_sourceless(void **state)
{
	Csi__V1__CreateVolumeResponse response = CSI__V1__CREATE_VOLUME_RESPONSE__INIT;
	struct rpc_call call;
	struct copy c;

	(void)state;
	prepare(&c);
	b.find_failure = ERR_ABORTED;
	b.snapshots.rows[0].size_bytes = 2 * GI;
	create(&c, &call);
	assert_int_equal(b.creates, 1);
	assert_int_equal(b.asked_size, GI);
	rpc_call_fini(&call);
	b.snapshots.count = 0;
	create(&c, &call);
	assert_int_equal(b.creates, 2);
	assert_string_equal(b.asked_snapshot, SNAPSHOT);
	assert_string_equal(b.asked_pool, "fast");
	rpc_call_fini(&call);
	/* It took back what was begun. */
	b.failure = ERR_NOT_FOUND;
	CALL_FAILS(volumes_create, &c.request, &response, ERR_NOT_FOUND,
		   "target b: the fake's own words");
	/* Where it may not be nothing is made. */
	b.failure = ERR_NONE;
	b.creates = 0;
	fixture_map_set(&c.parameters, "pool", "slow");
	refused(&c, ERR_INVALID_ARGUMENT, "pool \"slow\"");
}

static void test_shown(void **state)
{
	Csi__V1__ControllerGetVolumeRequest get = CSI__V1__CONTROLLER_GET_VOLUME_REQUEST__INIT;
	Csi__V1__ControllerGetVolumeResponse got = CSI__V1__CONTROLLER_GET_VOLUME_RESPONSE__INIT;
	Csi__V1__ListVolumesRequest list = CSI__V1__LIST_VOLUMES_REQUEST__INIT;
	Csi__V1__ListVolumesResponse listed = CSI__V1__LIST_VOLUMES_RESPONSE__INIT;
	struct rpc_call call;
	struct err err;

	(void)state;
	b.has_volume = true;
	fake_copied(&b, SNAPSHOT, "");
	get.volume_id = (char *)"b/fast/" FAKE_UUID;
	assert_int_equal(CALL(&call, listing_get_volume, &get, &got, &err), 0);
	assert_string_equal(got.volume->content_source->snapshot->snapshot_id, SNAPSHOT_ID);
	rpc_call_fini(&call);
	b.list_count = 1;
	assert_int_equal(CALL(&call, listing_list_volumes, &list, &listed, &err), 0);
	assert_string_equal(listed.entries[0]->volume->content_source->snapshot->snapshot_id,
			    SNAPSHOT_ID);
	rpc_call_fini(&call);
	b.volume.source = NULL;
	assert_int_equal(CALL(&call, listing_get_volume, &get, &got, &err), 0);
	assert_null(got.volume->content_source);
	rpc_call_fini(&call);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_of_snapshot),
		TEST(test_of_volume),
		TEST(test_new_of_volume),
		TEST(test_size),
		TEST(test_place),
		TEST(test_no_source),
		TEST(test_incompatible),
		TEST(test_again),
		TEST(test_begun),
		TEST(test_shown),
		TEST(test_begun_sourceless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
