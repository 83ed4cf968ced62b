/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: one lock, one condition, one list of what runs. */
#include "nvme/base/job.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/log.h"
#include "nvme/base/strb.h"

#define STACK_BYTES (512 * 1024)
#define IDLE_MS 10000 /* how long a thread waits for another job */

struct job {
	struct job *next;
	struct jobs *jobs;
	char *key, *also, *request, *details;
	char *held; /* what job_hold took; NULL: nothing */
	int (*run)(void *argument, struct err *err);
	void *argument;
	void (*free_argument)(void *argument);
	char doing[JOB_DOING_SIZE];
	uint64_t doing_since_ns;
	size_t refs; /* its thread, and whoever waits */
	bool done;
	int rc;
	struct err err;
};

/* A thread that waits for another job; on its stack. */
struct idle {
	struct idle *next;
	pthread_cond_t wake;
	struct job *job;
};

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a job ended, or a caller may have been cancelled */
	struct job *running;
	struct idle *idle; /* the latest first, so that what was needed once in a while ends */
	size_t refs;	   /* the owner, and each thread */
	bool draining;
	bool freed; /* by the owner: no job will come */
};

static _Thread_local struct job *current;

struct jobs *jobs_new(void)
{
	struct jobs *jobs = xcalloc(1, sizeof(*jobs));

	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->changed, NULL);
	jobs->refs = 1;
	return jobs;
}

/* Called with the lock held, which it releases. */
static void unref(struct jobs *jobs)
{
	bool last = --jobs->refs == 0;

	pthread_mutex_unlock(&jobs->lock);
	if (!last)
		return;
	pthread_cond_destroy(&jobs->changed);
	pthread_mutex_destroy(&jobs->lock);
	free(jobs);
}

void jobs_free(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->lock);
	jobs->freed = true;
	for (struct idle *idle = jobs->idle; idle; idle = idle->next)
		pthread_cond_signal(&idle->wake);
	unref(jobs);
}

void jobs_wake(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->lock);
	pthread_cond_broadcast(&jobs->changed);
	pthread_mutex_unlock(&jobs->lock);
}

static struct job *job_new(struct jobs *jobs, const struct job_work *work)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->jobs = jobs;
	job->key = xstrdup(work->key);
	job->also = work->also ? xstrdup(work->also) : NULL;
	job->request = xstrdup(work->request);
	job->details = xstrdup(work->details ?: "");
	job->run = work->run;
	job->argument = work->argument;
	job->free_argument = work->free_argument;
	strcpy(job->doing, "beginning");
	job->doing_since_ns = clock_now_ns();
	job->refs = 1;
	return job;
}

static void free_argument(void (*destructor)(void *argument), void *argument)
{
	if (destructor)
		destructor(argument);
}

/* With the lock held, if anybody else may know the job. */
static void job_unref(struct job *job)
{
	if (--job->refs)
		return;
	free_argument(job->free_argument, job->argument);
	free(job->key);
	free(job->also);
	free(job->held);
	free(job->request);
	free(job->details);
	free(job);
}

/* With the lock held. */
__attribute__((format(printf, 2, 0))) static void vsay(struct job *job, const char *format,
						       va_list args)
{
	vsnprintf(job->doing, sizeof(job->doing), format, args);
	job->doing_since_ns = clock_now_ns();
}

__attribute__((format(printf, 2, 3))) static void say(struct job *job, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsay(job, format, args);
	va_end(args);
}

void job_doing(const char *format, ...)
{
	va_list args;

	if (!current)
		return;
	va_start(args, format);
	pthread_mutex_lock(&current->jobs->lock);
	vsay(current, format, args);
	pthread_mutex_unlock(&current->jobs->lock);
	va_end(args);
}

static void log_end(const struct job *job)
{
	if (job->rc < 0)
		log_warning("failed after its callers had left", KV("request", job->request),
			    KV_ERR(&job->err));
	else
		log_info("done after its callers had left", KV("request", job->request));
}

/* Returns with the lock held. */
static void run_job(struct job *job)
{
	struct jobs *jobs = job->jobs;
	struct job **link;
	struct err err = ERR_INIT;
	bool heard;
	int rc;

	current = job;
	rc = job->run(job->argument, &err);
	current = NULL;
	pthread_mutex_lock(&jobs->lock);
	for (link = &jobs->running; *link != job; link = &(*link)->next)
		;
	*link = job->next;
	job->rc = rc;
	job->err = err;
	job->done = true;
	heard = job->refs > 1;
	if (!heard) {
		free_argument(job->free_argument, job->argument);
		job->free_argument = NULL;
	} else {
		job_unref(job);
	}
	pthread_cond_broadcast(&jobs->changed);
	if (heard)
		return;
	/* Nobody else knows it any more. */
	pthread_mutex_unlock(&jobs->lock);
	log_end(job);
	job_unref(job);
	pthread_mutex_lock(&jobs->lock);
}

