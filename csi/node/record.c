/* SPDX-License-Identifier: Apache-2.0 */
/* Node records, as JSON files. */
#include "csi/node/record.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/file.h"
#include "nvme/base/log.h"

#define RECORD_DIR "volumes"
#define RECORD_VERSION 1

static void json_freep(json_object **json)
{
	json_object_put(*json);
}

struct node_record node_record_make(const char *volume_id, const struct attachment *attachment,
				    const struct access *access, const char *staging_path)
{
	struct node_record record = { .has_uuid = attachment->has_uuid,
				      .uuid = attachment->uuid,
				      .nsid = attachment->nsid,
				      .block = access->block,
				      .readonly = attachment->readonly || access->many_nodes };

	strcpy(record.volume_id, volume_id);
	strcpy(record.nqn, attachment->nqn);
	strcpy(record.staging_path, staging_path);
	return record;
}

bool node_record_derive(const char *volume_id, struct node_record *ret)
{
	struct node_record record = { .has_uuid = true };
	struct volume_id id;

	if (!volume_id_parse(volume_id, &id))
		return false;
	strcpy(record.volume_id, volume_id);
	record.uuid = id.uuid;
	volume_nqn(&id.uuid, record.nqn);
	*ret = record;
	return true;
}

struct uuid node_record_key(const struct node_record *record)
{
	char text[NQN_SIZE + 16];

	if (record->has_uuid)
		return record->uuid;
	snprintf(text, sizeof(text), "%s/%u", record->nqn, record->nsid);
	return volume_uuid_of_id(text);
}

/* The path of a record, relative to the state directory. */
struct record_name {
	char text[64];
};

static struct record_name record_name(const char *volume_id)
{
	struct uuid uuid = volume_uuid_of_id(volume_id);
	struct record_name name;

	snprintf(name.text, sizeof(name.text), "%s.json", uuid.text);
	return name;
}

static int open_dir(const struct root *state, struct root *ret, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/" RECORD_DIR, state->path);

	return root_open(ret, path, err);
}

static const char *get_text(json_object *json, const char *key)
{
	json_object *value;

	if (!json_object_object_get_ex(json, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

static int64_t get_number(json_object *json, const char *key)
{
	json_object *value;

	if (!json_object_object_get_ex(json, key, &value) ||
	    !json_object_is_type(value, json_type_int))
		return -1;
	return json_object_get_int64(value);
}

/* False when it is no boolean; an absent one leaves ret as it is and is fine if it may be. */
static bool get_bool(json_object *json, const char *key, bool may_be_absent, bool *ret)
{
	json_object *value;

	if (!json_object_object_get_ex(json, key, &value))
		return may_be_absent;
	*ret = json_object_get_boolean(value);
	return json_object_is_type(value, json_type_boolean);
}

static bool copy_text(char *ret, size_t size, const char *text)
{
	if (!text || strlen(text) >= size)
		return false;
	strcpy(ret, text);
	return true;
}

static bool decode(json_object *json, struct node_record *ret)
{
	struct node_record record = { 0 };
	const char *uuid = get_text(json, "nsUuid");
	struct err ignored;

	if (get_number(json, "version") != RECORD_VERSION ||
	    !copy_text(record.volume_id, sizeof(record.volume_id), get_text(json, "volumeId")) ||
	    !copy_text(record.staging_path, sizeof(record.staging_path),
		       get_text(json, "stagingPath")) ||
	    parse_nqn("nqn", get_text(json, "nqn"), record.nqn, &ignored) < 0 ||
	    !get_bool(json, "block", false, &record.block) ||
	    !get_bool(json, "readonly", true, &record.readonly)) /* younger than version 1 */
		return false;
	record.has_uuid = uuid != NULL;
	if (uuid) {
		if (parse_uuid("nsUuid", uuid, &record.uuid, &ignored) < 0)
			return false;
	} else {
		int64_t nsid = get_number(json, "nsid");

		if (nsid < 1 || nsid >= UINT32_MAX)
			return false;
		record.nsid = (uint32_t)nsid;
	}
	*ret = record;
	return true;
}

static int load_file(const struct root *dir, const char *name, struct node_record *ret,
		     struct err *err)
{
	json_object *json CLEANUP(json_freep) = NULL;
	cleanup_free char *text = NULL;
	int found = file_read(dir, name, &text, err);

	if (found <= 0)
		return found;
	json = json_tokener_parse(text);
	if (!json || !decode(json, ret))
		return err_set(
			err, ERR_INTERNAL,
			"%s/%s is not a volume record of this driver; look at it and remove it",
			dir->path, name);
	return 1;
}

int node_record_load(const struct root *state, const char *volume_id, struct node_record *ret,
		     struct err *err)
{
	struct root dir cleanup_root = ROOT_INIT;
	struct record_name name = record_name(volume_id);

	struct node_record record;
	int found;

	if (open_dir(state, &dir, err) < 0)
		return -1;
	found = load_file(&dir, name.text, &record, err);
	if (found <= 0)
		return found;
	if (strcmp(record.volume_id, volume_id) != 0)
		return err_set(err, ERR_INTERNAL, "%s/%s is the record of \"%s\", not of \"%s\"",
			       dir.path, name.text, record.volume_id, volume_id);
	*ret = record;
	return 1;
}

int node_record_save(const struct root *state, const struct node_record *record, struct err *err)
{
	json_object *json CLEANUP(json_freep) = json_object_new_object();
	struct root dir cleanup_root = ROOT_INIT;
	struct record_name name = record_name(record->volume_id);

	if (open_dir(state, &dir, err) < 0)
		return -1;
	json_object_object_add(json, "version", json_object_new_int(RECORD_VERSION));
	json_object_object_add(json, "volumeId", json_object_new_string(record->volume_id));
	json_object_object_add(json, "nqn", json_object_new_string(record->nqn));
	if (record->has_uuid)
		json_object_object_add(json, "nsUuid", json_object_new_string(record->uuid.text));
	else
		json_object_object_add(json, "nsid", json_object_new_int64(record->nsid));
	json_object_object_add(json, "block", json_object_new_boolean(record->block));
	json_object_object_add(json, "readonly", json_object_new_boolean(record->readonly));
	json_object_object_add(json, "stagingPath", json_object_new_string(record->staging_path));
	return file_replace(&dir, name.text,
			    json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY), err);
}

int node_record_remove(const struct root *state, const char *volume_id, struct err *err)
{
	struct root dir cleanup_root = ROOT_INIT;
	struct record_name name = record_name(volume_id);

	if (open_dir(state, &dir, err) < 0)
		return -1;
	return file_remove(&dir, name.text, err);
}

int node_record_any(const struct root *state,
		    bool (*matches)(const struct node_record *record, void *context), void *context,
		    struct err *err)
{
	struct root_names names cleanup_root_names = { 0 };
	struct root dir cleanup_root = ROOT_INIT;

	if (open_dir(state, &dir, err) < 0 || root_list(&dir, &names, err, ".") < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		struct node_record record;
		struct err unreadable;
		int found;

		/* Leftovers of an interrupted write begin with a dot. */
		if (names.names[i][0] == '.')
			continue;
		found = load_file(&dir, names.names[i], &record, &unreadable);
		if (found < 0)
			log_warning("volume record passed over", KV_ERR(&unreadable));
		if (found > 0 && matches(&record, context))
			return 1;
	}
	return 0;
}
