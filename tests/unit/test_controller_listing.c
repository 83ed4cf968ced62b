/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists, single volumes and capacity over two real targets, each behind a server of its own, with
 * pools in a temporary directory: pages while volumes come and go, tokens, a target that is down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi.pb-c.h"
#include "csi/agent/service.h"
#include "csi/controller/capacity.h"
#include "csi/controller/controller.h"
#include "csi/controller/listing.h"
#include "csi/rpc/server.h"
#include "nvme/base/file.h"
#include "nvme/base/log.h"

#define VOLUMES 25
#define ARENA_BYTES (4U << 20)

struct side {
	char id[8];
	struct target *target;
	struct rpc_service service;
	struct rpc_server *server;
};

static char dir[64];
static struct side sides[2];
static struct controller controller;

static void make_dir(const char *id, const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s/%s", dir, id, name);
	struct err err = ERR_INIT;

	assert_int_equal(file_mkdirs(path, &err), 0);
}

static void open_target(struct side *side)
{
	static const char *const dirs[] = { "pool", "nvmet/hosts", "nvmet/ports",
					    "nvmet/subsystems" };
	cleanup_free char *pool = xasprintf("p1=dir:%s/%s/pool", dir, side->id);
	cleanup_free char *nvmet = xasprintf("%s/%s/nvmet", dir, side->id);
	const char *pools[] = { pool };
	struct portal portal;
	struct err err = ERR_INIT;
	struct target_config config = { .id = side->id,
					.pools = pools,
					.pool_count = 1,
					.portals = &portal,
					.portal_count = 1,
					.nvmet_path = nvmet };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		make_dir(side->id, dirs[i]);
	assert_int_equal(portal_parse("tcp://127.0.0.1:4420", &portal, &err), 0);
	if (target_new(&config, &side->target, &err) < 0)
		fail_msg("%s", err.msg);
}

static void serve(struct side *side)
{
	cleanup_free char *endpoint = xasprintf("unix://%s/%s.sock", dir, side->id);
	struct rpc_server_config config = { .endpoint = endpoint,
					    .services = &side->service,
					    .service_count = 1 };
	struct agent *agent = NULL;
	struct err err = ERR_INIT;

	side->service = agent_service(side->target);
	if (rpc_server_new(&config, &side->server, &err) < 0 ||
	    rpc_server_start(side->server, &err) < 0 ||
	    agent_new(side->id, endpoint, NULL, &agent, &err) < 0 ||
	    controller_add_target(&controller, agent, &err) < 0)
		fail_msg("%s", err.msg);
}

static void volume_name(size_t i, char name[32])
{
	snprintf(name, 32, "volume-%zu", i);
}

static void create(size_t i)
{
	struct side *side = &sides[i % 2];
	struct volume request cleanup_volume = { .size_bytes = 1 << 20, .volatile_cache = true };
	struct volume made cleanup_volume = { 0 };
	struct err err = ERR_INIT;
	char name[32];

	volume_name(i, name);
	request.uuid = volume_uuid_of_name(name);
	request.name = xstrdup(name);
	if (target_create(side->target, &request, &made, &err) < 0)
		fail_msg("%s", err.msg);
}

static void delete (size_t i)
{
	struct err err = ERR_INIT;
	struct uuid uuid;
	char name[32];

	volume_name(i, name);
	uuid = volume_uuid_of_name(name);
	assert_int_equal(target_delete(sides[i % 2].target, uuid.text, "p1", &err), 0);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/nvmeot-listing.XXXXXX");
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		snprintf(sides[i].id, sizeof(sides[i].id), "t%zu", i + 1);
		open_target(&sides[i]);
		serve(&sides[i]);
	}
	for (size_t i = 0; i < VOLUMES; i++)
		create(i);
	return 0;
}

static int teardown(void **state)
{
	cleanup_free char *command = xasprintf("rm -rf '%s'", dir);

	(void)state;
	controller_fini(&controller);
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		if (sides[i].server)
			rpc_server_free(sides[i].server);
		target_free(sides[i].target);
		sides[i] = (struct side) { 0 };
	}
	return system(command);
}

