/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key/value logging to stderr, one line an event, in one write(2): text (`level msg key=value`) or
 * JSON. A call: log_info("volume staged", KV("volume_id", id), KV_U64("ms", ms)).
 * Values are copied at once; NULL strings are written as empty. Thread-safe. Never a secret here.
 */
#ifndef NVME_BASE_LOG_H
#define NVME_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "nvme/base/err.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

struct log_kv {
	const char *key; /* NULL ends the list */
	const char *text;
	int64_t number;
	bool is_number;
};

#define KV(k, v) ((struct log_kv) { .key = (k), .text = (v) })
#define KV_NUM(k, v) ((struct log_kv) { .key = (k), .number = (int64_t)(v), .is_number = true })
#define KV_ERR(e) KV("error", (e)->msg), KV("code", err_code_name((e)->code))

/* format: "text" or "json"; level: "debug", "info", "warning" or "error". ERR_INVALID_ARGUMENT. */
int log_init(const char *format, const char *level, struct err *err);

bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *msg, const struct log_kv *kv);

#define LOG_AT(level, msg, ...)                                                                    \
	do {                                                                                       \
		if (log_enabled(level))                                                            \
			log_write(level, msg,                                                      \
				  (const struct log_kv[]) { __VA_ARGS__ __VA_OPT__(, ) { 0 } });   \
	} while (0)

#define log_debug(msg, ...) LOG_AT(LOG_LEVEL_DEBUG, msg, __VA_ARGS__)
#define log_info(msg, ...) LOG_AT(LOG_LEVEL_INFO, msg, __VA_ARGS__)
#define log_warning(msg, ...) LOG_AT(LOG_LEVEL_WARNING, msg, __VA_ARGS__)
#define log_error(msg, ...) LOG_AT(LOG_LEVEL_ERROR, msg, __VA_ARGS__)

#endif
