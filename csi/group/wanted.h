/* SPDX-License-Identifier: Apache-2.0 */
/* A CreateVolumeGroupSnapshot request, checked: volumes of one target, each of them once. */
#ifndef CSI_GROUP_WANTED_H
#define CSI_GROUP_WANTED_H

#include "csi.pb-c.h"
#include "csi/controller/controller.h"

/* Strings are borrowed from the request; the volumes are its own. */
struct wanted_group {
	const char *name;
	struct group_id id;
	struct agent *target;
	struct volume_id *volumes;
	size_t count;
	struct map parameters;
	bool freeze;
};

/* Refuses more IDs in a field than a group can have, before anything is done for each of them. */
int wanted_group_check_count(const char *field, size_t count, struct err *err);

void wanted_group_fini(struct wanted_group *wanted);
#define cleanup_wanted_group CLEANUP(wanted_group_fini)

/*
 * Asks nobody. ERR_INVALID_ARGUMENT: a field is missing or bad, a volume is there twice, or there
 * are more than 64 (VOLUME_GROUP_MAX);
 * ERR_NOT_FOUND: an ID is none of ours, or its target is not; ERR_FAILED_PRECONDITION: the volumes
 * are of several targets, and two of them are named.
 */
int wanted_group_parse(const struct controller *controller,
		       const Csi__V1__CreateVolumeGroupSnapshotRequest *request,
		       struct wanted_group *ret, struct err *err);

#endif
