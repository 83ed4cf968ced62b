/* SPDX-License-Identifier: Apache-2.0 */
/* Changing volumes that exist: ControllerExpandVolume and ControllerModifyVolume. */
#ifndef CSI_CONTROLLER_CHANGE_H
#define CSI_CONTROLLER_CHANGE_H

#include "csi.pb-c.h"
#include "csi/controller/controller.h"
#include "csi/request/range.h"

/* A ControllerExpandVolume request, checked. Strings are borrowed from the request. */
struct expand_spec {
	const char *volume_id;
	struct range range;
	bool raw_block; /* known to be one: there is no file system to grow on the node */
};

/* Checks the request; pure. */
int expand_spec_parse(const Csi__V1__ControllerExpandVolumeRequest *request,
		      struct expand_spec *ret, struct err *err);

/*
 * The size that a volume of this one has to get; one that is large enough keeps its own.
 * ERR_OUT_OF_RANGE when it would have to shrink, or no multiple of the block size is in range. Pure.
 */
int expand_spec_size(const struct expand_spec *spec, uint64_t present_bytes, uint64_t *ret,
		     struct err *err);

/* Handlers, as struct rpc_method wants them. */
int change_expand(struct rpc_call *call, const void *request, void *response, struct err *err);
int change_modify(struct rpc_call *call, const void *request, void *response, struct err *err);

#endif