/* Waits for a job; NULL: the thread is to end. With the lock held. */
static struct job *next_job(struct jobs *jobs)
{
	struct timespec until = deadline_timespec(deadline_after_ms(IDLE_MS));
	struct idle self = { .next = jobs->idle }, **link;
	int rc = 0;

	pthread_cond_init(&self.wake, NULL);
	jobs->idle = &self;
	while (!self.job && !jobs->freed && rc != ETIMEDOUT)
		rc = pthread_cond_clockwait(&self.wake, &jobs->lock, CLOCK_MONOTONIC, &until);
	if (!self.job) {
		for (link = &jobs->idle; *link != &self; link = &(*link)->next)
			;
		*link = self.next;
	}
	pthread_cond_destroy(&self.wake);
	return self.job;
}

static void *thread_main(void *data)
{
	struct job *job = data;
	struct jobs *jobs = job->jobs;

	do {
		run_job(job);
		job = next_job(jobs);
		if (job)
			pthread_mutex_unlock(&jobs->lock);
	} while (job);
	unref(jobs);
	return NULL;
}

/* Gives the job to a thread that waits, or to a new one. */
static int start_thread(struct job *job, struct err *err)
{
	struct jobs *jobs = job->jobs;
	struct idle *idle = jobs->idle;
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (idle) {
		jobs->idle = idle->next;
		idle->job = job;
		pthread_cond_signal(&idle->wake);
		return 0;
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, thread_main, job);
	pthread_attr_destroy(&attr);
	if (rc == 0) {
		jobs->refs++;
		return 0;
	}
	err_sys(err, rc, "no thread for the %.300s", job->request);
	return err_recode(err, ERR_UNAVAILABLE);
}

/* With the lock held, as the rest up to job_run; the new thread waits for it to be listed. */
static struct job *start(struct jobs *jobs, const struct job_work *work, struct err *err)
{
	struct job *job;

	if (jobs->draining) {
		err_set(err, ERR_UNAVAILABLE, "the %.300s is not begun: shutting down",
			work->request);
		return NULL;
	}
	job = job_new(jobs, work);
	if (start_thread(job, err) < 0) {
		job->free_argument = NULL; /* job_run has it still */
		job_unref(job);
		return NULL;
	}
	job->next = jobs->running;
	jobs->running = job;
	return job;
}

static bool holds(const struct job *job, const char *key)
{
	return key && (strcmp(job->key, key) == 0 || (job->also && strcmp(job->also, key) == 0) ||
		       (job->held && strcmp(job->held, key) == 0));
}

static struct job *find_holder(const struct jobs *jobs, const struct job_work *work)
{
	struct job *job = jobs->running;

	while (job && !holds(job, work->key) && !holds(job, work->also))
		job = job->next;
	return job;
}

static bool is_same(const struct job *job, const struct job_work *work)
{
	return strcmp(job->request, work->request) == 0 &&
	       strcmp(job->details, work->details ?: "") == 0;
}

static double seconds_since(uint64_t ns)
{
	return (double)(clock_now_ns() - ns) / (double)NS_PER_S;
}

static int refuse(const struct job *job, const char *key, struct err *err)
{
	return err_set(err, ERR_ABORTED, "%s is busy with the %.300s: %s, for %.1f s now", key,
		       job->request, job->doing, seconds_since(job->doing_since_ns));
}

static int await(struct jobs *jobs, const struct job *job, const struct job_wait *wait,
		 struct err *err)
{
	struct timespec until = deadline_timespec(wait->deadline);
	bool cancelled = false;
	int rc = 0;

