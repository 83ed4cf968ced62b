/* SPDX-License-Identifier: Apache-2.0 */
/* Volume records as JSON. */
#include "nvme/target/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/file.h"
#include "nvme/target/spare.h"

#define RECORD_VERSION 2
#define RECORD_SUFFIX ".json"
#define NEW_SUFFIX ".new" RECORD_SUFFIX
#define BAD_SUFFIX ".bad"
#define FILE_NAME_SIZE (UUID_TEXT_SIZE + sizeof(NEW_SUFFIX))

static inline void json_putp(json_object **object)
{
	json_object_put(*object);
}
#define cleanup_json CLEANUP(json_putp)

static void file_name(const struct uuid *uuid, bool creating, char out[FILE_NAME_SIZE])
{
	snprintf(out, FILE_NAME_SIZE, "%s%s", uuid->text, creating ? NEW_SUFFIX : RECORD_SUFFIX);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void add_text(json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

static void add_bytes(json_object *object, const char *key, uint64_t bytes)
{
	json_object_object_add(object, key, json_object_new_int64((int64_t)bytes));
}

static json_object *format_parameters(const struct volume_parameter *parameters, size_t count)
{
	json_object *object = json_object_new_object();

	for (size_t i = 0; i < count; i++)
		add_text(object, parameters[i].key, parameters[i].value);
	return object;
}

static json_object *format_exports(const struct volume *volume)
{
	json_object *array = json_object_new_array();

	for (size_t i = 0; i < volume->export_count; i++) {
		const struct volume_export *entry = &volume->exports[i];
		json_object *object = json_object_new_object();

		add_text(object, "hostNqn", entry->host_nqn);
		add_text(object, "access", volume_access_name(entry->access));
		json_object_object_add(object, "readonly",
				       json_object_new_boolean(entry->readonly));
		if (entry->host_made)
			json_object_object_add(object, "hostMade", json_object_new_boolean(true));
		if (entry->dhchap != DHCHAP_NONE)
			add_text(object, "dhchap", dhchap_mode_name(entry->dhchap));
		json_object_array_add(array, object);
	}
	return array;
}

static json_object *format_source(const struct volume *volume)
{
	json_object *object = json_object_new_object();

	add_text(object, volume->source_is_snapshot ? "snapshot" : "volume", volume->source.text);
	return object;
}

static json_object *format_group(const struct volume_snapshot *snapshot)
{
	json_object *object = json_object_new_object();
	json_object *members = json_object_new_array();

	add_text(object, "uuid", snapshot->group.text);
	add_text(object, "name", snapshot->group_name);
	for (size_t i = 0; i < snapshot->member_count; i++)
		json_object_array_add(members, json_object_new_string(snapshot->members[i].text));
	json_object_object_add(object, "members", members);
	return object;
}

static json_object *format_snapshot(const struct volume_snapshot *snapshot)
{
	json_object *object = json_object_new_object();

	json_object_object_add(object, "createdNs",
			       json_object_new_int64((int64_t)snapshot->created_ns));
	add_bytes(object, "heldBytes", snapshot->held_bytes);
	if (snapshot->group.text[0])
		json_object_object_add(object, "group", format_group(snapshot));
	return object;
}

/* The least that has all its fields, so that an older agent serves what it knows and leaves the
 * rest. */
static int version_of(const struct volume *volume)
{
	return volume_is_copy(volume) || volume_is_snapshot(volume) ? RECORD_VERSION : 1;
}

char *record_format(const struct volume *volume)
{
	cleanup_json json_object *object = json_object_new_object();

	json_object_object_add(object, "version", json_object_new_int(version_of(volume)));
	add_text(object, "uuid", volume->uuid.text);
	add_text(object, "name", volume->name);
	add_bytes(object, "sizeBytes", volume->size_bytes);
	if (volume->growing_bytes)
		add_bytes(object, "growingTo", volume->growing_bytes);
	add_text(object, "writeCache", volume->volatile_cache ? "volatile" : "none");
	add_text(object, "state",
		 volume_state_name(volume->state == VOLUME_DELETING ? VOLUME_DELETING :
								      VOLUME_READY));
	json_object_object_add(object, "parameters",
			       format_parameters(volume->parameters, volume->parameter_count));
	if (volume->mutable_count)
		json_object_object_add(object, "mutableParameters",
				       format_parameters(volume->mutables, volume->mutable_count));
	json_object_object_add(object, "exports", format_exports(volume));
	if (volume_is_copy(volume))
		json_object_object_add(object, "source", format_source(volume));
	if (volume_is_snapshot(volume))
		json_object_object_add(object, "snapshot", format_snapshot(&volume->snapshot));
	return xasprintf("%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY));
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The value of a field that must be there with this type. */
static int take(json_object *object, const char *key, json_type type, json_object **ret,
		struct err *err)
{
	json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return err_set(err, ERR_DATA_LOSS, "field \"%s\" is missing", key);
	if (!json_object_is_type(value, type))
		return err_set(err, ERR_DATA_LOSS, "field \"%s\" is of type %s, not %s", key,
			       json_type_to_name(json_object_get_type(value)),
			       json_type_to_name(type));
	*ret = value;
	return 0;
}

/* Text without a NUL inside, which C strings could not keep. Borrowed from object. */
static int text_of(json_object *value, const char *key, const char **ret, struct err *err)
{
	const char *text = json_object_get_string(value);

	if (strlen(text) != (size_t)json_object_get_string_len(value))
		return err_set(err, ERR_DATA_LOSS, "field \"%s\" contains a zero byte", key);
	*ret = text;
	return 0;
}

static int take_text(json_object *object, const char *key, const char **ret, struct err *err)
{
	json_object *value;

	if (take(object, key, json_type_string, &value, err) < 0)
		return -1;
	return text_of(value, key, ret, err);
}

/* As take, of a field that may be absent: *ret is NULL then. */
static int take_optional(json_object *object, const char *key, json_type type, json_object **ret,
			 struct err *err)
{
	*ret = NULL;
	if (!json_object_object_get_ex(object, key, NULL))
		return 0;
	return take(object, key, type, ret, err);
}

/* The index of text among names[count]. */
static int pick(const char *key, const char *text, const char *const names[], size_t count,
		size_t *ret, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return err_set(err, ERR_DATA_LOSS, "field \"%s\" has the unknown value \"%.64s\"", key,
		       text);
}

static int only_fields(json_object *object, const char *const known[], size_t count,
		       struct err *err)
{
	json_object_object_foreach(object, key, value)
	{
		bool found = false;

		(void)value;
		for (size_t i = 0; i < count; i++)
			found = found || strcmp(key, known[i]) == 0;
		if (!found)
			return err_set(err, ERR_DATA_LOSS, "unknown field \"%.64s\"", key);
	}
	return 0;
}

static int parse_parameters(json_object *object, struct volume *volume,
			    void (*add)(struct volume *volume, const char *key, const char *value),
			    struct err *err)
{
	const char *text = NULL;

	if (json_object_object_length(object) > VOLUME_PARAMETERS_MAX)
		return err_set(err, ERR_DATA_LOSS, "%d parameters are more than %d",
			       json_object_object_length(object), VOLUME_PARAMETERS_MAX);
	json_object_object_foreach(object, key, value)
	{
		if (!json_object_is_type(value, json_type_string))
			return err_set(err, ERR_DATA_LOSS, "parameter \"%.64s\" is not a string",
				       key);
		if (text_of(value, key, &text, err) < 0)
			return -1;
		add(volume, key, text);
	}
	return 0;
}

static int parse_all_parameters(json_object *object, struct volume *volume, struct err *err)
{
	json_object *parameters, *mutables;

	if (take(object, "parameters", json_type_object, &parameters, err) < 0 ||
	    parse_parameters(parameters, volume, volume_add_parameter, err) < 0 ||
	    take_optional(object, "mutableParameters", json_type_object, &mutables, err) < 0)
		return -1;
	return mutables ? parse_parameters(mutables, volume, volume_set_mutable, err) : 0;
}

static int parse_dhchap(json_object *object, enum dhchap_mode *ret, struct err *err)
{
	const char *names[DHCHAP_MODE_COUNT], *text = NULL;
	json_object *value;
	size_t index = 0;

	for (size_t i = 0; i < DHCHAP_MODE_COUNT; i++)
		names[i] = dhchap_mode_name((enum dhchap_mode)i);
	if (take_optional(object, "dhchap", json_type_string, &value, err) < 0 ||
	    (value && (text_of(value, "dhchap", &text, err) < 0 ||
		       pick("dhchap", text, names, ARRAY_SIZE(names), &index, err) < 0)))
		return -1;
	*ret = (enum dhchap_mode)index;
	return 0;
}

static int parse_export(json_object *object, struct volume *volume, struct err *err)
{
	static const char *const known[] = { "hostNqn", "access", "readonly", "hostMade",
					     "dhchap" };
	struct volume_export entry = { 0 };
	const char *names[VOLUME_ACCESS_COUNT];
	const char *host, *access;
	json_object *readonly, *made;
	size_t index = 0;

	for (size_t i = 0; i < VOLUME_ACCESS_COUNT; i++)
		names[i] = volume_access_name((enum volume_access)i);
	if (!json_object_is_type(object, json_type_object))
		return err_set(err, ERR_DATA_LOSS, "an entry of \"exports\" is not an object");
	if (only_fields(object, known, ARRAY_SIZE(known), err) < 0 ||
	    take_text(object, "hostNqn", &host, err) < 0 ||
	    parse_nqn("field \"hostNqn\"", host, entry.host_nqn, err) < 0 ||
	    take_text(object, "access", &access, err) < 0 ||
	    pick("access", access, names, ARRAY_SIZE(names), &index, err) < 0 ||
	    take(object, "readonly", json_type_boolean, &readonly, err) < 0 ||
	    take_optional(object, "hostMade", json_type_boolean, &made, err) < 0 ||
	    parse_dhchap(object, &entry.dhchap, err) < 0)
		return -1;
	if (volume_find_export(volume, host))
		return err_set(err, ERR_DATA_LOSS, "host %s is exported to twice", host);
	entry.access = (enum volume_access)index;
	entry.readonly = json_object_get_boolean(readonly);
	entry.host_made = made && json_object_get_boolean(made);
	if (volume->export_count && volume_is_readonly(volume) != entry.readonly)
		return err_set(err, ERR_DATA_LOSS, "\"exports\" mixes readers and writers");
	volume_add_export(volume, &entry);
	return 0;
}

static int parse_exports(json_object *array, struct volume *volume, struct err *err)
{
	size_t count = json_object_array_length(array);

	if (count > VOLUME_EXPORTS_MAX)
		return err_set(err, ERR_DATA_LOSS, "%zu exports are more than %d", count,
			       VOLUME_EXPORTS_MAX);
	for (size_t i = 0; i < count; i++)
		if (parse_export(json_object_array_get_idx(array, i), volume, err) < 0)
			return -1;
	return 0;
}

static int take_uuid(json_object *object, const char *key, struct uuid *ret, struct err *err)
{
	const char *text;

	if (take_text(object, key, &text, err) < 0 || parse_uuid(key, text, ret, err) < 0)
		return -1;
	return 0;
}

static int parse_source(json_object *object, struct volume *volume, struct err *err)
{
	static const char *const known[] = { "volume", "snapshot" };
	json_object *source;

	if (take_optional(object, "source", json_type_object, &source, err) < 0)
		return -1;
	if (!source)
		return 0;
	if (only_fields(source, known, ARRAY_SIZE(known), err) < 0)
		return -1;
	if (json_object_object_length(source) != 1)
		return err_set(err, ERR_DATA_LOSS, "\"source\" has %d fields instead of one",
			       json_object_object_length(source));
	volume->source_is_snapshot = json_object_object_get_ex(source, "snapshot", NULL);
	return take_uuid(source, volume->source_is_snapshot ? "snapshot" : "volume",
			 &volume->source, err);
}

static int parse_members(json_object *array, struct volume *volume, struct err *err)
{
	size_t count = json_object_array_length(array);

	if (count > VOLUME_GROUP_MAX)
		return err_set(err, ERR_DATA_LOSS, "%zu members are more than %d", count,
			       VOLUME_GROUP_MAX);
	for (size_t i = 0; i < count; i++) {
		json_object *item = json_object_array_get_idx(array, i);
		struct uuid uuid;

		if (!json_object_is_type(item, json_type_string))
			return err_set(err, ERR_DATA_LOSS, "an entry of \"members\" is no text");
		if (parse_uuid("members", json_object_get_string(item), &uuid, err) < 0)
			return -1;
		volume_add_member(volume, &uuid);
	}
	return 0;
}

static int parse_group(json_object *object, struct volume *volume, struct err *err)
{
	static const char *const known[] = { "uuid", "name", "members" };
	json_object *group, *members;
	const char *name;

	if (take_optional(object, "group", json_type_object, &group, err) < 0)
		return -1;
	if (!group)
		return 0;
	if (only_fields(group, known, ARRAY_SIZE(known), err) < 0 ||
	    take_uuid(group, "uuid", &volume->snapshot.group, err) < 0 ||
	    take_text(group, "name", &name, err) < 0 ||
	    take(group, "members", json_type_array, &members, err) < 0)
		return -1;
	volume->snapshot.group_name = xstrdup(name);
	return parse_members(members, volume, err);
}

static int parse_snapshot(json_object *object, struct volume *volume, struct err *err)
{
	static const char *const known[] = { "createdNs", "heldBytes", "group" };
	json_object *snapshot, *created, *held;

	if (take_optional(object, "snapshot", json_type_object, &snapshot, err) < 0)
		return -1;
	if (!snapshot)
		return 0;
	if (only_fields(snapshot, known, ARRAY_SIZE(known), err) < 0 ||
	    take(snapshot, "createdNs", json_type_int, &created, err) < 0 ||
	    take(snapshot, "heldBytes", json_type_int, &held, err) < 0 ||
	    parse_group(snapshot, volume, err) < 0)
		return -1;
	/* A negative number becomes a huge one here, which volume_check refuses. */
	volume->snapshot.created_ns = (uint64_t)json_object_get_int64(created);
	volume->snapshot.held_bytes = (uint64_t)json_object_get_int64(held);
	if (!volume->snapshot.created_ns)
		return err_set(err, ERR_DATA_LOSS, "field \"createdNs\" is 0");
	return 0;
}

static int parse_identity(json_object *object, const struct uuid *uuid, struct volume *volume,
			  struct err *err)
{
	json_object *version;
	const char *text, *name;

	if (take(object, "version", json_type_int, &version, err) < 0)
		return -1;
	if (json_object_get_int64(version) < 1 || json_object_get_int64(version) > RECORD_VERSION)
		return err_set(err, ERR_UNIMPLEMENTED, "version %" PRId64 " is not 1 to %d",
			       json_object_get_int64(version), RECORD_VERSION);
	if (take_text(object, "uuid", &text, err) < 0 || take_text(object, "name", &name, err) < 0)
		return -1;
	if (strcmp(text, uuid->text) != 0)
		return err_set(err, ERR_DATA_LOSS, "uuid \"%.64s\" is not the file's %s", text,
			       uuid->text);
	volume->uuid = *uuid;
	volume->name = xstrdup(name);
	return 0;
}

static int parse_settings(json_object *object, struct volume *volume, struct err *err)
{
	static const char *const caches[] = { "none", "volatile" };
	const char *states[VOLUME_STATE_COUNT];
	const char *cache, *state;
	size_t cache_index = 0, state_index = 0;
	json_object *size, *growing;

	for (size_t i = 0; i < VOLUME_STATE_COUNT; i++)
		states[i] = volume_state_name((enum volume_state)i);
	if (take(object, "sizeBytes", json_type_int, &size, err) < 0 ||
	    take_optional(object, "growingTo", json_type_int, &growing, err) < 0 ||
	    take_text(object, "writeCache", &cache, err) < 0 ||
	    pick("writeCache", cache, caches, ARRAY_SIZE(caches), &cache_index, err) < 0 ||
	    take_text(object, "state", &state, err) < 0 ||
	    pick("state", state, states, ARRAY_SIZE(states), &state_index, err) < 0)
		return -1;
	/* A negative size becomes a huge one here, which volume_check refuses. */
	volume->size_bytes = (uint64_t)json_object_get_int64(size);
	volume->growing_bytes = growing ? (uint64_t)json_object_get_int64(growing) : 0;
	volume->volatile_cache = cache_index == 1;
	volume->state = (enum volume_state)state_index;
	return 0;
}

static int parse_object(json_object *object, const struct uuid *uuid, struct volume *volume,
			struct err *err)
{
	static const char *const known[] = {
		"version", "uuid",	 "name",    "sizeBytes",	 "growingTo", "writeCache",
		"state",   "parameters", "exports", "mutableParameters", "source",    "snapshot"
	};
	json_object *exports;

	/* The version first: a newer one may have fields that are no mistake. */
	if (parse_identity(object, uuid, volume, err) < 0 ||
	    only_fields(object, known, ARRAY_SIZE(known), err) < 0 ||
	    parse_settings(object, volume, err) < 0 ||
	    parse_all_parameters(object, volume, err) < 0 ||
	    take(object, "exports", json_type_array, &exports, err) < 0 ||
	    parse_exports(exports, volume, err) < 0 || parse_source(object, volume, err) < 0 ||
	    parse_snapshot(object, volume, err) < 0)
		return -1;
	return volume_check(volume, err);
}

static json_object *parse_json(const char *text, struct err *err)
{
	struct json_tokener *tokener = json_tokener_new();
	json_object *object;

	if (!tokener)
		abort();
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	/* With the terminating zero, so that a number at the very end is seen as complete. */
	object = json_tokener_parse_ex(tokener, text, (int)strlen(text) + 1);
	if (json_tokener_get_error(tokener) != json_tokener_success)
		err_set(err, ERR_DATA_LOSS, "not JSON at byte %zu: %s",
			json_tokener_get_parse_end(tokener),
			json_tokener_error_desc(json_tokener_get_error(tokener)));
	else if (!json_object_is_type(object, json_type_object))
		err_set(err, ERR_DATA_LOSS, "not a JSON object");
	else
		goto out;
	json_object_put(object);
	object = NULL;
out:
	json_tokener_free(tokener);
	return object;
}

int record_parse(const char *text, const struct uuid *uuid, struct volume *ret, struct err *err)
{
	cleanup_json json_object *object = parse_json(text, err);
	struct volume volume = { 0 };

	if (!object)
		return -1;
	if (parse_object(object, uuid, &volume, err) < 0) {
		volume_fini(&volume);
		return err->code == ERR_UNIMPLEMENTED ? -1 : err_recode(err, ERR_DATA_LOSS);
	}
	*ret = volume;
	return 0;
}

/* --- files ------------------------------------------------------------------------------------ */

int record_load(const struct root *root, const struct uuid *uuid, struct volume *ret,
		struct err *err)
{
	cleanup_free char *text = NULL;
	char name[FILE_NAME_SIZE];
	bool creating = false;
	int found;

	file_name(uuid, creating, name);
	found = file_read(root, name, &text, err);
	if (found == 0) {
		creating = true;
		file_name(uuid, creating, name);
		found = file_read(root, name, &text, err);
	}
	if (found <= 0)
		return found;
	if (record_parse(text, uuid, ret, err) < 0)
		return err_wrap(err, "record %s/%s", root->path, name);
	if (creating)
		ret->state = VOLUME_CREATING;
	return 1;
}

/* Full storage must not keep a volume from going. */
static int replace(const struct root *root, const char *name, const char *text, struct err *err)
{
	int r = file_replace(root, name, text, err);

	for (int i = 0; i < SPARE_COUNT && r < 0; i++) {
		if (!err_is_full(err) || !spare_give(root))
			return -1;
		r = file_replace(root, name, text, err);
	}
	return r;
}

/* Nothing relies on one that is not there yet, and the spares are for those that are. */
static int create(const struct root *root, const char *name, const char *text, struct err *err)
{
	struct err ignored;

	if (file_create(root, name, text, err) == 0)
		return 0;
	/* Whoever hears that there is no room goes elsewhere: only if nothing is here for sure. */
	if (!err_is_full(err) || file_remove(root, name, &ignored) < 0)
		return -1;
	return err_recode(err, ERR_RESOURCE_EXHAUSTED);
}

int record_save(const struct root *root, const struct volume *volume, struct err *err)
{
	cleanup_free char *text = record_format(volume);
	char name[FILE_NAME_SIZE];

	file_name(&volume->uuid, volume->state == VOLUME_CREATING, name);
	/* One that could not be read again. Only text that is nearly all escapes gets there. */
	if (strlen(text) > FILE_MAX_BYTES)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "the record of volume %s would have %zu bytes, more than %u",
			       volume->uuid.text, strlen(text), FILE_MAX_BYTES);
	if (volume->state == VOLUME_CREATING && !root_exists(root, "%s", name))
		return create(root, name, text, err);
	if (replace(root, name, text, err) < 0)
		return -1;
	spare_fill(root);
	return 0;
}

/* Without the name that says that it is being created: ended before, or its text says it. */
static int commit_final(const struct root *root, const struct uuid *uuid, struct err *err)
{
	cleanup_volume struct volume volume = { 0 };
	int found = record_load(root, uuid, &volume, err);

	if (found < 0)
		return -1;
	if (found == 0)
		return err_set(err, ERR_INTERNAL, "record %s/%s" NEW_SUFFIX " is gone", root->path,
			       uuid->text);
	if (volume.state != VOLUME_CREATING)
		return 0;
	volume.state = VOLUME_READY;
	return record_save(root, &volume, err);
}

int record_commit(const struct root *root, const struct uuid *uuid, struct err *err)
{
	char from[FILE_NAME_SIZE], to[FILE_NAME_SIZE];

	file_name(uuid, true, from);
	file_name(uuid, false, to);
	if (renameat(root->fd, from, root->fd, to) < 0) {
		if (errno != ENOENT)
			return err_sys(err, errno, "rename %s/%s to %s", root->path, from, to);
		if (commit_final(root, uuid, err) < 0)
			return -1;
	}
	if (fsync(root->fd) < 0)
		return err_sys(err, errno, "fsync %s", root->path);
	return 0;
}

int record_remove(const struct root *root, const struct uuid *uuid, struct err *err)
{
	char name[FILE_NAME_SIZE], begun[FILE_NAME_SIZE];

	file_name(uuid, false, name);
	file_name(uuid, true, begun);
	if (unlinkat(root->fd, begun, 0) < 0 && errno != ENOENT)
		return err_sys(err, errno, "remove %s/%s", root->path, begun);
	/* Makes both removals durable. */
	if (file_remove(root, name, err) < 0)
		return -1;
	spare_fill(root);
	return 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t len = strlen(name), suffix_len = strlen(suffix);

	/* Names with a leading dot are the temporary files of file_replace. */
	return name[0] != '.' && len > suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

/* Whether it is of a creation of which <uuid>.json says what it has come to. */
static bool is_outdone(const struct root *root, const char *name)
{
	return has_suffix(name, NEW_SUFFIX) &&
	       root_exists(root, "%.*s" RECORD_SUFFIX, (int)(strlen(name) - strlen(NEW_SUFFIX)),
			   name);
}

static bool is_live(char *name, const void *root)
{
	return has_suffix(name, RECORD_SUFFIX) && !is_outdone(root, name);
}

static bool is_bad(char *name, const void *root)
{
	(void)root;
	return has_suffix(name, RECORD_SUFFIX BAD_SUFFIX);
}

int record_list(const struct root *root, enum record_kind kind, struct root_names *ret,
		struct err *err)
{
	if (root_list(root, ret, err, ".") < 0)
		return -1;
	root_names_filter(ret, kind == RECORD_LIVE ? is_live : is_bad, root);
	return 0;
}

int record_name_uuid(const char *name, struct uuid *ret, struct err *err)
{
	cleanup_free char *stem = xstrdup(name);
	char *suffix = strstr(stem, NEW_SUFFIX) ?: strstr(stem, RECORD_SUFFIX);
	struct uuid uuid;

	if (suffix)
		*suffix = '\0';
	if (parse_uuid("the name of the record", stem, &uuid, err) < 0)
		return err_recode(err, ERR_DATA_LOSS);
	if (strcmp(stem, uuid.text) != 0)
		return err_set(err, ERR_DATA_LOSS, "the name of the record \"%s\" is not %s", stem,
			       uuid.text);
	*ret = uuid;
	return 0;
}

bool record_is_begun(const char *name)
{
	return has_suffix(name, NEW_SUFFIX);
}

bool record_is_set_aside(const struct root *root, const struct uuid *uuid)
{
	return root_exists(root, "%s" RECORD_SUFFIX BAD_SUFFIX, uuid->text);
}

int record_quarantine(const struct root *root, const char *name, struct err *err)
{
	cleanup_free char *bad = xasprintf("%s%s", name, BAD_SUFFIX);

	if (renameat2(root->fd, name, root->fd, bad, RENAME_NOREPLACE) < 0)
		return err_sys(err, errno, "rename %s/%s to %s", root->path, name, bad);
	if (fsync(root->fd) < 0)
		return err_sys(err, errno, "fsync %s", root->path);
	return 0;
}
