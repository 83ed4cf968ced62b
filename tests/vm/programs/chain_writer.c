/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a volume is to hold after each of many rounds. `write DEVICE ROUND SEED` does what a round
 * does to it: some of its blocks get the number of the round. Round 0 writes a part of it from the
 * beginning. `check DEVICE ROUND SEED` compares all of it with what the rounds up to that one
 * leave. Which blocks a round writes depends on its number and SEED alone, and they are always of
 * the same few, so that a round does not scatter the volume more than those before it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"

#define BLOCK ((size_t)4096)
#define BEGIN_BLOCKS 1024 /* of round 0 */
#define PLACES 64
#define PLACES_A_ROUND 8
#define NEVER UINT32_MAX
#define MAGIC UINT64_C(0x6e766d656f740003)

struct block {
	uint64_t magic, at, round;
	char rest[BLOCK - 24];
};

static struct volume {
	int fd;
	uint64_t blocks;
	uint32_t *round; /* that wrote it last, of each block */
} volume;

#define SYS(call) sys_(call, #call)

static long sys_(long result, const char *what)
{
	if (result >= 0)
		return result;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 31)) * UINT64_C(0x9e3779b97f4a7c15);
	return x ^ (x >> 29);
}

/* The i-th block that a round writes. */
static uint64_t block_of(uint64_t round, uint64_t seed, unsigned int i)
{
	uint64_t place = mix(mix(seed) + (round * PLACES_A_ROUND) + i) % PLACES;

	return place * (volume.blocks / PLACES);
}

static void put(struct block *buffer, uint64_t at, uint64_t round)
{
	*buffer = (struct block) { .magic = MAGIC, .at = at, .round = round };
	if (SYS(pwrite(volume.fd, buffer, BLOCK, (off_t)(at * BLOCK))) != (long)BLOCK)
		abort();
}

static void write_round(struct block *buffer, uint64_t round, uint64_t seed)
{
	if (round == 0)
		for (uint64_t at = 0; at < BEGIN_BLOCKS && at < volume.blocks; at++)
			put(buffer, at, 0);
	else
		for (unsigned int i = 0; i < PLACES_A_ROUND; i++)
			put(buffer, block_of(round, seed, i), round);
}

static void replay(uint64_t rounds, uint64_t seed)
{
	for (uint64_t at = 0; at < volume.blocks; at++)
		volume.round[at] = at < BEGIN_BLOCKS ? 0 : NEVER;
	for (uint64_t round = 1; round <= rounds; round++)
		for (unsigned int i = 0; i < PLACES_A_ROUND; i++)
			volume.round[block_of(round, seed, i)] = (uint32_t)round;
}

static int check_block(const struct block *have, uint64_t at)
{
	uint32_t round = volume.round[at];
	struct block want = { 0 };

	if (round != NEVER)
		want = (struct block) { .magic = MAGIC, .at = at, .round = round };
	if (memcmp(have, &want, BLOCK) == 0)
		return 0;
	printf("block %" PRIu64 " is not of round %" PRId32 " (magic %" PRIx64 ", block %" PRIu64
	       ", round %" PRIu64 ")\n",
	       at, (int32_t)round, have->magic, have->at, have->round);
	return 1;
}

static int check(struct block *buffer)
{
	int wrong = 0;

	for (uint64_t at = 0; at < volume.blocks; at++) {
		if (SYS(pread(volume.fd, buffer, BLOCK, (off_t)(at * BLOCK))) != (long)BLOCK)
			abort();
		wrong += check_block(buffer, at);
	}
	return wrong;
}

int main(int argc, char **argv)
{
	bool writes = argc == 5 && strcmp(argv[1], "write") == 0;
	struct block *buffer = NULL;
	uint64_t round, seed;

	if (argc != 5 || (!writes && strcmp(argv[1], "check") != 0)) {
		fprintf(stderr, "usage: chain_writer write|check DEVICE ROUND SEED\n");
		return 2;
	}
	round = strtoull(argv[3], NULL, 10);
	seed = strtoull(argv[4], NULL, 10);
	if (posix_memalign((void **)&buffer, BLOCK, BLOCK))
		abort();
	volume.fd = (int)SYS(open(argv[2], (writes ? O_WRONLY | O_DIRECT : O_RDONLY) | O_CLOEXEC));
	volume.blocks = (uint64_t)SYS(lseek(volume.fd, 0, SEEK_END)) / BLOCK;
	if (writes) {
		write_round(buffer, round, seed);
		return 0;
	}
	volume.round = xcalloc(volume.blocks, sizeof(*volume.round));
	replay(round, seed);
	return check(buffer) ? 1 : 0;
}
