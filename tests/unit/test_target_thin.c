/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata of a thin pool, of a made-up kernel and by a made-up thin_delta on PATH: the
 * metadata snapshot is never left behind, wherever a process dies, and never taken from another
 * program; what a run has read serves the calls that follow, as long as nothing is made or deleted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nvme/target/devnode.h"
#include "nvme/target/thin.h"
#include "tests/unit/log_lines.h"
#include "tests/unit/thin_program.h"

#define MARK "thin-metadata-snapshot"
#define CHUNK UINT64_C(65536)
#define SIZE (1000 * CHUNK)
#define FOREIGN 77

/* The thin pool in the kernel, which outlives processes. */
static struct {
	uint64_t held, next, transaction, used;
	unsigned reserved, released;
	const char *mode;
	unsigned steps, dies_at;	  /* things that it was asked for */
	int reserve_fails, release_fails; /* with this errno */
	bool inactive, foreign_comes, foreign_releases;
} * kernel;

static struct lvm lvm = { .group = "vg", .pool = "tp" };
static struct thin *thin;
static struct extent items[64];
static struct extents got;
static bool no_turn;
static sem_t arrivals; /* of calls that want the turn */

static void step(void)
{
	if (++kernel->steps == kernel->dies_at)
		raise(SIGKILL);
}

int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until)
{
	(void)clock, (void)until;
	sem_post(&arrivals);
	return no_turn ? ETIMEDOUT : pthread_mutex_lock(mutex);
}

int dm_status(const char *name, char out[DM_STATUS_SIZE], struct err *e)
{
	char held[32] = "-";

	(void)e;
	assert_string_equal(name, "vg-tp-tpool");
	step();
	if (kernel->held)
		snprintf(held, sizeof(held), "%" PRIu64, kernel->held);
	snprintf(out, DM_STATUS_SIZE,
		 "%" PRIu64 " %" PRIu64 "/1024 7/8192 %s %s discard_passdown - 256",
		 kernel->transaction, kernel->used, held, kernel->mode);
	return !kernel->inactive;
}

int dm_table(const char *name, char out[DM_STATUS_SIZE], struct err *e)
{
	(void)e;
	if (strcmp(name, "vg-tp-tpool") == 0)
		strcpy(out, "254:0 254:1 128 0 1 error_if_no_space ");
	else if (strcmp(name, "vg-new") == 0)
		strcpy(out, "254:2 3");
	else if (strcmp(name, "vg-old") == 0)
		strcpy(out, "254:2 2");
	else if (strncmp(name, "vg-snap", 7) == 0)
		snprintf(out, DM_STATUS_SIZE, "254:2 %s", name + 7);
	else if (strcmp(name, "vg-elsewhere") == 0)
		strcpy(out, "254:9 3");
	else if (strcmp(name, "vg-external") == 0)
		strcpy(out, "254:2 3 254:7");
	else
		return 0;
	return 1;
}

int dm_number(const char *name, dev_t *ret, struct err *e)
{
	(void)e;
	assert_string_equal(name, "vg-tp-tpool");
	*ret = makedev(254, 2);
	return 1;
}

static int refuse_message(struct err *e, int number)
{
	return err_sys(e, number, "send");
}

int dm_message(const char *name, const char *text, struct err *e)
{
	bool reserve = strcmp(text, "reserve_metadata_snap") == 0;

	assert_string_equal(name, "vg-tp-tpool");
	assert_true(reserve || strcmp(text, "release_metadata_snap") == 0);
	step();
	if (reserve && kernel->foreign_comes)
		kernel->held = FOREIGN;
	if (reserve ? kernel->reserve_fails : kernel->release_fails)
		return refuse_message(e, reserve ? kernel->reserve_fails : kernel->release_fails);
	if (reserve ? kernel->held != 0 : kernel->held == 0)
		return refuse_message(e, reserve ? EBUSY : EINVAL);
	kernel->held = reserve ? kernel->next++ : 0;
	kernel->reserved += reserve;
	kernel->released += !reserve;
	step();
	return 0;
}

