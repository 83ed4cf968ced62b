/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of the agent protocol, served from a target. */
#include "csi/agent/serve.h"

#include <stdlib.h>
#include <string.h>

#include "csi/agent/wire.h"
#include "csi/request/ids.h"

static int item_from_wire(const Nvmeot__Target__V1__SnapshotRequest *wire,
			  struct target_snapshot_item *ret, struct err *err)
{
	if (parse_uuid("uuid", wire->uuid, &ret->uuid, err) < 0 ||
	    parse_uuid("volume_uuid", wire->volume_uuid, &ret->volume, err) < 0 ||
	    require_text("name", wire->name, VOLUME_NAME_MAX, err) < 0)
		return -1;
	ret->name = wire->name;
	return 0;
}

static int items_from_wire(const Nvmeot__Target__V1__CreateSnapshotsRequest *create,
			   struct target_snapshot_item items[VOLUME_GROUP_MAX], struct err *err)
{
	if (create->n_snapshots == 0 || create->n_snapshots > VOLUME_GROUP_MAX)
		return err_set(err, ERR_INVALID_ARGUMENT, "snapshots: %zu entries are not 1 to %d",
			       create->n_snapshots, VOLUME_GROUP_MAX);
	for (size_t i = 0; i < create->n_snapshots; i++)
		if (item_from_wire(create->snapshots[i], &items[i], err) < 0)
			return -1;
	return 0;
}

static int group_from_wire(const Nvmeot__Target__V1__CreateSnapshotsRequest *create,
			   struct target_snapshot_request *ret, struct err *err)
{
	if (!*create->group_uuid && !*create->group_name)
		return 0;
	if (parse_uuid("group_uuid", create->group_uuid, &ret->group, err) < 0 ||
	    require_text("group_name", create->group_name, VOLUME_NAME_MAX, err) < 0)
		return -1;
	ret->group_name = create->group_name;
	return 0;
}

int serve_create_snapshots(struct rpc_call *call, const void *request, void *response,
			   struct err *err)
{
	const Nvmeot__Target__V1__CreateSnapshotsRequest *create = request;
	Nvmeot__Target__V1__CreateSnapshotsResponse *answer = response;
	struct target_snapshot_item items[VOLUME_GROUP_MAX];
	struct volume_parameter parameters[VOLUME_PARAMETERS_MAX];
	struct target_snapshot_request wanted = { .items = items,
						  .count = create->n_snapshots,
						  .parameters = parameters,
						  .parameter_count = create->n_parameters,
						  .freeze = create->freeze };
	struct volume_list taken cleanup_volume_list = { 0 };

	if (items_from_wire(create, items, err) < 0 || group_from_wire(create, &wanted, err) < 0 ||
	    serve_check_count("parameters", create->n_parameters, err) < 0 ||
	    serve_check_target(call, create->target_id, err) < 0)
		return -1;
	for (size_t i = 0; i < create->n_parameters; i++)
		parameters[i] = (struct volume_parameter) { create->parameters[i]->key,
							    create->parameters[i]->value };
	if (target_snapshot_take(call->context, &wanted, &taken, err) < 0)
		return -1;
	answer->snapshots = rpc_alloc(call, taken.count * sizeof(*answer->snapshots));
	for (size_t i = 0; i < taken.count; i++)
		answer->snapshots[answer->n_snapshots++] = wire_snapshot(call, &taken.volumes[i]);
	return 0;
}

int serve_get_snapshot(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Nvmeot__Target__V1__GetSnapshotRequest *get = request;
	Nvmeot__Target__V1__GetSnapshotResponse *answer = response;
	struct volume found cleanup_volume = { 0 };

	if (require_text("uuid", get->uuid, UUID_TEXT_SIZE - 1, err) < 0 ||
	    serve_check_looker(call, get->target_id, err) < 0 ||
	    target_snapshot_get(call->context, get->uuid, get->pool, &found, err) < 0)
		return -1;
	if (get->with_used_bytes)
		target_snapshots_weigh(call->context, &found, 1);
	answer->snapshot = wire_snapshot(call, &found);
	return 0;
}

/* As many of the first count of them as fit into one answer, and at least one. */
static void fill_page(struct rpc_call *call, const struct volume_list *found, size_t count,
		      Nvmeot__Target__V1__ListSnapshotsResponse *answer)
{
	size_t bytes = 0;

	answer->snapshots = rpc_alloc(call, count * sizeof(*answer->snapshots));
	for (size_t i = 0; i < count; i++) {
		Nvmeot__Target__V1__Snapshot *wire = wire_snapshot(call, &found->volumes[i]);

		bytes += protobuf_c_message_get_packed_size(&wire->base);
		if (i && bytes > RPC_PAGE_BYTES) {
			answer->more = true;
			return;
		}
		answer->snapshots[answer->n_snapshots++] = wire;
	}
}

int serve_list_snapshots(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const Nvmeot__Target__V1__ListSnapshotsRequest *list = request;
	Nvmeot__Target__V1__ListSnapshotsResponse *answer = response;
	const struct target_snapshot_query query = { .after = list->start_after,
						     .max = serve_page_max(list->max_entries),
						     .volume = list->volume_uuid,
						     .group = list->group_uuid };
	struct volume_list found cleanup_volume_list = { 0 };
	bool more = false;
	size_t count;

	if (serve_check_looker(call, list->target_id, err) < 0 ||
	    target_snapshot_list(call->context, &query, &found, &more, err) < 0)
		return -1;
	count = found.count;
	if (list->with_used_bytes)
		count = target_snapshots_weigh(call->context, found.volumes, count);
	answer->more = more || count < found.count;
	fill_page(call, &found, count, answer);
	return 0;
}

int serve_delete_snapshot(struct rpc_call *call, const void *request, void *response,
			  struct err *err)
{
	const Nvmeot__Target__V1__DeleteSnapshotRequest *delete = request;

	(void)response;
	if (require_text("uuid", delete->uuid, UUID_TEXT_SIZE - 1, err) < 0 ||
	    serve_check_target(call, delete->target_id, err) < 0)
		return -1;
	return target_snapshot_delete(call->context, delete->uuid, delete->pool, delete->group_uuid,
				      err);
}
