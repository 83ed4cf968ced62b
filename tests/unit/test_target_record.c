/* SPDX-License-Identifier: Apache-2.0 */
/* Volume records: what is written reads back the same, and every malformed form is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/file.h"
#include "nvme/target/record.h"
#include "nvme/target/spare.h"

#define HOST "nqn.2014-08.org.nvmexpress:uuid:aaaaaaaa-0000-4000-8000-000000000001"
#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define OTHER "6e6f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a12"

static const struct uuid uuid = { UUID };

static struct volume sample(void)
{
	struct volume_export reader = { .host_nqn = HOST,
					.access = VOLUME_MULTI_READER,
					.readonly = true,
					.host_made = true,
					.dhchap = DHCHAP_BOTH_WAYS };
	struct volume_export other = { .host_nqn = "nqn.2020-01.org.example:b",
				       .access = VOLUME_MULTI_READER,
				       .readonly = true };
	struct volume volume = {
		.uuid = uuid,
		.name = xstrdup("a \"quoted\" näme"),
		.size_bytes = 1ULL << 50,
		.volatile_cache = true,
		.state = VOLUME_READY,
	};

	volume_add_parameter(&volume, "nrIoQueues", "4");
	volume_add_parameter(&volume, "empty", "");
	volume_set_mutable(&volume, "queueSize", "64");
	volume_add_export(&volume, &reader);
	volume_add_export(&volume, &other);
	return volume;
}

static void assert_same(const struct volume *a, const struct volume *b)
{
	assert_string_equal(a->uuid.text, b->uuid.text);
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->size_bytes, b->size_bytes);
	assert_int_equal(a->volatile_cache, b->volatile_cache);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->parameter_count, b->parameter_count);
	for (size_t i = 0; i < a->parameter_count; i++) {
		assert_string_equal(a->parameters[i].key, b->parameters[i].key);
		assert_string_equal(a->parameters[i].value, b->parameters[i].value);
	}
	assert_int_equal(a->growing_bytes, b->growing_bytes);
	assert_int_equal(a->mutable_count, b->mutable_count);
	for (size_t i = 0; i < a->mutable_count; i++) {
		assert_string_equal(a->mutables[i].key, b->mutables[i].key);
		assert_string_equal(a->mutables[i].value, b->mutables[i].value);
	}
	assert_int_equal(a->export_count, b->export_count);
	for (size_t i = 0; i < a->export_count; i++) {
		assert_string_equal(a->exports[i].host_nqn, b->exports[i].host_nqn);
		assert_int_equal(a->exports[i].access, b->exports[i].access);
		assert_int_equal(a->exports[i].readonly, b->exports[i].readonly);
		assert_int_equal(a->exports[i].host_made, b->exports[i].host_made);
		assert_int_equal(a->exports[i].dhchap, b->exports[i].dhchap);
	}
}

static void test_round_trip(void **state)
{
	(void)state;
	for (int s = 0; s < VOLUME_STATE_COUNT; s++) {
		cleanup_volume struct volume volume = sample(), back = { 0 };
		cleanup_free char *text = NULL;
		struct err err = ERR_INIT;

		volume.state = (enum volume_state)s;
		if (volume.state == VOLUME_READY)
			volume.growing_bytes = 2ULL << 50;
		text = record_format(&volume);
		assert_int_equal(record_parse(text, &uuid, &back, &err), 0);
		/* That a volume is being created is in the name of its record alone. */
		if (volume.state == VOLUME_CREATING)
			volume.state = VOLUME_READY;
		assert_same(&volume, &back);
	}
}

/* One well-formed record, and what of it each row replaces by what. */
static const char good[] =
	"{\"version\":1,\"uuid\":\"" UUID "\",\"name\":\"n\",\"sizeBytes\":4096,"
	"\"writeCache\":\"none\",\"state\":\"ready\",\"parameters\":{\"k\":\"v\"},"
	"\"exports\":[{\"hostNqn\":\"" HOST "\",\"access\":\"single-node\","
	"\"readonly\":false}]}";

/* The same as a snapshot's, of which the rows below change something. */
#define SNAPSHOT_FROM "\"writeCache\":\"none\""
#define SNAPSHOT(volume, created, held, more)                                                      \
	SNAPSHOT_FROM ",\"source\":{\"volume\":\"" volume                                          \
		      "\"},\"snapshot\":{\"createdNs\":" created ",\"heldBytes\":" held more "}"