	while (!job->done && rc != ETIMEDOUT) {
		cancelled = wait->cancelled && wait->cancelled(wait->context);
		if (cancelled)
			break;
		rc = pthread_cond_clockwait(&jobs->changed, &jobs->lock, CLOCK_MONOTONIC, &until);
	}
	/* A call whose time is over may count as cancelled as well. */
	if (!job->done)
		return err_set(err,
			       cancelled && !deadline_passed(wait->deadline) ?
				       ERR_CANCELLED :
				       ERR_DEADLINE_EXCEEDED,
			       "the %.300s is not done yet: %s, for %.1f s now; it goes on, call "
			       "again for its result",
			       job->request, job->doing, seconds_since(job->doing_since_ns));
	if (job->rc < 0)
		*err = job->err;
	else if (wait->take)
		wait->take(job->argument, wait->ret);
	return job->rc;
}

int job_run(struct jobs *jobs, const struct job_work *work, const struct job_wait *wait,
	    struct err *err)
{
	struct job *holder, *job = NULL;
	int rc = -1;

	pthread_mutex_lock(&jobs->lock);
	holder = find_holder(jobs, work);
	if (!holder)
		job = start(jobs, work, err);
	else if (is_same(holder, work))
		job = holder;
	else
		refuse(holder, holds(holder, work->key) ? work->key : work->also, err);
	if (job) {
		job->refs++;
		rc = await(jobs, job, wait, err);
		job_unref(job);
	}
	pthread_mutex_unlock(&jobs->lock);
	if (holder || !job)
		free_argument(work->free_argument, work->argument);
	return rc;
}

static struct job *find_other(const struct job *self, const char *key)
{
	struct job *job = self->jobs->running;

	while (job && (job == self || !holds(job, key)))
		job = job->next;
	return job;
}

/* Returns who still has the key at the deadline; NULL: nobody. With the lock held. */
static const struct job *await_others(struct job *self, const char *key, struct deadline deadline)
{
	struct timespec until = deadline_timespec(deadline);
	const struct job *said = NULL, *other;
	int rc = 0;

	while ((other = find_other(self, key)) && rc != ETIMEDOUT) {
		if (other != said)
			say(self, "wait for %s, which the %.100s has", key, other->request);
		said = other;
		rc = pthread_cond_clockwait(&self->jobs->changed, &self->jobs->lock,
					    CLOCK_MONOTONIC, &until);
	}
	if (said && !other)
		say(self, "go on with %s", key);
	return other;
}

int job_hold(const char *key, struct deadline deadline, struct err *err)
{
	struct job *self = current;
	const struct job *other;

	if (!self)
		return 0;
	pthread_mutex_lock(&self->jobs->lock);
	other = await_others(self, key, deadline);
	if (other)
		refuse(other, key, err);
	else
		self->held = xstrdup(key);
	pthread_mutex_unlock(&self->jobs->lock);
	return other ? -1 : 0;
}

void job_let_go(void)
{
	struct job *self = current;

	if (!self)
		return;
	pthread_mutex_lock(&self->jobs->lock);
	free(steal_ptr(&self->held));
	pthread_cond_broadcast(&self->jobs->changed);
	pthread_mutex_unlock(&self->jobs->lock);
}

size_t jobs_describe(struct jobs *jobs, uint64_t longer_than_ms, char *text, size_t size)
{
	struct strb out = strb_over(text, size);
	size_t count = 0;
	uint64_t now_ns;

	pthread_mutex_lock(&jobs->lock);
	now_ns = clock_now_ns();
	for (const struct job *job = jobs->running; job; job = job->next) {
		if (now_ns - job->doing_since_ns <= longer_than_ms * NS_PER_MS)
			continue;
		strb_addf(&out, "%sthe %.300s: %s, for %.1f s now", count++ ? "; " : "",
			  job->request, job->doing, seconds_since(job->doing_since_ns));
	}
	pthread_mutex_unlock(&jobs->lock);
	return count;
}

static size_t log_left(const struct jobs *jobs)
{
	size_t left = 0;

	for (const struct job *job = jobs->running; job; job = job->next, left++)
		log_warning("left running", KV("request", job->request), KV("doing", job->doing),
			    KV_NUM("ms", (clock_now_ns() - job->doing_since_ns) / NS_PER_MS));
	return left;
}

size_t jobs_drain(struct jobs *jobs, struct deadline deadline)
{
	struct timespec until = deadline_timespec(deadline);
	size_t left;
	int rc = 0;

	pthread_mutex_lock(&jobs->lock);
	jobs->draining = true;
	while (jobs->running && rc != ETIMEDOUT)
		rc = pthread_cond_clockwait(&jobs->changed, &jobs->lock, CLOCK_MONOTONIC, &until);
	left = log_left(jobs);
	pthread_mutex_unlock(&jobs->lock);
	return left;
}
