/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way to run a program: posix_spawn without a shell, in a process group of its own, with
 * stdin from /dev/null, both outputs captured, under a deadline after which the whole group is
 * killed. Secrets must never be arguments: they would be visible to every process.
 */
#ifndef NVME_BASE_PROC_H
#define NVME_BASE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "nvme/base/clock.h"
#include "nvme/base/err.h"

#define PROC_OUT_SIZE 65536
#define PROC_ERR_SIZE 4096

/* exit_code is the program's, or -1 with term_signal set when a signal ended it. */
struct proc_result {
	int exit_code;
	int term_signal;
	char out[PROC_OUT_SIZE]; /* the head of stdout, terminated */
	char err[PROC_ERR_SIZE]; /* the tail of stderr, terminated, trailing newline removed */
};

/*
 * Runs argv (argv[0] is looked up in PATH; NULL terminated) and waits for it. 0: it ran and ended,
 * whatever its exit code. -1: it could not be started (ERR_FAILED_PRECONDITION when there is no
 * such program), the deadline passed and it was killed (ERR_DEADLINE_EXCEEDED), or it could not
 * be watched (no descriptor was left for it) and was killed at once.
 */
int proc_run(const char *const argv[], struct deadline deadline, struct proc_result *ret,
	     struct err *err);

/* Who takes the output of a program while it runs. */
struct proc_reader {
	/* A piece of stdout, of any length, not terminated. False: it wants no more. Must not
	 * block. */
	bool (*take)(void *context, const char *text, size_t len);
	void *context;
};

/*
 * As proc_run, of a program that prints much: all of stdout goes to the reader, nothing into
 * ret->out. When the reader wants no more the program is killed and 0 returned, with a result that
 * says nothing about the program.
 */
int proc_feed(const char *const argv[], struct deadline deadline, const struct proc_reader *reader,
	      struct proc_result *ret, struct err *err);

/*
 * Starts the program at path and lets it be: in a session of its own, with these descriptors as 3,
 * 4 and so on, no others, and nothing to read or write to. Nobody ends it or waits for it but the
 * caller, who has to reap it.
 */
int proc_start(const char *path, const char *const argv[], const int fds[], size_t count,
	       pid_t *ret, struct err *err);

/*
 * Has the kernel spare this process when memory runs out, and those that it starts from now on. It
 * takes CAP_SYS_RESOURCE; without it nothing changes.
 */
void proc_spare(void);

#endif
