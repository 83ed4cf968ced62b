/* SPDX-License-Identifier: Apache-2.0 */
/* Key/value logging, as text or JSON. */
#include "nvme/base/log.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/strb.h"

#define LINE_SIZE 8192

static const char *const level_names[] = { "debug", "info", "warning", "error" };

/* Set once by log_init before any thread starts; atomics only keep the sanitizers' peace. */
static atomic_bool as_json;
static atomic_int threshold = LOG_LEVEL_INFO;

int log_init(const char *format, const char *level, struct err *err)
{
	if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "log format \"%.40s\" is not text or json", format);
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strcmp(level, level_names[i]) == 0) {
			as_json = strcmp(format, "json") == 0;
			threshold = (int)i;
			return 0;
		}
	}
	return err_set(err, ERR_INVALID_ARGUMENT,
		       "log level \"%.40s\" is not debug, info, warning or error", level);
}

bool log_enabled(enum log_level level)
{
	return (int)level >= threshold;
}

static void add_time(struct strb *line)
{
	char text[32];
	struct timespec ts;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	strb_addf(line, "%s.%03ldZ", text, ts.tv_nsec / 1000000);
}

static bool needs_quotes(const char *text)
{
	return !*text || strpbrk(text, " \"\\=\n\t\r") != NULL;
}

static void add_text_kv(struct strb *line, const struct log_kv *kv)
{
	const char *text = kv->text ?: "";

	strb_addf(line, " %s=", kv->key);
	if (kv->is_number) {
		strb_addf(line, "%" PRId64, kv->number);
	} else if (needs_quotes(text)) {
		strb_addc(line, '"');
		strb_add_json(line, text);
		strb_addc(line, '"');
	} else {
		strb_add_json(line, text);
	}
}

static void add_json_kv(struct strb *line, const struct log_kv *kv)
{
	strb_addf(line, ",\"%s\":", kv->key);
	if (kv->is_number) {
		strb_addf(line, "%" PRId64, kv->number);
		return;
	}
	strb_addc(line, '"');
	strb_add_json(line, kv->text ?: "");
	strb_addc(line, '"');
}

static void format_text(struct strb *line, enum log_level level, const char *msg,
			const struct log_kv *kv)
{
	add_time(line);
	strb_addf(line, " %-7s ", level_names[level]);
	strb_add_json(line, msg);
	for (; kv->key; kv++)
		add_text_kv(line, kv);
}

static void format_json(struct strb *line, enum log_level level, const char *msg,
			const struct log_kv *kv)
{
	strb_add(line, "{\"time\":\"");
	add_time(line);
	strb_addf(line, "\",\"level\":\"%s\",\"msg\":\"", level_names[level]);
	strb_add_json(line, msg);
	strb_addc(line, '"');
	for (; kv->key; kv++)
		add_json_kv(line, kv);
	strb_addc(line, '}');
}

void log_write(enum log_level level, const char *msg, const struct log_kv *kv)
{
	char buffer[LINE_SIZE];
	struct strb line = strb_over(buffer, sizeof(buffer) - 1);
	ssize_t ignored;

	if (as_json)
		format_json(&line, level, msg, kv);
	else
		format_text(&line, level, msg, kv);
	/* A cut JSON line would be no JSON: say less instead. Escapes take at most six for one. */
	if (line.overflow && as_json) {
		char head[LINE_SIZE / 8];

		snprintf(head, sizeof(head), "%s", msg);
		strb_clear(&line);
		format_json(&line, level, head,
			    (const struct log_kv[]) { KV("cut", "too long"), { 0 } });
	}
	buffer[line.len] = '\n';
	ignored = write(STDERR_FILENO, buffer, line.len + 1);
	(void)ignored;
}
