/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protobuf messages as JSON and back, by their descriptors. Field names are those of the .proto
 * file, enums go by name, 64-bit integers are numbers, bytes are base64, maps with string keys are
 * objects, google.protobuf.Timestamp is RFC 3339 text in UTC, a google.protobuf wrapper is the bare
 * value, and fields that are unset or have their default value are left out.
 */
#ifndef CSI_RPC_JSON_H
#define CSI_RPC_JSON_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "nvme/base/err.h"

#define RPC_JSON_REDACTED "***stripped***"

/*
 * The message as one line; owned. redact: what csi_secret marks is replaced by RPC_JSON_REDACTED as
 * a whole. Fields that the descriptor does not know are never shown.
 */
char *rpc_json_from_message(const ProtobufCMessage *message, bool redact);

/*
 * Makes a message from text. allocator NULL: malloc, to be freed with
 * protobuf_c_message_free_unpacked(p, NULL); else it must never fail. ERR_INVALID_ARGUMENT names
 * the field by its path and what would be right. null stands for an unset field.
 */
int rpc_json_to_message(const ProtobufCMessageDescriptor *descriptor, const char *text,
			ProtobufCAllocator *allocator, ProtobufCMessage **ret, struct err *err);

#endif
