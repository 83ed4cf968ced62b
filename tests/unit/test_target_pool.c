/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of promises, on a made-up kind of pool: whatever is promised can be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>
#include <string.h>

#include "nvme/target/pool.h"

#define GIB (1ULL << 30)
#define RESERVE (2 * GIB) /* of 100 GiB */
#define THREADS 8
#define BLOCK ((uint64_t)VOLUME_BLOCK_BYTES)

/* The storage: 100 GiB, of which volumes have allocated ours and others have theirs. */
static struct {
	uint64_t ours, others, overhead;
	int looks;
	bool fails, closed;
	const char *warning;
	bool waits; /* a look ends only after: */
	sem_t looked, go_on;
} storage;

static int fake_room(struct pool *pool, struct pool_room *ret, struct err *err)
{
	(void)pool;
	if (storage.fails)
		return err_set(err, ERR_UNAVAILABLE, "the storage does not answer");
	*ret = (struct pool_room) {
		.capacity_bytes = 100 * GIB,
		.free_bytes = 100 * GIB - storage.ours - storage.others,
		.closed = storage.closed,
	};
	strcpy(ret->warning, storage.warning ?: "");
	return 0;
}

static int fake_allocation(struct pool *pool, struct pool_allocation *ret, struct err *err)
{
	(void)pool, (void)err;
	storage.looks++;
	if (storage.waits) {
		sem_post(&storage.looked);
		sem_wait(&storage.go_on);
	}
	*ret = (struct pool_allocation) { storage.ours, storage.overhead };
	return 0;
}

static const struct pool_ops fake_ops = {
	.kind = "fake",
	.room = fake_room,
	.allocation = fake_allocation,
};
static struct pool pool = { .name = "fake", .ops = &fake_ops, .lock = PTHREAD_MUTEX_INITIALIZER };

static int setup(void **state)
{
	(void)state;
	memset(&storage, 0, sizeof(storage));
	pool.overcommit = 1;
	pool.provisioned_bytes = 0;
	pool.measure_again = (struct deadline) { 0 };
	return 0;
}

/* As if a minute had passed. */
static void age(void)
{
	pool.measure_again = (struct deadline) { 0 };
}

static struct pool_usage usage(void)
{
	struct pool_usage ret;
	struct err err = ERR_INIT;

	age();
	assert_int_equal(pool_usage(&pool, &ret, &err), 0);
	return ret;
}

static int promise(uint64_t bytes)
{
	struct err err = ERR_INIT;
	int r = pool_promise(&pool, bytes, &err);

	if (r < 0)
		assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
	return r;
}

static void test_all_but_the_reserve_is_available(void **state)
{
	(void)state;
	assert_int_equal(usage().capacity_bytes, 100 * GIB);
	assert_int_equal(usage().available_bytes, 100 * GIB - RESERVE);
	assert_string_equal(usage().warning, "");
	storage.others = 50 * GIB;
	assert_int_equal(usage().available_bytes, 50 * GIB - RESERVE);
	storage.others = 99 * GIB;
	assert_int_equal(usage().available_bytes, 0);
}

static void test_what_is_promised_is_gone_written_or_not(void **state)
{
	(void)state;
	assert_int_equal(promise(60 * GIB), 0);
	assert_int_equal(usage().available_bytes, 40 * GIB - RESERVE);
	for (storage.ours = 0; storage.ours <= 60 * GIB; storage.ours += 10 * GIB)
		assert_int_equal(usage().available_bytes, 40 * GIB - RESERVE);
	storage.ours = 60 * GIB;
	assert_int_equal(promise(40 * GIB - RESERVE + 1), -1);
	assert_int_equal(promise(40 * GIB - RESERVE), 0);
	assert_int_equal(usage().available_bytes, 0);
	assert_int_equal(promise(1), -1);
	assert_string_equal(usage().warning, "");
}

