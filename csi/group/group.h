/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CSI GroupController service: snapshots of several volumes of one target, taken at one moment
 * by its agent. Stateless, as the Controller service is.
 */
#ifndef CSI_GROUP_GROUP_H
#define CSI_GROUP_GROUP_H

#include "csi/controller/controller.h"

/* The method table over controller, which is borrowed. */
struct rpc_service group_service(struct controller *controller);

#endif
