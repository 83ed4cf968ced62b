/* SPDX-License-Identifier: Apache-2.0 */
/* Linking subsystems to ports, and when the guard is up for it. */
#include "tests/unit/nvmet_tree.h"

#include <sys/stat.h>

#define UUIDS 3

static struct uuid uuids[UUIDS];
static size_t seen_up, seen_down; /* links when the guard was put up and lifted */

static char *link_path(const char *port, size_t i)
{
	char nqn[NQN_SIZE];

	volume_nqn(&uuids[i], nqn);
	return xasprintf("ports/%s/subsystems/%s", port, nqn);
}

static size_t count_links(void)
{
	size_t count = 0;

	for (size_t i = 0; i < UUIDS; i++) {
		cleanup_free char *first = link_path("1", i), *second = link_path("2", i);

		count += tree_has(first) + (size_t)tree_has(second);
	}
	return count;
}

static void take_note(void)
{
	*(guard_is_up() ? &seen_up : &seen_down) = count_links();
}

static int setup(void **state)
{
	if (tree_setup(state) < 0)
		return -1;
	for (size_t i = 0; i < UUIDS; i++)
		snprintf(uuids[i].text, sizeof(uuids[i].text),
			 "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a%02zu", i);
	guard_seen = take_note;
	seen_up = seen_down = SIZE_MAX;
	nvmet.guard.settled = true;
	return 0;
}

static void test_several_are_linked_under_the_guard(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(nvmet_link(&nvmet, uuids, UUIDS, &err), 0);
	assert_int_equal(guard_runs, 2);
	assert_int_equal(seen_up, 0);
	assert_int_equal(seen_down, 2 * UUIDS);
	assert_false(guard_is_up());
}

static void test_one_needs_no_guard(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(nvmet_link(&nvmet, uuids, 1, &err), 0);
	assert_int_equal(count_links(), 2);
	assert_int_equal(nvmet_link(&nvmet, uuids, 2, &err), 0);
	assert_int_equal(count_links(), 4);
	assert_int_equal(guard_runs, 0);
}

static void test_linked_already_needs_no_guard(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(nvmet_link(&nvmet, uuids, UUIDS, &err), 0);
	guard_runs = 0;
	assert_int_equal(nvmet_link(&nvmet, uuids, UUIDS, &err), 0);
	assert_int_equal(guard_runs, 0);
}

/* Missing at one port of two. */
static void test_each_port_counts(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(nvmet_link(&nvmet, uuids, UUIDS, &err), 0);
	for (size_t i = 0; i < 2; i++) {
		cleanup_free char *link = link_path("2", i);

		assert_int_equal(root_unlink(&nvmet.root, &err, "%s", link), 0);
	}
	guard_runs = 0;
	assert_int_equal(nvmet_link(&nvmet, uuids, UUIDS, &err), 0);
	assert_int_equal(guard_runs, 2);
	assert_int_equal(seen_up, 2 * UUIDS - 2);
	assert_int_equal(seen_down, 2 * UUIDS);
}

static void test_no_guard_does_not_stop_linking(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	guard_fails = true;
	assert_int_equal(nvmet_link(&nvmet, uuids, UUIDS, &err), 0);
	assert_int_equal(count_links(), 2 * UUIDS);
	assert_int_equal(guard_runs, 1);
}

/* Port 1 takes no links; the guard is lifted although, and the other port is served. */
static void test_failure_lifts_the_guard(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_rmdir(&nvmet.root, &err, "ports/1/subsystems"), 0);
	assert_int_equal(nvmet_link(&nvmet, uuids, UUIDS, &err), 0);
	assert_int_equal(count_links(), UUIDS);
	assert_int_equal(guard_runs, 2);
	assert_false(guard_is_up());
	assert_int_equal(seen_down, UUIDS);

	assert_int_equal(root_unlink(&nvmet.root, &err, "ports/2/addr_trtype"), 0);
	assert_int_equal(nvmet_link(&nvmet, uuids, 0, &err), 0);
}

static void test_no_port_takes_links(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_rmdir(&nvmet.root, &err, "ports/1/subsystems"), 0);
	assert_int_equal(root_rmdir(&nvmet.root, &err, "ports/2/subsystems"), 0);
	assert_int_equal(nvmet_link(&nvmet, uuids, UUIDS, &err), -1);
	assert_non_null(strstr(err.msg, "no portal can be served"));
	assert_non_null(strstr(err.msg, "listen on tcp://[2001:db8::1]:4420"));
	assert_int_equal(guard_runs, 2);
	assert_false(guard_is_up());
}

/* What an earlier process left is removed once all is linked, also when there is nothing to link. */
static void test_first_call_settles(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	nvmet.guard.settled = false;
	assert_int_equal(nvmet_link(&nvmet, NULL, 0, &err), 0);
	assert_int_equal(guard_runs, 1);
	nvmet.guard.settled = false;
	assert_int_equal(nvmet_link(&nvmet, uuids, 1, &err), 0);
	assert_int_equal(guard_runs, 2);
	assert_int_equal(seen_down, 2);
	assert_int_equal(nvmet_link(&nvmet, uuids, 1, &err), 0);
	assert_int_equal(guard_runs, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_several_are_linked_under_the_guard),
		TEST(test_one_needs_no_guard),
		TEST(test_linked_already_needs_no_guard),
		TEST(test_each_port_counts),
		TEST(test_no_guard_does_not_stop_linking),
		TEST(test_failure_lifts_the_guard),
		TEST(test_no_port_takes_links),
		TEST(test_first_call_settles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
