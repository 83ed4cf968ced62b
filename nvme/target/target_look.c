/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at the backings of volumes that a caller is to be told of: by a thread of its own, which
 * the storage may keep for ever, while the caller waits for each of them for a moment only.
 */
#include <errno.h>
#include <stdlib.h>

#include "nvme/target/target_table.h"

/* What the caller and the thread share, under the target's lock; whoever is last frees it. */
struct look {
	struct target *target;
	struct target_matches matches;
	size_t at; /* the one that is looked at */
	uint64_t since_ns;
	pthread_cond_t ended;
	bool done;
	bool abandoned; /* by the caller */
	bool failed;	/* with this: */
	struct err err;
};

void target_matches_fini(struct target_matches *matches)
{
	for (size_t i = 0; i < matches->count; i++)
		volume_fini(&matches->items[i].volume);
	free(matches->items);
	*matches = (struct target_matches) { 0 };
}

static void look_free(struct look *look)
{
	target_matches_fini(&look->matches);
	pthread_cond_destroy(&look->ended);
	free(look);
}

/* Goes on to the match at `at`, if there is one that somebody waits for. */
static bool look_next(struct look *look, size_t at)
{
	bool more;

	pthread_mutex_lock(&look->target->lock);
	more = at < look->matches.count && !look->failed && !look->abandoned;
	if (more) {
		look->at = at;
		look->since_ns = clock_now_ns();
	}
	pthread_mutex_unlock(&look->target->lock);
	return more;
}

static int look_at(struct look *look, struct target_match *match)
{
	cleanup_turn struct target_turn turn = { 0 };

	if (target_turn_take(look->target, match->pool, &turn, &look->err) < 0)
		return err_wrap(&look->err, "volume %s", match->volume.uuid.text);
	match->volume.blank = target_is_blank(match->pool, &match->volume);
	return 0;
}

static void *look_run(void *arg)
{
	struct look *look = arg;
	struct target *target = look->target;
	bool abandoned;

	for (size_t i = 0; look_next(look, i); i++)
		look->failed = look_at(look, &look->matches.items[i]) < 0;
	pthread_mutex_lock(&target->lock);
	look->done = true;
	abandoned = look->abandoned;
	pthread_cond_signal(&look->ended);
	target->looks--;
	pthread_cond_broadcast(&target->heard);
	pthread_mutex_unlock(&target->lock);
	if (abandoned)
		look_free(look);
	return NULL;
}

/* Under the lock. */
static int look_wait(struct look *look, struct err *err)
{
	struct target *target = look->target;

	while (!look->done) {
		struct deadline until = { look->since_ns + target->answer_wait_ms * 1000000 };
		struct timespec at = deadline_timespec(until);
		const struct target_match *match = &look->matches.items[look->at];

		if (deadline_passed(until)) {
			look->abandoned = true;
			return err_set(err, ERR_UNAVAILABLE,
				       "pool %s does not answer: its storage was asked for volume "
				       "%s %.1f s ago",
				       match->pool->name, match->volume.uuid.text,
				       (double)(clock_now_ns() - look->since_ns) / 1e9);
		}
		pthread_cond_clockwait(&look->ended, &target->lock, CLOCK_MONOTONIC, &at);
	}
	if (look->failed)
		*err = look->err;
	return look->failed ? -1 : 0;
}

/* Under the lock. */
static int look_begin(struct look *look, struct err *err)
{
	pthread_t thread;
	int number = pthread_create(&thread, NULL, look_run, look);

	if (number) {
		look->done = true;
		return err_sys(err, number, "a thread that looks at volumes");
	}
	pthread_detach(thread);
	look->target->looks++;
	return 0;
}

int target_look(struct target *target, struct target_matches *matches, struct err *err)
{
	struct look *look;
	bool abandoned;
	int r;

	if (matches->count == 0)
		return 0;
	look = xcalloc(1, sizeof(*look));
	*look = (struct look) {
		.target = target,
		.matches = *matches,
		.since_ns = clock_now_ns(),
		.ended = PTHREAD_COND_INITIALIZER,
	};
	*matches = (struct target_matches) { 0 };
	pthread_mutex_lock(&target->lock);
	r = look_begin(look, err);
	if (r == 0)
		r = look_wait(look, err);
	abandoned = look->abandoned;
	pthread_mutex_unlock(&target->lock);
	if (abandoned)
		return -1;
	if (r == 0) {
		*matches = look->matches;
		look->matches = (struct target_matches) { 0 };
	}
	look_free(look);
	return r;
}
