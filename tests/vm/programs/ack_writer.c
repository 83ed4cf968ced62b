/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that what a device acknowledged is there. `write DEVICE LOG` writes 4 KiB to 64 KiB at
 * pseudo-random offsets, O_DIRECT and never flushed, from several threads until SIGTERM or an error.
 * Each 4 KiB block says where and when it was written; LOG, a file elsewhere, keeps for each block
 * the last write that was acknowledged. `verify DEVICE LOG` reads every such block back and reports
 * those that are older than that. `count LOG` prints the acknowledged writes and bytes so far.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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
#define SLOT_BLOCKS 16 /* the largest write; a slot belongs to one thread, so writes never race */
#define SLOT_BYTES (SLOT_BLOCKS * BLOCK_BYTES)
#define THREADS 4
#define MAGIC UINT64_C(0x6e766d656f740001)
#define REPORTED_MAX 10

/* What a block holds: its header again and again, so that any damage shows. */
struct stamp {
	uint64_t magic, offset_bytes, sequence, check;
};

/* The file LOG. */
struct log {
	atomic_ullong sequence; /* of the last write that was begun */
	atomic_ullong writes, bytes;
	uint64_t block_count;
	atomic_ullong acknowledged[]; /* by block; 0: none was */
};

struct writer {
	int fd;
	struct log *log;
	unsigned number;
	pthread_t thread;
	int error;
};

static atomic_bool stop;

static struct stamp stamp_of(uint64_t offset_bytes, uint64_t sequence)
{
	uint64_t check = (offset_bytes ^ (sequence << 20)) * UINT64_C(0x9e3779b97f4a7c15);

	return (struct stamp) { MAGIC, offset_bytes, sequence, check };
}

static void block_fill(void *block, uint64_t offset_bytes, uint64_t sequence)
{
	struct stamp *stamps = block;

	for (size_t i = 0; i < BLOCK_BYTES / sizeof(*stamps); i++)
		stamps[i] = stamp_of(offset_bytes, sequence);
}

/* The sequence that a block carries, 0 if it was never written, UINT64_MAX if it is damaged. */
static uint64_t block_sequence(const void *block, uint64_t offset_bytes)
{
	static const char zeros[BLOCK_BYTES];
	const struct stamp *stamps = block;
	struct stamp wanted = stamp_of(offset_bytes, stamps[0].sequence);

	if (memcmp(block, zeros, BLOCK_BYTES) == 0)
		return 0;
	for (size_t i = 0; i < BLOCK_BYTES / sizeof(*stamps); i++)
		if (memcmp(&stamps[i], &wanted, sizeof(wanted)) != 0)
			return UINT64_MAX;
	return wanted.sequence;
}

/* xorshift64; seeded by the thread's number, so that a run can be repeated. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void acknowledge(struct log *log, uint64_t block, uint64_t count, uint64_t sequence)
{
	for (uint64_t i = 0; i < count; i++)
		log->acknowledged[block + i] = sequence;
	log->bytes += count * BLOCK_BYTES;
	log->writes++;
}

static int write_once(struct writer *writer, void *buffer, uint64_t *random)
{
	uint64_t slots = writer->log->block_count / SLOT_BLOCKS / THREADS;
	uint64_t slot = next_random(random) % slots * THREADS + writer->number;
	uint64_t count = next_random(random) % SLOT_BLOCKS + 1;
	uint64_t block = slot * SLOT_BLOCKS + next_random(random) % (SLOT_BLOCKS - count + 1);
	uint64_t sequence = ++writer->log->sequence;
	size_t bytes = count * BLOCK_BYTES;
	ssize_t written;

	for (uint64_t i = 0; i < count; i++)
		block_fill((char *)buffer + i * BLOCK_BYTES, (block + i) * BLOCK_BYTES, sequence);
	written = pwrite(writer->fd, buffer, bytes, (off_t)(block * BLOCK_BYTES));
	if (written != (ssize_t)bytes)
		return written < 0 ? errno : EIO;
	acknowledge(writer->log, block, count, sequence);
	return 0;
}

static void *run_writer(void *context)
{
	struct writer *writer = context;
	uint64_t random = (writer->number + 1) * UINT64_C(0x2545f4914f6cdd1d);
	void *buffer = NULL;

	if (posix_memalign(&buffer, BLOCK_BYTES, SLOT_BYTES) != 0)
		abort();
	while (!stop && writer->error == 0)
		writer->error = write_once(writer, buffer, &random);
	stop = true;
	free(buffer);
	return NULL;
}

static void on_term(int signal)
{
	(void)signal;
	stop = true;
}

static void die(const char *what, const char *name)
{
	fprintf(stderr, "ack_writer: %s %s: %s\n", what, name, strerror(errno));
	exit(2);
}

static int open_device(const char *path, int flags, uint64_t *ret_blocks)
{
	int fd = open(path, flags | O_DIRECT | O_CLOEXEC);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	if (end < 0)
		die("open", path);
	*ret_blocks = (uint64_t)end / SLOT_BYTES * SLOT_BLOCKS;
	return fd;
}

/* Maps LOG; makes it for so many blocks if that is not 0. */
static struct log *open_log(const char *path, uint64_t blocks)
{
	int fd cleanup_close =
		open(path, O_RDWR | O_CLOEXEC | (blocks ? O_CREAT | O_EXCL : 0), 0600);
	struct stat st;
	struct log *log;

