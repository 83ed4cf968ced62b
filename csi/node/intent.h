/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intent to format: written durably before a mkfs begins and removed after what it made is
 * durable, `formatting/<key>` below the state directory, whose text is the type of the file system.
 * So one that is there says that a mkfs of this node for this very namespace began and is not known
 * to have finished. It belongs to what is on the device, not to the stage: taking a stage back and
 * an unstage leave it, so that the next stage on this node can finish what was begun.
 *
 * It says nothing about what happened since: the volume may have been on another node. So what may
 * be written over because of it is only what no node can have mounted (csi/volume/unfinished.h).
 */
#ifndef CSI_NODE_INTENT_H
#define CSI_NODE_INTENT_H

#include "nvme/base/parse.h"
#include "nvme/base/root.h"

#define INTENT_FS_TYPE_SIZE 16

/* key is the namespace's, see node_record_key. Replaces another one of it. */
int intent_save(const struct root *state, const struct uuid *key, const char *fs_type,
		struct err *err);

/* 1: there is one, of this type (what is no type of ours is one of "": nothing may be finished
 * because of it); 0: there is none; -1: error. */
int intent_find(const struct root *state, const struct uuid *key, char ret[INTENT_FS_TYPE_SIZE],
		struct err *err);

/* An absent one is fine. */
int intent_remove(const struct root *state, const struct uuid *key, struct err *err);

#endif
