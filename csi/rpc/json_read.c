/* SPDX-License-Identifier: Apache-2.0 */
/* JSON to messages, with the path of the field in every error. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "csi/rpc/json.h"
#include "csi/rpc/json_shape.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/strb.h"

#define MAX_DEPTH 32
#define PATH_SIZE 512
#define KNOWN_SIZE 512

struct reader {
	ProtobufCAllocator *allocator;
	struct err *err;
	struct strb path; /* of the field being read, "volume_capability.mount" */
	char buffer[PATH_SIZE];
};

static int read_message(struct reader *r, const ProtobufCMessageDescriptor *type,
			struct json_object *json, ProtobufCMessage **ret);

static void *take(struct reader *r, size_t size)
{
	void *p;

	if (!r->allocator)
		return xcalloc(1, size);
	p = r->allocator->alloc(r->allocator->allocator_data, size ? size : 1);
	if (!p)
		abort();
	return memset(p, 0, size);
}

static size_t push(struct reader *r, const char *name)
{
	size_t before = r->path.len;

	strb_addf(&r->path, "%s%s", before ? "." : "", name);
	return before;
}

static void pop(struct reader *r, size_t before)
{
	r->path.len = before;
	r->buffer[before] = '\0';
}

/* "field <path>: wants <what>, has <value>" */
static int wants(struct reader *r, const char *what, struct json_object *json)
{
	return err_set(r->err, ERR_INVALID_ARGUMENT, "field %s: wants %s, has %.80s",
		       r->buffer[0] ? r->buffer : "(the message)", what,
		       json_object_to_json_string_ext(
			       json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static int read_signed(struct reader *r, struct json_object *json, int64_t min, int64_t max,
		       int64_t *ret)
{
	char what[96];
	struct strb text = strb_over(what, sizeof(what));
	bool too_large = json_object_get_uint64(json) > INT64_MAX &&
			 json_object_get_int64(json) > 0;
	int64_t value = json_object_get_int64(json);

	strb_addf(&text, "an integer from %" PRId64 " to %" PRId64, min, max);
	if (!json_object_is_type(json, json_type_int) || too_large || value < min || value > max)
		return wants(r, what, json);
	*ret = value;
	return 0;
}

static int read_unsigned(struct reader *r, struct json_object *json, uint64_t max, uint64_t *ret)
{
	char what[96];
	struct strb text = strb_over(what, sizeof(what));
	uint64_t value = json_object_get_uint64(json);

	strb_addf(&text, "an integer from 0 to %" PRIu64, max);
	if (!json_object_is_type(json, json_type_int) || json_object_get_int64(json) < 0 ||
	    value > max)
		return wants(r, what, json);
	*ret = value;
	return 0;
}

static int read_integer(struct reader *r, ProtobufCType type, struct json_object *json, void *out)
{
	int64_t number = 0;
	uint64_t natural = 0;
	int rc;

	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		rc = read_signed(r, json, INT32_MIN, INT32_MAX, &number);
		*(int32_t *)out = (int32_t)number;
		return rc;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		rc = read_unsigned(r, json, UINT32_MAX, &natural);
		*(uint32_t *)out = (uint32_t)natural;
		return rc;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return read_unsigned(r, json, UINT64_MAX, out);
	default:
		return read_signed(r, json, INT64_MIN, INT64_MAX, out);
	}
}

static int read_enum(struct reader *r, const ProtobufCEnumDescriptor *type,
		     struct json_object *json, int *ret)
{
	const ProtobufCEnumValue *value = NULL;
	char known[KNOWN_SIZE];
	struct strb text = strb_over(known, sizeof(known));

	if (json_object_is_type(json, json_type_string))
		value = protobuf_c_enum_descriptor_get_value_by_name(type,
								     json_object_get_string(json));
	if (value) {
		*ret = value->value;
		return 0;
	}
	strb_add(&text, "one of");
	for (unsigned int i = 0; i < type->n_values; i++)
		strb_addf(&text, " %s", type->values[i].name);
	return wants(r, known, json);
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int read_bytes(struct reader *r, struct json_object *json, ProtobufCBinaryData *ret)
{
	const char *text = json_object_get_string(json);
	size_t len = (size_t)json_object_get_string_len(json);
	uint32_t bits = 0;
	int digit;

	if (!json_object_is_type(json, json_type_string) || len % 4 != 0)
		return wants(r, "text in base64", json);
	for (int padding = 0; padding < 2 && len > 0 && text[len - 1] == '='; padding++)
		len--;
	ret->data = take(r, len);
	for (size_t i = 0; i < len; i++) {
		digit = base64_digit(text[i]);
		if (digit < 0)
			return wants(r, "text in base64", json);
		bits = bits << 6 | (uint32_t)digit;
		if (i % 4 != 0)
			ret->data[ret->len++] = (uint8_t)(bits >> (6 - i % 4 * 2));
	}
	return 0;
}

static char *copy_text(struct reader *r, const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(take(r, size), text, size);
}

static int read_string(struct reader *r, struct json_object *json, char **ret)
{
	const char *text;

	if (!json_object_is_type(json, json_type_string))
		return wants(r, "text", json);
	text = json_object_get_string(json);
	/* The message holds C strings, which would end there. */
	if (strlen(text) != (size_t)json_object_get_string_len(json))
		return wants(r, "text without NUL", json);
	*ret = copy_text(r, text);
	return 0;
}

static int read_double(struct reader *r, struct json_object *json, double *ret)
{
	if (!json_object_is_type(json, json_type_double) &&
	    !json_object_is_type(json, json_type_int))
		return wants(r, "a number", json);
	*ret = json_object_get_double(json);
	return 0;
}

static int read_bool(struct reader *r, struct json_object *json, protobuf_c_boolean *ret)
{
	if (!json_object_is_type(json, json_type_boolean))
		return wants(r, "true or false", json);
	*ret = json_object_get_boolean(json);
	return 0;
}

static int read_value(struct reader *r, const ProtobufCFieldDescriptor *field,
		      struct json_object *json, void *out)
{
	double real = 0;
	int rc;

	switch (field->type) {
	case PROTOBUF_C_TYPE_BOOL:
		return read_bool(r, json, out);
	case PROTOBUF_C_TYPE_ENUM:
		return read_enum(r, field->descriptor, json, out);
	case PROTOBUF_C_TYPE_STRING:
		return read_string(r, json, out);
	case PROTOBUF_C_TYPE_BYTES:
		return read_bytes(r, json, out);
	case PROTOBUF_C_TYPE_MESSAGE:
		return read_message(r, field->descriptor, json, out);
	case PROTOBUF_C_TYPE_DOUBLE:
		return read_double(r, json, out);
	case PROTOBUF_C_TYPE_FLOAT:
		rc = read_double(r, json, &real);
		*(float *)out = (float)real;
		return rc;
	default:
		return read_integer(r, field->type, json, out);
	}
}

static int read_map_entry(struct reader *r, const ProtobufCMessageDescriptor *type, const char *key,
			  struct json_object *json, ProtobufCMessage **ret)
{
	ProtobufCMessage *entry = take(r, type->sizeof_message);

	protobuf_c_message_init(type, entry);
	*ret = entry;
	*(char **)((char *)entry + type->fields[0].offset) = copy_text(r, key);
	return read_value(r, &type->fields[1], json, (char *)entry + type->fields[1].offset);
}

static int read_map(struct reader *r, const ProtobufCFieldDescriptor *field,
		    struct json_object *json, size_t *ret_count, void **ret)
{
	ProtobufCMessage **entries;
	size_t before;
	int rc;

	if (!json_object_is_type(json, json_type_object))
		return wants(r, "an object", json);
	if (json_object_object_length(json) == 0)
		return 0;
	entries = take(r, (size_t)json_object_object_length(json) * sizeof(*entries));
	*ret = entries;
	json_object_object_foreach(json, key, value)
	{
		before = push(r, key);
		rc = read_map_entry(r, field->descriptor, key, value, &entries[*ret_count]);
		++*ret_count;
		if (rc < 0)
			return -1;
		pop(r, before);
	}
	return 0;
}

static int read_array(struct reader *r, const ProtobufCFieldDescriptor *field,
		      struct json_object *json, size_t *ret_count, void **ret)
{
	size_t size = rpc_json_value_size(field->type);
	size_t count, before;
	char index[24];
	char *elements;

	if (!json_object_is_type(json, json_type_array))
		return wants(r, "an array", json);
	count = json_object_array_length(json);
	if (count == 0)
		return 0;
	elements = take(r, count * size);
	*ret = elements;
	for (size_t i = 0; i < count; i++) {
		struct strb text = strb_over(index, sizeof(index));

		strb_addf(&text, "%zu", i);
		before = push(r, index);
		/* Counted before it is read, so that what a failed read took is freed too. */
		*ret_count = i + 1;
		if (read_value(r, field, json_object_array_get_idx(json, i), elements + i * size) <
		    0)
			return -1;
		pop(r, before);
	}
	return 0;
}

static int read_oneof_case(struct reader *r, const ProtobufCFieldDescriptor *field, uint32_t *set)
{
	if (*set != 0)
		return err_set(r->err, ERR_INVALID_ARGUMENT,
			       "field %s: only one field of its oneof can be set", r->buffer);
	*set = field->id;
	return 0;
}

static int read_field(struct reader *r, ProtobufCMessage *message,
		      const ProtobufCFieldDescriptor *field, struct json_object *json)
{
	void *out = (char *)message + field->offset;
	void *quantifier = (char *)message + field->quantifier_offset;

	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return (rpc_json_is_map(field) ? read_map : read_array)(r, field, json, quantifier,
									out);
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		if (read_oneof_case(r, field, quantifier) < 0)
			return -1;
	} else if (field->label == PROTOBUF_C_LABEL_OPTIONAL &&
		   field->type != PROTOBUF_C_TYPE_STRING &&
		   field->type != PROTOBUF_C_TYPE_MESSAGE) {
		*(protobuf_c_boolean *)quantifier = 1;
	}
	return read_value(r, field, json, out);
}

static int unknown_field(struct reader *r, const ProtobufCMessageDescriptor *type, const char *name)
{
	char known[KNOWN_SIZE];
	struct strb text = strb_over(known, sizeof(known));

	for (unsigned int i = 0; i < type->n_fields; i++)
		strb_addf(&text, "%s%s", i ? ", " : "", type->fields[i].name);
	return err_set(r->err, ERR_INVALID_ARGUMENT, "%s%s%sunknown field \"%.80s\"; known: %s",
		       r->buffer[0] ? "field " : "", r->buffer, r->buffer[0] ? ": " : "", name,
		       type->n_fields ? known : "none");
}

static int read_fields(struct reader *r, const ProtobufCMessageDescriptor *type,
		       struct json_object *json, ProtobufCMessage *message)
{
	const ProtobufCFieldDescriptor *field;
	size_t before;

	if (!json_object_is_type(json, json_type_object))
		return wants(r, "an object", json);
	json_object_object_foreach(json, name, value)
	{
		field = protobuf_c_message_descriptor_get_field_by_name(type, name);
		if (!field)
			return unknown_field(r, type, name);
		if (!value)
			continue;
		before = push(r, name);
		if (read_field(r, message, field, value) < 0)
			return -1;
		pop(r, before);
	}
	return 0;
}

/* "2026-01-02T03:04:05[.123456789]Z" */
static int read_timestamp(struct reader *r, const ProtobufCMessageDescriptor *type,
			  struct json_object *json, ProtobufCMessage *message)
{
	static const char what[] = "a time in UTC like \"2026-01-02T03:04:05Z\"";
	const char *end, *text = json_object_get_string(json);
	struct tm tm = { 0 };
	int64_t seconds;
	int32_t nanos = 0;

	if (!json_object_is_type(json, json_type_string))
		return wants(r, what, json);
	end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (end && *end == '.') {
		end++;
		for (int32_t unit = 100000000; unit > 0 && *end >= '0' && *end <= '9'; unit /= 10)
			nanos += (*end++ - '0') * unit;
	}
	if (!end || strcmp(end, "Z") != 0)
		return wants(r, what, json);
	seconds = timegm(&tm);
	memcpy((char *)message + type->fields[0].offset, &seconds, sizeof(seconds));
	memcpy((char *)message + type->fields[1].offset, &nanos, sizeof(nanos));
	return 0;
}

static int read_message(struct reader *r, const ProtobufCMessageDescriptor *type,
			struct json_object *json, ProtobufCMessage **ret)
{
	ProtobufCMessage *message = take(r, type->sizeof_message);

	protobuf_c_message_init(type, message);
	/* Handed out at once: on failure the whole tree is freed from its root. */
	*ret = message;
	if (rpc_json_is_wrapper(type))
		return read_value(r, &type->fields[0], json,
				  (char *)message + type->fields[0].offset);
	if (rpc_json_is_timestamp(type) && !json_object_is_type(json, json_type_object))
		return read_timestamp(r, type, json, message);
	return read_fields(r, type, json, message);
}

static int parse(const char *text, struct json_object **ret, struct err *err)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	size_t len = strlen(text);
	struct json_object *json = NULL;
	int rc = 0;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	/* The terminating NUL tells the parser that a number or the whole text ends there. */
	json = len < INT32_MAX ? json_tokener_parse_ex(tokener, text, (int)len + 1) : NULL;
	if (json_tokener_get_error(tokener) == json_tokener_success && !json)
		rc = err_set(err, ERR_INVALID_ARGUMENT, "null is no message");
	else if (json_tokener_get_error(tokener) != json_tokener_success)
		rc = err_set(err, ERR_INVALID_ARGUMENT, "not JSON: %s at byte %zu",
			     json_tokener_error_desc(json_tokener_get_error(tokener)),
			     json_tokener_get_parse_end(tokener));
	else
		*ret = json;
	if (rc < 0)
		json_object_put(json);
	json_tokener_free(tokener);
	return rc;
}

int rpc_json_to_message(const ProtobufCMessageDescriptor *descriptor, const char *text,
			ProtobufCAllocator *allocator, ProtobufCMessage **ret, struct err *err)
{
	struct reader r = { .allocator = allocator, .err = err };
	ProtobufCMessage *message = NULL;
	struct json_object *json = NULL;
	int rc;

	if (parse(text, &json, err) < 0)
		return -1;
	r.path = strb_over(r.buffer, sizeof(r.buffer));
	rc = read_message(&r, descriptor, json, &message);
	json_object_put(json);
	if (rc == 0)
		*ret = message;
	else
		protobuf_c_message_free_unpacked(message, allocator);
	return rc;
}
