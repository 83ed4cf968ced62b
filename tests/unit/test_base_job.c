/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that hang: who waits, who joins, who is turned away, and what is left behind. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "nvme/base/job.h"

/* What the jobs of a test share: they count themselves in, and wait until they are let go. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int begun;
	int waiting; /* how often a caller looked whether it was cancelled */
	int freed;
	bool let_go;
	bool cancel;
} hall = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static struct jobs *jobs;

static int setup(void **state)
{
	(void)state;
	hall.begun = hall.waiting = hall.freed = 0;
	hall.let_go = hall.cancel = false;
	jobs = jobs_new();
	return 0;
}

static void count(int *counter)
{
	pthread_mutex_lock(&hall.lock);
	++*counter;
	pthread_cond_broadcast(&hall.changed);
	pthread_mutex_unlock(&hall.lock);
}

static void await(const int *counter, int value)
{
	pthread_mutex_lock(&hall.lock);
	while (*counter < value)
		pthread_cond_wait(&hall.changed, &hall.lock);
	pthread_mutex_unlock(&hall.lock);
}

static void let_go(void)
{
	pthread_mutex_lock(&hall.lock);
	hall.let_go = true;
	pthread_cond_broadcast(&hall.changed);
	pthread_mutex_unlock(&hall.lock);
}

static int teardown(void **state)
{
	(void)state;
	/* One that nobody waited for must not begin in the next test. */
	let_go();
	jobs_drain(jobs, deadline_none());
	jobs_free(jobs);
	return 0;
}

static int hang(void *argument, struct err *err)
{
	job_doing("hang on %s", (const char *)argument);
	count(&hall.begun);
	pthread_mutex_lock(&hall.lock);
	while (!hall.let_go)
		pthread_cond_wait(&hall.changed, &hall.lock);
	pthread_mutex_unlock(&hall.lock);
	if (strcmp(argument, "bad") == 0)
		return err_set(err, ERR_NOT_FOUND, "it is bad");
	return 0;
}

static void take_away(void *argument)
{
	free(argument);
	count(&hall.freed);
}

/* A request that hangs on the device of that name. */
static struct job_work hanging(const char *key, const char *request, const char *device)
{
	return (struct job_work) { .key = key,
				   .request = request,
				   .run = hang,
				   .argument = xstrdup(device),
				   .free_argument = take_away };
}

static bool is_cancelled(void *context)
{
	bool cancel;

	(void)context;
	pthread_mutex_lock(&hall.lock);
	hall.waiting++;
	cancel = hall.cancel;
	pthread_cond_broadcast(&hall.changed);
	pthread_mutex_unlock(&hall.lock);
	return cancel;
}

struct caller {
	pthread_t thread;
	struct job_work work;
	int rc;
	struct err err;
};

static void *caller_main(void *data)
{
	struct job_wait wait = { .deadline = deadline_none(), .cancelled = is_cancelled };
	struct caller *caller = data;

	caller->rc = job_run(jobs, &caller->work, &wait, &caller->err);
	return NULL;
}

static void caller_begin(struct caller *caller, struct job_work work)
{
	*caller = (struct caller) { .work = work, .rc = 77 };
	assert_int_equal(pthread_create(&caller->thread, NULL, caller_main, caller), 0);
}

static void caller_end(struct caller *caller)
{
	pthread_join(caller->thread, NULL);
}

static int run_until(struct job_work work, struct deadline deadline, struct err *err)
{
	struct job_wait wait = { .deadline = deadline };

	*err = ERR_INIT;
	return job_run(jobs, &work, &wait, err);
}

static void says(const struct err *err, enum err_code code, const char *part)
{
	assert_int_equal(err->code, code);
	if (!strstr(err->msg, part))
		fail_msg("\"%s\" does not say \"%s\"", err->msg, part);
}

static void test_result(void **state)
{
	struct err err;

	(void)state;
	let_go();
	assert_int_equal(run_until(hanging("k", "thing", "good"), deadline_none(), &err), 0);
	assert_int_equal(err.code, ERR_NONE);
	assert_int_equal(run_until(hanging("k", "thing", "bad"), deadline_none(), &err), -1);
	says(&err, ERR_NOT_FOUND, "it is bad");
	assert_int_equal(hall.freed, 2);
}

