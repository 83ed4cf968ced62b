/* SPDX-License-Identifier: Apache-2.0 */
/* Creating volumes: checks, look-up, creation. */
#include "csi/controller/volumes.h"

#include <inttypes.h>
#include <string.h>

#include "csi/controller/fill.h"
#include "csi/controller/placement.h"
#include "csi/request/topology.h"
#include "csi/rpc/client.h"
#include "csi/volume/fs.h"
#include "nvme/base/log.h"

int create_spec_parse(const Csi__V1__CreateVolumeRequest *request, struct create_spec *ret,
		      struct err *err)
{
	struct create_spec spec = { .name = request->name,
				    .parameter_map = MAP_OF(request, parameters),
				    .mutable_map = MAP_OF(request, mutable_parameters),
				    .topology = request->accessibility_requirements };
	const struct fs *fs;

	if (require_text("name", request->name, NAME_MAX_BYTES, err) < 0 ||
	    access_parse_list(request->volume_capabilities, request->n_volume_capabilities,
			      &spec.access, err) < 0 ||
	    parameters_parse(spec.parameter_map, &spec.parameters, err) < 0 ||
	    parameters_check_mutable(spec.mutable_map, err) < 0 ||
	    range_parse(request->capacity_range, &spec.range, err) < 0 ||
	    topology_check_requirement(spec.topology, err) < 0 ||
	    source_parse(request->volume_content_source, &spec.source, err) < 0)
		return -1;
	fs = spec.access.block ? NULL : fs_find(spec.parameters.fs_type ?: spec.access.fs_type);
	if (fs && fs_check_mkfs_options(fs, spec.parameters.mkfs_options, err) < 0)
		return err_wrap(err, "parameter mkfsOptions");
	if (range_size(&spec.range, fs ? fs_min_bytes(fs) : 0, &spec.size_bytes, err) < 0)
		return -1;
	spec.uuid = volume_uuid_of_name(spec.name);
	*ret = spec;
	return 0;
}

static int check_source(const struct create_spec *spec, const struct agent_volume *volume,
			struct err *err)
{
	char is_of[SOURCE_TEXT_SIZE], wanted_of[SOURCE_TEXT_SIZE];
	struct create_source source = source_of(volume);

	if (source_equal(&source, &spec->source))
		return 0;
	source_describe(&source, is_of);
	source_describe(&spec->source, wanted_of);
	return err_set(err, ERR_ALREADY_EXISTS,
		       "volume \"%s\" exists and is made of %s; asked for is one made of %s",
		       spec->name, is_of, wanted_of);
}

/* The existing volume is the one asked for, or ERR_ALREADY_EXISTS says why not. */
static int check_compatible(const struct create_spec *spec, const struct agent_volume *volume,
			    const struct agent_info *info, struct err *err)
{
	const struct parameters *p = &spec->parameters;

	if (volume->size_bytes < spec->range.required_bytes ||
	    volume->size_bytes > spec->range.limit_bytes)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "volume \"%s\" exists with %" PRIu64 " bytes; asked for are %" PRIu64
			       " to %" PRIu64,
			       spec->name, volume->size_bytes, spec->range.required_bytes,
			       spec->range.limit_bytes);
	if ((p->target[0] && strcmp(p->target, volume->id.target) != 0) ||
	    (p->pool[0] && strcmp(p->pool, volume->id.pool) != 0))
		return err_set(err, ERR_ALREADY_EXISTS,
			       "volume \"%s\" exists on target %s in pool %s; asked for is target "
			       "\"%s\", pool \"%s\"",
			       spec->name, volume->id.target, volume->id.pool, p->target, p->pool);
	if (p->volatile_cache != volume->volatile_cache)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "volume \"%s\" exists with writeCache %s; asked for is %s",
			       spec->name, volume->volatile_cache ? "volatile" : "none",
			       p->volatile_cache ? "volatile" : "none");
	if (topology_rank(spec->topology, info->topology) < 0)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "volume \"%s\" exists on target %s, which cannot be reached from "
			       "any of the requisite topologies",
			       spec->name, volume->id.target);
	return check_source(spec, volume, err);
}

/*
 * Whether a target only could not be asked: nothing came back, or it does not let us in. One that
 * answers anything else is there and may have the volume in trouble, UNAVAILABLE included: its pool
 * hangs, or it stops.
 */
