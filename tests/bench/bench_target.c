/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target against the kernel's nvmet: creating a volume, publishing it, and starting with many
 * exports, each against the bare system calls that this cannot do without, in the same process and
 * in turns. Volumes are created and published ROUNDS times, started with EXPORTS START-ROUNDS times.
 *
 *	bench_target DIRECTORY ROUNDS START-ROUNDS EXPORTS
 */

#include <inttypes.h>

#include "tests/bench/bench.h"
#include "tests/bench/bare.h"

#define ROUNDS_MAX 1000
#define SIZE_BYTES (64ULL << 20)
#define HOST "nqn.2014-08.org.nvmexpress:uuid:aaaaaaaa-0000-4000-8000-000000000001"

static const char *dir;
static uint64_t rounds, start_rounds, exports;

static struct volume new_volume(const struct uuid *uuid)
{
	struct volume volume = { .uuid = *uuid, .size_bytes = SIZE_BYTES };

	volume.name = xasprintf("pvc-%s", uuid->text);
	return volume;
}

/* --- through the library ---------------------------------------------------------------------- */

static void create(struct target *target, const struct uuid *uuid)
{
	cleanup_volume struct volume want = new_volume(uuid), made = { 0 };
	struct err err = ERR_INIT;

	BENCH_MUST(target_create(target, &want, &made, &err));
}

static void delete_volume(struct target *target, const struct uuid *uuid)
{
	struct err err = ERR_INIT;

	BENCH_MUST(target_delete(target, uuid->text, "", &err));
}

static void publish(struct target *target, const struct uuid *uuid)
{
	const struct volume_export want = { .host_nqn = HOST, .access = VOLUME_SINGLE_NODE };
	cleanup_volume struct volume made = { 0 };
	struct err err = ERR_INIT;

	BENCH_MUST(target_export(target, uuid->text, &want, &made, &err));
}

static void unpublish(struct target *target, const struct uuid *uuid)
{
	struct err err = ERR_INIT;

	BENCH_MUST(target_unexport(target, uuid->text, HOST, &err));
}

/* --- through the agent ------------------------------------------------------------------------ */

static void call(struct rpc_client *client, const char *method, const ProtobufCMessage *request,
		 const ProtobufCMessageDescriptor *response)
{
	ProtobufCMessage *answer = NULL;
	struct err err = ERR_INIT;

	BENCH_MUST(rpc_client_call(client, method, request, response, deadline_after_ms(BENCH_MS),
				   &answer, &err));
	protobuf_c_message_free_unpacked(answer, NULL);
}

static void call_create(struct rpc_client *client, struct uuid *uuid)
{
	Nvmeot__Target__V1__CreateVolumeRequest request =
		NVMEOT__TARGET__V1__CREATE_VOLUME_REQUEST__INIT;
	cleanup_free char *name = xasprintf("pvc-%s", uuid->text);

	request.target_id = (char *)BENCH_TARGET;
	request.uuid = uuid->text;
	request.name = name;
	request.size_bytes = SIZE_BYTES;
	call(client, "/nvmeot.target.v1.Target/CreateVolume", &request.base,
	     &nvmeot__target__v1__create_volume_response__descriptor);
}

static void call_publish(struct rpc_client *client, struct uuid *uuid)
{
	Nvmeot__Target__V1__ExportRequest request = NVMEOT__TARGET__V1__EXPORT_REQUEST__INIT;

	request.target_id = (char *)BENCH_TARGET;
	request.uuid = uuid->text;
	request.host_nqn = (char *)HOST;
	request.mode = NVMEOT__TARGET__V1__ACCESS_MODE__ACCESS_MODE_SINGLE_NODE;
	call(client, "/nvmeot.target.v1.Target/Export", &request.base,
	     &nvmeot__target__v1__export_response__descriptor);
}

/* --- creating and publishing ------------------------------------------------------------------ */

enum kind { BARE, BARE_RECORD, LIBRARY, AGENT, KINDS };

