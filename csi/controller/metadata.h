/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CSI SnapshotMetadata service: which ranges of a snapshot have data, and which may differ from
 * an older snapshot of the same volume. What the target tells is passed on as it comes: ranges of
 * any length, whole blocks of 4096 bytes, in order. Nothing of a stream is kept, so it takes the
 * same memory for a volume of any size; one that breaks off goes on with the offset behind the
 * last range, at any controller.
 */
#ifndef CSI_CONTROLLER_METADATA_H
#define CSI_CONTROLLER_METADATA_H

#include "csi/controller/controller.h"

/* The method table over controller. */
struct rpc_service metadata_service(struct controller *controller);

#endif
