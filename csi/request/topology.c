/* SPDX-License-Identifier: Apache-2.0 */
/* Matching targets and topology requirements. */
#include "csi/request/topology.h"

#include <string.h>
#include <strings.h>

int topology_check(const Csi__V1__Topology *topology, struct err *err)
{
	return topology ? map_check_size("accessible_topology.segments", MAP_OF(topology, segments),
					 err) :
			  0;
}

static int check_list(const char *what, Csi__V1__Topology *const *list, size_t count,
		      struct err *err)
{
	for (size_t i = 0; i < count; i++)
		if (map_check_size(what, MAP_OF(list[i], segments), err) < 0)
			return -1;
	return 0;
}

int topology_check_requirement(const Csi__V1__TopologyRequirement *requirement, struct err *err)
{
	if (!requirement)
		return 0;
	if (check_list("accessibility_requirements.requisite", requirement->requisite,
		       requirement->n_requisite, err) < 0)
		return -1;
	return check_list("accessibility_requirements.preferred", requirement->preferred,
			  requirement->n_preferred, err);
}

static bool has_segment(struct map segments, const struct map_entry *wanted)
{
	for (size_t i = 0; i < segments.count; i++)
		if (strcasecmp(segments.entries[i]->key, wanted->key) == 0)
			return strcmp(segments.entries[i]->value, wanted->value) == 0;
	return false;
}

bool topology_covers(struct map reach, const Csi__V1__Topology *place)
{
	if (!place)
		return true;
	for (size_t i = 0; i < reach.count; i++)
		if (!has_segment(MAP_OF(place, segments), reach.entries[i]))
			return false;
	return true;
}

/* The index of the first place that is covered; count when none is. */
static size_t first_covered(struct map reach, Csi__V1__Topology *const *places, size_t count)
{
	size_t i = 0;

	while (i < count && !topology_covers(reach, places[i]))
		i++;
	return i;
}

int topology_rank(const Csi__V1__TopologyRequirement *requirement, struct map reach)
{
	if (!requirement)
		return 0;
	if (requirement->n_requisite &&
	    first_covered(reach, requirement->requisite, requirement->n_requisite) ==
		    requirement->n_requisite)
		return -1;
	return (int)first_covered(reach, requirement->preferred, requirement->n_preferred);
}
