/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target agent for unit tests, served by the real rpc server at a unix socket: it answers what
 * the test puts into it and keeps what it was asked. Only changed while no call runs.
 */
#ifndef TESTS_UNIT_AGENT_FIXTURE_H
#define TESTS_UNIT_AGENT_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csi/agent/client.h"
#include "csi/rpc/server.h"
#include "target.pb-c.h"

#define FAKE_UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define FAKE_MS 60000

struct fake_agent {
	char dir[64];
	char address[96];
	struct rpc_service service;
	struct rpc_server *server;

	/* What it answers. */
	const char *id;
	const char *pool; /* its only one; NULL: it has none */
	int64_t available_bytes;
	bool has_volume;
	enum err_code failure; /* of CreateVolume, DeleteVolume, Export and Unexport */
	Nvmeot__Target__V1__Volume volume;
	bool no_volume; /* answers leave the volume out */

	/* What it was asked. */
	int creates, deletes, exports, unexports;
	char asked_uuid[UUID_TEXT_SIZE], asked_pool[VOLUME_POOL_SIZE], asked_name[129];
	char asked_host[NQN_SIZE], asked_parameter[64];
	int64_t asked_size;
	int asked_cache, asked_mode;
};

static char *fake_portals[] = { (char *)"tcp://192.0.2.1:4420",
				(char *)"tcp://[2001:db8::1]:4420" };

static inline int fake_get_info(struct rpc_call *call, const void *request, void *response,
				struct err *err)
{
	const struct fake_agent *fake = call->context;
	Nvmeot__Target__V1__GetInfoResponse *answer = response;
	Nvmeot__Target__V1__Pool *pool =
		RPC_NEW(call, Nvmeot__Target__V1__Pool, nvmeot__target__v1__pool__init);

	(void)request, (void)err;
	answer->target_id = (char *)fake->id;
	if (!fake->pool)
		return 0;
	pool->name = (char *)fake->pool;
	pool->available_bytes = fake->available_bytes;
	answer->pools = rpc_alloc(call, sizeof(*answer->pools));
	answer->pools[answer->n_pools++] = pool;
	return 0;
}

static inline Nvmeot__Target__V1__Volume *fake_volume(struct fake_agent *fake)
{
	return fake->no_volume ? NULL : &fake->volume;
}

static inline int fake_fail(const struct fake_agent *fake, struct err *err)
{
	return fake->failure ? err_set(err, fake->failure, "the fake's own words") : 0;
}

/* Keeps what was asked; as the real agent does, it refuses what is for another one. */
static inline int fake_asked(struct fake_agent *fake, const char *target_id, const char *uuid,
			     const char *pool, struct err *err)
{
	if (strcmp(target_id, fake->id) != 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "for \"%s\", but this agent calls itself \"%s\"", target_id,
			       fake->id);
	snprintf(fake->asked_uuid, sizeof(fake->asked_uuid), "%s", uuid);
	snprintf(fake->asked_pool, sizeof(fake->asked_pool), "%s", pool);
	return 0;
}

static inline int fake_create(struct rpc_call *call, const void *request, void *response,
			      struct err *err)
{
	const Nvmeot__Target__V1__CreateVolumeRequest *create = request;
	struct fake_agent *fake = call->context;

	if (fake_asked(fake, create->target_id, create->uuid, create->pool, err) < 0)
		return -1;
	fake->creates++;
	snprintf(fake->asked_name, sizeof(fake->asked_name), "%s", create->name);
	if (create->n_parameters)
		snprintf(fake->asked_parameter, sizeof(fake->asked_parameter), "%s=%s",
			 create->parameters[0]->key, create->parameters[0]->value);
	fake->asked_size = create->size_bytes;
	fake->asked_cache = (int)create->write_cache;
	if (fake_fail(fake, err) < 0)
		return -1;
	((Nvmeot__Target__V1__CreateVolumeResponse *)response)->volume = fake_volume(fake);
	return 0;
}

static inline int fake_get(struct rpc_call *call, const void *request, void *response,
			   struct err *err)
{
	const Nvmeot__Target__V1__GetVolumeRequest *get = request;
	struct fake_agent *fake = call->context;

	if (fake_asked(fake, get->target_id, get->uuid, get->pool, err) < 0)
		return -1;
	if (!fake->has_volume)
		return err_set(err, ERR_NOT_FOUND, "no volume %s", get->uuid);
	((Nvmeot__Target__V1__GetVolumeResponse *)response)->volume = fake_volume(fake);
	return 0;
}

