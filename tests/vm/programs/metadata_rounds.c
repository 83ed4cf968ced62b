/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata_rounds ENDPOINT VOLUME_ID DEVICE PREFIX SUFFIX ROUNDS GROWTH_BYTES: a published raw
 * volume is written at random all the time, a part of it each round, and snapshots of it are taken
 * by CSI, round after round. The ranges that GetMetadataDelta streams between two of them, read
 * from the newer one's backing (PREFIX, its UUID, SUFFIX) and written over a copy of the older one,
 * make it the newer one byte for byte; those of GetMetadataAllocated do so with zeros. Streams are
 * broken off and gone on with. Every other round it grows by so much. In the end the copy is what a
 * reader of the device finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "csi.pb-c.h"
#include "csi/request/ids.h"
#include "csi/rpc/client.h"

#define BLOCK ((size_t)4096)
#define CHANGE_BLOCKS 32
#define CALL_MS 60000
#define AHEAD 100 /* changes from the beginning of a round on */
#define FAR 2	  /* rounds */
#define PARTS 8	  /* of the volume, of which one is written at a time */

static const char *endpoint, *volume_id, *device, *prefix, *suffix;
static unsigned long rounds, growth_bytes;
static struct rpc_client *client;
static atomic_size_t size_bytes; /* of the volume */
static size_t copy_bytes;	 /* of copies: what it may grow to */
static atomic_bool stop;
static atomic_size_t changes, part;
static sem_t allowance; /* of changes: a writer without bounds would slow down all else */

static void must(bool good, const char *what)
{
	if (!good)
		fail_msg("%s: %s", what, strerror(errno));
}

