/* SPDX-License-Identifier: Apache-2.0 */
/* How full a volume is. */
#ifndef CSI_NODE_STATS_H
#define CSI_NODE_STATS_H

#include "csi/node/node.h"

/*
 * Handles NodeGetVolumeStats, as struct rpc_method wants it: bytes and inodes of a file system, of
 * which a btrfs has no number; the size of a raw block volume.
 *
 * A file system is asked by a job of its own for each volume, beside the volume's other operations:
 * of a device that hangs all callers wait for the same one, each for 5 s at most, and are then told
 * ERR_DEADLINE_EXCEEDED. Not the last values instead: a CO that gets an error goes without values
 * until it asks again, and old ones would pass for new.
 * ERR_NOT_FOUND: the volume is not at the path. ERR_FAILED_PRECONDITION: its device is gone.
 */
int stats_get(struct rpc_call *call, const void *request, void *response, struct err *err);

#endif
