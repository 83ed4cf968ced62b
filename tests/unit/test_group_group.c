/* SPDX-License-Identifier: Apache-2.0 */
/* The GroupController service over two fake agents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csi/group/group.h"
#include "tests/unit/controller_fixture.h"
#include "tests/unit/request_fixture.h"

#define V(digit) "0000000" digit "-0000-5000-8000-000000000000"
#define A(digit) "a/fast/" V(digit)
#define NAME "both"

/* Runs a method of the service by its name, as CALL does a handler. */
static int group_call(struct rpc_call *call, const char *name, const void *request, void *response,
		      struct err *err)
{
	struct rpc_service service = group_service(&controller);
	cleanup_free char *full = xasprintf("/csi.v1.GroupController/%s", name);
	const struct rpc_service *found;
	const struct rpc_method *method = rpc_method_find(&service, 1, full, &found);

	assert_non_null(method);
	return method->handle(call, request, response, err);
}

#define HANDLER(name)                                                                              \
	static int name(struct rpc_call *call, const void *request, void *response,                \
			struct err *err)                                                           \
	{                                                                                          \
		return group_call(call, #name, request, response, err);                            \
	}

HANDLER(GroupControllerGetCapabilities)
HANDLER(CreateVolumeGroupSnapshot)
HANDLER(DeleteVolumeGroupSnapshot)
HANDLER(GetVolumeGroupSnapshot)

/* --- creating --- */

struct creation {
	Csi__V1__CreateVolumeGroupSnapshotRequest request;
	char *volumes[3];
	struct fixture_map parameters;
};

static void make(struct creation *c)
{
	*c = (struct creation) { .volumes = { (char *)A("2"), (char *)A("1") } };
	csi__v1__create_volume_group_snapshot_request__init(&c->request);
	c->request.name = (char *)NAME;
	c->request.source_volume_ids = c->volumes;
	c->request.n_source_volume_ids = 2;
	a.any_uuid = b.any_uuid = true;
	a.has_volume = b.has_volume = true;
}

static char group_id[VOLUME_ID_SIZE], member_ids[2][VOLUME_ID_SIZE];

static void create(struct creation *c)
{
	Csi__V1__CreateVolumeGroupSnapshotResponse response =
		CSI__V1__CREATE_VOLUME_GROUP_SNAPSHOT_RESPONSE__INIT;
	const Csi__V1__VolumeGroupSnapshot *group;
	struct rpc_call call;
	struct err err;

	if (CALL(&call, CreateVolumeGroupSnapshot, &c->request, &response, &err) < 0)
		fail_msg("%s", err.msg);
	group = response.group_snapshot;
	snprintf(group_id, sizeof(group_id), "%s", group->group_snapshot_id);
	assert_true(group->ready_to_use);
	assert_int_equal(group->n_snapshots, c->request.n_source_volume_ids);
	for (size_t i = 0; i < group->n_snapshots; i++) {
		assert_string_equal(group->snapshots[i]->group_snapshot_id, group_id);
		assert_string_equal(group->snapshots[i]->source_volume_id, c->volumes[i]);
		assert_true(group->snapshots[i]->ready_to_use);
		snprintf(member_ids[i], VOLUME_ID_SIZE, "%s", group->snapshots[i]->snapshot_id);
	}
	/* That of the youngest. */
	assert_int_equal(group->creation_time->seconds, 1700000000);
	assert_int_equal(group->creation_time->nanos, 123456789 + (int)group->n_snapshots - 1);
	rpc_call_fini(&call);
}

static void refused(struct creation *c, enum err_code code, const char *says)
{
	Csi__V1__CreateVolumeGroupSnapshotResponse response =
		CSI__V1__CREATE_VOLUME_GROUP_SNAPSHOT_RESPONSE__INIT;

	FIXTURE_MAP_INTO(&c->request, parameters, &c->parameters);
	CALL_FAILS(CreateVolumeGroupSnapshot, &c->request, &response, code, says);
	make(c);
}

static void test_create(void **state)
{
	struct uuid group = group_uuid_of_name(NAME), one = { V("1") };
	struct creation c;

	(void)state;
	make(&c);
	create(&c);
	assert_string_equal(strchr(group_id, '@') + 2, group.text);
	assert_int_equal(a.snapshots.asked_count, 2);
	assert_string_equal(a.snapshots.asked_group_name, NAME);
	assert_string_equal(strchr(member_ids[1], '@') + 1,
			    snapshot_uuid_of_member(&group, &one).text);
	/* Again, also when the volumes are gone and in another order. */
	a.has_volume = a.any_uuid = false;
	c.volumes[0] = (char *)A("1");
	c.volumes[1] = (char *)A("2");
	create(&c);
	assert_int_equal(a.snapshots.creates, 1);
}

static void test_create_frozen(void **state)
{
	struct creation c;

	(void)state;
	make(&c);
	fixture_map_set(&c.parameters, "freeze", "true");
	refused(&c, ERR_FAILED_PRECONDITION,
		"the agent of target a, of version 0.1, does not know");
	fixture_map_set(&c.parameters, "freeze", "1");
	refused(&c, ERR_INVALID_ARGUMENT, "freeze \"1\" is not true or false");
	assert_int_equal(a.snapshots.creates, 0);
	a.can_freeze = true;
	fixture_map_set(&c.parameters, "freeze", "true");
	FIXTURE_MAP_INTO(&c.request, parameters, &c.parameters);
	create(&c);
	assert_true(a.snapshots.asked_freeze);
	a.can_freeze = false;
	create(&c);
	assert_int_equal(a.snapshots.creates, 1);
	/* One that was taken without it is another. */
	a.snapshots.rows[1].frozen = false;
	refused(&c, ERR_ALREADY_EXISTS, "was taken without freeze; asked for is one with it");
	assert_int_equal(a.snapshots.creates, 1);
}

static void test_create_refused(void **state)
{
	struct creation c;

	(void)state;
	make(&c);
	c.request.name = (char *)"";
	refused(&c, ERR_INVALID_ARGUMENT, "name is required");
	c.request.n_source_volume_ids = 0;
	refused(&c, ERR_INVALID_ARGUMENT, "source_volume_ids is required");
	c.volumes[1] = (char *)"";
	refused(&c, ERR_INVALID_ARGUMENT, "source_volume_ids is required");
	c.volumes[1] = (char *)A("2");
	refused(&c, ERR_INVALID_ARGUMENT, "has volume \"" A("2") "\" twice");
	c.volumes[1] = (char *)"nonsense";
	refused(&c, ERR_NOT_FOUND, "target/pool/uuid");
	c.volumes[0] = (char *)"z/fast/" V("1");
	refused(&c, ERR_NOT_FOUND, "on target \"z\"");
	c.volumes[1] = (char *)"b/fast/" V("1");
	refused(&c, ERR_FAILED_PRECONDITION,
		"volumes \"" A("2") "\" and \"b/fast/" V(
			"1") "\" are on different targets, a and b");
	fixture_map_set(&c.parameters, "thaw", "true");
	refused(&c, ERR_INVALID_ARGUMENT, "parameter \"thaw\" is unknown");
	a.any_uuid = a.has_volume = false;
	a.only_uuid = V("2");
	refused(&c, ERR_NOT_FOUND, "volume \"" A("1") "\" does not exist");
	a.snapshots.create_failure = ERR_RESOURCE_EXHAUSTED;
	refused(&c, ERR_RESOURCE_EXHAUSTED, "target a: the fake's own words");
	assert_int_equal(a.snapshots.count, 0);
	fake_stop(&a);
	refused(&c, ERR_UNAVAILABLE, "target a");
}

static void test_name_is_taken(void **state)
{
	struct creation c;

	(void)state;
	make(&c);
	create(&c);
	c.request.n_source_volume_ids = 1;
	refused(&c, ERR_ALREADY_EXISTS,
		"exists on target a and holds other volumes than are asked for: 1 of its 2");
	c.volumes[0] = (char *)A("3");
	refused(&c, ERR_ALREADY_EXISTS, "1 of its 2 are among these 2");
	c.volumes[0] = (char *)"b/fast/" V("1");
	c.volumes[1] = (char *)"b/fast/" V("2");
	refused(&c, ERR_ALREADY_EXISTS,
		"exists on target a; asked for is one of volumes of target "
		"b");
	assert_int_equal(a.snapshots.creates + b.snapshots.creates, 1);
	/* A part of what is asked for is a group that lost a member, which nobody makes anew. */
	a.snapshots.count = 1;
	refused(&c, ERR_ALREADY_EXISTS, "target a: the fake has 1 of 2");
	assert_int_equal(a.snapshots.count, 1);
}

/* What a creation leaves that was cut short: it ends when it is asked for again. */
static void test_begun(void **state)
{
	struct creation c;

	(void)state;
	for (size_t finished = 0; finished < 2; finished++) {
		make(&c);
		create(&c);
		a.snapshots.creates = 0;
		for (size_t i = finished; i < 2; i++)
			a.snapshots.rows[i].begun = true;
		create(&c);
		assert_int_equal(a.snapshots.creates, 1);
		assert_int_equal(a.snapshots.count, 2);
		/* Also when its volumes are gone by now. */
		for (size_t i = finished; i < 2; i++)
			a.snapshots.rows[i].begun = true;
		a.has_volume = a.any_uuid = false;
		create(&c);
		assert_int_equal(a.snapshots.creates, 2);
	}
	/* Or its target takes it back, and says that they are. */
	a.snapshots.rows[0].begun = a.snapshots.rows[1].begun = true;
	a.snapshots.create_failure = ERR_NOT_FOUND;
	refused(&c, ERR_NOT_FOUND, "target a: the fake's own words");
	assert_int_equal(a.snapshots.creates, 3);
	/* What was not begun it is not asked for. */
	a.snapshots.count = 0;
	a.has_volume = a.any_uuid = false;
	refused(&c, ERR_NOT_FOUND, "does not exist");
	assert_int_equal(a.snapshots.creates, 3);
}

/* --- deleting and showing --- */

static int delete_listed(char **ids, size_t count, struct err *err)
{
	Csi__V1__DeleteVolumeGroupSnapshotRequest request =
		CSI__V1__DELETE_VOLUME_GROUP_SNAPSHOT_REQUEST__INIT;
	Csi__V1__DeleteVolumeGroupSnapshotResponse response =
		CSI__V1__DELETE_VOLUME_GROUP_SNAPSHOT_RESPONSE__INIT;
	struct rpc_call call;
	int rc;

	request.group_snapshot_id = group_id;
	request.snapshot_ids = ids;
	request.n_snapshot_ids = count;
	rc = CALL(&call, DeleteVolumeGroupSnapshot, &request, &response, err);
	rpc_call_fini(&call);
	return rc;
}

static void delete_refused(char **ids, size_t count, enum err_code code, const char *says)
{
	struct err err;

	assert_int_equal(delete_listed(ids, count, &err), -1);
	if (err.code != code || !strstr(err.msg, says))
		fail_msg("%s \"%s\" does not say \"%s\"", err_code_name(err.code), err.msg, says);
}

/* However many IDs there are, nothing is done for them. */
static void test_too_many(void **state)
{
	Csi__V1__GetVolumeGroupSnapshotRequest get =
		CSI__V1__GET_VOLUME_GROUP_SNAPSHOT_REQUEST__INIT;
	Csi__V1__GetVolumeGroupSnapshotResponse got =
		CSI__V1__GET_VOLUME_GROUP_SNAPSHOT_RESPONSE__INIT;
	char volumes[65][VOLUME_ID_SIZE], *ids[65];
	struct creation c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		snprintf(volumes[i], VOLUME_ID_SIZE, "a/fast/%08zx-0000-5000-8000-000000000000", i);
		ids[i] = volumes[i];
	}
	make(&c);
	c.request.source_volume_ids = ids;
	c.request.n_source_volume_ids = 65;
	refused(&c, ERR_INVALID_ARGUMENT, "source_volume_ids has 65 IDs; a group has at most 64");
	strcpy(group_id, "a/@@" V("9"));
	delete_refused(ids, 65, ERR_INVALID_ARGUMENT,
		       "snapshot_ids has 65 IDs; a group has at most 64");
	get.group_snapshot_id = group_id;
	get.snapshot_ids = ids;
	get.n_snapshot_ids = 65;
	CALL_FAILS(GetVolumeGroupSnapshot, &get, &got, ERR_INVALID_ARGUMENT,
		   "snapshot_ids has 65 IDs; a group has at most 64");
	assert_int_equal(a.snapshots.lists + a.snapshots.finds, 0);
	c.request.source_volume_ids = ids;
	c.request.n_source_volume_ids = 64;
	a.any_uuid = a.has_volume = false;
	refused(&c, ERR_NOT_FOUND, "volume \"a/fast/00000000-");
}

