/* SPDX-License-Identifier: Apache-2.0 */
/* Text that is to move neither lines nor the terminal. */
#include "cmd/nvmeotctl/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/strb.h"

#define REPLACEMENT 0xfffd
#define ESCAPE_SIZE 7 /* "\u0000" and its end */

/* The character at p and the number of its bytes; a byte that begins none is REPLACEMENT. */
static unsigned character(const char *p, size_t *ret_len)
{
	uint32_t code = REPLACEMENT;

	*ret_len = strb_utf8(p, &code) ?: 1;
	return code;
}

static bool is_control(unsigned c)
{
	return c < ' ' || (c >= 0x7f && c < 0xa0);
}

void text_tidy(char *text)
{
	const char *p = text;
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
	const char *p = json;
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
