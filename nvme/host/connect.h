/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting a subsystem, waiting for its namespace, disconnecting it. All three are idempotent,
 * match controllers by subsystem NQN, host NQN and portal, and answer success only for what sysfs
 * shows. They block and belong on a worker thread; callers run one of them per subsystem at a time.
 */
#ifndef NVME_HOST_CONNECT_H
#define NVME_HOST_CONNECT_H

#include "nvme/host/controller.h"
#include "nvme/host/fabrics.h"
#include "nvme/host/host.h"
#include "nvme/host/namespace.h"

/* What became of the portals. */
struct host_connect_outcome {
	size_t missing;	 /* portals that should have a controller and have none */
	size_t rejected; /* those among them whose target answered, and does not let this host in */
	char reasons[ERR_MESSAGE_SIZE /
		     2]; /* of each that is missing: "tcp://…: …; …", may be cut */
};

/*
 * Connects every portal of the subsystem that is not connected yet; without native multipath, one
 * portal is enough and more would be harm. Success: at least one portal has a controller, live or
 * reconnecting; ret tells about the others. ERR_UNAVAILABLE: none has, with each portal's
 * reason. ERR_FAILED_PRECONDITION: a controller of another identity is in the way. ret is set in
 * any case.
 * With keys among the options every controller of the subsystem holds them on success
 * (host_dhchap_ensure and its errors; ERR_UNAUTHENTICATED: the target does not take them). Once a
 * new session has proved them they are given, if options->renew says so, to the sessions of other
 * subsystems at these portals, too, if those hold others and their NQNs differ after the last colon
 * only: such a target has the same keys for all of them.
 * Without keys ERR_UNAUTHENTICATED, too: a controller of the subsystem holds some. No portal is
 * tried. The portals are probed first, all at once: 2 s at most, and 0.3 s once one has answered or
 * where one is connected; a later one is missing. Then each that answered takes what
 * host_fabrics_connect does.
 */
int host_connect(const struct host *host, const char *nqn, const struct portal *portals,
		 size_t count, const struct host_connect_options *options, struct deadline deadline,
		 struct host_connect_outcome *ret, struct err *err);

/*
 * How many portals host_connect would have to connect, going by `controllers`, which are ours, of
 * this and of other subsystems: those that have none or, without native multipath, 1 if none has.
 * Does not block.
 */
size_t host_connect_missing(const struct host *host, const char *nqn,
			    const struct host_controllers *controllers,
			    const struct portal *portals, size_t count);

/*
 * How many of the portals that are not connected answer a probe now, so that host_connect would get
 * further. Changes nothing; blocks as long as the probes of host_connect do. -1: error.
 */
int host_connect_probe(const struct host *host, const char *nqn, const struct portal *portals,
		       size_t count, struct err *err);

/*
 * Waits until the namespace (as in host_namespace_find) can be used: a controller of ours is live,
 * the device has a size and its node is in /dev. ERR_UNAVAILABLE: no controller is live by the
 * deadline, or none is left. ERR_DEADLINE_EXCEEDED: one is, but the namespace is not there; the
 * message has the controllers and the namespaces seen. ERR_FAILED_PRECONDITION: its device node is
 * not there by the deadline (host_device_check), or several devices match.
 */
int host_wait_namespace(const struct host *host, const char *nqn, const struct uuid *uuid,
			unsigned nsid, struct deadline deadline, struct host_namespace *ret,
			struct err *err);

/*
 * Deletes all controllers of the subsystem that are connected as this host, whoever connected them,
 * and verifies that they are gone. None there: success. The file system must be unmounted: the
 * kernel does not refuse, and loses what is dirty. The kernel's deletion (0.1 s, longer with I/O
 * in flight) is not bounded by the deadline, waiting for its end is: ERR_DEADLINE_EXCEEDED.
 */
int host_disconnect(const struct host *host, const char *nqn, struct deadline deadline,
		    struct err *err);

#endif
