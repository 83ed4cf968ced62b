/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topology: from where a target can be reached, against what a CO asks for. A target says segments
 * ("zone" = "a"); its volumes are reachable from every node that has all of them, and from
 * everywhere when it says none. Keys are compared without regard to case, as CSI wants it. Pure.
 */
#ifndef CSI_REQUEST_TOPOLOGY_H
#define CSI_REQUEST_TOPOLOGY_H

#include <stdbool.h>

#include "csi.pb-c.h"
#include "csi/request/map.h"
#include "nvme/base/err.h"

/* Checks the sizes of what the CO sent; either may be NULL. ERR_INVALID_ARGUMENT. */
int topology_check(const Csi__V1__Topology *topology, struct err *err);
int topology_check_requirement(const Csi__V1__TopologyRequirement *requirement, struct err *err);

/* Whether what is reachable at `reach` is so from all of a place (NULL: from anywhere will do). */
bool topology_covers(struct map reach, const Csi__V1__Topology *place);

/*
 * How well a target at `reach` fits: -1 when no requisite place can reach it; else the index of the
 * first preferred place that can, or their number when none can. NULL: nothing is asked for.
 */
int topology_rank(const Csi__V1__TopologyRequirement *requirement, struct map reach);

#endif
