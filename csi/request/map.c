/* SPDX-License-Identifier: Apache-2.0 */
/* Read access to protobuf string maps. */
#include "csi/request/map.h"

#include <string.h>

#define MAP_MAX_BYTES 4096

const char *map_get(struct map map, const char *key)
{
	for (size_t i = 0; i < map.count; i++)
		if (strcmp(map.entries[i]->key, key) == 0)
			return map.entries[i]->value;
	return NULL;
}

int map_check_size(const char *what, struct map map, struct err *err)
{
	size_t bytes = 0;

	for (size_t i = 0; i < map.count; i++)
		bytes += strlen(map.entries[i]->key) + strlen(map.entries[i]->value);
	if (bytes > MAP_MAX_BYTES)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s takes %zu bytes; at most %d are allowed", what, bytes,
			       MAP_MAX_BYTES);
	return 0;
}
