/* SPDX-License-Identifier: Apache-2.0 */
/* CreateSnapshot, DeleteSnapshot, ListSnapshots and GetSnapshot over two fake agents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csi/controller/snapshots.h"
#include "nvme/base/strb.h"
#include "tests/unit/controller_fixture.h"
#include "tests/unit/request_fixture.h"

#define OTHER "88888888-0000-5000-8000-000000000000"
#define GROUP "99999999-0000-5000-8000-000000000000"
#define S(digit) "0000000" digit "-0000-5000-8000-000000000000"

/* --- creating --- */

struct creation {
	Csi__V1__CreateSnapshotRequest request;
	struct fixture_map parameters;
};

static void make(struct creation *c)
{
	*c = (struct creation) { 0 };
	csi__v1__create_snapshot_request__init(&c->request);
	c->request.name = (char *)"snap";
	c->request.source_volume_id = (char *)ID_A;
}

/* The ID of what is created, in a static buffer. */
static const char *create(struct creation *c)
{
	Csi__V1__CreateSnapshotResponse response = CSI__V1__CREATE_SNAPSHOT_RESPONSE__INIT;
	static char id[VOLUME_ID_SIZE];
	struct rpc_call call;
	struct err err;

	if (CALL(&call, snapshots_create, &c->request, &response, &err) < 0)
		fail_msg("%s", err.msg);
	snprintf(id, sizeof(id), "%s", response.snapshot->snapshot_id);
	rpc_call_fini(&call);
	return id;
}

static void refused(struct creation *c, enum err_code code, const char *says)
{
	Csi__V1__CreateSnapshotResponse response = CSI__V1__CREATE_SNAPSHOT_RESPONSE__INIT;

	FIXTURE_MAP_INTO(&c->request, parameters, &c->parameters);
	CALL_FAILS(snapshots_create, &c->request, &response, code, says);
	make(c);
}

/* All that an answer says. */
static void test_create(void **state)
{
	Csi__V1__CreateSnapshotResponse response = CSI__V1__CREATE_SNAPSHOT_RESPONSE__INIT;
	struct uuid uuid = snapshot_uuid_of_name("snap");
	const Csi__V1__Snapshot *snapshot;
	struct rpc_call call;
	struct creation c;
	struct err err;

	(void)state;
	make(&c);
	a.has_volume = true;
	a.zone = "za";
	assert_int_equal(CALL(&call, snapshots_create, &c.request, &response, &err), 0);
	snapshot = response.snapshot;
	assert_string_equal(snapshot->snapshot_id, rpc_printf(&call, "a/fast/@%s", uuid.text));
	assert_string_equal(snapshot->source_volume_id, ID_A);
	assert_int_equal(snapshot->size_bytes, 1 << 30);
	assert_int_equal(snapshot->creation_time->seconds, 1700000000);
	assert_int_equal(snapshot->creation_time->nanos, 123456789);
	assert_true(snapshot->ready_to_use);
	assert_string_equal(snapshot->group_snapshot_id, "");
	assert_string_equal(snapshot->accessible_topology[0]->segments[0]->value, "za");
	assert_string_equal(a.snapshots.asked_uuid, uuid.text);
	assert_string_equal(a.snapshots.asked_name, "snap");
	assert_int_equal(a.snapshots.asked_count, 1);
	rpc_call_fini(&call);
}

