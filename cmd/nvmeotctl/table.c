/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people. */
#include "cmd/nvmeotctl/table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cmd/nvmeotctl/text.h"
#include "nvme/base/cleanup.h"

void table_add(struct table *table, char *text)
{
	if (!text || !*text) {
		free(text);
		text = xstrdup("-");
	}
	text_tidy(text);
	if (table->count == table->room) {
		table->room = table->room ? 2 * table->room : 64;
		table->cells = xrealloc(table->cells, table->room, sizeof(*table->cells));
	}
	table->cells[table->count++] = text;
}

/* In characters: bytes of UTF-8 that begin one. */
static size_t width(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

static void print_row(const struct table *table, size_t first, const size_t *widths, FILE *out)
{
	for (size_t i = 0; i < table->columns; i++) {
		const char *cell = table->cells[first + i];
		size_t pad = widths[i] - width(cell) + 2;

		fprintf(out, "%s%*s", cell, i + 1 < table->columns ? (int)pad : 0, "");
	}
	fputc('\n', out);
}

void table_print(const struct table *table, FILE *out)
{
	cleanup_free size_t *widths = xcalloc(table->columns, sizeof(*widths));

	for (size_t i = 0; i < table->count; i++) {
		size_t wide = width(table->cells[i]);

		if (wide > widths[i % table->columns])
			widths[i % table->columns] = wide;
	}
	for (size_t i = 0; i + table->columns <= table->count; i += table->columns)
		print_row(table, i, widths, out);
}

void table_fini(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table) { .columns = table->columns };
}

char *table_size(uint64_t bytes)
{
	static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
	unsigned shift = 0;
	uint64_t rest;

	while (shift < 60 && bytes >> shift >= 1024)
		shift += 10;
	rest = bytes & ((UINT64_C(1) << shift) - 1);
	if (!rest)
		return xasprintf("%" PRIu64 "%s", bytes >> shift, units[shift / 10]);
	/* Below 2^60, so that ten times it still fits. */
	return xasprintf("%" PRIu64 ".%" PRIu64 "%s", bytes >> shift, rest * 10 >> shift,
			 units[shift / 10]);
}