static unsigned char *map_new(void)
{
	unsigned char *bytes =
		mmap(NULL, copy_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(bytes != MAP_FAILED, "memory");
	return bytes;
}

/* --- the writer ------------------------------------------------------------------------------- */

static void change(int fd, unsigned *seed, unsigned char *bytes)
{
	size_t blocks = 1 + (size_t)rand_r(seed) % CHANGE_BLOCKS;
	size_t part_blocks = size_bytes / BLOCK / PARTS;
	size_t at = (atomic_load(&part) * part_blocks +
		     (size_t)rand_r(seed) % (part_blocks - CHANGE_BLOCKS)) *
		    BLOCK;
	uint64_t range[2] = { at, blocks * BLOCK };

	memset(bytes, rand_r(seed), blocks * BLOCK);
	if (rand_r(seed) % 8 == 0)
		must(ioctl(fd, BLKDISCARD, range) == 0, "discard");
	else if (rand_r(seed) % 8 == 0)
		must(ioctl(fd, BLKZEROOUT, range) == 0, "write zeroes");
	else
		must(pwrite(fd, bytes, blocks * BLOCK, (off_t)at) == (ssize_t)(blocks * BLOCK),
		     "write");
	atomic_fetch_add(&changes, 1);
}

static void *write_on(void *data)
{
	int fd = open(device, O_RDWR | O_DIRECT | O_CLOEXEC);
	unsigned char *bytes = aligned_alloc(BLOCK, CHANGE_BLOCKS * BLOCK);
	unsigned seed = *(unsigned *)data;

	must(fd >= 0, device);
	while (sem_wait(&allowance) == 0 && !atomic_load(&stop))
		change(fd, &seed, bytes);
	close(fd);
	free(bytes);
	return NULL;
}

/* --- calls ------------------------------------------------------------------------------------ */

static void snapshot_create(unsigned long round, char id[VOLUME_ID_SIZE])
{
	Csi__V1__CreateSnapshotRequest request = CSI__V1__CREATE_SNAPSHOT_REQUEST__INIT;
	ProtobufCMessage *answer = NULL;
	struct err err = ERR_INIT;
	char name[32];

	snprintf(name, sizeof(name), "round-%lu", round);
	request.name = name;
	request.source_volume_id = (char *)volume_id;
	if (rpc_client_call(client, "/csi.v1.Controller/CreateSnapshot", &request.base,
			    &csi__v1__create_snapshot_response__descriptor,
			    deadline_after_ms(CALL_MS), &answer, &err) < 0)
		fail_msg("CreateSnapshot: %s", err.msg);
	snprintf(id, VOLUME_ID_SIZE, "%s",
		 ((Csi__V1__CreateSnapshotResponse *)answer)->snapshot->snapshot_id);
	protobuf_c_message_free_unpacked(answer, NULL);
}

static void snapshot_delete(const char *id)
{
	Csi__V1__DeleteSnapshotRequest request = CSI__V1__DELETE_SNAPSHOT_REQUEST__INIT;
	ProtobufCMessage *answer = NULL;
	struct err err = ERR_INIT;

	request.snapshot_id = (char *)id;
	if (rpc_client_call(client, "/csi.v1.Controller/DeleteSnapshot", &request.base,
			    &csi__v1__delete_snapshot_response__descriptor,
			    deadline_after_ms(CALL_MS), &answer, &err) < 0)
		fail_msg("DeleteSnapshot: %s", err.msg);
	protobuf_c_message_free_unpacked(answer, NULL);
}

static void volume_grow(void)
{
	Csi__V1__ControllerExpandVolumeRequest request =
		CSI__V1__CONTROLLER_EXPAND_VOLUME_REQUEST__INIT;
	Csi__V1__CapacityRange range = CSI__V1__CAPACITY_RANGE__INIT;
	size_t wanted = size_bytes + growth_bytes;
	int fd = open(device, O_RDONLY | O_CLOEXEC);
	ProtobufCMessage *answer = NULL;
	struct err err = ERR_INIT;
	uint64_t size = 0;

	range.required_bytes = (int64_t)wanted;
	request.volume_id = (char *)volume_id;
	request.capacity_range = &range;
	if (rpc_client_call(client, "/csi.v1.Controller/ControllerExpandVolume", &request.base,
			    &csi__v1__controller_expand_volume_response__descriptor,
			    deadline_after_ms(CALL_MS), &answer, &err) < 0)
		fail_msg("ControllerExpandVolume: %s", err.msg);
	protobuf_c_message_free_unpacked(answer, NULL);
	must(fd >= 0, device);
	do {
		must(ioctl(fd, BLKGETSIZE64, &size) == 0, device);
		sched_yield();
	} while (size != wanted);
	close(fd);
	size_bytes = wanted;
}

/* A stream of both methods: base_id "" is for what has data. */
static struct rpc_pending *open_stream(const char *base_id, const char *id, int64_t start,
				       int32_t max)
{
	Csi__V1__GetMetadataAllocatedRequest all = CSI__V1__GET_METADATA_ALLOCATED_REQUEST__INIT;
	Csi__V1__GetMetadataDeltaRequest delta = CSI__V1__GET_METADATA_DELTA_REQUEST__INIT;
	struct rpc_pending *pending = NULL;
	struct err err = ERR_INIT;

	all.snapshot_id = delta.target_snapshot_id = (char *)id;
	delta.base_snapshot_id = (char *)base_id;
	all.starting_offset = delta.starting_offset = start;
	all.max_results = delta.max_results = max;
	if (rpc_client_open(client,
			    *base_id ? "/csi.v1.SnapshotMetadata/GetMetadataDelta" :
				       "/csi.v1.SnapshotMetadata/GetMetadataAllocated",
			    *base_id ? &delta.base : &all.base, deadline_after_ms(CALL_MS),
			    &pending, &err) < 0)
		fail_msg("%s", err.msg);
	return pending;
}

/* --- applying --------------------------------------------------------------------------------- */

struct applied {
	unsigned char *copy;
	int fd; /* of the newer backing */
	int64_t end;
	size_t ranges, bytes;
};

static void apply_answer(struct applied *to, const Csi__V1__GetMetadataDeltaResponse *answer,
			 int32_t max)
{
	assert_int_equal(answer->block_metadata_type,
			 CSI__V1__BLOCK_METADATA_TYPE__VARIABLE_LENGTH);
	assert_int_equal(answer->volume_capacity_bytes, size_bytes);
	assert_true(max == 0 || answer->n_block_metadata <= (size_t)max);
	for (size_t i = 0; i < answer->n_block_metadata; i++) {
		int64_t at = answer->block_metadata[i]->byte_offset;
		size_t length = (size_t)answer->block_metadata[i]->size_bytes;

		assert_true(at >= to->end && length > 0);
		to->end = at + (int64_t)length;
		assert_true((size_t)to->end <= size_bytes);
		must(pread(to->fd, to->copy + at, length, at) == (ssize_t)length, "read");
		to->ranges++;
		to->bytes += length;
	}
}

/* One stream, or as much of it as answers. 0: to its end. */
static int apply_stream(struct applied *to, const char *base_id, const char *id, size_t answers)
{
	const ProtobufCMessageDescriptor *descriptor =
		*base_id ? &csi__v1__get_metadata_delta_response__descriptor :
			   &csi__v1__get_metadata_allocated_response__descriptor;
	int32_t max = random() % 3 ? (int32_t)(1 + random() % 50) : 0;
	struct rpc_pending *pending cleanup_rpc_pending = open_stream(base_id, id, to->end, max);
	struct err err = ERR_INIT;
	ProtobufCMessage *answer;
	int rc = 1;

	while (answers-- > 0 && (rc = rpc_pending_next(pending, descriptor, &answer, &err)) > 0) {
		/* The answers of both have the same fields. */
		apply_answer(to, (const void *)answer, max);
		protobuf_c_message_free_unpacked(answer, NULL);
	}
	if (rc < 0)
		fail_msg("%s: %s", err_code_name(err.code), err.msg);
	return rc;
}

static int open_image(const char *id)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s%s%s", prefix, strrchr(id, '@') + 1, suffix);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0, path);
	return fd;
}

