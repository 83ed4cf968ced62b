/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes whose storage does not answer: what is asked about them is answered all the same. */
#include "tests/unit/target_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "nvme/base/clock.h"
#include "nvme/target/record.h"

#define WAIT_MS 50
#define START_MS 2000
#define THIRD "7f6f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a13"
#define CALLS (TARGET_TURNS + 4)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static bool hung;

static int slow_find(struct pool *pool, const struct uuid *uuid, struct pool_backing *ret,
		     struct err *err)
{
	pthread_mutex_lock(&lock);
	while (hung)
		pthread_cond_wait(&released, &lock);
	pthread_mutex_unlock(&lock);
	return pool_dir_ops.find(pool, uuid, ret, err);
}

/* The pool fast, with a volume; another volume is in the pool slow. */
static void hang(void)
{
	static struct pool_ops ops;
	struct err err = ERR_INIT;

	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(create(OTHER, "slow", &err), &err);
	ops = plain_ops();
	ops.find = slow_find;
	target->pools[0]->ops = &ops;
	target->answer_wait_ms = WAIT_MS;
	target->turn_wait_ms = WAIT_MS;
	hung = true;
}

static int release(void **state)
{
	pthread_mutex_lock(&lock);
	hung = false;
	target->answer_wait_ms = 10000;
	pthread_cond_broadcast(&released);
	pthread_mutex_unlock(&lock);
	return state ? teardown(state) : 0;
}

static int ask(const char *uuid, struct err *err)
{
	cleanup_volume struct volume volume = { 0 };

	return target_get(target, uuid, "", &volume, err);
}

/* However many asked before. */
static void test_each_call_is_answered(void **state)
{
	cleanup_volume struct volume other = { 0 }, back = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	hang();
	for (int i = 0; i < CALLS; i++) {
		uint64_t begin_ns = clock_now_ns();

		assert_code(ask(UUID, &err), &err, ERR_UNAVAILABLE);
		assert_says(err.msg, "pool fast does not answer");
		assert_says(err.msg, "volume " UUID);
		assert_true(clock_now_ns() - begin_ns >= WAIT_MS * 1000000);
	}
	/* What is known without the storage. */
	assert_code(ask("00000000-0000-4000-8000-000000000000", &err), &err, ERR_NOT_FOUND);
	assert_ok(target_has(target, UUID, "fast", &err), &err);
	target->answer_wait_ms = 10000;
	other = get(OTHER);
	assert_true(other.blank);
	target->answer_wait_ms = WAIT_MS;
	assert_false(target_pools_quiet(target));
	release(NULL);
	assert_true(target_pools_quiet(target));
	back = get(UUID);
	assert_true(back.blank);
}

/* A list that leaves it out would pass for one without it. */
static void test_lists_hide_nothing(void **state)
{
	cleanup_volume_list struct volume_list list = { 0 };
	struct err err = ERR_INIT;
	bool more = false;

	(void)state;
	hang();
	assert_code(target_list(target, "", 10, &list, &more, &err), &err, ERR_UNAVAILABLE);
	assert_says(err.msg, "volume " UUID);
	target->answer_wait_ms = 10000;
	assert_ok(target_list(target, UUID, 10, &list, &more, &err), &err);
	assert_int_equal(list.count, 1);
}

static void test_health_does_not_wait_for_ever(void **state)
{
	struct uuid uuid = { UUID };
	struct volume_conditions found;

	(void)state;
	hang();
	target_conditions(target, &uuid, &found);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.items[0].reason, "BackingUnreadable");
	assert_says(found.items[0].message, "pool fast does not answer");
	assert_says(found.items[0].message, "volume " UUID);
}

#define ABSENT_REST "-0000-4000-8000-000000000000"
#define ABSENT "00000000" ABSENT_REST

static void test_orphans_do_not_wait_for_ever(void **state)
{
	cleanup_target_orphans struct target_orphans none = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	hang();
	/* The other pool has to answer in time. */
	target->answer_wait_ms = 10 * WAIT_MS;
	put("fast/" ABSENT ".img", "data");
	assert_code(target_orphans(target, &none, &err), &err, ERR_UNAVAILABLE);
	assert_says(err.msg, "pool fast does not answer");
	assert_int_equal(none.count, 0);
}

/* Whether there is such a volume is not known. */
static void test_deletion_does_not_wait_for_ever(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	hang();
	assert_code(target_delete(target, ABSENT, "", &err), &err, ERR_UNAVAILABLE);
	assert_says(err.msg, "pool fast does not answer");
	target->answer_wait_ms = 10000;
	assert_ok(target_delete(target, ABSENT, "slow", &err), &err);
}

/* --- start-up --------------------------------------------------------------------------------- */

static atomic_int started; /* attempts in the pool that hangs */

static int slow_attach(struct pool *pool, const struct volume *volume, bool readonly,
		       struct err *err)
{
	(void)pool, (void)volume, (void)readonly, (void)err;
	pthread_mutex_lock(&lock);
	started++;
	while (hung)
		pthread_cond_wait(&released, &lock);
	pthread_mutex_unlock(&lock);
	return 0;
}

