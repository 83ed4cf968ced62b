/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsing of values from outside: numbers, durations, hex, UUIDs, NQNs, names, labels. `what` names
 * the value in the error message ("parameter nrIoQueues"), which says what would be right. All
 * errors are ERR_INVALID_ARGUMENT. NULL text counts as empty. Results are untouched on failure.
 */
#ifndef NVME_BASE_PARSE_H
#define NVME_BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nvme/base/err.h"

#define UUID_TEXT_SIZE 37
#define NQN_MAX_LEN 223 /* NVMe Base Specification, "NVMe Qualified Names" */
#define NQN_SIZE (NQN_MAX_LEN + 1)

/* The canonical text form: 8-4-4-4-12, lower case. */
struct uuid {
	char text[UUID_TEXT_SIZE];
};

int parse_u64(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret,
	      struct err *err);
int parse_i64(const char *what, const char *text, int64_t min, int64_t max, int64_t *ret,
	      struct err *err);

/* "500ms", "10s", "2m", "1h"; a bare number is refused, since its unit would be a guess. */
int parse_duration_ms(const char *what, const char *text, uint64_t *ret, struct err *err);

/* Exactly size bytes from 2 * size hexadecimal digits. */
int parse_hex(const char *what, const char *text, uint8_t *ret, size_t size, struct err *err);

/* Accepts upper case and gives the canonical form; the nil UUID is refused. */
int parse_uuid(const char *what, const char *text, struct uuid *ret, struct err *err);

/*
 * Checks an NQN: "nqn.yyyy-mm.domain[:text]", at most 223 bytes of printable ASCII without blanks,
 * commas and slashes, because it becomes part of the kernel's option string and of configfs paths.
 */
int parse_nqn(const char *what, const char *text, char ret[NQN_SIZE], struct err *err);

/* Whether text has the form of names of targets and pools: [a-z0-9-]{1,32}. */
bool parse_is_name(const char *text);

/*
 * Checks a segment of a topology as Kubernetes does labels: the key "[prefix/]name", the value not
 * empty.
 */
int parse_label(const char *what, const char *key, const char *value, struct err *err);

#endif