#define GROUP(name, members)                                                                       \
	",\"group\":{\"uuid\":\"" OTHER "\",\"name\":\"" name "\",\"members\":[" members "]}"
#define BARE(settings)                                                                             \
	"{\"version\":1,\"uuid\":\"" UUID "\",\"name\":\"n\",\"sizeBytes\":4096," settings         \
	",\"state\":\"ready\",\"parameters\":{},\"exports\":[]}"

struct row {
	const char *from;
	const char *to;
	const char *says;
};

static const struct row rows[] = {
	{ "\"version\":1", "\"version\":\"1\"", "\"version\" is of type string, not int" },
	{ "\"version\":1,", "", "\"version\" is missing" },
	{ "\"version\":1", "\"version\":1,\"extra\":0", "unknown field \"extra\"" },
	{ UUID, "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a12", "is not the file's" },
	{ UUID, "5D5F4A53-6F0C-4F0E-9F0A-0B6F3F6C2A11", "is not the file's" },
	{ "\"uuid\":\"" UUID "\"", "\"uuid\":7", "\"uuid\" is of type int" },
	{ "\"name\":\"n\"", "\"name\":\"\"", "volume name" },
	{ "\"name\":\"n\"", "\"name\":null", "\"name\" is of type null" },
	{ "\"name\":\"n\"", "\"name\":\"a\\u0000b\"", "contains a zero byte" },
	{ "4096", "4097", "not a positive multiple" },
	{ "4096", "0", "not a positive multiple" },
	{ "4096", "-4096", "not a positive multiple" },
	{ "4096", "18446744073709551616", "not a positive multiple" },
	{ "4096", "4096.0", "\"sizeBytes\" is of type double" },
	{ "\"none\"", "\"maybe\"", "\"writeCache\" has the unknown value \"maybe\"" },
	{ "\"ready\"", "\"READY\"", "\"state\" has the unknown value" },
	{ "{\"k\":\"v\"}", "[]", "\"parameters\" is of type array" },
	{ "{\"k\":\"v\"}", "{\"k\":1}", "parameter \"k\" is not a string" },
	{ "{\"k\":\"v\"}", "{\"\":\"v\"}", "a key has 1 to" },
	{ ",\"parameters\":{\"k\":\"v\"}", "", "\"parameters\" is missing" },
	{ "[{", "{\"a\":{", NULL },
	{ "[{\"host", "[7,{\"host", "is not an object" },
	{ "\"hostNqn\":\"" HOST "\",", "", "\"hostNqn\" is missing" },
	{ HOST, "../../etc", "\"hostNqn\" \"../../etc\" is not an NQN" },
	{ "\"single-node\"", "\"any\"", "\"access\" has the unknown value" },
	{ "\"readonly\":false", "\"readonly\":false,\"hostMade\":1",
	  "\"hostMade\" is of type int" },
	{ "\"readonly\":false", "\"readonly\":0", "\"readonly\" is of type int" },
	{ "\"readonly\":false", "\"readonly\":false,\"x\":1", "unknown field \"x\"" },
	{ "4096", "4096,\"growingTo\":\"8192\"", "\"growingTo\" is of type string" },
	{ "4096", "4096,\"growingTo\":8193", "not a positive multiple" },
	{ "4096", "4096,\"growingTo\":-8192", "not a positive multiple" },
	{ "4096", "4096,\"growingTo\":4096", "cannot grow to 4096" },
	{ "\"ready\"", "\"created\"", "\"state\" has the unknown value" },
	{ "\"ready\"", "\"deleting\",\"growingTo\":8192", "in state deleting cannot grow" },
	{ "\"ready\"", "\"ready\",\"mutableParameters\":[]",
	  "\"mutableParameters\" is of type array" },
	{ "\"ready\"", "\"ready\",\"mutableParameters\":{\"k\":1}",
	  "parameter \"k\" is not a string" },
	{ "\"ready\"", "\"ready\",\"mutableParameters\":{\"\":\"v\"}", "a key has 1 to" },
	{ "false}]",
	  "false},{\"hostNqn\":\"nqn.2020-01.org.x\",\"access\":\"single-node\","
	  "\"readonly\":true}]",
	  "mixes readers and writers" },
	{ "false}]",
	  "false},{\"hostNqn\":\"" HOST "\",\"access\":\"multi-writer\",\"readonly\":true}]",
	  "exported to twice" },
	{ "]}", "]", "not JSON" },
	{ "]}", "]}{}", "not JSON" },
	{ "]}", "]} x", "not JSON" },
	{ "\"ready\"", "\"ready\",\"source\":7", "\"source\" is of type int" },
	{ "\"ready\"", "\"ready\",\"source\":{}", "\"source\" has 0 fields" },
	{ "\"ready\"", "\"ready\",\"source\":{\"volume\":\"" OTHER "\",\"snapshot\":\"" OTHER "\"}",
	  "\"source\" has 2 fields" },
	{ "\"ready\"", "\"ready\",\"source\":{\"volume\":\"x\"}", "volume \"x\"" },
	{ "\"ready\"", "\"ready\",\"source\":{\"host\":\"" OTHER "\"}", "unknown field \"host\"" },
	{ SNAPSHOT_FROM, SNAPSHOT(OTHER, "1", "4096", ""), "has exports" },
	{ "\"ready\"", "\"ready\",\"snapshot\":{\"createdNs\":1,\"heldBytes\":0}",
	  "is of no volume" },
	{ good, BARE(SNAPSHOT(OTHER, "0", "4096", "")), "\"createdNs\" is 0" },
	{ good, BARE(SNAPSHOT(OTHER, "-1", "4096", "")), "is negative" },
	{ good, BARE(SNAPSHOT(OTHER, "1", "-1", "")), "is negative" },
	{ good, BARE(SNAPSHOT(OTHER, "1", "\"1\"", "")), "\"heldBytes\" is of type string" },
	{ good, BARE(SNAPSHOT(OTHER, "1", "1", ",\"x\":1")), "unknown field \"x\"" },
	{ good, BARE(SNAPSHOT(OTHER, "1", "1", GROUP("", "\"" UUID "\""))), "group name" },
	{ good, BARE(SNAPSHOT(OTHER, "1", "1", GROUP("g", ""))), "is not once among" },
	{ good, BARE(SNAPSHOT(OTHER, "1", "1", GROUP("g", "\"" OTHER "\""))), "is not once among" },
	{ good, BARE(SNAPSHOT(OTHER, "1", "1", GROUP("g", "\"" UUID "\",\"" UUID "\""))),
	  "is not once among" },
	{ good, BARE(SNAPSHOT(OTHER, "1", "1", GROUP("g", "7"))), "\"members\" is no text" },
	{ good, "", "not JSON" },
	{ good, "[]", "not a JSON object" },
	{ good, "null", "not a JSON object" },
};