/* An agent that does not know of it would take a snapshot all the same. */
static void test_create_frozen(void **state)
{
	struct creation c;

	(void)state;
	make(&c);
	a.has_volume = true;
	fixture_map_set(&c.parameters, "freeze", "true");
	refused(&c, ERR_FAILED_PRECONDITION,
		"the agent of target a, of version 0.1, does not know");
	fixture_map_set(&c.parameters, "freeze", "often");
	refused(&c, ERR_INVALID_ARGUMENT, "freeze \"often\" is not true or false");
	assert_int_equal(a.snapshots.creates, 0);
	fixture_map_set(&c.parameters, "freeze", "false");
	FIXTURE_MAP_INTO(&c.request, parameters, &c.parameters);
	create(&c);
	assert_false(a.snapshots.asked_freeze);
	a.snapshots.count = 0;
	a.can_freeze = true;
	make(&c);
	fixture_map_set(&c.parameters, "freeze", "true");
	FIXTURE_MAP_INTO(&c.request, parameters, &c.parameters);
	create(&c);
	assert_true(a.snapshots.asked_freeze);
	assert_string_equal(a.snapshots.asked_parameter, "freeze=true");
	/* What is there needs no agent that could do it. */
	a.can_freeze = false;
	create(&c);
	assert_int_equal(a.snapshots.creates, 2);
	/* One that was taken without it is another. */
	a.snapshots.rows[0].frozen = false;
	refused(&c, ERR_ALREADY_EXISTS, "was taken without freeze; asked for is one with it");
	assert_int_equal(a.snapshots.creates, 2);
}

static void test_create_again(void **state)
{
	struct creation c;

	(void)state;
	make(&c);
	a.has_volume = true;
	create(&c);
	/* It outlives its volume, and so does the answer. */
	a.has_volume = false;
	create(&c);
	assert_int_equal(a.snapshots.creates, 1);
	/* One that was begun and cut short is taken again, which ends it. */
	a.has_volume = true;
	a.snapshots.find_failure = ERR_ABORTED;
	create(&c);
	assert_int_equal(a.snapshots.creates, 2);
	/* Also when its volume is gone by now. */
	a.has_volume = false;
	create(&c);
	assert_int_equal(a.snapshots.creates, 3);
	/* Or its target takes it back, and says that there is no volume. */
	a.snapshots.count = 0;
	refused(&c, ERR_NOT_FOUND, "target a: ");
	assert_int_equal(a.snapshots.creates, 4);
}

static void test_name_is_taken(void **state)
{
	struct uuid uuid = snapshot_uuid_of_name("snap");
	struct creation c;

	(void)state;
	make(&c);
	a.has_volume = b.has_volume = true;
	fake_snapshot_add(&a.snapshots, uuid.text, OTHER, "");
	refused(&c, ERR_ALREADY_EXISTS, "of volume a/fast/" OTHER "; asked for is one of volume");
	/* On whichever target it is. */
	c.request.source_volume_id = (char *)"b/fast/" FAKE_UUID;
	refused(&c, ERR_ALREADY_EXISTS, "of volume a/fast/" OTHER);
	assert_int_equal(a.snapshots.creates + b.snapshots.creates, 0);
	/* A target that is not there takes no name. */
	fake_stop(&a);
	c.request.source_volume_id = (char *)"b/fast/" FAKE_UUID;
	create(&c);
	assert_int_equal(b.snapshots.creates, 1);
}

static void test_create_refused(void **state)
{
	char name[130];
	struct creation c;

	(void)state;
	memset(name, 'n', 129);
	name[129] = '\0';
	make(&c);
	c.request.name = (char *)"";
	refused(&c, ERR_INVALID_ARGUMENT, "name is required");
	c.request.name = name;
	refused(&c, ERR_INVALID_ARGUMENT, "at most 128");
	c.request.source_volume_id = (char *)"";
	refused(&c, ERR_INVALID_ARGUMENT, "source_volume_id is required");
	c.request.source_volume_id = (char *)"a/fast/@" FAKE_UUID;
	refused(&c, ERR_NOT_FOUND, "not of the form target/pool/uuid");
	c.request.source_volume_id = (char *)"z/fast/" FAKE_UUID;
	refused(&c, ERR_NOT_FOUND, "on target \"z\"");
	refused(&c, ERR_NOT_FOUND, "volume \"" ID_A "\" does not exist");
	fixture_map_set(&c.parameters, "pool", "fast");
	refused(&c, ERR_INVALID_ARGUMENT, "parameter \"pool\" is unknown");
	a.has_volume = true;
	a.snapshots.create_failure = ERR_RESOURCE_EXHAUSTED;
	refused(&c, ERR_RESOURCE_EXHAUSTED, "target a: the fake's own words");
	a.snapshots.find_failure = ERR_INTERNAL;
	refused(&c, ERR_INTERNAL, "target a: the fake's own words");
	fake_stop(&a);
	refused(&c, ERR_UNAVAILABLE, "target a");
}

