/* SPDX-License-Identifier: Apache-2.0 */
/* Pools whose storage does not answer the question for their room: who waits, and for how long. */
#include "tests/unit/target_fixture.h"

#include <pthread.h>

#include "nvme/base/clock.h"

#define WAIT_MS 500

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static bool hung[2]; /* each pool */
static int asked[2];

static int slow_room(struct pool *pool, struct pool_room *ret, struct err *err)
{
	size_t i = target->pools[1] == pool;

	pthread_mutex_lock(&lock);
	asked[i]++;
	while (hung[i])
		pthread_cond_wait(&released, &lock);
	pthread_mutex_unlock(&lock);
	return pool_dir_ops.room(pool, ret, err);
}

static void hang(bool fast, bool slow)
{
	static struct pool_ops ops;

	ops = plain_ops();
	ops.room = slow_room;
	target->answer_wait_ms = WAIT_MS;
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < target->pool_count; i++) {
		target->pools[i]->ops = &ops;
		hung[i] = i ? slow : fast;
		asked[i] = 0;
	}
	pthread_mutex_unlock(&lock);
}

static int release(void **state)
{
	pthread_mutex_lock(&lock);
	hung[0] = hung[1] = false;
	pthread_cond_broadcast(&released);
	pthread_mutex_unlock(&lock);
	target->answer_wait_ms = 10000;
	return state ? teardown(state) : 0;
}

static uint64_t ms_since(uint64_t begin_ns)
{
	return (clock_now_ns() - begin_ns) / 1000000;
}

static struct pool_usage usage_of(size_t i)
{
	struct pool_usage usage = { 0 };
	struct err err = ERR_INIT;

	assert_ok(target_usage(target, target->pools[i], &usage, &err), &err);
	return usage;
}

static void test_creation_goes_elsewhere(void **state)
{
	cleanup_volume struct volume first = { 0 }, second = { 0 };
	uint64_t begin_ns = clock_now_ns(), quickest_ms = UINT64_MAX;
	struct err err = ERR_INIT;

	(void)state;
	hang(true, false);
	assert_ok(create(UUID, "", &err), &err);
	assert_true(ms_since(begin_ns) >= WAIT_MS);
	/* From now on it is known, and nobody waits for it: whoever does takes WAIT_MS, each time. */
	for (int i = 0; i < 20; i++) {
		cleanup_free char *uuid = xasprintf("%08x-0000-4000-8000-000000000000", i);

		begin_ns = clock_now_ns();
		assert_ok(create(uuid, "", &err), &err);
		if (ms_since(begin_ns) < quickest_ms)
			quickest_ms = ms_since(begin_ns);
	}
	assert_true(quickest_ms < WAIT_MS);
	assert_int_equal(asked[0], 1);
	first = get(UUID);
	second = get("00000013-0000-4000-8000-000000000000");
	assert_string_equal(first.pool, "slow");
	assert_string_equal(second.pool, "slow");
	assert_int_equal(provisioned("fast"), 0);
	/* It comes back. */
	release(NULL);
	assert_true(usage_of(0).capacity_bytes > 0);
}

static void test_no_pool_answers(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	hang(true, true);
	assert_code(create(UUID, "", &err), &err, ERR_UNAVAILABLE);
	assert_says(err.msg, "no pool of target box-1 says how much room it has: ");
	assert_says(err.msg, "pool fast does not answer");
	assert_says(err.msg, "; pool slow does not answer");
	release(NULL);
	assert_ok(create(UUID, "", &err), &err);
}

static void test_the_only_pool_is_not_asked(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	hang(false, false);
	target->pool_count = 1;
	assert_ok(create(UUID, "", &err), &err);
	target->pool_count = 2;
	assert_int_equal(target->rooms[0].begun, 0);
}

static void test_info_says_which(void **state)
{
	cleanup_target_info struct target_info info = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(create(UUID, "slow", &err), &err);
	hang(true, false);
	target_info(target, &info);
	assert_says(info.pools[0].warning, "pool fast does not answer: its storage was asked");
	assert_int_equal(info.pools[0].capacity_bytes, 0);
	assert_string_equal(info.pools[1].warning, "");
	assert_int_equal(info.pools[1].provisioned_bytes, 1 << 20);
	assert_false(target_pools_quiet(target));
	release(NULL);
	assert_true(target_pools_quiet(target));
}

/* Several hang, and it takes no longer than with one of them. */
static void test_info_waits_once(void **state)
{
	cleanup_target_info struct target_info info = { 0 };

	(void)state;
	hang(true, true);
	target_info(target, &info);
	for (size_t i = 0; i < info.pool_count; i++)
		assert_says(info.pools[i].warning, "does not answer: its storage was asked");
	/* Neither question was begun after a wait for the other one's answer. */
	assert_true(target->rooms[1].begun_ns - target->rooms[0].begun_ns < WAIT_MS * 1000000UL);
}

/* The pools have all their callers as well, and that does not add to it. */
static void test_info_waits_for_no_turn(void **state)
{
	struct target_turn turns[2][TARGET_TURNS] = { 0 };
	cleanup_target_info struct target_info taken = { 0 }, known = { 0 };
	struct err err = ERR_INIT;
	uint64_t begin_ns;

	(void)state;
	hang(true, true);
	for (size_t i = 0; i < ARRAY_SIZE(turns); i++)
		for (size_t j = 0; j < TARGET_TURNS; j++)
			assert_ok(target_turn_take(target, target->pools[i], &turns[i][j], &err),
				  &err);
	target->turn_wait_ms = 2 * WAIT_MS;
	begin_ns = clock_now_ns();
	target_info(target, &taken);
	assert_true(ms_since(begin_ns) < 4 * WAIT_MS);
	assert_says(taken.pools[1].warning, "calls wait for its storage");
	/* By now both owe an answer. */
	target->turn_wait_ms = 60000;
	begin_ns = clock_now_ns();
	target_info(target, &known);
	assert_true(ms_since(begin_ns) < 60000);
	assert_says(known.pools[0].warning, "its storage was asked for its room");
	assert_says(known.pools[1].warning, "its storage was asked for its room");
	for (size_t i = 0; i < ARRAY_SIZE(turns); i++)
		for (size_t j = 0; j < TARGET_TURNS; j++)
			target_turn_fini(&turns[i][j]);
}

static void *ask(void *arg)
{
	struct pool_usage usage = { 0 };
	struct err err = ERR_INIT;

	(void)arg;
	return target_usage(target, target->pools[0], &usage, &err) < 0 ? "failed" : NULL;
}

/* An answer serves all who asked before it was sought, and nobody who came later. */
static void test_many_ask(void **state)
{
	pthread_t threads[8];
	void *failed;

	(void)state;
	hang(false, false);
	target->answer_wait_ms = 10000;
	/* What the start has asked has been answered then. */
	usage_of(0);
	asked[0] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_true(asked[0] >= 1 && asked[0] <= (int)ARRAY_SIZE(threads));
	asked[0] = 0;
	usage_of(0);
	usage_of(0);
	assert_int_equal(asked[0], 2);
}

#define ROOM_CASE(f) cmocka_unit_test_setup_teardown(f, setup, release)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROOM_CASE(test_creation_goes_elsewhere),
		ROOM_CASE(test_no_pool_answers),
		ROOM_CASE(test_the_only_pool_is_not_asked),
		ROOM_CASE(test_info_says_which),
		ROOM_CASE(test_info_waits_once),
		ROOM_CASE(test_info_waits_for_no_turn),
		ROOM_CASE(test_many_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
