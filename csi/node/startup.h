/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of a node: what an earlier process, or the time before a reboot, left is adopted,
 * finished or let go of before anything is served. Each decision is logged with its reason.
 *
 * | what is there                             | what is done                                    |
 * |-------------------------------------------|-------------------------------------------------|
 * | a mark of a freeze                        | its file system is thawed, before all else      |
 * | a record, and a mount of its namespace    | adopted: nothing                                |
 * | a record, and no mount                    | a stage or unstage that was cut short, or a     |
 * |                                           | reboot: it is let go of as by an unstage        |
 * | a private mount, and no record            | left: the mount tells an unstage what it is     |
 * | controllers of one of our volumes, as our | disconnected if no namespace of theirs is       |
 * | host, and neither record nor mount        | mounted or held                                 |
 *
 * Nothing else is touched: subsystems of other NQNs without a record, other host NQNs, other
 * mounts. A device that somebody holds (a mount elsewhere, a mkfs that still runs) is left, too.
 */
#ifndef CSI_NODE_STARTUP_H
#define CSI_NODE_STARTUP_H

#include "csi/node/node.h"

/*
 * Does it, in jobs of the volumes; what fails is logged and left for the CO's own calls. What a
 * device keeps for longer than the deadline goes on, and holds its volume alone.
 */
void startup_reconcile(struct node *node, struct deadline deadline);

/*
 * Warns in the log of what would otherwise show when a pod starts or a volume is staged: mounts
 * below kubelet_dir (NULL: not known) that nobody but this process would see, and programs that
 * are missing.
 */
void startup_warn(const char *kubelet_dir);

#endif
