/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded string builder. */
#include "nvme/base/strb.h"

#include <stdio.h>
#include <string.h>

struct strb strb_over(char *buffer, size_t size)
{
	struct strb s = { .data = buffer, .size = size };

	buffer[0] = '\0';
	return s;
}

void strb_clear(struct strb *s)
{
	s->len = 0;
	s->overflow = false;
	s->data[0] = '\0';
}

void strb_addn(struct strb *s, const char *text, size_t len)
{
	size_t room = s->size - s->len - 1;

	if (len > room) {
		len = room;
		s->overflow = true;
	}
	memcpy(s->data + s->len, text, len);
	s->len += len;
	s->data[s->len] = '\0';
}

void strb_addc(struct strb *s, char c)
{
	strb_addn(s, &c, 1);
}

void strb_add(struct strb *s, const char *text)
{
	strb_addn(s, text, strlen(text));
}

void strb_addv(struct strb *s, const char *format, va_list args)
{
	size_t room = s->size - s->len;
	int wanted = vsnprintf(s->data + s->len, room, format, args);

	if (wanted < 0) {
		s->data[s->len] = '\0';
		s->overflow = true;
	} else if ((size_t)wanted >= room) {
		s->len = s->size - 1;
		s->overflow = true;
	} else {
		s->len += (size_t)wanted;
	}
}

void strb_addf(struct strb *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	strb_addv(s, format, args);
	va_end(args);
}

size_t strb_utf8(const char *text, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)text;
	size_t len = *p < 0x80 ? 1 : *p < 0xc0 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
	uint32_t code = len == 1 ? *p : *p & (0xffU >> (len + 1));

	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (!len || *p > 0xf4 || code < least[len] || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		return 0;
	*ret = code;
	return len;
}

void strb_add_json(struct strb *s, const char *text)
{
	while (*text) {
		uint32_t code = 0;
		size_t len = strb_utf8(text, &code);

		if (!len)
			strb_add(s, "\\ufffd");
		else if (code == '"' || code == '\\')
			strb_addf(s, "\\%c", *text);
		else if (code == '\n')
			strb_add(s, "\\n");
		else if (code < 0x20 || code == 0x7f)
			strb_addf(s, "\\u%04x", code);
		else
			strb_addn(s, text, len);
		text += len ?: 1;
	}
}
