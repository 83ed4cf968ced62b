/* SPDX-License-Identifier: Apache-2.0 */
/* What both directions of the JSON mapping ask of descriptors. Nothing here fails. */
#ifndef CSI_RPC_JSON_SHAPE_H
#define CSI_RPC_JSON_SHAPE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* The entry type of map<string, …>: key = 1, value = 2, a name that ends in Entry. */
bool rpc_json_is_map(const ProtobufCFieldDescriptor *field);

/* google.protobuf.BoolValue and its like: one field, value = 1. */
bool rpc_json_is_wrapper(const ProtobufCMessageDescriptor *descriptor);

bool rpc_json_is_timestamp(const ProtobufCMessageDescriptor *descriptor);

/* The size of one value of the type in a message or in an array. */
size_t rpc_json_value_size(ProtobufCType type);

static inline const void *rpc_json_at(const ProtobufCMessage *message, unsigned int offset)
{
	return (const char *)message + offset;
}

#endif
