/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's view of an agent's snapshots: what is asked, and what is not believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csi/agent/snapshots.h"
#include "tests/unit/agent_fixture.h"
#include "tests/unit/request_fixture.h"

#define S1 "11111111-0000-5000-8000-000000000000"
#define S2 "22222222-0000-5000-8000-000000000000"
#define GROUP "99999999-0000-5000-8000-000000000000"
#define OTHER "88888888-0000-5000-8000-000000000000"

static struct fake_agent fake;
static struct agent *agent;

static int setup(void **state)
{
	(void)state;
	fake_start(&fake, "box");
	fake.has_volume = true;
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

static const struct agent_snapshot_member members[] = {
	{ .uuid = { S1 }, .name = "one", .volume = { FAKE_UUID } },
	{ .uuid = { S2 }, .name = "two", .volume = { OTHER } },
};

static int create(size_t count, const struct uuid *group, struct agent_snapshot *ret,
		  struct err *err)
{
	static struct fixture_map parameters;
	struct agent_snapshot_spec spec = {
		.members = members, .count = count, .group = group, .group_name = "all"
	};

	fixture_map_set(&parameters, "csi.storage.k8s.io/volumesnapshot/name", "s");
	spec.parameters = fixture_map_of(&parameters);
	*err = ERR_INIT;
	return agent_snapshots_create(agent, &spec, soon(), ret, err);
}

static void test_create(void **state)
{
	struct agent_snapshot snapshot;
	struct err err;

	(void)state;
	assert_int_equal(create(1, NULL, &snapshot, &err), 0);
	assert_int_equal(fake.snapshots.asked_count, 1);
	assert_string_equal(fake.snapshots.asked_uuid, S1);
	assert_string_equal(fake.snapshots.asked_name, "one");
	assert_string_equal(fake.snapshots.asked_group_name, "");
	assert_string_equal(fake.snapshots.asked_parameter,
			    "csi.storage.k8s.io/volumesnapshot/name=s");
	assert_string_equal(snapshot.id.target, "box");
	assert_string_equal(snapshot.id.pool, "fast");
	assert_string_equal(snapshot.id.uuid.text, S1);
	assert_string_equal(snapshot.volume.text, FAKE_UUID);
	assert_string_equal(snapshot.group.text, "");
	assert_int_equal(snapshot.size_bytes, 1 << 30);
	assert_true(snapshot.created_ns == FAKE_CREATED_NS);
}

static void test_create_group(void **state)
{
	struct uuid group = { GROUP };
	struct agent_snapshot snapshots[2];
	struct err err;

	(void)state;
	assert_int_equal(create(2, &group, snapshots, &err), 0);
	assert_int_equal(fake.snapshots.asked_count, 2);
	assert_string_equal(fake.snapshots.asked_group_name, "all");
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(snapshots[i].id.uuid.text, members[i].uuid.text);
		assert_string_equal(snapshots[i].volume.text, members[i].volume.text);
		assert_string_equal(snapshots[i].group.text, GROUP);
	}
}

static void refused(size_t count, enum err_code code, const char *says)
{
	struct agent_snapshot snapshots[2];
	struct err err;

	assert_int_equal(create(count, NULL, snapshots, &err), -1);
	if (err.code != code || !strstr(err.msg, says))
		fail_msg("%s \"%s\" does not say \"%s\"", err_code_name(err.code), err.msg, says);
}

static void test_create_refused(void **state)
{
	(void)state;
	fake.has_volume = false;
	refused(1, ERR_NOT_FOUND, "target box: no volume " FAKE_UUID);
	fake.has_volume = true;
	fake.snapshots.create_failure = ERR_RESOURCE_EXHAUSTED;
	refused(1, ERR_RESOURCE_EXHAUSTED, "target box: the fake's own words");
	fake.snapshots.create_failure = ERR_NONE;
	fake.snapshots.lie_count = true;
	refused(2, ERR_INTERNAL, "2 snapshots were to be taken, the answer holds 1");
	fake.snapshots.lie_count = false;
	fake.snapshots.lie_volume = OTHER;
	refused(1, ERR_INTERNAL, "target box: the answer holds no valid snapshot");
}