static void test_delete(void **state)
{
	char *ids[] = { member_ids[0], member_ids[1], (char *)"a/fast/@" V("9") };
	struct creation c;
	struct err err;

	(void)state;
	make(&c);
	create(&c);
	delete_refused(ids, 0, ERR_INVALID_ARGUMENT, "snapshot_ids has not snapshot");
	delete_refused(ids, 1, ERR_INVALID_ARGUMENT, "all of its snapshots have to be listed");
	fake_snapshot_add(&a.snapshots, V("9"), V("1"), "");
	delete_refused(ids, 3, ERR_INVALID_ARGUMENT,
		       "has \"a/fast/@" V("9") "\", which does not belong to the group");
	ids[2] = (char *)"nonsense";
	delete_refused(ids, 3, ERR_INVALID_ARGUMENT, "has \"nonsense\"");
	ids[2] = (char *)"b/fast/@" V("9");
	delete_refused(ids, 3, ERR_INVALID_ARGUMENT, "has \"b/fast/@");
	assert_int_equal(a.snapshots.deletes, 0);
	/* Of one that is being made only its target knows. */
	ids[2] = (char *)"a/fast/@" V("9");
	fake_snapshot_of(&a.snapshots, V("9"))->begun = true;
	delete_refused(ids, 3, ERR_INVALID_ARGUMENT, V("9") " is not of group");
	assert_int_equal(a.snapshots.count, 1);
	assert_int_equal(delete_listed(ids, 2, &err), 0);
	assert_int_equal(a.snapshots.count, 1);
	assert_int_equal(delete_listed(ids, 2, &err), 0);
}

