/* SPDX-License-Identifier: Apache-2.0 */
/* An array of pointers in a call's arena that grows as entries of an answer come. */
#ifndef CSI_CONTROLLER_GROW_H
#define CSI_CONTROLLER_GROW_H

#include <string.h>

#include "csi/rpc/service.h"

struct grow {
	void **items;
	size_t count, size;
};

static inline void grow_add(struct rpc_call *call, struct grow *grow, void *item)
{
	if (grow->count == grow->size) {
		size_t size = grow->size ? 2 * grow->size : 64;
		void **items = rpc_alloc(call, size * sizeof(*items));

		if (grow->count)
			memcpy(items, grow->items, grow->count * sizeof(*items));
		grow->items = items;
		grow->size = size;
	}
	grow->items[grow->count++] = item;
}

#endif
