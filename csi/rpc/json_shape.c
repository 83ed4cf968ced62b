/* SPDX-License-Identifier: Apache-2.0 */
/* Recognising maps, wrappers and timestamps by their descriptors. */
#include "csi/rpc/json_shape.h"

#include <string.h>

static bool ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

bool rpc_json_is_map(const ProtobufCFieldDescriptor *field)
{
	const ProtobufCMessageDescriptor *entry = field->descriptor;

	return field->label == PROTOBUF_C_LABEL_REPEATED &&
	       field->type == PROTOBUF_C_TYPE_MESSAGE && ends_in(entry->name, "Entry") &&
	       entry->n_fields == 2 && strcmp(entry->fields[0].name, "key") == 0 &&
	       entry->fields[0].type == PROTOBUF_C_TYPE_STRING &&
	       strcmp(entry->fields[1].name, "value") == 0;
}

bool rpc_json_is_wrapper(const ProtobufCMessageDescriptor *descriptor)
{
	return strncmp(descriptor->name, "google.protobuf.", 16) == 0 &&
	       ends_in(descriptor->name, "Value") && descriptor->n_fields == 1 &&
	       strcmp(descriptor->fields[0].name, "value") == 0;
}

bool rpc_json_is_timestamp(const ProtobufCMessageDescriptor *descriptor)
{
	return strcmp(descriptor->name, "google.protobuf.Timestamp") == 0;
}

size_t rpc_json_value_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}
