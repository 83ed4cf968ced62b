/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating and deleting: where a volume goes, and whether one that is there already is the one that
 * is asked for.
 */
#ifndef CSI_CONTROLLER_VOLUMES_H
#define CSI_CONTROLLER_VOLUMES_H

#include "csi/controller/controller.h"
#include "csi/request/access.h"
#include "csi/request/parameters.h"
#include "csi/request/range.h"

/* A CreateVolume request, checked. Strings are borrowed from the request. */
struct create_spec {
	const char *name;
	struct uuid uuid;
	struct access access;
	struct range range;
	uint64_t size_bytes; /* what to create when there is none yet */
	struct parameters parameters;
	struct map parameter_map;
};

/* Checks the request; pure. */
int create_spec_parse(const Csi__V1__CreateVolumeRequest *request, struct create_spec *ret,
		      struct err *err);

/*
 * Finds the volume on a reachable target or creates it on the one with the most room. An
 * unreachable target is passed over; only when nothing else is left does it make the call fail.
 */
int volumes_ensure(const struct controller *controller, const struct create_spec *spec,
		   struct deadline deadline, struct volume_id *ret_id, struct agent_volume *ret,
		   struct err *err);

#endif