/* What is measured by turns: each round is of another volume, back to nothing between rounds. */
struct turns {
	struct target *target;
	struct rpc_client *client;
	struct bare bare;
	double create_ms[KINDS][ROUNDS_MAX], publish_ms[KINDS][ROUNDS_MAX];
};

#define TIMED(to, statement)                                                                       \
	do {                                                                                       \
		double start_ = bench_now_ms();                                                    \
		statement;                                                                         \
		(to) = bench_now_ms() - start_;                                                    \
	} while (0)

static void bare_turn(struct turns *t, struct uuid *uuid, const char *record, size_t i)
{
	double record_ms;

	TIMED(t->create_ms[BARE][i], bare_create(&t->bare, uuid, SIZE_BYTES));
	TIMED(record_ms, bare_record(&t->bare, uuid, record));
	t->create_ms[BARE_RECORD][i] = t->create_ms[BARE][i] + record_ms;
	TIMED(t->publish_ms[BARE][i], bare_publish(&t->bare, uuid, HOST));
	TIMED(record_ms, bare_record(&t->bare, uuid, record));
	t->publish_ms[BARE_RECORD][i] = t->publish_ms[BARE][i] + record_ms;
	bare_unpublish(&t->bare, uuid, HOST);
	bare_delete(&t->bare, uuid);
}

static void library_turn(struct turns *t, struct uuid *uuid, size_t i)
{
	TIMED(t->create_ms[LIBRARY][i], create(t->target, uuid));
	TIMED(t->publish_ms[LIBRARY][i], publish(t->target, uuid));
	unpublish(t->target, uuid);
	delete_volume(t->target, uuid);
}

static void agent_turn(struct turns *t, struct uuid *uuid, size_t i)
{
	TIMED(t->create_ms[AGENT][i], call_create(t->client, uuid));
	TIMED(t->publish_ms[AGENT][i], call_publish(t->client, uuid));
	unpublish(t->target, uuid);
	delete_volume(t->target, uuid);
}

static void report_turns(struct turns *t)
{
	double create_ms[KINDS], publish_ms[KINDS];

	for (size_t i = 0; i < KINDS; i++) {
		create_ms[i] = bench_median(t->create_ms[i], rounds);
		publish_ms[i] = bench_median(t->publish_ms[i], rounds);
	}
	bench_row("CreateVolume, library", "ms", create_ms[LIBRARY], create_ms[BARE_RECORD], 2);
	bench_row("CreateVolume, gRPC", "ms", create_ms[AGENT], create_ms[BARE_RECORD], 2);
	bench_row("publish, library", "ms", publish_ms[LIBRARY], publish_ms[BARE], 1.5);
	bench_row("publish, gRPC", "ms", publish_ms[AGENT], publish_ms[BARE], 1.5);
	bench_row("publish, library, to configfs and a record", "ms", publish_ms[LIBRARY],
		  publish_ms[BARE_RECORD], 1.5);
	bench_row("publish, gRPC, to configfs and a record", "ms", publish_ms[AGENT],
		  publish_ms[BARE_RECORD], 1.5);
}

static void measure_turns(const char *pool)
{
	static struct turns turns; /* large */
	cleanup_free char *endpoint = xasprintf("unix://%s/agent.sock", dir);
	struct uuid anchor = bench_uuid(0);
	cleanup_volume struct volume sample = new_volume(&anchor);
	cleanup_free char *record = record_format(&sample);
	struct bench_agent agent;
	struct err err = ERR_INIT;

	turns.target = bench_target(pool, NULL);
	bench_serve(&agent, turns.target, endpoint);
	BENCH_MUST(rpc_client_new(endpoint, NULL, &turns.client, &err));
	/* One export stays all the time: the port listens, the host is known. */
	create(turns.target, &anchor);
	publish(turns.target, &anchor);
	bare_open(&turns.bare, pool);
	bare_find_port(&turns.bare);
	for (size_t i = 0; i < rounds; i++) {
		struct uuid bare = bench_uuid(1 + 3 * i), library = bench_uuid(2 + 3 * i),
			    served = bench_uuid(3 + 3 * i);

		bare_turn(&turns, &bare, record, i);
		library_turn(&turns, &library, i);
		agent_turn(&turns, &served, i);
	}
	report_turns(&turns);
	bare_close(&turns.bare);
	unpublish(turns.target, &anchor);
	delete_volume(turns.target, &anchor);
	rpc_client_free(turns.client);
	rpc_server_free(agent.server);
	target_free(turns.target);
}

