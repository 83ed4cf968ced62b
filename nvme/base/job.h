/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that may stay in the kernel for longer than its caller can wait: a hung device holds whoever
 * touches it, and no signal helps. A job runs on a thread of its own, which waits a while for
 * another one when it is done, and belongs to nobody's call. Callers wait for its result; one whose
 * time is up is told what the job is doing, and the job goes on. Who asks for the same again joins
 * it. So work has to be idempotent: a result that nobody waited for is dropped, and the next caller
 * begins anew.
 *
 * Thread-safe; everything that happens wakes whoever waits for it, nothing is polled.
 */
#ifndef NVME_BASE_JOB_H
#define NVME_BASE_JOB_H

#include <stdbool.h>
#include <stddef.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/clock.h"
#include "nvme/base/err.h"

#define JOB_DOING_SIZE 256

struct jobs;

struct jobs *jobs_new(void);

/*
 * From now on nothing is begun any more; waits for what runs. Returns how many jobs still ran at
 * the deadline: the log names each. They cannot be ended, so whatever they use has to stay, or the
 * process has to exit.
 */
size_t jobs_drain(struct jobs *jobs, struct deadline deadline);

/* Blocks for nothing: jobs that still run go on, and the last of them frees what they share. */
void jobs_free(struct jobs *jobs);

/* Every caller that waits looks again whether its call was cancelled. Never blocks. */
void jobs_wake(struct jobs *jobs);

/* What is to be done. Texts are copied. */
struct job_work {
	/* What may not be worked on twice at once, by any two jobs; the second may be NULL. */
	const char *key;
	const char *also;
	/*
	 * What is asked for, as messages and the log say it: "stage of volume a at /b". Equal texts
	 * with equal details are the same request, so everything that its success promises has to
	 * be in one of them.
	 */
	const char *request;
	const char *details; /* never shown, so it may hold secrets; NULL: none */
	/* Returns 0, or -1 with err filled. */
	int (*run)(void *argument, struct err *err);
	void *argument; /* the job's from the call of job_run on, whatever becomes of that */
	/* NULL: nothing to free. Called when no caller waits any more; must not block. */
	void (*free_argument)(void *argument);
};

/* For how long a caller waits. */
struct job_wait {
	struct deadline deadline;
	bool (*cancelled)(void *context); /* NULL: never; must not block. See jobs_wake */
	void *context;
	/*
	 * NULL, or copies what the work found out, before a success is returned: argument is that
	 * of the job that ran, which may be another caller's. Must not block.
	 */
	void (*take)(const void *argument, void *ret);
	void *ret;
};

/*
 * Begins the work, or joins the running job of the same request, and waits for its result, which it
 * returns. ERR_DEADLINE_EXCEEDED, ERR_CANCELLED: the wait is over; the message says what the job is
 * doing and since when, and it goes on. ERR_ABORTED: another request has one of the keys; the
 * message names it. ERR_UNAVAILABLE: drained already, or no thread is to be had.
 * A job may run another one, with other keys.
 */
int job_run(struct jobs *jobs, const struct job_work *work, const struct job_wait *wait,
	    struct err *err);

/*
 * How many jobs have been at their present step for longer than this; the request, the step and the
 * seconds of as many as fit into text, which is "" if there are none. Never blocks.
 */
size_t jobs_describe(struct jobs *jobs, uint64_t longer_than_ms, char *text, size_t size);

/*
 * Says what the job on whose thread this is called does from now on, before a step that may block:
 * "umount /a/b". Outside of a job it does nothing, so any code may say it.
 */
void job_doing(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * For a part of the job on whose thread this is called: nobody else works on key until job_let_go,
 * or the end of the job. Blocks while another job has the key, at the longest until the deadline:
 * ERR_ABORTED then, which names that one. A job holds one such key at a time, beside its own, which
 * it keeps while it waits: so none may wait here for a key that another began with. Outside of a
 * job it does nothing, and succeeds.
 */
int job_hold(const char *key, struct deadline deadline, struct err *err);
void job_let_go(void);

DEFINE_CLEANUP(struct jobs *, jobs_free)
#define cleanup_jobs CLEANUP(jobs_freep)

#endif
