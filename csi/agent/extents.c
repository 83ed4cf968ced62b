/* SPDX-License-Identifier: Apache-2.0 */
/* Extents of snapshots, as an agent tells them. */
#include "csi/agent/extents.h"

#include "csi/agent/ask.h"

static bool take_one(const Nvmeot__Target__V1__Extent *wire, struct extents *list)
{
	const struct extent *last = list->count ? &list->items[list->count - 1] : NULL;
	uint64_t offset = (uint64_t)wire->offset_bytes, length = (uint64_t)wire->length_bytes;

	if (wire->offset_bytes < 0 || wire->length_bytes <= 0 || list->count == list->max ||
	    offset > list->next_bytes || length > list->next_bytes - offset ||
	    (last && offset < last->offset_bytes + last->length_bytes))
		return false;
	list->items[list->count++] =
		(struct extent) { .offset_bytes = offset, .length_bytes = length };
	return true;
}

/* Whether the answer is one about this start, in order and within its bounds. */
static bool take(const Nvmeot__Target__V1__ListExtentsResponse *answer, uint64_t start_bytes,
		 struct extents *list)
{
	if (answer->size_bytes < 0 || answer->next_offset_bytes < 0)
		return false;
	list->size_bytes = (uint64_t)answer->size_bytes;
	list->next_bytes = (uint64_t)answer->next_offset_bytes;
	if (list->next_bytes > list->size_bytes ||
	    answer->more != (list->next_bytes < list->size_bytes) ||
	    (answer->more && list->next_bytes <= start_bytes))
		return false;
	for (size_t i = 0; i < answer->n_extents; i++)
		if (!take_one(answer->extents[i], list))
			return false;
	return !list->count ||
	       list->items[0].offset_bytes + list->items[0].length_bytes > start_bytes;
}

struct agent_ask *agent_extents_begin(struct agent *agent, const struct agent_extents_query *query,
				      size_t max, struct deadline deadline)
{
	Nvmeot__Target__V1__ListExtentsRequest request =
		NVMEOT__TARGET__V1__LIST_EXTENTS_REQUEST__INIT;

	request.target_id = agent->name;
	request.uuid = (char *)query->snapshot->uuid.text;
	request.pool = (char *)query->snapshot->pool;
	request.base_uuid = (char *)(query->base ? query->base->text : "");
	request.start_offset_bytes = (int64_t)query->start_bytes;
	request.max_entries = max > INT32_MAX ? INT32_MAX : (int32_t)max;
	return agent_ask_begin(agent, AGENT_METHOD("ListExtents"), &request, deadline);
}

int agent_extents_finish(struct agent_ask *pending, const struct agent_extents_query *query,
			 struct extents *ret, struct err *err)
{
	struct agent_ask *ask cleanup_agent_ask = pending;
	ProtobufCMessage *answer cleanup_agent_answer = NULL;
	struct extents list = { .items = ret->items, .max = ret->max };

	if (agent_ask_wait(ask, AGENT_ANSWER(list_extents), &answer, err) < 0)
		return -1;
	if (!take((const Nvmeot__Target__V1__ListExtentsResponse *)answer, query->start_bytes,
		  &list))
		return err_set(err, ERR_INTERNAL,
			       "target %s: the extents of snapshot %s are out of order, or do not "
			       "go on",
			       ask->agent->name, query->snapshot->uuid.text);
	*ret = list;
	return 0;
}