int dm_list_suspended(const char *prefix, struct root_names *ret, struct err *e)
{
	(void)prefix, (void)ret, (void)e;
	return 0;
}

int devnode_ensure(const char *name, mode_t type, dev_t number, struct err *e)
{
	(void)e;
	assert_string_equal(name, "mapper/vg-tp_tmeta");
	assert_int_equal(type, S_IFBLK);
	assert_int_equal(number, makedev(254, 0));
	step();
	if (kernel->foreign_releases)
		kernel->held = 0;
	return 0;
}

/* What thin_delta prints: count chunks that differ, every other one. */
static void differ(unsigned base_id, unsigned count)
{
	cleanup_free char *out = NULL;
	size_t size;
	FILE *file = open_memstream(&out, &size);

	fprintf(file, "<superblock data_block_size=\"128\"><diff left=\"%u\" right=\"3\">",
		base_id);
	for (unsigned i = 0; i < count; i++)
		fprintf(file, "<%s begin=\"%u\" length=\"1\"/>\n",
			base_id == 3 ? "same" : "different", 2 * i);
	fprintf(file, "</diff></superblock>\n");
	fclose(file);
	put("out", out);
}

static int setup(void **state)
{
	(void)state;
	kernel = mmap(NULL, sizeof(*kernel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	kernel->next = 51;
	kernel->mode = "rw";
	kernel->used = 512;
	if (kernel == MAP_FAILED || programs_begin() < 0 || program_add("thin_delta") < 0 ||
	    program_add("thin_ls") < 0)
		return -1;
	put("log", "");
	differ(2, 3);
	thin = thin_new(&lvm, &root);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	thin_free(thin);
	munmap(kernel, sizeof(*kernel));
	return programs_end();
}

static int ask(const char *base, uint64_t start, size_t max)
{
	const struct thin_query query = {
		.name = "new", .base_name = base, .size_bytes = SIZE, .start_bytes = start
	};

	got = (struct extents) { .items = items, .max = max };
	err = ERR_INIT;
	return thin_extents(thin, &query, &got, &err);
}

/* How often it ran. */
static unsigned runs(void)
{
	cleanup_free char *log = NULL;
	unsigned count = 0;

	assert_int_equal(file_read(&root, "log", &log, &err), 1);
	for (const char *p = log; *p; p++)
		count += *p == '\n';
	return count;
}

static void assert_nothing_left(void)
{
	assert_int_equal(kernel->held, 0);
	assert_false(root_exists(&root, MARK));
}

static void test_what_differs(void **state)
{
	(void)state;
	assert_int_equal(ask("old", 0, 64), 0);
	assert_int_equal(got.count, 3);
	assert_int_equal(got.items[1].offset_bytes, 2 * CHUNK);
	assert_int_equal(got.items[1].length_bytes, CHUNK);
	assert_int_equal(got.next_bytes, SIZE);
	assert_int_equal(got.size_bytes, SIZE);
	assert_int_equal(kernel->released, 1);
	assert_nothing_left();
	assert_ran("--snap1=2 --snap2=3 --metadata-snap=51 /dev/mapper/vg-tp_tmeta\n");
}

static void test_what_a_volume_has(void **state)
{
	(void)state;
	differ(3, 2);
	assert_int_equal(ask(NULL, 0, 64), 0);
	assert_int_equal(got.count, 2);
	assert_ran("--snap1=3 --snap2=3 --metadata-snap=51 /dev/mapper/vg-tp_tmeta\n");
}

/* Page by page, of one run; the block that is asked for is the first. */
static void test_pages(void **state)
{
	uint64_t next = 0;

	(void)state;
	differ(2, 400);
	for (unsigned page = 0; page < 8; page++) {
		assert_int_equal(ask("old", next, 50), 0);
		assert_int_equal(got.count, 50);
		for (unsigned i = 0; i < 50; i++)
			assert_int_equal(got.items[i].offset_bytes, (page * 50 + i) * 2 * CHUNK);
		next = got.next_bytes;
		assert_int_equal(next, page < 7 ? (page * 50 + 50) * 2 * CHUNK : SIZE);
	}
	assert_int_equal(ask("old", next, 50), 0);
	assert_int_equal(got.count, 0);
	assert_int_equal(got.next_bytes, SIZE);
	assert_int_equal(ask("old", 2 * CHUNK + 5000, 1), 0);
	assert_int_equal(got.items[0].offset_bytes, 2 * CHUNK + 4096);
	assert_int_equal(got.items[0].length_bytes, CHUNK - 4096);
	assert_int_equal(runs(), 1);
	assert_int_equal(ask("old", SIZE + 1, 50), -1);
	assert_int_equal(err.code, ERR_OUT_OF_RANGE);
	assert_non_null(
		strstr(err.msg, "65536001 is beyond the end of vg/new, which has 65536000"));
}

/* Of anything else, or when the ids may be those of others by now. */
static void test_what_was_read_serves_no_other(void **state)
{
	(void)state;
	assert_int_equal(ask("old", CHUNK, 64), 0);
	assert_int_equal(got.count, 2);
	assert_int_equal(ask("old", 0, 64), 0);
	assert_int_equal(got.count, 3);
	assert_int_equal(runs(), 2);
	differ(3, 5);
	assert_int_equal(ask(NULL, 0, 64), 0);
	assert_int_equal(got.count, 5);
	differ(3, 7);
	assert_int_equal(ask(NULL, 0, 64), 0);
	assert_int_equal(got.count, 5);
	kernel->transaction++;
	assert_int_equal(ask(NULL, 0, 64), 0);
	assert_int_equal(got.count, 7);
	assert_int_equal(runs(), 4);
	put("then", "exit 1");
	kernel->transaction++;
	assert_int_equal(ask(NULL, 0, 64), -1);
	kernel->transaction--;
	assert_int_equal(ask(NULL, 0, 64), -1);
	assert_nothing_left();
}

/* Four streams side by side; a fifth takes the place of the one that has paused for longest. */
static void test_streams_side_by_side(void **state)
{
	static const char *const bases[] = { "old", NULL, "snap4", "snap5" };
	static const unsigned ids[] = { 2, 3, 4, 5 };

	(void)state;
	for (unsigned page = 0; page < 4; page++)
		for (unsigned i = 0; i < 4; i++) {
			differ(ids[i], 3);
			assert_int_equal(ask(bases[i], page * CHUNK, 64), 0);
			assert_int_equal(got.count, 3 - (page + 1) / 2);
		}
	assert_int_equal(runs(), 4);
	differ(6, 3);
	assert_int_equal(ask("snap6", 0, 64), 0);
	assert_int_equal(ask(NULL, CHUNK, 64), 0);
	assert_int_equal(runs(), 5);
	differ(2, 3);
	assert_int_equal(ask("old", CHUNK, 64), 0);
	assert_int_equal(runs(), 6);
}

/* As long as it is reserved the metadata may grow by as much as there is. */
static void test_room(void **state)
{
	(void)state;
	assert_int_equal(ask("old", 0, 64), 0);
	kernel->used = 513;
	assert_int_equal(ask(NULL, 0, 64), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "thin pool vg/tp is more than half full (513 of 1024"));
	assert_int_equal(ask("old", CHUNK, 64), 0);
	assert_int_equal(kernel->reserved, 1);
	assert_nothing_left();
}

static void test_nothing_differs_from_itself(void **state)
{
	(void)state;
	assert_int_equal(ask("new", 0, 64), 0);
	assert_int_equal(got.count, 0);
	assert_int_equal(got.next_bytes, SIZE);
	assert_int_equal(ask("new", SIZE + 1, 64), -1);
	assert_int_equal(err.code, ERR_OUT_OF_RANGE);
}

/* More ranges than are kept: from there on it runs anew. */
static void test_more_than_is_kept(void **state)
{
	const struct thin_query query = { .name = "new",
					  .base_name = "old",
					  .size_bytes = 200000 * CHUNK };
	struct thin_query next = query;
	size_t total = 0;

	(void)state;
	differ(2, 70000);
	for (unsigned calls = 0; next.start_bytes < query.size_bytes && calls < 2000; calls++) {
		got = (struct extents) { .items = items, .max = 64 };
		if (thin_extents(thin, &next, &got, &err) < 0)
			fail_msg("%s", err.msg);
		for (size_t i = 0; i < got.count; i++)
			assert_int_equal(got.items[i].offset_bytes, (total + i) * 2 * CHUNK);
		total += got.count;
		next.start_bytes = got.next_bytes;
	}
	assert_int_equal(total, 70000);
	assert_int_equal(runs(), 2);
	assert_int_equal(kernel->released, 2);
	assert_nothing_left();
}

static void test_failures_leave_nothing(void **state)
{
	(void)state;
	put("then", "exit 1");
	assert_int_equal(ask("old", 0, 64), -1);
	assert_non_null(strstr(err.msg, "failed with status 1"));
	assert_int_equal(kernel->released, 1);
	assert_nothing_left();
	kernel->reserve_fails = ENOSPC;
	assert_int_equal(ask("old", 0, 64), -1);
	assert_int_equal(err.sys, ENOSPC);
	assert_nothing_left();
	kernel->reserve_fails = EOPNOTSUPP;
	kernel->mode = "ro";
	assert_int_equal(ask("old", 0, 64), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "thin pool vg/tp is in mode \"ro\""));
	assert_nothing_left();
	kernel->mode = "rw";
	kernel->inactive = true;
	assert_int_equal(ask("old", 0, 64), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_int_equal(kernel->reserved, 1);
}

/* It stays ours, and goes with the next use. */
static void test_release_that_fails(void **state)
{
	(void)state;
	kernel->release_fails = EIO;
	assert_int_equal(ask("old", 0, 64), -1);
	assert_int_equal(err.sys, EIO);
	assert_int_equal(kernel->held, 51);
	put("then", "exit 1");
	assert_int_equal(ask("old", 0, 64), -1);
	assert_int_equal(err.sys, EIO);
	assert_int_equal(runs(), 1);
	kernel->release_fails = 0;
	put("then", "");
	assert_int_equal(ask("old", 0, 64), 0);
	assert_int_equal(kernel->released, 2);
	assert_nothing_left();
}

static void test_that_of_another_program(void **state)
{
	(void)state;
	kernel->held = FOREIGN;
	assert_int_equal(ask("old", 0, 64), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg,
			       "another program has reserved the metadata snapshot of thin "
			       "pool vg/tp"));
	assert_non_null(strstr(err.msg, "dmsetup message vg-tp-tpool 0 release_metadata_snap"));
	thin_free(thin);
	thin = thin_new(&lvm, &root);
	assert_int_equal(kernel->held, FOREIGN);
	/* One that comes in the last moment. */
	kernel->held = 0;
	kernel->foreign_comes = true;
	assert_int_equal(ask("old", 0, 64), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_int_equal(kernel->held, FOREIGN);
	assert_int_equal(ask("old", 0, 64), -1);
	assert_int_equal(kernel->held, FOREIGN);
	assert_false(root_exists(&root, MARK));
	assert_int_equal(runs(), 0);
	/* What was read before does not need it. */
	kernel->held = 0;
	kernel->foreign_comes = false;
	assert_int_equal(ask("old", 0, 64), 0);
	kernel->held = FOREIGN;
	assert_int_equal(ask("old", 0, 64), 0);
	assert_int_equal(kernel->held, FOREIGN);
}

static void test_ours_is_released_by_another_program(void **state)
{
	(void)state;
	kernel->foreign_releases = true;
	assert_int_equal(ask("old", 0, 64), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "has released the metadata snapshot of thin pool vg/tp"));
	assert_nothing_left();
	kernel->foreign_releases = false;
	assert_int_equal(ask("old", 0, 64), 0);
}

