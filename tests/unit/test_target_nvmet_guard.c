/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's commands, and when they are run; what they do is for tests/vm/cases/fence-hosts.sh. */
#include "tests/unit/nvmet_tree.h"

static void up(void)
{
	nvmet_guard_up(&nvmet.guard, nvmet.portals, nvmet.portal_count);
}

static void test_commands(void **state)
{
	const char *first = "add table inet nvmeot_guard\ndelete table inet nvmeot_guard\n";

	(void)state;
	up();
	assert_int_equal(guard_runs, 1);
	assert_memory_equal(guard_text, first, strlen(first));
	assert_non_null(strstr(guard_text, "elements = { 192.0.2.1 . 4420 timeout 30s }"));
	assert_non_null(strstr(guard_text, "elements = { 2001:db8::1 . 4420 timeout 30s }"));
	assert_true(guard_is_up());
	nvmet_guard_down(&nvmet.guard);
	assert_int_equal(guard_runs, 2);
	assert_string_equal(guard_text, first);
}

/* An empty list of elements is no nft. */
static void test_one_family(void **state)
{
	(void)state;
	nvmet_guard_up(&nvmet.guard, nvmet.portals, 1);
	assert_null(strstr(guard_text, "2001"));
	assert_null(strstr(guard_text, "{ }"));
	nvmet_guard_down(&nvmet.guard);
	nvmet_guard_up(&nvmet.guard, nvmet.portals, 0);
	assert_int_equal(guard_runs, 2);
}

static void test_many_portals(void **state)
{
	struct portal many[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		many[i] = nvmet.portals[1];
		many[i].port = (uint16_t)(10000 + i);
	}
	nvmet_guard_up(&nvmet.guard, many, ARRAY_SIZE(many));
	assert_non_null(strstr(guard_text, ". 10000 timeout"));
	assert_non_null(strstr(guard_text, ", 2001:db8::1 . 10063 timeout 30s }"));
	assert_true(guard_is_up());
}

static void test_down_only_when_up(void **state)
{
	(void)state;
	nvmet_guard_down(&nvmet.guard);
	assert_int_equal(guard_runs, 0);
	guard_fails = true;
	up();
	nvmet_guard_down(&nvmet.guard);
	assert_int_equal(guard_runs, 1);
}

/* What could not be lifted is lifted by the next occasion. */
static void test_down_is_tried_again(void **state)
{
	(void)state;
	up();
	guard_fails = true;
	nvmet_guard_down(&nvmet.guard);
	guard_fails = false;
	nvmet_guard_down(&nvmet.guard);
	assert_int_equal(guard_runs, 3);
	nvmet_guard_down(&nvmet.guard);
	assert_int_equal(guard_runs, 3);
}

static void test_settle_is_for_the_first_time(void **state)
{
	(void)state;
	nvmet_guard_settle(&nvmet.guard);
	assert_int_equal(guard_runs, 1);
	assert_false(guard_is_up());
	nvmet_guard_settle(&nvmet.guard);
	assert_int_equal(guard_runs, 1);
}

static void test_up_settles(void **state)
{
	(void)state;
	up();
	nvmet_guard_down(&nvmet.guard);
	nvmet_guard_settle(&nvmet.guard);
	assert_int_equal(guard_runs, 2);
}

/* A tree that is not the kernel's has nothing to guard. */
static void test_not_live(void **state)
{
	struct nvmet_guard guard;

	(void)state;
	assert_false(nvmet.live);
	nvmet_guard_init(&guard, false);
	nvmet_guard_up(&guard, nvmet.portals, 2);
	nvmet_guard_down(&guard);
	nvmet_guard_settle(&guard);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_commands),
		TEST(test_one_family),
		TEST(test_many_portals),
		TEST(test_down_only_when_up),
		TEST(test_down_is_tried_again),
		TEST(test_settle_is_for_the_first_time),
		TEST(test_up_settles),
		TEST(test_not_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