/* One page; fills seen with how often each volume was in one, and token with the next. */
static int page(int max, char token[VOLUME_ID_SIZE], unsigned seen[VOLUMES], struct err *err)
{
	Csi__V1__ListVolumesRequest request = CSI__V1__LIST_VOLUMES_REQUEST__INIT;
	Csi__V1__ListVolumesResponse response = CSI__V1__LIST_VOLUMES_RESPONSE__INIT;
	struct rpc_call call;
	int rc;

	rpc_call_init(&call, deadline_after_ms(20000), ARENA_BYTES);
	call.context = &controller;
	request.max_entries = max;
	request.starting_token = token;
	rc = listing_list_volumes(&call, &request, &response, err);
	if (rc == 0) {
		assert_true(max == 0 || response.n_entries <= (size_t)max);
		for (size_t i = 0; i < response.n_entries; i++) {
			const Csi__V1__Volume *volume = response.entries[i]->volume;

			assert_int_equal(volume->capacity_bytes, 1 << 20);
			assert_int_equal(response.entries[i]->status->n_published_node_ids, 0);
			for (size_t v = 0; v < VOLUMES; v++) {
				struct volume_id id;
				struct uuid uuid;
				char name[32];

				volume_name(v, name);
				uuid = volume_uuid_of_name(name);
				assert_true(volume_id_parse(volume->volume_id, &id));
				seen[v] += strcmp(id.uuid.text, uuid.text) == 0;
			}
		}
		snprintf(token, VOLUME_ID_SIZE, "%s", response.next_token);
	}
	rpc_call_fini(&call);
	return rc;
}

static void test_whole(void **state)
{
	unsigned seen[VOLUMES] = { 0 };
	char token[VOLUME_ID_SIZE] = "";
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(page(0, token, seen, &err), 0);
	assert_string_equal(token, "");
	for (size_t i = 0; i < VOLUMES; i++)
		assert_int_equal(seen[i], 1);
}

/* Every page size gives each volume once. */
static void test_pages(void **state)
{
	(void)state;
	for (int max = 1; max <= VOLUMES + 1; max++) {
		unsigned seen[VOLUMES] = { 0 };
		char token[VOLUME_ID_SIZE] = "";
		struct err err = ERR_INIT;
		int pages = 0;

		do {
			assert_int_equal(page(max, token, seen, &err), 0);
			assert_true(++pages <= VOLUMES + 2);
		} while (token[0]);
		for (size_t i = 0; i < VOLUMES; i++)
			assert_int_equal(seen[i], 1);
	}
}

/* What stays is seen once, whatever comes and goes meanwhile: the one the token names, too. */
static void test_coming_and_going(void **state)
{
	unsigned seen[VOLUMES] = { 0 };
	char token[VOLUME_ID_SIZE] = "";
	struct err err = ERR_INIT;
	bool deleted[VOLUMES] = { false };
	int pages = 0;

	(void)state;
	do {
		assert_int_equal(page(3, token, seen, &err), 0);
		assert_true(++pages <= VOLUMES);
		for (size_t i = 0; i < VOLUMES; i++) {
			struct volume_id id;
			struct uuid uuid;
			char name[32];

			volume_name(i, name);
			uuid = volume_uuid_of_name(name);
			if (volume_id_parse(token, &id) && !strcmp(id.uuid.text, uuid.text)) {
				delete (i);
				deleted[i] = true;
			}
		}
	} while (token[0]);
	for (size_t i = 0; i < VOLUMES; i++)
		assert_int_equal(seen[i], 1);
	for (size_t i = 0; i < VOLUMES; i++)
		if (deleted[i])
			create(i);
}

static void test_bad_tokens(void **state)
{
	static const char *const bad[] = { "nonsense", "t1/p1/x",
					   "t9/p1/11111111-2222-5333-8444-555555555555" };
	unsigned seen[VOLUMES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = ERR_INIT;
		char token[VOLUME_ID_SIZE];

		strcpy(token, bad[i]);
		assert_int_equal(page(0, token, seen, &err), -1);
		assert_int_equal(err.code, ERR_ABORTED);
		assert_non_null(strstr(err.msg, bad[i]));
	}
}

