/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes sure that sessions that were cut are gone, with all that they had handed over. nvmet says
 * nothing of its controllers (its debugfs is not in Debian's kernels), but each queue is one TCP
 * connection, and the kernel tells of those (NETLINK_SOCK_DIAG, modules tcp_diag and inet_diag).
 * What it rests on, in drivers/nvme/target/tcp.c of Linux 6.1 to 7.2:
 *   - removing a subsystem's link at a port shuts the sockets of its controllers there down before
 *     unlink(2) returns (nvmet_tcp_delete_ctrl): nothing that comes later is received;
 *   - what had been received still runs. The socket is released only after the queue's last command
 *     has completed (nvmet_tcp_release_queue_work: nvmet_sq_destroy, then the socket); until then
 *     it has an inode. So a connection that is gone, or has none, has no I/O left;
 *   - a Connect that is being executed has passed the ACL as it was, and makes a controller that
 *     a cut in this moment may miss. It can be seen by the bytes that were received and sent.
 * While I/O keeps a controller that was cut, its host, and be it removed from the ACL, gets further
 * I/O queues of it: the kernel looks at the ACL only when a controller is made
 * (drivers/nvme/target/core.c: nvmet_ctrl_find_get for a Connect to an I/O queue,
 * nvmet_alloc_ctrl for one to an admin queue). Such a queue the cut has missed. So only what is
 * gone while the guard is still up has ended for good; what takes longer has to be cut again.
 * A host that is half-way through connecting asks for its I/O queues in the name of a controller
 * that was cut, too: once that is gone it would be refused for good. Nothing tells whose a
 * connection is, and a host may have several addresses. So if anything was cut, all connections
 * that had not been answered a Connect when the drain began, or have not been since, are aborted
 * with a reset (SOCK_DESTROY, CONFIG_INET_DIAG_DESTROY) and waited for as what was cut; and if a
 * session was cut in its first steps the guard stays until its host has been silent for 250 ms, and
 * refuses what it opens. Either makes it begin anew. Who sends the beginning of a Connect and no
 * more is aborted, too, after 2 s: no fence waits for it longer.
 * The order: begin, cut, end, try, all with the guard up. If that has not seen the end: wait,
 * without the guard, then all of it again with the same drain. try and wait block on the kernel's
 * events of sockets that end, and for peers that are silent, whose sockets outlive their queue
 * without an event, by looking again. A drain that has failed still knows what it has not seen the
 * end of: begin, or wait, again with the same one. A new one would not see it any more, because the
 * kernel does not list a connection that both ends have closed, whatever nvmet still does.
 */
#ifndef NVME_TARGET_NVMET_DRAIN_H
#define NVME_TARGET_NVMET_DRAIN_H

#include "nvme/target/nvmet_diag.h"

#define NVMET_DRAIN_OTHERS_MS 5000

struct nvmet_drain {
	int request;
	int events;
	struct portal *portals;
	size_t portal_count;
	struct nvmet_connections connections; /* at the beginning all, then those that end; sorted */
	bool lost; /* events: what is neither listed nor told of may be gone or not */
};

#define NVMET_DRAIN_INIT ((struct nvmet_drain) { .request = -1, .events = -1 })

/*
 * Notes all connections to the portals, once no Connect is being executed: one that takes more than
 * 2 s is aborted. What an earlier wait has not seen the end of stays noted, also on failure.
 * ERR_FAILED_PRECONDITION: the kernel does not tell of its sockets. ERR_UNAVAILABLE: a Connect
 * could not be aborted.
 */
int nvmet_drain_begin(struct nvmet_drain *drain, const struct portal *portals, size_t portal_count,
		      struct err *err);

/*
 * After the cut, complete or not: forgets those that live on, and sees to hosts that are half-way.
 * Up to 250 ms.
 */
int nvmet_drain_end(struct nvmet_drain *drain, struct err *err);

/*
 * Waits until the rest is gone, but for what nvmet_drain_wait gave up, and limit_ms at most. 1: it
 * is gone; 0: not all of it.
 */
int nvmet_drain_try(struct nvmet_drain *drain, uint64_t limit_ms, struct err *err);

/*
 * Waits until the rest is gone: for those that were cut however long their I/O takes; for those
 * that were ending by themselves before, which may be another volume's, NVMET_DRAIN_OTHERS_MS;
 * then it gives them up.
 * ERR_UNAVAILABLE: events of the kernel were lost, and so it is not known of some whether they are
 * gone; from then on it waits NVMET_DRAIN_OTHERS_MS at a time.
 */
int nvmet_drain_wait(struct nvmet_drain *drain, struct err *err);

/* Whether there is something that it has not seen the end of. */
bool nvmet_drain_pending(const struct nvmet_drain *drain);

void nvmet_drain_fini(struct nvmet_drain *drain);
#define cleanup_nvmet_drain CLEANUP(nvmet_drain_fini)

#endif
