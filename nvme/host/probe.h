/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A probe of portals. The kernel connects one controller at a time, and a portal that drops SYNs or
 * that accepts and then says nothing holds it for 3 to 10 s while all other volumes queue behind.
 * So each portal has to answer the first exchange of the protocol here before the kernel gets it:
 * ICReq and ICResp, NVMe/TCP Transport 1.0, section 3.6.2. Nothing is held meanwhile.
 */
#ifndef NVME_HOST_PROBE_H
#define NVME_HOST_PROBE_H

#include <stdbool.h>

#include "nvme/base/clock.h"
#include "nvme/base/portal.h"

/* What became of one portal. */
struct host_probe {
	const struct portal *portal; /* borrowed; set by the caller, like nothing else */
	bool good;		     /* an NVMe/TCP target answers there */
	/* Else ERR_UNAVAILABLE, whose sys is ECONNREFUSED, ETIMEDOUT, EPROTO, … */
	struct err err;
};

/*
 * Probes all of them at once. Blocks until each has answered or failed, at the longest until the
 * deadline; once one is good, the others get only grace_ms more. Returns how many are good.
 */
size_t host_probe(struct host_probe *probes, size_t count, struct deadline deadline,
		  uint64_t grace_ms);

#endif
