/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating: what is asked for, and whether a volume that is there already is the one.
 *
 * One name should never get two volumes, but a controller keeps no state, and a target that cannot
 * be asked, because nothing comes back or it does not let us in, must not stop creation elsewhere.
 * So there is one hole: a creation was sent to target A, no answer came, and A cannot be asked when
 * the call is made again: then target B gets a volume of that name. A target that answers, if only
 * that its pool hangs, is no such target: the call fails with what it says, and a creation that was
 * begun there is finished there. The hole is as small as it can be made: an agent does not begin
 * what its caller no longer waits for, a slow target is waited for before it is passed over, and
 * placement chooses the same target again as long as it answers. What is left of it is a blank
 * volume on A that no CO knows of: no call ever answered with its ID. When A is back and the name
 * is asked for again, the one that is exported or has data is taken; two such are an error.
 */
#ifndef CSI_CONTROLLER_VOLUMES_H
#define CSI_CONTROLLER_VOLUMES_H

#include "csi/controller/controller.h"
#include "csi/controller/source.h"
#include "csi/request/access.h"
#include "csi/request/parameters.h"
#include "csi/request/range.h"

/* A CreateVolume request, checked. Strings and messages are borrowed from the request. */
struct create_spec {
	const char *name;
	struct uuid uuid;
	struct access access;
	struct range range;
	uint64_t size_bytes; /* what to create when there is none yet */
	struct parameters parameters;
	struct map parameter_map;
	struct map mutable_map;
	const Csi__V1__TopologyRequirement *topology; /* NULL: anywhere */
	struct create_source source;
};

/* Checks the request; pure. */
int create_spec_parse(const Csi__V1__CreateVolumeRequest *request, struct create_spec *ret,
		      struct err *err);

/*
 * Finds the volume on a target that answers, or creates it where placement.h says; with a source,
 * where that is, and no smaller: ERR_NOT_FOUND when there is none, ERR_OUT_OF_RANGE when less is
 * asked for, ERR_INVALID_ARGUMENT or ERR_RESOURCE_EXHAUSTED when the parameters or the topology
 * want it elsewhere. A creation that was begun is brought to its end, or taken back, by its target
 * first, also when its source is gone or has grown. A target that cannot be asked is passed over;
 * only when nothing else is left does it make the call fail. ret_info is of the target that has the
 * volume.
 */
int volumes_ensure(const struct controller *controller, const struct create_spec *spec,
		   struct deadline deadline, struct agent_volume *ret, struct agent_info *ret_info,
		   struct err *err);

/* The handler, as struct rpc_method wants it. */
int volumes_create(struct rpc_call *call, const void *request, void *response, struct err *err);

#endif
