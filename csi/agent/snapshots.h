/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's view of the snapshots of one target agent; client.h says what holds for every
 * call. An answer that is not about what was asked for is the agent's fault: ERR_INTERNAL.
 */
#ifndef CSI_AGENT_SNAPSHOTS_H
#define CSI_AGENT_SNAPSHOTS_H

#include "csi/agent/client.h"

/* What the controller needs to know of a snapshot. It owns nothing. */
struct agent_snapshot {
	struct volume_id id;
	struct uuid volume; /* which it was taken of: in the same pool, and may be gone */
	uint64_t size_bytes;
	int64_t created_ns; /* since 1970, UTC */
	struct uuid group;  /* it was taken with; "": with none */
	bool frozen;	    /* with freeze */
};

/* 1: found; 0: the target has no such snapshot in that pool ("": in any); -1: error. */
struct agent_ask *agent_snapshot_find_begin(struct agent *agent, const struct uuid *uuid,
					    const char *pool, struct deadline deadline);
int agent_snapshot_find_finish(struct agent_ask *ask, struct agent_snapshot *ret, struct err *err);
int agent_snapshot_find(struct agent *agent, const struct uuid *uuid, const char *pool,
			struct deadline deadline, struct agent_snapshot *ret, struct err *err);

/* Snapshots in the order of their UUIDs, as in agent_list_query. */
struct agent_snapshot_query {
	const char *start_after;
	size_t max;
	const char *volume; /* only those of the volume of this UUID; "": of any */
	const char *group;  /* only those of the group of this UUID; "": of all and of none */
};

/* The snapshot is borrowed for the time of the visit. ret_more: there are more after these. */
struct agent_ask *agent_snapshot_list_begin(struct agent *agent,
					    const struct agent_snapshot_query *query,
					    struct deadline deadline);
int agent_snapshot_list_finish(struct agent_ask *ask,
			       void (*visit)(const struct agent_snapshot *snapshot, void *context),
			       void *context, bool *ret_more, struct err *err);

/* One of the snapshots that are to be taken at one moment. */
struct agent_snapshot_member {
	struct uuid uuid;
	const char *name;
	struct uuid volume;
};

struct agent_snapshot_spec {
	const struct agent_snapshot_member *members;
	size_t count;
	const struct uuid *group; /* NULL: none, and then there is one member */
	const char *group_name;
	struct map parameters;
	bool freeze; /* the file systems of the hosts; only if agent_check_freeze says so */
};

/* Whether the agent knows of freezes: one that does not would take the snapshots without. */
int agent_check_freeze(const struct agent *agent, const struct agent_info *info, struct err *err);

/*
 * Takes all or none; ret gets one of each member, in their order. ERR_ALREADY_EXISTS: one of them
 * is there and was taken of another volume, with another group, or without the freeze that is asked
 * for; ERR_NOT_FOUND: a volume is not. With freeze also ERR_FAILED_PRECONDITION: a host does not
 * attend; ERR_ABORTED: try again.
 */
int agent_snapshots_create(struct agent *agent, const struct agent_snapshot_spec *spec,
			   struct deadline deadline, struct agent_snapshot *ret, struct err *err);

/*
 * Success when nothing of the snapshot is there. With the UUID of a group ("": any, or none) one
 * that is not of it is ERR_INVALID_ARGUMENT.
 */
int agent_snapshot_delete(struct agent *agent, const struct volume_id *id, const char *group,
			  struct deadline deadline, struct err *err);

#endif
