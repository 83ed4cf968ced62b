/* SPDX-License-Identifier: Apache-2.0 */
/* thin_delta(8) and its XML, element by element. */
#include "nvme/target/thin_delta.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/target/dm.h"

#define VERSION "0.9."
#define ELEMENT_SIZE 512 /* the longest has a UUID and four numbers */

/* What comes next, in this order; the last two are ends. */
enum stage {
	STAGE_SUPERBLOCK,
	STAGE_DIFF,
	STAGE_RANGES,
	STAGE_SUPERBLOCK_END,
	STAGE_NOTHING,
	STAGE_FULL,
	STAGE_FAILED,
};

struct reading {
	const struct thin_delta_query *query;
	struct extents *list;
	struct err *err; /* set when it has failed */
	enum stage stage;
	uint64_t told; /* chunks: all before are told */
	bool within;   /* an element, of which this has come: */
	char element[ELEMENT_SIZE];
	size_t len;
};

static void fail(struct reading *reading)
{
	err_set(reading->err, ERR_INTERNAL,
		"thin_delta of thin volumes %u and %u printed what is not understood: \"%.300s\"",
		reading->query->base_id, reading->query->id, reading->element);
	reading->stage = STAGE_FAILED;
}

static bool is_named(const char *element, const char *name)
{
	size_t len = strlen(name);

	return strncmp(element, name, len) == 0 && strchr(" /", element[len]);
}

/* Whether the attribute is there and a number. */
static bool attribute(const char *element, const char *name, uint64_t *ret)
{
	char pattern[32], *end;
	const char *at;

	snprintf(pattern, sizeof(pattern), " %s=\"", name);
	at = strstr(element, pattern);
	if (!at || !isdigit((unsigned char)at[strlen(pattern)]))
		return false;
	*ret = strtoull(at + strlen(pattern), &end, 10);
	return *end == '"';
}

static bool attribute_is(const char *element, const char *name, uint64_t expected)
{
	uint64_t value;

	return attribute(element, name, &value) && value == expected;
}

/* Of what differs, or, of a volume beside itself, of what it has. */
static bool is_wanted(const struct reading *reading)
{
	return reading->query->id == reading->query->base_id || !is_named(reading->element, "same");
}

/* Cut to what is asked for: a volume may be smaller than its chunks and than the other one. */
static void add(struct reading *reading, uint64_t begin, uint64_t length)
{
	uint64_t start = begin * reading->query->chunk_bytes;
	uint64_t end = start + length * reading->query->chunk_bytes;

	if (start < reading->query->start_bytes)
		start = reading->query->start_bytes;
	if (start >= end || start >= reading->list->size_bytes)
		return;
	if (!extents_add(reading->list, start, end))
		reading->stage = STAGE_FULL;
}

static void take_range(struct reading *reading)
{
	static const char *const kinds[] = { "same", "different", "left_only", "right_only" };
	uint64_t limit = INT64_MAX / reading->query->chunk_bytes, begin = 0, length = 0;
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		known = known || is_named(reading->element, kinds[i]);
	if (!known || !attribute(reading->element, "begin", &begin) ||
	    !attribute(reading->element, "length", &length) || begin < reading->told ||
	    begin > limit || length == 0 || length > limit - begin) {
		fail(reading);
		return;
	}
	reading->told = begin + length;
	if (is_wanted(reading))
		add(reading, begin, length);
}

static void expect(struct reading *reading, bool expected)
{
	if (expected)
		reading->stage++;
	else
		fail(reading);
}

static void take_element(struct reading *reading)
{
	const struct thin_delta_query *query = reading->query;
	const char *element = reading->element;

	switch (reading->stage) {
	case STAGE_SUPERBLOCK:
		expect(reading, is_named(element, "superblock") &&
					attribute_is(element, "data_block_size",
						     query->chunk_bytes / DM_SECTOR_BYTES));
		break;
	case STAGE_DIFF:
		expect(reading, is_named(element, "diff") &&
					attribute_is(element, "left", query->base_id) &&
					attribute_is(element, "right", query->id));
		break;
	case STAGE_RANGES:
		if (strcmp(element, "/diff") == 0)
			reading->stage++;
		else
			take_range(reading);
		break;
	case STAGE_SUPERBLOCK_END:
		expect(reading, strcmp(element, "/superblock") == 0);
		break;
	default:
		fail(reading);
	}
}

static void take_char(struct reading *reading, char c)
{
	if (reading->within && c == '>') {
		reading->within = false;
		take_element(reading);
		return;
	}
	if (!reading->within && isspace((unsigned char)c))
		return;
	if (!reading->within && c == '<') {
		reading->within = true;
		reading->len = 0;
		return;
	}
	if (!reading->within)
		reading->len = 0;
	reading->element[reading->len++] = c;
	reading->element[reading->len] = '\0';
	if (!reading->within || reading->len == ELEMENT_SIZE - 1)
		fail(reading);
}

static bool take(void *context, const char *text, size_t len)
{
	struct reading *reading = context;

	for (size_t i = 0; i < len && reading->stage < STAGE_FULL; i++)
		take_char(reading, text[i]);
	return reading->stage < STAGE_FULL;
}

static int judge(const struct reading *reading, struct proc_result *result, struct err *err)
{
	if (reading->stage == STAGE_FAILED)
		return -1;
	if (reading->stage == STAGE_FULL)
		return 0;
	/* What follows the first line is how it is used. */
	result->err[strcspn(result->err, "\n")] = '\0';
	if (result->exit_code != 0)
		return err_set(err, ERR_INTERNAL,
			       "thin_delta of thin volumes %u and %u failed with status %d: %.300s",
			       reading->query->base_id, reading->query->id, result->exit_code,
			       result->err);
	if (reading->stage != STAGE_NOTHING)
		return err_set(err, ERR_INTERNAL,
			       "thin_delta of thin volumes %u and %u did not print all of it",
			       reading->query->base_id, reading->query->id);
	reading->list->next_bytes = reading->list->size_bytes;
	return 0;
}

/* What others print may look the same and leave out what differs: see the header. */
int thin_delta_check(const char *program, struct deadline deadline, struct proc_result *result,
		     struct err *err)
{
	if (proc_run((const char *const[]) { program, "-V", NULL }, deadline, result, err) < 0)
		return -1;
	result->out[strcspn(result->out, "\n")] = '\0';
	if (result->exit_code == 0 && strncmp(result->out, VERSION, strlen(VERSION)) == 0)
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "%s is of version \"%.100s\": only of " VERSION
		       "x it is known that it tells all",
		       program, result->out);
}

int thin_delta_read(const struct thin_delta_query *query, struct deadline deadline,
		    struct extents *list, struct err *err)
{
	struct reading reading = { .query = query, .list = list, .err = err };
	const struct proc_reader reader = { .take = take, .context = &reading };
	cleanup_free struct proc_result *result = xcalloc(1, sizeof(*result));
	char left[32], right[32], block[64];
	const char *const argv[] = { "thin_delta", left, right, block, query->device, NULL };

	snprintf(left, sizeof(left), "--snap1=%u", query->base_id);
	snprintf(right, sizeof(right), "--snap2=%u", query->id);
	snprintf(block, sizeof(block), "--metadata-snap=%" PRIu64, query->snapshot_block);
	list->count = 0;
	if (thin_delta_check("thin_delta", deadline, result, err) < 0 ||
	    proc_feed(argv, deadline, &reader, result, err) < 0)
		return -1;
	return judge(&reading, result, err);
}