/* A caller may be gone because its time is over: then that is what it is told. */
static void test_deadline_of_a_caller_that_is_gone(void **state)
{
	const struct job_wait wait = { .deadline = deadline_after_ms(0),
				       .cancelled = is_cancelled };
	const struct job_work work = hanging("k", "thing", "disk");
	struct err err = ERR_INIT;

	(void)state;
	hall.cancel = true;
	assert_int_equal(job_run(jobs, &work, &wait, &err), -1);
	says(&err, ERR_DEADLINE_EXCEEDED, "the thing is not done yet");
	await(&hall.waiting, 1);
}

/* The job outlives its caller, says what it does, and whoever asks for the same joins it. */
static void test_deadline_and_join(void **state)
{
	struct caller retry;
	struct err err;

	(void)state;
	assert_int_equal(run_until(hanging("k", "mending of a", "bad"), deadline_after_ms(0), &err),
			 -1);
	says(&err, ERR_DEADLINE_EXCEEDED, "it goes on, call again");
	await(&hall.begun, 1);
	assert_int_equal(
		run_until(hanging("k", "mending of a", "bad"), deadline_after_ms(20), &err), -1);
	says(&err, ERR_DEADLINE_EXCEEDED, "the mending of a is not done yet: hang on bad, for ");
	caller_begin(&retry, hanging("k", "mending of a", "bad"));
	await(&hall.waiting, 1);
	let_go();
	caller_end(&retry);
	assert_int_equal(retry.rc, -1);
	says(&retry.err, ERR_NOT_FOUND, "it is bad");
	assert_int_equal(hall.begun, 1);
	assert_int_equal(hall.freed, 3);
}

static void copy_text(const void *argument, void *ret)
{
	strcpy(ret, argument);
}

/* Who joins gets what the first one's work found out; who leaves, and who fails, nothing. */
static void test_take(void **state)
{
	char first[8] = "none", joined[8] = "none", bad[8] = "none";
	struct job_wait wait = { .deadline = deadline_after_ms(0),
				 .take = copy_text,
				 .ret = first };
	struct job_work work = hanging("k", "reading of a", "first");
	struct caller helper;
	struct err err;

	(void)state;
	assert_int_equal(job_run(jobs, &work, &wait, &err), -1);
	await(&hall.begun, 1);
	caller_begin(&helper, hanging("k", "reading of a", "third"));
	await(&hall.waiting, 1);
	let_go();
	work = hanging("k", "reading of a", "first");
	wait = (struct job_wait) { .deadline = deadline_none(), .take = copy_text, .ret = joined };
	assert_int_equal(job_run(jobs, &work, &wait, &err), 0);
	caller_end(&helper);
	assert_string_equal(joined, "first");
	assert_string_equal(first, "none");
	work = hanging("k", "reading of b", "bad");
	wait.ret = bad;
	assert_int_equal(job_run(jobs, &work, &wait, &err), -1);
	assert_string_equal(bad, "none");
	assert_int_equal(hall.freed, 4);
}