/* Every order of promising, writing, discarding and deleting: what is left to write is free. */
static void test_writes_never_meet_full_storage(void **state)
{
	uint64_t seed = 1;

	(void)state;
	storage.others = 7 * GIB;
	for (int i = 0; i < 20000; i++) {
		uint64_t amount = (seed = seed * 6364136223846793005ULL + 1442695040888963407ULL) %
				  (20 * GIB);

		if (seed >> 62 == 0)
			promise(amount);
		else if (seed >> 62 == 1 && storage.ours + amount <= pool.provisioned_bytes)
			storage.ours += amount;
		else if (seed >> 62 == 2 && storage.ours >= amount)
			storage.ours -= amount;
		else if (storage.ours + amount <= pool.provisioned_bytes)
			pool_unpromise(&pool, amount);
		assert_true(pool.provisioned_bytes - storage.ours <=
			    100 * GIB - storage.ours - storage.others - RESERVE);
		assert_string_equal(usage().warning, "");
	}
}

static struct pool_usage usage_within_the_minute(void)
{
	struct pool_usage ret;
	struct err err = ERR_INIT;

	assert_int_equal(pool_usage(&pool, &ret, &err), 0);
	return ret;
}

/* What volumes do between two measurements changes nothing; what others do is seen at the next. */
static void test_volumes_are_measured_once_a_minute(void **state)
{
	(void)state;
	assert_int_equal(promise(60 * GIB), 0);
	storage.ours = 30 * GIB;
	assert_int_equal(usage().available_bytes, 40 * GIB - RESERVE);
	storage.looks = 0;
	for (storage.ours = 0; storage.ours <= 60 * GIB; storage.ours += 10 * GIB)
		assert_int_equal(usage_within_the_minute().available_bytes, 40 * GIB - RESERVE);
	assert_int_equal(storage.looks, 0);
	storage.ours = 0;
	storage.others = 10 * GIB;
	assert_int_equal(usage().available_bytes, 30 * GIB - RESERVE);
	assert_int_equal(storage.looks, 1);
	storage.overhead = 5 * GIB;
	assert_int_equal(usage().available_bytes, 25 * GIB - RESERVE);
	/* Between two measurements no more than what is free. */
	storage.others = 90 * GIB;
	assert_int_equal(usage_within_the_minute().available_bytes, 10 * GIB - RESERVE);
}

static void *measure_beside(void *arg)
{
	struct pool_usage *ret = arg;
	struct err err = ERR_INIT;

	return pool_usage(&pool, ret, &err) == 0 ? NULL : arg;
}

/* While volumes are looked at, which can take long, others go by what was found before. */
static void test_a_long_look_holds_nobody_up(void **state)
{
	struct pool_usage after = { 0 };
	void *failed = NULL;
	pthread_t thread;

	(void)state;
	assert_int_equal(usage().available_bytes, 100 * GIB - RESERVE);
	assert_int_equal(sem_init(&storage.looked, 0, 0), 0);
	assert_int_equal(sem_init(&storage.go_on, 0, 0), 0);
	age();
	storage.waits = true;
	storage.looks = 0;
	assert_int_equal(pthread_create(&thread, NULL, measure_beside, &after), 0);
	assert_int_equal(sem_wait(&storage.looked), 0);
	assert_int_equal(promise(60 * GIB), 0);
	assert_int_equal(usage_within_the_minute().available_bytes, 40 * GIB - RESERVE);
	assert_int_equal(sem_post(&storage.go_on), 0);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	assert_int_equal(after.available_bytes, 40 * GIB - RESERVE);
	assert_int_equal(storage.looks, 1);
	storage.waits = false;
	sem_destroy(&storage.looked);
	sem_destroy(&storage.go_on);
}

static void test_counting_asks_for_no_room(void **state)
{
	(void)state;
	pool_count(&pool, 300 * GIB);
	assert_int_equal(usage().available_bytes, 0);
	assert_int_equal(promise(1), -1);
	pool_unpromise(&pool, 300 * GIB);
	assert_int_equal(usage().available_bytes, 100 * GIB - RESERVE);
}

