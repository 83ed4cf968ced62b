/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table for people: a row a line, columns as wide as their widest cell, two blanks between them.
 * An empty cell is "-", and text from elsewhere is made tidy (text.h).
 */
#ifndef CMD_NVMEOTCTL_TABLE_H
#define CMD_NVMEOTCTL_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Starts as { .columns = N }; owns the cells. */
struct table {
	size_t columns;
	char **cells; /* row after row */
	size_t count;
	size_t room;
};

/* Adds the next cell, row after row; takes text over. NULL is empty. */
void table_add(struct table *table, char *text);

void table_print(const struct table *table, FILE *out);
void table_fini(struct table *table);

/* "512", "10Gi", "1.5Ti": exact, or with one digit after the point and rounded down; owned. */
char *table_size(uint64_t bytes);

#endif
