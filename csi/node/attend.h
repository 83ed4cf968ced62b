/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attending targets: a node that was told where their agents are holds a stream of orders to each
 * of which it has a volume staged, and freezes file systems by them (freeze.h). A thread for each
 * such target, none for others. A stream that is lost takes its freezes along, and is opened again
 * after 0.5 s, 1 s, … 10 s; one that an agent refuses, or is too old for, after a minute.
 */
#ifndef CSI_NODE_ATTEND_H
#define CSI_NODE_ATTEND_H

#include "csi/agent/client.h"
#include "csi/node/node.h"

struct attend;

/* One without targets. */
struct attend *attend_new(struct node *node);

/* Takes the agent; before attend_start. ERR_INVALID_ARGUMENT: there is one of that name. */
int attend_add(struct attend *attend, struct agent *agent, struct err *err);

/* Looks at the records once: from here on it attends. */
void attend_start(struct attend *attend);

/*
 * Ends all streams and freezes, and begins none any more. Blocks for a report that is under way, at
 * most a few seconds; waits for no job. NULL is fine, and so is once more.
 */
void attend_stop(struct attend *attend);

/* After attend_stop. No job may be running. */
void attend_free(struct attend *attend);

/*
 * A volume has been staged, or unstaged: its record is there, or gone. NULL: nothing is to be
 * attended. The second reads the records of the node.
 */
void attend_staged(struct attend *attend, const char *volume_id);
void attend_unstaged(struct attend *attend, const char *volume_id);

#endif
