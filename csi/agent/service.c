/* SPDX-License-Identifier: Apache-2.0 */
/* The agent protocol, served from a target. */
#include "csi/agent/service.h"

#include <string.h>

#include "csi/agent/convert.h"
#include "csi/request/ids.h"
#include "target.pb-c.h"

#define NEW(call, type, prefix)                                                                    \
	RPC_NEW(call, Nvmeot__Target__V1__##type, nvmeot__target__v1__##prefix##__init)

static char **portal_texts(struct rpc_call *call, size_t *ret_count)
{
	const struct portal *portals = target_portals(call->context, ret_count);
	char **texts = rpc_alloc(call, *ret_count * sizeof(*texts));

	for (size_t i = 0; i < *ret_count; i++) {
		texts[i] = rpc_alloc(call, PORTAL_TEXT_SIZE);
		portal_format(&portals[i], texts[i]);
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
	Nvmeot__Target__V1__Volume *wire = NEW(call, Volume, volume);
	char nqn[NQN_SIZE];

	volume_nqn(&volume->uuid, nqn);
	wire->uuid = rpc_strdup(call, volume->uuid.text);
	wire->pool = rpc_strdup(call, volume->pool);
	wire->name = rpc_strdup(call, volume->name);
	wire->size_bytes = (int64_t)volume->size_bytes;
	wire->write_cache = convert_cache_to_wire(volume->volatile_cache);
	wire->blank = volume->blank;
	wire->nqn = rpc_strdup(call, nqn);
	wire->portals = portal_texts(call, &wire->n_portals);
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
	answer->portals = portal_texts(call, &answer->n_portals);
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

/* Whether the request is for this agent. */
static int check_target(struct rpc_call *call, const char *asked, struct err *err)
{
	const char *own = target_id(call->context);

	if (strcmp(asked, own) == 0)
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "the request is for target \"%.64s\", but this is the agent of target "
		       "\"%s\"; the name in --target must be the agent's --name",
		       asked, own);
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
	const Nvmeot__Target__V1__CreateVolumeRequest *create = request;
	Nvmeot__Target__V1__CreateVolumeResponse *answer = response;
	struct volume wanted cleanup_volume = { 0 }, made cleanup_volume = { 0 };

	if (volume_from_wire(create, &wanted, err) < 0 ||
	    check_target(call, create->target_id, err) < 0)
		return -1;
	/* Its caller may be creating the volume elsewhere by now. */
	if (rpc_call_cancelled(call))
		return err_set(err, ERR_CANCELLED, "the caller of CreateVolume for %s is gone",
			       wanted.uuid.text);
	if (target_create(call->context, &wanted, &made, err) < 0)
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
	    (*get->target_id && check_target(call, get->target_id, err) < 0) ||
	    target_get(call->context, get->uuid, get->pool, &found, err) < 0)
		return -1;
	answer->volume = volume_to_wire(call, &found.volumes[0]);
	return 0;
}

/* One answer stays far below the size of a message. */
#define LIST_MAX 1000

static int list_volumes(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Nvmeot__Target__V1__ListVolumesRequest *list = request;
	Nvmeot__Target__V1__ListVolumesResponse *answer = response;
	struct volume_list found cleanup_volume_list = { 0 };
	size_t max = list->max_entries > 0 && list->max_entries < LIST_MAX ?
			     (size_t)list->max_entries :
			     LIST_MAX;
	bool more = false;

	if ((*list->target_id && check_target(call, list->target_id, err) < 0) ||
	    target_list(call->context, list->start_after, max, &found, &more, err) < 0)
		return -1;
	answer->more = more;
	answer->volumes = rpc_alloc(call, found.count * sizeof(*answer->volumes));
	for (size_t i = 0; i < found.count; i++)
		answer->volumes[answer->n_volumes++] = volume_to_wire(call, &found.volumes[i]);
	return 0;
}

static int delete_volume(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const Nvmeot__Target__V1__DeleteVolumeRequest *delete = request;

	(void)response;
	if (require_text("uuid", delete->uuid, UUID_TEXT_SIZE - 1, err) < 0 ||
	    check_target(call, delete->target_id, err) < 0)
		return -1;
	return target_delete(call->context, delete->uuid, delete->pool, err);
}

static int export_volume(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const Nvmeot__Target__V1__ExportRequest *export = request;
	Nvmeot__Target__V1__ExportResponse *answer = response;
	struct volume_export wanted = { .readonly = export->readonly };
	struct volume_list found cleanup_volume_list = { 0 };
	struct volume volume cleanup_volume = { 0 };

	if (require_text("uuid", export->uuid, UUID_TEXT_SIZE - 1, err) < 0 ||
	    parse_nqn("host_nqn", export->host_nqn, wanted.host_nqn, err) < 0 ||
	    convert_access_from_wire(export->mode, &wanted.access, err) < 0 ||
	    check_target(call, export->target_id, err) < 0 ||
	    target_get(call->context, export->uuid, export->pool, &found, err) < 0 ||
	    target_export(call->context, export->uuid, &wanted, &volume, err) < 0)
		return -1;
	answer->volume = volume_to_wire(call, &volume);
	return 0;
}

static int unexport_volume(struct rpc_call *call, const void *request, void *response,
			   struct err *err)
{
	const Nvmeot__Target__V1__UnexportRequest *unexport = request;

	(void)response;
	if (require_text("uuid", unexport->uuid, UUID_TEXT_SIZE - 1, err) < 0 ||
	    check_target(call, unexport->target_id, err) < 0)
		return -1;
	return target_unexport(call->context, unexport->uuid, unexport->host_nqn, err);
}

/* Of every call that changes a volume: one at a time, and the others do not wait for a worker. */
#define LOCK_OF(name, type)                                                                        \
	static const char *name(struct rpc_call *call, const void *request)                        \
	{                                                                                          \
		(void)call;                                                                        \
		return ((const Nvmeot__Target__V1__##type *)request)->uuid;                        \
	}

LOCK_OF(lock_of_create, CreateVolumeRequest)
LOCK_OF(lock_of_delete, DeleteVolumeRequest)
LOCK_OF(lock_of_export, ExportRequest)
LOCK_OF(lock_of_unexport, UnexportRequest)

static const struct rpc_method methods[] = {
	{ .name = "GetInfo",
	  .request = &nvmeot__target__v1__get_info_request__descriptor,
	  .response = &nvmeot__target__v1__get_info_response__descriptor,
	  .handle = get_info,
	  .quiet = true },
	{ .name = "CreateVolume",
	  .request = &nvmeot__target__v1__create_volume_request__descriptor,
	  .response = &nvmeot__target__v1__create_volume_response__descriptor,
	  .handle = create_volume,
	  .lock_key = lock_of_create },
	{ .name = "GetVolume",
	  .request = &nvmeot__target__v1__get_volume_request__descriptor,
	  .response = &nvmeot__target__v1__get_volume_response__descriptor,
	  .handle = get_volume,
	  .quiet = true },
	{ .name = "ListVolumes",
	  .request = &nvmeot__target__v1__list_volumes_request__descriptor,
	  .response = &nvmeot__target__v1__list_volumes_response__descriptor,
	  .handle = list_volumes,
	  .quiet = true },
	{ .name = "DeleteVolume",
	  .request = &nvmeot__target__v1__delete_volume_request__descriptor,
	  .response = &nvmeot__target__v1__delete_volume_response__descriptor,
	  .handle = delete_volume,
	  .lock_key = lock_of_delete },
	{ .name = "Export",
	  .request = &nvmeot__target__v1__export_request__descriptor,
	  .response = &nvmeot__target__v1__export_response__descriptor,
	  .handle = export_volume,
	  .lock_key = lock_of_export },
	{ .name = "Unexport",
	  .request = &nvmeot__target__v1__unexport_request__descriptor,
	  .response = &nvmeot__target__v1__unexport_response__descriptor,
	  .handle = unexport_volume,
	  .lock_key = lock_of_unexport },
};

struct rpc_service agent_service(struct target *target)
{
	return (struct rpc_service) { .name = "nvmeot.target.v1.Target",
				      .methods = methods,
				      .count = ARRAY_SIZE(methods),
				      .context = target };
}
