/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of the protocol: for whom a request is, and what may be called absent. nvmet's
 * tree is a plain directory; the handlers are called as the server calls them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csi/agent/service.h"
#include "nvme/base/file.h"
#include "nvme/base/proc.h"
#include "target.pb-c.h"

#define HOST "nqn.2014-08.org.nvmexpress:uuid:aaaaaaaa-0000-4000-8000-000000000001"
#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define NQN VOLUME_NQN_PREFIX UUID
#define SUBSYSTEM "nvmet/subsystems/" NQN
#define LINK "nvmet/ports/1/subsystems/" NQN

static char dir[64];
static struct root root; /* of dir */
static struct target *target;
static struct rpc_service service;
static bool gone; /* the caller, before the handler runs */

static int open_target(struct err *err)
{
	cleanup_free char *fast = xasprintf("fast=dir:%s/fast", dir);
	cleanup_free char *slow = xasprintf("slow=dir:%s/slow", dir);
	cleanup_free char *nvmet = xasprintf("%s/nvmet", dir);
	const char *pools[] = { fast, slow };
	struct portal portal;
	struct target_config config = { .id = "box",
					.pools = pools,
					.pool_count = ARRAY_SIZE(pools),
					.portals = &portal,
					.portal_count = 1,
					.nvmet_path = nvmet };

	if (portal_parse("tcp://127.0.0.1:4420", &portal, err) < 0)
		return -1;
	return target_new(&config, &target, err);
}

static int setup(void **state)
{
	static const char *const parts[] = { "fast", "slow", "nvmet/subsystems", "nvmet/hosts",
					     "nvmet/ports/1/subsystems" };
	struct err err;

	(void)state;
	gone = false;
	strcpy(dir, "/tmp/test_service.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		cleanup_free char *path = xasprintf("%s/%s", dir, parts[i]);

		if (file_mkdirs(path, &err) < 0)
			return -1;
	}
	if (root_open(&root, dir, &err) < 0 || open_target(&err) < 0 ||
	    target_restore(target, &err) < 0)
		return -1;
	service = agent_service(target);
	return 0;
}

static int teardown(void **state)
{
	const char *argv[] = { "rm", "-rf", dir, NULL };
	static struct proc_result result;
	struct err err;

	(void)state;
	target_free(target);
	root_close(&root);
	return proc_run(argv, deadline_after_ms(10000), &result, &err) < 0 || result.exit_code;
}

static bool there(const char *path)
{
	return root_exists(&root, "%s", path);
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
	struct rpc_call call;
	ProtobufCMessage *response;

	rpc_call_init(&call, deadline_none(), 1 << 20);
	call.context = target;
	call.method = name;
	atomic_store(&call.cancelled, gone);
	response = rpc_alloc(&call, m->response->sizeof_message);
	protobuf_c_message_init(m->response, response);
	*err = ERR_INIT;
	if (m->handle(&call, request, response, err) == 0)
		*err = ERR_INIT;
	rpc_call_fini(&call);
	return err->code;
}

static enum err_code create(const char *target_id, struct err *err)
{
	Nvmeot__Target__V1__CreateVolumeRequest request =
		NVMEOT__TARGET__V1__CREATE_VOLUME_REQUEST__INIT;

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

static void test_lock_keys(void **state)
{
	Nvmeot__Target__V1__CreateVolumeRequest create = { .uuid = (char *)"c" };
	Nvmeot__Target__V1__DeleteVolumeRequest delete = { .uuid = (char *)"d" };
	Nvmeot__Target__V1__ExportRequest export = { .uuid = (char *)"e" };
	Nvmeot__Target__V1__UnexportRequest unexport = { .uuid = (char *)"u" };

	(void)state;
	assert_string_equal(method("CreateVolume")->lock_key(NULL, &create), "c");
	assert_string_equal(method("DeleteVolume")->lock_key(NULL, &delete), "d");
	assert_string_equal(method("Export")->lock_key(NULL, &export), "e");
	assert_string_equal(method("Unexport")->lock_key(NULL, &unexport), "u");
	assert_null(method("GetVolume")->lock_key);
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
		CASE(test_lock_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
