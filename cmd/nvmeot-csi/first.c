/* SPDX-License-Identifier: Apache-2.0 */
/* The first process of a container: signals one way, ends of children the other. */
#include "cmd/nvmeot-csi/first.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nvme/base/clock.h"
#include "nvme/base/proc.h"

/*
 * Guards thaw at once when the node is gone; more than that takes only what is stuck. With what the
 * node's drain takes it is less than the pod has (the chart's terminationGracePeriodSeconds).
 */
#define LEFT_MS 11000

extern char **environ;

bool first_is_us(void)
{
	return getpid() == 1;
}

static int start(char **argv, pid_t *ret)
{
	posix_spawnattr_t attr;
	sigset_t none;
	int rc;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	rc = posix_spawn(ret, "/proc/self/exe", NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	return rc;
}

/* True: the child is among those that have ended. */
static bool reap(pid_t child, int *ret_status)
{
	bool found = false;
	int status;
	pid_t ended;

	while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
		if (ended != child)
			continue;
		*ret_status = status;
		found = true;
	}
	return found;
}

static bool has_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void await_others(const sigset_t *signals)
{
	struct deadline deadline = deadline_after_ms(LEFT_MS);
	int ignored;

	while (has_children() && !deadline_passed(deadline)) {
		int left_ms = deadline_poll_ms(deadline);
		struct timespec left = { .tv_sec = left_ms / 1000,
					 .tv_nsec = left_ms % 1000 * (long)NS_PER_MS };

		sigtimedwait(signals, NULL, &left);
		reap(0, &ignored);
	}
}

int first_run(char **argv)
{
	sigset_t signals;
	int number, status, rc;
	pid_t child;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	rc = start(argv, &child);
	if (rc) {
		fprintf(stderr, "%s: cannot run itself: %s\n", argv[0], strerror(rc));
		return EXIT_FAILURE;
	}
	/* Not the child, which has been started by now. Guards would end with us. */
	proc_spare();
	for (;;) {
		if (sigwait(&signals, &number) != 0)
			continue;
		if (number != SIGCHLD)
			kill(child, number);
		else if (reap(child, &status))
			break;
	}
	await_others(&signals);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
