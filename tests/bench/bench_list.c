/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListVolumes over 10,000 volumes: what a volume costs in a page of 1,000, anywhere in the list,
 * against what it costs in a page of 100 at the start. nvmet's tree is a plain directory.
 *
 *	bench_list DIRECTORY
 */
#include <fcntl.h>

#include "tests/bench/bench.h"

#define VOLUMES 10000
#define ROUNDS 41

static const char *dir;

/* As a target leaves it; durability is no matter here. */
static void make_volume(const struct root *pool, size_t number)
{
	struct volume volume = { .uuid = bench_uuid(number),
				 .name = (char *)"pvc-00000000-0000-4000-8000-000000000000",
				 .size_bytes = 1ULL << 30,
				 .volatile_cache = true,
				 .state = VOLUME_READY };
	cleanup_free char *text = record_format(&volume);
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%s.json", volume.uuid.text);
	fd = BENCH_SYS(openat(pool->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	BENCH_SYS(write(fd, text, strlen(text)));
	close(fd);
	snprintf(name, sizeof(name), "%s.img", volume.uuid.text);
	fd = BENCH_SYS(openat(pool->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	BENCH_SYS(ftruncate(fd, (off_t)volume.size_bytes));
	close(fd);
}

static void make_volumes(const char *path)
{
	struct root pool = ROOT_INIT;
	struct err err = ERR_INIT;

	BENCH_MUST(file_mkdirs(path, &err));
	BENCH_MUST(root_open(&pool, path, &err));
	for (size_t i = 0; i < VOLUMES; i++)
		make_volume(&pool, i);
	root_close(&pool);
}

/* Milliseconds of one page. */
static double page(struct rpc_client *client, size_t after, int32_t size)
{
	Nvmeot__Target__V1__ListVolumesRequest request =
		NVMEOT__TARGET__V1__LIST_VOLUMES_REQUEST__INIT;
	struct uuid last = bench_uuid(after - 1);
	ProtobufCMessage *answer = NULL;
	struct err err = ERR_INIT;
	double start;

	request.target_id = (char *)BENCH_TARGET;
	if (after)
		request.start_after = last.text;
	request.max_entries = size;
	start = bench_now_ms();
	BENCH_MUST(rpc_client_call(client, "/nvmeot.target.v1.Target/ListVolumes", &request.base,
				   &nvmeot__target__v1__list_volumes_response__descriptor,
				   deadline_after_ms(BENCH_MS), &answer, &err));
	start = bench_now_ms() - start;
	if (((Nvmeot__Target__V1__ListVolumesResponse *)answer)->n_volumes != (size_t)size)
		BENCH_DIE("the page after %zu does not have %d volumes", after, size);
	protobuf_c_message_free_unpacked(answer, NULL);
	return start;
}

static const struct {
	const char *name;
	size_t after;
	int32_t size;
} pages[] = {
	{ "the floor", 0, 100 },
	{ "ListVolumes, a volume of 100 in the middle", VOLUMES / 2, 100 },
	{ "ListVolumes, a volume of 100 at the end", VOLUMES - 100, 100 },
	{ "ListVolumes, a volume of 1,000 at the start", 0, 1000 },
	{ "ListVolumes, a volume of 1,000 in the middle", VOLUMES / 2, 1000 },
	{ "ListVolumes, a volume of 1,000 at the end", VOLUMES - 1000, 1000 },
};

/* By turns, so that what else the machine does is in all of them. */
static void measure(struct rpc_client *client)
{
	double us[ARRAY_SIZE(pages)][ROUNDS], median_us[ARRAY_SIZE(pages)];

	page(client, 0, 1000);
	for (size_t round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
			us[i][round] =
				page(client, pages[i].after, pages[i].size) * 1000 / pages[i].size;
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		median_us[i] = bench_median(us[i], ROUNDS);
	for (size_t i = 1; i < ARRAY_SIZE(pages); i++)
		bench_row(pages[i].name, "us", median_us[i], median_us[0], 1.5);
}

int main(int argc, char **argv)
{
	cleanup_free char *pool = NULL, *nvmet = NULL, *endpoint = NULL;
	struct bench_agent agent;
	struct rpc_client *client;
	struct target *target;
	struct err err = ERR_INIT;

	if (argc != 2)
		BENCH_DIE("usage: %s DIRECTORY", argv[0]);
	dir = argv[1];
	bench_init();
	pool = xasprintf("%s/pool", dir);
	nvmet = xasprintf("%s/nvmet", dir);
	endpoint = xasprintf("unix://%s/agent.sock", dir);
	bench_fake_nvmet(nvmet);
	make_volumes(pool);
	target = bench_target(pool, nvmet);
	bench_serve(&agent, target, endpoint);
	BENCH_MUST(rpc_client_new(endpoint, NULL, &client, &err));
	measure(client);
	rpc_client_free(client);
	rpc_server_free(agent.server);
	target_free(target);
	return 0;
}
