/* SPDX-License-Identifier: Apache-2.0 */
/* Staging: the one device mount of a volume on this node, and its bind at the staging path. */
#ifndef CSI_NODE_STAGE_H
#define CSI_NODE_STAGE_H

#include "csi/node/device.h"

/* A NodeStageVolume request, checked. */
struct stage_spec {
	const char *volume_id;
	char staging_path[PATH_MAX]; /* canonical; an existing directory */
	struct access access;
	struct attachment attachment;
	struct parameters parameters;
};

int stage_spec_parse(const Csi__V1__NodeStageVolumeRequest *request, struct stage_spec *ret,
		     struct err *err);

/*
 * Connects, formats if law 1 allows it, mounts, binds. Idempotent: what is there already is
 * verified. A failed first attempt is taken back; when the volume was staged before, or an earlier
 * attempt was cut short, everything stays for the next stage or unstage.
 */
int stage_volume(struct node *node, const struct stage_spec *spec, struct deadline deadline,
		 struct err *err);

/*
 * Takes the staging bind away and, with the last user of the device, its mount and connection. Once
 * it succeeds nothing of the volume is left on this node. Works without a record.
 */
int unstage_volume(struct node *node, const char *volume_id, const char *staging_path,
		   struct deadline deadline, struct err *err);

#endif
