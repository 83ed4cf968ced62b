/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: CreateSnapshot, DeleteSnapshot, ListSnapshots, GetSnapshot. A snapshot lies on the
 * target and in the pool of the volume that it was taken of, and lives on without that. It is ready
 * to be used from the moment that it is taken.
 *
 * A name is looked for on all targets at once, so that it stands for one snapshot only. A target
 * that cannot be asked is passed over, unless it is the one that has the volume.
 */
#ifndef CSI_CONTROLLER_SNAPSHOTS_H
#define CSI_CONTROLLER_SNAPSHOTS_H

#include "csi/agent/snapshots.h"
#include "csi/controller/controller.h"

/* Finds the target of a snapshot, without asking it: else ERR_NOT_FOUND. */
int snapshots_locate(const struct controller *controller, const char *snapshot_id,
		     struct volume_id *id, struct agent **target, struct err *err);

/* Asks its target for a snapshot that must exist: else ERR_NOT_FOUND. */
int snapshots_require(struct agent *target, const struct volume_id *id, struct deadline deadline,
		      struct agent_snapshot *ret, struct err *err);

/* Handlers, as struct rpc_method wants them. */
int snapshots_create(struct rpc_call *call, const void *request, void *response, struct err *err);
int snapshots_delete(struct rpc_call *call, const void *request, void *response, struct err *err);
int snapshots_list(struct rpc_call *call, const void *request, void *response, struct err *err);
int snapshots_get(struct rpc_call *call, const void *request, void *response, struct err *err);

#endif
