/* SPDX-License-Identifier: Apache-2.0 */
/* What snapshots hold by themselves, for callers that do not wait for ever. */
#include "nvme/target/target.h"

#include <stdlib.h>

#include "nvme/target/target_table.h"

struct weighed {
	struct pool *pool;
	struct uuid uuid;
	bool told;
	uint64_t bytes;
};

struct weighing {
	struct target *target;
	struct weighed *items;
	size_t count;
	size_t done;
	uint64_t since_ns;
	uint64_t took_ns; /* but for the first of each pool, which may be for all of them */
};

static void weighing_free(void *arg)
{
	struct weighing *weighing = arg;

	free(weighing->items);
	free(weighing);
}

static bool is_first_of_pool(const struct weighing *weighing, const struct weighed *item)
{
	for (const struct weighed *before = weighing->items; before < item; before++)
		if (before->pool == item->pool)
			return false;
	return true;
}

/* One that cannot be looked at has no figure: that it is there is known all the same. */
static void weigh(struct weighing *weighing, struct weighed *item)
{
	uint64_t begin_ns = clock_now_ns();
	cleanup_turn struct target_turn turn = { 0 };
	struct err ignored;

	if (target_turn_take(weighing->target, item->pool, &turn, &ignored) < 0)
		return;
	item->told =
		pool_used(item->pool, &item->uuid, weighing->since_ns, &item->bytes, &ignored) > 0;
	if (!is_first_of_pool(weighing, item))
		weighing->took_ns += clock_now_ns() - begin_ns;
}

static int weighing_run(struct target_ask *ask, void *arg, struct err *err)
{
	struct weighing *weighing = arg;

	(void)err;
	while (weighing->done < weighing->count &&
	       weighing->took_ns < weighing->target->answer_wait_ms * NS_PER_MS) {
		struct weighed *item = &weighing->items[weighing->done++];

		if (!target_ask_at(ask, item->pool, &item->uuid))
			break;
		weigh(weighing, item);
	}
	return 0;
}

size_t target_snapshots_weigh(struct target *target, struct volume snapshots[], size_t count)
{
	struct weighing *weighing = xcalloc(1, sizeof(*weighing));
	struct target_work work = { .run = weighing_run,
				    .argument = weighing,
				    .free_argument = weighing_free };
	struct err ignored;

	*weighing =
		(struct weighing) { .target = target, .count = count, .since_ns = clock_now_ns() };
	weighing->items = xcalloc(count, sizeof(*weighing->items));
	for (size_t i = 0; i < count; i++) {
		weighing->items[i].pool = target_pool_find(target, snapshots[i].pool);
		weighing->items[i].uuid = snapshots[i].uuid;
	}
	if (count) {
		work.pool = weighing->items[0].pool;
		work.uuid = &weighing->items[0].uuid;
		if (target_ask(target, &work, target->turn_wait_ms + POOL_USED_MS, &ignored) < 0)
			return count;
	}
	count = weighing->done;
	for (size_t i = 0; i < count; i++) {
		snapshots[i].snapshot.weighed = weighing->items[i].told;
		snapshots[i].snapshot.used_bytes = weighing->items[i].bytes;
	}
	weighing_free(weighing);
	return count;
}
