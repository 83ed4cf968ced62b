/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of the protocol: for whom a request is, and what may be called absent. nvmet's
 * tree is a plain directory; the handlers are called as the server calls them.
 */
#include "csi/agent/client.h"
#include "csi/agent/service.h"
#include "csi/rpc/server.h"
#include "target.pb-c.h"
#include "tests/unit/target_dirs.h"

#define HOST "nqn.2014-08.org.nvmexpress:uuid:aaaaaaaa-0000-4000-8000-000000000001"
#define LINK "nvmet/ports/1/subsystems/" NQN

static struct rpc_service service;
static bool gone;	     /* the caller, before the handler runs */
static struct rpc_call call; /* the last one; its answer lives in it */
static void *response;

static int open_target(struct err *err)
{
	cleanup_free char *fast = xasprintf("fast=dir:%s/fast", dir);
	cleanup_free char *slow = xasprintf("slow=dir:%s/slow", dir);
	cleanup_free char *nvmet = xasprintf("%s/nvmet", dir);
	const char *pools[] = { fast, slow };
	static const char *const topology[] = { "topology.kubernetes.io/zone=a", "rack=7" };
	static const char *const overcommit[] = { "slow=2" };
	struct portal portal;
	struct target_config config = { .id = "box",
					.pools = pools,
					.pool_count = ARRAY_SIZE(pools),
					.portals = &portal,
					.portal_count = 1,
					.topology = topology,
					.topology_count = ARRAY_SIZE(topology),
					.overcommit = overcommit,
					.overcommit_count = ARRAY_SIZE(overcommit),
					.nvmet_path = nvmet };

	if (portal_parse("tcp://127.0.0.1:4420", &portal, err) < 0)
		return -1;
	return target_new(&config, &target, err);
}

