/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all targets say at one time: who has a volume, and what each is. All are asked at once, by
 * one thread, so that silent ones cost their share of the time once and not each.
 */
#ifndef CSI_CONTROLLER_SURVEY_H
#define CSI_CONTROLLER_SURVEY_H

#include "csi/controller/controller.h"

struct survey_entry {
	struct agent *target;
	int found; /* 1: it has the volume; 0: it has not; -1: find_err says why it is not known */
	struct agent_volume volume;
	struct err find_err;
	bool known; /* info is there; else info_err says why not */
	struct agent_info info;
	struct err info_err;
};

/* In the order of the configuration. */
struct survey {
	struct survey_entry *entries;
	size_t count;
};

/*
 * Asks every target, or only the one of a name that is not empty: what it is, and for the volume
 * unless uuid is NULL. Blocks until the last has answered or its share of the deadline is over.
 */
void survey_take(const struct controller *controller, const char *only, const struct uuid *uuid,
		 struct deadline deadline, struct survey *ret);
void survey_fini(struct survey *survey);
#define cleanup_survey CLEANUP(survey_fini)

#endif
