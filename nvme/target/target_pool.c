/* SPDX-License-Identifier: Apache-2.0 */
/* The target's pools: found by name, asked for their room, and kept from holding all callers. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "nvme/target/target_table.h"

#define LATELY_MS 5000

struct pool *target_pool_find(const struct target *target, const char *name)
{
	for (size_t i = 0; i < target->pool_count; i++)
		if (strcmp(target->pools[i]->name, name) == 0)
			return target->pools[i];
	return NULL;
}

static size_t place_of(const struct target *target, const struct pool *pool)
{
	size_t i = 0;

	while (target->pools[i] != pool)
		i++;
	return i;
}

static bool take(sem_t *turns, struct deadline deadline, struct target_turn *ret)
{
	struct timespec until = deadline_timespec(deadline);
	int r;

	do {
		r = sem_clockwait(turns, CLOCK_MONOTONIC, &until);
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		ret->taken = turns;
	return r == 0;
}

static int turn_take(struct target *target, size_t place, struct deadline deadline,
		     struct target_turn *ret, struct err *err)
{
	if (take(&target->turns[place], deadline, ret))
		return 0;
	return err_set(err, ERR_UNAVAILABLE,
		       "pool %s does not answer: %d calls wait for its storage",
		       target->pools[place]->name, TARGET_TURNS);
}

int target_turn_take(struct target *target, const struct pool *pool, struct target_turn *ret,
		     struct err *err)
{
	return turn_take(target, place_of(target, pool), deadline_after_ms(target->turn_wait_ms),
			 ret, err);
}

int target_freeze_take(struct target *target, struct target_turn *ret, struct err *err)
{
	if (take(&target->freezes, deadline_after_ms(target->freeze_wait_ms), ret))
		return 0;
	return err_set(err, ERR_UNAVAILABLE,
		       "%d other snapshots with freeze have been under way for %" PRIu64
		       " ms; try again",
		       TARGET_FREEZES, target->freeze_wait_ms);
}

void target_turn_fini(struct target_turn *turn)
{
	if (turn->taken)
		sem_post(turn->taken);
	turn->taken = NULL;
}

/* --- room ------------------------------------------------------------------------------------- */

struct question {
	struct target *target;
	size_t place; /* of the pool */
};

/* In a thread of its own, which the storage may keep for ever. */
static void *question_run(void *arg)
{
	cleanup_free struct question *question = arg;
	struct target *target = question->target;
	struct target_room *room = &target->rooms[question->place];
	struct pool *pool = target->pools[question->place];
	struct pool_usage usage = { 0 };
	uint64_t provisioned_bytes;
	struct err err = ERR_INIT;
	bool failed = pool_usage(pool, &usage, &err) < 0;

	pthread_mutex_lock(&pool->lock);
	provisioned_bytes = pool->provisioned_bytes;
	pthread_mutex_unlock(&pool->lock);
	pthread_mutex_lock(&target->lock);
	room->failed = failed;
	room->err = err;
	if (!failed) {
		room->usage = usage;
		room->provisioned_bytes = provisioned_bytes;
		room->until = deadline_after_ms(LATELY_MS);
	}
	room->answered = room->begun;
	pthread_cond_broadcast(&target->heard);
	pthread_mutex_unlock(&target->lock);
	return NULL;
}

/* Under the lock. */
static int question_begin(struct target *target, size_t place, struct err *err)
{
	struct question *question = xcalloc(1, sizeof(*question));
	struct target_room *room = &target->rooms[place];
	pthread_t thread;
	int number;

	*question = (struct question) { .target = target, .place = place };
	number = pthread_create(&thread, NULL, question_run, question);
	if (number) {
		free(question);
		return err_sys(err, number, "a thread that asks pool %s",
			       target->pools[place]->name);
	}
	pthread_detach(thread);
	room->begun++;
	room->begun_ns = clock_now_ns();
	return 0;
}

static bool is_open(const struct target_room *room)
{
	return room->answered != room->begun;
}

static bool is_overdue(const struct target *target, const struct target_room *room)
{
	return is_open(room) && clock_now_ns() - room->begun_ns >= target->answer_wait_ms * 1000000;
}

static int overdue(struct target *target, size_t place, struct err *err)
{
	return err_set(err, ERR_UNAVAILABLE,
		       "pool %s does not answer: its storage was asked for its room %.1f s ago",
		       target->pools[place]->name,
		       (double)(clock_now_ns() - target->rooms[place].begun_ns) / 1e9);
}

/* Begins a question, or lets the open one come first. Under the lock. */
static int ask(struct target *target, size_t place, uint64_t *ret_wanted, struct err *err)
{
	struct target_room *room = &target->rooms[place];
	uint64_t wanted = room->begun + 1;

	if (is_overdue(target, room))
		return overdue(target, place, err);
	if (!is_open(room) && question_begin(target, place, err) < 0)
		return -1;
	*ret_wanted = wanted;
	return 0;
}

/* Until the question of this number has its answer. Under the lock. */
static int hear(struct target *target, size_t place, uint64_t wanted, struct deadline deadline,
		struct target_answer *ret)
{
	struct timespec until = deadline_timespec(deadline);
	struct target_room *room = &target->rooms[place];

