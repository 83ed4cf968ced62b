/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a namespace that its target has grown. */
#ifndef NVME_HOST_SIZE_H
#define NVME_HOST_SIZE_H

#include "nvme/base/clock.h"
#include "nvme/host/host.h"
#include "nvme/host/namespace.h"

/*
 * Waits until the kernel shows the namespace (as in host_namespace_find) with at least
 * required_bytes. A target tells its hosts of a new size by an asynchronous event, which makes the
 * kernel scan; where that did not happen the kernel is asked to scan, once, at the first look. It
 * scans by itself when a lost controller comes back, and announces every new size by a uevent.
 *
 * Blocks until the deadline. ERR_DEADLINE_EXCEEDED: it is smaller; the message has both sizes and
 * the controllers. ERR_UNAVAILABLE: the same, but no controller of ours is live, so that nothing
 * can be learnt. ERR_NOT_FOUND: there is no such namespace, or it went away.
 */
int host_wait_size(const struct host *host, const char *nqn, const struct uuid *uuid, unsigned nsid,
		   uint64_t required_bytes, struct deadline deadline, struct host_namespace *ret,
		   struct err *err);

#endif
