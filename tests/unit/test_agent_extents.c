/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's view of an agent's extents: what is asked, and which answers are not believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csi/agent/extents.h"
#include "tests/unit/agent_fixture.h"

#define S1 "11111111-0000-5000-8000-000000000000"
#define S2 "22222222-0000-5000-8000-000000000000"
#define OF_OTHER "33333333-0000-5000-8000-000000000000"
#define OTHER "88888888-0000-5000-8000-000000000000"
#define BLOCK UINT64_C(4096)

static const struct extent told[] = {
	{ 0, BLOCK }, { 10 * BLOCK, 2 * BLOCK }, { 20 * BLOCK, BLOCK }, { 90 * BLOCK, 10 * BLOCK }
};
static const struct volume_id id = { .target = "box", .pool = "fast", .uuid = { S2 } };
static const struct uuid base = { S1 };
static struct fake_agent fake;
static struct agent *agent;

static int setup(void **state)
{
	(void)state;
	fake_start(&fake, "box");
	agent = fake_client(&fake, "box");
	fake_snapshot_add(&fake.snapshots, S1, FAKE_UUID, "");
	fake_snapshot_add(&fake.snapshots, S2, FAKE_UUID, "");
	fake_snapshot_add(&fake.snapshots, OF_OTHER, OTHER, "");
	for (size_t i = 0; i < fake.snapshots.count; i++)
		fake.snapshots.rows[i].size_bytes = 100 * (int64_t)BLOCK;
	fake.extents.items = told;
	fake.extents.count = ARRAY_SIZE(told);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	agent_free(agent);
	fake_stop(&fake);
	return 0;
}

static int ask(const struct uuid *older, uint64_t start, struct extents *ret, struct err *err)
{
	const struct agent_extents_query query = { .snapshot = &id,
						   .base = older,
						   .start_bytes = start };

	return agent_extents_finish(agent_extents_begin(agent, &query, ret->max,
							deadline_after_ms(FAKE_MS)),
				    &query, ret, err);
}

static void test_asks(void **state)
{
	struct extent items[8];
	struct extents list = { .items = items, .max = 8 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(ask(NULL, 0, &list, &err), 0);
	assert_string_equal(fake.extents.asked_uuid, S2);
	assert_string_equal(fake.extents.asked_pool, "fast");
	assert_string_equal(fake.extents.asked_base, "");
	assert_int_equal(fake.extents.asked_start, 0);
	assert_int_equal(fake.extents.asked_max, 8);
	assert_int_equal(list.count, ARRAY_SIZE(told));
	assert_memory_equal(items, told, sizeof(told));
	assert_int_equal(list.next_bytes, 100 * BLOCK);
	assert_int_equal(list.size_bytes, 100 * BLOCK);
	assert_int_equal(ask(&base, 11 * BLOCK, &list, &err), 0);
	assert_string_equal(fake.extents.asked_base, S1);
	assert_int_equal(fake.extents.asked_start, 11 * BLOCK);
	assert_int_equal(list.count, 3);
	assert_int_equal(ask(&base, 100 * BLOCK, &list, &err), 0);
	assert_int_equal(list.count, 0);
}

static void test_goes_on(void **state)
{
	struct extent items[2];
	struct extents list = { .items = items, .max = 2 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(ask(NULL, 0, &list, &err), 0);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.next_bytes, 20 * BLOCK);
	/* Nothing yet, and more to come. */
	fake.extents.looks_at = 10 * BLOCK;
	assert_int_equal(ask(NULL, 30 * BLOCK, &list, &err), 0);
	assert_int_equal(list.count, 0);
	assert_int_equal(list.next_bytes, 40 * BLOCK);
}

static void test_failures(void **state)
{
	static const struct uuid absent = { OTHER }, of_other = { OF_OTHER };
	struct extent items[2];
	struct extents list = { .items = items, .max = 2, .next_bytes = 7 };
	struct err err;

	(void)state;
	assert_int_equal(ask(&absent, 0, &list, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(ask(&of_other, 0, &list, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_int_equal(ask(NULL, 101 * BLOCK, &list, &err), -1);
	assert_int_equal(err.code, ERR_OUT_OF_RANGE);
	fake.extents.failure = ERR_FAILED_PRECONDITION;
	assert_int_equal(ask(NULL, 0, &list, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "target box"));
	assert_int_equal(list.next_bytes, 7);
}

static void test_lies(void **state)
{
	struct fake_extents *e = &fake.extents;
	bool *const lies[] = { &e->lie_overlap, &e->lie_beyond, &e->lie_stuck, &e->lie_more,
			       &e->lie_before };
	struct extent items[3];
	struct extents list = { .items = items, .max = 3, .next_bytes = 7 };
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		*lies[i] = true;
		assert_int_equal(ask(NULL, 11 * BLOCK, &list, &err), -1);
		assert_int_equal(err.code, ERR_INTERNAL);
		assert_non_null(strstr(err.msg, S2));
		*lies[i] = false;
	}
	assert_int_equal(list.next_bytes, 7);
	/* More than were asked for. */
	list.max = 1;
	e->lie_too_many = true;
	assert_int_equal(ask(NULL, 0, &list, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_asks), TEST(test_goes_on),
					    TEST(test_failures), TEST(test_lies) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
