/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of CSI answers, made in the call's arena from what targets say. Nothing here fails. */
#ifndef CSI_CONTROLLER_FILL_H
#define CSI_CONTROLLER_FILL_H

#include "csi.pb-c.h"
#include "csi/agent/snapshots.h"
#include "csi/rpc/service.h"

/* A string map field with room for `room` entries, and one more entry in it; v is kept as it is. */
#define FILL_MAP(call, message, field, room)                                                       \
	((message)->field = rpc_alloc(call, (room) * sizeof(*(message)->field)))
#define FILL_MAP_ADD(call, message, field, type, init, k, v)                                       \
	do {                                                                                       \
		type *entry_ = RPC_NEW(call, type, init);                                          \
		entry_->key = rpc_strdup(call, k);                                                 \
		entry_->value = v;                                                                 \
		(message)->field[(message)->n_##field++] = entry_;                                 \
	} while (0)

/* The volume as CreateVolume, ListVolumes and ControllerGetVolume show it, all in the same way. */
Csi__V1__Volume *fill_volume(struct rpc_call *call, const struct agent_volume *volume,
			     struct map topology);

/* A snapshot, as all calls show it: ready to be used, since it is taken at one moment or not at
 * all. */
Csi__V1__Snapshot *fill_snapshot(struct rpc_call *call, const struct agent_snapshot *snapshot,
				 struct map topology);

/* A moment in nanoseconds since 1970, UTC. */
Google__Protobuf__Timestamp *fill_time(struct rpc_call *call, int64_t ns);

/* The IDs of the nodes that a volume is published to: their host NQNs. */
char **fill_hosts(struct rpc_call *call, const struct agent_volume *volume);

/* What is wrong with a volume. */
Csi__V1__VolumeHealth *fill_health(struct rpc_call *call, const struct volume_id *id,
				   const struct agent_condition *conditions, size_t count);

#endif
