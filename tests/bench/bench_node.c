/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node against the kernel: stage, publish and unstage by gRPC to a process of its own,
 * each against the bare calls that this cannot do without, in turns; the same beside many
 * staged volumes; several at once; and the process's memory. The target is in this process.
 *
 *	bench_node DIRECTORY NVMEOT-CSI ROUNDS VOLUMES MEMORY-ROUNDS
 */
#include <inttypes.h>
#include <pthread.h>
#include <sys/wait.h>

#include "csi.pb-c.h"
#include "csi/node/publish.h"
#include "tests/bench/bare_node.h"

#define ROUNDS_MAX 1000
#define SIZE_BYTES (1ULL << 30)
#define AT_ONCE 8
#define IDLE_KIB 3072

static const char *dir;
static uint64_t rounds, volumes, memory_rounds;
static struct target *target;
static struct rpc_client *client; /* of the node */
static pid_t node;
static struct host library_host = HOST_INIT;
static struct node library = { .state = ROOT_INIT };

static void request_freep(ProtobufCMessage **request)
{
	if (*request)
		protobuf_c_message_free_unpacked(*request, NULL);
}

/* --- volumes ---------------------------------------------------------------------------------- */

static void make_volume(size_t number)
{
	const struct volume_export export = { .host_nqn = BARE_HOST, .access = VOLUME_SINGLE_NODE };
	cleanup_volume struct volume want = { .uuid = bench_uuid(number),
					      .size_bytes = SIZE_BYTES };
	cleanup_volume struct volume made = { 0 }, exported = { 0 };
	struct err err = ERR_INIT;

	want.name = xasprintf("pvc-%s", want.uuid.text);
	BENCH_MUST(target_create(target, &want, &made, &err));
	BENCH_MUST(target_export(target, want.uuid.text, &export, &exported, &err));
}

static void remove_volume(size_t number)
{
	struct uuid uuid = bench_uuid(number);
	struct err err = ERR_INIT;

	BENCH_MUST(target_unexport(target, uuid.text, BARE_HOST, &err));
	BENCH_MUST(target_delete(target, uuid.text, "", &err));
}

/* --- calls ------------------------------------------------------------------------------------ */

static char *path_of(const char *what, size_t number)
{
	char *path = xasprintf("%s/%s/%zu", dir, what, number);

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		BENCH_DIE("mkdir %s: %m", path);
	return path;
}

static struct rpc_pending *begin_stage(size_t number)
{
	cleanup_free char *staging = path_of("staging", number);
	struct uuid uuid = bench_uuid(number);

	return bench_begin(
		client, "Node/NodeStageVolume", &csi__v1__node_stage_volume_request__descriptor,
		xasprintf("{\"volume_id\":\"" BENCH_TARGET "/p/%s\",\"staging_target_path\":\"%s\","
			  "\"volume_capability\":{\"mount\":{\"fs_type\":\"ext4\"},"
			  "\"access_mode\":{\"mode\":\"SINGLE_NODE_WRITER\"}},"
			  "\"publish_context\":{\"nqn\":\"" VOLUME_NQN_PREFIX "%s\","
			  "\"nsUuid\":\"%s\",\"portals\":\"tcp://127.0.0.1:4420\","
			  "\"sizeBytes\":\"%" PRIu64 "\",\"blank\":\"true\"}}",
			  uuid.text, staging, uuid.text, uuid.text, (uint64_t)SIZE_BYTES));
}

static void end(struct rpc_pending *pending, const ProtobufCMessageDescriptor *descriptor)
{
	ProtobufCMessage *answer = NULL;
	struct err err = ERR_INIT;

	BENCH_MUST(rpc_pending_finish(pending, descriptor, &answer, &err));
	protobuf_c_message_free_unpacked(answer, NULL);
}

static void stage(size_t number)
{
	end(begin_stage(number), &csi__v1__node_stage_volume_response__descriptor);
}

static void unstage(size_t number)
{
	cleanup_free char *staging = path_of("staging", number);

	end(bench_begin(client, "Node/NodeUnstageVolume",
			&csi__v1__node_unstage_volume_request__descriptor,
			xasprintf("{\"volume_id\":\"" BENCH_TARGET "/p/%s\","
				  "\"staging_target_path\":\"%s\"}",
				  bench_uuid(number).text, staging)),
	    &csi__v1__node_unstage_volume_response__descriptor);
}

