/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of the target, from its table and what its pools said last. */
#include <stdlib.h>

#include "nvme/target/target_table.h"

static void count(struct target *target, struct target_tally *ret)
{
	pthread_mutex_lock(&target->lock);
	for (size_t i = 0; i < target->entries.count; i++) {
		const struct target_entry *entry = target_entry_at(target, i);

		ret->volumes += entry->present;
		ret->quarantined += entry->quarantined;
		if (entry->present)
			ret->exports += entry->volume.export_count;
	}
	pthread_mutex_unlock(&target->lock);
}

static struct target_pool_tally pool_of(const struct pool *pool, const struct target_answer *answer)
{
	struct target_pool_tally tally = { .name = pool->name, .kind = pool->ops->kind };

	tally.heard = !answer->unheard;
	if (answer->failed)
		return tally;
	tally.answers = true;
	tally.capacity_bytes = answer->usage.capacity_bytes;
	tally.available_bytes = answer->usage.available_bytes;
	tally.allocated_bytes = answer->usage.allocated_bytes;
	tally.provisioned_bytes = answer->provisioned_bytes;
	tally.warns = answer->usage.warning[0] != '\0';
	return tally;
}

void target_tally(struct target *target, struct target_tally *ret)
{
	cleanup_free struct target_answer *answers = xcalloc(target->pool_count, sizeof(*answers));

	*ret = (struct target_tally) { .pool_count = target->pool_count };
	count(target, ret);
	target_usages_known(target, answers);
	ret->pools = xcalloc(target->pool_count, sizeof(*ret->pools));
	for (size_t i = 0; i < target->pool_count; i++)
		ret->pools[i] = pool_of(target->pools[i], &answers[i]);
}

void target_tally_fini(struct target_tally *tally)
{
	free(tally->pools);
	*tally = (struct target_tally) { 0 };
}
