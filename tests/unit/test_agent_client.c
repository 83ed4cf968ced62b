/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's view of a target agent: what is asked, and which answers are not believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/agent_fixture.h"
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

static struct deadline soon(void)
{
	return deadline_after_ms(FAKE_MS);
}

static void test_find(void **state)
{
	struct agent_volume volume = { .size_bytes = 77 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(agent_find(agent, &uuid, "fast", soon(), &volume, &err), 0);
	assert_string_equal(fake.asked_uuid, FAKE_UUID);
	assert_string_equal(fake.asked_pool, "fast");
	assert_int_equal(volume.size_bytes, 77);
	fake.has_volume = true;
	fake.volume.blank = true;
	assert_int_equal(agent_find(agent, &uuid, "", soon(), &volume, &err), 1);
	assert_string_equal(volume.pool, "fast");
	assert_string_equal(volume.nqn, VOLUME_NQN_PREFIX FAKE_UUID);
	assert_string_equal(volume.portals, "tcp://192.0.2.1:4420,tcp://[2001:db8::1]:4420");
	assert_int_equal(volume.size_bytes, 1 << 30);
	assert_true(volume.blank);
	assert_false(volume.volatile_cache);
}

static void test_create(void **state)
{
	struct fixture_map parameters = { 0 };
	struct agent_volume_spec spec = { .uuid = uuid,
					  .pool = "fast",
					  .name = "pvc-1",
					  .size_bytes = 8192,
					  .volatile_cache = true };
	struct agent_volume volume;
	struct err err = ERR_INIT;

	(void)state;
	fixture_map_set(&parameters, "queueSize", "64");
	spec.parameters = fixture_map_of(&parameters);
	assert_int_equal(agent_create(agent, &spec, soon(), &volume, &err), 0);
	assert_string_equal(fake.asked_uuid, FAKE_UUID);
	assert_string_equal(fake.asked_name, "pvc-1");
	assert_string_equal(fake.asked_parameter, "queueSize=64");
	assert_int_equal(fake.asked_size, 8192);
	assert_int_equal(fake.asked_cache, 1);
	fake.failure = ERR_RESOURCE_EXHAUSTED;
	assert_int_equal(agent_create(agent, &spec, soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
	assert_string_equal(err.msg, "target box: the fake's own words");
}

static void test_export(void **state)
{
	struct volume_export export = { .host_nqn = "nqn.2014-08.org.example:host",
					.access = VOLUME_MULTI_READER };
	struct agent_volume volume;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(agent_export(agent, &id, &export, soon(), &volume, &err), 0);
	assert_string_equal(fake.asked_host, "nqn.2014-08.org.example:host");
	assert_int_equal(fake.asked_mode, 3);
	assert_int_equal(agent_unexport(agent, &id, "", soon(), &err), 0);
	assert_string_equal(fake.asked_host, "");
	assert_int_equal(fake.unexports, 1);
	assert_int_equal(agent_delete(agent, &uuid, "fast", soon(), &err), 0);
	assert_int_equal(fake.deletes, 1);
	fake.failure = ERR_FAILED_PRECONDITION;
	assert_int_equal(agent_delete(agent, &uuid, "fast", soon(), &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
}

static void refused_volume(const char *says)
{
	struct agent_volume_spec spec = { .uuid = uuid, .pool = "", .name = "x", .size_bytes = 1 };
	struct volume_export export = { .host_nqn = "nqn.2014-08.org.example:host" };
	struct agent_volume volume = { .size_bytes = 77 };
	struct err err = ERR_INIT;

	fake.has_volume = true;
	assert_int_equal(agent_find(agent, &uuid, "", soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	if (!strstr(err.msg, says))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
	assert_int_equal(agent_create(agent, &spec, soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_int_equal(agent_export(agent, &id, &export, soon(), &volume, &err), -1);
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

static void test_available(void **state)
{
	struct err err = ERR_INIT;
	uint64_t bytes = 77;

	(void)state;
	assert_int_equal(agent_available(agent, "", soon(), &bytes, &err), 0);
	assert_true(bytes == 10ULL << 30);
	assert_int_equal(agent_available(agent, "fast", soon(), &bytes, &err), 0);
	fake.available_bytes = -5;
	assert_int_equal(agent_available(agent, "fast", soon(), &bytes, &err), 0);
	assert_int_equal(bytes, 0);
	assert_int_equal(agent_available(agent, "slow", soon(), &bytes, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_string_equal(err.msg, "target box has no pool \"slow\"");
}

static void test_identity(void **state)
{
	struct err err = ERR_INIT;
	uint64_t bytes;

	(void)state;
	fake.id = "other";
	assert_int_equal(agent_available(agent, "", soon(), &bytes, &err), -1);
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
	assert_int_equal(agent_find(agent, &uuid, "", soon(), &volume, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_int_equal(agent_delete(agent, &uuid, "fast", soon(), &err), -1);
	assert_int_equal(agent_unexport(agent, &id, "", soon(), &err), -1);
	assert_int_equal(agent_export(agent, &id, &export, soon(), &volume, &err), -1);
	assert_int_equal(fake.deletes + fake.unexports + fake.exports, 0);
	fake.id = "box";
	assert_int_equal(agent_unexport(agent, &id, "", soon(), &err), 0);
	/* Another agent takes over the address of the one that was right. */
	fake.id = "other";
	assert_int_equal(agent_unexport(agent, &id, "", soon(), &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_int_equal(agent_delete(agent, &uuid, "fast", soon(), &err), -1);
	assert_int_equal(agent_find(agent, &uuid, "", soon(), &volume, &err), -1);
	assert_int_equal(fake.deletes, 0);
	assert_int_equal(fake.unexports, 1);
}

static void test_unreachable(void **state)
{
	struct agent_volume volume;
	struct err err = ERR_INIT;

	(void)state;
	fake_stop(&fake);
	assert_int_equal(agent_find(agent, &uuid, "", soon(), &volume, &err), -1);
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
		TEST(test_create),
		TEST(test_export),
		TEST(test_malformed_volumes),
		TEST(test_available),
		TEST(test_identity),
		TEST(test_wrong_agent_is_not_asked),
		TEST(test_unreachable),
		TEST(test_bad_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
