/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freezing the file system of a volume for the moment of a snapshot, by order of its target. A
 * freeze is a job of the volume, so that nothing else is done with it meanwhile: what is not
 * mounted for writing is not mounted before the thaw, either. The thaw of what is frozen is a
 * guard's (csi/volume/guard.h), which outlives this process. Before the guard begins, a mark says
 * so durably, `frozen/<key>` below the state directory: should both be killed, the next start thaws
 * what has a mark, before anything else.
 *
 * | what ends        | who thaws, and when                                       |
 * |------------------|-----------------------------------------------------------|
 * | the snapshot     | the guard, by the target's order                          |
 * | the target, or the way to it | the guard, at once: its stream of orders is lost |
 * | this process     | the guard, at once: its channel ends                      |
 * | the guard        | this process, at once                                     |
 * | both             | the next start of this process                            |
 * | nothing: one of them is stopped | the other one, when the time of the order is over |
 */
#ifndef CSI_NODE_FREEZE_H
#define CSI_NODE_FREEZE_H

#include "csi/agent/attend.h"
#include "csi/node/node.h"

/* The freezes that one target has ordered. */
struct freezes;

/* Both are borrowed, and must outlive the freezes. */
struct freezes *freezes_new(struct node *node, struct agent *agent);

/* No job may be running. */
void freezes_free(struct freezes *freezes);

/*
 * Begins what is ordered; all that becomes of it is reported to the target by others, or, when it
 * does not begin, before this returns. Blocks for a report, at most a few seconds.
 */
void freezes_begin(struct freezes *freezes, const struct agent_order *order);

/* Has one end, which is reported; one that is not there is fine. Never blocks. */
void freezes_thaw(struct freezes *freezes, const char *order_id);

/* Has all end: whoever ordered them is gone. Never blocks. */
void freezes_thaw_all(struct freezes *freezes);

/*
 * Thaws what has a mark, in jobs of the volumes, before anything else is done with them. What a
 * device keeps for longer than the deadline goes on, and holds its volume alone.
 */
void freezes_settle(struct node *node, struct deadline deadline);

#endif
