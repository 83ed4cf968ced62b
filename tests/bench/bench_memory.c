/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anonymous memory of the agent and the controller over 10,000 rounds of creating and deleting a
 * volume, by CSI calls to the controller. Both are processes of their own; the agent's nvmet tree
 * is a plain directory.
 *
 *	bench_memory DIRECTORY NVMEOT-CSI
 */
#include <sys/wait.h>
#include <time.h>

#include "csi.pb-c.h"
#include "tests/bench/bench.h"

#define ROUNDS 10000
#define SAMPLE_ROUNDS 1000
#define WARM_ROUNDS 5000 /* by then every thread has run and every buffer is there */
#define AT_ONCE 10	 /* divides SAMPLE_ROUNDS */

struct process {
	const char *name;
	pid_t pid;
	double kib[ROUNDS / SAMPLE_ROUNDS];
};

static char *agent_endpoint, *csi_endpoint;
static struct rpc_client *client; /* of the controller */

/* --- the two processes ------------------------------------------------------------------------ */

static pid_t start_agent(const char *dir)
{
	cleanup_free char *pool = xasprintf("%s/pool", dir), *nvmet = xasprintf("%s/nvmet", dir);
	struct bench_agent agent;
	struct err err = ERR_INIT;
	pid_t pid;

	bench_fake_nvmet(nvmet);
	BENCH_MUST(file_mkdirs(pool, &err));
	pid = bench_fork();
	if (pid)
		return pid;
	/* As the program logs; what that costs belongs to it. */
	BENCH_MUST(log_init("text", "info", &err));
	bench_serve(&agent, bench_target(pool, nvmet), agent_endpoint);
	for (;;)
		pause();
}

static pid_t start_controller(const char *program)
{
	cleanup_free char *endpoint = xasprintf("--endpoint=%s", csi_endpoint);
	cleanup_free char *target = xasprintf("--target=" BENCH_TARGET "=%s", agent_endpoint);
	pid_t pid = bench_fork();

	if (pid == 0) {
		execl(program, program, "--role=controller", "--insecure", endpoint, target, NULL);
		_exit(127);
	}
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* --- calls ------------------------------------------------------------------------------------ */

static struct rpc_pending *begin_create(size_t number)
{
	return bench_begin(
		client, "Controller/CreateVolume", &csi__v1__create_volume_request__descriptor,
		xasprintf("{\"name\": \"bench-%zu\","
			  "\"capacity_range\": {\"required_bytes\": 1073741824},"
			  "\"volume_capabilities\": [{\"mount\": {\"fs_type\": \"ext4\"},"
			  "\"access_mode\": {\"mode\": \"SINGLE_NODE_WRITER\"}}]}",
			  number));
}

/* Frees the answer of the creation. */
static struct rpc_pending *begin_delete(ProtobufCMessage *created)
{
	struct rpc_pending *pending = bench_begin(
		client, "Controller/DeleteVolume", &csi__v1__delete_volume_request__descriptor,
		xasprintf("{\"volume_id\": \"%s\"}",
			  ((Csi__V1__CreateVolumeResponse *)created)->volume->volume_id));

	protobuf_c_message_free_unpacked(created, NULL);
	return pending;
}

static void create_and_delete(size_t first)
{
	struct rpc_pending *pending[AT_ONCE];
	ProtobufCMessage *answers[AT_ONCE];
	struct err err = ERR_INIT;

	for (size_t i = 0; i < AT_ONCE; i++)
		pending[i] = begin_create(first + i);
	for (size_t i = 0; i < AT_ONCE; i++)
		BENCH_MUST(rpc_pending_finish(pending[i],
					      &csi__v1__create_volume_response__descriptor,
					      &answers[i], &err));
	for (size_t i = 0; i < AT_ONCE; i++)
		pending[i] = begin_delete(answers[i]);
	for (size_t i = 0; i < AT_ONCE; i++) {
		BENCH_MUST(rpc_pending_finish(pending[i],
					      &csi__v1__delete_volume_response__descriptor,
					      &answers[i], &err));
		protobuf_c_message_free_unpacked(answers[i], NULL);
	}
}

/* Until it has begun to serve, there is no event to wait for. */
static void wait_for_controller(void)
{
	const struct timespec pause_time = { .tv_nsec = 20000000 };
	struct deadline deadline = deadline_after_ms(BENCH_MS);
	struct err err = ERR_INIT;
	ProtobufCMessage *answer;

	while (rpc_pending_finish(bench_begin(client, "Identity/Probe",
					      &csi__v1__probe_request__descriptor, xstrdup("{}")),
				  &csi__v1__probe_response__descriptor, &answer, &err) < 0) {
		if (deadline_passed(deadline))
			BENCH_DIE("the controller does not start: %s", err.msg);
		nanosleep(&pause_time, NULL);
	}
	protobuf_c_message_free_unpacked(answer, NULL);
}

/* --- measuring -------------------------------------------------------------------------------- */

static void run_rounds(struct process *processes, size_t count)
{
	for (size_t done = 0; done < ROUNDS; done += SAMPLE_ROUNDS) {
		for (size_t i = 0; i < SAMPLE_ROUNDS; i += AT_ONCE)
			create_and_delete(done + i);
		printf("# after %zu rounds:", done + SAMPLE_ROUNDS);
		for (size_t i = 0; i < count; i++) {
			double kib = bench_rss_anon_kib(processes[i].pid);

			processes[i].kib[done / SAMPLE_ROUNDS] = kib;
			printf(" %s %.0f KiB", processes[i].name, kib);
		}
		printf("\n");
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct process processes[] = { { .name = "agent" }, { .name = "controller" } };
	struct err err = ERR_INIT;

	if (argc != 3)
		BENCH_DIE("usage: %s DIRECTORY NVMEOT-CSI", argv[0]);
	bench_init();
	agent_endpoint = xasprintf("unix://%s/agent.sock", argv[1]);
	csi_endpoint = xasprintf("unix://%s/csi.sock", argv[1]);
	processes[0].pid = start_agent(argv[1]);
	processes[1].pid = start_controller(argv[2]);
	BENCH_MUST(rpc_client_new(csi_endpoint, NULL, &client, &err));
	wait_for_controller();
	run_rounds(processes, ARRAY_SIZE(processes));
	for (size_t i = 0; i < ARRAY_SIZE(processes); i++) {
		const double *kib = processes[i].kib;
		cleanup_free char *name = xasprintf("memory of the %s after %d rounds to %d",
						    processes[i].name, ROUNDS, WARM_ROUNDS);

		bench_row(name, "KiB", kib[ROUNDS / SAMPLE_ROUNDS - 1],
			  kib[WARM_ROUNDS / SAMPLE_ROUNDS - 1], 1.05);
		stop(processes[i].pid);
	}
	rpc_client_free(client);
	free(agent_endpoint);
	free(csi_endpoint);
	return 0;
}
