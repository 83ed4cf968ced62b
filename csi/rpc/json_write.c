/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to JSON. */
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>
#include <time.h>

#include "csi/proto/secrets.h"
#include "csi/rpc/json.h"
#include "csi/rpc/json_shape.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/strb.h"

static struct json_object *from_message(const ProtobufCMessage *message, bool redact);

static struct json_object *from_bytes(const ProtobufCBinaryData *bytes)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t size = (bytes->len + 2) / 3 * 4;
	cleanup_free char *text = xcalloc(1, size + 1);
	char *out = text;

	for (size_t i = 0; i < bytes->len; i += 3) {
		size_t left = bytes->len - i;
		uint32_t group = (uint32_t)bytes->data[i] << 16;

		if (left > 1)
			group |= (uint32_t)bytes->data[i + 1] << 8;
		if (left > 2)
			group |= bytes->data[i + 2];
		*out++ = digits[group >> 18];
		*out++ = digits[group >> 12 & 63];
		*out++ = left > 1 ? digits[group >> 6 & 63] : '=';
		*out++ = left > 2 ? digits[group & 63] : '=';
	}
	return json_object_new_string_len(text, (int)size);
}

static struct json_object *from_enum(const ProtobufCEnumDescriptor *descriptor, int number)
{
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(descriptor, number);

	return value ? json_object_new_string(value->name) : json_object_new_int(number);
}

static int64_t member_int64(const ProtobufCMessage *message, unsigned int field)
{
	int64_t value;

	memcpy(&value, rpc_json_at(message, message->descriptor->fields[field].offset), 8);
	return value;
}

static int32_t member_int32(const ProtobufCMessage *message, unsigned int field)
{
	int32_t value;

	memcpy(&value, rpc_json_at(message, message->descriptor->fields[field].offset), 4);
	return value;
}

/* NULL when the time is outside the years that RFC 3339 can write. */
static struct json_object *from_timestamp(const ProtobufCMessage *message)
{
	time_t seconds = (time_t)member_int64(message, 0);
	int32_t nanos = member_int32(message, 1);
	char buffer[48];
	struct strb text = strb_over(buffer, sizeof(buffer));
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || tm.tm_year < -1899 || tm.tm_year > 8099 || nanos < 0 ||
	    nanos > 999999999)
		return NULL;
	strb_addf(&text, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
		  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (nanos)
		strb_addf(&text, ".%09" PRId32, nanos);
	strb_addc(&text, 'Z');
	return json_object_new_string(buffer);
}

static struct json_object *from_value(const ProtobufCFieldDescriptor *field, const void *value,
				      bool redact)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return json_object_new_int(*(const int32_t *)value);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return json_object_new_int64(*(const int64_t *)value);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return json_object_new_int64(*(const uint32_t *)value);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return json_object_new_uint64(*(const uint64_t *)value);
	case PROTOBUF_C_TYPE_FLOAT:
		return json_object_new_double((double)*(const float *)value);
	case PROTOBUF_C_TYPE_DOUBLE:
		return json_object_new_double(*(const double *)value);
	case PROTOBUF_C_TYPE_BOOL:
		return json_object_new_boolean(*(const protobuf_c_boolean *)value);
	case PROTOBUF_C_TYPE_ENUM:
		return from_enum(field->descriptor, *(const int *)value);
	case PROTOBUF_C_TYPE_STRING:
		return json_object_new_string(*(char *const *)value ?: "");
	case PROTOBUF_C_TYPE_BYTES:
		return from_bytes(value);
	case PROTOBUF_C_TYPE_MESSAGE:
		return from_message(*(ProtobufCMessage *const *)value, redact);
	}
	return NULL;
}

static bool is_default(const ProtobufCFieldDescriptor *field, const void *value)
{
	static const char zeros[8];
	const char *text;

	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		text = *(char *const *)value;
		return !text || !*text;
	case PROTOBUF_C_TYPE_MESSAGE:
		return *(void *const *)value == NULL;
	case PROTOBUF_C_TYPE_BYTES:
		return ((const ProtobufCBinaryData *)value)->len == 0;
	default:
		return memcmp(value, zeros, rpc_json_value_size(field->type)) == 0;
	}
}

static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const void *value = rpc_json_at(message, field->offset);
	const void *quantifier = rpc_json_at(message, field->quantifier_offset);
	bool pointer = field->type == PROTOBUF_C_TYPE_STRING ||
		       field->type == PROTOBUF_C_TYPE_MESSAGE;

	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)quantifier == field->id &&
		       (field->type != PROTOBUF_C_TYPE_MESSAGE || !is_default(field, value));
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)quantifier > 0;
	if (field->label == PROTOBUF_C_LABEL_OPTIONAL && !pointer)
		return *(const protobuf_c_boolean *)quantifier;
	return !is_default(field, value);
}

static struct json_object *from_map(const ProtobufCFieldDescriptor *field, const void *elements,
				    size_t count, bool redact)
{
	const ProtobufCMessageDescriptor *type = field->descriptor;
	struct json_object *object = json_object_new_object();
	ProtobufCMessage *const *entries = elements;

	for (size_t i = 0; i < count; i++) {
		const char *key = *(char *const *)rpc_json_at(entries[i], type->fields[0].offset);
		const void *value = rpc_json_at(entries[i], type->fields[1].offset);

		json_object_object_add(object, key ?: "",
				       from_value(&type->fields[1], value, redact));
	}
	return object;
}

static struct json_object *from_repeated(const ProtobufCMessage *message,
					 const ProtobufCFieldDescriptor *field, bool redact)
{
	size_t count = *(const size_t *)rpc_json_at(message, field->quantifier_offset);
	const char *elements = *(char *const *)rpc_json_at(message, field->offset);
	size_t size = rpc_json_value_size(field->type);
	struct json_object *array;

	if (rpc_json_is_map(field))
		return from_map(field, elements, count, redact);
	array = json_object_new_array_ext((int)count);
	for (size_t i = 0; i < count; i++)
		json_object_array_add(array, from_value(field, elements + i * size, redact));
	return array;
}

static struct json_object *from_field(const ProtobufCMessage *message,
				      const ProtobufCFieldDescriptor *field, bool redact)
{
	if (redact && proto_field_is_secret(message->descriptor->name, field->id))
		return json_object_new_string(RPC_JSON_REDACTED);
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return from_repeated(message, field, redact);
	return from_value(field, rpc_json_at(message, field->offset), redact);
}

static struct json_object *from_message(const ProtobufCMessage *message, bool redact)
{
	const ProtobufCMessageDescriptor *type;
	struct json_object *object = NULL;

	if (!message)
		return NULL;
	type = message->descriptor;
	if (rpc_json_is_wrapper(type))
		return from_value(&type->fields[0], rpc_json_at(message, type->fields[0].offset),
				  redact);
	if (rpc_json_is_timestamp(type))
		object = from_timestamp(message);
	if (object)
		return object;
	object = json_object_new_object();
	for (unsigned int i = 0; i < type->n_fields; i++)
		if (is_set(message, &type->fields[i]))
			json_object_object_add(object, type->fields[i].name,
					       from_field(message, &type->fields[i], redact));
	return object;
}

char *rpc_json_from_message(const ProtobufCMessage *message, bool redact)
{
	struct json_object *object = from_message(message, redact);
	char *text = xstrdup(json_object_to_json_string_ext(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));

	json_object_put(object);
	return text;
}
