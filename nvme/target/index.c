/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted array of pointers. */
#include "nvme/target/index.h"

#include <stdlib.h>
#include <string.h>

#include "nvme/base/cleanup.h"

void index_fini(struct index *index)
{
	free(index->items);
	*index = (struct index) { 0 };
}

/* The number of items whose key comes before this one. */
static size_t count_before(const struct index *index, const char *key)
{
	size_t low = 0, high = index->count;

	/* What is put in is mostly put in in order. */
	if (high && strcmp(index->items[high - 1], key) < 0)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(index->items[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool index_find(const struct index *index, const char *key, size_t *ret_at)
{
	size_t at = count_before(index, key);

	*ret_at = at;
	return at < index->count && strcmp(index->items[at], key) == 0;
}

void *index_get(const struct index *index, const char *key)
{
	size_t at;

	return index_find(index, key, &at) ? index->items[at] : NULL;
}

void index_add(struct index *index, void *item)
{
	size_t at = count_before(index, item);

	if (index->count == index->size) {
		index->size = index->size ? 2 * index->size : 16;
		index->items = xrealloc(index->items, index->size, sizeof(*index->items));
	}
	memmove(&index->items[at + 1], &index->items[at],
		(index->count - at) * sizeof(*index->items));
	index->items[at] = item;
	index->count++;
}

void index_remove(struct index *index, const char *key)
{
	size_t at;

	if (!index_find(index, key, &at))
		return;
	index->count--;
	memmove(&index->items[at], &index->items[at + 1],
		(index->count - at) * sizeof(*index->items));
}