static void check_equal(const unsigned char *copy, int fd, const char *what)
{
	unsigned char *now = mmap(NULL, size_bytes, PROT_READ, MAP_SHARED, fd, 0);

	must(now != MAP_FAILED, "map");
	for (size_t i = 0; i < size_bytes; i += BLOCK)
		if (memcmp(now + i, copy + i, BLOCK) != 0)
			fail_msg("byte %zu and on differ: %s", i, what);
	munmap(now, size_bytes);
}

/* Brings the copy from what base is to what the snapshot is. */
static struct applied apply(unsigned char *copy, const char *base_id, const char *id)
{
	struct applied to = { .copy = copy, .fd = open_image(id) };

	if (random() % 2)
		apply_stream(&to, base_id, id, 1 + (size_t)random() % 4);
	apply_stream(&to, base_id, id, SIZE_MAX);
	check_equal(copy, to.fd, id);
	close(to.fd);
	return to;
}

/* --- the rounds ------------------------------------------------------------------------------- */

static void await_changes(size_t count)
{
	size_t until = atomic_load(&changes) + count;
	int left = 0;

	for (sem_getvalue(&allowance, &left); left < AHEAD; left++)
		sem_post(&allowance);
	while (atomic_load(&changes) < until)
		sched_yield();
}

/* What was discarded may read as before for as long as a target's page cache has it. */
static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	must(fd >= 0 && write(fd, "1", 1) == 1, "drop the page cache");
	close(fd);
}

static void check_device(const unsigned char *copy)
{
	int fd = open(device, O_RDONLY | O_CLOEXEC);
	unsigned char *bytes = aligned_alloc(BLOCK, BLOCK);

	must(fd >= 0, device);
	drop_caches();
	for (size_t i = 0; i < size_bytes; i += BLOCK) {
		must(pread(fd, bytes, BLOCK, (off_t)i) == (ssize_t)BLOCK, "read the device");
		if (memcmp(bytes, copy + i, BLOCK) != 0)
			fail_msg("byte %zu and on of the device differ", i);
	}
	close(fd);
	free(bytes);
}

static void test_rounds(void **state)
{
	unsigned char *copy = map_new(), *far_copy = map_new();
	char id[VOLUME_ID_SIZE], before[VOLUME_ID_SIZE], far[VOLUME_ID_SIZE];
	size_t ranges = 0, bytes = 0;
	unsigned seed = (unsigned)random();
	pthread_t writer;

	(void)state;
	sem_init(&allowance, 0, 0);
	assert_int_equal(pthread_create(&writer, NULL, write_on, &seed), 0);
	await_changes(20);
	snapshot_create(0, before);
	strcpy(far, before);
	apply(copy, "", before);
	apply(far_copy, "", before);
	for (unsigned long round = 1; round <= rounds; round++) {
		struct applied done;

		atomic_store(&part, (size_t)random() % PARTS);
		await_changes(1 + (size_t)random() % 20);
		if (round == rounds) {
			atomic_store(&stop, true);
			sem_post(&allowance);
			pthread_join(writer, NULL);
		}
		if (growth_bytes && round % 2 == 0)
			volume_grow();
		snapshot_create(round, id);
		done = apply(copy, before, id);
		ranges += done.ranges;
		bytes += done.bytes;
		if (strcmp(before, far) != 0)
			snapshot_delete(before);
		strcpy(before, id);
		if (round % FAR)
			continue;
		apply(far_copy, far, id);
		snapshot_delete(far);
		strcpy(far, id);
		memset(far_copy, 0, copy_bytes);
		apply(far_copy, "", id);
	}
	check_device(copy);
	snapshot_delete(before);
	if (strcmp(before, far) != 0)
		snapshot_delete(far);
	printf("%lu rounds, %zu changes: %zu ranges of %zu KiB\n", rounds, atomic_load(&changes),
	       ranges, bytes >> 10);
}

static int setup(void **state)
{
	int fd = open(device, O_RDONLY | O_CLOEXEC);
	struct err err = ERR_INIT;
	uint64_t size = 0;

	(void)state;
	must(fd >= 0 && ioctl(fd, BLKGETSIZE64, &size) == 0, device);
	close(fd);
	size_bytes = size;
	copy_bytes = size + rounds * growth_bytes;
	if (rpc_client_new(endpoint, NULL, &client, &err) < 0)
		fail_msg("%s", err.msg);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rpc_client_free(client);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rounds) };
	unsigned long seed;

	if (argc != 8)
		return 2;
	endpoint = argv[1];
	volume_id = argv[2];
	device = argv[3];
	prefix = argv[4];
	suffix = argv[5];
	rounds = strtoul(argv[6], NULL, 10);
	growth_bytes = strtoul(argv[7], NULL, 10);
	seed = getenv("SEED") ? strtoul(getenv("SEED"), NULL, 10) : (unsigned long)getpid();
	srandom((unsigned)seed);
	printf("SEED=%lu\n", seed);
	return cmocka_run_group_tests(tests, setup, teardown);
}