/* Each step of a deletion fails once; the same call again ends it. */
static void test_delete_cut_short(void **state)
{
	char *ids[] = { member_ids[0], member_ids[1] };

	(void)state;
	for (int step = 1; step <= 2; step++) {
		struct creation c;
		struct err err;

		make(&c);
		a.snapshots.deletes = 0;
		create(&c);
		a.snapshots.delete_failure_at = step;
		assert_int_equal(delete_listed(ids, 2, &err), -1);
		assert_int_equal(a.snapshots.count, 3 - step);
		/* What is half deleted cannot be looked at. */
		a.snapshots.find_failure = ERR_ABORTED;
		assert_int_equal(delete_listed(ids, 2, &err), 0);
		assert_int_equal(a.snapshots.count, 0);
		a.snapshots.find_failure = ERR_NONE;
	}
}

static void test_delete_unknown(void **state)
{
	static const char *const absent[] = { "nonsense", "a/fast/@" V("9"), "a/@@" V("9") };
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		strcpy(group_id, absent[i]);
		assert_int_equal(delete_listed(NULL, 0, &err), 0);
	}
	group_id[0] = '\0';
	delete_refused(NULL, 0, ERR_INVALID_ARGUMENT, "group_snapshot_id is required");
	strcpy(group_id, "z/@@" V("9"));
	delete_refused(NULL, 0, ERR_FAILED_PRECONDITION, "on target \"z\"");
	strcpy(group_id, "a/@@" V("9"));
	fake_stop(&a);
	delete_refused(NULL, 0, ERR_UNAVAILABLE, "target a");
}