static bool was_not_asked(const struct err *err)
{
	return rpc_unanswered(err) || err->code == ERR_PERMISSION_DENIED ||
	       err->code == ERR_UNAUTHENTICATED;
}

static bool in_use(const struct agent_volume *volume)
{
	return volume->host_count || !volume->blank;
}

/* The two volumes of one name: the one that may matter to anybody. */
static int choose_twin(const struct create_spec *spec, struct survey_entry **best,
		       struct survey_entry *other, struct err *err)
{
	if (in_use(&(*best)->volume) && in_use(&other->volume))
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "volume \"%s\" (%s) exists on target %s and on target %s, and both "
			       "are in use: find out which is the right one and delete the other",
			       spec->name, spec->uuid.text, agent_name((*best)->target),
			       agent_name(other->target));
	log_warning("a volume exists twice", KV("uuid", spec->uuid.text),
		    KV("target", agent_name((*best)->target)),
		    KV("other", agent_name(other->target)));
	if (in_use(&other->volume))
		*best = other;
	return 0;
}

/*
 * 1: a target has the volume; 0: none of those that answer. -1: one may have it, so nobody else may
 * get it. ret_begun: that one says that something was begun (ABORTED), which another creation may
 * bring to its end.
 */
static int look_up(const struct survey *survey, const struct create_spec *spec,
		   struct survey_entry **ret, struct survey_entry **ret_begun, struct err *err)
{
	struct survey_entry *best = NULL;

	*ret_begun = NULL;

	for (size_t i = 0; i < survey->count; i++) {
		struct survey_entry *entry = &survey->entries[i];

		if (entry->found < 0 && !was_not_asked(&entry->find_err)) {
			if (entry->find_err.code == ERR_ABORTED && entry->known)
				*ret_begun = entry;
			*err = entry->find_err;
			return -1;
		}
		if (entry->found != 1)
			continue;
		if (!best)
			best = entry;
		else if (choose_twin(spec, &best, entry, err) < 0)
			return -1;
	}
	if (best && !best->known) {
		*err = best->info_err;
		return -1;
	}
	*ret = best;
	return best != NULL;
}

static int create_on(struct survey_entry *place, const struct create_spec *spec,
		     struct deadline deadline, struct err *err)
{
	struct agent_volume_spec volume = {
		.uuid = spec->uuid,
		.pool = spec->parameters.pool,
		.name = spec->name,
		.size_bytes = spec->size_bytes,
		.volatile_cache = spec->parameters.volatile_cache,
		.parameters = spec->parameter_map,
		.mutables = spec->mutable_map,
		.source = source_for_agent(&spec->source),
	};

	return agent_create(place->target, &volume, deadline, &place->volume, err);
}

/* Tries the places in turn. One that has become full meanwhile has created nothing. */
static int create(const struct survey *survey, const struct create_spec *spec,
		  struct deadline deadline, struct survey_entry **ret, struct err *err)
{
	struct placement_wish wish = { .name = spec->name,
				       .uuid = spec->uuid,
				       .target = spec->parameters.target,
				       .pool = spec->parameters.pool,
				       .size_bytes = spec->size_bytes,
				       .topology = spec->topology };
	struct placement placement;

	if (placement_choose(survey, &wish, &placement, err) < 0)
		return -1;
	for (size_t i = 0; i < placement.count; i++) {
		struct survey_entry *place = placement.places[i];

		if (create_on(place, spec, deadline, err) == 0) {
			*ret = place;
			return 0;
		}
		if (err->code != ERR_RESOURCE_EXHAUSTED)
			return -1;
	}
	return placement_blame(survey, &wish, err);
}

/* A copy is made where its source is: what asks for another place cannot be had. */
static int check_copy_place(const struct survey *survey, const struct create_spec *spec,
			    const char *source, struct err *err)
{
	const struct parameters *p = &spec->parameters;
	const struct volume_id *id = &spec->source.id;

	if ((p->target[0] && strcmp(p->target, id->target) != 0) ||
	    (p->pool[0] && strcmp(p->pool, id->pool) != 0))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "volume \"%s\" is made of %s, and so on target %s in pool %s; the "
			       "parameters ask for target \"%s\", pool \"%s\"",
			       spec->name, source, id->target, id->pool, p->target, p->pool);
	for (size_t i = 0; i < survey->count; i++) {
		const struct survey_entry *entry = &survey->entries[i];

		if (strcmp(agent_name(entry->target), id->target) == 0 && entry->known &&
		    topology_rank(spec->topology, entry->info.topology) < 0)
			return err_set(err, ERR_RESOURCE_EXHAUSTED,
				       "accessibility_requirements of volume \"%s\": it is made of "
				       "%s, and so on target %s, which cannot be reached from any "
				       "of the requisite topologies",
				       spec->name, source, id->target);
	}
	return 0;
}

