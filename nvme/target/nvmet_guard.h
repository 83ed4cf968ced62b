/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps everybody from our portals while they would show less than all that is exported: an
 * initiator that meets a listening port without its subsystem is told so, and since Linux 6.12 it
 * then removes its controller for good, whatever ctrl_loss_tmo says.
 *
 * The means is a table of our own in nftables, `inet nvmeot_guard`, whose one input chain takes,
 * for exactly the portals' addresses and ports,
 *   - SYN, which it answers with a reset: who wants to connect meets ECONNREFUSED, as without a
 *     listener, and tries again after its reconnect delay; and
 *   - the fabrics command Connect (NVMe over Fabrics 1.1, 3.3; NVMe/TCP: PDU type 4, opcode 7Fh,
 *     type 01h at bytes 0, 8 and 12) of connections that were opened before, which it drops: TCP
 *     sends it again some 200 ms later. It is not seen within TLS.
 * Everything else passes: sessions that live go on. Dropping SYN, too, would be as safe for who has
 * nothing yet, and quicker; but a host that is fenced half-way through connecting would try again
 * with the queues of a controller that is gone.
 * One transaction puts the table there or takes it away; no other table is named, let alone changed.
 *
 * Whatever becomes of this process, the guard is lifted: its portals are elements of sets with a
 * timeout, which the kernel ends after NVMET_GUARD_SECONDS. A table that a killed process left is
 * replaced or removed at the next start; by hand: nft delete table inet nvmeot_guard.
 *
 * When nftables cannot be used (no nf_tables or nft_reject_inet in the kernel, no nft program, no
 * CAP_NET_ADMIN) an error is logged that says what is at risk, and the caller goes on: to serve
 * most is better than to serve none.
 * The table works in this process's network namespace; nvmet listens in that of the process that
 * linked the first subsystem to a port. Where that was another, nothing is guarded.
 *
 * Not thread-safe: struct nvmet's lock is held around all of it.
 */
#ifndef NVME_TARGET_NVMET_GUARD_H
#define NVME_TARGET_NVMET_GUARD_H

#include <stdbool.h>

#include "nvme/base/portal.h"

#define NVMET_GUARD_TABLE "nvmeot_guard"
#define NVMET_GUARD_SECONDS 30 /* 10,000 links at 4 portals take 2 s in an emulated machine */

struct nvmet_guard {
	/* Executes nft commands in one transaction; NULL: there is nothing to guard. */
	int (*run)(const char *commands, struct err *err);
	bool up;
	bool settled; /* no table of an earlier process is there */
};

/* Loads nothing and changes nothing yet. live: there is a kernel behind it; false: do nothing. */
void nvmet_guard_init(struct nvmet_guard *guard, bool live);

/* Nobody gets a new session at these portals when it returns. A failure is logged. */
void nvmet_guard_up(struct nvmet_guard *guard, const struct portal *portals, size_t count);

/* Lifts it. A failure is logged; it is tried again by the next call, and it ends by itself. */
void nvmet_guard_down(struct nvmet_guard *guard);

/*
 * Removes what an earlier process left, unless that is sure to be gone. To be called once all is
 * linked that can be: until then what it left does its work.
 */
void nvmet_guard_settle(struct nvmet_guard *guard);

#endif
