/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read access to protobuf map<string,string> fields. protobuf-c gives every map field an entry type
 * of its own, all of one layout; this is that layout. Nothing is owned.
 */
#ifndef CSI_REQUEST_MAP_H
#define CSI_REQUEST_MAP_H

#include <protobuf-c/protobuf-c.h>

#include "nvme/base/err.h"

struct map_entry {
	ProtobufCMessage base;
	char *key;
	char *value;
};

struct map {
	struct map_entry **entries;
	size_t count;
};

#define MAP_OF(message, field)                                                                     \
	((struct map) { .entries = (struct map_entry **)(void *)(message)->field,                  \
			.count = (message)->n_##field })

/* The value of key; NULL when it is absent. */
const char *map_get(struct map map, const char *key);

/*
 * Checks that all keys and values together take at most 4 KiB, as the CSI specification bounds
 * maps. `what` names the field.
 */
int map_check_size(const char *what, struct map map, struct err *err);

#endif
