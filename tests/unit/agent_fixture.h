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
#include "tests/unit/agent_extents.h"
#include "tests/unit/agent_snapshots.h"

#define FAKE_UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define FAKE_HOST "nqn.2014-08.org.example:host"
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
	int64_t maximum_bytes; /* 0: as much as is available */
	const char *zone;      /* its topology: the segment "zone"; NULL: it has none */
	bool has_volume;
	bool can_freeze;
	enum err_code failure;	    /* of every call that changes something */
	enum err_code find_failure; /* of looking for a volume */
	Nvmeot__Target__V1__Volume volume;
	Nvmeot__Target__V1__Volume__ParametersEntry parameters[4], *parameters_of_volume[4];
	Nvmeot__Target__V1__Volume__MutableParametersEntry mutables[4], *mutables_of_volume[4];
	Nvmeot__Target__V1__Source source;
	Nvmeot__Target__V1__Export export, *exports_of_volume[1];
	Nvmeot__Target__V1__Condition condition, *conditions_of_volume[1];
	bool no_volume;	   /* answers leave the volume out */
	size_t list_count; /* of ListVolumes: volumes with the UUIDs 00000000-…, 00000001-…, … */
	bool list_stuck;   /* always says that there is more, and begins anew */
	size_t sick_every; /* every so many of these has the conditions of volume; 0: none */

	const char
		*only_uuid; /* a volume of this UUID is there, as the fake is otherwise; or NULL */
	bool any_uuid;	    /* so is one of any UUID */
	struct fake_snapshots snapshots;
	struct fake_extents extents;

	/* What it was asked. */
	int creates, deletes, exports, unexports, expands, modifies, lists;
	char asked_uuid[UUID_TEXT_SIZE], asked_pool[VOLUME_POOL_SIZE], asked_name[129];
	char asked_host[NQN_SIZE], asked_parameter[64];
	char asked_mutable[64];
	char asked_snapshot[UUID_TEXT_SIZE], asked_source[UUID_TEXT_SIZE];
	int64_t asked_size;
	int asked_cache, asked_mode;
	bool asked_readonly, asked_conditions;
	struct dhchap_keys asked_keys;
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
	answer->version = (char *)"0.1";
	answer->can_freeze = fake->can_freeze;
	if (fake->zone) {
		Nvmeot__Target__V1__GetInfoResponse__TopologyEntry *segment =
			RPC_NEW(call, Nvmeot__Target__V1__GetInfoResponse__TopologyEntry,
				nvmeot__target__v1__get_info_response__topology_entry__init);

		segment->key = (char *)"zone";
		segment->value = (char *)fake->zone;
		answer->topology = rpc_alloc(call, sizeof(*answer->topology));
		answer->topology[answer->n_topology++] = segment;
	}
	if (!fake->pool)
		return 0;
	pool->name = (char *)fake->pool;
	pool->available_bytes = fake->available_bytes;
	pool->maximum_volume_bytes = fake->maximum_bytes ?: fake->available_bytes;
	answer->pools = rpc_alloc(call, sizeof(*answer->pools));
	answer->pools[answer->n_pools++] = pool;
	return 0;
}

static inline Nvmeot__Target__V1__Volume *fake_volume(struct fake_agent *fake)
{
	return fake->no_volume ? NULL : &fake->volume;
}

static inline Nvmeot__Target__V1__Volume *
fake_volume_as(struct rpc_call *call, const struct fake_agent *fake, const char *uuid)
{
	Nvmeot__Target__V1__Volume *volume =
		RPC_NEW(call, Nvmeot__Target__V1__Volume, nvmeot__target__v1__volume__init);

	*volume = fake->volume;
	volume->uuid = rpc_strdup(call, uuid);
	return volume;
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
	if (create->n_mutable_parameters)
		snprintf(fake->asked_mutable, sizeof(fake->asked_mutable), "%s=%s",
			 create->mutable_parameters[0]->key, create->mutable_parameters[0]->value);
	fake->asked_size = create->size_bytes;
	fake->asked_cache = (int)create->write_cache;
	if (create->source) {
		snprintf(fake->asked_snapshot, UUID_TEXT_SIZE, "%s", create->source->snapshot_uuid);
		snprintf(fake->asked_source, UUID_TEXT_SIZE, "%s", create->source->volume_uuid);
	}
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
	bool other;

	if (fake_asked(fake, get->target_id, get->uuid, get->pool, err) < 0)
		return -1;
	fake->asked_conditions = get->with_conditions;
	if (fake->find_failure)
		return err_set(err, fake->find_failure, "the fake's own words");
	other = fake->any_uuid || (fake->only_uuid && strcmp(fake->only_uuid, get->uuid) == 0);
	if (!fake->has_volume && !other)
		return err_set(err, ERR_NOT_FOUND, "no volume %s", get->uuid);
	((Nvmeot__Target__V1__GetVolumeResponse *)response)->volume =
		other ? fake_volume_as(call, fake, get->uuid) : fake_volume(fake);
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
	fake->asked_readonly = export->readonly;
	snprintf(fake->asked_keys.host, DHCHAP_KEY_SIZE, "%s", export->dhchap_secret);
	snprintf(fake->asked_keys.ctrl, DHCHAP_KEY_SIZE, "%s", export->dhchap_ctrl_secret);
	if (fake_fail(fake, err) < 0)
		return -1;
	((Nvmeot__Target__V1__ExportResponse *)response)->volume = fake_volume(fake);
	return 0;
}

