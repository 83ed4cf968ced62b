/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of nodes that attend: who is there, orders to them and what they report. Through
 * it a target has the file systems of its hosts frozen while it takes snapshots.
 *
 * A freeze is bounded on the node, whatever becomes of us: ATTENDANCE_FREEZE_MS after the order has
 * come it is over. We wait for less than that, so that there is time left for the snapshots.
 */
#ifndef CSI_AGENT_ATTENDANCE_H
#define CSI_AGENT_ATTENDANCE_H

#include "csi/rpc/service.h"
#include "nvme/base/cleanup.h"
#include "nvme/target/target.h"

#define ATTENDANCE_CLIENT_NAME "nvmeot-node" /* in a node's certificate */
#define ATTENDANCE_MAX 1024		     /* hosts at once; each holds a thread of its own */
#define ATTENDANCE_FREEZE_MS 10000
#define ATTENDANCE_WAIT_MS 8000 /* until all are frozen: the caller has turns of its pools */
#define ATTENDANCE_COME_MS 3000 /* of that, for a host that is just coming again */

struct attendance;

/* Has the target take its freezes from here: it is borrowed, and must outlive the attendance. */
struct attendance *attendance_new(struct target *target);

/* No call may be running. */
void attendance_free(struct attendance *attendance);
DEFINE_CLEANUP(struct attendance *, attendance_free)
#define cleanup_attendance CLEANUP(attendance_freep)

/* Ends all streams with UNAVAILABLE, and every one that begins from now on. Never blocks. */
void attendance_end(struct attendance *attendance);

/* nvmeot.target.v1.Attendance. The attendance is borrowed and must outlive the server. */
struct rpc_service attendance_service(struct attendance *attendance);

#endif
