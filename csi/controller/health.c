/* SPDX-License-Identifier: Apache-2.0 */
/* The health of volumes. */
#include "csi/controller/health.h"

#include "csi/controller/fill.h"
#include "csi/controller/pages.h"

int health_get(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__ControllerGetVolumeHealthRequest *get = request;
	Csi__V1__ControllerGetVolumeHealthResponse *answer = response;
	struct agent_condition silent = { .status = VOLUME_INACCESSIBLE,
					  .reason = "TargetUnreachable" };
	struct agent_volume volume cleanup_agent_volume = { 0 };
	struct agent_find_query query = { .conditions = true };
	struct agent *target;
	struct volume_id id;
	int found;

	if (require_text("volume_id", get->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    controller_locate(call->context, get->volume_id, &id, &target, err) < 0)
		return -1;
	query.uuid = &id.uuid;
	query.pool = id.pool;
	/* Half of the time is kept: the caller shall get the answer that there was none. */
	found = agent_find(target, &query, controller_share(controller_deadline(call)), &volume,
			   err);
	if (found == 0)
		return err_set(err, ERR_NOT_FOUND, "volume \"%s\" does not exist", get->volume_id);
	if (found == 1) {
		answer->volume_health =
			fill_health(call, &volume.id, volume.conditions, volume.condition_count);
		return 0;
	}
	if (err->code != ERR_UNAVAILABLE && err->code != ERR_DEADLINE_EXCEEDED)
		return -1;
	silent.message = err->msg;
	answer->volume_health = fill_health(call, &id, &silent, 1);
	return 0;
}

static ProtobufCMessage *show_sick(struct rpc_call *call, const struct agent_volume *volume,
				   struct map topology)
{
	(void)topology;
	if (!volume->condition_count)
		return NULL;
	return &fill_health(call, &volume->id, volume->conditions, volume->condition_count)->base;
}

int health_list(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__ControllerListVolumeHealthRequest *asked = request;
	Csi__V1__ControllerListVolumeHealthResponse *answer = response;
	const struct pages_query query = { .max_entries = asked->max_entries,
					   .starting_token = asked->starting_token,
					   .conditions = true,
					   .make = show_sick };
	struct page page;

	if (pages_walk(call, &query, &page, err) < 0)
		return -1;
	answer->entries = page.entries;
	answer->n_entries = page.count;
	answer->next_token = page.next_token;
	return 0;
}