static char *replace(const char *from, const char *to)
{
	const char *at = strstr(good, from);

	assert_non_null(at);
	return xasprintf("%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
}

static void test_malformed(void **state)
{
	cleanup_volume struct volume volume = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(record_parse(good, &uuid, &volume, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_free char *text = replace(rows[i].from, rows[i].to);
		struct volume untouched = { 0 };

		err = ERR_INIT;
		print_message("%s -> %s\n", rows[i].from, rows[i].to);
		assert_int_equal(record_parse(text, &uuid, &untouched, &err), -1);
		assert_int_equal(err.code, ERR_DATA_LOSS);
		assert_null(untouched.name);
		if (rows[i].says && !strstr(err.msg, rows[i].says))
			fail_msg("\"%s\" does not say \"%s\"", err.msg, rows[i].says);
	}
}

static void assert_same_copy(const struct volume *volume, bool creating)
{
	cleanup_free char *text = record_format(volume);
	cleanup_volume struct volume back = { 0 };
	struct err err = ERR_INIT;

	if (record_parse(text, &uuid, &back, &err) < 0)
		fail_msg("%s", err.msg);
	if (creating)
		back.state = VOLUME_CREATING;
	assert_same(volume, &back);
	assert_string_equal(volume->source.text, back.source.text);
	assert_int_equal(volume->source_is_snapshot, back.source_is_snapshot);
	assert_int_equal(volume->snapshot.created_ns, back.snapshot.created_ns);
	assert_int_equal(volume->snapshot.held_bytes, back.snapshot.held_bytes);
	assert_string_equal(volume->snapshot.group.text, back.snapshot.group.text);
	assert_int_equal(volume->snapshot.member_count, back.snapshot.member_count);
	for (size_t i = 0; i < volume->snapshot.member_count; i++)
		assert_string_equal(volume->snapshot.members[i].text,
				    back.snapshot.members[i].text);
	if (volume->snapshot.group_name)
		assert_string_equal(volume->snapshot.group_name, back.snapshot.group_name);
}

/* Clones, restored volumes, snapshots, and those of a group. */
static void test_copies_round_trip(void **state)
{
	struct uuid other = { OTHER };

	(void)state;
	for (int i = 0; i < 4; i++) {
		cleanup_volume struct volume volume = { .uuid = uuid,
							.name = xstrdup("n"),
							.size_bytes = 8192,
							.source = other,
							.state = VOLUME_READY };

		volume.source_is_snapshot = i == 1;
		if (i >= 2)
			volume.snapshot = (struct volume_snapshot) {
				.created_ns = 1799999999123456789,
				.held_bytes = 4096,
			};
		if (i == 3) {
			volume.snapshot.group = other;
			volume.snapshot.group_name = xstrdup("group");
			volume_add_member(&volume, &uuid);
			volume_add_member(&volume, &other);
		}
		assert_same_copy(&volume, false);
		volume.state = VOLUME_CREATING;
		assert_same_copy(&volume, true);
		volume.state = VOLUME_DELETING;
		assert_same_copy(&volume, false);
	}
}

/* As records were before there were expansions and mutable parameters. */
static void test_absent_fields(void **state)
{
	cleanup_volume struct volume volume = { 0 };
	cleanup_free char *text = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(record_parse(good, &uuid, &volume, &err), 0);
	assert_int_equal(volume.growing_bytes, 0);
	assert_int_equal(volume.mutable_count, 0);
	text = record_format(&volume);
	assert_null(strstr(text, "growingTo"));
	assert_null(strstr(text, "mutableParameters"));
	assert_null(strstr(text, "source"));
	assert_null(strstr(text, "snapshot"));
}

/* Written, it could never be read again. */
static void test_too_large_a_record_is_not_written(void **state)
{
	cleanup_volume struct volume volume = sample();
	char dir[] = "/tmp/test_target_record.XXXXXX", key[16], value[VOLUME_VALUE_MAX + 1];
	struct root root = ROOT_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(root_open(&root, dir, &err), 0);
	memset(value, 1, sizeof(value) - 1);
	value[VOLUME_VALUE_MAX] = '\0';
	for (int i = 0; i < VOLUME_PARAMETERS_MAX; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		volume_set_mutable(&volume, key, value);
	}
	assert_int_equal(record_save(&root, &volume, &err), 0);
	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "p%d", i);
		volume_add_parameter(&volume, key, value);
	}
	assert_int_equal(record_save(&root, &volume, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_int_equal(record_remove(&root, &uuid, &err), 0);
	while (spare_give(&root))
		;
	root_close(&root);
	assert_int_equal(rmdir(dir), 0);
}

/* What a newer target wrote is whole, and not to be told apart by its fields. */
static void test_other_version(void **state)
{
	cleanup_free char *text = replace("\"version\":1", "\"version\":3,\"new\":0");
	struct volume none = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(record_parse(text, &uuid, &none, &err), -1);
	assert_int_equal(err.code, ERR_UNIMPLEMENTED);
	assert_non_null(strstr(err.msg, "version 3 is not 1 to 2"));
}

static void test_every_truncation_is_refused(void **state)
{
	(void)state;
	for (size_t len = 0; len < strlen(good); len++) {
		cleanup_free char *text = strndup(good, len);
		struct volume volume = { 0 };
		struct err err = ERR_INIT;

		assert_int_equal(record_parse(text, &uuid, &volume, &err), -1);
		assert_int_equal(err.code, ERR_DATA_LOSS);
	}
}

static void test_names(void **state)
{
	struct uuid parsed;
	struct err err;

	(void)state;
	assert_int_equal(record_name_uuid(UUID ".json", &parsed, &err), 0);
	assert_string_equal(parsed.text, UUID);
	assert_int_equal(record_name_uuid(UUID ".json.bad", &parsed, &err), 0);
	assert_int_equal(record_name_uuid(UUID ".new.json", &parsed, &err), 0);
	assert_string_equal(parsed.text, UUID);
	assert_int_equal(record_name_uuid(UUID ".new.json.bad", &parsed, &err), 0);
	assert_int_equal(record_name_uuid(UUID ".old.json", &parsed, &err), -1);
	assert_int_equal(
		record_name_uuid("5D5F4A53-6F0C-4F0E-9F0A-0B6F3F6C2A11.json", &parsed, &err), -1);
	assert_int_equal(record_name_uuid("notes.json", &parsed, &err), -1);
	assert_int_equal(err.code, ERR_DATA_LOSS);
}

static void test_files(void **state)
{
	cleanup_volume struct volume volume = sample(), back = { 0 };
	cleanup_root_names struct root_names live = { 0 }, bad = { 0 };
	char dir[] = "/tmp/test_target_record.XXXXXX";
	struct root root = ROOT_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(root_open(&root, dir, &err), 0);
	assert_int_equal(record_load(&root, &uuid, &back, &err), 0);
	assert_int_equal(record_save(&root, &volume, &err), 0);
	assert_int_equal(record_load(&root, &uuid, &back, &err), 1);
	assert_same(&volume, &back);

	/* The rest of an interrupted replacement, and other files, are no records. */
	assert_int_equal(file_replace(&root, "." UUID ".json.tmp", "{", &err), 0);
	assert_int_equal(file_replace(&root, UUID ".img", "", &err), 0);
	assert_int_equal(record_list(&root, RECORD_LIVE, &live, &err), 0);
	assert_int_equal(live.count, 1);
	assert_string_equal(live.names[0], UUID ".json");

	/* Nor is what <uuid>.json has made obsolete. */
	assert_int_equal(file_replace(&root, UUID ".new.json", "", &err), 0);
	root_names_fini(&live);
	assert_int_equal(record_list(&root, RECORD_LIVE, &live, &err), 0);
	assert_int_equal(live.count, 1);
	assert_string_equal(live.names[0], UUID ".json");
	assert_int_equal(root_unlink(&root, &err, UUID ".new.json"), 0);

	assert_int_equal(record_quarantine(&root, UUID ".json", &err), 0);
	assert_int_equal(record_list(&root, RECORD_BAD, &bad, &err), 0);
	assert_int_equal(bad.count, 1);
	assert_string_equal(bad.names[0], UUID ".json.bad");

	/* What was set aside first is not overwritten by what comes later. */
	assert_int_equal(record_save(&root, &volume, &err), 0);
	assert_int_equal(record_quarantine(&root, UUID ".json", &err), -1);
	assert_true(root_exists(&root, UUID ".json"));

	assert_int_equal(record_remove(&root, &uuid, &err), 0);
	assert_int_equal(record_remove(&root, &uuid, &err), 0);
	assert_int_equal(root_unlink(&root, &err, UUID ".json.bad"), 0);
	assert_int_equal(root_unlink(&root, &err, UUID ".img"), 0);
	assert_int_equal(root_unlink(&root, &err, "." UUID ".json.tmp"), 0);
	while (spare_give(&root))
		;
	root_close(&root);
	assert_int_equal(rmdir(dir), 0);
}

static void assert_only(const struct root *at, const char *name)
{
	cleanup_root_names struct root_names names = { 0 };
	struct err err = ERR_INIT;

	while (spare_give(at))
		;
	assert_int_equal(root_list(at, &names, &err, "."), 0);
	assert_int_equal(names.count, name ? 1 : 0);
	if (name)
		assert_string_equal(names.names[0], name);
}

/* Begun, committed, committed again, removed; and begun and removed. */
static void test_creating(void **state)
{
	cleanup_volume struct volume volume = sample(), begun = { 0 }, ready = { 0 };
	char dir[] = "/tmp/test_target_record.XXXXXX";
	struct root root = ROOT_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(root_open(&root, dir, &err), 0);
	assert_int_equal(record_commit(&root, &uuid, &err), -1);
	assert_true(record_is_begun(UUID ".new.json"));
	assert_false(record_is_begun(UUID ".json"));
	assert_false(record_is_begun(UUID ".new.json.bad"));
	volume.state = VOLUME_CREATING;
	assert_int_equal(record_save(&root, &volume, &err), 0);
	assert_only(&root, UUID ".new.json");
	assert_int_equal(record_load(&root, &uuid, &begun, &err), 1);
	assert_same(&volume, &begun);

	assert_int_equal(record_commit(&root, &uuid, &err), 0);
	assert_int_equal(record_commit(&root, &uuid, &err), 0);
	assert_only(&root, UUID ".json");
	assert_int_equal(record_load(&root, &uuid, &ready, &err), 1);
	volume.state = VOLUME_READY;
	assert_same(&volume, &ready);
	assert_int_equal(record_remove(&root, &uuid, &err), 0);
	assert_only(&root, NULL);

	volume.state = VOLUME_CREATING;
	assert_int_equal(record_save(&root, &volume, &err), 0);
	assert_int_equal(record_remove(&root, &uuid, &err), 0);
	assert_only(&root, NULL);
	root_close(&root);
	assert_int_equal(rmdir(dir), 0);
}

/* A backing may rely on it, so there is no moment without one. */
static void test_creating_is_saved_again(void **state)
{
	cleanup_volume struct volume volume = sample(), back = { 0 };
	char dir[] = "/tmp/test_target_record.XXXXXX";
	struct root root = ROOT_INIT;
	struct stat old, new;
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(root_open(&root, dir, &err), 0);
	volume.state = VOLUME_CREATING;
	assert_int_equal(record_save(&root, &volume, &err), 0);
	assert_int_equal(fstatat(root.fd, UUID ".new.json", &old, 0), 0);
	/* In the way of the file that is to replace it. */
	assert_int_equal(root_mkdir(&root, &err, "." UUID ".new.json.tmp"), 0);
	assert_int_equal(record_save(&root, &volume, &err), -1);
	assert_int_equal(record_load(&root, &uuid, &back, &err), 1);
	assert_same(&volume, &back);
	assert_int_equal(root_rmdir(&root, &err, "." UUID ".new.json.tmp"), 0);
	assert_int_equal(record_save(&root, &volume, &err), 0);
	assert_int_equal(fstatat(root.fd, UUID ".new.json", &new, 0), 0);
	assert_int_not_equal(old.st_ino, new.st_ino);
	assert_only(&root, UUID ".new.json");
	assert_int_equal(record_remove(&root, &uuid, &err), 0);
	assert_only(&root, NULL);
	root_close(&root);
	assert_int_equal(rmdir(dir), 0);
}

/* A record that says so itself, under its final name, as they were written once. */
static void test_creating_by_its_text(void **state)
{
	cleanup_volume struct volume begun = { 0 }, ready = { 0 };
	char dir[] = "/tmp/test_target_record.XXXXXX";
	struct root root = ROOT_INIT;
	cleanup_free char *text = replace("\"ready\"", "\"creating\"");
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(root_open(&root, dir, &err), 0);
	assert_int_equal(file_replace(&root, UUID ".json", text, &err), 0);
	assert_int_equal(record_load(&root, &uuid, &begun, &err), 1);
	assert_int_equal(begun.state, VOLUME_CREATING);
	assert_int_equal(record_commit(&root, &uuid, &err), 0);
	assert_int_equal(record_load(&root, &uuid, &ready, &err), 1);
	assert_int_equal(ready.state, VOLUME_READY);
	assert_only(&root, UUID ".json");
	/* With what is written when it is settled, or deleted. */
	assert_int_equal(file_replace(&root, UUID ".json", text, &err), 0);
	assert_int_equal(record_save(&root, &begun, &err), 0);
	assert_int_equal(record_commit(&root, &uuid, &err), 0);
	assert_only(&root, UUID ".json");
	volume_fini(&ready);
	assert_int_equal(record_load(&root, &uuid, &ready, &err), 1);
	assert_int_equal(ready.state, VOLUME_READY);
	assert_int_equal(record_remove(&root, &uuid, &err), 0);
	assert_only(&root, NULL);
	root_close(&root);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_copies_round_trip),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_absent_fields),
		cmocka_unit_test(test_too_large_a_record_is_not_written),
		cmocka_unit_test(test_other_version),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_creating),
		cmocka_unit_test(test_creating_is_saved_again),
		cmocka_unit_test(test_creating_by_its_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
