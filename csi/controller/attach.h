/* SPDX-License-Identifier: Apache-2.0 */
/* Letting nodes in and shutting them out: ControllerPublishVolume, ControllerUnpublishVolume. */
#ifndef CSI_CONTROLLER_ATTACH_H
#define CSI_CONTROLLER_ATTACH_H

#include "csi/controller/controller.h"

/* Handlers, as struct rpc_method wants them. */
int attach_publish(struct rpc_call *call, const void *request, void *response, struct err *err);
int attach_unpublish(struct rpc_call *call, const void *request, void *response, struct err *err);

#endif