/* What a process that died has marked, and what there is then. */
static void test_marks(void **state)
{
	static const struct {
		const char *mark;
		uint64_t held;
		bool released;
	} rows[] = {
		{ "", 51, true },    { "51", 51, true },       { "5", 51, false },
		{ NULL, 51, false }, { "nonsense", 51, true }, { "51", 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		kernel->held = rows[i].held;
		kernel->released = 0;
		if (rows[i].mark)
			put(MARK, rows[i].mark);
		thin_free(thin);
		thin = thin_new(&lvm, &root);
		assert_int_equal(kernel->released, rows[i].released);
		assert_int_equal(kernel->held, rows[i].released ? 0 : rows[i].held);
		assert_false(root_exists(&root, MARK));
	}
}

/* A process that dies at its n-th step, for every n: the next one leaves nothing. */
static void test_death_at_each_step(void **state)
{
	unsigned left = 0, n;
	int status = -1;

	(void)state;
	for (n = 1; n < 100; n++) {
		pid_t pid;

		kernel->steps = 0;
		kernel->dies_at = n;
		pid = fork();
		if (pid == 0)
			_exit(ask("old", 0, 64) == 0 ? 0 : 1);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status))
			break;
		kernel->dies_at = 0;
		left += kernel->held != 0;
		thin_free(thin);
		thin = thin_new(&lvm, &root);
		assert_nothing_left();
		assert_int_equal(ask("old", 0, 64), 0);
		assert_nothing_left();
		kernel->transaction++;
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_in_range(n, 8, 99);
	assert_in_range(left, 4, 99);
}

