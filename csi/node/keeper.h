/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: a thread that keeps the connections of staged volumes complete. The kernel brings
 * back a connection by itself, until ctrl_loss_tmo is over or the target turns the host away; then
 * it removes the controller, and the volume has one path less for good. So has a volume one of
 * whose portals was down at its stage. The keeper connects such portals again, as the record says.
 *
 * It sleeps until the kernel announces that a controller is gone, or a stage tells that a portal is
 * missing. Only then it compares the records with sysfs, and only for portals that are missing
 * there is a timer. A portal that refuses TCP or does not answer is a target that restarts, or a
 * network that is away: it is probed again after 1 s, 2 s … 30 s. A target that answers and turns
 * the host away twice in a row has fenced it, or has lost the volume: that is logged once, and
 * asked again every 5 minutes. Once may be a target that went in the midst of a connect.
 *
 * It connects in a job that holds the subsystem, so never beside another one that connects or
 * disconnects it, and only as long as the namespace is in sysfs and on record. A namespace that is
 * gone cannot come back under its mounts: that is logged once, and is for the next stage or
 * publish. It never touches a mount, and never disconnects.
 */
#ifndef CSI_NODE_KEEPER_H
#define CSI_NODE_KEEPER_H

#include "csi/node/node.h"

/* Starts it; it looks at all records once. */
int keeper_start(struct node *node, struct err *err);

/*
 * Ends it, if it runs; waits for a probe, at most 2 s, but not for the kernel. No operation may be
 * running that could wake it.
 */
void keeper_stop(struct node *node);

/* A portal may be missing: have a look soon. NULL: nobody is there to look. Never blocks. */
void keeper_wake(struct keeper *keeper);

/* How many subsystems of staged volumes have portals missing, as of its last look. Never blocks. */
size_t keeper_wounded(struct keeper *keeper);

#endif
