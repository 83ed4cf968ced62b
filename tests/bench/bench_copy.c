/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots and clones of sparse volumes with some data, against FICLONE alone, and against FICLONE
 * and one durable record, in the same process and by turns. Two sizes with the same extents: holes
 * must cost nothing. FICLONE takes the longer the more extents there are, the rest does not.
 *
 *	bench_copy DIRECTORY ROUNDS PIECES MIB: so many extents of so many MiB
 */
#include <inttypes.h>

#include "tests/bench/bench.h"
#include "tests/bench/bare.h"

#define ROUNDS_MAX 1000
#define SMALL_BYTES (100ULL << 30)
#define LARGE_BYTES (1ULL << 40)

static uint64_t rounds, pieces, piece_bytes;
static struct bare bare;

static struct target *open_target(const char *pool_path, const char *nvmet_path)
{
	cleanup_free char *pool = xasprintf("p=dir:%s", pool_path);
	const char *const pools[] = { pool }, *const overcommit[] = { "p=100" };
	struct target *target = NULL;
	struct err err = ERR_INIT;
	struct portal portal;
	struct target_config config = { .id = BENCH_TARGET,
					.pools = pools,
					.pool_count = 1,
					.overcommit = overcommit,
					.overcommit_count = 1,
					.portals = &portal,
					.portal_count = 1,
					.nvmet_path = nvmet_path };

	BENCH_MUST(portal_parse("tcp://127.0.0.1:4420", &portal, &err));
	BENCH_MUST(target_new(&config, &target, &err));
	BENCH_MUST(target_restore(target, &err));
	return target;
}

/* --- volumes ---------------------------------------------------------------------------------- */

static void create(struct target *target, const struct uuid *uuid, uint64_t bytes)
{
	cleanup_volume struct volume want = { .uuid = *uuid, .size_bytes = bytes }, made = { 0 };
	struct err err = ERR_INIT;

	want.name = xasprintf("pvc-%s", uuid->text);
	BENCH_MUST(target_create(target, &want, &made, &err));
}

/* Writes the pieces, as far apart as the smaller size has room for. */
static void fill(const struct uuid *uuid)
{
	int fd = BENCH_SYS(openat(bare.dir, BARE_PATH("%s.img", uuid->text), O_WRONLY | O_CLOEXEC));
	cleanup_free char *piece = xcalloc(1, piece_bytes);

	memset(piece, 'x', piece_bytes);
	for (uint64_t i = 0; i < pieces; i++)
		BENCH_SYS(pwrite(fd, piece, piece_bytes, (off_t)(SMALL_BYTES / pieces * i)));
	close(fd);
}

/* The larger one gets the extents of the smaller one. */
static void share(const struct uuid *from, const struct uuid *to, uint64_t bytes)
{
	int in = BENCH_SYS(openat(bare.dir, BARE_PATH("%s.img", from->text), O_RDONLY | O_CLOEXEC));
	int out = BENCH_SYS(openat(bare.dir, BARE_PATH("%s.img", to->text), O_RDWR | O_CLOEXEC));

	BENCH_SYS(ioctl(out, FICLONE, in));
	BENCH_SYS(ftruncate(out, (off_t)bytes));
	BENCH_SYS(fsync(out));
	close(in);
	close(out);
}

/* --- what is measured ------------------------------------------------------------------------- */

static void bare_clone(const struct uuid *from, const struct uuid *to)
{
	int in = BENCH_SYS(openat(bare.dir, BARE_PATH("%s.img", from->text), O_RDONLY | O_CLOEXEC));
	int out = BENCH_SYS(openat(bare.dir, BARE_PATH("%s.img", to->text),
				   O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));

	BENCH_SYS(ioctl(out, FICLONE, in));
	close(in);
	close(out);
}

static void snapshot(struct target *target, const struct uuid *from, const struct uuid *to)
{
	const struct target_snapshot_item item = { *to, to->text, *from };
	const struct target_snapshot_request request = { .items = &item, .count = 1 };
	cleanup_volume_list struct volume_list made = { 0 };
	struct err err = ERR_INIT;

	BENCH_MUST(target_snapshot_take(target, &request, &made, &err));
}

static void call_snapshot(struct rpc_client *client, const struct uuid *from, struct uuid *to)
{
	Nvmeot__Target__V1__SnapshotRequest item = NVMEOT__TARGET__V1__SNAPSHOT_REQUEST__INIT;
	Nvmeot__Target__V1__SnapshotRequest *items[] = { &item };
	Nvmeot__Target__V1__CreateSnapshotsRequest request =
		NVMEOT__TARGET__V1__CREATE_SNAPSHOTS_REQUEST__INIT;
	ProtobufCMessage *answer = NULL;
	struct err err = ERR_INIT;

	item.uuid = item.name = to->text;
	item.volume_uuid = (char *)from->text;
	request.target_id = (char *)BENCH_TARGET;
	request.snapshots = items;
	request.n_snapshots = 1;
	BENCH_MUST(rpc_client_call(client, "/nvmeot.target.v1.Target/CreateSnapshots",
				   &request.base,
				   &nvmeot__target__v1__create_snapshots_response__descriptor,
				   deadline_after_ms(BENCH_MS), &answer, &err));
	protobuf_c_message_free_unpacked(answer, NULL);
}

static void clone_volume(struct target *target, const struct uuid *from, const struct uuid *to,
			 uint64_t bytes)
{
	cleanup_volume struct volume want = { .uuid = *to, .size_bytes = bytes, .source = *from };
	cleanup_volume struct volume made = { 0 };
	struct err err = ERR_INIT;

	want.name = xstrdup(to->text);
	BENCH_MUST(target_create(target, &want, &made, &err));
}

