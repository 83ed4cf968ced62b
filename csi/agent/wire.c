/* SPDX-License-Identifier: Apache-2.0 */
/* The answers of the agent protocol. */
#include "csi/agent/wire.h"

#include <string.h>

#include "csi/agent/convert.h"

/* 4 MiB are the most that a client takes. */
#define ORPHANS_MAX 4000

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
		export->authentication = convert_authentication_to_wire(volume->exports[i].dhchap);
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

static void fill_mutables(struct rpc_call *call, const struct volume *volume,
			  Nvmeot__Target__V1__Volume *wire)
{
	wire->mutable_parameters =
		rpc_alloc(call, volume->mutable_count * sizeof(*wire->mutable_parameters));
	for (size_t i = 0; i < volume->mutable_count; i++) {
		Nvmeot__Target__V1__Volume__MutableParametersEntry *entry =
			NEW(call, Volume__MutableParametersEntry, volume__mutable_parameters_entry);

		entry->key = rpc_strdup(call, volume->mutables[i].key);
		entry->value = rpc_strdup(call, volume->mutables[i].value);
		wire->mutable_parameters[wire->n_mutable_parameters++] = entry;
	}
}

void wire_conditions(struct rpc_call *call, const struct uuid *uuid,
		     Nvmeot__Target__V1__Volume *wire)
{
	struct volume_conditions found;

	target_conditions(call->context, uuid, &found);
	wire->conditions = rpc_alloc(call, found.count * sizeof(*wire->conditions));
	for (size_t i = 0; i < found.count; i++) {
		Nvmeot__Target__V1__Condition *condition = NEW(call, Condition, condition);

		condition->status = convert_status_to_wire(found.items[i].status);
		condition->reason = rpc_strdup(call, found.items[i].reason);
		condition->message = rpc_strdup(call, found.items[i].message);
		wire->conditions[wire->n_conditions++] = condition;
	}
}

Nvmeot__Target__V1__Volume *wire_volume(struct rpc_call *call, const struct volume *volume)
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
	fill_mutables(call, volume, wire);
	if (volume_is_copy(volume)) {
		char *source = rpc_strdup(call, volume->source.text);

		wire->source = NEW(call, Source, source);
		if (volume->source_is_snapshot)
			wire->source->snapshot_uuid = source;
		else
			wire->source->volume_uuid = source;
	}
	return wire;
}

Nvmeot__Target__V1__Snapshot *wire_snapshot(struct rpc_call *call, const struct volume *snapshot)
{
	Nvmeot__Target__V1__Snapshot *wire = NEW(call, Snapshot, snapshot);

	wire->uuid = rpc_strdup(call, snapshot->uuid.text);
	wire->pool = rpc_strdup(call, snapshot->pool);
	wire->name = rpc_strdup(call, snapshot->name);
	wire->volume_uuid = rpc_strdup(call, snapshot->source.text);
	wire->size_bytes = (int64_t)snapshot->size_bytes;
	wire->created_ns = (int64_t)snapshot->snapshot.created_ns;
	wire->used_bytes = -1;
	if (snapshot->snapshot.weighed)
		wire->used_bytes = (int64_t)snapshot->snapshot.used_bytes;
	wire->group_uuid = rpc_strdup(call, snapshot->snapshot.group.text);
	wire->group_name = rpc_strdup(call, snapshot->snapshot.group_name ?: "");
	wire->parameters = rpc_alloc(call, snapshot->parameter_count * sizeof(*wire->parameters));
	for (size_t i = 0; i < snapshot->parameter_count; i++) {
		Nvmeot__Target__V1__Snapshot__ParametersEntry *entry =
			NEW(call, Snapshot__ParametersEntry, snapshot__parameters_entry);

		entry->key = rpc_strdup(call, snapshot->parameters[i].key);
		entry->value = rpc_strdup(call, snapshot->parameters[i].value);
		wire->parameters[wire->n_parameters++] = entry;
	}
	return wire;
}

static Nvmeot__Target__V1__Pool *pool_to_wire(struct rpc_call *call,
					      const struct target_pool_info *info)
{
	Nvmeot__Target__V1__Pool *pool = NEW(call, Pool, pool);

	pool->name = rpc_strdup(call, info->name);
	pool->kind = rpc_strdup(call, info->kind);
	pool->capacity_bytes = (int64_t)info->capacity_bytes;
	pool->available_bytes = (int64_t)info->available_bytes;
	pool->provisioned_bytes = (int64_t)info->provisioned_bytes;
	pool->maximum_volume_bytes = (int64_t)info->maximum_bytes;
	if (info->warning[0]) {
		pool->warnings = rpc_alloc(call, sizeof(*pool->warnings));
		pool->warnings[pool->n_warnings++] = rpc_strdup(call, info->warning);
	}
	return pool;
}

static void fill_topology(struct rpc_call *call, Nvmeot__Target__V1__GetInfoResponse *answer)
{
	size_t count;
	const struct target_label *labels = target_topology(call->context, &count);

	answer->topology = rpc_alloc(call, count * sizeof(*answer->topology));
	for (size_t i = 0; i < count; i++) {
		Nvmeot__Target__V1__GetInfoResponse__TopologyEntry *entry = NEW(
			call, GetInfoResponse__TopologyEntry, get_info_response__topology_entry);

		entry->key = rpc_strdup(call, labels[i].key);
		entry->value = rpc_strdup(call, labels[i].value);
		answer->topology[answer->n_topology++] = entry;
	}
}

void wire_info(struct rpc_call *call, const struct target_info *info,
	       Nvmeot__Target__V1__GetInfoResponse *answer)
{
	answer->target_id = rpc_strdup(call, target_id(call->context));
	answer->version = rpc_strdup(call, NVMEOT_VERSION);
	answer->can_freeze = true;
	answer->portals = portal_texts(call, &answer->n_portals);
	answer->pools = rpc_alloc(call, info->pool_count * sizeof(*answer->pools));
	for (size_t i = 0; i < info->pool_count; i++)
		answer->pools[answer->n_pools++] = pool_to_wire(call, &info->pools[i]);
	fill_topology(call, answer);
}

static Nvmeot__Target__V1__Orphan *orphan_to_wire(struct rpc_call *call,
						  const struct target_orphan *orphan)
{
	Nvmeot__Target__V1__Orphan *wire = NEW(call, Orphan, orphan);

	wire->kind = rpc_strdup(call, orphan->kind);
	wire->uuid = rpc_strdup(call, orphan->uuid);
	wire->pool = rpc_strdup(call, orphan->pool);
	wire->path = rpc_strdup(call, orphan->path);
	wire->message = rpc_strdup(call, orphan->message);
	return wire;
}

void wire_orphans(struct rpc_call *call, const struct target_orphans *found,
		  Nvmeot__Target__V1__ListOrphansResponse *answer)
{
	size_t count = found->count < ORPHANS_MAX ? found->count : ORPHANS_MAX;
	Nvmeot__Target__V1__Orphan *last = NULL;

	answer->orphans = rpc_alloc(call, count * sizeof(*answer->orphans));
	for (size_t i = 0; i < count; i++) {
		last = orphan_to_wire(call, &found->items[i]);
		answer->orphans[answer->n_orphans++] = last;
	}
	if (found->count > count)
		last->message = rpc_printf(call, "%s; %zu more are not shown", last->message,
					   found->count - count);
}
