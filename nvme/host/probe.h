/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP probe of a portal. The kernel connects one controller at a time and waits seconds for a
 * dead portal while all other volumes queue behind it, so a portal is tried here first.
 */
#ifndef NVME_HOST_PROBE_H
#define NVME_HOST_PROBE_H

#include "nvme/base/clock.h"
#include "nvme/base/portal.h"

/*
 * Whether something accepts TCP connections at the portal. Blocks until it answers, at the longest
 * until the deadline. ERR_UNAVAILABLE: "refused", "no answer", or what the network said.
 */
int host_probe(const struct portal *portal, struct deadline deadline, struct err *err);

#endif
