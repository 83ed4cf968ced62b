/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Things in the order of the text that each begins with: found by halving, walked in order, and a
 * walk can begin anywhere. One that is put in or taken out moves the pointers after it, which for
 * 100,000 of them takes some microseconds; one that is put in at the end moves none. No locks.
 */
#ifndef NVME_TARGET_INDEX_H
#define NVME_TARGET_INDEX_H

#include <stdbool.h>
#include <stddef.h>

/* Owns the array, not the items. Zeroed, it is empty. */
struct index {
	void **items; /* each begins with its key, terminated, which must not change */
	size_t count;
	size_t size;
};

void index_fini(struct index *index);

/* Whether there is an item with this key; *ret_at is its place, or the one it would take. */
bool index_find(const struct index *index, const char *key, size_t *ret_at);

/* Borrowed; NULL when there is none. */
void *index_get(const struct index *index, const char *key);

/* Puts an item in whose key is not there yet. */
void index_add(struct index *index, void *item);

/* Takes the item with this key out; an absent one is fine. */
void index_remove(struct index *index, const char *key);

#endif