static inline int fake_expand(struct rpc_call *call, const void *request, void *response,
			      struct err *err)
{
	const Nvmeot__Target__V1__ExpandVolumeRequest *expand = request;
	struct fake_agent *fake = call->context;

	if (fake_asked(fake, expand->target_id, expand->uuid, expand->pool, err) < 0)
		return -1;
	fake->expands++;
	fake->asked_size = expand->size_bytes;
	if (fake_fail(fake, err) < 0)
		return -1;
	if (expand->size_bytes > fake->volume.size_bytes)
		fake->volume.size_bytes = expand->size_bytes;
	((Nvmeot__Target__V1__ExpandVolumeResponse *)response)->volume = fake_volume(fake);
	return 0;
}

static inline int fake_modify(struct rpc_call *call, const void *request, void *response,
			      struct err *err)
{
	const Nvmeot__Target__V1__ModifyVolumeRequest *modify = request;
	struct fake_agent *fake = call->context;

	(void)response;
	if (fake_asked(fake, modify->target_id, modify->uuid, modify->pool, err) < 0)
		return -1;
	fake->modifies++;
	if (modify->n_mutable_parameters)
		snprintf(fake->asked_mutable, sizeof(fake->asked_mutable), "%s=%s",
			 modify->mutable_parameters[0]->key, modify->mutable_parameters[0]->value);
	return fake_fail(fake, err);
}

/* One of the volumes of the list: as the fake's volume, but for its UUID and, mostly, conditions. */
static inline Nvmeot__Target__V1__Volume *
fake_listed(struct rpc_call *call, const struct fake_agent *fake, size_t i, bool conditions)
{
	Nvmeot__Target__V1__Volume *volume =
		RPC_NEW(call, Nvmeot__Target__V1__Volume, nvmeot__target__v1__volume__init);

	*volume = fake->volume;
	volume->uuid = rpc_printf(call, "%08zx-0000-4000-8000-000000000000", i);
	if (!conditions || !fake->sick_every || i % fake->sick_every != 0)
		volume->n_conditions = 0;
	return volume;
}

static inline int fake_list(struct rpc_call *call, const void *request, void *response,
			    struct err *err)
{
	const Nvmeot__Target__V1__ListVolumesRequest *list = request;
	Nvmeot__Target__V1__ListVolumesResponse *answer = response;
	struct fake_agent *fake = call->context;
	size_t i = *list->start_after ? strtoul(list->start_after, NULL, 16) + 1 : 0;
	size_t max = list->max_entries > 0 ? (size_t)list->max_entries : fake->list_count;

	if (fake_asked(fake, list->target_id, "", "", err) < 0)
		return -1;
	if (fake->list_stuck)
		i = 0;
	fake->lists++;
	fake->asked_conditions = list->with_conditions;
	answer->volumes = rpc_alloc(call, (fake->list_count + 1) * sizeof(*answer->volumes));
	for (; i < fake->list_count && answer->n_volumes < max; i++)
		answer->volumes[answer->n_volumes++] =
			fake_listed(call, fake, i, list->with_conditions);
	answer->more = i < fake->list_count || fake->list_stuck;
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

#define FAKE_OF_SNAPSHOTS(name, snake, ...)                                                        \
	static inline int fake_##name(struct rpc_call *call, const void *request, void *response,  \
				      struct err *err)                                             \
	{                                                                                          \
		struct fake_agent *fake = call->context;                                           \
                                                                                                   \
		(void)response;                                                                    \
		return fake_snapshots_##snake(__VA_ARGS__);                                        \
	}

