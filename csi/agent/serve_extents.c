/* SPDX-License-Identifier: Apache-2.0 */
/* Extents of snapshots, served from a target. */
#include "csi/agent/serve.h"

#include "csi/request/ids.h"
#include "nvme/target/target.h"
#include "target.pb-c.h"

#define EXTENTS_MAX 4096

static void fill(struct rpc_call *call, const struct extents *list,
		 Nvmeot__Target__V1__ListExtentsResponse *answer)
{
	Nvmeot__Target__V1__Extent *wire = rpc_alloc(call, list->count * sizeof(*wire));

	answer->size_bytes = (int64_t)list->size_bytes;
	answer->next_offset_bytes = (int64_t)list->next_bytes;
	answer->more = list->next_bytes < list->size_bytes;
	answer->extents = rpc_alloc(call, list->count * sizeof(*answer->extents));
	for (size_t i = 0; i < list->count; i++) {
		nvmeot__target__v1__extent__init(&wire[i]);
		wire[i].offset_bytes = (int64_t)list->items[i].offset_bytes;
		wire[i].length_bytes = (int64_t)list->items[i].length_bytes;
		answer->extents[answer->n_extents++] = &wire[i];
	}
}

int serve_list_extents(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Nvmeot__Target__V1__ListExtentsRequest *wanted = request;
	const struct target_extents_query query = {
		.uuid = wanted->uuid,
		.pool = wanted->pool,
		.base = wanted->base_uuid,
		.start_bytes = (uint64_t)wanted->start_offset_bytes,
	};
	struct extents list = { .max = EXTENTS_MAX };

	if (require_text("uuid", wanted->uuid, UUID_TEXT_SIZE - 1, err) < 0 ||
	    serve_check_target(call, wanted->target_id, err) < 0)
		return -1;
	if (wanted->start_offset_bytes < 0)
		return err_set(err, ERR_INVALID_ARGUMENT, "start_offset_bytes %lld is negative",
			       (long long)wanted->start_offset_bytes);
	if (wanted->max_entries > 0 && wanted->max_entries < EXTENTS_MAX)
		list.max = (size_t)wanted->max_entries;
	list.items = rpc_alloc(call, list.max * sizeof(*list.items));
	if (target_extents(call->context, &query, &list, err) < 0)
		return -1;
	fill(call, &list, response);
	return 0;
}
