/* SPDX-License-Identifier: Apache-2.0 */
/* Creating volumes: checks, look-up, placement. */
#include "csi/controller/volumes.h"

#include <inttypes.h>
#include <string.h>

#include "csi/volume/fs.h"
#include "nvme/base/log.h"

static int refuse_unsupported(const Csi__V1__CreateVolumeRequest *request, struct err *err)
{
	if (request->volume_content_source)
		return err_set(
			err, ERR_INVALID_ARGUMENT,
			"volume_content_source is given, but neither snapshots nor clones are "
			"supported");
	if (request->n_mutable_parameters)
		return err_set(
			err, ERR_INVALID_ARGUMENT,
			"mutable_parameters holds \"%.64s\", but MODIFY_VOLUME is not supported",
			request->mutable_parameters[0]->key);
	return 0;
}

int create_spec_parse(const Csi__V1__CreateVolumeRequest *request, struct create_spec *ret,
		      struct err *err)
{
	struct create_spec spec = { .name = request->name,
				    .parameter_map = MAP_OF(request, parameters) };
	const struct fs *fs;

	if (require_text("name", request->name, NAME_MAX_BYTES, err) < 0 ||
	    access_parse_list(request->volume_capabilities, request->n_volume_capabilities,
			      &spec.access, err) < 0 ||
	    parameters_parse(spec.parameter_map, &spec.parameters, err) < 0 ||
	    range_parse(request->capacity_range, &spec.range, err) < 0 ||
	    refuse_unsupported(request, err) < 0)
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

/* The existing volume is the one asked for, or ERR_ALREADY_EXISTS says why not. */
static int check_compatible(const struct create_spec *spec, const struct agent *target,
			    const struct agent_volume *volume, struct err *err)
{
	const struct parameters *p = &spec->parameters;

	if (volume->size_bytes < spec->range.required_bytes ||
	    volume->size_bytes > spec->range.limit_bytes)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "volume \"%s\" exists with %" PRIu64 " bytes; asked for are %" PRIu64
			       " to %" PRIu64,
			       spec->name, volume->size_bytes, spec->range.required_bytes,
			       spec->range.limit_bytes);
	if ((p->target[0] && strcmp(p->target, agent_name(target)) != 0) ||
	    (p->pool[0] && strcmp(p->pool, volume->pool) != 0))
		return err_set(err, ERR_ALREADY_EXISTS,
			       "volume \"%s\" exists on target %s in pool %s; asked for is target "
			       "\"%s\", pool \"%s\"",
			       spec->name, agent_name(target), volume->pool, p->target, p->pool);
	if (p->volatile_cache != volume->volatile_cache)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "volume \"%s\" exists with writeCache %s; asked for is %s",
			       spec->name, volume->volatile_cache ? "volatile" : "none",
			       p->volatile_cache ? "volatile" : "none");
	return 0;
}

/* The best place seen so far, and why a place was not eligible when none is. */
struct placement {
	struct agent *best;
	uint64_t available_bytes;
	struct err reason;
};

/* Whether a target only could not be asked, as against one that may have the volume in trouble. */
static bool is_unreachable(const struct err *err)
{
	return err->code == ERR_UNAVAILABLE || err->code == ERR_DEADLINE_EXCEEDED;
}

/*
 * Looks at one target. 1: it has the volume; 0: it does not, and the placement knows its room; an
 * unreachable target only leaves its reason. -1: it may have the volume, so nobody else may get it.
 */
static int consider(struct agent *target, const struct create_spec *spec, struct deadline deadline,
		    struct placement *placement, struct agent_volume *ret, struct err *err)
{
	const struct parameters *p = &spec->parameters;
	bool eligible = !p->target[0] || strcmp(p->target, agent_name(target)) == 0;
	uint64_t available;
	int found;

	found = agent_find(target, &spec->uuid, "", deadline, ret, err);
	if (found == 1 || (found < 0 && !is_unreachable(err)))
		return found;
	if (found == 0 && !eligible)
		return 0;
	if (found < 0 || agent_available(target, p->pool, deadline, &available, err) < 0) {
		log_warning("target passed over", KV("target", agent_name(target)), KV_ERR(err));
		/* A target that did not answer may have the pool that another one lacks. */
		if (eligible && (!placement->reason.code || err->code != ERR_NOT_FOUND))
			placement->reason = *err;
		return 0;
	}
	if (!placement->best || available > placement->available_bytes) {
		placement->best = target;
		placement->available_bytes = available;
	}
	return 0;
}

static int no_place(const struct create_spec *spec, const struct placement *placement,
		    struct err *err)
{
	if (placement->reason.code) {
		*err = placement->reason;
		if (err->code == ERR_NOT_FOUND)
			err_recode(err, ERR_INVALID_ARGUMENT);
		return err_wrap(err, "no target can take volume \"%s\"", spec->name);
	}
	if (spec->parameters.target[0])
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "parameter target \"%s\" names no target of this controller",
			       spec->parameters.target);
	return err_set(err, ERR_FAILED_PRECONDITION, "this controller has no targets");
}

int volumes_ensure(const struct controller *controller, const struct create_spec *spec,
		   struct deadline deadline, struct volume_id *ret_id, struct agent_volume *ret,
		   struct err *err)
{
	struct placement placement = { 0 };
	struct agent_volume_spec create = {
		.uuid = spec->uuid,
		.pool = spec->parameters.pool,
		.name = spec->name,
		.size_bytes = spec->size_bytes,
		.volatile_cache = spec->parameters.volatile_cache,
		.parameters = spec->parameter_map,
	};
	struct agent *target = NULL;

	for (size_t i = 0; i < controller->target_count && !target; i++) {
		/* One share more than there are targets: the creation wants its own. */
		size_t parties = controller->target_count - i + 1;
		int found = consider(controller->targets[i], spec,
				     controller_share(deadline, parties), &placement, ret, err);

		if (found < 0)
			return -1;
		if (found)
			target = controller->targets[i];
	}
	if (target) {
		if (check_compatible(spec, target, ret, err) < 0)
			return -1;
	} else {
		target = placement.best;
		if (!target)
			return no_place(spec, &placement, err);
		if (agent_create(target, &create, deadline, ret, err) < 0)
			return -1;
	}
	ret_id->uuid = spec->uuid;
	strcpy(ret_id->target, agent_name(target));
	strcpy(ret_id->pool, ret->pool);
	return 0;
}
