/* SPDX-License-Identifier: Apache-2.0 */
/* Node records: there and back, derived from an ID, and what is made of damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csi/node/record.h"
#include "nvme/base/file.h"
#include "tests/unit/dhchap_keys.h"

#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define ID "box/fast/" UUID
#define NQN "nqn.2026-11.io.nvmeot:" UUID
#define FOREIGN_NQN "nqn.2014-08.org.example:array"

static char dir[64];
static struct root root;

static int setup(void **state)
{
	struct err err;

	(void)state;
	strcpy(dir, "/tmp/test_node_record.XXXXXX");
	if (!mkdtemp(dir) || root_open(&root, dir, &err) < 0)
		return -1;
	return root_mkdir(&root, &err, "volumes");
}

/* Each test removes its records: what is left, a temporary file too, fails it. */
static int teardown(void **state)
{
	struct err err;

	(void)state;
	if (root_rmdir(&root, &err, "volumes") < 0)
		return -1;
	root_close(&root);
	return rmdir(dir);
}

static struct node_record ours(void)
{
	struct attachment a = { .nqn = NQN, .has_uuid = true, .uuid = { UUID } };

	return node_record_make(ID, &a, &(struct access) { 0 }, "/staging/a \"b\"");
}

static struct node_record foreign(void)
{
	struct attachment a = { .nqn = FOREIGN_NQN, .nsid = 4294967294U };
	struct access access = { .block = true, .many_nodes = true };

	return node_record_make("some/handle of theirs", &a, &access, "/staging/f");
}

static void assert_same(const struct node_record *a, const struct node_record *b)
{
	assert_string_equal(a->volume_id, b->volume_id);
	assert_string_equal(a->nqn, b->nqn);
	assert_int_equal(a->has_uuid, b->has_uuid);
	assert_string_equal(a->uuid.text, b->uuid.text);
	assert_int_equal(a->nsid, b->nsid);
	assert_int_equal(a->block, b->block);
	assert_int_equal(a->readonly, b->readonly);
	assert_int_equal(a->takes_keys, b->takes_keys);
	assert_string_equal(a->staging_path, b->staging_path);
	assert_int_equal(a->connection.portal_count, b->connection.portal_count);
	for (size_t i = 0; i < a->connection.portal_count; i++)
		assert_true(portal_equal(&a->connection.portals[i], &b->connection.portals[i]));
	assert_memory_equal(&a->connection.options, &b->connection.options,
			    sizeof(a->connection.options));
}

/* As many portals as there can be, as long as they can be. */
static void connect_by_all(struct node_record *record)
{
	static const struct host_connect_options options = { .nr_io_queues = 1,
							     .queue_size = 1024,
							     .ctrl_loss_tmo_s = -1,
							     .reconnect_delay_s = 4,
							     .fast_io_fail_tmo_s = 5,
							     .keep_alive_tmo_s = 6 };
	struct attachment a = { .portal_count = PORTAL_MAX };

	for (unsigned i = 0; i < PORTAL_MAX; i++) {
		a.portals[i] =
			(struct portal) { .family = AF_INET6, .port = (uint16_t)(65535 - i) };
		strcpy(a.portals[i].addr, "2001:db8:1111:2222:3333:4444:5555:6666");
	}
	node_record_set_connection(record, &a, &options);
}

/* A connection that takes keys is the next stage's to make: that it does is all that is noted. */
static void test_keys_are_not_noted(void **state)
{
	struct host_connect_options options = { .keys.host = KEY_32 };
	struct attachment a = { .portal_count = 1 };
	struct node_record record = ours();

	(void)state;
	connect_by_all(&record);
	assert_false(record.takes_keys);
	node_record_set_connection(&record, &a, &options);
	assert_true(record.takes_keys);
	assert_int_equal(record.connection.portal_count, 0);
	assert_string_equal(record.connection.options.keys.host, "");
}