static int find(struct agent_snapshot *ret, struct err *err)
{
	struct uuid uuid = { S1 };

	*err = ERR_INIT;
	return agent_snapshot_find(agent, &uuid, "fast", soon(), ret, err);
}

static void test_find(void **state)
{
	struct agent_snapshot snapshot = { .size_bytes = 77 };
	struct fake_snapshot *row;
	struct err err;

	(void)state;
	assert_int_equal(find(&snapshot, &err), 0);
	assert_int_equal(snapshot.size_bytes, 77);
	fake_snapshot_add(&fake.snapshots, S1, OTHER, GROUP);
	assert_int_equal(find(&snapshot, &err), 1);
	assert_string_equal(snapshot.volume.text, OTHER);
	assert_string_equal(snapshot.group.text, GROUP);
	row = &fake.snapshots.rows[0];
	strcpy(row->group, "no-uuid");
	assert_int_equal(find(&snapshot, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	row->group[0] = '\0';
	row->created_ns = 0;
	assert_int_equal(find(&snapshot, &err), -1);
	row->created_ns = 1;
	row->size_bytes = -1;
	assert_int_equal(find(&snapshot, &err), -1);
	fake.snapshots.lie_no_answer = true;
	assert_int_equal(find(&snapshot, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	fake.snapshots.find_failure = ERR_ABORTED;
	assert_int_equal(find(&snapshot, &err), -1);
	assert_int_equal(err.code, ERR_ABORTED);
}

static void count_one(const struct agent_snapshot *snapshot, void *context)
{
	size_t *count = context;

	assert_string_equal(snapshot->id.target, "box");
	(*count)++;
}

static size_t list(const struct agent_snapshot_query *query, bool more)
{
	bool is_more = !more;
	size_t count = 0;
	struct err err;

	assert_int_equal(agent_snapshot_list_finish(agent_snapshot_list_begin(agent, query, soon()),
						    count_one, &count, &is_more, &err),
			 0);
	assert_int_equal(is_more, more);
	return count;
}

static void test_list(void **state)
{
	struct agent_snapshot_query all = { .start_after = "", .volume = "", .group = "" };
	struct agent_snapshot_query query = all;

	(void)state;
	fake_snapshot_add(&fake.snapshots, S1, FAKE_UUID, "");
	fake_snapshot_add(&fake.snapshots, S2, OTHER, GROUP);
	assert_int_equal(list(&query, false), 2);
	query.max = 1;
	assert_int_equal(list(&query, true), 1);
	query.start_after = S1;
	assert_int_equal(list(&query, false), 1);
	query = all;
	query.volume = FAKE_UUID;
	assert_int_equal(list(&query, false), 1);
	query.group = GROUP;
	assert_int_equal(list(&query, false), 0);
}

static void test_delete(void **state)
{
	struct volume_id id = { .target = "box", .pool = "fast", .uuid = { S1 } };
	struct err err = ERR_INIT;

	(void)state;
	fake_snapshot_add(&fake.snapshots, S1, FAKE_UUID, "");
	fake.snapshots.delete_failure_at = 1;
	assert_int_equal(agent_snapshot_delete(agent, &id, "", soon(), &err), -1);
	assert_int_equal(fake.snapshots.count, 1);
	assert_int_equal(agent_snapshot_delete(agent, &id, "", soon(), &err), 0);
	assert_int_equal(fake.snapshots.count, 0);
	assert_int_equal(agent_snapshot_delete(agent, &id, "", soon(), &err), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_create), TEST(test_create_group), TEST(test_create_refused),
		TEST(test_find),   TEST(test_list),	    TEST(test_delete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
