/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of calls: a list of rows that only grows, each with atomic counters. */
#include "csi/rpc/stats.h"

#include <stdlib.h>

const uint64_t rpc_stats_bounds_ms[RPC_STATS_BUCKETS] = { 5, 50, 250, 1000, 5000, 15000, 60000 };

struct rpc_stats_row {
	struct rpc_stats_row *next;
	const char *service;
	const struct rpc_method *method; /* NULL: calls of no method */
	atomic_ullong ended[ERR_CODE_COUNT];
	atomic_ullong took[RPC_STATS_BUCKETS + 1];
	atomic_ullong took_ns;
	atomic_ullong running;
};

struct rpc_stats {
	pthread_mutex_t lock; /* of the list */
	struct rpc_stats_row *rows, **tail;
};

/* Under the lock. */
static void add_row(struct rpc_stats *stats, const char *service, const struct rpc_method *method)
{
	struct rpc_stats_row *row = xcalloc(1, sizeof(*row));

	row->service = service;
	row->method = method;
	*stats->tail = row;
	stats->tail = &row->next;
}

struct rpc_stats *rpc_stats_new(void)
{
	struct rpc_stats *stats = xcalloc(1, sizeof(*stats));

	pthread_mutex_init(&stats->lock, NULL);
	stats->tail = &stats->rows;
	add_row(stats, "", NULL);
	return stats;
}

void rpc_stats_free(struct rpc_stats *stats)
{
	while (stats->rows) {
		struct rpc_stats_row *row = stats->rows;

		stats->rows = row->next;
		free(row);
	}
	pthread_mutex_destroy(&stats->lock);
	free(stats);
}

void rpc_stats_add(struct rpc_stats *stats, const struct rpc_service *services, size_t count)
{
	if (!stats)
		return;
	pthread_mutex_lock(&stats->lock);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < services[i].count; j++)
			add_row(stats, services[i].name, &services[i].methods[j]);
	pthread_mutex_unlock(&stats->lock);
}

struct rpc_stats_row *rpc_stats_find(struct rpc_stats *stats, const struct rpc_method *method)
{
	struct rpc_stats_row *row;

	if (!stats)
		return NULL;
	pthread_mutex_lock(&stats->lock);
	row = stats->rows;
	while (row && row->method != method)
		row = row->next;
	pthread_mutex_unlock(&stats->lock);
	return row;
}

static void snapshot(const struct rpc_stats_row *row, struct rpc_stats_method *ret)
{
	*ret = (struct rpc_stats_method) {
		.service = row->service,
		.method = row->method ? row->method->name : "unknown",
		.took_s = (double)atomic_load(&row->took_ns) / 1e9,
		.running = atomic_load(&row->running),
	};
	for (size_t i = 0; i < ERR_CODE_COUNT; i++)
		ret->ended[i] = atomic_load(&row->ended[i]);
	for (size_t i = 0; i <= RPC_STATS_BUCKETS; i++)
		ret->took[i] = atomic_load(&row->took[i]);
}

static const struct rpc_stats_row *after(struct rpc_stats *stats, const struct rpc_stats_row *row)
{
	pthread_mutex_lock(&stats->lock);
	row = row->next;
	pthread_mutex_unlock(&stats->lock);
	return row;
}

/* Not under the lock: the thread that takes calls in wants it for each of them. */
void rpc_stats_each(struct rpc_stats *stats,
		    void (*visit)(const struct rpc_stats_method *method, void *context),
		    void *context)
{
	/* The first one is there from the beginning to the end. */
	for (const struct rpc_stats_row *row = stats->rows; row; row = after(stats, row)) {
		struct rpc_stats_method method;

		snapshot(row, &method);
		visit(&method, context);
	}
}

void rpc_stats_begin(struct rpc_stats_row *row)
{
	if (row)
		atomic_fetch_add(&row->running, 1);
}

void rpc_stats_end(struct rpc_stats_row *row, bool began, enum err_code code, uint64_t took_ns)
{
	size_t bucket = 0;

	if (!row)
		return;
	while (bucket < RPC_STATS_BUCKETS && took_ns > rpc_stats_bounds_ms[bucket] * NS_PER_MS)
		bucket++;
	atomic_fetch_add(&row->took[bucket], 1);
	atomic_fetch_add(&row->took_ns, took_ns);
	atomic_fetch_add(&row->ended[(unsigned)code < ERR_CODE_COUNT ? code : ERR_INTERNAL], 1);
	if (began)
		atomic_fetch_sub(&row->running, 1);
}