static void test_there_and_back(void **state)
{
	struct node_record records[] = { ours(), foreign(), ours() }, back;
	struct err err = ERR_INIT;

	(void)state;
	records[1].takes_keys = true;
	connect_by_all(&records[2]);
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		const char *id = records[i].volume_id;

		assert_int_equal(node_record_load(&root, id, &back, &err), 0);
		assert_int_equal(node_record_save(&root, &records[i], &err), 0);
		assert_int_equal(node_record_save(&root, &records[i], &err), 0);
		assert_int_equal(node_record_load(&root, id, &back, &err), 1);
		assert_same(&back, &records[i]);
		assert_int_equal(node_record_remove(&root, id, &err), 0);
		assert_int_equal(node_record_remove(&root, id, &err), 0);
		assert_int_equal(node_record_load(&root, id, &back, &err), 0);
	}
}

/* Whoever says that nothing may write: the target, or the mode. Readers of one node need not. */
static void test_readonly(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 8; bits++) {
		struct attachment a = { .readonly = bits & 1 };
		struct access access = { .many_nodes = bits & 2, .reader = bits & 4 };
		struct node_record record = node_record_make(ID, &a, &access, "/s");

		assert_int_equal(record.readonly, (bits & 3) != 0);
	}
}

/* All that a record can hold at most. */
static void test_largest(void **state)
{
	struct node_record record = ours(), back;
	struct err err = ERR_INIT;

	(void)state;
	memset(record.volume_id, 'v', VOLUME_ID_SIZE - 1);
	memset(record.staging_path, 'p', PATH_MAX - 1);
	connect_by_all(&record);
	memset(record.nqn + strlen(NQN), 'n', NQN_MAX_LEN - strlen(NQN));
	assert_int_equal(node_record_save(&root, &record, &err), 0);
	assert_int_equal(node_record_load(&root, record.volume_id, &back, &err), 1);
	assert_same(&back, &record);
	assert_int_equal(node_record_remove(&root, record.volume_id, &err), 0);
}

static void test_derive(void **state)
{
	struct node_record record = { .nsid = 77 };

	(void)state;
	assert_false(node_record_derive("pv-static-1", &record));
	assert_false(node_record_derive("", &record));
	assert_int_equal(record.nsid, 77);
	assert_true(node_record_derive(ID, &record));
	assert_string_equal(record.volume_id, ID);
	assert_string_equal(record.nqn, NQN);
	assert_true(record.has_uuid);
	assert_string_equal(record.uuid.text, UUID);
	assert_string_equal(record.staging_path, "");
}

/* The private mount is keyed by what the namespace is, not by how it is called. */
static void test_key(void **state)
{
	struct node_record a = ours(), b = ours(), c = foreign(), d = foreign();

	(void)state;
	strcpy(b.volume_id, "another handle");
	assert_string_equal(node_record_key(&a).text, UUID);
	assert_string_equal(node_record_key(&b).text, UUID);
	strcpy(d.volume_id, "another handle");
	assert_string_equal(node_record_key(&c).text, node_record_key(&d).text);
	d.nsid = 1;
	assert_string_not_equal(node_record_key(&c).text, node_record_key(&d).text);
}

static char *file_of(const char *id)
{
	struct uuid uuid = volume_uuid_of_id(id);

	return xasprintf("volumes/%s.json", uuid.text);
}

#define RECORD(version, id, nqn, ns, block, path)                                                  \
	"{\"version\":" version ",\"volumeId\":" id ",\"nqn\":" nqn "," ns ",\"block\":" block     \
	",\"stagingPath\":" path "}"
#define Q(text) "\"" text "\""
#define CONNECTION(json) RECORD("1", Q(ID), Q(NQN), NS_UUID, "false,\"connection\":" json, Q("/s"))
#define OPTIONS(value)                                                                             \
	"\"nrIoQueues\":1,\"queueSize\":128,\"ctrlLossTmo\":-1,\"reconnectDelay\":2,"              \
	"\"fastIoFailTmo\":0,\"keepAliveTmo\":" value
#define NS_UUID "\"nsUuid\":\"" UUID "\""

