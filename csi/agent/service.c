/* SPDX-License-Identifier: Apache-2.0 */
/* The agent protocol, served from a target. */
#include "csi/agent/service.h"

#include <string.h>

#include "csi/agent/convert.h"
#include "csi/request/ids.h"
#include "target.pb-c.h"

#define NEW(call, type, prefix)                                                                    \
	RPC_NEW(call, Nvmeot__Target__V1__##type, nvmeot__target__v1__##prefix##__init)

static char **portal_texts(struct rpc_call *call, const struct target_info *info)
{
	char **texts = rpc_alloc(call, info->portal_count * sizeof(*texts));

	for (size_t i = 0; i < info->portal_count; i++) {
		texts[i] = rpc_alloc(call, PORTAL_TEXT_SIZE);
		portal_format(&info->portals[i], texts[i]);
	}
	return texts;
}

static void fill_exports(struct rpc_call *call, const struct volume *volume,
			 Nvmeot__Target__V1__Volume *wire)
{
	wire->exports = rpc_alloc(call, volume->export_count * sizeof(*wire->exports));
	for (size_t i = 0; i < volume->export_count; i++) {
		Nvmeot__Target__V1__Export *export = NEW(call, Export, export);

		export->host_nqn = rpc_strdup(call, volume->exports[i].host_nqn);
		export->mode = convert_access_to_wire(volume->exports[i].access);
		export->readonly = volume->exports[i].readonly;
		wire->exports[wire->n_exports++] = export;
	}
}

static void fill_parameters(struct rpc_call *call, const struct volume *volume,
			    Nvmeot__Target__V1__Volume *wire)
{
	wire->parameters = rpc_alloc(call, volume->parameter_count * sizeof(*wire->parameters));
	for (size_t i = 0; i < volume->parameter_count; i++) {
		Nvmeot__Target__V1__Volume__ParametersEntry *entry =
			NEW(call, Volume__ParametersEntry, volume__parameters_entry);

		entry->key = rpc_strdup(call, volume->parameters[i].key);
		entry->value = rpc_strdup(call, volume->parameters[i].value);
		wire->parameters[wire->n_parameters++] = entry;
	}
}

static Nvmeot__Target__V1__Volume *volume_to_wire(struct rpc_call *call,
						  const struct volume *volume)
{
	struct target_info info cleanup_target_info = { 0 };
	Nvmeot__Target__V1__Volume *wire = NEW(call, Volume, volume);
	char nqn[NQN_SIZE];

	target_info(call->context, &info);
	volume_nqn(&volume->uuid, nqn);
	wire->uuid = rpc_strdup(call, volume->uuid.text);
	wire->pool = rpc_strdup(call, volume->pool);
	wire->name = rpc_strdup(call, volume->name);
	wire->size_bytes = (int64_t)volume->size_bytes;
	wire->write_cache = convert_cache_to_wire(volume->volatile_cache);
	wire->blank = volume->blank;
	wire->nqn = rpc_strdup(call, nqn);
	wire->portals = portal_texts(call, &info);
	wire->n_portals = info.portal_count;
	fill_exports(call, volume, wire);
	fill_parameters(call, volume, wire);
	return wire;
}

static int get_info(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	struct target_info info cleanup_target_info = { 0 };
	Nvmeot__Target__V1__GetInfoResponse *answer = response;

	(void)request, (void)err;
	target_info(call->context, &info);
	answer->target_id = rpc_strdup(call, info.id);
	answer->version = rpc_strdup(call, NVMEOT_VERSION);
	answer->portals = portal_texts(call, &info);
	answer->n_portals = info.portal_count;
	answer->pools = rpc_alloc(call, info.pool_count * sizeof(*answer->pools));
	for (size_t i = 0; i < info.pool_count; i++) {
		Nvmeot__Target__V1__Pool *pool = NEW(call, Pool, pool);

		pool->name = rpc_strdup(call, info.pools[i].name);
		pool->kind = rpc_strdup(call, info.pools[i].kind);
		pool->capacity_bytes = (int64_t)info.pools[i].capacity_bytes;
		pool->available_bytes = (int64_t)info.pools[i].available_bytes;
		answer->pools[answer->n_pools++] = pool;
	}
	return 0;
}

/* A volume as the request describes it; the strings in it are owned by the result. */
static int volume_from_wire(const Nvmeot__Target__V1__CreateVolumeRequest *create,
			    struct volume *ret, struct err *err)
{
	if (parse_uuid("uuid", create->uuid, &ret->uuid, err) < 0 ||
	    require_text("name", create->name, VOLUME_NAME_MAX, err) < 0 ||
	    convert_cache_from_wire(create->write_cache, &ret->volatile_cache, err) < 0)
		return -1;
	if (*create->pool && !short_name_ok(create->pool))
		return err_set(err, ERR_INVALID_ARGUMENT, "pool \"%.64s\" is not a pool name",
			       create->pool);
	if (create->size_bytes <= 0)
		return err_set(err, ERR_INVALID_ARGUMENT, "size_bytes %lld is not positive",
			       (long long)create->size_bytes);
	strcpy(ret->pool, create->pool);
	ret->name = xstrdup(create->name);
	ret->size_bytes = (uint64_t)create->size_bytes;
	for (size_t i = 0; i < create->n_parameters; i++)
		volume_add_parameter(ret, create->parameters[i]->key, create->parameters[i]->value);
	return 0;
}

static int create_volume(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	Nvmeot__Target__V1__CreateVolumeResponse *answer = response;
	struct volume wanted cleanup_volume = { 0 }, made cleanup_volume = { 0 };

	if (volume_from_wire(request, &wanted, err) < 0 ||
	    target_create(call->context, &wanted, &made, err) < 0)
		return -1;
	answer->volume = volume_to_wire(call, &made);
	return 0;
}

static int get_volume(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Nvmeot__Target__V1__GetVolumeRequest *get = request;
	Nvmeot__Target__V1__GetVolumeResponse *answer = response;
	struct volume_list found cleanup_volume_list = { 0 };

	if (require_text("uuid", get->uuid, UUID_TEXT_SIZE - 1, err) < 0 ||
	    target_get(call->context, get->uuid, get->pool, &found, err) < 0)
		return -1;
	answer->volume = volume_to_wire(call, &found.volumes[0]);
	return 0;
}

/* 1: the volume is in that pool (empty: in any); 0: it is not, or there is no such pool. */
static int is_in_pool(struct rpc_call *call, const char *uuid, const char *pool, struct err *err)
{
	struct volume_list found cleanup_volume_list = { 0 };

	if (require_text("uuid", uuid, UUID_TEXT_SIZE - 1, err) < 0)
		return -1;
	if (!*pool || target_get(call->context, uuid, pool, &found, err) == 0)
		return 1;
	return err->code == ERR_NOT_FOUND ? 0 : -1;
}

static int delete_volume(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const Nvmeot__Target__V1__DeleteVolumeRequest *delete = request;
	int there = is_in_pool(call, delete->uuid, delete->pool, err);

	(void)response;
	return there == 1 ? target_delete(call->context, delete->uuid, err) : there;
}

static int export_volume(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const Nvmeot__Target__V1__ExportRequest *export = request;
	Nvmeot__Target__V1__ExportResponse *answer = response;
	struct volume_export wanted = { .readonly = export->readonly };
	struct volume volume cleanup_volume = { 0 };
	int there = is_in_pool(call, export->uuid, export->pool, err);

	if (there < 0)
		return -1;
	if (!there)
		return err_set(err, ERR_NOT_FOUND, "volume %.36s is not in pool \"%.64s\"",
			       export->uuid, export->pool);
	if (parse_nqn("host_nqn", export->host_nqn, wanted.host_nqn, err) < 0 ||
	    convert_access_from_wire(export->mode, &wanted.access, err) < 0 ||
	    target_export(call->context, export->uuid, &wanted, &volume, err) < 0)
		return -1;
	answer->volume = volume_to_wire(call, &volume);
	return 0;
}

static int unexport_volume(struct rpc_call *call, const void *request, void *response,
			   struct err *err)
{
	const Nvmeot__Target__V1__UnexportRequest *unexport = request;
	int there = is_in_pool(call, unexport->uuid, unexport->pool, err);

	(void)response;
	return there == 1 ?
		       target_unexport(call->context, unexport->uuid, unexport->host_nqn, err) :
		       there;
}

static const struct rpc_method methods[] = {
	{ .name = "GetInfo",
	  .request = &nvmeot__target__v1__get_info_request__descriptor,
	  .response = &nvmeot__target__v1__get_info_response__descriptor,
	  .handle = get_info,
	  .quiet = true },
	{ .name = "CreateVolume",
	  .request = &nvmeot__target__v1__create_volume_request__descriptor,
	  .response = &nvmeot__target__v1__create_volume_response__descriptor,
	  .handle = create_volume },
	{ .name = "GetVolume",
	  .request = &nvmeot__target__v1__get_volume_request__descriptor,
	  .response = &nvmeot__target__v1__get_volume_response__descriptor,
	  .handle = get_volume,
	  .quiet = true },
	{ .name = "DeleteVolume",
	  .request = &nvmeot__target__v1__delete_volume_request__descriptor,
	  .response = &nvmeot__target__v1__delete_volume_response__descriptor,
	  .handle = delete_volume },
	{ .name = "Export",
	  .request = &nvmeot__target__v1__export_request__descriptor,
	  .response = &nvmeot__target__v1__export_response__descriptor,
	  .handle = export_volume },
	{ .name = "Unexport",
	  .request = &nvmeot__target__v1__unexport_request__descriptor,
	  .response = &nvmeot__target__v1__unexport_response__descriptor,
	  .handle = unexport_volume },
};

struct rpc_service agent_service(struct target *target)
{
	return (struct rpc_service) { .name = "nvmeot.target.v1.Target",
				      .methods = methods,
				      .count = ARRAY_SIZE(methods),
				      .context = target };
}