/* As the one before, by the program that it runs. */
static void test_death_while_it_is_read(void **state)
{
	pid_t pid;

	(void)state;
	put("then", "kill -9 $PPID");
	pid = fork();
	if (pid == 0)
		_exit(ask("old", 0, 64));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(kernel->held, 51);
	put("then", "");
	assert_int_equal(ask("old", 0, 64), 0);
	assert_int_equal(kernel->released, 2);
	assert_nothing_left();
}

static void test_volumes_that_are_not_of_the_pool(void **state)
{
	static const char *const names[] = { "elsewhere", "external", "absent" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(ask(names[i], 0, 64), -1);
		assert_int_equal(err.code, ERR_INTERNAL);
		assert_non_null(strstr(err.msg, names[i]));
	}
	assert_int_equal(kernel->reserved, 0);
}

static void *ask_once(void *unused)
{
	const struct thin_query query = { .name = "new", .base_name = "old", .size_bytes = SIZE };
	struct extent own[8];
	struct extents list = { .items = own, .max = 8 };
	struct err e = ERR_INIT;

	(void)unused;
	if (thin_extents(thin, &query, &list, &e) < 0)
		return (void *)(intptr_t)e.code;
	return list.count == 3 ? NULL : (void *)(intptr_t)ERR_INTERNAL;
}