/* --- rounds ----------------------------------------------------------------------------------- */

enum kind { BARE, RECORD, SNAPSHOT, CALL, CLONE, KINDS };

#define TIMED(to, statement)                                                                       \
	do {                                                                                       \
		double start_ = bench_now_ms();                                                    \
		statement;                                                                         \
		(to) = bench_now_ms() - start_;                                                    \
	} while (0)

struct turns {
	struct target *target;
	struct rpc_client *client;
	const char *record;
	double ms[KINDS][ROUNDS_MAX];
};

static void turn(struct turns *t, const struct uuid *from, uint64_t bytes, size_t i)
{
	struct uuid to = bench_uuid(1000 + i);
	struct err err = ERR_INIT;
	double record_ms;

	TIMED(t->ms[BARE][i], bare_clone(from, &to));
	TIMED(record_ms, bare_record(&bare, &to, t->record));
	t->ms[RECORD][i] = t->ms[BARE][i] + record_ms;
	bare_delete(&bare, &to);
	TIMED(t->ms[SNAPSHOT][i], snapshot(t->target, from, &to));
	BENCH_MUST(target_snapshot_delete(t->target, to.text, "", "", &err));
	TIMED(t->ms[CALL][i], call_snapshot(t->client, from, &to));
	BENCH_MUST(target_snapshot_delete(t->target, to.text, "", "", &err));
	TIMED(t->ms[CLONE][i], clone_volume(t->target, from, &to, bytes));
	BENCH_MUST(target_delete(t->target, to.text, "", &err));
}

static void row(const char *what, const char *size, const char *floor, double measured,
		double floor_ms, double limit)
{
	cleanup_free char *name =
		xasprintf("%s of %s, %" PRIu64 " extents%s", what, size, pieces, floor);

	bench_row(name, "ms", measured, floor_ms, limit);
}

/* Returns what a snapshot took. */
static double measure(struct turns *t, const struct uuid *from, uint64_t bytes, const char *size)
{
	static const char to_record[] = ", to FICLONE and a record";
	double ms[KINDS];

	for (size_t i = 0; i < rounds; i++)
		turn(t, from, bytes, i);
	for (size_t i = 0; i < KINDS; i++)
		ms[i] = bench_median(t->ms[i], rounds);
	row("snapshot, library,", size, "", ms[SNAPSHOT], ms[BARE], 2);
	row("snapshot, gRPC,", size, "", ms[CALL], ms[BARE], 2);
	row("clone, library,", size, "", ms[CLONE], ms[BARE], 2);
	row("snapshot, library,", size, to_record, ms[SNAPSHOT], ms[RECORD], 1.5);
	row("snapshot, gRPC,", size, to_record, ms[CALL], ms[RECORD], 1.5);
	row("clone, library,", size, to_record, ms[CLONE], ms[RECORD], 1.5);
	return ms[SNAPSHOT];
}

static char *make_dir(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	struct err err = ERR_INIT;

	BENCH_MUST(file_mkdirs(path, &err));
	return path;
}

static char *record_of(const struct uuid *uuid)
{
	cleanup_volume struct volume sample = { .uuid = *uuid, .size_bytes = SMALL_BYTES };

	sample.name = xstrdup(uuid->text);
	sample.source = *uuid;
	sample.snapshot.created_ns = clock_now_ns();
	return record_format(&sample);
}

int main(int argc, char **argv)
{
	cleanup_free char *pool = NULL, *nvmet = NULL, *endpoint = NULL, *record = NULL;
	struct uuid small = bench_uuid(1), large = bench_uuid(2);
	static struct turns turns; /* large */
	struct bench_agent agent;
	struct err err = ERR_INIT;
	double small_ms, large_ms;

	if (argc != 5)
		BENCH_DIE("usage: %s DIRECTORY ROUNDS PIECES MIB", argv[0]);
	BENCH_MUST(parse_u64("ROUNDS", argv[2], 1, ROUNDS_MAX, &rounds, &err));
	BENCH_MUST(parse_u64("PIECES", argv[3], 1, 4096, &pieces, &err));
	BENCH_MUST(parse_u64("MIB", argv[4], 1, 1024, &piece_bytes, &err));
	piece_bytes <<= 20;
	bench_init();
	pool = make_dir(argv[1], "copies");
	nvmet = make_dir(argv[1], "nvmet");
	bench_fake_nvmet(nvmet);
	endpoint = xasprintf("unix://%s/agent.sock", argv[1]);
	turns.target = open_target(pool, nvmet);
	turns.record = record = record_of(&small);
	bench_serve(&agent, turns.target, endpoint);
	BENCH_MUST(rpc_client_new(endpoint, NULL, &turns.client, &err));
	bare_open(&bare, pool);
	create(turns.target, &small, SMALL_BYTES);
	create(turns.target, &large, LARGE_BYTES);
	fill(&small);
	share(&small, &large, LARGE_BYTES);
	small_ms = measure(&turns, &small, SMALL_BYTES, "100 GiB");
	large_ms = measure(&turns, &large, LARGE_BYTES, "1 TiB");
	bench_row("snapshot of 1 TiB to one of 100 GiB, equal extents", "ms", large_ms, small_ms,
		  1.1);
	rpc_client_free(turns.client);
	rpc_server_free(agent.server);
	target_free(turns.target);
	return 0;
}