static int slow_create(struct pool *pool, const struct volume *volume, bool again, struct err *err)
{
	slow_attach(pool, volume, false, err);
	return pool_dir_ops.create(pool, volume, again, err);
}

/* A record as an earlier start left it, to HOST_A. */
static void put_volume(const char *pool, const char *uuid, enum volume_state state)
{
	cleanup_volume struct volume volume = request(uuid);
	cleanup_free char *path =
		xasprintf("%s/%s%s.json", pool, uuid, state == VOLUME_CREATING ? ".new" : "");
	cleanup_free char *image = xasprintf("%s/%s.img", pool, uuid), *full = NULL, *text = NULL;
	struct volume_export e = want(HOST_A);

	volume.state = state;
	if (state == VOLUME_READY) {
		volume_add_export(&volume, &e);
		put(image, "");
		full = xasprintf("%s/%s", dir, image);
		assert_int_equal(truncate(full, 1 << 20), 0);
	}
	text = record_format(&volume);
	put(path, text);
}

static int late_find(struct pool *pool, const struct uuid *uuid, struct pool_backing *ret,
		     struct err *err)
{
	poll(NULL, 0, 3 * WAIT_MS);
	return pool_dir_ops.find(pool, uuid, ret, err);
}

/* Starts anew with a pool fast that hangs in what ops says. */
static void start_hung(const struct pool_ops *ops)
{
	struct err err = ERR_INIT;

	target_free(target);
	target = NULL;
	assert_ok(open_target(&err), &err);
	target->pools[0]->ops = ops;
	target->answer_wait_ms = WAIT_MS;
	target->start_wait_ms = START_MS;
	started = 0;
	hung = true;
	assert_ok(target_restore(target, &err), &err);
}

/* Of the other pool all is exported, as far as it gets in this tree: to a host's entry. */
static void test_start_goes_on_without_a_pool(void **state)
{
	cleanup_free char *other = xasprintf("nvmet/subsystems/" VOLUME_NQN_PREFIX "%s", OTHER);
	static struct pool_ops ops;
	struct err err = ERR_INIT;

	(void)state;
	ops = plain_ops();
	ops.attach = slow_attach;
	put_volume("fast", UUID, VOLUME_READY);
	put_volume("fast", THIRD, VOLUME_READY);
	put_volume("slow", OTHER, VOLUME_READY);
	start_hung(&ops);
	assert_true(there(other));
	/* The pool was asked once, and the call that it keeps has its volume. */
	assert_int_equal(started, 1);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_ABORTED);
	assert_ok(target_has(target, THIRD, "fast", &err), &err);
	release(NULL);
	assert_true(target_pools_quiet(target));
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
}

static void test_start_finishes_what_it_can(void **state)
{
	cleanup_volume struct volume other = { 0 }, late = { 0 };
	static struct pool_ops ops;
	struct err err = ERR_INIT;

	(void)state;
	ops = plain_ops();
	ops.create = slow_create;
	put_volume("fast", UUID, VOLUME_CREATING);
	put_volume("slow", OTHER, VOLUME_CREATING);
	start_hung(&ops);
	other = get(OTHER);
	assert_code(create(UUID, "fast", &err), &err, ERR_ABORTED);
	release(NULL);
	assert_true(target_pools_quiet(target));
	late = get(UUID);
}

/* What it may hold is not promised again, however slow the storage is at the start. */
static void test_start_counts_what_it_cannot_read(void **state)
{
	cleanup_free char *image = xasprintf("%s/fast/" UUID ".img", dir);
	static struct pool_ops ops;

	(void)state;
	ops = plain_ops();
	ops.find = late_find;
	put("fast/" UUID ".json", "{ no record");
	put("fast/" UUID ".img", "");
	assert_int_equal(truncate(image, 1 << 20), 0);
	start_hung(&ops);
	assert_int_equal(provisioned("fast"), 1 << 20);
}

/* Many that are unreadable keep the start no longer than one volume does, but for moments. */
static void test_start_counts_not_for_ever(void **state)
{
	static struct pool_ops ops;
	uint64_t begin_ns = clock_now_ns();

	(void)state;
	ops = plain_ops();
	ops.find = slow_find;
	for (int i = 0; i < 5; i++) {
		cleanup_free char *path = xasprintf("fast/%08x" ABSENT_REST ".json", i);

		put(path, "{ no record");
	}
	start_hung(&ops);
	assert_true(clock_now_ns() - begin_ns < 4 * (uint64_t)START_MS * 1000000);
}

#define LOOK_CASE(f) cmocka_unit_test_setup_teardown(f, setup, release)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOK_CASE(test_each_call_is_answered),
		LOOK_CASE(test_lists_hide_nothing),
		LOOK_CASE(test_health_does_not_wait_for_ever),
		LOOK_CASE(test_orphans_do_not_wait_for_ever),
		LOOK_CASE(test_deletion_does_not_wait_for_ever),
		LOOK_CASE(test_start_goes_on_without_a_pool),
		LOOK_CASE(test_start_finishes_what_it_can),
		LOOK_CASE(test_start_counts_what_it_cannot_read),
		LOOK_CASE(test_start_counts_not_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
