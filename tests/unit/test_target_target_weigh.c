/* SPDX-License-Identifier: Apache-2.0 */
/* How many of a list of snapshots are asked about, of pools that take their time. */
#include "tests/unit/target_fixture.h"

#include <poll.h>

#include "nvme/base/clock.h"

#define WAIT_MS 500
#define COUNT 8

static int64_t first_ms, each_ms; /* what the pools take for a question, and for each answer */
static uint64_t since[2];	  /* the last question of each */
static unsigned questions;

static int slow_used(struct pool *pool, const struct uuid *uuid, uint64_t since_ns, uint64_t *ret,
		     struct err *err)
{
	size_t i = target->pools[1] == pool;

	(void)uuid, (void)err;
	if (since[i] < since_ns) {
		since[i] = clock_now_ns();
		questions++;
		poll(NULL, 0, (int)first_ms);
	}
	poll(NULL, 0, (int)each_ms);
	*ret = 4096 * (i + 1);
	return 1;
}

/* Of snapshots in the two pools by turns; the number of those that were asked about. */
static size_t weigh(int64_t first, int64_t each, struct volume snapshots[COUNT])
{
	static struct pool_ops ops;

	ops = plain_ops();
	ops.used = slow_used;
	first_ms = first;
	each_ms = each;
	questions = 0;
	target->answer_wait_ms = WAIT_MS;
	for (size_t i = 0; i < target->pool_count; i++)
		target->pools[i]->ops = &ops;
	for (size_t i = 0; i < COUNT; i++) {
		snapshots[i] = (struct volume) { .uuid = { UUID } };
		strcpy(snapshots[i].pool, target->pools[i % 2]->name);
	}
	return target_snapshots_weigh(target, snapshots, COUNT);
}

/* A pool that looks at all of them at once has the time for it. */
static void test_pools_that_tell_of_all_at_once(void **state)
{
	struct volume snapshots[COUNT];

	(void)state;
	for (unsigned list = 0; list < 2; list++) {
		assert_int_equal(weigh(2 * WAIT_MS, 0, snapshots), COUNT);
		for (size_t i = 0; i < COUNT; i++) {
			assert_true(snapshots[i].snapshot.weighed);
			assert_int_equal(snapshots[i].snapshot.used_bytes, 4096 * (i % 2 + 1));
		}
		assert_int_equal(questions, 2);
	}
}

/* The rest is for another list. */
static void test_pools_that_take_long_for_each(void **state)
{
	struct volume snapshots[COUNT];

	(void)state;
	assert_int_equal(weigh(0, 2 * WAIT_MS, snapshots), 3);
	assert_true(snapshots[2].snapshot.weighed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pools_that_tell_of_all_at_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_pools_that_take_long_for_each, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
