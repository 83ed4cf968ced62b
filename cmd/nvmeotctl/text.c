/* SPDX-License-Identifier: Apache-2.0 */
/* Text that is to move neither lines nor the terminal. */
#include "cmd/nvmeotctl/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/cleanup.h"

#define REPLACEMENT 0xfffd
#define ESCAPE_SIZE 7 /* "\u0000" and its end */

/* The character at p and the number of its bytes; a byte that begins none is REPLACEMENT. */
static unsigned character(const unsigned char *p, size_t *ret_len)
{
	static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;
	unsigned value = *p & (0xffU >> (len + 1));

	*ret_len = 1;
	if (*p < 0x80)
		return *p;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return REPLACEMENT;
		value = value << 6 | (p[i] & 0x3f);
	}
	if (!len || value < least[len])
		return REPLACEMENT;
	*ret_len = len;
	return value;
}

static bool is_control(unsigned c)
{
	return c < ' ' || (c >= 0x7f && c < 0xa0);
}

void text_tidy(char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	char *out = text;

	while (*p) {
		size_t len;
		unsigned c = character(p, &len);

		if (is_control(c) || (c == REPLACEMENT && len == 1))
			*out++ = '?';
		else
			out = (char *)memmove(out, p, len) + len;
		p += len;
	}
	*out = '\0';
}

char *text_json(const char *json)
{
	const unsigned char *p = (const unsigned char *)json;
	char *text = xcalloc(strlen(json) + 1, ESCAPE_SIZE);
	char *out = text;

	while (*p) {
		size_t len;
		unsigned c = character(p, &len);

		/* Between its strings a document has blanks and line ends; within, no such
		 * character. */
		if ((c >= ' ' && is_control(c)) || (c == REPLACEMENT && len == 1))
			out += snprintf(out, ESCAPE_SIZE, "\\u%04x", c);
		else
			out = (char *)memcpy(out, p, len) + len;
		p += len;
	}
	*out = '\0';
	return text;
}
