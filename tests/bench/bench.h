/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benchmarks share: time, medians, the row of a result, an agent in this process, and
 * calls to processes of their own. Whatever fails ends the program with status 1 and a message.
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "csi/agent/service.h"
#include "csi/rpc/client.h"
#include "csi/rpc/json.h"
#include "csi/rpc/server.h"
#include "nvme/base/file.h"
#include "nvme/base/log.h"
#include "nvme/target/record.h"
#include "nvme/target/target.h"
#include "target.pb-c.h"

#define BENCH_TARGET "bench"
#define BENCH_MS 60000

#define BENCH_DIE(...)                                                                             \
	do {                                                                                       \
		fprintf(stderr, __VA_ARGS__);                                                      \
		fputc('\n', stderr);                                                               \
		exit(1);                                                                           \
	} while (0)

/* Of a call of ours; err says why. */
#define BENCH_MUST(call)                                                                           \
	do {                                                                                       \
		if ((call) < 0)                                                                    \
			BENCH_DIE("%s: %s", #call, err.msg);                                       \
	} while (0)

/* Of a system call. */
#define BENCH_SYS(call)                                                                            \
	({                                                                                         \
		__typeof__(call) result_ = (call);                                                 \
		if (result_ < 0)                                                                   \
			BENCH_DIE("%s: %m", #call);                                                \
		result_;                                                                           \
	})

static inline double bench_now_ms(void)
{
	return (double)clock_now_ns() / 1e6;
}

static inline int bench_compare(const void *a, const void *b)
{
	const double *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* Sorts the values. */
static inline double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), bench_compare);
	return values[count / 2];
}

/* A result, for tests/bench/run to lay out. */
static inline void bench_row(const char *name, const char *unit, double measured, double floor,
			     double limit)
{
	printf("bench\t%s\t%.3f %s\t%.3f %s\t%.2f\t%.2f\n", name, measured, unit, floor, unit,
	       measured / floor, limit);
	fflush(stdout);
}

static inline struct uuid bench_uuid(size_t number)
{
	struct uuid uuid;

	snprintf(uuid.text, sizeof(uuid.text), "00000000-0000-4000-8000-%012zx",
		 number & 0xffffffffffff);
	return uuid;
}

/* As nvmet's configfs looks when it is empty, as far as volumes without exports look at it. */
static inline void bench_fake_nvmet(const char *path)
{
	static const char *const parts[] = { "subsystems", "hosts", "ports" };
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		cleanup_free char *dir = xasprintf("%s/%s", path, parts[i]);

		BENCH_MUST(file_mkdirs(dir, &err));
	}
}

/* Opens and restores; nvmet_path NULL: the kernel's. */
static inline struct target *bench_target(const char *pool_path, const char *nvmet_path)
{
	cleanup_free char *pool = xasprintf("p=dir:%s", pool_path);
	const char *const pools[] = { pool };
	struct target *target = NULL;
	struct portal portal;
	struct err err = ERR_INIT;
	struct target_config config = { .id = BENCH_TARGET,
					.pools = pools,
					.pool_count = 1,
					.portals = &portal,
					.portal_count = 1,
					.nvmet_path = nvmet_path };

	BENCH_MUST(portal_parse("tcp://127.0.0.1:4420", &portal, &err));
	BENCH_MUST(target_new(&config, &target, &err));
	BENCH_MUST(target_restore(target, &err));
	return target;
}

/* The agent's server for a target. */
struct bench_agent {
	struct rpc_service service;
	struct rpc_server *server;
};

static inline void bench_serve(struct bench_agent *agent, struct target *target,
			       const char *endpoint)
{
	struct rpc_server_config config = { .endpoint = endpoint,
					    .services = &agent->service,
					    .service_count = 1 };
	struct err err = ERR_INIT;

	agent->service = agent_service(target);
	BENCH_MUST(rpc_server_new(&config, &agent->server, &err));
	BENCH_MUST(rpc_server_start(agent->server, &err));
}

/* As fork; the child is silent and ends with us. */
static inline pid_t bench_fork(void)
{
	pid_t pid;

	fflush(stdout);
	pid = BENCH_SYS(fork());
	if (pid == 0) {
		BENCH_SYS(prctl(PR_SET_PDEATHSIG, SIGKILL));
		if (!freopen("/dev/null", "we", stderr))
			_exit(127);
	}
	return pid;
}

/* Anonymous resident memory. */
static inline double bench_rss_anon_kib(pid_t pid)
{
	cleanup_free char *path = xasprintf("/proc/%d/status", pid);
	FILE *file = fopen(path, "re");
	char line[256];
	double kib = -1;

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "RssAnon: %lf", &kib);
	if (kib < 0)
		BENCH_DIE("%s says nothing of RssAnon", path);
	fclose(file);
	return kib;
}

/* Begins a call of CSI ("Node/NodeStageVolume"); takes the request, in JSON, over. */
static inline struct rpc_pending *bench_begin(struct rpc_client *client, const char *method,
					      const ProtobufCMessageDescriptor *descriptor,
					      char *json)
{
	cleanup_free char *path = xasprintf("/csi.v1.%s", method), *text = json;
	ProtobufCMessage *request = NULL;
	struct rpc_pending *pending = NULL;
	struct err err = ERR_INIT;

	BENCH_MUST(rpc_json_to_message(descriptor, text, NULL, &request, &err));
	BENCH_MUST(rpc_client_begin(client, path, request, deadline_after_ms(BENCH_MS), &pending,
				    &err));
	protobuf_c_message_free_unpacked(request, NULL);
	return pending;
}

static inline void bench_init(void)
{
	struct err err = ERR_INIT;

	signal(SIGPIPE, SIG_IGN);
	BENCH_MUST(log_init("text", "error", &err));
}

#endif
