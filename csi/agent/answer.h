/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What agents answer, checked and taken apart. An answer that does not fit our types, or is not
 * about what was asked for, is the agent's fault: ERR_INTERNAL, with the target named.
 */
#ifndef CSI_AGENT_ANSWER_H
#define CSI_AGENT_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "csi/request/ids.h"
#include "csi/request/map.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/portal.h"
#include "nvme/target/volume.h"
#include "target.pb-c.h"

/* Something that is wrong with a volume. */
struct agent_condition {
	enum volume_condition_status status;
	const char *reason; /* CamelCase */
	const char *message;
};

/* What a volume is a copy of; both are "": of nothing, it began blank. */
struct agent_source {
	struct uuid snapshot;
	struct uuid volume;
};

/* What the controller needs to know of a volume. Maps, hosts and conditions lie in memory of its
 * own. */
struct agent_volume {
	struct volume_id id;
	uint64_t size_bytes;
	bool volatile_cache;
	bool blank;
	bool readonly; /* it has exports, and they are read-only */
	struct agent_source source;
	char nqn[NQN_SIZE];
	char portals[PORTAL_MAX * PORTAL_TEXT_SIZE]; /* comma separated, as the node takes them */
	struct map parameters;			     /* as created */
	struct map mutables;			     /* as last modified; these win */
	const char **hosts;			     /* that it is exported to */
	size_t host_count;
	struct agent_condition *conditions; /* only when they were asked for */
	size_t condition_count;
	ProtobufCMessage *answer; /* what the above points into; NULL: it is borrowed */
};

void agent_volume_fini(struct agent_volume *volume);
#define cleanup_agent_volume CLEANUP(agent_volume_fini)

/*
 * uuid: the one asked for; NULL: any. message is what wire lies in: taken over by ret on success;
 * NULL: wire must outlive ret.
 */
int agent_volume_take(const char *target, const Nvmeot__Target__V1__Volume *wire,
		      const struct uuid *uuid, ProtobufCMessage *message, struct agent_volume *ret,
		      struct err *err);

/* A target as a whole: where it can be reached from, and what room it has. */
struct agent_info {
	struct map topology; /* empty: from everywhere */
	const Nvmeot__Target__V1__GetInfoResponse *answer;
};

void agent_info_fini(struct agent_info *info);
#define cleanup_agent_info CLEANUP(agent_info_fini)

/* Room for new volumes, in one pool or in all. */
struct agent_room {
	uint64_t available_bytes; /* for all of them together */
	uint64_t maximum_bytes;	  /* for the largest */
};

/* The room in all pools, or in the one of that name if pool is not empty. False: there is none. */
bool agent_info_room(const struct agent_info *info, const char *pool, struct agent_room *ret);

#endif
