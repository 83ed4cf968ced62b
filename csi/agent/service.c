/* SPDX-License-Identifier: Apache-2.0 */
/* The agent protocol, served from a target. */
#include "csi/agent/service.h"

#include <string.h>

#include "csi/agent/convert.h"
#include "csi/agent/serve.h"
#include "csi/agent/wire.h"
#include "csi/request/ids.h"
#include "target.pb-c.h"

static int get_info(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	struct target_info info cleanup_target_info = { 0 };

	(void)request, (void)err;
	target_info(call->context, &info);
	wire_info(call, &info, response);
	return 0;
}

int serve_check_name(const struct target *target, const char *asked, struct err *err)
{
	const char *own = target_id(target);

	if (strcmp(asked, own) == 0)
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "the request is for target \"%.64s\", but this is the agent of target "
		       "\"%s\"; the name in --target must be the agent's --name",
		       asked, own);
}

int serve_check_target(struct rpc_call *call, const char *asked, struct err *err)
{
	return serve_check_name(call->context, asked, err);
}

int serve_check_looker(struct rpc_call *call, const char *asked, struct err *err)
{
	return *asked ? serve_check_target(call, asked, err) : 0;
}

static int check_size(int64_t size_bytes, struct err *err)
{
	if (size_bytes <= 0)
		return err_set(err, ERR_INVALID_ARGUMENT, "size_bytes %lld is not positive",
			       (long long)size_bytes);
	return 0;
}

int serve_check_count(const char *field, size_t count, struct err *err)
{
	if (count > VOLUME_PARAMETERS_MAX)
		return err_set(err, ERR_INVALID_ARGUMENT, "%s: %zu entries are more than %d", field,
			       count, VOLUME_PARAMETERS_MAX);
	return 0;
}

static int source_from_wire(const Nvmeot__Target__V1__Source *source, struct volume *ret,
			    struct err *err)
{
	if (!source || (!*source->snapshot_uuid && !*source->volume_uuid))
		return 0;
	if (*source->snapshot_uuid && *source->volume_uuid)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "source: both snapshot_uuid \"%.64s\" and volume_uuid \"%.64s\"",
			       source->snapshot_uuid, source->volume_uuid);
	ret->source_is_snapshot = *source->snapshot_uuid;
	return ret->source_is_snapshot ?
		       parse_uuid("source.snapshot_uuid", source->snapshot_uuid, &ret->source,
				  err) :
		       parse_uuid("source.volume_uuid", source->volume_uuid, &ret->source, err);
}

/* A volume as the request describes it; the strings in it are owned by the result. */
static int volume_from_wire(const Nvmeot__Target__V1__CreateVolumeRequest *create,
			    struct volume *ret, struct err *err)
{
	if (parse_uuid("uuid", create->uuid, &ret->uuid, err) < 0 ||
	    require_text("name", create->name, VOLUME_NAME_MAX, err) < 0 ||
	    convert_cache_from_wire(create->write_cache, &ret->volatile_cache, err) < 0)
		return -1;
	if (*create->pool && !parse_is_name(create->pool))
		return err_set(err, ERR_INVALID_ARGUMENT, "pool \"%.64s\" is not a pool name",
			       create->pool);
	if (check_size(create->size_bytes, err) < 0 ||
	    serve_check_count("parameters", create->n_parameters, err) < 0 ||
	    serve_check_count("mutable_parameters", create->n_mutable_parameters, err) < 0 ||
	    source_from_wire(create->source, ret, err) < 0)
		return -1;
	strcpy(ret->pool, create->pool);
	ret->name = xstrdup(create->name);
	ret->size_bytes = (uint64_t)create->size_bytes;
	for (size_t i = 0; i < create->n_parameters; i++)
		volume_add_parameter(ret, create->parameters[i]->key, create->parameters[i]->value);
	for (size_t i = 0; i < create->n_mutable_parameters; i++)
		volume_set_mutable(ret, create->mutable_parameters[i]->key,
				   create->mutable_parameters[i]->value);
	return 0;
}

static int create_volume(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const Nvmeot__Target__V1__CreateVolumeRequest *create = request;
	Nvmeot__Target__V1__CreateVolumeResponse *answer = response;
	struct volume wanted cleanup_volume = { 0 }, made cleanup_volume = { 0 };

	if (volume_from_wire(create, &wanted, err) < 0 ||
	    serve_check_target(call, create->target_id, err) < 0)
		return -1;
	/* Its caller may be creating the volume elsewhere by now. */
	if (rpc_call_cancelled(call))
		return err_set(err, ERR_CANCELLED, "the caller of CreateVolume for %s is gone",
			       wanted.uuid.text);
	if (target_create(call->context, &wanted, &made, err) < 0)
		return -1;
	answer->volume = wire_volume(call, &made);
	return 0;
}

