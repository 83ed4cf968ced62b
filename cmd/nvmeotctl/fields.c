/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the agent protocol as JSON objects for scripts. */
#include "cmd/nvmeotctl/fields.h"

#include <time.h>

#include "csi/agent/convert.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/clock.h"

static void add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

static void add_number(struct json_object *object, const char *key, int64_t number)
{
	json_object_object_add(object, key, json_object_new_int64(number));
}

static void add_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

static void add_texts(struct json_object *object, const char *key, char **texts, size_t count)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < count; i++)
		json_object_array_add(array, json_object_new_string(texts[i]));
	json_object_object_add(object, key, array);
}

/* The entries of every map of strings are alike but for their type. */
#define add_map(object, name, entries, count)                                                      \
	do {                                                                                       \
		struct json_object *map_ = json_object_new_object();                               \
                                                                                                   \
		for (size_t i_ = 0; i_ < (count); i_++)                                            \
			add_text(map_, (entries)[i_]->key, (entries)[i_]->value);                  \
		json_object_object_add(object, name, map_);                                        \
	} while (0)

static void add_volume_id(struct json_object *object, const char *target,
			  const Nvmeot__Target__V1__Volume *volume)
{
	cleanup_free char *id = xasprintf("%s/%s/%s", target, volume->pool, volume->uuid);

	add_text(object, "volume_id", id);
}

/* null when there is no export, or the agent is newer than we are. */
static void add_access(struct json_object *object, const Nvmeot__Target__V1__Export *export)
{
	enum volume_access access;
	struct err ignored;

	if (export && convert_access_from_wire(export->mode, &access, &ignored) == 0)
		add_text(object, "access", volume_access_name(access));
	else
		json_object_object_add(object, "access", NULL);
	add_bool(object, "readonly", export && export->readonly);
}

static void add_hosts(struct json_object *object, const Nvmeot__Target__V1__Volume *volume)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < volume->n_exports; i++)
		json_object_array_add(array, json_object_new_string(volume->exports[i]->host_nqn));
	json_object_object_add(object, "hosts", array);
}

static const char *status_name(Nvmeot__Target__V1__ConditionStatus status)
{
	switch (status) {
	case NVMEOT__TARGET__V1__CONDITION_STATUS__CONDITION_DEGRADED:
		return "degraded";
	case NVMEOT__TARGET__V1__CONDITION_STATUS__CONDITION_INACCESSIBLE:
		return "inaccessible";
	case NVMEOT__TARGET__V1__CONDITION_STATUS__CONDITION_DATA_LOSS:
		return "data-loss";
	default:
		return "unknown";
	}
}

static void add_conditions(struct json_object *object, const Nvmeot__Target__V1__Volume *volume)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < volume->n_conditions; i++) {
		const Nvmeot__Target__V1__Condition *condition = volume->conditions[i];
		struct json_object *item = json_object_new_object();

		add_text(item, "status", status_name(condition->status));
		add_text(item, "reason", condition->reason);
		add_text(item, "message", condition->message);
		json_object_array_add(array, item);
	}
	json_object_object_add(object, "conditions", array);
}

struct json_object *fields_of_volume(const char *target, const Nvmeot__Target__V1__Volume *volume)
{
	struct json_object *object = json_object_new_object();
	bool is_volatile = volume->write_cache ==
			   NVMEOT__TARGET__V1__WRITE_CACHE__WRITE_CACHE_VOLATILE;

	add_volume_id(object, target, volume);
	add_text(object, "target", target);
	add_text(object, "pool", volume->pool);
	add_text(object, "uuid", volume->uuid);
	add_text(object, "name", volume->name);
	add_number(object, "size_bytes", volume->size_bytes);
	add_text(object, "write_cache", is_volatile ? "volatile" : "none");
	add_bool(object, "blank", volume->blank);
	add_access(object, volume->n_exports ? volume->exports[0] : NULL);
	add_hosts(object, volume);
	add_text(object, "nqn", volume->nqn);
	add_texts(object, "portals", volume->portals, volume->n_portals);
	add_text(object, "source_volume", volume->source ? volume->source->volume_uuid : "");
	add_text(object, "source_snapshot", volume->source ? volume->source->snapshot_uuid : "");
	add_map(object, "parameters", volume->parameters, volume->n_parameters);
	add_map(object, "mutable_parameters", volume->mutable_parameters,
		volume->n_mutable_parameters);
	add_conditions(object, volume);
	return object;
}