static int setup(void **state)
{
	struct err err;

	gone = false;
	if (target_dirs_setup(state) < 0 || target_dirs_add_port() < 0 || open_target(&err) < 0 ||
	    target_restore(target, &err) < 0)
		return -1;
	service = agent_service(target);
	rpc_call_init(&call, deadline_none(), 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	rpc_call_fini(&call);
	target_free(target);
	return target_dirs_teardown(state);
}

static const struct rpc_method *method(const char *name)
{
	cleanup_free char *full = xasprintf("/nvmeot.target.v1.Target/%s", name);
	const struct rpc_service *found;

	return rpc_method_find(&service, 1, full, &found);
}

/* Makes the call and says how it went. */
static enum err_code ask(const char *name, const void *request, struct err *err)
{
	const struct rpc_method *m = method(name);

	rpc_call_fini(&call);
	rpc_call_init(&call, deadline_none(), 1 << 20);
	call.context = target;
	call.method = name;
	atomic_store(&call.cancelled, gone);
	response = rpc_alloc(&call, m->response->sizeof_message);
	protobuf_c_message_init(m->response, response);
	*err = ERR_INIT;
	if (m->handle(&call, request, response, err) == 0)
		*err = ERR_INIT;
	return err->code;
}

static enum err_code create(const char *target_id, struct err *err)
{
	Nvmeot__Target__V1__CreateVolumeRequest request =
		NVMEOT__TARGET__V1__CREATE_VOLUME_REQUEST__INIT;
	Nvmeot__Target__V1__CreateVolumeRequest__MutableParametersEntry entry, *entries = &entry;

	nvmeot__target__v1__create_volume_request__mutable_parameters_entry__init(&entry);
	entry.key = (char *)"queueSize";
	entry.value = (char *)"64";
	request.mutable_parameters = &entries;
	request.n_mutable_parameters = 1;
	request.target_id = (char *)target_id;
	request.uuid = (char *)UUID;
	request.pool = (char *)"fast";
	request.name = (char *)"pvc-1";
	request.size_bytes = 1 << 20;
	request.write_cache = NVMEOT__TARGET__V1__WRITE_CACHE__WRITE_CACHE_VOLATILE;
	return ask("CreateVolume", &request, err);
}

static enum err_code get(const char *target_id, struct err *err)
{
	Nvmeot__Target__V1__GetVolumeRequest request = NVMEOT__TARGET__V1__GET_VOLUME_REQUEST__INIT;

	request.target_id = (char *)target_id;
	request.uuid = (char *)UUID;
	return ask("GetVolume", &request, err);
}

static enum err_code delete (const char *target_id, const char *pool, struct err *err) {
	Nvmeot__Target__V1__DeleteVolumeRequest request =
		NVMEOT__TARGET__V1__DELETE_VOLUME_REQUEST__INIT;

	request.target_id = (char *)target_id;
	request.uuid = (char *)UUID;
	request.pool = (char *)pool;
	return ask("DeleteVolume", &request, err);
}

static enum err_code export(const char *target_id, struct err *err) {
	Nvmeot__Target__V1__ExportRequest request = NVMEOT__TARGET__V1__EXPORT_REQUEST__INIT;

	request.target_id = (char *)target_id;
	request.uuid = (char *)UUID;
	request.host_nqn = (char *)HOST;
	request.mode = NVMEOT__TARGET__V1__ACCESS_MODE__ACCESS_MODE_SINGLE_NODE;
	return ask("Export", &request, err);
}

static enum err_code unexport(const char *target_id, const char *pool, struct err *err)
{
	Nvmeot__Target__V1__UnexportRequest request = NVMEOT__TARGET__V1__UNEXPORT_REQUEST__INIT;

	request.target_id = (char *)target_id;
	request.uuid = (char *)UUID;
	request.pool = (char *)pool;
	return ask("Unexport", &request, err);
}

static void assert_says(const struct err *err, const char *says)
{
	if (!strstr(err->msg, says))
		fail_msg("\"%s\" does not say \"%s\"", err->msg, says);
}

/* An agent of another name would call all absent; it must refuse, and change nothing. */
static void test_for_another_target(void **state)
{
	static const char *const wrong[] = { "other", "" };
	struct err err;

	(void)state;
	assert_int_equal(create("box", &err), ERR_NONE);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(create(wrong[i], &err), ERR_FAILED_PRECONDITION);
		assert_int_equal(export(wrong[i], &err), ERR_FAILED_PRECONDITION);
		assert_int_equal(unexport(wrong[i], "", &err), ERR_FAILED_PRECONDITION);
		assert_int_equal(delete (wrong[i], "fast", &err), ERR_FAILED_PRECONDITION);
		assert_says(&err, wrong[i]);
		assert_says(&err, "\"box\"");
	}
	assert_int_equal(get("other", &err), ERR_FAILED_PRECONDITION);
	assert_int_equal(get("", &err), ERR_NONE);
	assert_int_equal(delete ("box", "fast", &err), ERR_NONE);
	assert_false(there("fast/" UUID ".img"));
}

/* An export in the tree, as far as plain directories can show one. */
static void put_export(void)
{
	cleanup_free char *path = xasprintf("%s/" SUBSYSTEM, dir);
	struct err err;

	assert_int_equal(root_mkdir(&root, &err, SUBSYSTEM), 0);
	assert_int_equal(root_symlink(&root, path, &err, LINK), 0);
}

/* The pool has another name now, or its directory is empty: the host is still there. */
static void test_unexport_asks_the_kernel(void **state)
{
	static const char *const pools[] = { "p1", "fast", "" };
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
		put_export();
		assert_int_equal(unexport("box", pools[i], &err), ERR_NONE);
		assert_false(there(LINK) || there(SUBSYSTEM));
	}
}

