/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health as this node sees it. Everything is read from sysfs and mountinfo, but for one question to
 * a file system and one to the kernel's initiator, which are jobs that get 3 s at most. No entry:
 * nothing is known to be wrong. The reasons are in the README. A portal that was never connected
 * has no controller, and no entry.
 */
#ifndef CSI_NODE_HEALTH_H
#define CSI_NODE_HEALTH_H

#include "csi.pb-c.h"
#include "csi/node/node.h"
#include "nvme/host/path.h"

/*
 * What is wrong with a volume that has these paths: 1, with a status and a static reason, or 0.
 * Pure. A path that is closed beside one that is usable is what ANA is for, and nothing wrong.
 */
int health_of_paths(const struct host_path_list *paths, Csi__V1__VolumeHealthErrorType *ret_status,
		    const char **ret_reason);

/*
 * Handlers, as struct rpc_method wants them: NodeGetVolumeHealth and NodeGetStorageHealth.
 * ERR_NOT_FOUND: the volume is not at the path that is named, nor staged if none is.
 */
int health_of_volume(struct rpc_call *call, const void *request, void *response, struct err *err);
int health_of_storage(struct rpc_call *call, const void *request, void *response, struct err *err);

#endif
