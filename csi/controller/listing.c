/* SPDX-License-Identifier: Apache-2.0 */
/* Listing and showing volumes. */
#include "csi/controller/listing.h"

#include "csi/controller/fill.h"
#include "csi/controller/pages.h"

static ProtobufCMessage *show(struct rpc_call *call, const struct agent_volume *volume,
			      struct map topology)
{
	Csi__V1__ListVolumesResponse__Entry *entry =
		RPC_NEW(call, Csi__V1__ListVolumesResponse__Entry,
			csi__v1__list_volumes_response__entry__init);

	entry->volume = fill_volume(call, volume, topology);
	entry->status = RPC_NEW(call, Csi__V1__ListVolumesResponse__VolumeStatus,
				csi__v1__list_volumes_response__volume_status__init);
	entry->status->published_node_ids = fill_hosts(call, volume);
	entry->status->n_published_node_ids = volume->host_count;
	return &entry->base;
}

int listing_list_volumes(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const Csi__V1__ListVolumesRequest *asked = request;
	Csi__V1__ListVolumesResponse *answer = response;
	const struct pages_query query = { .max_entries = asked->max_entries,
					   .starting_token = asked->starting_token,
					   .topology = true,
					   .make = show };
	struct page page;

	if (pages_walk(call, &query, &page, err) < 0)
		return -1;
	answer->entries = page.entries;
	answer->n_entries = page.count;
	answer->next_token = page.next_token;
	return 0;
}

int listing_get_volume(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__ControllerGetVolumeRequest *get = request;
	Csi__V1__ControllerGetVolumeResponse *answer = response;
	struct deadline deadline = controller_deadline(call);
	struct agent_ask *asked_info cleanup_agent_ask = NULL;
	struct agent_volume volume cleanup_agent_volume = { 0 };
	struct agent_info info cleanup_agent_info = { 0 };
	struct agent *target;
	struct volume_id id;

	if (require_text("volume_id", get->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    controller_locate(call->context, get->volume_id, &id, &target, err) < 0)
		return -1;
	asked_info = agent_info_begin(target, deadline);
	if (controller_require(call->context, get->volume_id, deadline, &target, &volume, err) <
		    0 ||
	    agent_info_finish(steal_ptr(&asked_info), &info, err) < 0)
		return -1;
	answer->volume = fill_volume(call, &volume, info.topology);
	answer->status = RPC_NEW(call, Csi__V1__ControllerGetVolumeResponse__VolumeStatus,
				 csi__v1__controller_get_volume_response__volume_status__init);
	answer->status->published_node_ids = fill_hosts(call, &volume);
	answer->status->n_published_node_ids = volume.host_count;
	return 0;
}