static int get_volume(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Nvmeot__Target__V1__GetVolumeRequest *get = request;
	Nvmeot__Target__V1__GetVolumeResponse *answer = response;
	struct volume found cleanup_volume = { 0 };

	if (require_text("uuid", get->uuid, UUID_TEXT_SIZE - 1, err) < 0 ||
	    serve_check_looker(call, get->target_id, err) < 0 ||
	    target_get(call->context, get->uuid, get->pool, &found, err) < 0)
		return -1;
	answer->volume = wire_volume(call, &found);
	if (get->with_conditions)
		wire_conditions(call, &found.uuid, answer->volume);
	return 0;
}

size_t serve_page_max(int32_t max_entries)
{
	return max_entries > 0 && max_entries < SERVE_LIST_MAX ? (size_t)max_entries :
								 SERVE_LIST_MAX;
}

/* As many of the volumes as fit into one answer, and at least one. */
static void fill_page(struct rpc_call *call, const struct volume_list *found, bool conditions,
		      Nvmeot__Target__V1__ListVolumesResponse *answer)
{
	size_t bytes = 0;

	answer->volumes = rpc_alloc(call, found->count * sizeof(*answer->volumes));
	for (size_t i = 0; i < found->count; i++) {
		Nvmeot__Target__V1__Volume *wire = wire_volume(call, &found->volumes[i]);

		if (conditions)
			wire_conditions(call, &found->volumes[i].uuid, wire);
		bytes += protobuf_c_message_get_packed_size(&wire->base);
		if (i && bytes > RPC_PAGE_BYTES) {
			answer->more = true;
			return;
		}
		answer->volumes[answer->n_volumes++] = wire;
	}
}

static int list_volumes(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Nvmeot__Target__V1__ListVolumesRequest *list = request;
	Nvmeot__Target__V1__ListVolumesResponse *answer = response;
	struct volume_list found cleanup_volume_list = { 0 };
	size_t max = serve_page_max(list->max_entries);
	bool more = false;

	if (serve_check_looker(call, list->target_id, err) < 0 ||
	    target_list(call->context, list->start_after, max, &found, &more, err) < 0)
		return -1;
	answer->more = more;
	fill_page(call, &found, list->with_conditions, answer);
	return 0;
}

static int expand_volume(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const Nvmeot__Target__V1__ExpandVolumeRequest *expand = request;
	Nvmeot__Target__V1__ExpandVolumeResponse *answer = response;
	struct volume volume cleanup_volume = { 0 };

	if (require_text("uuid", expand->uuid, UUID_TEXT_SIZE - 1, err) < 0 ||
	    check_size(expand->size_bytes, err) < 0 ||
	    serve_check_target(call, expand->target_id, err) < 0 ||
	    target_expand(call->context, expand->uuid, expand->pool, (uint64_t)expand->size_bytes,
			  &volume, err) < 0)
		return -1;
	answer->volume = wire_volume(call, &volume);
	return 0;
}

static int modify_volume(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const Nvmeot__Target__V1__ModifyVolumeRequest *modify = request;
	Nvmeot__Target__V1__ModifyVolumeResponse *answer = response;
	struct volume_parameter set[VOLUME_PARAMETERS_MAX];
	struct volume volume cleanup_volume = { 0 };

	if (require_text("uuid", modify->uuid, UUID_TEXT_SIZE - 1, err) < 0 ||
	    serve_check_count("mutable_parameters", modify->n_mutable_parameters, err) < 0 ||
	    serve_check_target(call, modify->target_id, err) < 0)
		return -1;
	for (size_t i = 0; i < modify->n_mutable_parameters; i++)
		set[i] =
			(struct volume_parameter) { .key = modify->mutable_parameters[i]->key,
						    .value = modify->mutable_parameters[i]->value };
	if (target_modify(call->context, modify->uuid, modify->pool, set,
			  modify->n_mutable_parameters, &volume, err) < 0)
		return -1;
	answer->volume = wire_volume(call, &volume);
	return 0;
}

static int delete_volume(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const Nvmeot__Target__V1__DeleteVolumeRequest *delete = request;

	(void)response;
	if (require_text("uuid", delete->uuid, UUID_TEXT_SIZE - 1, err) < 0 ||
	    serve_check_target(call, delete->target_id, err) < 0)
		return -1;
	return target_delete(call->context, delete->uuid, delete->pool, err);
}

static int export_volume(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const Nvmeot__Target__V1__ExportRequest *export = request;
	Nvmeot__Target__V1__ExportResponse *answer = response;
	struct volume_export wanted = { .readonly = export->readonly };
	cleanup_dhchap_keys struct dhchap_keys keys = { 0 };
	struct volume volume cleanup_volume = { 0 };

	if (require_text("uuid", export->uuid, UUID_TEXT_SIZE - 1, err) < 0 ||
	    parse_nqn("host_nqn", export->host_nqn, wanted.host_nqn, err) < 0 ||
	    convert_access_from_wire(export->mode, &wanted.access, err) < 0 ||
	    dhchap_keys_parse("dhchap_secret", export->dhchap_secret, "dhchap_ctrl_secret",
			      export->dhchap_ctrl_secret, &keys, err) < 0 ||
	    serve_check_target(call, export->target_id, err) < 0 ||
	    target_has(call->context, export->uuid, export->pool, err) < 0)
		return -1;
	wanted.dhchap = dhchap_keys_mode(&keys);
	if (target_export_keyed(call->context, export->uuid, &wanted, &keys, &volume, err) < 0)
		return -1;
	answer->volume = wire_volume(call, &volume);
	return 0;
}

