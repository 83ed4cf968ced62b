/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded string builder. */
#include "nvme/base/strb.h"

#include <stdint.h>
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

/* The length of the UTF-8 sequence at p, which is terminated; 0 when there is no valid one. */
static size_t utf8_len(const unsigned char *p)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = *p < 0x80 ? 1 : *p < 0xc0 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
	uint32_t code = *p & (0xffU >> (len + 1));

	if (len < 2)
		return len;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (*p > 0xf4 || code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return len;
}

void strb_add_json(struct strb *s, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		size_t len = utf8_len(p);

		if (!len)
			strb_add(s, "\\ufffd");
		else if (*p == '"' || *p == '\\')
			strb_addf(s, "\\%c", *p);
		else if (*p == '\n')
			strb_add(s, "\\n");
		else if (*p < 0x20 || *p == 0x7f)
			strb_addf(s, "\\u%04x", *p);
		else
			strb_addn(s, (const char *)p, len);
		p += len ?: 1;
	}
}
