/* SPDX-License-Identifier: Apache-2.0 */
/* Showing volumes: ListVolumes and ControllerGetVolume. All from the targets, nothing is kept. */
#ifndef CSI_CONTROLLER_LISTING_H
#define CSI_CONTROLLER_LISTING_H

#include "csi/controller/controller.h"

/* Handlers, as struct rpc_method wants them. */
int listing_list_volumes(struct rpc_call *call, const void *request, void *response,
			 struct err *err);
int listing_get_volume(struct rpc_call *call, const void *request, void *response, struct err *err);

#endif