static void test_describe(void **state)
{
	char text[512] = "?";
	struct err err;

	(void)state;
	assert_int_equal(jobs_describe(jobs, 0, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(run_until(hanging("k", "mending of a", "x"), deadline_after_ms(0), &err),
			 -1);
	await(&hall.begun, 1);
	assert_int_equal(jobs_describe(jobs, 60000, text, sizeof(text)), 0);
	assert_int_equal(jobs_describe(jobs, 0, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "the mending of a: hang on x, for "));
	assert_int_equal(run_until(hanging("l", "tearing of b", "y"), deadline_after_ms(0), &err),
			 -1);
	await(&hall.begun, 2);
	assert_int_equal(jobs_describe(jobs, 0, text, sizeof(text)), 2);
	assert_non_null(strstr(text, "; the "));
}

static struct job_work detailed(const char *details)
{
	struct job_work work = hanging("k", "mending of a", "good");

	work.details = details;
	return work;
}

/* Details tell requests apart and are never shown. */
static void test_details(void **state)
{
	static const char *const other[] = { "password=b", NULL };
	struct err err;

	(void)state;
	assert_int_equal(run_until(detailed("password=a"), deadline_after_ms(0), &err), -1);
	says(&err, ERR_DEADLINE_EXCEEDED, "mending of a");
	assert_null(strstr(err.msg, "password"));
	assert_int_equal(run_until(detailed("password=a"), deadline_after_ms(0), &err), -1);
	says(&err, ERR_DEADLINE_EXCEEDED, "it goes on");
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		assert_int_equal(run_until(detailed(other[i]), deadline_none(), &err), -1);
		says(&err, ERR_ABORTED, "busy with the mending of a");
		assert_null(strstr(err.msg, "password"));
	}
	let_go();
	assert_int_equal(jobs_drain(jobs, deadline_none()), 0);
}

static void test_cancel(void **state)
{
	struct caller caller;
	struct err err;

	(void)state;
	caller_begin(&caller, hanging("k", "mending of a", "good"));
	await(&hall.begun, 1);
	await(&hall.waiting, 1);
	pthread_mutex_lock(&hall.lock);
	hall.cancel = true;
	pthread_mutex_unlock(&hall.lock);
	jobs_wake(jobs);
	caller_end(&caller);
	assert_int_equal(caller.rc, -1);
	says(&caller.err, ERR_CANCELLED, "hang on good");
	let_go();
	assert_int_equal(run_until(hanging("k", "mending of a", "good"), deadline_none(), &err), 0);
}

static void test_busy(void **state)
{
	struct job_work both = hanging("k", "mending of a", "good");
	struct caller caller;
	struct err err;

	(void)state;
	both.also = "volume v";
	caller_begin(&caller, both);
	await(&hall.begun, 1);
	assert_int_equal(run_until(hanging("k", "breaking of a", "x"), deadline_none(), &err), -1);
	says(&err, ERR_ABORTED, "k is busy with the mending of a: hang on good, for ");
	assert_int_equal(run_until(hanging("volume v", "other", "x"), deadline_none(), &err), -1);
	says(&err, ERR_ABORTED, "volume v is busy with the mending of a");
	both = hanging("l", "third", "x");
	both.also = "volume v";
	assert_int_equal(run_until(both, deadline_none(), &err), -1);
	says(&err, ERR_ABORTED, "volume v is busy");
	assert_int_equal(hall.freed, 3);
	/* Others are not delayed. */
	assert_int_equal(run_until(hanging("l", "other", "x"), deadline_after_ms(0), &err), -1);
	says(&err, ERR_DEADLINE_EXCEEDED, "other");
	let_go();
	caller_end(&caller);
	assert_int_equal(caller.rc, 0);
	assert_int_equal(run_until(hanging("k", "breaking of a", "x"), deadline_none(), &err), 0);
}

/* Nobody waited for the first result; the next caller begins anew. */
static void test_dropped(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(run_until(hanging("k", "thing", "bad"), deadline_after_ms(0), &err), -1);
	let_go();
	assert_int_equal(jobs_drain(jobs, deadline_none()), 0);
	assert_int_equal(hall.begun, 1);
	jobs_free(jobs);
	jobs = jobs_new();
	assert_int_equal(run_until(hanging("k", "thing", "good"), deadline_none(), &err), 0);
	assert_int_equal(hall.begun, 2);
}

static void test_drained(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(jobs_drain(jobs, deadline_none()), 0);
	assert_int_equal(run_until(hanging("k", "thing", "good"), deadline_none(), &err), -1);
	says(&err, ERR_UNAVAILABLE, "the thing is not begun: shutting down");
	assert_int_equal(hall.begun, 0);
	assert_int_equal(hall.freed, 1);
}

/* A job that is left behind is named, and touches nothing that is gone when it wakes up. */
static void test_left_behind(void **state)
{
	int log = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	char line[1024] = "";
	struct err err;

	(void)state;
	assert_int_equal(run_until(hanging("k", "thing", "good"), deadline_after_ms(0), &err), -1);
	await(&hall.begun, 1);
	dup2(log, STDERR_FILENO);
	assert_int_equal(jobs_drain(jobs, deadline_after_ms(20)), 1);
	dup2(saved, STDERR_FILENO);
	assert_true(pread(log, line, sizeof(line) - 1, 0) > 0);
	close(log);
	close(saved);
	assert_non_null(strstr(line, "left running"));
	assert_non_null(strstr(line, "thing"));
	assert_non_null(strstr(line, "hang on good"));
	jobs_free(jobs);
	let_go();
	await(&hall.freed, 1);
	jobs = jobs_new();
}

static int run_inner(void *argument, struct err *err)
{
	struct job_wait wait = { .deadline = deadline_none() };
	struct job_work work = hanging(argument, "inner", "bad");

	job_doing("the inner one");
	return job_run(jobs, &work, &wait, err);
}

static void test_job_in_job(void **state)
{
	char inner[] = "inner key", outer[] = "outer key";
	struct job_work work = {
		.key = outer, .request = "outer", .run = run_inner, .argument = inner
	};
	struct err err;

	(void)state;
	let_go();
	job_doing("nothing: this is no job");
	assert_int_equal(run_until(work, deadline_none(), &err), -1);
	says(&err, ERR_NOT_FOUND, "it is bad");
	/* It cannot wait for itself. */
	work.argument = outer;
	assert_int_equal(run_until(work, deadline_none(), &err), -1);
	says(&err, ERR_ABORTED, "outer key is busy with the outer: the inner one");
}

/* Works on the key in the midst of it, too; "shy": gives up at once. */
static int run_holding(void *argument, struct err *err)
{
	bool shy = strcmp(argument, "shy") == 0;

	count(&hall.waiting);
	if (job_hold("part", shy ? deadline_after_ms(0) : deadline_none(), err) < 0)
		return -1;
	hang(argument, err);
	job_let_go();
	return 0;
}

static struct job_work holding(const char *key, char *how)
{
	return (struct job_work) { .key = key, .request = key, .run = run_holding, .argument = how };
}

static void test_hold(void **state)
{
	struct caller first;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(job_hold("part", deadline_none(), &err), 0); /* this is no job */
	caller_begin(&first, holding("first", "good"));
	await(&hall.begun, 1);
	assert_int_equal(run_until(hanging("part", "breaking", "x"), deadline_none(), &err), -1);
	says(&err, ERR_ABORTED, "part is busy with the first: hang on good, for ");
	assert_int_equal(run_until(holding("third", "shy"), deadline_none(), &err), -1);
	says(&err, ERR_ABORTED, "part is busy with the first: hang on good, for ");
	assert_int_equal(run_until(holding("second", "good"), deadline_after_ms(0), &err), -1);
	says(&err, ERR_DEADLINE_EXCEEDED, "the second is not done yet: ");
	assert_int_equal(hall.begun, 1);
	let_go();
	caller_end(&first);
	assert_int_equal(first.rc, 0);
	await(&hall.begun, 2);
}

static int hold_to_the_end(void *argument, struct err *err)
{
	return job_hold(argument, deadline_none(), err);
}

/* What is not let go of goes with the job. */
static void test_hold_to_the_end(void **state)
{
	struct job_work work = {
		.key = "k", .request = "r", .run = hold_to_the_end, .argument = "part"
	};
	struct err err;

	(void)state;
	let_go();
	assert_int_equal(run_until(work, deadline_none(), &err), 0);
	assert_int_equal(run_until(hanging("part", "mending", "good"), deadline_none(), &err), 0);
}

/* Then it goes on with what it has not said yet. */
static int hold_silently(void *argument, struct err *err)
{
	(void)argument;
	if (job_hold("part", deadline_none(), err) < 0)
		return -1;
	count(&hall.freed);
	pthread_mutex_lock(&hall.lock);
	while (!hall.cancel)
		pthread_cond_wait(&hall.changed, &hall.lock);
	pthread_mutex_unlock(&hall.lock);
	return 0;
}

static void test_hold_said(void **state)
{
	struct job_work silent = { .key = "x", .request = "silent", .run = hold_silently };
	struct caller first;
	struct err err = ERR_INIT;

	(void)state;
	caller_begin(&first, holding("first", "good"));
	await(&hall.begun, 1);
	/* It may take a while until it begins. */
	for (int i = 0; i < 1000 && !strstr(err.msg, "wait for"); i++)
		assert_int_equal(run_until(silent, deadline_after_ms(10), &err), -1);
	says(&err, ERR_DEADLINE_EXCEEDED,
	     "the silent is not done yet: wait for part, which the first has, for ");
	let_go();
	caller_end(&first);
	await(&hall.freed, 1);
	assert_int_equal(run_until(hanging("part", "r", "good"), deadline_none(), &err), -1);
	says(&err, ERR_ABORTED, "part is busy with the silent: go on with part, for ");
	pthread_mutex_lock(&hall.lock);
	hall.cancel = true;
	pthread_cond_broadcast(&hall.changed);
	pthread_mutex_unlock(&hall.lock);
}

/* Each adds to one figure that nothing else guards. */
static int add_holding(void *argument, struct err *err)
{
	for (int i = 0; i < 1000; i++) {
		if (job_hold("part", deadline_none(), err) < 0)
			return -1;
		++*(int *)argument;
		job_let_go();
	}
	return 0;
}

static void test_hold_in_turn(void **state)
{
	static const char *const keys[] = { "a", "b", "c", "d" };
	struct caller callers[ARRAY_SIZE(keys)];
	int sum = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		caller_begin(&callers[i], (struct job_work) { .key = keys[i],
							      .request = keys[i],
							      .run = add_holding,
							      .argument = &sum });
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		caller_end(&callers[i]);
		assert_int_equal(callers[i].rc, 0);
	}
	assert_int_equal(sum, 1000 * ARRAY_SIZE(keys));
}