/* It can only be taken where its volume is. */
static void test_create_elsewhere(void **state)
{
	Csi__V1__TopologyRequirement requirement = CSI__V1__TOPOLOGY_REQUIREMENT__INIT;
	Csi__V1__Topology topology = CSI__V1__TOPOLOGY__INIT, *requisite[] = { &topology };
	struct fixture_map segments = { 0 };
	struct creation c;

	(void)state;
	make(&c);
	a.has_volume = true;
	a.zone = "za";
	requirement.requisite = requisite;
	requirement.n_requisite = 1;
	fixture_map_set(&segments, "zone", "zb");
	FIXTURE_MAP_INTO(&topology, segments, &segments);
	c.request.accessibility_requirements = &requirement;
	refused(&c, ERR_RESOURCE_EXHAUSTED, "on target a, which cannot be reached");
	fixture_map_set(&segments, "zone", "za");
	c.request.accessibility_requirements = &requirement;
	create(&c);
}

/* --- deleting --- */

static void delete_id(const char *id)
{
	Csi__V1__DeleteSnapshotRequest request = CSI__V1__DELETE_SNAPSHOT_REQUEST__INIT;
	Csi__V1__DeleteSnapshotResponse response = CSI__V1__DELETE_SNAPSHOT_RESPONSE__INIT;
	struct rpc_call call;
	struct err err;

	request.snapshot_id = (char *)id;
	if (CALL(&call, snapshots_delete, &request, &response, &err) < 0)
		fail_msg("%s", err.msg);
	rpc_call_fini(&call);
}

static void delete_refused(const char *id, enum err_code code, const char *says)
{
	Csi__V1__DeleteSnapshotRequest request = CSI__V1__DELETE_SNAPSHOT_REQUEST__INIT;
	Csi__V1__DeleteSnapshotResponse response = CSI__V1__DELETE_SNAPSHOT_RESPONSE__INIT;

	request.snapshot_id = (char *)id;
	CALL_FAILS(snapshots_delete, &request, &response, code, says);
}

static void test_delete(void **state)
{
	(void)state;
	fake_snapshot_add(&a.snapshots, S("1"), FAKE_UUID, "");
	fake_snapshot_add(&a.snapshots, S("2"), FAKE_UUID, GROUP);
	delete_id("a/fast/@" S("1"));
	assert_int_equal(a.snapshots.count, 1);
	delete_id("a/fast/@" S("1"));
	delete_refused("a/fast/@" S("2"), ERR_INVALID_ARGUMENT,
		       "belongs to the group \"a/@@" GROUP "\"");
	assert_int_equal(a.snapshots.count, 1);
	delete_refused("", ERR_INVALID_ARGUMENT, "snapshot_id is required");
	/* A target that this controller does not have may well have it. */
	delete_refused("z/fast/@" S("1"), ERR_FAILED_PRECONDITION, "on target \"z\"");
	delete_id("nonsense");
	delete_id("a/fast/" S("2"));
	assert_int_equal(a.snapshots.count, 1);
	assert_int_equal(a.snapshots.deletes, 2);
}

/* A deletion that was cut short is ended by the next one. */
static void test_delete_begun(void **state)
{
	(void)state;
	fake_snapshot_add(&a.snapshots, S("1"), FAKE_UUID, "");
	a.snapshots.delete_failure_at = 1;
	delete_refused("a/fast/@" S("1"), ERR_INTERNAL, "the fake's own words");
	a.snapshots.find_failure = ERR_ABORTED;
	delete_id("a/fast/@" S("1"));
	assert_int_equal(a.snapshots.count, 0);
	fake_stop(&a);
	delete_refused("a/fast/@" S("1"), ERR_UNAVAILABLE, "target a");
}

/* --- showing --- */