static inline int fake_delete(struct rpc_call *call, const void *request, void *response,
			      struct err *err)
{
	const Nvmeot__Target__V1__DeleteVolumeRequest *delete = request;
	struct fake_agent *fake = call->context;

	(void)response;
	if (fake_asked(fake, delete->target_id, delete->uuid, delete->pool, err) < 0)
		return -1;
	fake->deletes++;
	return fake_fail(fake, err);
}

static inline int fake_export(struct rpc_call *call, const void *request, void *response,
			      struct err *err)
{
	const Nvmeot__Target__V1__ExportRequest *export = request;
	struct fake_agent *fake = call->context;

	if (fake_asked(fake, export->target_id, export->uuid, export->pool, err) < 0)
		return -1;
	fake->exports++;
	snprintf(fake->asked_host, sizeof(fake->asked_host), "%s", export->host_nqn);
	fake->asked_mode = (int)export->mode;
	if (fake_fail(fake, err) < 0)
		return -1;
	((Nvmeot__Target__V1__ExportResponse *)response)->volume = fake_volume(fake);
	return 0;
}

static inline int fake_unexport(struct rpc_call *call, const void *request, void *response,
				struct err *err)
{
	const Nvmeot__Target__V1__UnexportRequest *unexport = request;
	struct fake_agent *fake = call->context;

	(void)response;
	if (fake_asked(fake, unexport->target_id, unexport->uuid, unexport->pool, err) < 0)
		return -1;
	fake->unexports++;
	snprintf(fake->asked_host, sizeof(fake->asked_host), "%s", unexport->host_nqn);
	return fake_fail(fake, err);
}

#define FAKE_METHOD(wire, snake, function)                                                         \
	{                                                                                          \
		.name = wire, .request = &nvmeot__target__v1__##snake##_request__descriptor,       \
		.response = &nvmeot__target__v1__##snake##_response__descriptor,                   \
		.handle = function, .quiet = true                                                  \
	}

static const struct rpc_method fake_methods[] = {
	FAKE_METHOD("GetInfo", get_info, fake_get_info),
	FAKE_METHOD("CreateVolume", create_volume, fake_create),
	FAKE_METHOD("GetVolume", get_volume, fake_get),
	FAKE_METHOD("DeleteVolume", delete_volume, fake_delete),
	FAKE_METHOD("Export", export, fake_export),
	FAKE_METHOD("Unexport", unexport, fake_unexport),
};

/* A volume in which everything is right. */
static inline void fake_reset_volume(struct fake_agent *fake)
{
	nvmeot__target__v1__volume__init(&fake->volume);
	fake->volume.uuid = (char *)FAKE_UUID;
	fake->volume.pool = (char *)"fast";
	fake->volume.size_bytes = 1 << 30;
	fake->volume.nqn = (char *)VOLUME_NQN_PREFIX FAKE_UUID;
	fake->volume.portals = fake_portals;
	fake->volume.n_portals = ARRAY_SIZE(fake_portals);
	fake->no_volume = false;
}

static inline void fake_start(struct fake_agent *fake, const char *id)
{
	struct rpc_server_config config = { .service_count = 1, .max_workers = 2 };
	struct err err = ERR_INIT;

	*fake = (struct fake_agent) { .dir = "/tmp/test_fake_agent.XXXXXX",
				      .id = id,
				      .pool = "fast",
				      .available_bytes = 10LL << 30 };
	assert_non_null(mkdtemp(fake->dir));
	snprintf(fake->address, sizeof(fake->address), "unix://%s/agent.sock", fake->dir);
	fake_reset_volume(fake);
	fake->service = (struct rpc_service) { .name = "nvmeot.target.v1.Target",
					       .methods = fake_methods,
					       .count = ARRAY_SIZE(fake_methods),
					       .context = fake };
	config.endpoint = fake->address;
	config.services = &fake->service;
	if (rpc_server_new(&config, &fake->server, &err) < 0 ||
	    rpc_server_start(fake->server, &err) < 0)
		fail_msg("%s", err.msg);
}

/* From now on it cannot be reached. Idempotent. */
static inline void fake_stop(struct fake_agent *fake)
{
	if (fake->server) {
		rpc_server_free(fake->server);
		rmdir(fake->dir);
	}
	fake->server = NULL;
}

/* A client of it that takes it for name; the caller frees it. */
static inline struct agent *fake_client(const struct fake_agent *fake, const char *name)
{
	struct agent *agent = NULL;
	struct err err = ERR_INIT;

	if (agent_new(name, fake->address, NULL, &agent, &err) < 0)
		fail_msg("%s", err.msg);
	return agent;
}

#endif
