/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a server process. */
#include "cmd/serve.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "nvme/base/log.h"

/*
 * A pod has 30 s between SIGTERM and SIGKILL; keep some of it for the rest of the shutdown. The
 * chart gives a node more, for its guards (cmd/nvmeot-csi/first.c); tests/chart adds up.
 */
#define DRAIN_MAX_MS 25000

static sigset_t end_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return set;
}

void serve_prepare(void)
{
	sigset_t set = end_signals();

	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Of an arena for each thread most stays resident; nothing here allocates so much. */
	mallopt(M_ARENA_MAX, 1);
}

static struct {
	pthread_mutex_t lock;
	char why[ERR_MESSAGE_SIZE]; /* "": it did not fail */
} failure = { .lock = PTHREAD_MUTEX_INITIALIZER };

void serve_fail(const char *why)
{
	pthread_mutex_lock(&failure.lock);
	if (!failure.why[0])
		snprintf(failure.why, sizeof(failure.why), "%s", why);
	pthread_mutex_unlock(&failure.lock);
	kill(getpid(), SIGTERM);
}

static int end(struct err *err)
{
	int rc = 0;

	pthread_mutex_lock(&failure.lock);
	if (failure.why[0])
		rc = err_set(err, ERR_FAILED_PRECONDITION, "%s", failure.why);
	pthread_mutex_unlock(&failure.lock);
	return rc;
}

static int start(const struct rpc_server_config *config, struct monitor *monitor,
		 struct rpc_server **ret, struct err *err)
{
	struct rpc_server_config counted = *config;

	counted.stats = monitor_stats(monitor);
	monitor_doing(monitor, "about to listen");
	if (rpc_server_new(&counted, ret, err) < 0 || rpc_server_start(*ret, err) < 0)
		return -1;
	log_info("serving", KV("endpoint", config->endpoint), KV("version", NVMEOT_VERSION));
	monitor_serving(monitor, *ret);
	return 0;
}

int serve_until_signal(const struct rpc_server_config *config, const struct serve_work *work,
		       struct monitor *monitor, struct err *err)
{
	struct rpc_server *server cleanup_rpc_server = NULL;
	sigset_t set = end_signals();
	struct deadline deadline;
	int signal_number = 0;
	size_t left;
	int rc;

	if (start(config, monitor, &server, err) < 0)
		return -1;
	while (sigwait(&set, &signal_number) != 0)
		;
	log_info("draining", KV_NUM("signal", signal_number));
	monitor_draining(monitor);
	deadline = deadline_after_ms(DRAIN_MAX_MS);
	if (work && work->begin)
		work->begin(work->context);
	rc = rpc_server_drain(server, deadline, err);
	if (rc < 0)
		log_warning("calls still running; leaving them to the kernel", KV_ERR(err));
	left = work && work->drain ? work->drain(work->context, deadline) : 0;
	if (rc < 0 || left)
		_exit(end(err) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
	monitor_stopped(monitor);
	log_info("stopped");
	return end(err);
}
