/* SPDX-License-Identifier: Apache-2.0 */
/* What each listing command asks and shows. */
#include "cmd/nvmeotctl/view.h"

#include <string.h>

#include "cmd/nvmeotctl/fields.h"
#include "nvme/base/cleanup.h"

#define METHOD(name) "/nvmeot.target.v1.Target/" name
#define PAGE_VOLUMES 500 /* an answer with the conditions of so many comes in a second or so */

static void message_free(ProtobufCMessage **message)
{
	if (*message)
		protobuf_c_message_free_unpacked(*message, NULL);
}

#define cleanup_message CLEANUP(message_free)

/* --- cells ------------------------------------------------------------------------------------ */

static char *render_text(struct json_object *value)
{
	return xstrdup(value ? json_object_get_string(value) : "");
}

static char *render_size(struct json_object *value)
{
	int64_t bytes = json_object_get_int64(value);

	return table_size(bytes > 0 ? (uint64_t)bytes : 0);
}

static char *render_known_size(struct json_object *value)
{
	return value ? render_size(value) : xstrdup("");
}

static char *render_count(struct json_object *value)
{
	return xasprintf("%zu", json_object_array_length(value));
}

/* Adds to a list of words; takes both texts over. */
static char *join(char *list, char *word, const char *separator)
{
	cleanup_free char *head = list, *tail = word;

	return xasprintf("%s%s%s", head, *head ? separator : "", tail);
}

static char *render_texts(struct json_object *value, const char *separator)
{
	char *list = xstrdup("");

	for (size_t i = 0; i < json_object_array_length(value); i++)
		list = join(list, render_text(json_object_array_get_idx(value, i)), separator);
	return list;
}

static char *render_words(struct json_object *value)
{
	return render_texts(value, ",");
}

static char *render_sentences(struct json_object *value)
{
	return render_texts(value, "; ");
}

static char *render_map(struct json_object *value)
{
	char *list = xstrdup("");

	json_object_object_foreach(value, key, entry)
		list = join(list, xasprintf("%s=%s", key, json_object_get_string(entry)), ",");
	return list;
}

static char *render_health(struct json_object *value)
{
	char *list = xstrdup("");

	for (size_t i = 0; i < json_object_array_length(value); i++) {
		struct json_object *condition = json_object_array_get_idx(value, i);
		const char *status =
			json_object_get_string(json_object_object_get(condition, "status"));
		const char *reason =
			json_object_get_string(json_object_object_get(condition, "reason"));

		list = join(list, xasprintf("%s:%s", status, reason), ",");
	}
	return *list ? list : join(list, xstrdup("ok"), "");
}

/* --- volumes and exports ---------------------------------------------------------------------- */

static int list_begin(struct rpc_client *client, const char *target, const struct uuid *after,
		      bool with_conditions, struct deadline deadline, struct rpc_pending **ret,
		      struct err *err)
{
	Nvmeot__Target__V1__ListVolumesRequest request =
		NVMEOT__TARGET__V1__LIST_VOLUMES_REQUEST__INIT;

	request.target_id = (char *)target;
	request.start_after = (char *)after->text;
	request.max_entries = PAGE_VOLUMES;
	request.with_conditions = with_conditions;
	return rpc_client_begin(client, METHOD("ListVolumes"), &request.base, deadline, ret, err);
}

/* An agent whose lists do not move on would be asked for ever. */
static int list_advance(bool more, const char *last, struct uuid *after, struct err *err)
{
	struct uuid uuid;

	if (!more) {
		after->text[0] = '\0';
		return 0;
	}
	if (parse_uuid("uuid", last, &uuid, err) < 0 || strcmp(uuid.text, after->text) <= 0)
		return err_set(err, ERR_INTERNAL,
			       "its list goes on after \"%.40s\", which is not after \"%s\"", last,
			       after->text);
	*after = uuid;
	return 0;
}

typedef void list_add_fn(const char *target, const Nvmeot__Target__V1__Volume *volume,
			 const struct view_sink *sink);

static int list_finish(struct rpc_pending *pending, const char *target,
		       const struct view_sink *sink, list_add_fn *add, struct uuid *after,
		       struct err *err)
{
	ProtobufCMessage *answer cleanup_message = NULL;
	const Nvmeot__Target__V1__ListVolumesResponse *list;

	if (rpc_pending_finish(pending, &nvmeot__target__v1__list_volumes_response__descriptor,
			       &answer, err) < 0)
		return -1;
	list = (const Nvmeot__Target__V1__ListVolumesResponse *)answer;
	for (size_t i = 0; i < list->n_volumes; i++)
		add(target, list->volumes[i], sink);
	return list_advance(list->more,
			    list->n_volumes ? list->volumes[list->n_volumes - 1]->uuid : "", after,
			    err);
}