static void test_delete_of_what_is_not_absent(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(delete ("box", "p1", &err), ERR_FAILED_PRECONDITION);
	assert_says(&err, "no pool \"p1\"");
	put_export();
	assert_int_equal(delete ("box", "fast", &err), ERR_FAILED_PRECONDITION);
	assert_says(&err, "the kernel still has a subsystem");
	assert_int_equal(unexport("box", "fast", &err), ERR_NONE);
	assert_int_equal(delete ("box", "fast", &err), ERR_NONE);

	assert_int_equal(create("box", &err), ERR_NONE);
	assert_int_equal(delete ("box", "slow", &err), ERR_FAILED_PRECONDITION);
	assert_says(&err, "is in pool fast, not in slow");
	assert_true(there("fast/" UUID ".img"));
	assert_int_equal(delete ("box", "fast", &err), ERR_NONE);
}

static void test_delete_of_a_backing_without_record(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" UUID ".img", dir);
	FILE *file = fopen(path, "we");
	struct err err;

	(void)state;
	assert_non_null(file);
	fclose(file);
	assert_int_equal(delete ("box", "", &err), ERR_FAILED_PRECONDITION);
	assert_int_equal(delete ("box", "fast", &err), ERR_FAILED_PRECONDITION);
	assert_says(&err, "has a backing in pool fast but no record");
	assert_int_equal(delete ("box", "slow", &err), ERR_NONE);
}

/* A directory in the place of the backing cannot be unlinked. */
static void test_failed_delete_is_not_done(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(create("box", &err), ERR_NONE);
	assert_int_equal(root_unlink(&root, &err, "fast/" UUID ".img"), 0);
	assert_int_equal(root_mkdir(&root, &err, "fast/" UUID ".img"), 0);
	assert_int_equal(delete ("box", "fast", &err), ERR_INTERNAL);
	assert_int_equal(delete ("box", "fast", &err), ERR_INTERNAL);
	assert_int_equal(get("box", &err), ERR_ABORTED);
	assert_says(&err, "deleting");
	assert_int_equal(root_rmdir(&root, &err, "fast/" UUID ".img"), 0);
	assert_int_equal(delete ("box", "fast", &err), ERR_NONE);
	assert_false(there("fast/" UUID ".json"));
	assert_int_equal(get("box", &err), ERR_NOT_FOUND);
}

static void test_create_for_nobody(void **state)
{
	struct err err;

	(void)state;
	gone = true;
	assert_int_equal(create("box", &err), ERR_CANCELLED);
	assert_false(there("fast/" UUID ".json"));
}

/* --- growing, modifying, looking ---------------------------------------------------------------- */

static enum err_code expand(const char *target_id, int64_t size_bytes, struct err *err)
{
	Nvmeot__Target__V1__ExpandVolumeRequest request =
		NVMEOT__TARGET__V1__EXPAND_VOLUME_REQUEST__INIT;

	request.target_id = (char *)target_id;
	request.uuid = (char *)UUID;
	request.pool = (char *)"fast";
	request.size_bytes = size_bytes;
	return ask("ExpandVolume", &request, err);
}

static void test_expand(void **state)
{
	const Nvmeot__Target__V1__ExpandVolumeResponse *answer;
	struct err err;

	(void)state;
	assert_int_equal(expand("box", 1 << 20, &err), ERR_NOT_FOUND);
	assert_int_equal(create("box", &err), ERR_NONE);
	assert_int_equal(expand("other", 2 << 20, &err), ERR_FAILED_PRECONDITION);
	assert_int_equal(expand("box", 0, &err), ERR_INVALID_ARGUMENT);
	assert_says(&err, "size_bytes 0 is not positive");
	assert_int_equal(expand("box", -4096, &err), ERR_INVALID_ARGUMENT);
	assert_int_equal(expand("box", 4097, &err), ERR_INVALID_ARGUMENT);
	if (expand("box", 2 << 20, &err) != ERR_NONE)
		fail_msg("%s", err.msg);
	answer = response;
	assert_int_equal(answer->volume->size_bytes, 2 << 20);
	assert_string_equal(answer->volume->uuid, UUID);
}