/* For a reader, as the floor does. */
static char *publish_request(size_t number)
{
	cleanup_free char *staging = path_of("staging", number);
	struct uuid uuid = bench_uuid(number);

	return xasprintf("{\"volume_id\":\"" BENCH_TARGET "/p/%s\","
			 "\"staging_target_path\":\"%s\",\"readonly\":true,"
			 "\"target_path\":\"%s/pods/%zu\","
			 "\"volume_capability\":{\"mount\":{\"fs_type\":\"ext4\"},"
			 "\"access_mode\":{\"mode\":\"SINGLE_NODE_WRITER\"}},"
			 "\"publish_context\":{\"nqn\":\"" VOLUME_NQN_PREFIX "%s\","
			 "\"nsUuid\":\"%s\",\"portals\":\"tcp://127.0.0.1:4420\","
			 "\"sizeBytes\":\"%" PRIu64 "\",\"blank\":\"true\"}}",
			 uuid.text, staging, dir, number, uuid.text, uuid.text,
			 (uint64_t)SIZE_BYTES);
}

static ProtobufCMessage *publish_message(size_t number)
{
	cleanup_free char *text = publish_request(number);
	ProtobufCMessage *request = NULL;
	struct err err = ERR_INIT;

	BENCH_MUST(rpc_json_to_message(&csi__v1__node_publish_volume_request__descriptor, text,
				       NULL, &request, &err));
	return request;
}

/* The time it takes, without what the benchmark makes of the request. */
static double publish(size_t number)
{
	CLEANUP(request_freep) ProtobufCMessage *request = publish_message(number);
	double start_ms = bench_now_ms();
	struct rpc_pending *pending;
	struct err err = ERR_INIT;

	BENCH_MUST(rpc_client_begin(client, "/csi.v1.Node/NodePublishVolume", request,
				    deadline_after_ms(BENCH_MS), &pending, &err));
	end(pending, &csi__v1__node_publish_volume_response__descriptor);
	return bench_now_ms() - start_ms;
}

static void unpublish(size_t number)
{
	end(bench_begin(client, "Node/NodeUnpublishVolume",
			&csi__v1__node_unpublish_volume_request__descriptor,
			xasprintf("{\"volume_id\":\"" BENCH_TARGET "/p/%s\","
				  "\"target_path\":\"%s/pods/%zu\"}",
				  bench_uuid(number).text, dir, number)),
	    &csi__v1__node_unpublish_volume_response__descriptor);
}

/* In this process, by a node that knows of what is staged by the state directory they share. */
static double publish_by_library(size_t number)
{
	CLEANUP(request_freep) ProtobufCMessage *request = publish_message(number);
	cleanup_free struct publish_spec *spec = xcalloc(1, sizeof(*spec));
	struct node_time time = { .work = deadline_after_ms(BENCH_MS),
				  .wait = { .deadline = deadline_after_ms(BENCH_MS) } };
	double start_ms = bench_now_ms();
	struct err err = ERR_INIT;

	BENCH_MUST(publish_spec_parse((Csi__V1__NodePublishVolumeRequest *)request, spec, &err));
	BENCH_MUST(publish_volume(&library, steal_ptr(&spec), &time, &err));
	return bench_now_ms() - start_ms;
}

/* False when this node does not tell. */
static bool stats(size_t number)
{
	ProtobufCMessage *answer = NULL;
	struct err err = ERR_INIT;
	struct rpc_pending *pending =
		bench_begin(client, "Node/NodeGetVolumeStats",
			    &csi__v1__node_get_volume_stats_request__descriptor,
			    xasprintf("{\"volume_id\":\"" BENCH_TARGET
				      "/p/%s\",\"volume_path\":\"%s/pods/%zu\","
				      "\"staging_target_path\":\"%s/staging/%zu\"}",
				      bench_uuid(number).text, dir, number, dir, number));

	if (rpc_pending_finish(pending, &csi__v1__node_get_volume_stats_response__descriptor,
			       &answer, &err) < 0) {
		if (err.code != ERR_UNIMPLEMENTED)
			BENCH_DIE("stats: %s", err.msg);
		return false;
	}
	protobuf_c_message_free_unpacked(answer, NULL);
	return true;
}

