/* SPDX-License-Identifier: Apache-2.0 */
/* The worker pool: one queue, one lock, threads on demand. */
#include "csi/rpc/pool.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/clock.h"
#include "nvme/base/log.h"

#define STACK_BYTES (512 * 1024)

struct rpc_pool {
	pthread_mutex_t lock;
	pthread_cond_t work;  /* a job came, or the end */
	pthread_cond_t ended; /* a thread left */
	struct rpc_job *head;
	struct rpc_job **tail;
	size_t pending; /* accepted and not finished: waiting and running */
	size_t queued;	/* of these, waiting */
	size_t idle;	/* threads that wait for work */
	size_t threads;
	size_t max_workers;
	size_t max_queued;
	uint64_t idle_ms;
	bool stopping;
	bool has_last;
	pthread_t last; /* the thread that ended last; whoever ends next joins it */
};

struct rpc_pool *rpc_pool_new(size_t max_workers, size_t max_queued, uint64_t idle_ms)
{
	struct rpc_pool *pool = xcalloc(1, sizeof(*pool));

	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->ended, NULL);
	pool->tail = &pool->head;
	pool->max_workers = max_workers;
	pool->max_queued = max_queued;
	pool->idle_ms = idle_ms;
	return pool;
}

/* Waits for a job; NULL: this thread is to end. Called and returns with the lock held. */
static struct rpc_job *take_job(struct rpc_pool *pool)
{
	struct deadline until = deadline_after_ms(pool->idle_ms);
	struct timespec ts = deadline_timespec(until);
	struct rpc_job *job;
	int rc = 0;

	pool->idle++;
	while (!pool->head && !pool->stopping && rc != ETIMEDOUT)
		rc = pthread_cond_clockwait(&pool->work, &pool->lock, CLOCK_MONOTONIC, &ts);
	pool->idle--;
	job = pool->head;
	if (!job)
		return NULL;
	pool->head = job->next;
	if (!pool->head)
		pool->tail = &pool->head;
	pool->queued--;
	return job;
}

/* Leaves the pool: hands the own id on and joins the thread that left before. */
static void leave(struct rpc_pool *pool)
{
	bool had_last = pool->has_last;
	pthread_t last = pool->last;
	bool empty = --pool->threads == 0;

	pool->has_last = true;
	pool->last = pthread_self();
	pthread_cond_broadcast(&pool->ended);
	pthread_mutex_unlock(&pool->lock);
	if (had_last)
		pthread_join(last, NULL);
	/* After a burst the heap is mostly holes; an idle process gives them back. */
	if (empty)
		malloc_trim(0);
}

static void *worker(void *data)
{
	struct rpc_pool *pool = data;
	struct rpc_job *job;

	pthread_mutex_lock(&pool->lock);
	while ((job = take_job(pool))) {
		pthread_mutex_unlock(&pool->lock);
		job->run(job);
		pthread_mutex_lock(&pool->lock);
		pool->pending--;
	}
	leave(pool);
	return NULL;
}

static void add_thread(struct rpc_pool *pool)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	rc = pthread_create(&thread, &attr, worker, pool);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		pool->threads++;
	else
		log_warning("no further worker thread", KV("error", strerrordesc_np(rc)),
			    KV_NUM("threads", pool->threads));
}

bool rpc_pool_submit(struct rpc_pool *pool, struct rpc_job *job)
{
	bool accepted = false;

	pthread_mutex_lock(&pool->lock);
	if (pool->pending < pool->max_workers + pool->max_queued) {
		if (pool->queued >= pool->idle && pool->threads < pool->max_workers)
			add_thread(pool);
		accepted = pool->threads > 0;
	}
	if (accepted) {
		job->next = NULL;
		job->submitted_ns = clock_now_ns();
		*pool->tail = job;
		pool->tail = &job->next;
		pool->queued++;
		pool->pending++;
		pthread_cond_signal(&pool->work);
	}
	pthread_mutex_unlock(&pool->lock);
	return accepted;
}

uint64_t rpc_pool_waiting_ms(struct rpc_pool *pool)
{
	uint64_t waiting_ns = 0;

	pthread_mutex_lock(&pool->lock);
	if (pool->head)
		waiting_ns = clock_now_ns() - pool->head->submitted_ns;
	pthread_mutex_unlock(&pool->lock);
	return waiting_ns / NS_PER_MS;
}

size_t rpc_pool_threads(struct rpc_pool *pool)
{
	size_t threads;

	pthread_mutex_lock(&pool->lock);
	threads = pool->threads;
	pthread_mutex_unlock(&pool->lock);
	return threads;
}

void rpc_pool_free(struct rpc_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->work);
	while (pool->threads > 0)
		pthread_cond_wait(&pool->ended, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	if (pool->has_last)
		pthread_join(pool->last, NULL);
	pthread_cond_destroy(&pool->ended);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