static int capacity(Csi__V1__GetCapacityResponse *response, struct rpc_call *call, const char *key,
		    const char *value, struct err *err)
{
	Csi__V1__GetCapacityRequest request = CSI__V1__GET_CAPACITY_REQUEST__INIT;
	Csi__V1__GetCapacityRequest__ParametersEntry entry =
		CSI__V1__GET_CAPACITY_REQUEST__PARAMETERS_ENTRY__INIT;
	Csi__V1__GetCapacityRequest__ParametersEntry *entries[] = { &entry };

	rpc_call_init(call, deadline_after_ms(20000), ARENA_BYTES);
	call->context = &controller;
	entry.key = (char *)key;
	entry.value = (char *)value;
	request.parameters = entries;
	request.n_parameters = key ? 1 : 0;
	csi__v1__get_capacity_response__init(response);
	return capacity_get(call, &request, response, err);
}

static void test_capacity(void **state)
{
	Csi__V1__GetCapacityResponse all, one;
	struct rpc_call call_all, call_one;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(capacity(&all, &call_all, NULL, NULL, &err), 0);
	assert_int_equal(capacity(&one, &call_one, "target", "t1", &err), 0);
	assert_true(one.available_capacity > 0);
	assert_true(all.available_capacity > one.available_capacity);
	assert_true(all.maximum_volume_size->value <= all.available_capacity);
	rpc_call_fini(&call_one);
	assert_int_equal(capacity(&one, &call_one, "pool", "absent", &err), 0);
	assert_int_equal(one.available_capacity, 0);
	rpc_call_fini(&call_one);
	assert_int_equal(capacity(&one, &call_one, "colour", "red", &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	rpc_call_fini(&call_one);
	rpc_call_fini(&call_all);
}

/* Everything that CreateVolume said of it; and which nodes have it. */
static void test_get_volume(void **state)
{
	Csi__V1__ControllerGetVolumeRequest request = CSI__V1__CONTROLLER_GET_VOLUME_REQUEST__INIT;
	Csi__V1__ControllerGetVolumeResponse response =
		CSI__V1__CONTROLLER_GET_VOLUME_RESPONSE__INIT;
	struct rpc_call call;
	struct uuid uuid = volume_uuid_of_name("volume-3");
	cleanup_free char *id = xasprintf("t2/p1/%s", uuid.text);
	cleanup_free char *absent = xasprintf("t1/p1/%s", uuid.text);
	struct err err = ERR_INIT;

	(void)state;
	rpc_call_init(&call, deadline_after_ms(20000), ARENA_BYTES);
	call.context = &controller;
	request.volume_id = id;
	assert_int_equal(listing_get_volume(&call, &request, &response, &err), 0);
	assert_string_equal(response.volume->volume_id, id);
	assert_int_equal(response.volume->capacity_bytes, 1 << 20);
	assert_int_equal(response.volume->n_accessible_topology, 0);
	assert_int_equal(response.status->n_published_node_ids, 0);
	request.volume_id = absent;
	assert_int_equal(listing_get_volume(&call, &request, &response, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	rpc_call_fini(&call);
}

/* A list without the volumes of a target that is down would look as if they were gone. */
static void test_target_down(void **state)
{
	Csi__V1__GetCapacityResponse response;
	char token[VOLUME_ID_SIZE] = "";
	unsigned seen[VOLUMES] = { 0 };
	struct err err = ERR_INIT;
	struct rpc_call call;

	(void)state;
	rpc_server_free(sides[1].server);
	sides[1].server = NULL;
	assert_int_equal(page(0, token, seen, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "target t2"));
	assert_int_equal(capacity(&response, &call, NULL, NULL, &err), 0);
	assert_true(response.available_capacity > 0);
	rpc_call_fini(&call);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_coming_and_going),
		cmocka_unit_test(test_bad_tokens),
		cmocka_unit_test(test_get_volume),
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_target_down),
	};
	struct err err = ERR_INIT;

	log_init("text", "error", &err);
	return cmocka_run_group_tests(tests, setup, teardown);
}
