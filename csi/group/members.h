/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshots of a group, as its target has them: the group is nothing but them. It is there when
 * the first of them is, and gone with the last.
 */
#ifndef CSI_GROUP_MEMBERS_H
#define CSI_GROUP_MEMBERS_H

#include "csi/agent/snapshots.h"
#include "csi/controller/controller.h"

struct members {
	struct agent_snapshot *list; /* in the order of their UUIDs */
	size_t count, room;
};

void members_fini(struct members *members);
#define cleanup_members CLEANUP(members_fini)

/* All that one target has; none is no error. ERR_INTERNAL: the agent's list does not go on. */
int members_find(struct agent *target, const struct uuid *group, struct deadline deadline,
		 struct members *ret, struct err *err);

/*
 * Whether a target other than home has any, which ret_other then is: 1; 0: none of those that
 * answer. Asks all at once; never fails.
 */
int members_elsewhere(const struct controller *controller, const struct agent *home,
		      const struct uuid *group, struct deadline deadline, struct agent **ret_other);

/* The one of that volume, or of that UUID; NULL: none is. */
const struct agent_snapshot *members_of_volume(const struct members *members,
					       const struct uuid *volume);
const struct agent_snapshot *members_of_uuid(const struct members *members,
					     const struct uuid *uuid);

#endif