/* --- the node's process ----------------------------------------------------------------------- */

static bool is_ready(void)
{
	ProtobufCMessage *answer;
	struct err err = ERR_INIT;

	if (rpc_pending_finish(bench_begin(client, "Identity/Probe",
					   &csi__v1__probe_request__descriptor, xstrdup("{}")),
			       &csi__v1__probe_response__descriptor, &answer, &err) < 0)
		return false;
	protobuf_c_message_free_unpacked(answer, NULL);
	return true;
}

static void start_node(const char *program)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct deadline deadline = deadline_after_ms(BENCH_MS);
	cleanup_free char *endpoint = xasprintf("unix://%s/node.sock", dir);
	cleanup_free char *endpoint_flag = xasprintf("--endpoint=%s", endpoint);
	cleanup_free char *state = xasprintf("--state-dir=%s/state", dir);
	cleanup_free char *nqn_file = xasprintf("%s/hostnqn", dir);
	cleanup_free char *nqn_flag = xasprintf("--host-nqn-file=%s", nqn_file);
	int fd = BENCH_SYS(open(nqn_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	struct err err = ERR_INIT;

	BENCH_SYS(write(fd, BARE_HOST "\n", strlen(BARE_HOST "\n")));
	close(fd);
	node = bench_fork();
	if (node == 0) {
		execl(program, program, "--role=node", endpoint_flag, state, nqn_flag, NULL);
		_exit(127);
	}
	BENCH_MUST(rpc_client_new(endpoint, NULL, &client, &err));
	while (!is_ready()) {
		if (deadline_passed(deadline))
			BENCH_DIE("the node does not start");
		nanosleep(&pause, NULL);
	}
}

/* Of the same identity, paths and state. */
static void open_library(void)
{
	cleanup_free char *state = xasprintf("%s/state", dir);
	cleanup_free char *nqn_file = xasprintf("%s/hostnqn", dir);
	const struct host_paths paths = { .nqn_file = nqn_file, .state_dir = state };
	struct err err = ERR_INIT;

	BENCH_MUST(host_open(&library_host, &paths, &err));
	BENCH_MUST(node_open(&library, &library_host, state, &err));
}

static void stop_node(void)
{
	node_close(&library);
	host_close(&library_host);
	rpc_client_free(client);
	kill(node, SIGKILL);
	waitpid(node, NULL, 0);
}

/* --- one call at a time ----------------------------------------------------------------------- */

enum call { BLANK, EXISTING, PUBLISH, LIBRARY, UNSTAGE, STATS, NOTHING, CALLS };

struct times {
	double ms[CALLS][ROUNDS_MAX];
};

#define TIMED(to, statement)                                                                       \
	do {                                                                                       \
		double start_ = bench_now_ms();                                                    \
		statement;                                                                         \
		(to) = bench_now_ms() - start_;                                                    \
	} while (0)

static void bare_turn(struct times *times, size_t number, size_t i)
{
	cleanup_free char *mount = path_of("staging", number), *bind = path_of("pods", number);
	cleanup_free char *uuid = xstrdup(bench_uuid(number).text);
	struct bare_device device;

	make_volume(number);
	TIMED(times->ms[BLANK][i], bare_connect(uuid, &device); bare_mkfs(&device);
	      bare_mount(&device, mount));
	bare_umount(mount);
	bare_disconnect(&device);
	TIMED(times->ms[EXISTING][i], bare_connect(uuid, &device); bare_mount(&device, mount));
	TIMED(times->ms[PUBLISH][i], bare_bind(mount, bind));
	bare_umount(bind);
	TIMED(times->ms[UNSTAGE][i], bare_umount(mount); bare_disconnect(&device));
	remove_volume(number);
}

static void node_turn(struct times *times, size_t number, size_t i)
{
	make_volume(number);
	TIMED(times->ms[BLANK][i], stage(number));
	unstage(number);
	TIMED(times->ms[EXISTING][i], stage(number));
	times->ms[PUBLISH][i] = publish(number);
	unpublish(number);
	times->ms[LIBRARY][i] = publish_by_library(number);
	unpublish(number);
	TIMED(times->ms[UNSTAGE][i], unstage(number));
	TIMED(times->ms[NOTHING][i], is_ready());
	remove_volume(number);
}

static void measure_calls(void)
{
	static struct times bare, ours; /* large */
	static const struct {
		const char *name;
		double limit;
	} rows[] = { [BLANK] = { "stage of a blank 1 GiB ext4", 1.10 },
		     [EXISTING] = { "stage of an existing ext4", 1.15 },
		     [PUBLISH] = { "publish on the node, gRPC", 2 },
		     [UNSTAGE] = { "unstage", 1.15 } };

	/* The first of each has the kernel load things. */
	for (size_t i = 0; i <= rounds; i++) {
		bare_turn(&bare, 1, i ? i - 1 : 0);
		node_turn(&ours, 2, i ? i - 1 : 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].name)
			bench_row(rows[i].name, "ms", bench_median(ours.ms[i], rounds),
				  bench_median(bare.ms[i], rounds), rows[i].limit);
	bench_row("publish on the node, library", "ms", bench_median(ours.ms[LIBRARY], rounds),
		  bench_median(bare.ms[PUBLISH], rounds), 2);
	bench_row("publish on the node, to an empty call as well", "ms",
		  bench_median(ours.ms[PUBLISH], rounds),
		  bench_median(bare.ms[PUBLISH], rounds) + bench_median(ours.ms[NOTHING], rounds),
		  2);
}

/* --- beside others ---------------------------------------------------------------------------- */

/* Of a volume that has its file system. False when there are no stats. */
static bool measure_one(struct times *times, size_t number)
{
	bool has_stats = true;

	for (size_t i = 0; i < rounds; i++) {
		TIMED(times->ms[EXISTING][i], stage(number));
		times->ms[PUBLISH][i] = publish(number);
		TIMED(times->ms[STATS][i], has_stats = stats(number));
		unpublish(number);
		TIMED(times->ms[UNSTAGE][i], unstage(number));
	}
	return has_stats;
}

static void compare(const char *name, struct times *among, struct times *alone, enum call call)
{
	cleanup_free char *text =
		xasprintf("%s with %" PRIu64 " volumes staged", name, volumes - 1);

	bench_row(text, "ms", bench_median(among->ms[call], rounds),
		  bench_median(alone->ms[call], rounds), 1.2);
}

static void measure_many(void)
{
	static struct times alone, among, bare; /* large */
	cleanup_free char *to_bare = xasprintf(
		"unstage with %" PRIu64 " volumes staged, to the kernel's calls then", volumes - 1);
	bool has_stats;

	make_volume(1);
	stage(1);
	unstage(1);
	measure_one(&alone, 1);
	for (size_t i = 2; i <= volumes; i++) {
		make_volume(i);
		stage(i);
	}
	has_stats = measure_one(&among, 1);
	compare("stage", &among, &alone, EXISTING);
	compare("publish", &among, &alone, PUBLISH);
	compare("unstage", &among, &alone, UNSTAGE);
	if (has_stats)
		compare("stats", &among, &alone, STATS);
	for (size_t i = 0; i < rounds; i++)
		bare_turn(&bare, volumes + 1, i);
	bench_row(to_bare, "ms", bench_median(among.ms[UNSTAGE], rounds),
		  bench_median(bare.ms[UNSTAGE], rounds), 1.15);
	for (size_t i = 2; i <= volumes; i++) {
		unstage(i);
		remove_volume(i);
	}
	remove_volume(1);
}

/* --- at once ---------------------------------------------------------------------------------- */

struct bare_stage {
	pthread_t thread;
	size_t number;
	char *mount;
	struct bare_device device;
};

static void *bare_stage(void *context)
{
	struct bare_stage *stage = context;

	bare_connect(bench_uuid(stage->number).text, &stage->device);
	bare_mkfs(&stage->device);
	bare_mount(&stage->device, stage->mount);
	return NULL;
}

static double bare_at_once(void)
{
	struct bare_stage stages[AT_ONCE];
	double start = bench_now_ms(), took_ms;

	for (size_t i = 0; i < AT_ONCE; i++) {
		stages[i] =
			(struct bare_stage) { .number = 1 + i, .mount = path_of("staging", 1 + i) };
		pthread_create(&stages[i].thread, NULL, bare_stage, &stages[i]);
	}
	for (size_t i = 0; i < AT_ONCE; i++)
		pthread_join(stages[i].thread, NULL);
	took_ms = bench_now_ms() - start;
	for (size_t i = 0; i < AT_ONCE; i++) {
		bare_umount(stages[i].mount);
		bare_disconnect(&stages[i].device);
		free(stages[i].mount);
	}
	return took_ms;
}

static double stage_at_once(void)
{
	struct rpc_pending *pending[AT_ONCE];
	double start = bench_now_ms(), took_ms;

	for (size_t i = 0; i < AT_ONCE; i++)
		pending[i] = begin_stage(1 + i);
	for (size_t i = 0; i < AT_ONCE; i++)
		end(pending[i], &csi__v1__node_stage_volume_response__descriptor);
	took_ms = bench_now_ms() - start;
	for (size_t i = 0; i < AT_ONCE; i++)
		unstage(1 + i);
	return took_ms;
}

/* The volumes are new each time. */
static double on_new_volumes(double (*measure)(void))
{
	double took_ms;

	for (size_t i = 0; i < AT_ONCE; i++)
		make_volume(1 + i);
	took_ms = measure();
	for (size_t i = 0; i < AT_ONCE; i++)
		remove_volume(1 + i);
	return took_ms;
}

static void measure_at_once(void)
{
	double bare_ms[ROUNDS_MAX], ours_ms[ROUNDS_MAX];

	for (size_t i = 0; i < rounds; i++) {
		bare_ms[i] = on_new_volumes(bare_at_once);
		ours_ms[i] = on_new_volumes(stage_at_once);
	}
	bench_row("8 stages of blank volumes at once", "ms", bench_median(ours_ms, rounds),
		  bench_median(bare_ms, rounds), 1.5);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void measure_memory(double idle_kib)
{
	cleanup_free char *name = xasprintf("memory of the node after %" PRIu64
					    " rounds to %" PRIu64,
					    memory_rounds, memory_rounds / 2);
	double half_kib = idle_kib;

	bench_row("memory of the idle node", "KiB", idle_kib, IDLE_KIB, 1);
	make_volume(1);
	for (size_t i = 0; i < memory_rounds; i++) {
		if (i == memory_rounds / 2)
			half_kib = bench_rss_anon_kib(node);
		stage(1);
		unstage(1);
	}
	remove_volume(1);
	bench_row(name, "KiB", bench_rss_anon_kib(node), half_kib, 1.05);
}

int main(int argc, char **argv)
{
	static const char *const parts[] = { "pool", "staging", "pods" };
	cleanup_free char *pool = NULL;
	struct err err = ERR_INIT;
	double idle_kib;

	if (argc != 6)
		BENCH_DIE("usage: %s DIRECTORY NVMEOT-CSI ROUNDS VOLUMES MEMORY-ROUNDS", argv[0]);
	dir = argv[1];
	BENCH_MUST(parse_u64("ROUNDS", argv[3], 1, ROUNDS_MAX, &rounds, &err));
	BENCH_MUST(parse_u64("VOLUMES", argv[4], 2, 1000, &volumes, &err));
	BENCH_MUST(parse_u64("MEMORY-ROUNDS", argv[5], 2, 100000, &memory_rounds, &err));
	bench_init();
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		cleanup_free char *path = xasprintf("%s/%s", dir, parts[i]);

		BENCH_MUST(file_mkdirs(path, &err));
	}
	pool = xasprintf("%s/pool", dir);
	target = bench_target(pool, NULL);
	start_node(argv[2]);
	open_library();
	idle_kib = bench_rss_anon_kib(node);
	measure_calls();
	measure_at_once();
	measure_memory(idle_kib);
	measure_many();
	stop_node();
	target_free(target);
	return 0;
}