/* Sets count parameters k0, k1, … to value. */
static enum err_code modify(const char *target_id, size_t count, const char *value, struct err *err)
{
	Nvmeot__Target__V1__ModifyVolumeRequest request =
		NVMEOT__TARGET__V1__MODIFY_VOLUME_REQUEST__INIT;
	Nvmeot__Target__V1__ModifyVolumeRequest__MutableParametersEntry entries[100], *list[100];
	char keys[100][24];

	for (size_t i = 0; i < count; i++) {
		nvmeot__target__v1__modify_volume_request__mutable_parameters_entry__init(
			&entries[i]);
		snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
		entries[i].key = keys[i];
		entries[i].value = (char *)value;
		list[i] = &entries[i];
	}
	request.target_id = (char *)target_id;
	request.uuid = (char *)UUID;
	request.mutable_parameters = list;
	request.n_mutable_parameters = count;
	return ask("ModifyVolume", &request, err);
}

static void test_modify(void **state)
{
	const Nvmeot__Target__V1__ModifyVolumeResponse *answer;
	const Nvmeot__Target__V1__GetVolumeResponse *got;
	struct err err;

	(void)state;
	assert_int_equal(modify("box", 1, "a", &err), ERR_NOT_FOUND);
	assert_int_equal(create("box", &err), ERR_NONE);
	assert_int_equal(get("box", &err), ERR_NONE);
	got = response;
	assert_int_equal(got->volume->n_mutable_parameters, 1);
	assert_string_equal(got->volume->mutable_parameters[0]->key, "queueSize");
	assert_int_equal(modify("other", 1, "a", &err), ERR_FAILED_PRECONDITION);
	assert_int_equal(modify("box", 65, "a", &err), ERR_INVALID_ARGUMENT);
	assert_says(&err, "mutable_parameters: 65 entries are more than 64");
	assert_int_equal(modify("box", 2, "a", &err), ERR_NONE);
	assert_int_equal(modify("box", 1, "b", &err), ERR_NONE);
	answer = response;
	assert_int_equal(answer->volume->n_mutable_parameters, 3);
	assert_string_equal(answer->volume->mutable_parameters[1]->key, "k0");
	assert_string_equal(answer->volume->mutable_parameters[1]->value, "b");
	assert_string_equal(answer->volume->mutable_parameters[2]->value, "a");
}

static void test_conditions_only_when_asked_for(void **state)
{
	Nvmeot__Target__V1__ListVolumesRequest list =
		NVMEOT__TARGET__V1__LIST_VOLUMES_REQUEST__INIT;
	Nvmeot__Target__V1__GetVolumeRequest one = NVMEOT__TARGET__V1__GET_VOLUME_REQUEST__INIT;
	const Nvmeot__Target__V1__ListVolumesResponse *page;
	const Nvmeot__Target__V1__Condition *condition;
	struct err err;

	(void)state;
	assert_int_equal(create("box", &err), ERR_NONE);
	assert_int_equal(root_unlink(&root, &err, "fast/" UUID ".img"), 0);
	one.uuid = (char *)UUID;
	for (int with = 0; with < 2; with++) {
		list.with_conditions = one.with_conditions = with;
		assert_int_equal(ask("GetVolume", &one, &err), ERR_NONE);
		assert_int_equal(
			((Nvmeot__Target__V1__GetVolumeResponse *)response)->volume->n_conditions,
			with);
		assert_int_equal(ask("ListVolumes", &list, &err), ERR_NONE);
		page = response;
		assert_int_equal(page->n_volumes, 1);
		assert_int_equal(page->volumes[0]->n_conditions, with);
	}
	condition = page->volumes[0]->conditions[0];
	assert_int_equal(condition->status,
			 NVMEOT__TARGET__V1__CONDITION_STATUS__CONDITION_DATA_LOSS);
	assert_string_equal(condition->reason, "BackingMissing");
	assert_true(condition->message[0]);
}

