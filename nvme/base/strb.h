/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded string builder over a buffer of the caller's. The text is always terminated. What does
 * not fit is cut and `overflow` says so: a caller that must not cut checks it once, at the end.
 */
#ifndef NVME_BASE_STRB_H
#define NVME_BASE_STRB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strb {
	char *data;
	size_t len;
	size_t size;
	bool overflow;
};

/* An empty builder over buffer, which must outlive it; size >= 1. */
struct strb strb_over(char *buffer, size_t size);

void strb_clear(struct strb *s);
void strb_addc(struct strb *s, char c);
void strb_add(struct strb *s, const char *text);
void strb_addn(struct strb *s, const char *text, size_t len);
void strb_addf(struct strb *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strb_addv(struct strb *s, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/*
 * Adds text as the inside of a JSON string: quotes, backslashes and control bytes escaped, and
 * U+FFFD for each byte that is no UTF-8. What is cut at the end may be half an escape.
 */
void strb_add_json(struct strb *s, const char *text);

/* The bytes of the UTF-8 character that text begins with, and its code; 0: with none. */
size_t strb_utf8(const char *text, uint32_t *ret);

#endif
