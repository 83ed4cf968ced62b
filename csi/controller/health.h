/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health: ControllerGetVolumeHealth and ControllerListVolumeHealth, from what the targets see of
 * records, backings and exports. The list holds only volumes that something is wrong with; as any
 * list it fails when a target cannot be asked, because its volumes would pass for healthy. Of one
 * volume that is an answer: INACCESSIBLE.
 */
#ifndef CSI_CONTROLLER_HEALTH_H
#define CSI_CONTROLLER_HEALTH_H

#include "csi/controller/controller.h"

/* Handlers, as struct rpc_method wants them. */
int health_get(struct rpc_call *call, const void *request, void *response, struct err *err);
int health_list(struct rpc_call *call, const void *request, void *response, struct err *err);

#endif
