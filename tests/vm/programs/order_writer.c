/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer whose writes rely on one another. `write A B LOG` counts up: it writes the number to A,
 * when that is durable to B, when that is durable to LOG, a file in memory, and so on, until
 * SIGTERM or an error. A and B are files or block devices, possibly of different volumes. So at
 * every moment A has as much as B or one more. `read FILE` prints the highest number in such a
 * file, `acknowledged LOG` that in a log.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"

#define BLOCK_BYTES 4096
#define BLOCKS 64 /* it goes round and round in them */
#define MAGIC UINT64_C(0x6e766d656f740002)

struct block {
	uint64_t magic, number, check;
	char rest[BLOCK_BYTES - 24];
};

static volatile sig_atomic_t stop;

static void on_term(int signal)
{
	(void)signal;
	stop = 1;
}

/* Block devices without the page cache; files with it, for the file system to journal. */
static int open_for_writing(const char *path)
{
	struct stat st;
	bool device = stat(path, &st) == 0 && S_ISBLK(st.st_mode);

	return open(path, O_WRONLY | O_CLOEXEC | (device ? O_DIRECT : O_CREAT), 0600);
}

static int put(int fd, struct block *block, uint64_t number)
{
	block->magic = MAGIC;
	block->number = number;
	block->check = number * MAGIC;
	if (pwrite(fd, block, BLOCK_BYTES, (off_t)(number % BLOCKS) * BLOCK_BYTES) != BLOCK_BYTES)
		return -1;
	return fsync(fd);
}

static atomic_ullong *open_log(const char *path)
{
	cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *log;

	if (fd < 0 || ftruncate(fd, BLOCK_BYTES) < 0)
		return NULL;
	log = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return log == MAP_FAILED ? NULL : log;
}

static int write_on(const char *a, const char *b, const char *log_path)
{
	cleanup_close int a_fd = open_for_writing(a), b_fd = open_for_writing(b);
	struct block *block = aligned_alloc(BLOCK_BYTES, sizeof(*block));
	atomic_ullong *log = open_log(log_path);
	const struct sigaction action = { .sa_handler = on_term };
	int r = 0;

	if (a_fd < 0 || b_fd < 0 || !log || !block || sigaction(SIGTERM, &action, NULL) < 0) {
		fprintf(stderr, "order_writer: %s\n", strerror(errno));
		free(block);
		return 1;
	}
	memset(block, 0, sizeof(*block));
	for (uint64_t number = 1; !stop && r == 0; number++) {
		if (put(a_fd, block, number) < 0 || put(b_fd, block, number) < 0)
			r = errno;
		else
			atomic_store(log, number);
	}
	if (r)
		fprintf(stderr, "order_writer: %s\n", strerror(r));
	free(block);
	return r ? 1 : 0;
}

static int read_highest(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t highest = 0;
	struct block block;

	if (fd < 0)
		return 1;
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (pread(fd, &block, sizeof(block), (off_t)i * BLOCK_BYTES) != sizeof(block) ||
		    block.magic != MAGIC || block.check != block.number * MAGIC)
			continue;
		if (block.number > highest)
			highest = block.number;
	}
	printf("%" PRIu64 "\n", highest);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "write") == 0)
		return write_on(argv[2], argv[3], argv[4]);
	if (argc == 3 && strcmp(argv[1], "read") == 0)
		return read_highest(argv[2]);
	if (argc == 3 && strcmp(argv[1], "acknowledged") == 0) {
		const atomic_ullong *log = access(argv[2], F_OK) == 0 ? open_log(argv[2]) : NULL;

		printf("%llu\n", log ? atomic_load(log) : 0);
		return 0;
	}
	fprintf(stderr, "usage: order_writer write A B LOG | read FILE | acknowledged LOG\n");
	return 2;
}
