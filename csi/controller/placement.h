/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a new volume goes, decided from a survey alone: by the parameters target and pool, then by
 * topology, then to where there is most room. Targets whose room is within an eighth of the
 * roomiest count as equal, and the volume's UUID decides among them: volumes spread, and a creation
 * that is tried again, or at two controllers at once, goes to the same place although the room has
 * changed a little meanwhile. Pure.
 */
#ifndef CSI_CONTROLLER_PLACEMENT_H
#define CSI_CONTROLLER_PLACEMENT_H

#include "csi.pb-c.h"
#include "csi/controller/survey.h"

struct placement_wish {
	const char *name; /* for errors */
	struct uuid uuid;
	const char *target; /* "": any */
	const char *pool;   /* "": any */
	uint64_t size_bytes;
	const Csi__V1__TopologyRequirement *topology; /* NULL: anywhere */
};

/* Places, the best first; borrowed from the survey. */
struct placement {
	struct survey_entry *places[CONTROLLER_TARGETS_MAX];
	size_t count;
};

/*
 * ERR_INVALID_ARGUMENT: there is no such target or pool; ERR_RESOURCE_EXHAUSTED: there is not
 * enough room, or nothing that the topology allows; ERR_UNAVAILABLE: some that might do could not
 * be asked, and they are named. Targets that are passed over for that are logged.
 */
int placement_choose(const struct survey *survey, const struct placement_wish *wish,
		     struct placement *ret, struct err *err);

/*
 * Nothing can take the volume, and err says why of the targets that answer. If others that might do
 * could not be asked it is not known to be so: then err becomes ERR_UNAVAILABLE and names them.
 * Returns -1.
 */
int placement_blame(const struct survey *survey, const struct placement_wish *wish,
		    struct err *err);

#endif