#define CONTENDERS 8
#define ROUNDS 200

static struct contest {
	int plain[4]; /* guarded by nothing but the keys */
	atomic_int aborted;
} contest;

static int add(void *argument, struct err *err)
{
	(void)err;
	++*(int *)argument;
	return 0;
}

static void *contender(void *data)
{
	struct job_wait wait = { .deadline = deadline_none() };

	for (int i = 0; i < ROUNDS; i++) {
		char key[16], request[64];
		struct job_work work = { .key = key, .request = request, .run = add };
		struct err err = ERR_INIT;

		snprintf(key, sizeof(key), "key-%d", i % 4);
		snprintf(request, sizeof(request), "%p-%d", data, i);
		work.argument = &contest.plain[i % 4];
		if (job_run(jobs, &work, &wait, &err) < 0)
			atomic_fetch_add(&contest.aborted, err.code == ERR_ABORTED ? 1 : 1000000);
	}
	return NULL;
}

static void test_contest(void **state)
{
	pthread_t threads[CONTENDERS];
	int sum = 0;

	(void)state;
	contest = (struct contest) { 0 };
	for (int i = 0; i < CONTENDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, contender, (void *)(uintptr_t)i),
				 0);
	for (int i = 0; i < CONTENDERS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 4; i++)
		sum += contest.plain[i];
	assert_int_equal(sum + contest.aborted, CONTENDERS * ROUNDS);
}