static void test_get(void **state)
{
	Csi__V1__GetSnapshotRequest request = CSI__V1__GET_SNAPSHOT_REQUEST__INIT;
	Csi__V1__GetSnapshotResponse response = CSI__V1__GET_SNAPSHOT_RESPONSE__INIT;
	struct rpc_call call;
	struct err err;

	(void)state;
	fake_snapshot_add(&b.snapshots, S("1"), FAKE_UUID, GROUP);
	request.snapshot_id = (char *)"b/fast/@" S("1");
	assert_int_equal(CALL(&call, snapshots_get, &request, &response, &err), 0);
	assert_string_equal(response.snapshot->snapshot_id, "b/fast/@" S("1"));
	assert_string_equal(response.snapshot->group_snapshot_id, "b/@@" GROUP);
	rpc_call_fini(&call);
	request.snapshot_id = (char *)"b/slow/@" S("1");
	CALL_FAILS(snapshots_get, &request, &response, ERR_NOT_FOUND, "does not exist");
	request.snapshot_id = (char *)"b/fast/@" S("2");
	CALL_FAILS(snapshots_get, &request, &response, ERR_NOT_FOUND, "does not exist");
	request.snapshot_id = (char *)"nonsense";
	CALL_FAILS(snapshots_get, &request, &response, ERR_NOT_FOUND, "target/pool/@uuid");
	request.snapshot_id = (char *)"";
	CALL_FAILS(snapshots_get, &request, &response, ERR_INVALID_ARGUMENT, "is required");
}

/* What a list says: the digits of the snapshots' UUIDs, with their targets. */
static const char *list(Csi__V1__ListSnapshotsRequest *request, char *token)
{
	Csi__V1__ListSnapshotsResponse response = CSI__V1__LIST_SNAPSHOTS_RESPONSE__INIT;
	static char text[256];
	struct strb digits = strb_over(text, sizeof(text));
	struct rpc_call call;
	struct volume_id id;
	struct err err;

	request->starting_token = token;
	if (CALL(&call, snapshots_list, request, &response, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < response.n_entries; i++) {
		assert_true(snapshot_id_parse(response.entries[i]->snapshot->snapshot_id, &id));
		strb_addf(&digits, "%s%c", id.target, id.uuid.text[7]);
	}
	snprintf(token, VOLUME_ID_SIZE, "%s", response.next_token);
	rpc_call_fini(&call);
	return text;
}

static void fill_both(void)
{
	fake_snapshot_add(&a.snapshots, S("1"), FAKE_UUID, "");
	fake_snapshot_add(&b.snapshots, S("2"), FAKE_UUID, "");
	fake_snapshot_add(&a.snapshots, S("3"), OTHER, GROUP);
	fake_snapshot_add(&b.snapshots, S("4"), OTHER, "");
	fake_snapshot_add(&a.snapshots, S("5"), FAKE_UUID, "");
}

static void test_list(void **state)
{
	Csi__V1__ListSnapshotsRequest request = CSI__V1__LIST_SNAPSHOTS_REQUEST__INIT;
	char token[VOLUME_ID_SIZE] = "";

	(void)state;
	fill_both();
	assert_string_equal(list(&request, token), "a1a3a5b2b4");
	assert_string_equal(token, "");
	request.max_entries = 2;
	assert_string_equal(list(&request, token), "a1a3");
	assert_string_equal(token, "a/fast/@" S("3"));
	/* What the token names may go meanwhile. */
	delete_id("a/fast/@" S("1"));
	assert_string_equal(list(&request, token), "a5b2");
	assert_string_equal(list(&request, token), "b4");
	assert_string_equal(token, "");
}

static void test_list_filters(void **state)
{
	static const struct {
		const char *volume, *snapshot, *want;
	} rows[] = {
		{ ID_A, "", "a1a5" },
		{ "b/fast/" OTHER, "", "b4" },
		{ "a/slow/" FAKE_UUID, "", "" },
		{ "z/fast/" FAKE_UUID, "", "" },
		{ "nonsense", "", "" },
		{ "", "b/fast/@" S("4"), "b4" },
		{ "b/fast/" OTHER, "b/fast/@" S("4"), "b4" },
		{ ID_A, "b/fast/@" S("4"), "" },
		{ "", "b/fast/@" S("5"), "" },
		{ "", "z/fast/@" S("5"), "" },
		{ "", "nonsense", "" },
	};

	(void)state;
	fill_both();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Csi__V1__ListSnapshotsRequest request = CSI__V1__LIST_SNAPSHOTS_REQUEST__INIT;
		char token[VOLUME_ID_SIZE] = "";

		request.source_volume_id = (char *)rows[i].volume;
		request.snapshot_id = (char *)rows[i].snapshot;
		assert_string_equal(list(&request, token), rows[i].want);
		assert_string_equal(token, "");
	}
}

