/* SPDX-License-Identifier: Apache-2.0 */
/* The room for new volumes. */
#include "csi/controller/capacity.h"

#include "csi.pb-c.h"
#include "csi/controller/survey.h"
#include "csi/request/access.h"
#include "csi/request/parameters.h"
#include "csi/request/topology.h"
#include "csi/volume/fs.h"
#include "nvme/base/log.h"

static Google__Protobuf__Int64Value *int64_value(struct rpc_call *call, uint64_t value)
{
	Google__Protobuf__Int64Value *box =
		RPC_NEW(call, Google__Protobuf__Int64Value, google__protobuf__int64_value__init);

	box->value = value > INT64_MAX ? INT64_MAX : (int64_t)value;
	return box;
}

static struct agent_room room_of(const struct survey *survey, const char *pool,
				 const Csi__V1__Topology *place)
{
	struct agent_room sum = { 0 }, here;

	for (size_t i = 0; i < survey->count; i++) {
		const struct survey_entry *entry = &survey->entries[i];

		if (!entry->known) {
			log_warning("capacity not counted", KV("target", agent_name(entry->target)),
				    KV_ERR(&entry->info_err));
			continue;
		}
		if (!topology_covers(entry->info.topology, place) ||
		    !agent_info_room(&entry->info, pool, &here))
			continue;
		sum.available_bytes += here.available_bytes;
		if (here.maximum_bytes > sum.maximum_bytes)
			sum.maximum_bytes = here.maximum_bytes;
	}
	return sum;
}

int capacity_get(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__GetCapacityRequest *get = request;
	Csi__V1__GetCapacityResponse *answer = response;
	struct survey survey cleanup_survey = { 0 };
	const struct fs *fs = NULL;
	struct parameters parameters;
	struct agent_room room;
	struct access access;

	if (parameters_parse(MAP_OF(get, parameters), &parameters, err) < 0 ||
	    topology_check(get->accessible_topology, err) < 0)
		return -1;
	if (get->n_volume_capabilities) {
		if (access_parse_list(get->volume_capabilities, get->n_volume_capabilities, &access,
				      err) < 0)
			return -1;
		if (!access.block)
			fs = fs_find(parameters.fs_type ?: access.fs_type);
	}
	survey_take(call->context, parameters.target, NULL, controller_deadline(call), &survey);
	room = room_of(&survey, parameters.pool, get->accessible_topology);
	answer->available_capacity =
		room.available_bytes > INT64_MAX ? INT64_MAX : (int64_t)room.available_bytes;
	answer->maximum_volume_size = int64_value(call, room.maximum_bytes);
	answer->minimum_volume_size = int64_value(call, fs ? fs_min_bytes(fs) : VOLUME_BLOCK_BYTES);
	return 0;
}