	if (fd < 0 ||
	    (blocks && ftruncate(fd, (off_t)(sizeof(*log) + blocks * sizeof(uint64_t))) < 0) ||
	    fstat(fd, &st) < 0)
		die("open", path);
	log = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (log == MAP_FAILED)
		die("map", path);
	if (blocks)
		log->block_count = blocks;
	return log;
}

static int write_device(const char *device, const char *log_path)
{
	struct sigaction action = { .sa_handler = on_term };
	struct writer writers[THREADS] = { 0 };
	uint64_t blocks;
	int fd cleanup_close = open_device(device, O_WRONLY, &blocks);
	struct log *log = open_log(log_path, blocks);
	int rc = 0;

	sigaction(SIGTERM, &action, NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		writers[i] = (struct writer) { .fd = fd, .log = log, .number = i };
		if (pthread_create(&writers[i].thread, NULL, run_writer, &writers[i]) != 0)
			die("start", "a thread");
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(writers[i].thread, NULL);
		if (writers[i].error) {
			fprintf(stderr, "ack_writer: write: %s\n", strerror(writers[i].error));
			rc = 1;
		}
	}
	return rc;
}

struct tally {
	uint64_t checked, lost, damaged;
};

static void judge(struct tally *tally, const void *block, uint64_t number, uint64_t acknowledged)
{
	uint64_t found = block_sequence(block, number * BLOCK_BYTES);

	tally->checked++;
	if (found != UINT64_MAX && found >= acknowledged)
		return;
	if (found == UINT64_MAX)
		tally->damaged++;
	else
		tally->lost++;
	if (tally->lost + tally->damaged <= REPORTED_MAX)
		printf("block %llu: write %llu was acknowledged, there is %lld (-1: damage)\n",
		       (unsigned long long)number, (unsigned long long)acknowledged,
		       (long long)found);
}

static bool slot_was_written(const struct log *log, uint64_t first)
{
	for (uint64_t i = 0; i < SLOT_BLOCKS; i++)
		if (log->acknowledged[first + i])
			return true;
	return false;
}

static int verify_device(const char *device, const char *log_path)
{
	uint64_t blocks;
	int fd cleanup_close = open_device(device, O_RDONLY, &blocks);
	struct log *log = open_log(log_path, 0);
	struct tally tally = { 0 };
	char *buffer cleanup_free = aligned_alloc(BLOCK_BYTES, SLOT_BYTES);

	for (uint64_t first = 0; first < log->block_count; first += SLOT_BLOCKS) {
		if (!slot_was_written(log, first))
			continue;
		if (pread(fd, buffer, SLOT_BYTES, (off_t)(first * BLOCK_BYTES)) != SLOT_BYTES)
			die("read", device);
		for (uint64_t i = 0; i < SLOT_BLOCKS; i++)
			if (log->acknowledged[first + i])
				judge(&tally, buffer + i * BLOCK_BYTES, first + i,
				      log->acknowledged[first + i]);
	}
	printf("%llu writes acknowledged, %llu blocks checked, %llu lost, %llu damaged\n",
	       log->writes, (unsigned long long)tally.checked, (unsigned long long)tally.lost,
	       (unsigned long long)tally.damaged);
	if (!tally.checked)
		return 2;
	return tally.lost || tally.damaged ? 1 : 0;
}

static int print_count(const char *log_path)
{
	struct log *log = open_log(log_path, 0);

	printf("%llu %llu\n", log->writes, log->bytes);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "write") == 0)
		return write_device(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "verify") == 0)
		return verify_device(argv[2], argv[3]);
	if (argc == 3 && strcmp(argv[1], "count") == 0)
		return print_count(argv[2]);
	fprintf(stderr, "usage: ack_writer write|verify DEVICE LOG, or count LOG\n");
	return 2;
}
