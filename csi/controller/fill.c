/* SPDX-License-Identifier: Apache-2.0 */
/* Filling CSI answers. */
#include "csi/controller/fill.h"

#include <string.h>

#include "csi/request/parameters.h"

static void fill_topology(struct rpc_call *call, struct map topology, Csi__V1__Volume *volume)
{
	Csi__V1__Topology *place;

	if (!topology.count)
		return;
	place = RPC_NEW(call, Csi__V1__Topology, csi__v1__topology__init);
	FILL_MAP(call, place, segments, topology.count);
	for (size_t i = 0; i < topology.count; i++)
		FILL_MAP_ADD(call, place, segments, Csi__V1__Topology__SegmentsEntry,
			     csi__v1__topology__segments_entry__init, topology.entries[i]->key,
			     rpc_strdup(call, topology.entries[i]->value));
	volume->accessible_topology = rpc_alloc(call, sizeof(*volume->accessible_topology));
	volume->accessible_topology[volume->n_accessible_topology++] = place;
}

Csi__V1__Volume *fill_volume(struct rpc_call *call, const struct agent_volume *volume,
			     struct map topology)
{
	Csi__V1__Volume *ret = RPC_NEW(call, Csi__V1__Volume, csi__v1__volume__init);
	struct map parameters = volume->parameters;

	ret->volume_id = rpc_alloc(call, VOLUME_ID_SIZE);
	volume_id_format(&volume->id, ret->volume_id);
	ret->capacity_bytes = (int64_t)volume->size_bytes;
	FILL_MAP(call, ret, volume_context, parameters.count);
	for (size_t i = 0; i < parameters.count; i++)
		if (parameters_for_node(parameters.entries[i]->key))
			FILL_MAP_ADD(call, ret, volume_context, Csi__V1__Volume__VolumeContextEntry,
				     csi__v1__volume__volume_context_entry__init,
				     parameters.entries[i]->key,
				     rpc_strdup(call, parameters.entries[i]->value));
	fill_topology(call, topology, ret);
	return ret;
}

char **fill_hosts(struct rpc_call *call, const struct agent_volume *volume)
{
	char **hosts = rpc_alloc(call, volume->host_count * sizeof(*hosts));

	for (size_t i = 0; i < volume->host_count; i++)
		hosts[i] = rpc_strdup(call, volume->hosts[i]);
	return hosts;
}

static const Csi__V1__VolumeHealthErrorType statuses[] = {
	[VOLUME_DEGRADED] = CSI__V1__VOLUME_HEALTH_ERROR_TYPE__DEGRADED,
	[VOLUME_INACCESSIBLE] = CSI__V1__VOLUME_HEALTH_ERROR_TYPE__INACCESSIBLE,
	[VOLUME_DATA_LOSS] = CSI__V1__VOLUME_HEALTH_ERROR_TYPE__DATA_LOSS,
};

Csi__V1__VolumeHealth *fill_health(struct rpc_call *call, const struct volume_id *id,
				   const struct agent_condition *conditions, size_t count)
{
	Csi__V1__VolumeHealth *ret =
		RPC_NEW(call, Csi__V1__VolumeHealth, csi__v1__volume_health__init);

	ret->volume_id = rpc_alloc(call, VOLUME_ID_SIZE);
	volume_id_format(id, ret->volume_id);
	ret->health_statuses = rpc_alloc(call, count * sizeof(*ret->health_statuses));
	for (size_t i = 0; i < count; i++) {
		Csi__V1__VolumeHealth__VolumeHealthEntry *entry =
			RPC_NEW(call, Csi__V1__VolumeHealth__VolumeHealthEntry,
				csi__v1__volume_health__volume_health_entry__init);

		entry->status = statuses[conditions[i].status];
		entry->reason = rpc_strdup(call, conditions[i].reason);
		entry->message = rpc_strdup(call, conditions[i].message);
		ret->health_statuses[ret->n_health_statuses++] = entry;
	}
	return ret;
}
