/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's question to a target agent which parts of a snapshot have data, or differ from
 * an older one; client.h says what holds for every call.
 */
#ifndef CSI_AGENT_EXTENTS_H
#define CSI_AGENT_EXTENTS_H

#include "csi/agent/client.h"
#include "nvme/target/extents.h"

struct agent_extents_query {
	const struct volume_id *snapshot;
	const struct uuid *base; /* an older one of the same volume; NULL: all that has data */
	uint64_t start_bytes;
};

/* Begins a question, as client.h says of them all; max: the room of the list it is finished with. */
struct agent_ask *agent_extents_begin(struct agent *agent, const struct agent_extents_query *query,
				      size_t max, struct deadline deadline);

/*
 * Fills the list as extents_read does, and goes on as that; query is the one of the beginning.
 * ERR_NOT_FOUND: there is no such snapshot, or no such base; ERR_INVALID_ARGUMENT: they are of
 * different volumes; ERR_OUT_OF_RANGE: start_bytes is beyond the end; ERR_FAILED_PRECONDITION:
 * their pool cannot tell, by its kind or its file system, so all has to be read. An answer that is
 * out of order, or does not go on, is the agent's fault: ERR_INTERNAL.
 */
int agent_extents_finish(struct agent_ask *ask, const struct agent_extents_query *query,
			 struct extents *ret, struct err *err);

#endif