#define LARGE_COUNT 20 /* of 140 KiB each: more than a page, less than a message */

/* Volumes whose parameters are as large as they can be. */
static void create_large(void)
{
	char value[VOLUME_VALUE_MAX + 1], key[16];
	struct err err = ERR_INIT;

	memset(value, 'x', VOLUME_VALUE_MAX);
	value[VOLUME_VALUE_MAX] = '\0';
	for (unsigned i = 0; i < LARGE_COUNT; i++) {
		struct volume want cleanup_volume = { .size_bytes = 4096, .volatile_cache = true };
		struct volume made cleanup_volume = { 0 };

		snprintf(want.uuid.text, sizeof(want.uuid.text), "%08x-0000-4000-8000-000000000000",
			 i);
		want.name = xasprintf("pvc-%u", i);
		for (unsigned j = 0; j < VOLUME_PARAMETERS_MAX; j++) {
			snprintf(key, sizeof(key), "k%u", j);
			volume_add_parameter(&want, key, value);
			volume_set_mutable(&want, key, value);
		}
		if (target_create(target, &want, &made, &err) < 0)
			fail_msg("%s", err.msg);
	}
}

/* A page is bounded by its bytes, too, and the next one goes on where it ended. */
static void test_pages_of_large_volumes(void **state)
{
	Nvmeot__Target__V1__ListVolumesRequest list =
		NVMEOT__TARGET__V1__LIST_VOLUMES_REQUEST__INIT;
	char after[UUID_TEXT_SIZE] = "";
	size_t pages = 0, volumes = 0;
	bool more = true;
	struct err err;

	(void)state;
	create_large();
	list.start_after = after;
	for (; more; pages++) {
		const Nvmeot__Target__V1__ListVolumesResponse *page;

		assert_int_equal(ask("ListVolumes", &list, &err), ERR_NONE);
		page = response;
		assert_true(page->n_volumes > 0);
		assert_true(protobuf_c_message_get_packed_size(&page->base) <
			    RPC_PAGE_BYTES + 1024);
		for (size_t i = 0; i < page->n_volumes; i++)
			assert_int_equal(strtoul(page->volumes[i]->uuid, NULL, 16), volumes++);
		snprintf(after, sizeof(after), "%s", page->volumes[page->n_volumes - 1]->uuid);
		more = page->more;
	}
	assert_int_equal(volumes, LARGE_COUNT);
	assert_int_equal(pages, 2);
}

static void test_info(void **state)
{
	Nvmeot__Target__V1__GetInfoRequest request = NVMEOT__TARGET__V1__GET_INFO_REQUEST__INIT;
	const Nvmeot__Target__V1__GetInfoResponse *answer;
	struct err err;

	(void)state;
	assert_int_equal(create("box", &err), ERR_NONE);
	assert_int_equal(ask("GetInfo", &request, &err), ERR_NONE);
	answer = response;
	assert_string_equal(answer->target_id, "box");
	assert_int_equal(answer->n_topology, 2);
	assert_string_equal(answer->topology[0]->key, "topology.kubernetes.io/zone");
	assert_string_equal(answer->topology[0]->value, "a");
	assert_int_equal(answer->n_pools, 2);
	assert_string_equal(answer->pools[0]->name, "fast");
	assert_int_equal(answer->pools[0]->provisioned_bytes, 1 << 20);
	assert_int_equal(answer->pools[1]->provisioned_bytes, 0);
	assert_true(answer->pools[1]->maximum_volume_bytes > 0);
	assert_true(answer->pools[1]->available_bytes > answer->pools[0]->available_bytes);
	assert_int_equal(answer->pools[0]->n_warnings, 0);
}