static int volumes_begin(struct rpc_client *client, const char *target, const struct uuid *after,
			 struct deadline deadline, struct rpc_pending **ret, struct err *err)
{
	return list_begin(client, target, after, true, deadline, ret, err);
}

static void volumes_add(const char *target, const Nvmeot__Target__V1__Volume *volume,
			const struct view_sink *sink)
{
	sink->add(sink->context, fields_of_volume(target, volume));
}

static int volumes_finish(struct rpc_pending *pending, const char *target,
			  const struct view_sink *sink, struct uuid *after, struct err *err)
{
	return list_finish(pending, target, sink, volumes_add, after, err);
}

static const struct view_column volume_columns[] = {
	{ "VOLUME", "volume_id", render_text },	   { "NAME", "name", render_text },
	{ "SIZE", "size_bytes", render_size },	   { "CACHE", "write_cache", render_text },
	{ "ACCESS", "access", render_text },	   { "HOSTS", "hosts", render_count },
	{ "HEALTH", "conditions", render_health },
};

static int exports_begin(struct rpc_client *client, const char *target, const struct uuid *after,
			 struct deadline deadline, struct rpc_pending **ret, struct err *err)
{
	return list_begin(client, target, after, false, deadline, ret, err);
}

static void exports_add(const char *target, const Nvmeot__Target__V1__Volume *volume,
			const struct view_sink *sink)
{
	for (size_t i = 0; i < volume->n_exports; i++)
		sink->add(sink->context, fields_of_export(target, volume, volume->exports[i]));
}

static int exports_finish(struct rpc_pending *pending, const char *target,
			  const struct view_sink *sink, struct uuid *after, struct err *err)
{
	return list_finish(pending, target, sink, exports_add, after, err);
}

static const struct view_column export_columns[] = {
	{ "VOLUME", "volume_id", render_text },
	{ "HOST NQN", "host_nqn", render_text },
	{ "MODE", "access", render_text },
	{ "READONLY", "readonly", render_text },
};

/* --- snapshots -------------------------------------------------------------------------------- */

static int snapshots_begin(struct rpc_client *client, const char *target, const struct uuid *after,
			   struct deadline deadline, struct rpc_pending **ret, struct err *err)
{
	Nvmeot__Target__V1__ListSnapshotsRequest request =
		NVMEOT__TARGET__V1__LIST_SNAPSHOTS_REQUEST__INIT;

	request.target_id = (char *)target;
	request.start_after = (char *)after->text;
	request.max_entries = PAGE_VOLUMES;
	request.with_used_bytes = true;
	return rpc_client_begin(client, METHOD("ListSnapshots"), &request.base, deadline, ret, err);
}

static int snapshots_finish(struct rpc_pending *pending, const char *target,
			    const struct view_sink *sink, struct uuid *after, struct err *err)
{
	ProtobufCMessage *answer cleanup_message = NULL;
	const Nvmeot__Target__V1__ListSnapshotsResponse *list;

	if (rpc_pending_finish(pending, &nvmeot__target__v1__list_snapshots_response__descriptor,
			       &answer, err) < 0)
		return -1;
	list = (const Nvmeot__Target__V1__ListSnapshotsResponse *)answer;
	for (size_t i = 0; i < list->n_snapshots; i++)
		sink->add(sink->context, fields_of_snapshot(target, list->snapshots[i]));
	return list_advance(list->more,
			    list->n_snapshots ? list->snapshots[list->n_snapshots - 1]->uuid : "",
			    after, err);
}

static const struct view_column snapshot_columns[] = {
	{ "SNAPSHOT", "snapshot_id", render_text }, { "NAME", "name", render_text },
	{ "SIZE", "size_bytes", render_size },	    { "USED", "used_bytes", render_known_size },
	{ "CREATED", "created", render_text },	    { "VOLUME", "source_volume", render_text },
	{ "GROUP", "group_name", render_text },
};

/* --- targets ---------------------------------------------------------------------------------- */

static int targets_begin(struct rpc_client *client, const char *target, const struct uuid *after,
			 struct deadline deadline, struct rpc_pending **ret, struct err *err)
{
	Nvmeot__Target__V1__GetInfoRequest request = NVMEOT__TARGET__V1__GET_INFO_REQUEST__INIT;

