/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of the target, from its table and what its pools said last. */
#include <stdlib.h>

#include "nvme/target/target_table.h"

#define AT_ONCE 512 /* volumes are counted before others get the table */

/* Those after a UUID, which goes on to the last one counted; false: that was the last of all. */
static bool count_some(struct target *target, struct uuid *after, struct target_tally *ret)
{
	size_t at, end;
	bool more;

	pthread_mutex_lock(&target->lock);
	if (index_find(&target->entries, after->text, &at))
		at++;
	end = at + AT_ONCE;
	for (; at < end && at < target->entries.count; at++) {
		const struct target_entry *entry = target_entry_at(target, at);

		if (entry->present && volume_is_snapshot(&entry->volume))
			ret->snapshots++;
		else
			ret->volumes += entry->present;
		ret->quarantined += entry->quarantined;
		if (entry->present)
			ret->exports += entry->volume.export_count;
		*after = entry->uuid;
	}
	more = at < target->entries.count;
	pthread_mutex_unlock(&target->lock);
	return more;
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
	struct uuid after = { 0 };

	*ret = (struct target_tally) { .pool_count = target->pool_count };
	while (count_some(target, &after, ret))
		;
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
