/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CSI Identity service: who this plugin is, what it can do, and whether it can do it now.
 */
#ifndef CSI_IDENTITY_IDENTITY_H
#define CSI_IDENTITY_IDENTITY_H

#include "csi/rpc/service.h"

#define IDENTITY_CHECK_MAX 2

/*
 * One readiness check: 0 when this part of the plugin can work now, else -1 and err with the reason
 * in a sentence: ERR_FAILED_PRECONDITION when somebody has to change something, which is what Probe
 * answers then; any other code when it may pass, for which Probe is not ready. It may block until
 * the deadline, not longer.
 */
struct identity_check {
	int (*check)(void *context, struct deadline deadline, struct err *err);
	void *context;
};

/* Must outlive the server that serves it. */
struct identity {
	const char *driver_name;
	bool topology_aware; /* volumes are not reachable from every node; nodes say where they are */
	struct identity_check checks[IDENTITY_CHECK_MAX]; /* unused ones have no function */
};

/* The method table over identity. */
struct rpc_service identity_service(struct identity *identity);

#endif
