/* SPDX-License-Identifier: Apache-2.0 */
/* Expanding: a volume whose target has grown it gets its new size on this node, in use as it is. */
#ifndef CSI_NODE_EXPAND_H
#define CSI_NODE_EXPAND_H

#include "csi/node/device.h"
#include "csi/request/range.h"

/* A NodeExpandVolume request, checked. Its texts are borrowed from the request. */
struct expand_request {
	const char *volume_id;
	const char *volume_path;
	const char *staging_path; /* "": not given */
	struct range range;
	bool has_access;
	bool block, reader; /* of the access that is asked for, if any */
};

int expand_parse(const Csi__V1__NodeExpandVolumeRequest *request, struct expand_request *ret,
		 struct err *err);

/*
 * Handles NodeExpandVolume, as struct rpc_method wants it. Waits until the device has the required
 * size (host_wait_size), then makes the file system fill it; of a raw block volume only the device
 * counts. Without a range it is the size that the kernel knows. The answer has the device's size.
 * Repeated, it verifies.
 *
 * ERR_NOT_FOUND: the volume is at neither path. ERR_FAILED_PRECONDITION: nothing on this node may
 * write to it, it is not staged, or the file system cannot grow as it is. ERR_OUT_OF_RANGE: it is
 * larger than the limit. A size that does not come is ERR_DEADLINE_EXCEEDED, or ERR_UNAVAILABLE if
 * the target is not connected: never ERR_OUT_OF_RANGE, after which a CO gives the expansion up.
 * A job of the volume (node_run).
 */
int expand_volume(struct rpc_call *call, const void *request, void *response, struct err *err);

#endif