/* --- starting --------------------------------------------------------------------------------- */

/* Volumes as a target leaves them; durability is no matter here. */
static void make_exported(struct bare *bare, const struct uuid *uuid)
{
	const struct volume_export export = { .host_nqn = HOST, .host_made = true };
	cleanup_volume struct volume volume = new_volume(uuid);
	cleanup_free char *text = NULL;

	volume.state = VOLUME_READY;
	volume_add_export(&volume, &export);
	text = record_format(&volume);
	bare_create(bare, uuid, SIZE_BYTES);
	bare_record(bare, uuid, text);
}

static double start_bare(struct bare *bare, struct uuid *uuids)
{
	double start = bench_now_ms();

	bare_open_port(bare);
	bare_host(HOST);
	for (size_t i = 0; i < exports; i++)
		bare_prepare(bare, &uuids[i], HOST);
	for (size_t i = 0; i < exports; i++)
		bare_link(bare, &uuids[i]);
	return bench_now_ms() - start;
}

static double start_agent(const char *pool)
{
	double start = bench_now_ms();
	struct target *target = bench_target(pool, NULL);

	start = bench_now_ms() - start;
	target_free(target);
	return start;
}

static void measure_start(const char *pool)
{
	cleanup_free struct uuid *uuids = xcalloc(exports, sizeof(*uuids));
	cleanup_free char *name = xasprintf("agent start with %" PRIu64 " exports", exports);
	double bare_ms[ROUNDS_MAX], agent_ms[ROUNDS_MAX];
	struct bare bare;

	bare_open(&bare, pool);
	for (size_t i = 0; i < exports; i++) {
		uuids[i] = bench_uuid(i);
		make_exported(&bare, &uuids[i]);
	}
	for (size_t i = 0; i < start_rounds; i++) {
		bare_ms[i] = start_bare(&bare, uuids);
		bare_unpublish_all(&bare, uuids, exports, HOST);
		agent_ms[i] = start_agent(pool);
		bare_unpublish_all(&bare, uuids, exports, HOST);
	}
	bench_row(name, "ms", bench_median(agent_ms, start_rounds),
		  bench_median(bare_ms, start_rounds), 1.5);
	for (size_t i = 0; i < exports; i++)
		bare_delete(&bare, &uuids[i]);
	bare_close(&bare);
}

static char *make_pool(const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	struct err err = ERR_INIT;

	BENCH_MUST(file_mkdirs(path, &err));
	return path;
}

int main(int argc, char **argv)
{
	cleanup_free char *turns = NULL, *start = NULL;
	struct err err = ERR_INIT;

	if (argc != 5)
		BENCH_DIE("usage: %s DIRECTORY ROUNDS START-ROUNDS EXPORTS", argv[0]);
	dir = argv[1];
	BENCH_MUST(parse_u64("ROUNDS", argv[2], 1, ROUNDS_MAX, &rounds, &err));
	BENCH_MUST(parse_u64("START-ROUNDS", argv[3], 1, ROUNDS_MAX, &start_rounds, &err));
	BENCH_MUST(parse_u64("EXPORTS", argv[4], 1, 100000, &exports, &err));
	bench_init();
	turns = make_pool("turns");
	start = make_pool("start");
	measure_turns(turns);
	measure_start(start);
	return 0;
}
