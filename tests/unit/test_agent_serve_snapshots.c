/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's side of the calls about snapshots, called as the server calls them, on an xfs. */
#include "csi/agent/service.h"
#include "csi/rpc/server.h"
#include "target.pb-c.h"
#include "tests/unit/reflink_fixture.h"

static struct rpc_service service;
static struct rpc_call call; /* the last one; its answer lives in it */
static void *response;

static const struct rpc_method *method(const char *name)
{
	cleanup_free char *full = xasprintf("/nvmeot.target.v1.Target/%s", name);
	const struct rpc_service *found;

	service = agent_service(target);
	return rpc_method_find(&service, 1, full, &found);
}

static int call_setup(void **state)
{
	rpc_call_init(&call, deadline_none(), 1 << 20);
	return reflink_setup(state);
}

static int call_teardown(void **state)
{
	rpc_call_fini(&call);
	return reflink_teardown(state);
}

static int ask(const char *name, const void *request, struct err *err)
{
	const struct rpc_method *m = method(name);

	rpc_call_fini(&call);
	rpc_call_init(&call, deadline_none(), 1 << 20);
	call.context = target;
	response = rpc_alloc(&call, m->response->sizeof_message);
	protobuf_c_message_init(m->response, response);
	return m->handle(&call, request, response, err);
}

static int ask_create(const char *group, const char *name, struct err *err)
{
	Nvmeot__Target__V1__CreateSnapshotsRequest request =
		NVMEOT__TARGET__V1__CREATE_SNAPSHOTS_REQUEST__INIT;
	Nvmeot__Target__V1__CreateSnapshotsRequest__ParametersEntry entry, *entries = &entry;
	Nvmeot__Target__V1__SnapshotRequest item, *items = &item;

	nvmeot__target__v1__create_snapshots_request__parameters_entry__init(&entry);
	nvmeot__target__v1__snapshot_request__init(&item);
	entry.key = (char *)"key";
	entry.value = (char *)"value";
	item.uuid = (char *)SNAP;
	item.name = (char *)name;
	item.volume_uuid = (char *)UUID;
	request.target_id = (char *)"box-1";
	request.parameters = &entries;
	request.n_parameters = 1;
	request.snapshots = &items;
	request.n_snapshots = 1;
	request.group_uuid = (char *)group;
	request.group_name = (char *)(*group ? "group-1" : "");
	return ask("CreateSnapshots", &request, err);
}

static void assert_snapshot(const Nvmeot__Target__V1__Snapshot *snapshot, const char *group)
{
	assert_string_equal(snapshot->uuid, SNAP);
	assert_string_equal(snapshot->pool, "fast");
	assert_string_equal(snapshot->name, "snap-1");
	assert_string_equal(snapshot->volume_uuid, UUID);
	assert_int_equal(snapshot->size_bytes, VOLUME_BYTES);
	assert_true(snapshot->created_ns > 0);
	assert_int_equal(snapshot->used_bytes, -1);
	assert_string_equal(snapshot->group_uuid, group);
	assert_string_equal(snapshot->group_name, *group ? "group-1" : "");
	assert_int_equal(snapshot->n_parameters, 1);
	assert_string_equal(snapshot->parameters[0]->value, "value");
}

static void test_life(void **state)
{
	static const char *const groups[] = { "", GROUP };
	Nvmeot__Target__V1__GetSnapshotRequest get = NVMEOT__TARGET__V1__GET_SNAPSHOT_REQUEST__INIT;
	Nvmeot__Target__V1__ListSnapshotsRequest list =
		NVMEOT__TARGET__V1__LIST_SNAPSHOTS_REQUEST__INIT;
	Nvmeot__Target__V1__DeleteSnapshotRequest delete =
		NVMEOT__TARGET__V1__DELETE_SNAPSHOT_REQUEST__INIT;
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "fast", &err), &err);
	get.uuid = delete.uuid = (char *)SNAP;
	delete.target_id = (char *)"box-1";
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		const Nvmeot__Target__V1__ListSnapshotsResponse *page;

		assert_ok(ask_create(groups[i], "snap-1", &err), &err);
		assert_snapshot(
			((Nvmeot__Target__V1__CreateSnapshotsResponse *)response)->snapshots[0],
			groups[i]);
		assert_ok(ask("GetSnapshot", &get, &err), &err);
		assert_snapshot(((Nvmeot__Target__V1__GetSnapshotResponse *)response)->snapshot,
				groups[i]);
		list.volume_uuid = (char *)UUID;
		list.group_uuid = (char *)groups[i];
		assert_ok(ask("ListSnapshots", &list, &err), &err);
		page = response;
		assert_int_equal(page->n_snapshots, 1);
		assert_false(page->more);
		assert_snapshot(page->snapshots[0], groups[i]);
		assert_ok(ask("DeleteSnapshot", &delete, &err), &err);
		assert_code(ask("GetSnapshot", &get, &err), &err, ERR_NOT_FOUND);
		assert_ok(ask("DeleteSnapshot", &delete, &err), &err);
	}
}

