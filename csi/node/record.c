/* SPDX-License-Identifier: Apache-2.0 */
/* Node records, as JSON files. */
#include "csi/node/record.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/file.h"
#include "nvme/base/log.h"
#include "nvme/base/strb.h"

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

void node_record_set_connection(struct node_record *record, const struct attachment *attachment,
				const struct host_connect_options *options)
{
	struct node_connection *connection = &record->connection;

	*connection = (struct node_connection) { 0 };
	record->takes_keys = dhchap_keys_mode(&options->keys) != DHCHAP_NONE;
	if (record->takes_keys)
		return;
	*connection = (struct node_connection) { .portal_count = attachment->portal_count,
						 .options = *options };
	memcpy(connection->portals, attachment->portals, sizeof(connection->portals));
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

/* The options of a connection, as the StorageClass has them. */
static const struct connect_field {
	const char *key;
	size_t offset;
} connect_fields[] = {
	{ "nrIoQueues", offsetof(struct host_connect_options, nr_io_queues) },
	{ "queueSize", offsetof(struct host_connect_options, queue_size) },
	{ "ctrlLossTmo", offsetof(struct host_connect_options, ctrl_loss_tmo_s) },
	{ "reconnectDelay", offsetof(struct host_connect_options, reconnect_delay_s) },
	{ "fastIoFailTmo", offsetof(struct host_connect_options, fast_io_fail_tmo_s) },
	{ "keepAliveTmo", offsetof(struct host_connect_options, keep_alive_tmo_s) },
};

/* An absent one is not known; half of one is malformed. */
static bool decode_connection(json_object *record, struct node_connection *ret)
{
	json_object *json, *value;
	struct err ignored;

	if (!json_object_object_get_ex(record, "connection", &json))
		return true;
	if (!json_object_is_type(json, json_type_object) || !get_text(json, "portals") ||
	    portal_parse_list(get_text(json, "portals"), ret->portals, &ret->portal_count,
			      &ignored) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(connect_fields); i++) {
		const struct connect_field *field = &connect_fields[i];
		int *option = (int *)((char *)&ret->options + field->offset);

		if (!json_object_object_get_ex(json, field->key, &value) ||
		    !json_object_is_type(value, json_type_int))
			return false;
		*option = json_object_get_int(value);
	}
	return true;
}

static json_object *encode_connection(const struct node_connection *connection)
{
	char buffer[PORTAL_MAX * PORTAL_TEXT_SIZE];
	struct strb portals = strb_over(buffer, sizeof(buffer));
	json_object *json = json_object_new_object();

	for (size_t i = 0; i < connection->portal_count; i++) {
		char text[PORTAL_TEXT_SIZE];

		portal_format(&connection->portals[i], text);
		strb_addf(&portals, "%s%s", i ? "," : "", text);
	}
	json_object_object_add(json, "portals", json_object_new_string(buffer));
	for (size_t i = 0; i < ARRAY_SIZE(connect_fields); i++) {
		const char *options = (const char *)&connection->options;
		const int *option = (const int *)(options + connect_fields[i].offset);

		json_object_object_add(json, connect_fields[i].key, json_object_new_int(*option));
	}
	return json;
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
	    /* Younger than version 1. */
	    !get_bool(json, "readonly", true, &record.readonly) ||
	    !get_bool(json, "takesKeys", true, &record.takes_keys) ||
	    !decode_connection(json, &record.connection))
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

int node_record_find(const struct root *state, const char *volume_id, struct node_record *ret,
		     struct err *err)
{
	int found = node_record_load(state, volume_id, ret, err);

	return found ? found : node_record_derive(volume_id, ret);
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
	json_object_object_add(json, "takesKeys", json_object_new_boolean(record->takes_keys));
	json_object_object_add(json, "stagingPath", json_object_new_string(record->staging_path));
	if (record->connection.portal_count)
		json_object_object_add(json, "connection", encode_connection(&record->connection));
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

/* Whether the text is in a file; true, too, if it cannot be read: whoever loads it says why. */
static bool file_has(const struct root *dir, const char *name, const char *word)
{
	cleanup_free char *text = NULL;
	struct err unreadable;

	return file_read(dir, name, &text, &unreadable) != 1 || strstr(text, word);
}

/* Taking a record apart costs much more than to see that it is of another subsystem. */
int node_record_any(const struct root *state, const char *nqn,
		    bool (*matches)(const struct node_record *record, void *context), void *context,
		    struct err *err)
{
	struct root_names names cleanup_root_names = { 0 };
	struct root dir cleanup_root = ROOT_INIT;
	json_object *json CLEANUP(json_freep) = nqn ? json_object_new_string(nqn) : NULL;
	const char *word = json ? json_object_to_json_string(json) : NULL;

	if (open_dir(state, &dir, err) < 0 || root_list(&dir, &names, err, ".") < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		struct node_record record;
		struct err unreadable;
		int found;

		/* Leftovers of an interrupted write begin with a dot. */
		if (names.names[i][0] == '.')
			continue;
		if (word && !file_has(&dir, names.names[i], word))
			continue;
		found = load_file(&dir, names.names[i], &record, &unreadable);
		if (found < 0)
			log_warning("volume record passed over", KV_ERR(&unreadable));
		if (found > 0 && matches(&record, context))
			return 1;
	}
	return 0;
}