FAKE_OF_SNAPSHOTS(create_snapshots, create, call, &fake->snapshots, fake->has_volume, request,
		  response, err)
FAKE_OF_SNAPSHOTS(get_snapshot, get, call, &fake->snapshots, request, response, err)
FAKE_OF_SNAPSHOTS(list_snapshots, list, call, &fake->snapshots, request, response, err)
FAKE_OF_SNAPSHOTS(delete_snapshot, delete, &fake->snapshots, request, err)

static inline int fake_list_extents(struct rpc_call *call, const void *request, void *response,
				    struct err *err)
{
	struct fake_agent *fake = call->context;

	return fake_extents_list(call, &fake->extents, &fake->snapshots, request, response, err);
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
	FAKE_METHOD("ListVolumes", list_volumes, fake_list),
	FAKE_METHOD("ExpandVolume", expand_volume, fake_expand),
	FAKE_METHOD("ModifyVolume", modify_volume, fake_modify),
	FAKE_METHOD("DeleteVolume", delete_volume, fake_delete),
	FAKE_METHOD("Export", export, fake_export),
	FAKE_METHOD("Unexport", unexport, fake_unexport),
	FAKE_METHOD("CreateSnapshots", create_snapshots, fake_create_snapshots),
	FAKE_METHOD("GetSnapshot", get_snapshot, fake_get_snapshot),
	FAKE_METHOD("ListSnapshots", list_snapshots, fake_list_snapshots),
	FAKE_METHOD("DeleteSnapshot", delete_snapshot, fake_delete_snapshot),
	FAKE_METHOD("ListExtents", list_extents, fake_list_extents),
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

/* The volume is exported to one host from now on, until it is reset. */
static inline void fake_exported(struct fake_agent *fake, bool readonly)
{
	nvmeot__target__v1__export__init(&fake->export);
	fake->export.host_nqn = (char *)FAKE_HOST;
	fake->export.readonly = readonly;
	fake->exports_of_volume[0] = &fake->export;
	fake->volume.exports = fake->exports_of_volume;
	fake->volume.n_exports = 1;
}

/* The volume has one parameter more from now on, as created. */
static inline void fake_parameter(struct fake_agent *fake, const char *key, const char *value)
{
	size_t i = fake->volume.n_parameters++;

	nvmeot__target__v1__volume__parameters_entry__init(&fake->parameters[i]);
	fake->parameters[i].key = (char *)key;
	fake->parameters[i].value = (char *)value;
	fake->parameters_of_volume[i] = &fake->parameters[i];
	fake->volume.parameters = fake->parameters_of_volume;
}

/* The same, as modified. */
static inline void fake_mutable(struct fake_agent *fake, const char *key, const char *value)
{
	size_t i = fake->volume.n_mutable_parameters++;

	nvmeot__target__v1__volume__mutable_parameters_entry__init(&fake->mutables[i]);
	fake->mutables[i].key = (char *)key;
	fake->mutables[i].value = (char *)value;
	fake->mutables_of_volume[i] = &fake->mutables[i];
	fake->volume.mutable_parameters = fake->mutables_of_volume;
}

/* The volume is a copy of a snapshot or of a volume from now on; the other is "". */
static inline void fake_copied(struct fake_agent *fake, const char *snapshot, const char *volume)
{
	nvmeot__target__v1__source__init(&fake->source);
	fake->source.snapshot_uuid = (char *)snapshot;
	fake->source.volume_uuid = (char *)volume;
	fake->volume.source = &fake->source;
}

/* The volume has one condition from now on. */
static inline void fake_sick(struct fake_agent *fake, Nvmeot__Target__V1__ConditionStatus status,
			     const char *reason)
{
	nvmeot__target__v1__condition__init(&fake->condition);
	fake->condition.status = status;
	fake->condition.reason = (char *)reason;
	fake->condition.message = (char *)"in the fake's own words";
	fake->conditions_of_volume[0] = &fake->condition;
	fake->volume.conditions = fake->conditions_of_volume;
	fake->volume.n_conditions = 1;
}

static inline void fake_start(struct fake_agent *fake, const char *id)
{
	struct rpc_server_config config = { .service_count = 1, .max_workers = 2 };
	struct err err = ERR_INIT;

	*fake = (struct fake_agent) { .dir = "/tmp/test_fake_agent.XXXXXX",
				      .id = id,
				      .pool = "fast",
				      .available_bytes = 10LL << 30,
				      .snapshots = { .id = id, .pool = "fast" } };
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