/* Served as it is, and asked by the controller's side of the protocol. */
static void test_topology_as_the_controller_sees_it(void **state)
{
	cleanup_free char *address = xasprintf("unix://%s/agent.sock", dir);
	struct rpc_server_config config = {
		.endpoint = address, .services = &service, .service_count = 1, .max_workers = 1
	};
	struct agent_info info cleanup_agent_info = { 0 };
	struct agent *agent = NULL;
	struct rpc_server *server;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(rpc_server_new(&config, &server, &err), 0);
	assert_int_equal(rpc_server_start(server, &err), 0);
	assert_int_equal(agent_new("box", address, NULL, &agent, &err), 0);
	if (agent_info(agent, deadline_after_ms(60000), &info, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(info.topology.count, 2);
	assert_string_equal(map_get(info.topology, "topology.kubernetes.io/zone"), "a");
	assert_string_equal(map_get(info.topology, "rack"), "7");
	agent_free(agent);
	rpc_server_free(server);
}

static void test_orphans(void **state)
{
	Nvmeot__Target__V1__ListOrphansRequest request =
		NVMEOT__TARGET__V1__LIST_ORPHANS_REQUEST__INIT;
	cleanup_free char *path = xasprintf("%s/slow/" UUID ".img", dir);
	const Nvmeot__Target__V1__ListOrphansResponse *answer;
	FILE *file = fopen(path, "we");
	struct err err;

	(void)state;
	assert_non_null(file);
	fclose(file);
	request.target_id = (char *)"other";
	assert_int_equal(ask("ListOrphans", &request, &err), ERR_FAILED_PRECONDITION);
	request.target_id = (char *)"";
	assert_int_equal(ask("ListOrphans", &request, &err), ERR_NONE);
	answer = response;
	assert_int_equal(answer->n_orphans, 1);
	assert_string_equal(answer->orphans[0]->kind, "backing");
	assert_string_equal(answer->orphans[0]->uuid, UUID);
	assert_string_equal(answer->orphans[0]->pool, "slow");
	assert_string_equal(answer->orphans[0]->path, path);
	assert_true(answer->orphans[0]->message[0]);
}

static void test_lock_keys(void **state)
{
	Nvmeot__Target__V1__CreateVolumeRequest create = { .uuid = (char *)"c" };
	Nvmeot__Target__V1__DeleteVolumeRequest delete = { .uuid = (char *)"d" };
	Nvmeot__Target__V1__ExportRequest export = { .uuid = (char *)"e" };
	Nvmeot__Target__V1__UnexportRequest unexport = { .uuid = (char *)"u" };
	Nvmeot__Target__V1__ExpandVolumeRequest expand = { .uuid = (char *)"x" };
	Nvmeot__Target__V1__ModifyVolumeRequest modify = { .uuid = (char *)"m" };

	(void)state;
	assert_string_equal(method("CreateVolume")->lock_key(NULL, &create), "c");
	assert_string_equal(method("DeleteVolume")->lock_key(NULL, &delete), "d");
	assert_string_equal(method("Export")->lock_key(NULL, &export), "e");
	assert_string_equal(method("Unexport")->lock_key(NULL, &unexport), "u");
	assert_string_equal(method("ExpandVolume")->lock_key(NULL, &expand), "x");
	assert_string_equal(method("ModifyVolume")->lock_key(NULL, &modify), "m");
	assert_null(method("GetVolume")->lock_key);
	assert_null(method("ListOrphans")->lock_key);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_for_another_target),
		CASE(test_unexport_asks_the_kernel),
		CASE(test_delete_of_what_is_not_absent),
		CASE(test_delete_of_a_backing_without_record),
		CASE(test_failed_delete_is_not_done),
		CASE(test_create_for_nobody),
		CASE(test_expand),
		CASE(test_modify),
		CASE(test_conditions_only_when_asked_for),
		CASE(test_pages_of_large_volumes),
		CASE(test_info),
		CASE(test_topology_as_the_controller_sees_it),
		CASE(test_orphans),
		CASE(test_lock_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
