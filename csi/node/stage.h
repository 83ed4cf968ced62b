/* SPDX-License-Identifier: Apache-2.0 */
/* Staging: the one device mount of a volume on this node, and its bind in the staging path. */
#ifndef CSI_NODE_STAGE_H
#define CSI_NODE_STAGE_H

#include "csi/node/device.h"

#define STAGE_MKFS_OPTIONS_SIZE 4097 /* a context takes 4 KiB */

/* A NodeStageVolume request, checked. It borrows nothing from the request. Do not move it. */
struct stage_spec {
	char volume_id[VOLUME_ID_SIZE];
	char staging_path[PATH_MAX]; /* canonical; an existing directory */
	struct access access;
	struct attachment attachment;
	struct parameters parameters; /* its texts are in here: */
	char mkfs_options[STAGE_MKFS_OPTIONS_SIZE];
};

/* Wipes its keys first. */
void stage_spec_free(struct stage_spec *spec);
DEFINE_CLEANUP(struct stage_spec *, stage_spec_free)

int stage_spec_parse(const Csi__V1__NodeStageVolumeRequest *request, struct stage_spec *ret,
		     struct err *err);

/*
 * Connects, formats if law 1 allows it, mounts, binds. Idempotent: what is there already is
 * verified. A failed first attempt is taken back; when the volume was staged before, or an earlier
 * attempt was cut short, everything stays for the next stage or unstage. A job (node_run): when its
 * caller leaves it goes on, and the volume stays staged. Takes the spec.
 */
int stage_volume(struct node *node, struct stage_spec *spec, const struct node_time *time,
		 struct err *err);

/*
 * Puts back what a staged volume lost behind our back: its connection, its device mount, its bind,
 * each if it is missing or dead. 1: done; 0: it was not staged as the record says: there is no such
 * record, or neither of its mounts is there in any state; -1: it cannot be put back, and why.
 * ERR_UNAUTHENTICATED: it has to be connected, which takes keys, and spec has none. Never formats,
 * and takes nothing away but dead mounts that nobody uses. Called in a job that has the volume.
 */
int stage_restore(const struct node *node, const struct node_record *record,
		  const struct stage_spec *spec, struct deadline deadline, struct err *err);

/*
 * Takes the staging bind away and, with the last user of the device, its mount and connection. Once
 * it succeeds nothing of the volume is left on this node. Works without a record. A job.
 */
int unstage_volume(struct node *node, const char *volume_id, const char *staging_path,
		   const struct node_time *time, struct err *err);

#endif
