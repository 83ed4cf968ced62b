/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changed between two snapshots of a volume of 1 TiB: the comparison alone, and the whole
 * stream by CSI through a controller and an agent in processes of their own, against walking
 * the file system's maps of both files; and the memory of the two processes. nvmet's tree is a
 * plain directory.
 *
 *	bench_delta DIRECTORY NVMEOT-CSI RUNS RUN-BYTES ROUNDS
 *
 * DIRECTORY is on an xfs or btrfs. RUNS pieces of RUN-BYTES, evenly spread, are different in
 * the newer one.
 */
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "csi.pb-c.h"
#include "nvme/target/extents.h"
#include "tests/bench/bench.h"

#define SIZE_BYTES (UINT64_C(1) << 40)
#define WALK_EXTENTS 512
#define LIST_EXTENTS 4096
#define WARM_ROUNDS 100 /* by then every buffer is there */
#define ID "bench/p/@"

static char *agent_endpoint, *csi_endpoint, *pool;
static struct uuid older, newer;
static size_t runs, run_bytes;

/* --- two snapshots ---------------------------------------------------------------------------- */

static char *image_of(const struct uuid *uuid)
{
	return xasprintf("%s/%s.img", pool, uuid->text);
}

/* As a target leaves it; durability is no matter here. */
static int make_snapshot(const struct root *dir, const struct uuid *uuid)
{
	struct volume volume = { .uuid = *uuid,
				 .name = (char *)"snapshot-00000000-0000-4000-8000-000000000000",
				 .size_bytes = SIZE_BYTES,
				 .source = bench_uuid(0),
				 .snapshot.created_ns = NS_PER_S,
				 .state = VOLUME_READY };
	cleanup_free char *text = record_format(&volume), *image = image_of(uuid);
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%s.json", uuid->text);
	fd = BENCH_SYS(openat(dir->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	BENCH_SYS(write(fd, text, strlen(text)));
	close(fd);
	fd = BENCH_SYS(open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	BENCH_SYS(ftruncate(fd, (off_t)SIZE_BYTES));
	return fd;
}

static void write_runs(int fd, char byte)
{
	cleanup_free char *bytes = xcalloc(1, run_bytes);

	memset(bytes, byte, run_bytes);
	for (size_t i = 0; i < runs; i++)
		BENCH_SYS(
			pwrite(fd, bytes, run_bytes, (off_t)(SIZE_BYTES / runs * i / 4096 * 4096)));
	BENCH_SYS(fsync(fd));
}

static void make_snapshots(void)
{
	struct root dir = ROOT_INIT;
	struct err err = ERR_INIT;
	int a, b;

	BENCH_MUST(file_mkdirs(pool, &err));
	BENCH_MUST(root_open(&dir, pool, &err));
	a = make_snapshot(&dir, &older);
	b = make_snapshot(&dir, &newer);
	write_runs(a, 'a');
	BENCH_SYS(ioctl(b, FICLONE, a));
	write_runs(b, 'b');
	close(a);
	close(b);
	root_close(&dir);
}

/* --- the two processes ------------------------------------------------------------------------ */

static pid_t start_agent(const char *dir)
{
	cleanup_free char *nvmet = xasprintf("%s/nvmet", dir);
	struct bench_agent agent;
	pid_t pid;

	bench_fake_nvmet(nvmet);
	pid = bench_fork();
	if (pid)
		return pid;
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

/* Until the controller and the agent behind it are there. */
static void await(struct rpc_client *client)
{
	Csi__V1__ProbeRequest request = CSI__V1__PROBE_REQUEST__INIT;
	struct deadline deadline = deadline_after_ms(BENCH_MS);
	ProtobufCMessage *answer = NULL;
	struct err err = ERR_INIT;

	while (rpc_client_call(client, "/csi.v1.Identity/Probe", &request.base,
			       &csi__v1__probe_response__descriptor, deadline, &answer, &err) < 0) {
		if (deadline_passed(deadline))
			BENCH_DIE("no controller: %s", err.msg);
		usleep(50000);
	}
	protobuf_c_message_free_unpacked(answer, NULL);
}

/* --- what is measured ------------------------------------------------------------------------- */

/* Milliseconds of one walk over what the file system keeps of a file. */
static double walk(int fd)
{
	size_t size = sizeof(struct fiemap) + WALK_EXTENTS * sizeof(struct fiemap_extent);
	cleanup_free struct fiemap *map = xcalloc(1, size);
	const struct fiemap_extent *last = NULL;
	double start = bench_now_ms();

	do {
		uint64_t from = last ? last->fe_logical + last->fe_length : 0;

		*map = (struct fiemap) { .fm_start = from,
					 .fm_length = SIZE_BYTES - from,
					 .fm_extent_count = WALK_EXTENTS };
		BENCH_SYS(ioctl(fd, FS_IOC_FIEMAP, map));
		if (!map->fm_mapped_extents)
			break;
		last = &map->fm_extents[map->fm_mapped_extents - 1];
	} while (!(last->fe_flags & FIEMAP_EXTENT_LAST));
	return bench_now_ms() - start;
}

static void check_told(size_t told_bytes)
{
	if (told_bytes != runs * run_bytes)
		BENCH_DIE("%zu bytes are told, %zu differ", told_bytes, runs * run_bytes);
}

static double compare(int fd, int base_fd)
{
	const struct extents_file file = { fd, "newer" }, base = { base_fd, "older" };
	cleanup_free struct extent *items = xcalloc(LIST_EXTENTS, sizeof(*items));
	struct extents list = { .items = items, .max = LIST_EXTENTS };
	struct err err = ERR_INIT;
	double start = bench_now_ms();
	size_t told = 0;

	do {
		BENCH_MUST(extents_read(&file, &base, list.next_bytes, &list, &err));
		for (size_t i = 0; i < list.count; i++)
			told += items[i].length_bytes;
	} while (list.next_bytes < list.size_bytes);
	start = bench_now_ms() - start;
	check_told(told);
	return start;
}

static double stream(struct rpc_client *client, uint64_t start_bytes, size_t *ret_told)
{
	cleanup_free char *id = xasprintf(ID "%s", newer.text);
	cleanup_free char *base_id = xasprintf(ID "%s", older.text);
	Csi__V1__GetMetadataDeltaRequest request = CSI__V1__GET_METADATA_DELTA_REQUEST__INIT;
	struct rpc_pending *pending = NULL;
	ProtobufCMessage *answer;
	struct err err = ERR_INIT;
	double start = bench_now_ms();
	size_t told = 0;
	int rc;

	request.target_snapshot_id = id;
	request.base_snapshot_id = base_id;
	request.starting_offset = (int64_t)start_bytes;
	BENCH_MUST(rpc_client_open(client, "/csi.v1.SnapshotMetadata/GetMetadataDelta",
				   &request.base, deadline_after_ms(BENCH_MS), &pending, &err));
	while ((rc = rpc_pending_next(pending, &csi__v1__get_metadata_delta_response__descriptor,
				      &answer, &err)) > 0) {
		const Csi__V1__GetMetadataDeltaResponse *delta = (const void *)answer;

		for (size_t i = 0; i < delta->n_block_metadata; i++)
			told += (size_t)delta->block_metadata[i]->size_bytes;
		protobuf_c_message_free_unpacked(answer, NULL);
	}
	BENCH_MUST(rc);
	rpc_pending_cancel(pending);
	*ret_told = told;
	return bench_now_ms() - start;
}

static double stream_all(struct rpc_client *client)
{
	size_t told;
	double ms = stream(client, 0, &told);

	check_told(told);
	return ms;
}

static void measure_times(struct rpc_client *client, size_t rounds)
{
	cleanup_free double *floors = xcalloc(rounds, sizeof(double));
	cleanup_free double *compares = xcalloc(rounds, sizeof(double));
	cleanup_free double *streams = xcalloc(rounds, sizeof(double));
	cleanup_free char *image = image_of(&newer), *base = image_of(&older);
	int fd = BENCH_SYS(open(image, O_RDONLY | O_CLOEXEC));
	int base_fd = BENCH_SYS(open(base, O_RDONLY | O_CLOEXEC));
	double floor;

	walk(fd);
	walk(base_fd);
	stream_all(client);
	for (size_t i = 0; i < rounds; i++) {
		floors[i] = walk(fd) + walk(base_fd);
		compares[i] = compare(fd, base_fd);
		streams[i] = stream_all(client);
	}
	floor = bench_median(floors, rounds);
	bench_row("delta in 1 TiB, library", "ms", bench_median(compares, rounds), floor, 3);
	bench_row("delta in 1 TiB, by CSI", "ms", bench_median(streams, rounds), floor, 3);
	close(fd);
	close(base_fd);
}

/* However much there is to tell: after deltas of the whole, against after those of the last GiB. */
static void measure_memory(struct rpc_client *client, size_t rounds, pid_t agent, pid_t controller)
{
	double agent_kib, controller_kib;
	size_t told;

	for (size_t i = 0; i < WARM_ROUNDS; i++)
		stream(client, SIZE_BYTES - (1 << 30), &told);
	agent_kib = bench_rss_anon_kib(agent);
	controller_kib = bench_rss_anon_kib(controller);
	for (size_t i = 0; i < rounds; i++)
		stream_all(client);
	bench_row("memory of the agent, 1 TiB to 1 GiB", "KiB", bench_rss_anon_kib(agent),
		  agent_kib, 1.25);
	bench_row("memory of the controller, 1 TiB to 1 GiB", "KiB", bench_rss_anon_kib(controller),
		  controller_kib, 1.25);
}

int main(int argc, char **argv)
{
	struct rpc_client *client = NULL;
	struct err err = ERR_INIT;
	pid_t agent, controller;
	size_t rounds;

	if (argc != 6)
		BENCH_DIE("usage: bench_delta DIRECTORY NVMEOT-CSI RUNS RUN-BYTES ROUNDS");
	bench_init();
	runs = strtoul(argv[3], NULL, 10);
	run_bytes = strtoul(argv[4], NULL, 10);
	rounds = strtoul(argv[5], NULL, 10);
	pool = xasprintf("%s/pool", argv[1]);
	agent_endpoint = xasprintf("unix://%s/agent.sock", argv[1]);
	csi_endpoint = xasprintf("unix://%s/csi.sock", argv[1]);
	older = bench_uuid(1);
	newer = bench_uuid(2);
	make_snapshots();
	agent = start_agent(argv[1]);
	controller = start_controller(argv[2]);
	BENCH_MUST(rpc_client_new(csi_endpoint, NULL, &client, &err));
	await(client);
	measure_memory(client, rounds, agent, controller);
	measure_times(client, rounds);
	rpc_client_free(client);
	kill(controller, SIGKILL);
	kill(agent, SIGKILL);
	return 0;
}
