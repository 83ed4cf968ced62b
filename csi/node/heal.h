/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts of a volume that cannot be used any more, because their device went away or an error
 * stopped the file system. They are of no use to anybody and in the way of a new mount.
 */
#ifndef CSI_NODE_HEAL_H
#define CSI_NODE_HEAL_H

#include "csi/node/device.h"

#define HEAL_REASON_SIZE 256

/*
 * Whether a mount is dead, and why: its device is gone; its superblock went read-only or was
 * stopped, below a mount that is read-write; it answers EIO, also to the sync that an ext4 with
 * recorded errors is asked for. The last is asked of the file system, which may hang as its device
 * does.
 */
bool heal_is_dead(const struct node *node, const struct mount_entry *entry,
		  char ret_reason[HEAL_REASON_SIZE]);

/*
 * Takes dead mounts at the volume's own places away, its private mount and its staging bind, so
 * that it can be mounted anew from ns. None there: nothing is done. ERR_FAILED_PRECONDITION: a pod
 * has the mount, too (it is named, and nothing is touched), or something unseen keeps the
 * superblock, which a new mount would get.
 */
int heal_dead_mounts(const struct node *node, const struct node_record *record,
		     const struct host_namespace *ns, struct err *err);

#endif