/* Pages of one volume stay with its target, also where others have snapshots of that UUID. */
static void test_list_pages_of_volume(void **state)
{
	Csi__V1__ListSnapshotsRequest request = CSI__V1__LIST_SNAPSHOTS_REQUEST__INIT;
	char token[VOLUME_ID_SIZE] = "";

	(void)state;
	fill_both();
	fake_stop(&b);
	request.source_volume_id = (char *)ID_A;
	request.max_entries = 1;
	assert_string_equal(list(&request, token), "a1");
	assert_string_equal(list(&request, token), "a5");
	assert_string_equal(token, "");
}

static void test_list_refused(void **state)
{
	Csi__V1__ListSnapshotsRequest request = CSI__V1__LIST_SNAPSHOTS_REQUEST__INIT;
	Csi__V1__ListSnapshotsResponse response = CSI__V1__LIST_SNAPSHOTS_RESPONSE__INIT;

	(void)state;
	request.max_entries = -1;
	CALL_FAILS(snapshots_list, &request, &response, ERR_INVALID_ARGUMENT, "negative");
	request.snapshot_id = (char *)"a/fast/@" S("1");
	CALL_FAILS(snapshots_list, &request, &response, ERR_INVALID_ARGUMENT, "negative");
	request.snapshot_id = (char *)"";
	request.max_entries = 0;
	request.starting_token = (char *)"a/fast/" FAKE_UUID;
	CALL_FAILS(snapshots_list, &request, &response, ERR_ABORTED, "list from the start");
	/* A token of another list, from where on entries of this one would be missing. */
	request.starting_token = (char *)"b/fast/@" S("1");
	request.source_volume_id = (char *)ID_A;
	CALL_FAILS(snapshots_list, &request, &response, ERR_ABORTED, "or of another list");
	request.starting_token = (char *)"a/fast/@" S("1");
	request.source_volume_id = (char *)"b/fast/" FAKE_UUID;
	CALL_FAILS(snapshots_list, &request, &response, ERR_ABORTED, "or of another list");
	request.source_volume_id = (char *)"";
	request.starting_token = (char *)"";
	fake_stop(&b);
	CALL_FAILS(snapshots_list, &request, &response, ERR_UNAVAILABLE, "target b");
	request.snapshot_id = (char *)"b/fast/@" S("1");
	CALL_FAILS(snapshots_list, &request, &response, ERR_UNAVAILABLE, "target b");
}

/* Neither asked for ever, nor taken for the end of the list. */
static void test_list_stuck(void **state)
{
	Csi__V1__ListSnapshotsRequest request = CSI__V1__LIST_SNAPSHOTS_REQUEST__INIT;
	Csi__V1__ListSnapshotsResponse response = CSI__V1__LIST_SNAPSHOTS_RESPONSE__INIT;

	(void)state;
	b.snapshots.list_stuck = true;
	CALL_FAILS(snapshots_list, &request, &response, ERR_INTERNAL,
		   "target b: its list does not go on after \"\"");
	fill_both();
	CALL_FAILS(snapshots_list, &request, &response, ERR_INTERNAL,
		   "target b: its list does not go on after \"" S("4"));
	assert_in_range(b.snapshots.lists, 2, 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_create),
		TEST(test_create_again),
		TEST(test_create_frozen),
		TEST(test_name_is_taken),
		TEST(test_create_refused),
		TEST(test_create_elsewhere),
		TEST(test_delete),
		TEST(test_delete_begun),
		TEST(test_get),
		TEST(test_list),
		TEST(test_list_filters),
		TEST(test_list_pages_of_volume),
		TEST(test_list_refused),
		TEST(test_list_stuck),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
