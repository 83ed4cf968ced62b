/* SPDX-License-Identifier: Apache-2.0 */
/* Expanding and modifying volumes. */
#include "csi/controller/change.h"

#include <inttypes.h>

#include "csi/request/access.h"
#include "csi/request/parameters.h"

int expand_spec_parse(const Csi__V1__ControllerExpandVolumeRequest *request,
		      struct expand_spec *ret, struct err *err)
{
	struct expand_spec spec = { .volume_id = request->volume_id };
	struct access access;

	if (require_text("volume_id", request->volume_id, NAME_MAX_BYTES, err) < 0)
		return -1;
	if (!request->capacity_range)
		return err_set(err, ERR_INVALID_ARGUMENT, "capacity_range is required and missing");
	if (range_parse(request->capacity_range, &spec.range, err) < 0)
		return -1;
	if (request->volume_capability) {
		if (access_parse(request->volume_capability, &access, err) < 0)
			return -1;
		spec.raw_block = access.block;
	}
	*ret = spec;
	return 0;
}

int expand_spec_size(const struct expand_spec *spec, uint64_t present_bytes, uint64_t *ret,
		     struct err *err)
{
	if (present_bytes > spec->range.limit_bytes)
		return err_set(err, ERR_OUT_OF_RANGE,
			       "volume \"%s\" has %" PRIu64 " bytes, more than limit_bytes %" PRIu64
			       "; volumes do not shrink",
			       spec->volume_id, present_bytes, spec->range.limit_bytes);
	if (present_bytes >= spec->range.required_bytes) {
		*ret = present_bytes;
		return 0;
	}
	return range_size(&spec->range, 0, ret, err);
}

int change_expand(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	Csi__V1__ControllerExpandVolumeResponse *answer = response;
	struct deadline deadline = controller_deadline(call);
	struct agent_volume volume cleanup_agent_volume = { 0 };
	struct agent_volume grown cleanup_agent_volume = { 0 };
	struct expand_spec spec;
	struct agent *target;
	uint64_t size_bytes;

	/* A volume that is large enough is asked for, too: hosts may not have been told of it. */
	if (expand_spec_parse(request, &spec, err) < 0 ||
	    controller_require(call->context, spec.volume_id, deadline, &target, &volume, err) <
		    0 ||
	    expand_spec_size(&spec, volume.size_bytes, &size_bytes, err) < 0 ||
	    agent_expand(target, &volume.id, size_bytes, deadline, &grown, err) < 0)
		return -1;
	if (grown.size_bytes < size_bytes)
		return err_set(err, ERR_INTERNAL,
			       "target %s: volume \"%s\" was to grow to %" PRIu64
			       " bytes and has %" PRIu64,
			       agent_name(target), spec.volume_id, size_bytes, grown.size_bytes);
	answer->capacity_bytes = (int64_t)grown.size_bytes;
	answer->node_expansion_required = !spec.raw_block;
	return 0;
}

int change_modify(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__ControllerModifyVolumeRequest *modify = request;
	struct map mutables = MAP_OF(modify, mutable_parameters);
	struct volume_id id;
	struct agent *target;

	(void)response;
	if (require_text("volume_id", modify->volume_id, NAME_MAX_BYTES, err) < 0)
		return -1;
	if (!mutables.count)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "mutable_parameters is required and missing");
	if (parameters_check_mutable(mutables, err) < 0 ||
	    controller_locate(call->context, modify->volume_id, &id, &target, err) < 0)
		return -1;
	return agent_modify(target, &id, mutables, controller_deadline(call), err);
}