static int ask_copy(const char *snapshot, const char *volume, struct err *err)
{
	Nvmeot__Target__V1__CreateVolumeRequest request =
		NVMEOT__TARGET__V1__CREATE_VOLUME_REQUEST__INIT;
	Nvmeot__Target__V1__Source source = NVMEOT__TARGET__V1__SOURCE__INIT;

	source.snapshot_uuid = (char *)snapshot;
	source.volume_uuid = (char *)volume;
	request.source = &source;
	request.target_id = (char *)"box-1";
	request.uuid = (char *)CLONE;
	request.name = (char *)"pvc-2";
	request.size_bytes = VOLUME_BYTES;
	request.write_cache = NVMEOT__TARGET__V1__WRITE_CACHE__WRITE_CACHE_VOLATILE;
	return ask("CreateVolume", &request, err);
}

static void test_volume_from_a_source(void **state)
{
	static const struct {
		const char *snapshot, *volume;
	} rows[] = { { SNAP, "" }, { "", UUID } };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(ask_create("", "snap-1", &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const Nvmeot__Target__V1__Volume *made;

		assert_ok(ask_copy(rows[i].snapshot, rows[i].volume, &err), &err);
		made = ((Nvmeot__Target__V1__CreateVolumeResponse *)response)->volume;
		assert_string_equal(made->source->snapshot_uuid, rows[i].snapshot);
		assert_string_equal(made->source->volume_uuid, rows[i].volume);
		assert_string_equal(made->pool, "fast");
		assert_false(made->blank);
		assert_ok(target_delete(target, CLONE, "", &err), &err);
	}
	assert_code(ask_copy(SNAP, UUID, &err), &err, ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "both snapshot_uuid");
	assert_code(ask_copy("x", "", &err), &err, ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "source.snapshot_uuid");
	/* An empty source is none. */
	assert_ok(ask_copy("", "", &err), &err);
	assert_null(((Nvmeot__Target__V1__CreateVolumeResponse *)response)->volume->source);
}

static void test_refusals(void **state)
{
	Nvmeot__Target__V1__CreateSnapshotsRequest none =
		NVMEOT__TARGET__V1__CREATE_SNAPSHOTS_REQUEST__INIT;
	Nvmeot__Target__V1__GetSnapshotRequest get = NVMEOT__TARGET__V1__GET_SNAPSHOT_REQUEST__INIT;
	Nvmeot__Target__V1__DeleteSnapshotRequest delete =
		NVMEOT__TARGET__V1__DELETE_SNAPSHOT_REQUEST__INIT;
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	none.target_id = (char *)"box-1";
	assert_code(ask("CreateSnapshots", &none, &err), &err, ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "0 entries are not 1 to 64");
	assert_code(ask_create("", "", &err), &err, ERR_INVALID_ARGUMENT);
	assert_code(ask_create("x", "snap-1", &err), &err, ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "group_uuid");
	assert_code(ask_create("", "snap-1", &err), &err, ERR_NOT_FOUND);
	get.uuid = delete.uuid = (char *)SNAP;
	get.target_id = delete.target_id = (char *)"other";
	assert_code(ask("GetSnapshot", &get, &err), &err, ERR_FAILED_PRECONDITION);
	assert_code(ask("DeleteSnapshot", &delete, &err), &err, ERR_FAILED_PRECONDITION);
	/* Who would change something says for whom it is. */
	delete.target_id = (char *)"";
	assert_code(ask("DeleteSnapshot", &delete, &err), &err, ERR_FAILED_PRECONDITION);
}

static void test_lock_keys(void **state)
{
	Nvmeot__Target__V1__SnapshotRequest item = { .uuid = (char *)"s" }, *items = &item;
	Nvmeot__Target__V1__CreateSnapshotsRequest create = { .snapshots = &items,
							      .n_snapshots = 1 };
	Nvmeot__Target__V1__CreateSnapshotsRequest none = { 0 };
	Nvmeot__Target__V1__DeleteSnapshotRequest delete = { .uuid = (char *)"d" };

	(void)state;
	assert_string_equal(method("CreateSnapshots")->lock_key(NULL, &create), "s");
	assert_null(method("CreateSnapshots")->lock_key(NULL, &none));
	assert_string_equal(method("DeleteSnapshot")->lock_key(NULL, &delete), "d");
}

#define CASE_OF(f) cmocka_unit_test_setup_teardown(f, call_setup, call_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE_OF(test_life),
		CASE_OF(test_volume_from_a_source),
		CASE_OF(test_refusals),
		CASE_OF(test_lock_keys),
	};

	return cmocka_run_group_tests(tests, reflink_group_setup, reflink_group_teardown);
}
