/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work at a pool's storage, which may keep whoever does it for ever: done by a thread of its own,
 * for a caller that waits as long as it gets on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "nvme/target/target_table.h"

/* What the caller and the thread share, under the target's lock; whoever is last frees it. */
struct target_ask {
	struct target *target;
	struct target_work work;
	const struct pool *pool; /* what is asked now, and for what */
	char about[64];
	uint64_t since_ns;
	pthread_cond_t ended;
	bool done;
	bool abandoned; /* by the caller */
	bool failed;	/* with this: */
	struct err err;
};

/* Under the lock. */
static void set_at(struct target_ask *ask, const struct pool *pool, const struct uuid *uuid)
{
	ask->pool = pool;
	ask->since_ns = clock_now_ns();
	snprintf(ask->about, sizeof(ask->about), uuid ? "volume %s" : "what it has",
		 uuid ? uuid->text : "");
}

bool target_ask_at(struct target_ask *ask, const struct pool *pool, const struct uuid *uuid)
{
	bool wanted;

	pthread_mutex_lock(&ask->target->lock);
	set_at(ask, pool, uuid);
	wanted = !ask->abandoned;
	pthread_mutex_unlock(&ask->target->lock);
	return wanted;
}

/* With the argument, unless the work has succeeded for somebody. */
static void ask_free(struct target_ask *ask)
{
	if (ask->failed || ask->abandoned)
		ask->work.free_argument(ask->work.argument);
	pthread_cond_destroy(&ask->ended);
	free(ask);
}

static void *ask_run(void *arg)
{
	struct target_ask *ask = arg;
	struct target *target = ask->target;
	bool abandoned;

	ask->failed = ask->work.run(ask, ask->work.argument, &ask->err) < 0;
	pthread_mutex_lock(&target->lock);
	ask->done = true;
	abandoned = ask->abandoned;
	pthread_cond_signal(&ask->ended);
	target->asks--;
	pthread_cond_broadcast(&target->heard);
	pthread_mutex_unlock(&target->lock);
	if (abandoned)
		ask_free(ask);
	return NULL;
}

/* Under the lock. */
static int ask_begin(struct target_ask *ask, struct err *err)
{
	pthread_t thread;
	int number = pthread_create(&thread, NULL, ask_run, ask);

	if (number) {
		ask->failed = true;
		return err_sys(err, number, "a thread that asks pool %s", ask->pool->name);
	}
	pthread_detach(thread);
	ask->target->asks++;
	return 0;
}

/* Under the lock. */
static int ask_wait(struct target_ask *ask, uint64_t wait_ms, struct err *err)
{
	struct target *target = ask->target;

	while (!ask->done) {
		struct deadline until = { ask->since_ns + wait_ms * 1000000 };
		struct timespec at = deadline_timespec(until);

		if (deadline_passed(until)) {
			ask->abandoned = true;
			return err_set(err, ERR_UNAVAILABLE,
				       "pool %s does not answer: its storage was asked for %s "
				       "%.1f s ago",
				       ask->pool->name, ask->about,
				       (double)(clock_now_ns() - ask->since_ns) / 1e9);
		}
		pthread_cond_clockwait(&ask->ended, &target->lock, CLOCK_MONOTONIC, &at);
	}
	if (ask->failed)
		*err = ask->err;
	return ask->failed ? -1 : 0;
}

int target_ask(struct target *target, const struct target_work *work, uint64_t wait_ms,
	       struct err *err)
{
	struct target_ask *ask = xcalloc(1, sizeof(*ask));
	bool abandoned;
	int r;

	*ask = (struct target_ask) {
		.target = target,
		.work = *work,
		.ended = PTHREAD_COND_INITIALIZER,
	};
	pthread_mutex_lock(&target->lock);
	set_at(ask, work->pool, work->uuid);
	r = ask_begin(ask, err);
	if (r == 0)
		r = ask_wait(ask, wait_ms, err);
	abandoned = ask->abandoned;
	pthread_mutex_unlock(&target->lock);
	if (!abandoned)
		ask_free(ask);
	return r;
}
