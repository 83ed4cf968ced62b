/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a volume is on this node: what a call that names a volume and a path means, for calls that
 * look at a volume or grow it and neither mount nor unmount. Answered by the volume's record, by
 * what is mounted at the path, which is not looked into, and by sysfs, so that it never hangs on a
 * device.
 */
#ifndef CSI_NODE_PLACE_H
#define CSI_NODE_PLACE_H

#include "csi/node/device.h"

/* Borrows from its own table: do not move it. */
struct place {
	struct node_record record;
	struct mount_table table;
	const struct mount_entry *entry; /* the mount at the path: of the file system or the node */
	bool block;
	bool gone; /* the device is; then ns is not filled */
	struct host_namespace ns;
};

#define cleanup_place CLEANUP(place_fini)

/*
 * Finds what of the volume is mounted at path: a target path, or a staging path; "" stands
 * for the path where it was staged. The device comes by the mount's number, so that the cost does
 * not grow with the volumes of the node.
 * ERR_NOT_FOUND: the volume has no record here and is none of ours, nothing is mounted at the path
 * (which may be no path at all: COs are told so in this way), or another thing than this volume is.
 */
int place_find(const struct node *node, const char *volume_id, const char *path, struct place *ret,
	       struct err *err);
void place_fini(struct place *place);

/* The one mount of the file system, at its private path; NULL: it is not there. Borrowed. */
const struct mount_entry *place_private(const struct node *node, const struct place *place);

#endif
