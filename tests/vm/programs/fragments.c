/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What small writes to a shared file cost, for the case of that name.
 *
 * fragments fill FILE MIB: writes it from one end to the other.
 * fragments scatter FILE SEED [COUNT]: writes each of its blocks once, or COUNT of them, in an
 * order that SEED gives. fragments report FILE: how many extents it has, how fast it is read from
 * one end to the other, how long a clone of it takes.
 *
 * Each prints one line; FILE may be a device for all but report.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/clock.h"

#define BLOCK ((size_t)4096)
#define CHUNK ((size_t)1 << 20)

static unsigned char *buffer; /* CHUNK bytes, aligned for O_DIRECT */

#define SYS(call) sys_(call, #call)

static long sys_(long result, const char *what)
{
	if (result >= 0)
		return result;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static double seconds_since(uint64_t start_ns)
{
	return (double)(clock_now_ns() - start_ns) / 1e9;
}

static uint64_t size_of(int fd)
{
	return (uint64_t)SYS(lseek(fd, 0, SEEK_END));
}

static void fill(const char *path, uint64_t bytes)
{
	int fd = (int)SYS(open(path, O_WRONLY | O_DIRECT | O_CLOEXEC));
	uint64_t start_ns = clock_now_ns();

	memset(buffer, 0xa5, CHUNK);
	for (uint64_t at = 0; at < bytes; at += CHUNK)
		SYS(pwrite(fd, buffer, CHUNK, (off_t)at));
	printf("filled at %.0f MiB/s\n", (double)(bytes >> 20) / seconds_since(start_ns));
	close(fd);
}

/* Each number below count once: neighbours lie far apart. */
static uint32_t *shuffled(uint64_t count, unsigned int seed)
{
	uint32_t *order = malloc(count * sizeof(*order));

	if (!order)
		abort();
	srandom(seed);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t other = (uint64_t)random() % (i + 1);

		order[i] = order[other];
		order[other] = (uint32_t)i;
	}
	return order;
}

static void scatter(const char *path, unsigned int seed, uint64_t most)
{
	int fd = (int)SYS(open(path, O_WRONLY | O_DIRECT | O_CLOEXEC));
	uint64_t count = size_of(fd) / BLOCK, start_ns;
	uint32_t *order = shuffled(count, seed);

	memset(buffer, 0x5a, BLOCK);
	count = count < most ? count : most;
	start_ns = clock_now_ns();
	for (uint64_t i = 0; i < count; i++)
		SYS(pwrite(fd, buffer, BLOCK, (off_t)(order[i] * BLOCK)));
	printf("%" PRIu64 " blocks written, %.3f ms each\n", count,
	       seconds_since(start_ns) * 1000 / (double)count);
	free(order);
	close(fd);
}

static uint64_t extents_of(int fd)
{
	struct fiemap map = { .fm_length = FIEMAP_MAX_OFFSET, .fm_flags = FIEMAP_FLAG_SYNC };

	SYS(ioctl(fd, FS_IOC_FIEMAP, &map));
	return map.fm_mapped_extents;
}

static double read_mib_s(int fd)
{
	uint64_t size = size_of(fd), start_ns = clock_now_ns();

	for (uint64_t at = 0; at < size; at += CHUNK)
		SYS(pread(fd, buffer, CHUNK, (off_t)at));
	return (double)(size >> 20) / seconds_since(start_ns);
}

static double clone_ms(int fd, const char *path)
{
	char copy[4096];
	uint64_t start_ns;
	double ms;
	int to;

	snprintf(copy, sizeof(copy), "%s.clone", path);
	to = (int)SYS(open(copy, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	start_ns = clock_now_ns();
	SYS(ioctl(to, FICLONE, fd));
	ms = seconds_since(start_ns) * 1000;
	close(to);
	SYS(unlink(copy));
	return ms;
}

static void report(const char *path)
{
	int fd = (int)SYS(open(path, O_RDONLY | O_DIRECT | O_CLOEXEC));
	uint64_t start_ns = clock_now_ns(), extents = extents_of(fd);
	double map_ms = seconds_since(start_ns) * 1000;
	double read = read_mib_s(fd);
	struct stat st;

	SYS(fstat(fd, &st));
	printf("%" PRIu64 " extents, map %.1f ms, read %.0f MiB/s, clone %.1f ms, "
	       "%" PRIu64 " KiB allocated\n",
	       extents, map_ms, read, clone_ms(fd, path), (uint64_t)st.st_blocks / 2);
	close(fd);
}

int main(int argc, char **argv)
{
	if (posix_memalign((void **)&buffer, BLOCK, CHUNK))
		abort();
	if (argc == 4 && strcmp(argv[1], "fill") == 0)
		fill(argv[2], strtoull(argv[3], NULL, 10) << 20);
	else if (argc >= 4 && strcmp(argv[1], "scatter") == 0)
		scatter(argv[2], (unsigned int)strtoul(argv[3], NULL, 10),
			argc > 4 ? strtoull(argv[4], NULL, 10) : UINT64_MAX);
	else if (argc == 3 && strcmp(argv[1], "report") == 0)
		report(argv[2]);
	else
		return 2;
	return 0;
}