static void test_get(void **state)
{
	Csi__V1__GetVolumeGroupSnapshotRequest request =
		CSI__V1__GET_VOLUME_GROUP_SNAPSHOT_REQUEST__INIT;
	Csi__V1__GetVolumeGroupSnapshotResponse response =
		CSI__V1__GET_VOLUME_GROUP_SNAPSHOT_RESPONSE__INIT;
	char *ids[] = { member_ids[0], member_ids[1] };
	struct rpc_call call;
	struct creation c;
	struct err err;

	(void)state;
	make(&c);
	create(&c);
	request.group_snapshot_id = group_id;
	request.snapshot_ids = ids;
	request.n_snapshot_ids = 2;
	assert_int_equal(CALL(&call, GetVolumeGroupSnapshot, &request, &response, &err), 0);
	assert_string_equal(response.group_snapshot->group_snapshot_id, group_id);
	assert_int_equal(response.group_snapshot->n_snapshots, 2);
	assert_true(response.group_snapshot->ready_to_use);
	rpc_call_fini(&call);
	request.n_snapshot_ids = 1;
	CALL_FAILS(GetVolumeGroupSnapshot, &request, &response, ERR_INVALID_ARGUMENT,
		   "snapshot_ids has not snapshot");
	ids[1] = (char *)"a/fast/@" V("9");
	request.n_snapshot_ids = 2;
	CALL_FAILS(GetVolumeGroupSnapshot, &request, &response, ERR_INVALID_ARGUMENT,
		   "which does not belong");
	a.snapshots.list_stuck = true;
	CALL_FAILS(GetVolumeGroupSnapshot, &request, &response, ERR_INTERNAL, "does not go on");
	a.snapshots.list_stuck = false;
	request.group_snapshot_id = (char *)"a/@@" V("9");
	CALL_FAILS(GetVolumeGroupSnapshot, &request, &response, ERR_NOT_FOUND, "does not exist");
	request.group_snapshot_id = (char *)"nonsense";
	CALL_FAILS(GetVolumeGroupSnapshot, &request, &response, ERR_NOT_FOUND, "target/@@uuid");
	request.group_snapshot_id = (char *)"";
	CALL_FAILS(GetVolumeGroupSnapshot, &request, &response, ERR_INVALID_ARGUMENT, "required");
}

static void test_capabilities(void **state)
{
	Csi__V1__GroupControllerGetCapabilitiesRequest request =
		CSI__V1__GROUP_CONTROLLER_GET_CAPABILITIES_REQUEST__INIT;
	Csi__V1__GroupControllerGetCapabilitiesResponse response =
		CSI__V1__GROUP_CONTROLLER_GET_CAPABILITIES_RESPONSE__INIT;
	struct rpc_call call;
	struct err err;

	(void)state;
	assert_int_equal(CALL(&call, GroupControllerGetCapabilities, &request, &response, &err), 0);
	assert_int_equal(response.n_capabilities, 1);
	assert_int_equal(response.capabilities[0]->rpc->type, 1);
	rpc_call_fini(&call);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_create),   TEST(test_create_refused),	  TEST(test_name_is_taken),
		TEST(test_delete),   TEST(test_delete_cut_short), TEST(test_delete_unknown),
		TEST(test_get),	     TEST(test_capabilities),	  TEST(test_begun),
		TEST(test_too_many), TEST(test_create_frozen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
