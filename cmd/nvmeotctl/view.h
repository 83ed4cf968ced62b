/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view: what a listing command asks an agent, which records it makes of the answer, and which
 * columns a table of them has. Adding a command is adding a view to the table in view.c.
 */
#ifndef CMD_NVMEOTCTL_VIEW_H
#define CMD_NVMEOTCTL_VIEW_H

#include <json-c/json.h>

#include "cmd/nvmeotctl/table.h"
#include "csi/rpc/client.h"
#include "nvme/base/parse.h"

/* Takes a record over. */
struct view_sink {
	void (*add)(void *context, struct json_object *record);
	void *context;
};

struct view_column {
	const char *title;
	const char *key; /* of the record */
	/* The value as text, owned; NULL value: the record has none. */
	char *(*render)(struct json_object *value);
};

struct view {
	const char *command;
	const char *rows; /* the array whose elements are rows; NULL: a record is a row */
	const struct view_column *columns;
	size_t column_count;
	/* Starts the call for what comes after the UUID `after`, "" at first. */
	int (*begin)(struct rpc_client *client, const char *target, const struct uuid *after,
		     struct deadline deadline, struct rpc_pending **ret, struct err *err);
	/*
	 * Waits for the answer, frees pending, and gives its records to the sink. *after becomes
	 * the UUID after which the list goes on, "" at its end.
	 */
	int (*finish)(struct rpc_pending *pending, const char *target, const struct view_sink *sink,
		      struct uuid *after, struct err *err);
};

/* All views, with one of command NULL at the end. */
extern const struct view view_all[];

/* The titles, as the first row. */
void view_add_titles(const struct view *view, struct table *table);

/* The rows of a record. */
void view_add_rows(const struct view *view, struct json_object *record, struct table *table);

#endif
