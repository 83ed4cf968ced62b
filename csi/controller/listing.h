/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing: ListVolumes and GetCapacity. All from the targets, nothing is kept.
 * A list goes over the targets in the order of the configuration and over the volumes of each in
 * the order of their UUIDs; a token is the volume ID that the page before ended with, so volumes
 * that come and go between two pages neither shift nor double the others.
 */
#ifndef CSI_CONTROLLER_LISTING_H
#define CSI_CONTROLLER_LISTING_H

#include "csi/controller/controller.h"

/* Handlers, as struct rpc_method wants them. */
int listing_list_volumes(struct rpc_call *call, const void *request, void *response,
			 struct err *err);
int listing_get_capacity(struct rpc_call *call, const void *request, void *response,
			 struct err *err);

#endif
