/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent answers: the target's plain data as messages of its protocol, in the arena of the
 * call, whose context is the target. Translation only.
 */
#ifndef CSI_AGENT_WIRE_H
#define CSI_AGENT_WIRE_H

#include "csi/rpc/service.h"
#include "nvme/target/target.h"
#include "target.pb-c.h"

/* A volume without conditions. */
Nvmeot__Target__V1__Volume *wire_volume(struct rpc_call *call, const struct volume *volume);

Nvmeot__Target__V1__Snapshot *wire_snapshot(struct rpc_call *call, const struct volume *snapshot);

/* Looks what is wrong with the volume, and adds that. */
void wire_conditions(struct rpc_call *call, const struct uuid *uuid,
		     Nvmeot__Target__V1__Volume *wire);

void wire_info(struct rpc_call *call, const struct target_info *info,
	       Nvmeot__Target__V1__GetInfoResponse *answer);

/* At most as many as fit into a message; the last one says how many more there are. */
void wire_orphans(struct rpc_call *call, const struct target_orphans *found,
		  Nvmeot__Target__V1__ListOrphansResponse *answer);

#endif