	while (room->answered < wanted) {
		if (!is_open(room) && question_begin(target, place, &ret->err) < 0)
			return -1;
		if (is_overdue(target, room) ||
		    pthread_cond_clockwait(&target->heard, &target->lock, CLOCK_MONOTONIC,
					   &until) == ETIMEDOUT)
			return overdue(target, place, &ret->err);
	}
	ret->usage = room->usage;
	ret->provisioned_bytes = room->provisioned_bytes;
	if (room->failed)
		ret->err = room->err;
	return room->failed ? -1 : 0;
}

/* A pool that is asked. */
struct asked {
	uint64_t wanted; /* the number of the question */
	struct target_turn turn;
};

/* Asks all of them, then waits: a turn says that other calls get through to the storage. */
static void ask_pools(struct target *target, size_t first, size_t count,
		      struct target_answer answers[])
{
	struct deadline turns = deadline_after_ms(target->turn_wait_ms);
	struct deadline until = deadline_after_ms(target->answer_wait_ms);
	cleanup_free struct asked *asked = xcalloc(count, sizeof(*asked));

	pthread_mutex_lock(&target->lock);
	for (size_t i = 0; i < count; i++) {
		answers[i] = (struct target_answer) { 0 };
		answers[i].failed = ask(target, first + i, &asked[i].wanted, &answers[i].err) < 0;
	}
	pthread_mutex_unlock(&target->lock);
	for (size_t i = 0; i < count; i++)
		if (!answers[i].failed)
			answers[i].failed = turn_take(target, first + i, turns, &asked[i].turn,
						      &answers[i].err) < 0;
	for (size_t i = 0; i < count; i++) {
		if (answers[i].failed)
			continue;
		pthread_mutex_lock(&target->lock);
		answers[i].failed = hear(target, first + i, asked[i].wanted, until, &answers[i]) <
				    0;
		pthread_mutex_unlock(&target->lock);
		target_turn_fini(&asked[i].turn);
	}
}

void target_usages(struct target *target, struct target_answer answers[])
{
	ask_pools(target, 0, target->pool_count, answers);
}

int target_usage(struct target *target, struct pool *pool, struct pool_usage *ret, struct err *err)
{
	struct target_answer answer;

	ask_pools(target, place_of(target, pool), 1, &answer);
	if (answer.failed)
		*err = answer.err;
	else
		*ret = answer.usage;
	return answer.failed ? -1 : 0;
}

/* Under the lock. */
static void known(struct target *target, size_t place, struct target_answer *ret)
{
	struct target_room *room = &target->rooms[place];

	*ret = (struct target_answer) { .usage = room->usage,
					.provisioned_bytes = room->provisioned_bytes,
					.failed = room->failed,
					.err = room->err };
	if (is_overdue(target, room))
		ret->failed = overdue(target, place, &ret->err) < 0;
	else if (!room->answered)
		ret->failed = ret->unheard = err_set(&ret->err, ERR_UNAVAILABLE,
						     "pool %s has not answered yet",
						     target->pools[place]->name) < 0;
	if (deadline_passed(room->until) && !is_open(room)) {
		struct err ignored;

		question_begin(target, place, &ignored);
	}
}

void target_usages_known(struct target *target, struct target_answer answers[])
{
	pthread_mutex_lock(&target->lock);
	for (size_t i = 0; i < target->pool_count; i++)
		known(target, i, &answers[i]);
	pthread_mutex_unlock(&target->lock);
}

bool target_pools_quiet(struct target *target)
{
	struct timespec until = deadline_timespec(deadline_after_ms(target->answer_wait_ms));
	bool quiet = true;

	pthread_mutex_lock(&target->lock);
	while (quiet && target->asks)
		quiet = pthread_cond_clockwait(&target->heard, &target->lock, CLOCK_MONOTONIC,
					       &until) != ETIMEDOUT;
	for (size_t i = 0; quiet && i < target->pool_count; i++)
		while (quiet && is_open(&target->rooms[i]))
			quiet = pthread_cond_clockwait(&target->heard, &target->lock,
						       CLOCK_MONOTONIC, &until) != ETIMEDOUT;
	pthread_mutex_unlock(&target->lock);
	return quiet;
}

int target_usage_lately(struct target *target, struct pool *pool, struct pool_usage *ret,
			struct err *err)
{
	const struct target_room *room = &target->rooms[place_of(target, pool)];
	bool fresh;

	pthread_mutex_lock(&target->lock);
	fresh = !deadline_passed(room->until);
	if (fresh)
		*ret = room->usage;
	pthread_mutex_unlock(&target->lock);
	return fresh ? 0 : target_usage(target, pool, ret, err);
}

bool target_path_is_in(const struct pool *pool, const struct uuid *uuid, const char *path)
{
	struct volume volume = { .uuid = *uuid };
	char candidate[PATH_MAX];

	for (int way = 0; way < 4; way++) {
		volume.volatile_cache = way & 1;
		pool_device_path(pool, &volume, way & 2, candidate);
		if (strcmp(candidate, path) == 0)
			return true;
	}
	return false;
}