static int note_thread(void *argument, struct err *err)
{
	(void)err;
	*(pid_t *)argument = gettid();
	return 0;
}

/* A thread that is done takes the next job; one that is busy does not. */
static void test_thread_is_used_again(void **state)
{
	const struct job_wait wait = { .deadline = deadline_none() };
	struct caller caller;
	struct err err;
	pid_t threads[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		const struct job_work work = { .key = "thread",
					       .request = "note",
					       .run = note_thread,
					       .argument = &threads[i] };

		if (i == 2) {
			caller_begin(&caller, hanging("disk", "stage", "disk"));
			await(&hall.begun, 1);
		}
		assert_int_equal(job_run(jobs, &work, &wait, &err), 0);
	}
	assert_int_equal(threads[0], threads[1]);
	assert_int_not_equal(threads[1], threads[2]);
	assert_int_equal(threads[2], threads[3]);
	let_go();
	caller_end(&caller);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_result),
		TEST(test_deadline_of_a_caller_that_is_gone),
		TEST(test_deadline_and_join),
		TEST(test_cancel),
		TEST(test_busy),
		TEST(test_dropped),
		TEST(test_drained),
		TEST(test_left_behind),
		TEST(test_job_in_job),
		TEST(test_hold),
		TEST(test_hold_to_the_end),
		TEST(test_hold_said),
		TEST(test_hold_in_turn),
		TEST(test_contest),
		TEST(test_take),
		TEST(test_describe),
		TEST(test_details),
		TEST(test_thread_is_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
