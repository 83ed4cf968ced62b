/* SPDX-License-Identifier: Apache-2.0 */
/* The target's figures as metrics. */
#include "cmd/nvmeot-target/figures.h"

#include "cmd/metrics.h"

/* One row for each figure of a pool, since the samples of a metric stand together. */
static const struct {
	const char *name;
	const char *help;
	size_t offset;
} pool_figures[] = {
	{ "nvmeot_target_pool_capacity_bytes", "The size of a pool.",
	  offsetof(struct target_pool_tally, capacity_bytes) },
	{ "nvmeot_target_pool_available_bytes", "What new volumes may still be promised.",
	  offsetof(struct target_pool_tally, available_bytes) },
	{ "nvmeot_target_pool_provisioned_bytes", "The sizes of all volumes of a pool.",
	  offsetof(struct target_pool_tally, provisioned_bytes) },
	{ "nvmeot_target_pool_allocated_bytes", "What volumes have written, about.",
	  offsetof(struct target_pool_tally, allocated_bytes) },
};

static void put_states(const struct target_tally *tally, FILE *out)
{
	metrics_head(out, "nvmeot_target_pool_up", "gauge",
		     "Whether the pool's storage answers, by its last answer.");
	for (size_t i = 0; i < tally->pool_count; i++)
		if (tally->pools[i].heard)
			metrics_sample(out, "nvmeot_target_pool_up", tally->pools[i].answers,
				       "pool", tally->pools[i].name, "kind", tally->pools[i].kind,
				       NULL);
	metrics_head(out, "nvmeot_target_pool_warning", "gauge",
		     "Whether an operator should see to the pool; nvmeotctl targets says why.");
	for (size_t i = 0; i < tally->pool_count; i++)
		if (tally->pools[i].answers)
			metrics_sample(out, "nvmeot_target_pool_warning", tally->pools[i].warns,
				       "pool", tally->pools[i].name, NULL);
}

static void put_figure(const struct target_tally *tally, size_t figure, FILE *out)
{
	metrics_head(out, pool_figures[figure].name, "gauge", pool_figures[figure].help);
	for (size_t i = 0; i < tally->pool_count; i++) {
		const struct target_pool_tally *pool = &tally->pools[i];
		const uint64_t *value =
			(const void *)((const char *)pool + pool_figures[figure].offset);

		if (pool->answers)
			metrics_sample(out, pool_figures[figure].name, (double)*value, "pool",
				       pool->name, NULL);
	}
}

void figures_put_target(struct target *target, FILE *out)
{
	struct target_tally tally cleanup_target_tally = { 0 };

	target_tally(target, &tally);
	metrics_value(out, "nvmeot_target_volumes", "gauge", "Volumes.", (double)tally.volumes);
	metrics_value(out, "nvmeot_target_snapshots", "gauge", "Snapshots.",
		      (double)tally.snapshots);
	metrics_value(out, "nvmeot_target_volumes_quarantined", "gauge",
		      "Volumes whose records cannot be read; nvmeotctl orphans names them.",
		      (double)tally.quarantined);
	metrics_value(out, "nvmeot_target_exports", "gauge",
		      "Exports, each of one volume to one host.", (double)tally.exports);
	put_states(&tally, out);
	for (size_t i = 0; i < ARRAY_SIZE(pool_figures); i++)
		put_figure(&tally, i, out);
}
