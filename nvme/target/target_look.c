/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at the backings of volumes, for callers that wait for a moment only. */
#include <stdlib.h>

#include "nvme/target/target_table.h"

struct look {
	struct target *target;
	struct target_matches matches;
};

void target_matches_fini(struct target_matches *matches)
{
	for (size_t i = 0; i < matches->count; i++)
		volume_fini(&matches->items[i].volume);
	free(matches->items);
	*matches = (struct target_matches) { 0 };
}

static void look_free(void *arg)
{
	struct look *look = arg;

	target_matches_fini(&look->matches);
	free(look);
}

static int look_at(struct target *target, struct target_match *match, struct err *err)
{
	cleanup_turn struct target_turn turn = { 0 };

	if (target_turn_take(target, match->pool, &turn, err) < 0)
		return err_wrap(err, "volume %s", match->volume.uuid.text);
	match->volume.blank = target_is_blank(match->pool, &match->volume);
	return 0;
}

static int look_run(struct target_ask *ask, void *arg, struct err *err)
{
	struct look *look = arg;

	for (size_t i = 0; i < look->matches.count; i++) {
		struct target_match *match = &look->matches.items[i];

		if (!target_ask_at(ask, match->pool, &match->volume.uuid))
			break;
		if (look_at(look->target, match, err) < 0)
			return -1;
	}
	return 0;
}

int target_look(struct target *target, struct target_matches *matches, struct err *err)
{
	struct look *look;
	struct target_work work = { .run = look_run, .free_argument = look_free };

	if (matches->count == 0)
		return 0;
	look = xcalloc(1, sizeof(*look));
	*look = (struct look) { .target = target, .matches = *matches };
	*matches = (struct target_matches) { 0 };
	work.argument = look;
	work.pool = look->matches.items[0].pool;
	work.uuid = &look->matches.items[0].volume.uuid;
	if (target_ask(target, &work, target->answer_wait_ms, err) < 0)
		return -1;
	*matches = look->matches;
	free(look);
	return 0;
}

struct find {
	struct target *target;
	struct pool *pool;
	struct uuid uuid;
	struct pool_backing backing;
	int found;
};

static int find_run(struct target_ask *ask, void *arg, struct err *err)
{
	cleanup_turn struct target_turn turn = { 0 };
	struct find *find = arg;

	(void)ask;
	if (target_turn_take(find->target, find->pool, &turn, err) < 0)
		return -1;
	find->found = pool_find(find->pool, &find->uuid, &find->backing, err);
	return find->found < 0 ? -1 : 0;
}

int target_find(struct target *target, struct pool *pool, const struct uuid *uuid, uint64_t wait_ms,
		struct pool_backing *ret, struct err *err)
{
	struct find *find = xcalloc(1, sizeof(*find));
	const struct target_work work = {
		.run = find_run,
		.argument = find,
		.free_argument = free,
		.pool = pool,
		.uuid = uuid,
	};
	int found;

	*find = (struct find) { .target = target, .pool = pool, .uuid = *uuid };
	if (target_ask(target, &work, wait_ms, err) < 0)
		return -1;
	found = find->found;
	if (found)
		*ret = find->backing;
	free(find);
	return found;
}
