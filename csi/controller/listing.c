/* SPDX-License-Identifier: Apache-2.0 */
/* Listing volumes and capacity. */
#include "csi/controller/listing.h"

#include <stdio.h>
#include <string.h>

#include "csi.pb-c.h"
#include "csi/request/access.h"
#include "csi/request/parameters.h"
#include "csi/volume/fs.h"
#include "nvme/base/log.h"

/* What the agents are asked for at once; one answer of theirs holds no more. */
#define PAGE_MAX 1000

/* A page of volumes as it grows, in the call's arena. */
struct page {
	struct rpc_call *call;
	Csi__V1__ListVolumesResponse__Entry **entries;
	size_t count, size;
	struct volume_id last;
};

static void page_add(const struct agent_listed *volume, void *context)
{
	struct page *page = context;
	struct rpc_call *call = page->call;
	Csi__V1__ListVolumesResponse__Entry *entry =
		RPC_NEW(call, Csi__V1__ListVolumesResponse__Entry,
			csi__v1__list_volumes_response__entry__init);
	Csi__V1__ListVolumesResponse__VolumeStatus *status =
		RPC_NEW(call, Csi__V1__ListVolumesResponse__VolumeStatus,
			csi__v1__list_volumes_response__volume_status__init);
	char id[VOLUME_ID_SIZE];

	if (page->count == page->size) {
		size_t size = page->size ? 2 * page->size : 64;
		void *grown = rpc_alloc(call, size * sizeof(*page->entries));

		if (page->count)
			memcpy(grown, page->entries, page->count * sizeof(*page->entries));
		page->entries = grown;
		page->size = size;
	}
	volume_id_format(&volume->id, id);
	entry->volume = RPC_NEW(call, Csi__V1__Volume, csi__v1__volume__init);
	entry->volume->volume_id = rpc_strdup(call, id);
	entry->volume->capacity_bytes = (int64_t)volume->size_bytes;
	status->published_node_ids = rpc_alloc(call, volume->host_count * sizeof(char *));
	for (size_t i = 0; i < volume->host_count; i++)
		status->published_node_ids[i] = rpc_strdup(call, volume->hosts[i]);
	status->n_published_node_ids = volume->host_count;
	entry->status = status;
	page->entries[page->count++] = entry;
	page->last = volume->id;
}

/* Where a token says to go on: the index of the target, and the UUID there. */
static int parse_token(const struct controller *controller, const char *token, size_t *ret_target,
		       struct uuid *ret_after, struct err *err)
{
	struct volume_id id;

	*ret_target = 0;
	*ret_after = (struct uuid) { 0 };
	if (!*token)
		return 0;
	if (volume_id_parse(token, &id)) {
		for (size_t i = 0; i < controller->target_count; i++) {
			if (strcmp(agent_name(controller->targets[i]), id.target) == 0) {
				*ret_target = i;
				*ret_after = id.uuid;
				return 0;
			}
		}
	}
	return err_set(err, ERR_ABORTED,
		       "starting_token \"%.128s\" is none of this controller; list from the start",
		       token);
}

/* Fills the page from one target; ret_more: the target has more than the page took. */
static int list_target(struct agent *target, size_t max, struct deadline deadline,
		       struct page *page, const char *after, bool *ret_more, struct err *err)
{
	struct uuid next;
	bool more = true;

	snprintf(next.text, sizeof(next.text), "%s", after);
	while (more && page->count < max) {
		size_t want = max - page->count < PAGE_MAX ? max - page->count : PAGE_MAX;

		if (agent_list(target, next.text, want, deadline, page_add, page, &more, err) < 0)
			return -1;
		if (page->count)
			next = page->last.uuid;
	}
	*ret_more = more;
	return 0;
}

int listing_list_volumes(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const Csi__V1__ListVolumesRequest *list = request;
	const struct controller *controller = call->context;
	Csi__V1__ListVolumesResponse *answer = response;
	size_t max = list->max_entries > 0 ? (size_t)list->max_entries : SIZE_MAX;
	struct page page = { .call = call };
	char token[VOLUME_ID_SIZE];
	struct uuid after;
	size_t i;
	bool more = false;

	if (list->max_entries < 0)
		return err_set(err, ERR_INVALID_ARGUMENT, "max_entries %d is negative",
			       list->max_entries);
	if (parse_token(controller, list->starting_token, &i, &after, err) < 0)
		return -1;
	for (; i < controller->target_count && page.count < max; i++) {
		if (list_target(controller->targets[i], max, call->deadline, &page, after.text,
				&more, err) < 0)
			return -1;
		after = (struct uuid) { 0 };
	}
	answer->entries = page.entries;
	answer->n_entries = page.count;
	/* Whether a later target has volumes is not known yet: its page may turn out empty. */
	if (page.count && (more || i < controller->target_count)) {
		volume_id_format(&page.last, token);
		answer->next_token = rpc_strdup(call, token);
	}
	return 0;
}

static Google__Protobuf__Int64Value *int64_value(struct rpc_call *call, uint64_t value)
{
	Google__Protobuf__Int64Value *box =
		RPC_NEW(call, Google__Protobuf__Int64Value, google__protobuf__int64_value__init);

	box->value = value > INT64_MAX ? INT64_MAX : (int64_t)value;
	return box;
}

/* Adds up what the reachable targets have: a volume can be created on those, whatever the rest. */
static void add_capacity(const struct controller *controller, const struct parameters *p,
			 struct deadline deadline, uint64_t *total, uint64_t *most)
{
	for (size_t i = 0; i < controller->target_count; i++) {
		struct agent *target = controller->targets[i];
		uint64_t here, here_most;
		struct err err = ERR_INIT;

		if (p->target[0] && strcmp(p->target, agent_name(target)) != 0)
			continue;
		if (agent_capacity(target, p->pool, deadline, &here, &here_most, &err) < 0) {
			log_warning("capacity not counted", KV("target", agent_name(target)),
				    KV_ERR(&err));
			continue;
		}
		*total += here;
		*most = here_most > *most ? here_most : *most;
	}
}

int listing_get_capacity(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const Csi__V1__GetCapacityRequest *get = request;
	Csi__V1__GetCapacityResponse *answer = response;
	const struct fs *fs = NULL;
	struct parameters parameters;
	struct access access;
	uint64_t total = 0, most = 0;

	if (parameters_parse(MAP_OF(get, parameters), &parameters, err) < 0)
		return -1;
	if (get->n_volume_capabilities) {
		if (access_parse_list(get->volume_capabilities, get->n_volume_capabilities, &access,
				      err) < 0)
			return -1;
		if (!access.block)
			fs = fs_find(parameters.fs_type ?: access.fs_type);
	}
	add_capacity(call->context, &parameters, call->deadline, &total, &most);
	answer->available_capacity = total > INT64_MAX ? INT64_MAX : (int64_t)total;
	answer->maximum_volume_size = int64_value(call, most);
	answer->minimum_volume_size = int64_value(call, fs ? fs_min_bytes(fs) : VOLUME_BLOCK_BYTES);
	return 0;
}
