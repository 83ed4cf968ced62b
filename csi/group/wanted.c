/* SPDX-License-Identifier: Apache-2.0 */
/* Checking what a group is to be taken of. */
#include "csi/group/wanted.h"

#include <stdlib.h>
#include <string.h>

#include "csi/request/parameters.h"

void wanted_group_fini(struct wanted_group *wanted)
{
	free(wanted->volumes);
	*wanted = (struct wanted_group) { 0 };
}

int wanted_group_check_count(const char *field, size_t count, struct err *err)
{
	if (count <= VOLUME_GROUP_MAX)
		return 0;
	return err_set(err, ERR_INVALID_ARGUMENT, "%s has %zu IDs; a group has at most %d", field,
		       count, VOLUME_GROUP_MAX);
}

static int add_volume(const struct controller *controller, const char *volume_id,
		      struct wanted_group *w, struct err *err)
{
	struct volume_id id;
	struct agent *target;
	char first[VOLUME_ID_SIZE];

	if (require_text("source_volume_ids", volume_id, NAME_MAX_BYTES, err) < 0 ||
	    controller_locate(controller, volume_id, &id, &target, err) < 0)
		return -1;
	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->volumes[i].uuid.text, id.uuid.text) == 0 && target == w->target)
			return err_set(err, ERR_INVALID_ARGUMENT,
				       "source_volume_ids has volume \"%s\" twice", volume_id);
	if (w->count && target != w->target) {
		volume_id_format(&w->volumes[0], first);
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "volumes \"%s\" and \"%s\" are on different targets, %s and %s: a "
			       "group is taken of volumes of one target",
			       first, volume_id, agent_name(w->target), agent_name(target));
	}
	w->target = target;
	w->volumes[w->count++] = id;
	return 0;
}

int wanted_group_parse(const struct controller *controller,
		       const Csi__V1__CreateVolumeGroupSnapshotRequest *request,
		       struct wanted_group *ret, struct err *err)
{
	struct wanted_group w cleanup_wanted_group = { .name = request->name,
						       .parameters = MAP_OF(request, parameters) };

	if (wanted_group_check_count("source_volume_ids", request->n_source_volume_ids, err) < 0 ||
	    require_text("name", request->name, NAME_MAX_BYTES, err) < 0 ||
	    parameters_parse_snapshot(w.parameters, &w.freeze, err) < 0)
		return -1;
	if (!request->n_source_volume_ids)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "source_volume_ids is required and missing");
	w.volumes = xcalloc(request->n_source_volume_ids, sizeof(*w.volumes));
	for (size_t i = 0; i < request->n_source_volume_ids; i++)
		if (add_volume(controller, request->source_volume_ids[i], &w, err) < 0)
			return -1;
	strcpy(w.id.target, agent_name(w.target));
	w.id.uuid = group_uuid_of_name(w.name);
	*ret = w;
	w = (struct wanted_group) { 0 };
	return 0;
}
