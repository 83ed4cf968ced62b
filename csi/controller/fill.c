/* SPDX-License-Identifier: Apache-2.0 */
/* Filling CSI answers. */
#include "csi/controller/fill.h"

#include <string.h>

#include "csi/controller/source.h"
#include "csi/request/parameters.h"

/* A list of the one place; NULL when it is everywhere. */
static Csi__V1__Topology **fill_topology(struct rpc_call *call, struct map topology,
					 size_t *ret_count)
{
	Csi__V1__Topology *place, **list;

	if (!topology.count)
		return NULL;
	place = RPC_NEW(call, Csi__V1__Topology, csi__v1__topology__init);
	FILL_MAP(call, place, segments, topology.count);
	for (size_t i = 0; i < topology.count; i++)
		FILL_MAP_ADD(call, place, segments, Csi__V1__Topology__SegmentsEntry,
			     csi__v1__topology__segments_entry__init, topology.entries[i]->key,
			     rpc_strdup(call, topology.entries[i]->value));
	list = rpc_alloc(call, sizeof(*list));
	list[0] = place;
	*ret_count = 1;
	return list;
}

static Csi__V1__VolumeContentSource *fill_source(struct rpc_call *call,
						 const struct create_source *source)
{
	Csi__V1__VolumeContentSource *ret =
		RPC_NEW(call, Csi__V1__VolumeContentSource, csi__v1__volume_content_source__init);
	char *id = rpc_alloc(call, VOLUME_ID_SIZE);

	if (source->snapshot) {
		snapshot_id_format(&source->id, id);
		ret->type_case = CSI__V1__VOLUME_CONTENT_SOURCE__TYPE_SNAPSHOT;
		ret->snapshot = RPC_NEW(call, Csi__V1__VolumeContentSource__SnapshotSource,
					csi__v1__volume_content_source__snapshot_source__init);
		ret->snapshot->snapshot_id = id;
	} else {
		volume_id_format(&source->id, id);
		ret->type_case = CSI__V1__VOLUME_CONTENT_SOURCE__TYPE_VOLUME;
		ret->volume = RPC_NEW(call, Csi__V1__VolumeContentSource__VolumeSource,
				      csi__v1__volume_content_source__volume_source__init);
		ret->volume->volume_id = id;
	}
	return ret;
}

Csi__V1__Volume *fill_volume(struct rpc_call *call, const struct agent_volume *volume,
			     struct map topology)
{
	Csi__V1__Volume *ret = RPC_NEW(call, Csi__V1__Volume, csi__v1__volume__init);
	struct create_source source = source_of(volume);
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
	if (source.given)
		ret->content_source = fill_source(call, &source);
	ret->accessible_topology = fill_topology(call, topology, &ret->n_accessible_topology);
	return ret;
}

Google__Protobuf__Timestamp *fill_time(struct rpc_call *call, int64_t ns)
{
	Google__Protobuf__Timestamp *ret =
		RPC_NEW(call, Google__Protobuf__Timestamp, google__protobuf__timestamp__init);

	ret->seconds = ns / (int64_t)NS_PER_S;
	ret->nanos = (int32_t)(ns % (int64_t)NS_PER_S);
	return ret;
}

Csi__V1__Snapshot *fill_snapshot(struct rpc_call *call, const struct agent_snapshot *snapshot,
				 struct map topology)
{
	Csi__V1__Snapshot *ret = RPC_NEW(call, Csi__V1__Snapshot, csi__v1__snapshot__init);
	struct volume_id volume = snapshot->id;

	volume.uuid = snapshot->volume;
	ret->snapshot_id = rpc_alloc(call, VOLUME_ID_SIZE);
	snapshot_id_format(&snapshot->id, ret->snapshot_id);
	ret->source_volume_id = rpc_alloc(call, VOLUME_ID_SIZE);
	volume_id_format(&volume, ret->source_volume_id);
	ret->size_bytes = (int64_t)snapshot->size_bytes;
	ret->creation_time = fill_time(call, snapshot->created_ns);
	ret->ready_to_use = true;
	if (snapshot->group.text[0]) {
		struct group_id group = { .uuid = snapshot->group };

		strcpy(group.target, snapshot->id.target);
		ret->group_snapshot_id = rpc_alloc(call, VOLUME_ID_SIZE);
		group_id_format(&group, ret->group_snapshot_id);
	}
	ret->accessible_topology = fill_topology(call, topology, &ret->n_accessible_topology);
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
