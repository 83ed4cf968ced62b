/* SPDX-License-Identifier: Apache-2.0 */
/* Probes and metrics: the phases of a process, and the answers over HTTP. */
#include "cmd/monitor.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "cmd/metrics.h"
#include "csi/http/server.h"

/*
 * A call that waits for so long, or is taken in for so long, is no matter of load, nor of what
 * hangs: who asked for that has given up by then, which frees the worker. The kubelet waits for
 * 2 min, longer than anybody else; the server waits for the client of a stream as long.
 */
#define STALLED_MS 150000

struct monitor {
	struct monitor_config config;
	struct http_server *http;
	struct rpc_stats *stats;
	time_t started;
	uint64_t stalled_ms;
	bool was_ready; /* of config.ready; the HTTP server's thread alone has it */

	pthread_mutex_t lock; /* of what follows */
	const char *doing;    /* NULL: it serves */
	struct rpc_server *server;
	bool open; /* context may be asked */
};

/* --- answers ---------------------------------------------------------------------------------- */

static void answer_live(void *context, struct http_answer *answer)
{
	struct monitor *monitor = context;
	struct err err = ERR_INIT;
	int rc = 0;

	pthread_mutex_lock(&monitor->lock);
	if (monitor->server)
		rc = rpc_server_check(monitor->server, monitor->stalled_ms, &err);
	pthread_mutex_unlock(&monitor->lock);
	if (rc == 0) {
		fputs("ok\n", answer->body);
		return;
	}
	answer->status = 503;
	fprintf(answer->body, "not alive: %s\n", err.msg);
}

static bool is_ready(struct monitor *monitor, char *why, size_t size)
{
	struct err err = ERR_INIT;
	const char *doing;

	pthread_mutex_lock(&monitor->lock);
	doing = monitor->doing;
	pthread_mutex_unlock(&monitor->lock);
	if (doing) {
		snprintf(why, size, "%s", doing);
		return false;
	}
	if (!monitor->was_ready && monitor->config.ready &&
	    monitor->config.ready(monitor->config.context, &err) < 0) {
		snprintf(why, size, "%s", err.msg);
		return false;
	}
	monitor->was_ready = true;
	return true;
}

static void answer_ready(void *context, struct http_answer *answer)
{
	char why[ERR_MESSAGE_SIZE];

	if (is_ready(context, why, sizeof(why))) {
		fputs("ok\n", answer->body);
		return;
	}
	answer->status = 503;
	fprintf(answer->body, "not ready: %s\n", why);
}

static void answer_metrics(void *context, struct http_answer *answer)
{
	struct monitor *monitor = context;
	FILE *out = answer->body;
	bool open, serving;

	pthread_mutex_lock(&monitor->lock);
	open = monitor->open;
	serving = !monitor->doing;
	pthread_mutex_unlock(&monitor->lock);
	answer->type = "text/plain; version=0.0.4; charset=utf-8";
	metrics_head(out, "nvmeot_build_info", "gauge", "Which build this is; always 1.");
	metrics_sample(out, "nvmeot_build_info", 1, "program", monitor->config.program, "role",
		       monitor->config.role, "version", NVMEOT_VERSION, NULL);
	metrics_value(out, "nvmeot_start_time_seconds", "gauge",
		      "When the process was started, since the epoch.", (double)monitor->started);
	metrics_value(out, "nvmeot_serving", "gauge", "Whether calls are served.", serving);
	metrics_rpc(out, monitor->stats);
	if (open)
		monitor->config.metrics(monitor->config.context, out);
}

static const struct http_route routes[] = {
	{ "/livez", answer_live },
	{ "/readyz", answer_ready },
	{ "/metrics", answer_metrics },
};

/* --- phases ----------------------------------------------------------------------------------- */

int monitor_new(const struct monitor_config *config, struct monitor **ret, struct err *err)
{
	struct monitor *monitor;

	if (!config->address)
		return 0;
	monitor = xcalloc(1, sizeof(*monitor));
	monitor->config = *config;
	monitor->stats = rpc_stats_new();
	monitor->started = time(NULL);
	monitor->stalled_ms = STALLED_MS;
	monitor->doing = "starting";
	pthread_mutex_init(&monitor->lock, NULL);
	if (http_server_new(config->address, routes, ARRAY_SIZE(routes), monitor, &monitor->http,
			    err) < 0) {
		monitor_free(monitor);
		return err_wrap(err, "--http");
	}
	*ret = monitor;
	return 0;
}

void monitor_free(struct monitor *monitor)
{
	if (monitor->http)
		http_server_free(monitor->http);
	rpc_stats_free(monitor->stats);
	pthread_mutex_destroy(&monitor->lock);
	free(monitor);
}

const char *monitor_address(const struct monitor *monitor)
{
	return monitor ? http_server_address(monitor->http) : NULL;
}

struct rpc_stats *monitor_stats(struct monitor *monitor)
{
	return monitor ? monitor->stats : NULL;
}

void monitor_doing(struct monitor *monitor, const char *doing)
{
	if (!monitor)
		return;
	pthread_mutex_lock(&monitor->lock);
	monitor->doing = doing;
	pthread_mutex_unlock(&monitor->lock);
}

void monitor_serving(struct monitor *monitor, struct rpc_server *server)
{
	if (!monitor)
		return;
	pthread_mutex_lock(&monitor->lock);
	monitor->doing = NULL;
	monitor->server = server;
	monitor->open = monitor->config.metrics;
	pthread_mutex_unlock(&monitor->lock);
}

void monitor_draining(struct monitor *monitor)
{
	monitor_doing(monitor, "shutting down");
}

void monitor_stopped(struct monitor *monitor)
{
	if (!monitor)
		return;
	pthread_mutex_lock(&monitor->lock);
	monitor->server = NULL;
	pthread_mutex_unlock(&monitor->lock);
}
