/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GetCapacity: the room on the targets that answer and that the parameters and the topology allow.
 * One that does not answer counts as full: a volume can be created on the others, whatever it has.
 */
#ifndef CSI_CONTROLLER_CAPACITY_H
#define CSI_CONTROLLER_CAPACITY_H

#include "csi/controller/controller.h"

/* The handler, as struct rpc_method wants it. */
int capacity_get(struct rpc_call *call, const void *request, void *response, struct err *err);

#endif