/* Some wait, and get what the first has read; one that is too many is told at once. */
static void test_several_at_once(void **state)
{
	cleanup_free char *go = xasprintf("%s/go", dir), *there = xasprintf("%s/there", dir);
	pthread_t threads[4];
	char line[8];
	void *result;
	FILE *file;

	(void)state;
	assert_int_equal(mkfifo(go, 0600), 0);
	assert_int_equal(mkfifo(there, 0600), 0);
	put("then", "echo >$dir/there; read go <$dir/go || :");
	sem_init(&arrivals, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, ask_once, NULL), 0);
		sem_wait(&arrivals);
	}
	file = fopen(there, "r");
	assert_non_null(fgets(line, sizeof(line), file));
	fclose(file);
	assert_int_equal(ask("old", 0, 64), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "4 calls read the metadata of thin pool vg/tp"));
	fclose(fopen(go, "w"));
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_null(result);
	}
	assert_int_equal(runs(), 1);
	assert_nothing_left();
}

static void test_a_turn_that_does_not_come(void **state)
{
	(void)state;
	no_turn = true;
	assert_int_equal(ask("old", 0, 64), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "is being read by another call"));
	no_turn = false;
	assert_int_equal(ask("old", 0, 64), 0);
}

/* --- what each has alone ---------------------------------------------------------------------- */

/* Of one since a moment; -1: it is not told, -2: an error. */
static int64_t own_of(const char *name, uint64_t since_ns)
{
	uint64_t bytes = 0;
	int r;

	err = ERR_INIT;
	r = thin_own(thin, name, since_ns, &bytes, &err);
	return r > 0 ? (int64_t)bytes : r - 1;
}

