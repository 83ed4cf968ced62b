/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's view of a target agent: what is asked, and which answers are not believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/agent_fixture.h"
#include "tests/unit/dhchap_keys.h"
#include "tests/unit/request_fixture.h"

static struct fake_agent fake;
static struct agent *agent;
static const struct uuid uuid = { FAKE_UUID };
static const struct volume_id id = { .target = "box", .pool = "fast", .uuid = { FAKE_UUID } };

static int setup(void **state)
{
	(void)state;
	fake_start(&fake, "box");
	agent = fake_client(&fake, "box");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	agent_free(agent);
	fake_stop(&fake);
	return 0;
}

static const struct dhchap_keys no_keys;

static struct deadline soon(void)
{
	return deadline_after_ms(FAKE_MS);
}

static int find(const char *pool, struct agent_volume *volume, struct err *err)
{
	struct agent_find_query query = { .uuid = &uuid, .pool = pool };

	return agent_find(agent, &query, soon(), volume, err);
}

static void test_find(void **state)
{
	struct agent_volume volume cleanup_agent_volume = { .size_bytes = 77 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(find("fast", &volume, &err), 0);
	assert_string_equal(fake.asked_uuid, FAKE_UUID);
	assert_string_equal(fake.asked_pool, "fast");
	assert_int_equal(volume.size_bytes, 77);
	fake.has_volume = true;
	fake.volume.blank = true;
	assert_int_equal(find("", &volume, &err), 1);
	assert_string_equal(volume.id.target, "box");
	assert_string_equal(volume.id.pool, "fast");
	assert_string_equal(volume.id.uuid.text, FAKE_UUID);
	assert_string_equal(volume.nqn, VOLUME_NQN_PREFIX FAKE_UUID);
	assert_string_equal(volume.portals, "tcp://192.0.2.1:4420,tcp://[2001:db8::1]:4420");
	assert_int_equal(volume.size_bytes, 1 << 30);
	assert_true(volume.blank);
	assert_false(volume.volatile_cache);
	assert_false(volume.readonly);
	assert_int_equal(volume.host_count, 0);
	assert_int_equal(volume.condition_count, 0);
	assert_false(fake.asked_conditions);
}

/* Everything that hangs on a volume: exports, both maps, conditions. */
static void test_find_lists(void **state)
{
	static const struct {
		Nvmeot__Target__V1__ConditionStatus wire;
		enum volume_condition_status status;
	} statuses[] = {
		{ NVMEOT__TARGET__V1__CONDITION_STATUS__CONDITION_DEGRADED, VOLUME_DEGRADED },
		{ NVMEOT__TARGET__V1__CONDITION_STATUS__CONDITION_INACCESSIBLE,
		  VOLUME_INACCESSIBLE },
		{ NVMEOT__TARGET__V1__CONDITION_STATUS__CONDITION_DATA_LOSS, VOLUME_DATA_LOSS },
		{ (Nvmeot__Target__V1__ConditionStatus)9, VOLUME_DEGRADED },
	};
	struct agent_find_query query = { .uuid = &uuid, .pool = "", .conditions = true };

	(void)state;
	fake.has_volume = true;
	fake_mutable(&fake, "queueSize", "64");
	fake_exported(&fake, true);
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		struct agent_volume volume cleanup_agent_volume = { 0 };
		struct err err = ERR_INIT;

		fake_sick(&fake, statuses[i].wire, "BackingShort");
		assert_int_equal(agent_find(agent, &query, soon(), &volume, &err), 1);
		assert_true(fake.asked_conditions);
		assert_int_equal(volume.condition_count, 1);
		assert_int_equal(volume.conditions[0].status, statuses[i].status);
		assert_string_equal(volume.conditions[0].reason, "BackingShort");
		assert_string_equal(volume.conditions[0].message, "in the fake's own words");
		assert_true(volume.readonly);
		assert_int_equal(volume.host_count, 1);
		assert_string_equal(volume.hosts[0], FAKE_HOST);
		assert_string_equal(map_get(volume.mutables, "queueSize"), "64");
		assert_int_equal(volume.parameters.count, 0);
	}
}

