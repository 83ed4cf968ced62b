/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Build tool: reads a compiled contract (protoc --include_imports --descriptor_set_out) and prints
 * what it says, either as a table of facts, one a line, to compare contracts with (facts), or as
 * the C source of the table that secrets.h declares (secrets). Option numbers are looked up in
 * the set itself. Anything unexpected ends it with a message and status 1; bad usage with 2.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "google/protobuf/descriptor.pb-c.h"

#define SET_MAX_BYTES (16U << 20)
#define FIELD_OPTIONS ".google.protobuf.FieldOptions"

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("protofacts: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static char *join(const char *scope, const char *name)
{
	size_t size = strlen(scope) + 1 + strlen(name) + 1;
	char *full = malloc(size);

	if (!full)
		die("out of memory");
	snprintf(full, size, "%s.%s", scope, name);
	return full;
}

static const char *skip_dot(const char *name)
{
	return name[0] == '.' ? name + 1 : name;
}

static Google__Protobuf__FileDescriptorSet *set_load(const char *path)
{
	static uint8_t data[SET_MAX_BYTES];
	Google__Protobuf__FileDescriptorSet *set;
	FILE *file = fopen(path, "r");
	size_t len;

	if (!file)
		die("open %s: %s", path, strerror(errno));
	len = fread(data, 1, SET_MAX_BYTES, file);
	if (ferror(file))
		die("read %s: %s", path, strerror(errno));
	if (len == SET_MAX_BYTES)
		die("%s: a descriptor set of %u bytes or more; expected less", path, SET_MAX_BYTES);
	fclose(file);
	set = google__protobuf__file_descriptor_set__unpack(NULL, len, data);
	if (!set || !set->n_file)
		die("%s: not a FileDescriptorSet as protoc --descriptor_set_out writes it", path);
	for (size_t i = 0; i < set->n_file; i++) {
		if (!set->file[i]->package)
			die("%s: %s declares no package", path, set->file[i]->name);
	}
	return set;
}

/* Options unknown to the generated descriptor code arrive as raw fields; the last one counts. */
static bool option_is_set(const Google__Protobuf__FieldOptions *options, uint32_t number)
{
	const ProtobufCMessageUnknownField *raw;
	bool is_set = false;

	for (unsigned i = 0; options && i < options->base.n_unknown_fields; i++) {
		raw = &options->base.unknown_fields[i];
		if (raw->tag != number || raw->wire_type != PROTOBUF_C_WIRE_TYPE_VARINT)
			continue;
		is_set = false;
		for (size_t byte = 0; byte < raw->len; byte++)
			is_set |= (raw->data[byte] & 0x7f) != 0;
	}
	return is_set;
}

static bool print_own_options(const Google__Protobuf__FileDescriptorProto *file,
			      const Google__Protobuf__FieldOptions *options)
{
	const Google__Protobuf__FieldDescriptorProto *extension;
	bool any = false;

	for (size_t i = 0; i < file->n_extension; i++) {
		extension = file->extension[i];
		if (strcmp(extension->extendee, FIELD_OPTIONS) ||
		    !option_is_set(options, (uint32_t)extension->number))
			continue;
		printf("%s ", extension->name);
		any = true;
	}
	return any;
}

static void print_options(const Google__Protobuf__FileDescriptorProto *file,
			  const Google__Protobuf__FieldOptions *options)
{
	bool deprecated = options && options->deprecated;

	if (deprecated)
		fputs("deprecated ", stdout);
	if (!print_own_options(file, options) && !deprecated)
		fputs("-", stdout);
	fputc('\n', stdout);
}

static const char *field_type(const Google__Protobuf__FieldDescriptorProto *field)
{
	/* By the numbers of FieldDescriptorProto.Type; groups, messages and enums have no entry. */
	static const char *const scalars[] = {
		NULL,	   "double",   "float",	   "int64",  "uint64", "int32", "fixed64",
		"fixed32", "bool",     "string",   NULL,     NULL,     "bytes", "uint32",
		NULL,	   "sfixed32", "sfixed64", "sint32", "sint64",
	};
	size_t type = (size_t)field->type;

	if (field->type_name)
		return skip_dot(field->type_name);
	if (type >= sizeof(scalars) / sizeof(scalars[0]) || !scalars[type])
		die("field %s: type %zu is not one of proto3", field->name, type);
	return scalars[type];
}

/* The entry message that protoc nests beside a map field, or NULL if the field is no map. */
static const Google__Protobuf__DescriptorProto *
map_entry_find(const char *scope, const Google__Protobuf__DescriptorProto *message,
	       const Google__Protobuf__FieldDescriptorProto *field)
{
	const Google__Protobuf__DescriptorProto *nested;
	bool same;

	for (size_t i = 0; field->type_name && i < message->n_nested_type; i++) {
		char *full;

		nested = message->nested_type[i];
		full = join(scope, nested->name);
		same = !strcmp(full, skip_dot(field->type_name));
		free(full);
		if (same && nested->options && nested->options->map_entry)
			return nested;
	}
	return NULL;
}

static void print_field(const Google__Protobuf__FileDescriptorProto *file, const char *scope,
			const Google__Protobuf__DescriptorProto *message,
			const Google__Protobuf__FieldDescriptorProto *field)
{
	const Google__Protobuf__DescriptorProto *entry = map_entry_find(scope, message, field);
	bool repeated = field->label ==
			GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
	const char *oneof = "-";

	if (field->has_oneof_index)
		oneof = message->oneof_decl[field->oneof_index]->name;
	printf("field\t%s\t%d\t%s\t%s\t", scope, field->number, field->name,
	       repeated && !entry ? "repeated" : "single");
	if (entry)
		printf("map<%s,%s>", field_type(entry->field[0]), field_type(entry->field[1]));
	else
		fputs(field_type(field), stdout);
	printf("\toneof=%s\t", oneof);
	print_options(file, field->options);
}

static void print_enum(const char *scope, const Google__Protobuf__EnumDescriptorProto *type)
{
	char *full = join(scope, type->name);

	printf("enum\t%s\n", full);
	for (size_t i = 0; i < type->n_value; i++)
		printf("value\t%s\t%d\t%s\n", full, type->value[i]->number, type->value[i]->name);
	free(full);
}

static void print_message(const Google__Protobuf__FileDescriptorProto *file, const char *scope,
			  const Google__Protobuf__DescriptorProto *message)
{
	char *full;

	if (message->options && message->options->map_entry)
		return;
	full = join(scope, message->name);
	printf("message\t%s\n", full);
	for (size_t i = 0; i < message->n_field; i++)
		print_field(file, full, message, message->field[i]);
	for (size_t i = 0; i < message->n_enum_type; i++)
		print_enum(full, message->enum_type[i]);
	for (size_t i = 0; i < message->n_nested_type; i++)
		print_message(file, full, message->nested_type[i]);
	free(full);
}

static void print_service(const char *scope,
			  const Google__Protobuf__ServiceDescriptorProto *service)
{
	static const char *const streaming[2][2] = {
		{ "unary", "server-streaming" },
		{ "client-streaming", "bidi-streaming" },
	};
	char *full = join(scope, service->name);

	printf("service\t%s\n", full);
	for (size_t i = 0; i < service->n_method; i++) {
		const Google__Protobuf__MethodDescriptorProto *method = service->method[i];

		printf("rpc\t%s\t%s\t%s\t%s\t%s\n", full, method->name,
		       skip_dot(method->input_type), skip_dot(method->output_type),
		       streaming[!!method->client_streaming][!!method->server_streaming]);
	}
	free(full);
}

static void print_file(const Google__Protobuf__FileDescriptorProto *file)
{
	printf("package\t%s\n", file->package);
	for (size_t i = 0; i < file->n_service; i++)
		print_service(file->package, file->service[i]);
	for (size_t i = 0; i < file->n_enum_type; i++)
		print_enum(file->package, file->enum_type[i]);
	for (size_t i = 0; i < file->n_message_type; i++)
		print_message(file, file->package, file->message_type[i]);
}

static void print_facts(const Google__Protobuf__FileDescriptorSet *set, const char *package)
{
	bool found = false;

	for (size_t i = 0; i < set->n_file; i++) {
		if (!set->file[i]->package || strcmp(set->file[i]->package, package))
			continue;
		print_file(set->file[i]);
		found = true;
	}
	if (!found)
		die("package %s: no file of the set declares it", package);
}

static uint32_t secret_option_number(const Google__Protobuf__FileDescriptorSet *set)
{
	const Google__Protobuf__FieldDescriptorProto *extension;

	for (size_t i = 0; i < set->n_file; i++) {
		for (size_t j = 0; j < set->file[i]->n_extension; j++) {
			extension = set->file[i]->extension[j];
			if (!strcmp(extension->name, "csi_secret") &&
			    !strcmp(extension->extendee, FIELD_OPTIONS))
				return (uint32_t)extension->number;
		}
	}
	die("csi_secret: no file of the set declares it as an extension of %s", FIELD_OPTIONS);
}

static size_t print_secrets_of(const char *scope, const Google__Protobuf__DescriptorProto *message,
			       uint32_t option_number)
{
	char *full = join(scope, message->name);
	size_t count = 0;

	for (size_t i = 0; i < message->n_field; i++) {
		if (!option_is_set(message->field[i]->options, option_number))
			continue;
		printf("\t{ \"%s\", %d },\n", full, message->field[i]->number);
		count++;
	}
	for (size_t i = 0; i < message->n_nested_type; i++)
		count += print_secrets_of(full, message->nested_type[i], option_number);
	free(full);
	return count;
}

static void print_secrets(const Google__Protobuf__FileDescriptorSet *set)
{
	uint32_t option_number = secret_option_number(set);
	size_t count = 0;

	puts("/* Generated by protofacts from the compiled contract. */\n"
	     "#include \"csi/proto/secrets.h\"\n\n"
	     "const struct proto_secret proto_secrets[] = {");
	for (size_t i = 0; i < set->n_file; i++) {
		const Google__Protobuf__FileDescriptorProto *file = set->file[i];

		for (size_t j = 0; j < file->n_message_type; j++)
			count += print_secrets_of(file->package, file->message_type[j],
						  option_number);
	}
	puts("};\n"
	     "const size_t proto_secrets_count = sizeof(proto_secrets) / "
	     "sizeof(proto_secrets[0]);");
	if (!count)
		die("csi_secret: no field of the set carries it");
}

int main(int argc, char **argv)
{
	bool facts = argc == 4 && !strcmp(argv[1], "facts");
	bool secrets = argc == 3 && !strcmp(argv[1], "secrets");
	Google__Protobuf__FileDescriptorSet *set;

	if (!facts && !secrets) {
		fputs("usage: protofacts facts SET PACKAGE | protofacts secrets SET\n", stderr);
		return 2;
	}
	set = set_load(argv[2]);
	if (facts)
		print_facts(set, argv[3]);
	else
		print_secrets(set);
	google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
	if (fflush(stdout) || ferror(stdout))
		die("write: %s", strerror(errno));
	return 0;
}
