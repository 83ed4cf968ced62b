/* SPDX-License-Identifier: Apache-2.0 */
/* thin_ls(8) and its table, line by line. */
#include "nvme/target/thin_ls.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/proc.h"
#include "nvme/target/thin_delta.h"

#define LINE_SIZE 128

struct reading {
	struct thin_ls *list;
	struct err *err; /* set when it has failed */
	bool failed;
	char line[LINE_SIZE];
	size_t len;
};

static void fail(struct reading *reading)
{
	reading->failed = true;
	err_set(reading->err, ERR_INTERNAL, "thin_ls printed what is not understood: \"%s\"",
		reading->line);
}

static void add(struct reading *reading, struct thin_ls_volume volume)
{
	struct thin_ls *list = reading->list;

	if (list->count == THIN_LS_MAX) {
		reading->failed = true;
		err_set(reading->err, ERR_INTERNAL, "thin_ls printed more than %d thin volumes",
			THIN_LS_MAX);
		return;
	}
	if (list->count == list->size) {
		list->size = list->size ? 2 * list->size : 64;
		list->items = xrealloc(list->items, list->size, sizeof(*list->items));
	}
	list->items[list->count++] = volume;
}

/* "  ID  BYTES ", none of which can be larger than the digits that are taken. */
static void take_line(struct reading *reading)
{
	const struct thin_ls *list = reading->list;
	char id[9], bytes[19], rest;
	struct thin_ls_volume volume;

	if (sscanf(reading->line, " %8[0-9] %18[0-9] %c", id, bytes, &rest) != 2) {
		fail(reading);
		return;
	}
	volume = (struct thin_ls_volume) { (unsigned)strtoul(id, NULL, 10),
					   strtoull(bytes, NULL, 10) };
	if (list->count && volume.id <= list->items[list->count - 1].id)
		fail(reading);
	else
		add(reading, volume);
}

static bool take(void *context, const char *text, size_t len)
{
	struct reading *reading = context;

	for (size_t i = 0; i < len && !reading->failed; i++) {
		if (text[i] == '\n') {
			take_line(reading);
			reading->len = 0;
		} else {
			reading->line[reading->len++] = text[i];
			if (reading->len == LINE_SIZE - 1)
				fail(reading);
		}
		reading->line[reading->len] = '\0';
	}
	return !reading->failed;
}

int thin_ls_read(const char *device, struct deadline deadline, struct thin_ls *list,
		 struct err *err)
{
	static const char *const fields = "DEV,EXCLUSIVE_BYTES";
	const char *const argv[] = {
		"thin_ls", "--metadata-snap", "--no-headers", "--format", fields, device, NULL
	};
	struct reading reading = { .list = list, .err = err };
	const struct proc_reader reader = { .take = take, .context = &reading };
	cleanup_free struct proc_result *result = xcalloc(1, sizeof(*result));

	list->count = 0;
	if (thin_delta_check(argv[0], deadline, result, err) < 0 ||
	    proc_feed(argv, deadline, &reader, result, err) < 0 || reading.failed)
		return -1;
	if (result->exit_code != 0)
		return err_set(err, ERR_INTERNAL, "thin_ls failed with status %d: %.300s",
			       result->exit_code, result->err);
	if (reading.len)
		return err_set(err, ERR_INTERNAL, "thin_ls did not print all of \"%s\"",
			       reading.line);
	return 0;
}

static int by_id(const void *key, const void *item)
{
	const struct thin_ls_volume *volume = item;
	unsigned id = *(const unsigned *)key;

	return (id > volume->id) - (id < volume->id);
}

const struct thin_ls_volume *thin_ls_find(const struct thin_ls *list, unsigned id)
{
	return list->count ? bsearch(&id, list->items, list->count, sizeof(*list->items), by_id) :
			     NULL;
}

void thin_ls_fini(struct thin_ls *list)
{
	free(list->items);
	*list = (struct thin_ls) { 0 };
}
