/* SPDX-License-Identifier: Apache-2.0 */
/* What snapshots hold by themselves, for callers that wait for a moment only. */
#include "nvme/target/target.h"

#include <stdlib.h>

#include "nvme/target/target_table.h"

#define ALL_MS 4000
#define ONE_MS 1500 /* with the wait for a turn less than target_ask waits for one */

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
};

static void weighing_free(void *arg)
{
	struct weighing *weighing = arg;

	free(weighing->items);
	free(weighing);
}

/* One that cannot be looked at has no figure: that it is there is known all the same. */
static void weigh(struct target *target, struct weighed *item)
{
	cleanup_turn struct target_turn turn = { 0 };
	struct err ignored;

	if (target_turn_take(target, item->pool, &turn, &ignored) < 0)
		return;
	item->told = pool_used(item->pool, &item->uuid, deadline_after_ms(ONE_MS), &item->bytes,
			       &ignored) > 0;
}

static int weighing_run(struct target_ask *ask, void *arg, struct err *err)
{
	struct deadline until = deadline_after_ms(ALL_MS);
	struct weighing *weighing = arg;

	(void)err;
	while (weighing->done < weighing->count && (!weighing->done || !deadline_passed(until))) {
		struct weighed *item = &weighing->items[weighing->done++];

		if (!target_ask_at(ask, item->pool, &item->uuid))
			break;
		weigh(weighing->target, item);
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

	*weighing = (struct weighing) { .target = target, .count = count };
	weighing->items = xcalloc(count, sizeof(*weighing->items));
	for (size_t i = 0; i < count; i++) {
		weighing->items[i].pool = target_pool_find(target, snapshots[i].pool);
		weighing->items[i].uuid = snapshots[i].uuid;
	}
	if (count) {
		work.pool = weighing->items[0].pool;
		work.uuid = &weighing->items[0].uuid;
		if (target_ask(target, &work, target->answer_wait_ms, &ignored) < 0)
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