/* A damaged record is an error that names the file: to take it for absent would leak the volume. */
static void test_malformed(void **state)
{
	static const char *const rows[] = {
		"",
		"{",
		"null",
		"[]",
		"\"text\"",
		"{}",
		RECORD("2", Q(ID), Q(NQN), NS_UUID, "false", Q("/s")),
		RECORD("\"1\"", Q(ID), Q(NQN), NS_UUID, "false", Q("/s")),
		RECORD("1", "7", Q(NQN), NS_UUID, "false", Q("/s")),
		RECORD("1", Q(ID), "null", NS_UUID, "false", Q("/s")),
		RECORD("1", Q(ID), Q("nqn.bad"), NS_UUID, "false", Q("/s")),
		RECORD("1", Q(ID), Q(NQN), "\"nsUuid\":\"x\"", "false", Q("/s")),
		RECORD("1", Q(ID), Q(NQN), "\"x\":1", "false", Q("/s")),
		RECORD("1", Q(ID), Q(NQN), "\"nsid\":0", "false", Q("/s")),
		RECORD("1", Q(ID), Q(NQN), "\"nsid\":-1", "false", Q("/s")),
		RECORD("1", Q(ID), Q(NQN), "\"nsid\":4294967295", "false", Q("/s")),
		RECORD("1", Q(ID), Q(NQN), "\"nsid\":\"1\"", "false", Q("/s")),
		RECORD("1", Q(ID), Q(NQN), NS_UUID, "0", Q("/s")),
		RECORD("1", Q(ID), Q(NQN), NS_UUID, "false,\"readonly\":0", Q("/s")),
		RECORD("1", Q(ID), Q(NQN), NS_UUID, "false", "null"),
		CONNECTION("7"),
		CONNECTION("{}"),
		CONNECTION("{\"portals\":\"\"," OPTIONS("1") "}"),
		CONNECTION("{\"portals\":\"target:4420\"," OPTIONS("1") "}"),
		CONNECTION("{\"portals\":7," OPTIONS("1") "}"),
		CONNECTION("{\"portals\":\"tcp://192.0.2.1:4420\"," OPTIONS("\"1\"") "}"),
		CONNECTION("{\"portals\":\"tcp://192.0.2.1:4420\",\"queueSize\":16}"),
	};
	cleanup_free char *file = file_of(ID);
	struct node_record back;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(file_replace(&root, "record", rows[i], &err), 0);
		assert_int_equal(renameat(root.fd, "record", root.fd, file), 0);
		if (node_record_load(&root, ID, &back, &err) != -1)
			fail_msg("%s is taken for a record", rows[i]);
		assert_int_equal(err.code, ERR_INTERNAL);
		assert_non_null(strstr(err.msg, strrchr(file, '/')));
	}
	assert_int_equal(node_record_remove(&root, ID, &(struct err) { 0 }), 0);
}

static void test_written_before_readonly(void **state)
{
	cleanup_free char *file = file_of(ID);
	struct node_record back;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(file_replace(&root, "record",
				      RECORD("1", Q(ID), Q(NQN), NS_UUID, "true", Q("/s")), &err),
			 0);
	assert_int_equal(renameat(root.fd, "record", root.fd, file), 0);
	assert_int_equal(node_record_load(&root, ID, &back, &err), 1);
	assert_true(back.block);
	assert_false(back.readonly);
	assert_int_equal(node_record_remove(&root, ID, &err), 0);
}

static void test_too_long_values(void **state)
{
	static const char *const keys[] = { "volumeId", "stagingPath" };
	cleanup_free char *file = file_of(ID);
	char value[PATH_MAX + 1];
	struct node_record back;
	struct err err = ERR_INIT;

	(void)state;
	memset(value, 'v', PATH_MAX);
	value[PATH_MAX] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		cleanup_free char *text =
			xasprintf("{\"version\":1,\"volumeId\":\"%s\",\"nqn\":\"" NQN "\"," NS_UUID
				  ",\"block\":false,\"stagingPath\":\"%s\"}",
				  i ? ID : value, i ? value : "/s");

		assert_int_equal(file_replace(&root, "record", text, &err), 0);
		assert_int_equal(renameat(root.fd, "record", root.fd, file), 0);
		assert_int_equal(node_record_load(&root, ID, &back, &err), -1);
	}
	assert_int_equal(node_record_remove(&root, ID, &err), 0);
}

