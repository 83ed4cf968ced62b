/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a text is what Prometheus takes (its text format, 0.0.4), stricter than it is: each
 * metric has a head and stands in one piece, no sample comes twice, counters are named so, and
 * histograms add up.
 */
#ifndef TESTS_UNIT_METRICS_CHECK_H
#define TESTS_UNIT_METRICS_CHECK_H

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nvme/base/cleanup.h"

#define METRICS_NAME 96
#define METRICS_SERIES_MAX 4096

struct metrics_check {
	char metric[METRICS_NAME], type[16]; /* of the last head */
	char *heads[METRICS_SERIES_MAX];     /* metrics so far */
	size_t head_count;
	char *series[METRICS_SERIES_MAX]; /* samples so far, without their values */
	size_t series_count;
	double last_bucket; /* of a histogram's row of buckets */
};

static inline size_t metrics_name_len(const char *text, bool label)
{
	size_t len = 0;

	while (isalnum((unsigned char)text[len]) || text[len] == '_' ||
	       (!label && text[len] == ':'))
		len++;
	return isdigit((unsigned char)*text) ? 0 : len;
}

/* Past the closing quote. */
static inline const char *metrics_skip_value(const char *p)
{
	assert_int_equal(*p, '"');
	for (p++; *p != '"'; p++) {
		assert_int_not_equal(*p, '\0');
		if (*p == '\\') {
			p++;
			assert_true(*p == 'n' || *p == '\\' || *p == '"');
		}
	}
	return p + 1;
}

static inline const char *metrics_skip_labels(const char *p)
{
	if (*p != '{')
		return p;
	do {
		size_t len = metrics_name_len(++p, true);

		assert_true(len > 0);
		assert_int_equal(p[len], '=');
		p = metrics_skip_value(p + len + 1);
	} while (*p == ',');
	assert_int_equal(*p, '}');
	return p + 1;
}

static inline void metrics_remember(char **list, size_t *count, const char *text, size_t len)
{
	char *copy = strndup(text, len);

	for (size_t i = 0; i < *count; i++)
		if (strcmp(list[i], copy) == 0)
			fail_msg("%s comes twice", copy);
	assert_true(*count < METRICS_SERIES_MAX);
	list[(*count)++] = copy;
}

static inline void metrics_check_head(struct metrics_check *check, const char *line)
{
	char word[8], name[METRICS_NAME], rest[METRICS_NAME * 4];

	if (sscanf(line, "# %7s %95s %383[^\n]", word, name, rest) != 3)
		fail_msg("no head: %s", line);
	assert_int_equal(metrics_name_len(name, false), strlen(name));
	if (strcmp(word, "HELP") == 0) {
		metrics_remember(check->heads, &check->head_count, name, strlen(name));
		strcpy(check->metric, name);
		check->type[0] = '\0';
		return;
	}
	assert_string_equal(word, "TYPE");
	assert_string_equal(check->metric, name);
	assert_true(strcmp(rest, "counter") == 0 || strcmp(rest, "gauge") == 0 ||
		    strcmp(rest, "histogram") == 0);
	strcpy(check->type, rest);
	if (strcmp(rest, "counter") == 0)
		assert_string_equal(name + strlen(name) - 6, "_total");
}

static inline void metrics_check_histogram(struct metrics_check *check, const char *suffix,
					   const char *line, double value)
{
	if (strcmp(suffix, "_bucket") == 0) {
		assert_non_null(strstr(line, "le=\""));
		assert_true(value >= check->last_bucket);
		check->last_bucket = value;
		return;
	}
	assert_null(strstr(line, "le=\""));
	if (strcmp(suffix, "_count") == 0) {
		assert_true(value == check->last_bucket);
		check->last_bucket = 0;
	} else {
		assert_string_equal(suffix, "_sum");
	}
}

static inline void metrics_check_sample(struct metrics_check *check, const char *line)
{
	size_t len = metrics_name_len(line, false), metric_len = strlen(check->metric);
	const char *value = metrics_skip_labels(line + len);
	char suffix[METRICS_NAME] = "", *end;
	double number;

	assert_int_equal(*value, ' ');
	number = strtod(value + 1, &end);
	if (end == value + 1 || *end)
		fail_msg("no number: %s", line);
	assert_true(number >= 0);
	if (len < metric_len || strncmp(line, check->metric, metric_len) != 0)
		fail_msg("not below its head: %s", line);
	assert_true(check->type[0]);
	memcpy(suffix, line + metric_len, len - metric_len);
	if (strcmp(check->type, "histogram") == 0)
		metrics_check_histogram(check, suffix, line, number);
	else
		assert_string_equal(suffix, "");
	metrics_remember(check->series, &check->series_count, line, (size_t)(value - line));
}

/* Returns how many samples there are. */
static inline size_t metrics_check(const char *text)
{
	struct metrics_check *check = xcalloc(1, sizeof(*check));
	cleanup_free char *copy = xstrdup(text);
	char *rest = copy, *line;
	size_t count;

	assert_int_equal(text[strlen(text) - 1], '\n');
	while ((line = strsep(&rest, "\n")) && rest) {
		if (*line == '#')
			metrics_check_head(check, line);
		else
			metrics_check_sample(check, line);
	}
	count = check->series_count;
	for (size_t i = 0; i < check->series_count; i++)
		free(check->series[i]);
	for (size_t i = 0; i < check->head_count; i++)
		free(check->heads[i]);
	free(check);
	return count;
}

/* The value of the sample that begins with this, labels included; -1: there is none. */
static inline double metrics_find(const char *text, const char *series)
{
	size_t len = strlen(series);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, series, len) == 0 && line[len] == ' ')
			return strtod(line + len + 1, NULL);
	}
	return -1;
}

#endif
