/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking into memory that is bounded. */
#include "csi/rpc/unpack.h"

#include <stdlib.h>

#include "nvme/base/cleanup.h"

#define FACTOR 16
#define EXTRA_BYTES (64U << 10) /* parts of small messages are small, whatever their number */

size_t rpc_unpack_limit(size_t packed_bytes)
{
	return packed_bytes * FACTOR + EXTRA_BYTES;
}

/* What is left of the limit; what unpacking frees again is not given back. */
struct budget {
	size_t left_bytes;
	bool exhausted;
};

static void *budget_alloc(void *data, size_t size)
{
	struct budget *budget = data;

	if (size > budget->left_bytes) {
		budget->exhausted = true;
		return NULL;
	}
	budget->left_bytes -= size;
	return xcalloc(1, size);
}

static void budget_free(void *data, void *pointer)
{
	(void)data;
	free(pointer);
}

ProtobufCMessage *rpc_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data,
			     size_t size, bool *ret_exhausted)
{
	struct budget budget = { .left_bytes = rpc_unpack_limit(size) };
	ProtobufCAllocator allocator = { .alloc = budget_alloc,
					 .free = budget_free,
					 .allocator_data = &budget };
	ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, size, data);

	*ret_exhausted = budget.exhausted;
	return message;
}
