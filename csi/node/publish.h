/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing: binds of a staged volume at the target paths of pods. */
#ifndef CSI_NODE_PUBLISH_H
#define CSI_NODE_PUBLISH_H

#include "csi/node/device.h"

/*
 * A NodePublishVolume request, checked; it borrows nothing from the request.
 * ERR_FAILED_PRECONDITION when it asks for writing to a volume that is attached read-only.
 */
struct publish_spec {
	char volume_id[VOLUME_ID_SIZE];
	char staging_path[PATH_MAX]; /* canonical */
	char target_path[PATH_MAX];  /* canonical; its parent exists */
	struct access access;
	struct attachment attachment;
	struct parameters parameters; /* for a stage that has to be put back: its keys, if the call
				       * has secrets; no mkfs options */
	bool readonly;		      /* whatever asked for it: the flag, the mode, or "ro" */
};

/* Wipes its keys first. */
void publish_spec_free(struct publish_spec *spec);
DEFINE_CLEANUP(struct publish_spec *, publish_spec_free)

int publish_spec_parse(const Csi__V1__NodePublishVolumeRequest *request, struct publish_spec *ret,
		       struct err *err);

/*
 * Binds the staged volume at the target path. What a stage made and is missing or dead is put back
 * first (stage_restore): the CO takes the volume for staged and would not call for a stage again.
 * ERR_FAILED_PRECONDITION when it is not staged there, or cannot be put back, or is published
 * elsewhere and its mode allows one path; ERR_ALREADY_EXISTS when the path has the volume in
 * another way. A bind that is there already is verified. A job (node_run). Takes the spec.
 */
int publish_volume(struct node *node, struct publish_spec *spec, const struct node_time *time,
		   struct err *err);

/* Takes the bind and what was made for it away. An absent path is fine. A job. */
int unpublish_volume(struct node *node, const char *volume_id, const char *target_path,
		     const struct node_time *time, struct err *err);

#endif