static int unexport_volume(struct rpc_call *call, const void *request, void *response,
			   struct err *err)
{
	const Nvmeot__Target__V1__UnexportRequest *unexport = request;

	(void)response;
	if (require_text("uuid", unexport->uuid, UUID_TEXT_SIZE - 1, err) < 0 ||
	    serve_check_target(call, unexport->target_id, err) < 0)
		return -1;
	return target_unexport(call->context, unexport->uuid, unexport->host_nqn, err);
}

static int list_orphans(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Nvmeot__Target__V1__ListOrphansRequest *list = request;
	struct target_orphans found cleanup_target_orphans = { 0 };

	if (serve_check_looker(call, list->target_id, err) < 0 ||
	    target_orphans(call->context, &found, err) < 0)
		return -1;
	wire_orphans(call, &found, response);
	return 0;
}

/* Of every call that changes a volume: one at a time, and the others do not wait for a worker. */
#define LOCK_OF(name, type)                                                                        \
	static const char *name(struct rpc_call *call, const void *request)                        \
	{                                                                                          \
		(void)call;                                                                        \
		return ((const Nvmeot__Target__V1__##type *)request)->uuid;                        \
	}

LOCK_OF(lock_of_create, CreateVolumeRequest)
LOCK_OF(lock_of_expand, ExpandVolumeRequest)
LOCK_OF(lock_of_modify, ModifyVolumeRequest)
LOCK_OF(lock_of_delete, DeleteVolumeRequest)
LOCK_OF(lock_of_export, ExportRequest)
LOCK_OF(lock_of_unexport, UnexportRequest)
LOCK_OF(lock_of_delete_snapshot, DeleteSnapshotRequest)

/* The others of a group have their own locks in the target. */
static const char *lock_of_snapshots(struct rpc_call *call, const void *request)
{
	const Nvmeot__Target__V1__CreateSnapshotsRequest *create = request;

	(void)call;
	return create->n_snapshots ? create->snapshots[0]->uuid : NULL;
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
	{ .name = "ExpandVolume",
	  .request = &nvmeot__target__v1__expand_volume_request__descriptor,
	  .response = &nvmeot__target__v1__expand_volume_response__descriptor,
	  .handle = expand_volume,
	  .lock_key = lock_of_expand },
	{ .name = "ModifyVolume",
	  .request = &nvmeot__target__v1__modify_volume_request__descriptor,
	  .response = &nvmeot__target__v1__modify_volume_response__descriptor,
	  .handle = modify_volume,
	  .lock_key = lock_of_modify },
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
	{ .name = "ListOrphans",
	  .request = &nvmeot__target__v1__list_orphans_request__descriptor,
	  .response = &nvmeot__target__v1__list_orphans_response__descriptor,
	  .handle = list_orphans,
	  .quiet = true },
	{ .name = "CreateSnapshots",
	  .request = &nvmeot__target__v1__create_snapshots_request__descriptor,
	  .response = &nvmeot__target__v1__create_snapshots_response__descriptor,
	  .handle = serve_create_snapshots,
	  .lock_key = lock_of_snapshots },
	{ .name = "GetSnapshot",
	  .request = &nvmeot__target__v1__get_snapshot_request__descriptor,
	  .response = &nvmeot__target__v1__get_snapshot_response__descriptor,
	  .handle = serve_get_snapshot,
	  .quiet = true },
	{ .name = "ListSnapshots",
	  .request = &nvmeot__target__v1__list_snapshots_request__descriptor,
	  .response = &nvmeot__target__v1__list_snapshots_response__descriptor,
	  .handle = serve_list_snapshots,
	  .quiet = true },
	{ .name = "DeleteSnapshot",
	  .request = &nvmeot__target__v1__delete_snapshot_request__descriptor,
	  .response = &nvmeot__target__v1__delete_snapshot_response__descriptor,
	  .handle = serve_delete_snapshot,
	  .lock_key = lock_of_delete_snapshot },
	{ .name = "ListExtents",
	  .request = &nvmeot__target__v1__list_extents_request__descriptor,
	  .response = &nvmeot__target__v1__list_extents_response__descriptor,
	  .handle = serve_list_extents,
	  .quiet = true },
};

struct rpc_service agent_service(struct target *target)
{
	return (struct rpc_service) { .name = "nvmeot.target.v1.Target",
				      .methods = methods,
				      .count = ARRAY_SIZE(methods),
				      .context = target };
}
