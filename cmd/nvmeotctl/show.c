/* SPDX-License-Identifier: Apache-2.0 */
/* Asking target agents, and printing what they say. */
#include "cmd/nvmeotctl/show.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/nvmeotctl/fields.h"
#include "cmd/nvmeotctl/text.h"
#include "nvme/base/cleanup.h"

/* A target, and the call to it that is under way. */
struct peer {
	char name[TARGET_NAME_SIZE];
	struct rpc_client *client;
	struct rpc_pending *pending;
	struct uuid after;
	struct err err; /* why there is no call */
};

struct peers {
	struct peer *items;
	size_t count;
};

static void peers_fini(struct peers *peers)
{
	for (size_t i = 0; i < peers->count; i++) {
		rpc_pending_cancelp(&peers->items[i].pending);
		rpc_client_freep(&peers->items[i].client);
	}
	free(peers->items);
}

static int peer_open(const struct peers *others, const char *item, const char *tls_dir,
		     struct peer *ret, struct err *err)
{
	const char *address;

	if (option_target(item, ret->name, &address, err) < 0)
		return -1;
	for (size_t i = 0; i < others->count; i++)
		if (strcmp(others->items[i].name, ret->name) == 0)
			return err_set(err, ERR_INVALID_ARGUMENT, "target %s is given twice",
				       ret->name);
	if (rpc_client_new(address, tls_dir, &ret->client, err) < 0)
		return err_wrap(err, "target %s", ret->name);
	return 0;
}

static int peers_open(const struct show_config *config, struct peers *peers, struct err *err)
{
	const struct option_list *list = config->targets;

	if (!list->count)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "--target=NAME=HOST:PORT is required and missing: a target agent");
	peers->items = xcalloc(list->count, sizeof(*peers->items));
	for (; peers->count < list->count; peers->count++)
		if (peer_open(peers, list->items[peers->count], config->tls_dir,
			      &peers->items[peers->count], err) < 0)
			return -1;
	return 0;
}

/* --- what they said --------------------------------------------------------------------------- */

/* Records are kept for JSON; of a table only the cells. */
struct shown {
	const struct view *view;
	struct json_object *records; /* NULL: a table is wanted */
	struct table table;
	struct json_object *errors;
	enum err_code first_error;
};

static void shown_fini(struct shown *shown)
{
	json_object_put(shown->records);
	json_object_put(shown->errors);
	table_fini(&shown->table);
}

static void add_record(void *context, struct json_object *record)
{
	struct shown *shown = context;

	if (shown->records) {
		json_object_array_add(shown->records, record);
		return;
	}
	view_add_rows(shown->view, record, &shown->table);
	json_object_put(record);
}

static void add_error(struct shown *shown, const struct peer *peer, struct err *err)
{
	err_wrap(err, "target %s", peer->name);
	json_object_array_add(shown->errors, fields_of_error(peer->name, err));
	if (!shown->first_error)
		shown->first_error = err->code;
}

static int peer_begin(const struct view *view, struct peer *peer, uint64_t timeout_ms,
		      struct err *err)
{
	return view->begin(peer->client, peer->name, &peer->after, deadline_after_ms(timeout_ms),
			   &peer->pending, err);
}

/* To the end of its list. */
static int peer_finish(struct shown *shown, struct peer *peer, uint64_t timeout_ms, struct err *err)
{
	const struct view_sink sink = { .add = add_record, .context = shown };

	for (;;) {
		if (shown->view->finish(steal_ptr(&peer->pending), peer->name, &sink, &peer->after,
					err) < 0)
			return -1;
		if (!peer->after.text[0])
			return 0;
		if (peer_begin(shown->view, peer, timeout_ms, err) < 0)
			return -1;
	}
}

static void ask_all(struct shown *shown, struct peers *peers, uint64_t timeout_ms)
{
	for (size_t i = 0; i < peers->count; i++)
		peer_begin(shown->view, &peers->items[i], timeout_ms, &peers->items[i].err);
	for (size_t i = 0; i < peers->count; i++) {
		struct peer *peer = &peers->items[i];

		if (!peer->pending || peer_finish(shown, peer, timeout_ms, &peer->err) < 0)
			add_error(shown, peer, &peer->err);
	}
}

/* --- printing --------------------------------------------------------------------------------- */

/* What was added belongs to the document from then on. */
static void print_json(struct shown *shown, FILE *out)
{
	struct json_object *document = json_object_new_object();
	cleanup_free char *text = NULL;

	json_object_object_add(document, shown->view->command, json_object_get(shown->records));
	json_object_object_add(document, "errors", json_object_get(shown->errors));
	text = text_json(json_object_to_json_string_ext(
		document, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	fprintf(out, "%s\n", text);
	json_object_put(document);
}

static void print_errors(const struct shown *shown, FILE *out)
{
	for (size_t i = 0; i < json_object_array_length(shown->errors); i++) {
		struct json_object *error = json_object_array_get_idx(shown->errors, i);
		cleanup_free char *message =
			xstrdup(json_object_get_string(json_object_object_get(error, "message")));

		text_tidy(message);
		fprintf(out, "%s: %s\n",
			json_object_get_string(json_object_object_get(error, "code")), message);
	}
}

int show_run(const struct view *view, const struct show_config *config, FILE *out, FILE *error_out,
	     struct err *err)
{
	CLEANUP(shown_fini)
	struct shown shown = { .view = view,
			       .table.columns = view->column_count,
			       .records = config->json ? json_object_new_array() : NULL,
			       .errors = json_object_new_array() };
	CLEANUP(peers_fini) struct peers peers = { 0 };
	size_t failed;

	if (peers_open(config, &peers, err) < 0)
		return -1;
	if (!config->json)
		view_add_titles(view, &shown.table);
	ask_all(&shown, &peers, config->timeout_ms);
	if (config->json)
		print_json(&shown, out);
	else
		table_print(&shown.table, out);
	print_errors(&shown, error_out);
	failed = json_object_array_length(shown.errors);
	if (failed)
		return err_set(err, shown.first_error, "%zu of %zu targets failed", failed,
			       peers.count);
	return 0;
}
