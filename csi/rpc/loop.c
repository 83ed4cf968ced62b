/* SPDX-License-Identifier: Apache-2.0 */
/* The one thread that moves the events of all clients. */
#include "csi/rpc/loop.h"

#include <stddef.h>

#define LOOP_STACK_BYTES (512 * 1024)

static struct {
	pthread_mutex_t life; /* users, queue and thread */
	unsigned int users;
	grpc_completion_queue *queue;
	pthread_t thread;
	pthread_mutex_t lock; /* done of every waiter */
} loop = { .life = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER };

static void *move_events(void *data)
{
	grpc_completion_queue *queue = data;
	struct rpc_waiter *waiter;
	grpc_event event;

	for (;;) {
		event = grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC),
						   NULL);
		if (event.type == GRPC_QUEUE_SHUTDOWN)
			return NULL;
		waiter = event.tag;
		/* Signalled with the lock held: once it is free the waiter may be gone. */
		pthread_mutex_lock(&loop.lock);
		waiter->done = true;
		pthread_cond_signal(&waiter->changed);
		pthread_mutex_unlock(&loop.lock);
	}
}

/* Called with the life lock held. */
static int start(struct err *err)
{
	pthread_attr_t attr;
	int rc;

	loop.queue = grpc_completion_queue_create_for_next(NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, LOOP_STACK_BYTES);
	rc = pthread_create(&loop.thread, &attr, move_events, loop.queue);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		return 0;
	grpc_completion_queue_shutdown(loop.queue);
	grpc_completion_queue_destroy(loop.queue);
	return err_sys(err, rc, "start the thread of the clients' events");
}

int rpc_loop_get(struct err *err)
{
	int rc = 0;

	pthread_mutex_lock(&loop.life);
	if (loop.users == 0)
		rc = start(err);
	if (rc == 0)
		loop.users++;
	pthread_mutex_unlock(&loop.life);
	return rc;
}

void rpc_loop_put(void)
{
	pthread_mutex_lock(&loop.life);
	if (--loop.users == 0) {
		grpc_completion_queue_shutdown(loop.queue);
		pthread_join(loop.thread, NULL);
		grpc_completion_queue_destroy(loop.queue);
	}
	pthread_mutex_unlock(&loop.life);
}

grpc_completion_queue *rpc_loop_queue(void)
{
	return loop.queue;
}

void rpc_waiter_init(struct rpc_waiter *waiter)
{
	/* The lock orders this before what the thread does, whatever gRPC does between. */
	pthread_mutex_lock(&loop.lock);
	waiter->done = false;
	pthread_cond_init(&waiter->changed, NULL);
	pthread_mutex_unlock(&loop.lock);
}

void rpc_waiter_wait(struct rpc_waiter *waiter)
{
	pthread_mutex_lock(&loop.lock);
	while (!waiter->done)
		pthread_cond_wait(&waiter->changed, &loop.lock);
	pthread_mutex_unlock(&loop.lock);
}

void rpc_waiter_fini(struct rpc_waiter *waiter)
{
	pthread_cond_destroy(&waiter->changed);
}