struct visit {
	const char *wanted;
	int seen;
};

static bool matches(const struct node_record *record, void *context)
{
	struct visit *visit = context;

	visit->seen++;
	return strcmp(record->volume_id, visit->wanted) == 0;
}

static int any_of(const char *nqn, const char *wanted, int *ret_seen, struct err *err)
{
	struct visit visit = { .wanted = wanted };
	int rc = node_record_any(&root, nqn, matches, &visit, err);

	*ret_seen = visit.seen;
	return rc;
}

static int any(const char *wanted, int *ret_seen, struct err *err)
{
	return any_of(NULL, wanted, ret_seen, err);
}

/* Whatever JSON makes of the characters of an NQN. */
static void test_any_of_a_subsystem(void **state)
{
	struct node_record a = ours(), b = foreign();
	struct err err = ERR_INIT;
	int seen;

	(void)state;
	strcpy(b.nqn, "nqn.2014-08.org.example:a\"b\\c");
	assert_int_equal(node_record_save(&root, &a, &err), 0);
	assert_int_equal(node_record_save(&root, &b, &err), 0);
	assert_int_equal(any_of(a.nqn, "none", &seen, &err), 0);
	assert_int_equal(seen, 1);
	assert_int_equal(any_of(b.nqn, b.volume_id, &seen, &err), 1);
	assert_int_equal(seen, 1);
	assert_int_equal(any_of("nqn.2014-08.org.example:a\"b", "none", &seen, &err), 0);
	assert_int_equal(seen, 0);
	assert_int_equal(node_record_remove(&root, a.volume_id, &err), 0);
	assert_int_equal(node_record_remove(&root, b.volume_id, &err), 0);
}

static void test_any(void **state)
{
	struct node_record a = ours(), b = foreign();
	struct err err = ERR_INIT;
	int seen;

	(void)state;
	assert_int_equal(any("none", &seen, &err), 0);
	assert_int_equal(seen, 0);
	assert_int_equal(node_record_save(&root, &a, &err), 0);
	assert_int_equal(node_record_save(&root, &b, &err), 0);
	assert_int_equal(file_replace(&root, "record", "half a rec", &err), 0);
	assert_int_equal(renameat(root.fd, "record", root.fd, "volumes/.x.json.tmp"), 0);
	assert_int_equal(any("none", &seen, &err), 0);
	assert_int_equal(seen, 2);
	assert_int_equal(any(a.volume_id, &seen, &err), 1);
	assert_int_equal(any(b.volume_id, &seen, &err), 1);
	/* One that cannot be read hides none of the others. */
	assert_int_equal(renameat(root.fd, "volumes/.x.json.tmp", root.fd, "volumes/0.json"), 0);
	assert_int_equal(root_mkdir(&root, &err, "volumes/1.json"), 0);
	assert_int_equal(any("none", &seen, &err), 0);
	assert_int_equal(seen, 2);
	assert_int_equal(any(a.volume_id, &seen, &err), 1);
	assert_int_equal(any(b.volume_id, &seen, &err), 1);
	assert_int_equal(root_unlink(&root, &err, "volumes/0.json"), 0);
	assert_int_equal(root_rmdir(&root, &err, "volumes/1.json"), 0);
	assert_int_equal(node_record_remove(&root, a.volume_id, &err), 0);
	assert_int_equal(node_record_remove(&root, b.volume_id, &err), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_keys_are_not_noted),
		TEST(test_there_and_back),
		TEST(test_readonly),
		TEST(test_largest),
		TEST(test_derive),
		TEST(test_key),
		TEST(test_malformed),
		TEST(test_written_before_readonly),
		TEST(test_too_long_values),
		TEST(test_any),
		TEST(test_any_of_a_subsystem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