	(void)target, (void)after;
	return rpc_client_begin(client, METHOD("GetInfo"), &request.base, deadline, ret, err);
}

static int targets_finish(struct rpc_pending *pending, const char *target,
			  const struct view_sink *sink, struct uuid *after, struct err *err)
{
	ProtobufCMessage *answer cleanup_message = NULL;
	const Nvmeot__Target__V1__GetInfoResponse *info;

	(void)after;
	if (rpc_pending_finish(pending, &nvmeot__target__v1__get_info_response__descriptor, &answer,
			       err) < 0)
		return -1;
	info = (const Nvmeot__Target__V1__GetInfoResponse *)answer;
	/* As the agent itself answers every call that says for whom it is. */
	if (strcmp(info->target_id, target) != 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the agent at this address calls itself \"%.64s\"; the name in "
			       "--target must be the agent's --name",
			       info->target_id);
	sink->add(sink->context, fields_of_target(info));
	return 0;
}

/* Warnings are sentences: at the end they widen no column. */
static const struct view_column target_columns[] = {
	{ "TARGET", "target", render_text },
	{ "VERSION", "version", render_text },
	{ "POOL", "pool", render_text },
	{ "KIND", "kind", render_text },
	{ "CAPACITY", "capacity_bytes", render_size },
	{ "PROVISIONED", "provisioned_bytes", render_size },
	{ "AVAILABLE", "available_bytes", render_size },
	{ "PORTALS", "portals", render_words },
	{ "TOPOLOGY", "topology", render_map },
	{ "WARNING", "warnings", render_sentences },
};

/* --- orphans ---------------------------------------------------------------------------------- */

static int orphans_begin(struct rpc_client *client, const char *target, const struct uuid *after,
			 struct deadline deadline, struct rpc_pending **ret, struct err *err)
{
	Nvmeot__Target__V1__ListOrphansRequest request =
		NVMEOT__TARGET__V1__LIST_ORPHANS_REQUEST__INIT;

	(void)after;
	request.target_id = (char *)target;
	return rpc_client_begin(client, METHOD("ListOrphans"), &request.base, deadline, ret, err);
}

static int orphans_finish(struct rpc_pending *pending, const char *target,
			  const struct view_sink *sink, struct uuid *after, struct err *err)
{
	ProtobufCMessage *answer cleanup_message = NULL;
	const Nvmeot__Target__V1__ListOrphansResponse *list;

	(void)after;
	if (rpc_pending_finish(pending, &nvmeot__target__v1__list_orphans_response__descriptor,
			       &answer, err) < 0)
		return -1;
	list = (const Nvmeot__Target__V1__ListOrphansResponse *)answer;
	for (size_t i = 0; i < list->n_orphans; i++)
		sink->add(sink->context, fields_of_orphan(target, list->orphans[i]));
	return 0;
}

static const struct view_column orphan_columns[] = {
	{ "TARGET", "target", render_text }, { "KIND", "kind", render_text },
	{ "POOL", "pool", render_text },     { "UUID", "uuid", render_text },
	{ "PATH", "path", render_text },     { "MESSAGE", "message", render_text },
};

/* --- all of them ------------------------------------------------------------------------------ */

#define VIEW(name, column_list)                                                                    \
	.command = #name, .columns = column_list, .column_count = ARRAY_SIZE(column_list),         \
	.begin = name##_begin, .finish = name##_finish

const struct view view_all[] = {
	{ VIEW(volumes, volume_columns) }, { VIEW(targets, target_columns), .rows = "pools" },
	{ VIEW(exports, export_columns) }, { VIEW(snapshots, snapshot_columns) },
	{ VIEW(orphans, orphan_columns) }, { 0 },
};

void view_add_titles(const struct view *view, struct table *table)
{
	for (size_t i = 0; i < view->column_count; i++)
		table_add(table, xstrdup(view->columns[i].title));
}

/* What the row itself does not have is the record's. */
static void add_row(const struct view *view, struct json_object *row, struct json_object *record,
		    struct table *table)
{
	for (size_t i = 0; i < view->column_count; i++) {
		const struct view_column *column = &view->columns[i];
		struct json_object *value;

		if (!json_object_object_get_ex(row, column->key, &value))
			value = json_object_object_get(record, column->key);
		table_add(table, column->render(value));
	}
}

void view_add_rows(const struct view *view, struct json_object *record, struct table *table)
{
	struct json_object *rows;

	if (!view->rows) {
		add_row(view, record, record, table);
		return;
	}
	rows = json_object_object_get(record, view->rows);
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		add_row(view, json_object_array_get_idx(rows, i), record, table);
}