static void test_others_make_a_warning(void **state)
{
	(void)state;
	assert_int_equal(promise(60 * GIB), 0);
	storage.ours = 10 * GIB;
	storage.others = 40 * GIB;
	assert_string_equal(usage().warning, "");
	storage.others = 41 * GIB;
	assert_int_equal(usage().available_bytes, 0);
	assert_string_equal(usage().warning,
			    "volumes may still write 53687091200 bytes, but only 52613349376 of "
			    "107374182400 are free: add storage or free some before their writes "
			    "fail");
}

static void test_overcommit(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	pool.overcommit = 3;
	assert_int_equal(usage().available_bytes, 3 * (100 * GIB - RESERVE));
	assert_int_equal(promise(200 * GIB), 0);
	assert_non_null(strstr(usage().warning, "volumes may still write 214748364800 bytes"));
	assert_int_equal(usage().available_bytes, 94 * GIB);

	storage.ours = 98 * GIB - 1;
	assert_int_equal(usage().available_bytes, 94 * GIB);
	/* Down to the reserve: the ratio does not matter any more. */
	storage.ours = 98 * GIB;
	assert_int_equal(usage().available_bytes, 0);
	assert_int_equal(pool_promise(&pool, BLOCK, &err), -1);
	assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
	assert_non_null(strstr(err.msg, "pool fake has 0 bytes available, 4096 are needed"));
}

static void test_reserve_alone_is_a_warning(void **state)
{
	(void)state;
	storage.others = 98 * GIB;
	assert_non_null(strstr(usage().warning, "no volume is created any more"));
}

static void test_maximum_is_of_whole_blocks(void **state)
{
	(void)state;
	storage.others = 98 * GIB - 3 * BLOCK - 5;
	assert_int_equal(usage().available_bytes, 3 * BLOCK + 5);
	assert_int_equal(usage().maximum_bytes, 3 * BLOCK);
	assert_int_equal(promise(usage().maximum_bytes), 0);
}

static void test_what_the_kind_says(void **state)
{
	struct pool_usage kept = { .capacity_bytes = 5 };
	struct err err = ERR_INIT;

	(void)state;
	storage.warning = "its metadata is nearly full";
	assert_string_equal(usage().warning, storage.warning);
	assert_int_equal(promise(GIB), 0);
	storage.closed = true;
	assert_int_equal(usage().available_bytes, 0);
	assert_int_equal(pool_promise(&pool, GIB, &err), -1);
	assert_non_null(strstr(err.msg, storage.warning));

	storage.fails = true;
	assert_int_equal(pool_usage(&pool, &kept, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_int_equal(kept.capacity_bytes, 5);
	assert_int_equal(pool_promise(&pool, GIB, &err), -1);
	assert_int_equal(pool.provisioned_bytes, GIB);
}

static void *promise_until_full(void *count)
{
	struct err err;

	while (pool_promise(&pool, GIB / 8, &err) == 0)
		++*(uint64_t *)count;
	return NULL;
}

static void test_concurrent_promises_never_share(void **state)
{
	uint64_t counts[THREADS] = { 0 }, sum = 0;
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, promise_until_full, &counts[i]),
				 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		sum += counts[i];
	}
	assert_int_equal(sum, (100 * GIB - RESERVE) / (GIB / 8));
	assert_int_equal(pool.provisioned_bytes, 100 * GIB - RESERVE);
}

#define CASE(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_all_but_the_reserve_is_available),
		CASE(test_what_is_promised_is_gone_written_or_not),
		CASE(test_writes_never_meet_full_storage),
		CASE(test_volumes_are_measured_once_a_minute),
		CASE(test_a_long_look_holds_nobody_up),
		CASE(test_counting_asks_for_no_room),
		CASE(test_others_make_a_warning),
		CASE(test_overcommit),
		CASE(test_reserve_alone_is_a_warning),
		CASE(test_maximum_is_of_whole_blocks),
		CASE(test_what_the_kind_says),
		CASE(test_concurrent_promises_never_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
