/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages over the volumes, or the snapshots, of all targets: the targets in the order of the
 * configuration, what each has in the order of the UUIDs. A token is the ID of the last that the
 * page before looked at, so what comes and goes between two pages neither shifts nor doubles the
 * others. A target that cannot be asked makes a page fail: what it has would look as if it were
 * gone. So does one whose list does not go on: it would be asked for ever.
 */
#ifndef CSI_CONTROLLER_PAGES_H
#define CSI_CONTROLLER_PAGES_H

#include "csi/agent/snapshots.h"
#include "csi/controller/controller.h"

struct pages_query {
	int32_t max_entries; /* 0: as many as fit well into one answer, which is the most anyway */
	const char *starting_token;
	bool conditions; /* have the health of each volume looked at, too */
	bool topology;	 /* ask from where each target can be reached, too */
	/*
	 * The entry that shows a volume, in the call's arena; NULL: none is to. Both arguments are
	 * borrowed for the call; topology is empty if it was not asked for.
	 */
	ProtobufCMessage *(*make)(struct rpc_call *call, const struct agent_volume *volume,
				  struct map topology);
	/* Instead of it: the same for snapshots, which then are what is walked over. */
	ProtobufCMessage *(*make_snapshot)(struct rpc_call *call,
					   const struct agent_snapshot *snapshot,
					   struct map topology);
	const struct volume_id *of_volume; /* of snapshots, only those of it; NULL: of any */
};

/* In the call's arena. */
struct page {
	void *entries; /* what query->make made: an array of pointers */
	size_t count;
	char *next_token; /* where the next page goes on, also if this one is empty; "": nowhere */
};

/* What pages_walk checks first: ERR_INVALID_ARGUMENT: max_entries; ERR_ABORTED: starting_token. */
int pages_check(const struct controller *controller, const struct pages_query *query,
		struct err *err);

/*
 * Looks at volumes until there are max_entries entries, the entries fill an answer, as many volumes
 * have had their health looked at as one call should take, or there are no more volumes.
 * ERR_INVALID_ARGUMENT: max_entries; ERR_ABORTED: starting_token; ERR_INTERNAL: an agent's list
 * does not go on.
 */
int pages_walk(struct rpc_call *call, const struct pages_query *query, struct page *ret,
	       struct err *err);

#endif
