/* SPDX-License-Identifier: Apache-2.0 */
/* The target's figures: what they count, and that a pool that hangs keeps nobody. */
#include "tests/unit/target_fixture.h"

#include <poll.h>
#include <pthread.h>

#include "nvme/base/clock.h"

#define WAIT_MS 50

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool hung;
static int asked;

static int slow_room(struct pool *pool, struct pool_room *ret, struct err *err)
{
	pthread_mutex_lock(&lock);
	asked++;
	pthread_cond_broadcast(&changed);
	while (hung)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return pool_dir_ops.room(pool, ret, err);
}

static void hang(bool value)
{
	pthread_mutex_lock(&lock);
	hung = value;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static struct target_pool_tally pool_now(size_t i)
{
	struct target_tally tally cleanup_target_tally = { 0 };

	target_tally(target, &tally);
	assert_int_equal(tally.pool_count, 2);
	return tally.pools[i];
}

static void test_nobody_asked_yet(void **state)
{
	struct target_pool_tally first;

	(void)state;
	first = pool_now(0);
	assert_string_equal(first.name, "fast");
	assert_string_equal(first.kind, "dir");
	assert_false(first.heard || first.answers);
	assert_int_equal(first.capacity_bytes, 0);
	/* But now they are. */
	assert_true(target_pools_quiet(target));
	first = pool_now(0);
	assert_true(first.heard && first.answers);
	assert_true(first.capacity_bytes > first.available_bytes);
	assert_true(first.available_bytes > 0);
	assert_int_equal(first.provisioned_bytes, 0);
}

static void test_volumes(void **state)
{
	struct target_tally tally cleanup_target_tally = { 0 };
	struct pool_usage usage;
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(create(OTHER, "slow", &err), &err);
	/* Its record says so, whatever became of the rest. */
	export_to(UUID, HOST_A, &err);
	assert_ok(target_usage(target, target->pools[0], &usage, &err), &err);
	target_tally(target, &tally);
	assert_int_equal(tally.volumes, 2);
	assert_int_equal(tally.quarantined, 0);
	assert_int_equal(tally.exports, 1);
	assert_true(tally.pools[0].provisioned_bytes > 0);
}

/* More than are counted at once. */
static void test_many_volumes(void **state)
{
	struct target_tally tally cleanup_target_tally = { 0 };

	(void)state;
	for (unsigned i = 0; i < 1025; i++) {
		cleanup_volume struct volume volume = { .export_count = 0 };

		snprintf(volume.uuid.text, sizeof(volume.uuid.text),
			 "%08x-0000-4000-8000-000000000000", i * 2654435761U);
		pthread_mutex_lock(&target->lock);
		target_entry_ensure(target, &volume.uuid)->present = i % 5 > 0;
		pthread_mutex_unlock(&target->lock);
	}
	target_tally(target, &tally);
	assert_int_equal(tally.volumes, 820);
}

static void test_quarantined(void **state)
{
	struct target_tally tally cleanup_target_tally = { 0 };

	(void)state;
	put("fast/" UUID ".json", "{ no record");
	restart();
	target_tally(target, &tally);
	assert_int_equal(tally.volumes, 0);
	assert_int_equal(tally.quarantined, 1);
}

static void test_allocated(void **state)
{
	cleanup_free char *path = NULL;
	struct err err = ERR_INIT;
	struct pool_usage usage;
	char block[65536];
	int fd;

	(void)state;
	assert_ok(create(UUID, "fast", &err), &err);
	path = xasprintf("%s/fast/" UUID ".img", dir);
	memset(block, 7, sizeof(block));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, block, sizeof(block), 0), sizeof(block));
	fsync(fd);
	close(fd);
	/* Whoever measures since the creation is to have done so. */
	assert_ok(target_usage(target, target->pools[0], &usage, &err), &err);
	target->pools[0]->measure_again = (struct deadline) { 0 };
	assert_ok(target_usage(target, target->pools[0], &usage, &err), &err);
	/* Others write to this file system, too. */
	assert_true(pool_now(0).allocated_bytes > 0);
}

/* It is not said to be down for as long as it may yet answer in time. */
static void test_silent_from_the_start(void **state)
{
	static struct pool_ops ops;

	(void)state;
	ops = plain_ops();
	ops.room = slow_room;
	pthread_mutex_lock(&lock);
	target->pools[0]->ops = &ops;
	hung = true;
	pthread_mutex_unlock(&lock);
	assert_false(pool_now(0).heard);
	assert_false(pool_now(0).heard);
	target->answer_wait_ms = 1;
	poll(NULL, 0, 2);
	assert_true(pool_now(0).heard);
	assert_false(pool_now(0).answers);
	hang(false);
	target->answer_wait_ms = 10000;
	assert_true(target_pools_quiet(target));
	assert_true(pool_now(0).answers);
}

static void test_a_hung_pool_keeps_nobody(void **state)
{
	static struct pool_ops ops;
	struct pool_usage usage;
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(target_usage(target, target->pools[1], &usage, &err), &err);
	ops = plain_ops();
	ops.room = slow_room;
	target->answer_wait_ms = WAIT_MS;
	pthread_mutex_lock(&lock);
	target->pools[0]->ops = &ops;
	hung = true;
	asked = 0;
	pthread_mutex_unlock(&lock);
	assert_false(pool_now(0).answers);
	pthread_mutex_lock(&lock);
	while (!asked)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	/* However often it is asked for, one thread asks the pool. */
	for (int i = 0; i < 100; i++)
		assert_false(pool_now(0).answers);
	assert_true(pool_now(1).answers);
	assert_int_equal(asked, 1);
	hang(false);
	target->answer_wait_ms = 10000;
	assert_true(target_pools_quiet(target));
	assert_true(pool_now(0).answers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nobody_asked_yet),
		CASE(test_volumes),
		CASE(test_many_volumes),
		CASE(test_quarantined),
		CASE(test_allocated),
		CASE(test_silent_from_the_start),
		CASE(test_a_hung_pool_keeps_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