struct json_object *fields_of_export(const char *target, const Nvmeot__Target__V1__Volume *volume,
				     const Nvmeot__Target__V1__Export *export)
{
	struct json_object *object = json_object_new_object();

	add_volume_id(object, target, volume);
	add_text(object, "host_nqn", export->host_nqn);
	add_access(object, export);
	return object;
}

/* The moment as ISO 8601 has it, to the second. */
static void add_time(struct json_object *object, const char *key, int64_t ns)
{
	time_t seconds = (time_t)(ns / (int64_t)NS_PER_S);
	char text[64] = "";
	struct tm tm;

	if (ns > 0 && gmtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	add_text(object, key, text);
}

struct json_object *fields_of_snapshot(const char *target,
				       const Nvmeot__Target__V1__Snapshot *snapshot)
{
	struct json_object *object = json_object_new_object();
	cleanup_free char *id = xasprintf("%s/%s/@%s", target, snapshot->pool, snapshot->uuid);

	add_text(object, "snapshot_id", id);
	add_text(object, "target", target);
	add_text(object, "pool", snapshot->pool);
	add_text(object, "uuid", snapshot->uuid);
	add_text(object, "name", snapshot->name);
	add_text(object, "source_volume", snapshot->volume_uuid);
	add_number(object, "size_bytes", snapshot->size_bytes);
	if (snapshot->used_bytes >= 0)
		add_number(object, "used_bytes", snapshot->used_bytes);
	else
		json_object_object_add(object, "used_bytes", NULL);
	add_time(object, "created", snapshot->created_ns);
	add_number(object, "created_ns", snapshot->created_ns);
	add_text(object, "group_uuid", snapshot->group_uuid);
	add_text(object, "group_name", snapshot->group_name);
	add_map(object, "parameters", snapshot->parameters, snapshot->n_parameters);
	return object;
}

static struct json_object *fields_of_pool(const Nvmeot__Target__V1__Pool *pool)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "pool", pool->name);
	add_text(object, "kind", pool->kind);
	add_number(object, "capacity_bytes", pool->capacity_bytes);
	add_number(object, "provisioned_bytes", pool->provisioned_bytes);
	add_number(object, "available_bytes", pool->available_bytes);
	add_number(object, "maximum_volume_bytes", pool->maximum_volume_bytes);
	add_texts(object, "warnings", pool->warnings, pool->n_warnings);
	return object;
}

struct json_object *fields_of_target(const Nvmeot__Target__V1__GetInfoResponse *info)
{
	struct json_object *object = json_object_new_object();
	struct json_object *pools = json_object_new_array();

	add_text(object, "target", info->target_id);
	add_text(object, "version", info->version);
	add_texts(object, "portals", info->portals, info->n_portals);
	add_map(object, "topology", info->topology, info->n_topology);
	for (size_t i = 0; i < info->n_pools; i++)
		json_object_array_add(pools, fields_of_pool(info->pools[i]));
	json_object_object_add(object, "pools", pools);
	return object;
}

struct json_object *fields_of_orphan(const char *target, const Nvmeot__Target__V1__Orphan *orphan)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "target", target);
	add_text(object, "kind", orphan->kind);
	add_text(object, "pool", orphan->pool);
	add_text(object, "uuid", orphan->uuid);
	add_text(object, "path", orphan->path);
	add_text(object, "message", orphan->message);
	return object;
}

struct json_object *fields_of_error(const char *target, const struct err *err)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "target", target);
	add_text(object, "code", err_code_name(err->code));
	add_text(object, "message", err->msg);
	return object;
}