static int size_copy(struct create_spec *spec, const char *source, uint64_t source_bytes,
		     struct err *err)
{
	struct range range = spec->range;

	if (range.required_bytes && range.required_bytes < source_bytes)
		return err_set(err, ERR_OUT_OF_RANGE,
			       "capacity_range.required_bytes %" PRIu64 " is less than the %" PRIu64
			       " bytes of %s, which volume \"%s\" is "
			       "made of",
			       range.required_bytes, source_bytes, source, spec->name);
	if (range.required_bytes < source_bytes)
		range.required_bytes = source_bytes;
	if (range_size(&range, 0, &spec->size_bytes, err) < 0)
		return err_wrap(err, "volume \"%s\" is made of %s of %" PRIu64 " bytes", spec->name,
				source, source_bytes);
	return 0;
}

/*
 * What is asked for, with what follows from its source: the place, and the least size. What was
 * begun is brought to its end by its target, whatever has become of the source since.
 */
static int settle_copy(const struct controller *controller, const struct survey *survey, bool begun,
		       struct deadline deadline, struct create_spec *spec, struct err *err)
{
	char source[SOURCE_TEXT_SIZE];
	uint64_t source_bytes = 0;
	struct err why = ERR_INIT;

	source_describe(&spec->source, source);
	if (source_require(controller, &spec->source, deadline, &source_bytes, &why) < 0 &&
	    !(begun && why.code == ERR_NOT_FOUND)) {
		*err = why;
		return -1;
	}
	if (check_copy_place(survey, spec, source, err) < 0)
		return -1;
	if (source_bytes && size_copy(spec, source, source_bytes, &why) < 0 &&
	    !(begun && why.code == ERR_OUT_OF_RANGE)) {
		*err = why;
		return -1;
	}
	strcpy(spec->parameters.target, spec->source.id.target);
	strcpy(spec->parameters.pool, spec->source.id.pool);
	return 0;
}

int volumes_ensure(const struct controller *controller, const struct create_spec *spec,
		   struct deadline deadline, struct agent_volume *ret, struct agent_info *ret_info,
		   struct err *err)
{
	struct survey survey cleanup_survey = { 0 };
	struct survey_entry *entry = NULL, *begun = NULL;
	struct create_spec settled = *spec;
	int found;

	survey_take(controller, "", &spec->uuid, deadline, &survey);
	found = look_up(&survey, spec, &entry, &begun, err);
	if (begun && spec->source.given &&
	    strcmp(agent_name(begun->target), spec->source.id.target) != 0) {
		/* Of something else, which only that can bring to its end. */
		*err = begun->find_err;
		return -1;
	}
	if ((begun || !found) && spec->source.given &&
	    settle_copy(controller, &survey, begun, deadline, &settled, err) < 0)
		return -1;
	if (begun) {
		/* A creation that was cut short has no ID to delete it by: only this ends it. */
		entry = begun;
		found = create_on(begun, &settled, deadline, err) < 0 ? -1 : 1;
	}
	if (found < 0 || (!found && create(&survey, &settled, deadline, &entry, err) < 0) ||
	    check_compatible(spec, &entry->volume, &entry->info, err) < 0)
		return -1;
	*ret = entry->volume;
	*ret_info = entry->info;
	entry->volume = (struct agent_volume) { 0 };
	entry->info = (struct agent_info) { 0 };
	return 0;
}

int volumes_create(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	Csi__V1__CreateVolumeResponse *answer = response;
	struct agent_volume volume cleanup_agent_volume = { 0 };
	struct agent_info info cleanup_agent_info = { 0 };
	struct create_spec spec;

	if (create_spec_parse(request, &spec, err) < 0 ||
	    volumes_ensure(call->context, &spec, controller_deadline(call), &volume, &info, err) <
		    0)
		return -1;
	answer->volume = fill_volume(call, &volume, info.topology);
	return 0;
}