static void test_own(void **state)
{
	uint64_t now = clock_now_ns();

	(void)state;
	put("out", "2 65536 \n3 0 \n");
	assert_int_equal(own_of("old", now), CHUNK);
	assert_int_equal(own_of("new", now), 0);
	assert_int_equal(own_of("snap4", now), -1);
	assert_int_equal(own_of("elsewhere", now), -2);
	assert_int_equal(own_of("absent", now), -2);
	assert_int_equal(kernel->released, 1);
	assert_nothing_left();
	assert_ran("--metadata-snap --no-headers --format DEV,EXCLUSIVE_BYTES "
		   "/dev/mapper/vg-tp_tmeta\n");
	/* Each question anew. */
	put("out", "2 131072 \n3 0 \n");
	assert_int_equal(own_of("old", now), CHUNK);
	assert_int_equal(own_of("old", clock_now_ns()), 2 * CHUNK);
	assert_int_equal(runs(), 2);
	assert_nothing_left();
}

/* Not even tried again for the others of the same list, and the log has it once. */
static void test_own_that_is_not_told(void **state)
{
	static const char *const reasons[] = { "another program", "failed with status 1",
					       "more than half full", "by another call" };
	static struct lines lines;
	uint64_t since = clock_now_ns();

	(void)state;
	lines_begin(&lines);
	put("out", "2 65536 \n3 0 \n");
	kernel->held = FOREIGN;
	for (unsigned i = 0; i < 3; i++) {
		since = clock_now_ns();
		assert_int_equal(own_of("old", since), -1);
		assert_int_equal(own_of("new", since), -1);
	}
	assert_int_equal(runs(), 0);
	assert_int_equal(kernel->held, FOREIGN);
	kernel->held = 0;
	assert_int_equal(own_of("new", since), -1);
	put("then", "exit 1");
	for (unsigned i = 0; i < 2; i++) {
		since = clock_now_ns();
		assert_int_equal(own_of("old", since), -1);
		assert_int_equal(own_of("new", since), -1);
	}
	assert_int_equal(runs(), 2);
	assert_nothing_left();
	kernel->used = 513;
	assert_int_equal(own_of("old", clock_now_ns()), -1);
	kernel->used = 512;
	no_turn = true;
	since = clock_now_ns();
	assert_int_equal(own_of("old", since), -1);
	no_turn = false;
	assert_int_equal(own_of("old", since), -1);
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		assert_int_equal(
			lines_count(&lines, (const char *[]) { "is not known", reasons[i] }, 2), 1);
	assert_int_equal(lines_count(&lines, (const char *[]) { "is not known" }, 1),
			 ARRAY_SIZE(reasons));
	put("then", "");
	assert_int_equal(own_of("old", clock_now_ns()), CHUNK);
	lines_end(&lines);
}

static void test_death_while_own_is_read(void **state)
{
	pid_t pid;

	(void)state;
	put("out", "2 65536 \n");
	put("then", "kill -9 $PPID");
	pid = fork();
	if (pid == 0)
		_exit(own_of("old", 1) == 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(kernel->held, 51);
	put("then", "");
	assert_int_equal(own_of("old", 1), CHUNK);
	assert_int_equal(kernel->released, 2);
	assert_nothing_left();
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_differs),
		CASE(test_what_a_volume_has),
		CASE(test_pages),
		CASE(test_what_was_read_serves_no_other),
		CASE(test_streams_side_by_side),
		CASE(test_room),
		CASE(test_nothing_differs_from_itself),
		CASE(test_more_than_is_kept),
		CASE(test_failures_leave_nothing),
		CASE(test_release_that_fails),
		CASE(test_that_of_another_program),
		CASE(test_ours_is_released_by_another_program),
		CASE(test_marks),
		CASE(test_death_at_each_step),
		CASE(test_death_while_it_is_read),
		CASE(test_volumes_that_are_not_of_the_pool),
		CASE(test_several_at_once),
		CASE(test_a_turn_that_does_not_come),
		CASE(test_own),
		CASE(test_own_that_is_not_told),
		CASE(test_death_while_own_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
