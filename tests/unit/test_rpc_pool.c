/* SPDX-License-Identifier: Apache-2.0 */
/* The worker pool: its bounds, its order, and threads that come and go. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "csi/rpc/pool.h"

#define JOBS 64

struct shared {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t running;
	size_t most;
	size_t done;
	size_t order[JOBS];
	bool go;
};

struct job {
	struct rpc_job job;
	struct shared *shared;
	size_t number;
};

static void run(struct rpc_job *base)
{
	struct job *job = (struct job *)base;
	struct shared *s = job->shared;

	pthread_mutex_lock(&s->lock);
	s->order[s->running + s->done] = job->number;
	if (++s->running > s->most)
		s->most = s->running;
	pthread_cond_broadcast(&s->changed);
	while (!s->go)
		pthread_cond_wait(&s->changed, &s->lock);
	s->running--;
	s->done++;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void jobs_init(struct shared *s, struct job jobs[JOBS])
{
	*s = (struct shared) { 0 };
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	for (size_t i = 0; i < JOBS; i++)
		jobs[i] = (struct job) { { .run = run }, s, i };
}

static void await(struct shared *s, const size_t *value, size_t wanted)
{
	pthread_mutex_lock(&s->lock);
	while (*value != wanted)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void go(struct shared *s)
{
	pthread_mutex_lock(&s->lock);
	s->go = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void test_bounds(void **state)
{
	struct rpc_pool *pool = rpc_pool_new(3, 5, 60000);
	struct job jobs[JOBS];
	struct shared s;

	(void)state;
	jobs_init(&s, jobs);
	assert_int_equal(rpc_pool_threads(pool), 0);
	for (size_t i = 0; i < 8; i++)
		assert_true(rpc_pool_submit(pool, &jobs[i].job));
	assert_false(rpc_pool_submit(pool, &jobs[8].job));
	await(&s, &s.running, 3);
	assert_false(rpc_pool_submit(pool, &jobs[8].job));
	assert_int_equal(rpc_pool_threads(pool), 3);
	go(&s);
	await(&s, &s.done, 8);
	assert_int_equal(s.most, 3);
	rpc_pool_free(pool);
}

static void test_waiting_is_seen(void **state)
{
	struct rpc_pool *pool = rpc_pool_new(1, 5, 60000);
	struct job jobs[JOBS];
	struct shared s;

	(void)state;
	jobs_init(&s, jobs);
	assert_true(rpc_pool_submit(pool, &jobs[0].job));
	await(&s, &s.running, 1);
	assert_int_equal(rpc_pool_waiting_ms(pool), 0);
	assert_true(rpc_pool_submit(pool, &jobs[1].job));
	while (!rpc_pool_waiting_ms(pool))
		;
	go(&s);
	await(&s, &s.done, 2);
	assert_int_equal(rpc_pool_waiting_ms(pool), 0);
	rpc_pool_free(pool);
}

static void test_order(void **state)
{
	struct rpc_pool *pool = rpc_pool_new(1, JOBS, 60000);
	struct job jobs[JOBS];
	struct shared s;

	(void)state;
	jobs_init(&s, jobs);
	for (size_t i = 0; i < JOBS; i++)
		assert_true(rpc_pool_submit(pool, &jobs[i].job));
	go(&s);
	/* Freeing waits for what was accepted. */
	rpc_pool_free(pool);
	assert_int_equal(s.done, JOBS);
	for (size_t i = 0; i < JOBS; i++)
		assert_int_equal(s.order[i], i);
}

/* Threads that have nothing to do end, and new work brings new ones. */
static void test_idle_threads_end(void **state)
{
	struct rpc_pool *pool = rpc_pool_new(4, 60, 1);
	struct job jobs[JOBS];
	struct shared s;

	(void)state;
	for (int round = 0; round < 5; round++) {
		jobs_init(&s, jobs);
		for (size_t i = 0; i < 8; i++)
			assert_true(rpc_pool_submit(pool, &jobs[i].job));
		await(&s, &s.running, 4);
		go(&s);
		await(&s, &s.done, 8);
		while (rpc_pool_threads(pool) > 0)
			sched_yield();
	}
	rpc_pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_waiting_is_seen),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_idle_threads_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
