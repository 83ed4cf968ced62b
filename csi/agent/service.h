/* SPDX-License-Identifier: Apache-2.0 */
/* The agent protocol nvmeot.target.v1, served from a target: translation, and nothing else. */
#ifndef CSI_AGENT_SERVICE_H
#define CSI_AGENT_SERVICE_H

#include "csi/rpc/service.h"
#include "nvme/target/target.h"

/* target is borrowed and must outlive the server. */
struct rpc_service agent_service(struct target *target);

#endif