static void test_create(void **state)
{
	struct fixture_map parameters = { 0 }, mutables = { 0 };
	struct agent_volume_spec spec = { .uuid = uuid,
					  .pool = "fast",
					  .name = "pvc-1",
					  .size_bytes = 8192,
					  .volatile_cache = true };
	struct agent_volume volume cleanup_agent_volume = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	fixture_map_set(&parameters, "queueSize", "64");
	fixture_map_set(&mutables, "nrIoQueues", "2");
	spec.parameters = fixture_map_of(&parameters);
	spec.mutables = fixture_map_of(&mutables);
	assert_int_equal(agent_create(agent, &spec, soon(), &volume, &err), 0);
	assert_string_equal(fake.asked_uuid, FAKE_UUID);
	assert_string_equal(fake.asked_name, "pvc-1");
	assert_string_equal(fake.asked_parameter, "queueSize=64");
	assert_string_equal(fake.asked_mutable, "nrIoQueues=2");
	assert_int_equal(fake.asked_size, 8192);
	assert_int_equal(fake.asked_cache, 1);
	fake.failure = ERR_RESOURCE_EXHAUSTED;
	assert_int_equal(agent_create(agent, &spec, soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
	assert_string_equal(err.msg, "target box: the fake's own words");
}

/* What a volume is made of is asked for, and told. */
static void test_create_copy(void **state)
{
	static const char other[] = "88888888-0000-5000-8000-000000000000";
	struct agent_volume_spec spec = {
		.uuid = uuid, .pool = "fast", .name = "pvc-2", .size_bytes = 8192
	};
	struct agent_volume volume cleanup_agent_volume = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	strcpy(spec.source.snapshot.text, other);
	fake_copied(&fake, other, "");
	assert_int_equal(agent_create(agent, &spec, soon(), &volume, &err), 0);
	assert_string_equal(fake.asked_snapshot, other);
	assert_string_equal(fake.asked_source, "");
	assert_string_equal(volume.source.snapshot.text, other);
	assert_string_equal(volume.source.volume.text, "");
	fake_copied(&fake, "", "no-uuid");
	agent_volume_fini(&volume);
	assert_int_equal(agent_create(agent, &spec, soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
}

static void test_export(void **state)
{
	struct volume_export export = { .host_nqn = "nqn.2014-08.org.example:host",
					.access = VOLUME_MULTI_READER,
					.readonly = true };
	struct agent_volume volume cleanup_agent_volume = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	fake_exported(&fake, true);
	assert_int_equal(agent_export(agent, &id, &export, &no_keys, soon(), &volume, &err), 0);
	assert_string_equal(fake.asked_host, FAKE_HOST);
	assert_int_equal(fake.asked_mode, 3);
	assert_true(fake.asked_readonly);
	assert_true(volume.readonly);
	assert_int_equal(agent_unexport(agent, &id, "", soon(), &err), 0);
	assert_string_equal(fake.asked_host, "");
	assert_int_equal(fake.unexports, 1);
	assert_int_equal(agent_delete(agent, &id, soon(), &err), 0);
	assert_int_equal(fake.deletes, 1);
	fake.failure = ERR_FAILED_PRECONDITION;
	assert_int_equal(agent_delete(agent, &id, soon(), &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
}

/* What was to be read-only and is not must not be mounted by anybody, nor the reverse. */
static void test_export_otherwise(void **state)
{
	struct agent_volume volume = { .size_bytes = 77 };
	struct volume_export export = { .host_nqn = FAKE_HOST, .readonly = true };
	struct err err = ERR_INIT;

	(void)state;
	fake_exported(&fake, false);
	assert_int_equal(agent_export(agent, &id, &export, &no_keys, soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "to be exported read-only, but is exported read-write"));
	export.readonly = false;
	fake_exported(&fake, true);
	assert_int_equal(agent_export(agent, &id, &export, &no_keys, soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_int_equal(volume.size_bytes, 77);
}

/* An agent that is too old for keys must not pass for one that asks hosts for them. */
static void test_export_with_keys(void **state)
{
	struct dhchap_keys keys = { .host = KEY_32, .ctrl = KEY_64 };
	struct volume_export export = { .host_nqn = FAKE_HOST };
	struct agent_volume volume cleanup_agent_volume = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	fake_exported(&fake, false);
	assert_int_equal(agent_export(agent, &id, &export, &keys, soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "update nvmeot-target"));
	assert_null(strstr(err.msg, KEY_32));
	assert_string_equal(fake.asked_keys.host, KEY_32);
	assert_string_equal(fake.asked_keys.ctrl, KEY_64);
	fake.export.authentication = NVMEOT__TARGET__V1__AUTHENTICATION__AUTHENTICATION_ONE_WAY;
	assert_int_equal(agent_export(agent, &id, &export, &keys, soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	fake.export.authentication = NVMEOT__TARGET__V1__AUTHENTICATION__AUTHENTICATION_BOTH_WAYS;
	assert_int_equal(agent_export(agent, &id, &export, &keys, soon(), &volume, &err), 0);
	agent_volume_fini(&volume);
	fake.export.host_nqn = (char *)"nqn.2014-08.org.example:other";
	assert_int_equal(agent_export(agent, &id, &export, &keys, soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
}

static void test_change(void **state)
{
	struct agent_volume volume cleanup_agent_volume = { 0 };
	struct fixture_map mutables = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(agent_expand(agent, &id, 2ULL << 30, soon(), &volume, &err), 0);
	assert_string_equal(fake.asked_uuid, FAKE_UUID);
	assert_string_equal(fake.asked_pool, "fast");
	assert_true(fake.asked_size == 2LL << 30);
	assert_true(volume.size_bytes == 2ULL << 30);
	fixture_map_set(&mutables, "queueSize", "32");
	assert_int_equal(agent_modify(agent, &id, fixture_map_of(&mutables), soon(), &err), 0);
	assert_string_equal(fake.asked_mutable, "queueSize=32");
	assert_int_equal(fake.modifies, 1);
	fake.failure = ERR_FAILED_PRECONDITION;
	assert_int_equal(agent_modify(agent, &id, fixture_map_of(&mutables), soon(), &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	agent_volume_fini(&volume);
	volume.size_bytes = 77;
	assert_int_equal(agent_expand(agent, &id, 3ULL << 30, soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_string_equal(err.msg, "target box: the fake's own words");
	assert_int_equal(volume.size_bytes, 77);
}

static void refused_volume(const char *says)
{
	struct agent_volume_spec spec = { .uuid = uuid, .pool = "", .name = "x", .size_bytes = 1 };
	struct volume_export export = { .host_nqn = "nqn.2014-08.org.example:host" };
	struct agent_volume volume = { .size_bytes = 77 };
	struct err err = ERR_INIT;

	fake.has_volume = true;
	assert_int_equal(find("", &volume, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	if (!strstr(err.msg, says))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
	assert_int_equal(agent_create(agent, &spec, soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_int_equal(agent_export(agent, &id, &export, &no_keys, soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_int_equal(volume.size_bytes, 77);
	fake_reset_volume(&fake);
}

/* Whatever an agent answers, only a volume that makes sense, and the right one, is passed on. */
static void test_malformed_volumes(void **state)
{
	char *empty[] = { (char *)"" };
	char long_text[PORTAL_MAX * PORTAL_TEXT_SIZE + 1];
	char *oversize[] = { long_text };

	(void)state;
	memset(long_text, 'p', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	fake.no_volume = true;
	refused_volume("target box: the answer holds no valid volume");
	fake.volume.pool = (char *)"";
	refused_volume("no valid volume");
	fake.volume.pool = (char *)"a/b";
	refused_volume("no valid volume");
	fake.volume.pool = long_text;
	refused_volume("no valid volume");
	fake.volume.size_bytes = 0;
	refused_volume("no valid volume");
	fake.volume.size_bytes = -1;
	refused_volume("no valid volume");
	fake.volume.nqn = (char *)"";
	refused_volume("no valid volume");
	fake.volume.nqn = (char *)"nqn.2026-11.a,b=c";
	refused_volume("no valid volume");
	fake.volume.n_portals = 0;
	refused_volume("no valid portals");
	fake.volume.portals = empty;
	fake.volume.n_portals = 1;
	refused_volume("no valid portals");
	fake.volume.portals = oversize;
	fake.volume.n_portals = 1;
	refused_volume("no valid portals");
	fake.volume.uuid = (char *)"00000000-1111-4222-8333-444444444444";
	refused_volume("no valid volume");
}

static void test_info(void **state)
{
	struct agent_info info cleanup_agent_info = { 0 };
	struct agent_room room = { .available_bytes = 77 };
	struct err err = ERR_INIT;

	(void)state;
	fake.maximum_bytes = 4LL << 30;
	assert_int_equal(agent_info(agent, soon(), &info, &err), 0);
	assert_int_equal(info.topology.count, 0);
	assert_true(agent_info_room(&info, "", &room));
	assert_true(room.available_bytes == 10ULL << 30);
	assert_true(room.maximum_bytes == 4ULL << 30);
	room = (struct agent_room) { .available_bytes = 77 };
	assert_false(agent_info_room(&info, "slow", &room));
	assert_int_equal(room.available_bytes, 77);
	agent_info_fini(&info);
	fake.available_bytes = fake.maximum_bytes = -5;
	fake.zone = "a";
	assert_int_equal(agent_info(agent, soon(), &info, &err), 0);
	assert_string_equal(map_get(info.topology, "zone"), "a");
	assert_true(agent_info_room(&info, "fast", &room));
	assert_int_equal(room.available_bytes, 0);
	assert_int_equal(room.maximum_bytes, 0);
}

struct seen {
	size_t count;
	char last[UUID_TEXT_SIZE];
};

static void see(const struct agent_volume *volume, void *context)
{
	struct seen *seen = context;

	seen->count++;
	strcpy(seen->last, volume->id.uuid.text);
}

static int list(const char *start_after, size_t max, struct seen *seen, bool *more, struct err *err)
{
	struct agent_list_query query = { .start_after = start_after, .max = max };
	struct agent_ask *asked = agent_list_begin(agent, &query, soon());

	*seen = (struct seen) { 0 };
	return agent_list_finish(asked, see, seen, more, err);
}

static void test_list(void **state)
{
	struct seen seen;
	struct err err = ERR_INIT;
	bool more = true;

	(void)state;
	assert_int_equal(list("", 5, &seen, &more, &err), 0);
	assert_int_equal(seen.count, 0);
	assert_false(more);
	fake.list_count = 7;
	assert_int_equal(list("", 5, &seen, &more, &err), 0);
	assert_int_equal(seen.count, 5);
	assert_true(more);
	assert_int_equal(list(seen.last, 5, &seen, &more, &err), 0);
	assert_int_equal(seen.count, 2);
	assert_false(more);
	fake.volume.size_bytes = 0;
	assert_int_equal(list("", 5, &seen, &more, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_int_equal(seen.count, 0);
}

/* Many questions at once, some of them given up. */
static void test_asked_at_once(void **state)
{
	struct agent_find_query query = { .uuid = &uuid, .pool = "" };
	struct agent_ask *asked[40];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
		asked[i] = i % 2 ? agent_info_begin(agent, soon()) :
				   agent_find_begin(agent, &query, soon());
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		struct agent_info info cleanup_agent_info = { 0 };
		struct agent_volume volume cleanup_agent_volume = { 0 };
		struct err err = ERR_INIT;

		if (i % 3 == 0)
			agent_ask_cancel(asked[i]);
		else if (i % 2)
			assert_int_equal(agent_info_finish(asked[i], &info, &err), 0);
		else
			assert_int_equal(agent_find_finish(asked[i], &volume, &err), 0);
	}
}

static void test_identity(void **state)
{
	struct agent_info info;
	struct err err = ERR_INIT;

	(void)state;
	fake.id = "other";
	assert_int_equal(agent_info(agent, soon(), &info, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "calls itself \"other\""));
}

/* The wrong agent would say "absent" of everything, which would pass for deleted and for fenced. */
static void test_wrong_agent_is_not_asked(void **state)
{
	struct volume_export export = { .host_nqn = "nqn.2014-08.org.example:host" };
	struct agent_volume volume;
	struct err err = ERR_INIT;

	(void)state;
	fake.id = "other";
	fake.has_volume = true;
	assert_int_equal(find("", &volume, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_int_equal(agent_delete(agent, &id, soon(), &err), -1);
	assert_int_equal(agent_unexport(agent, &id, "", soon(), &err), -1);
	assert_int_equal(agent_export(agent, &id, &export, &no_keys, soon(), &volume, &err), -1);
	assert_int_equal(fake.deletes + fake.unexports + fake.exports, 0);
	fake.id = "box";
	assert_int_equal(agent_unexport(agent, &id, "", soon(), &err), 0);
	/* Another agent takes over the address of the one that was right. */
	fake.id = "other";
	assert_int_equal(agent_unexport(agent, &id, "", soon(), &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_int_equal(agent_delete(agent, &id, soon(), &err), -1);
	assert_int_equal(find("", &volume, &err), -1);
	assert_int_equal(fake.deletes, 0);
	assert_int_equal(fake.unexports, 1);
}

static void test_unreachable(void **state)
{
	struct agent_volume volume;
	struct err err = ERR_INIT;

	(void)state;
	fake_stop(&fake);
	assert_int_equal(find("", &volume, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_memory_equal(err.msg, "target box: ", 12);
	assert_int_equal(agent_unexport(agent, &id, "", soon(), &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
}

static void test_bad_address(void **state)
{
	struct agent *none = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(agent_new("box", "", NULL, &none, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_memory_equal(err.msg, "target box: ", 12);
	assert_null(none);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_find),
		TEST(test_find_lists),
		TEST(test_create),
		TEST(test_create_copy),
		TEST(test_export),
		TEST(test_export_otherwise),
		TEST(test_export_with_keys),
		TEST(test_change),
		TEST(test_malformed_volumes),
		TEST(test_info),
		TEST(test_list),
		TEST(test_asked_at_once),
		TEST(test_identity),
		TEST(test_wrong_agent_is_not_asked),
		TEST(test_unreachable),
		TEST(test_bad_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
