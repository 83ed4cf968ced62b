/* SPDX-License-Identifier: Apache-2.0 */
/* The guard of a frozen file system, and its starter's side. */
#include "csi/volume/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/parse.h"
#include "nvme/base/proc.h"

#define ROOT_FD 3
#define CHANNEL_FD 4
#define RETRY_MS 100

/* From the guard; the other way each message is the word to thaw. */
struct word {
	enum guard_state state;
	int error;
	bool was_frozen;
};

/* --- the guard -------------------------------------------------------------------------------- */

static void say(enum guard_state state, int error, bool was_frozen)
{
	struct word word = { .state = state, .error = error, .was_frozen = was_frozen };

	/* Whoever does not hear it has ended, which the next look shows. */
	(void)!send(CHANNEL_FD, &word, sizeof(word), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What can be had of it: without, it is only less safe. */
static void harden(void)
{
	proc_spare();
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

/* Suspend counts: a machine that wakes up must not have waited in vain. */
static int start_timer(uint64_t for_ms)
{
	struct itimerspec when = { .it_value = { .tv_sec = (time_t)(for_ms / 1000),
						 .tv_nsec = (long)(for_ms % 1000 * NS_PER_MS) } };
	int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);

	if (fd >= 0 && timerfd_settime(fd, 0, &when, NULL) == 0)
		return fd;
	return -1;
}

enum end { END_NONE, END_TOLD, END_OTHER };

/* Whether it is over: told to thaw, left alone, or late. timeout_ms as poll(2) has it. */
static enum end look(int timer, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = CHANNEL_FD, .events = POLLIN },
				{ .fd = timer, .events = POLLIN } };
	char told;

	while (poll(fds, ARRAY_SIZE(fds), timeout_ms) < 0 && errno == EINTR)
		;
	if (fds[1].revents)
		return END_OTHER;
	if (!fds[0].revents)
		return END_NONE;
	return recv(CHANNEL_FD, &told, sizeof(told), MSG_DONTWAIT) > 0 ? END_TOLD : END_OTHER;
}

static int thaw(void)
{
	int error;

	/* Only a device that fails keeps it frozen then: there is nobody else to try again. */
	for (;;) {
		error = ioctl(ROOT_FD, FITHAW, 0) < 0 ? errno : 0;
		if (!error || error == EINVAL)
			return error;
		poll(NULL, 0, RETRY_MS);
	}
}

int guard_main(const char *for_ms)
{
	enum end end;
	struct err err;
	uint64_t ms;
	int timer, error;

	if (parse_u64("time", for_ms, 1, 600000, &ms, &err) < 0)
		return EXIT_FAILURE;
	harden();
	timer = start_timer(ms);
	if (timer < 0) {
		say(GUARD_FAILED, errno, false);
		return EXIT_FAILURE;
	}
	/* As much as possible while it can still be written to; what fails here fails there, too. */
	syncfs(ROOT_FD);
	if (look(timer, 0) != END_NONE) {
		say(GUARD_FAILED, 0, false);
		return EXIT_SUCCESS;
	}
	if (ioctl(ROOT_FD, FIFREEZE, 0) < 0) {
		say(GUARD_FAILED, errno, false);
		return EXIT_SUCCESS;
	}
	/* The kernel may have taken its time. */
	end = look(timer, 0);
	if (end == END_NONE) {
		say(GUARD_FROZEN, 0, true);
		end = look(timer, -1);
	}
	error = thaw();
	say(GUARD_THAWED, error, end == END_TOLD && !error);
	return EXIT_SUCCESS;
}

/* --- its starter ------------------------------------------------------------------------------ */

int guard_start(struct guard *guard, int root, int lock, uint32_t for_ms, struct err *err)
{
	cleanup_free char *time = xasprintf("%u", for_ms);
	const char *const argv[] = { "nvmeot-csi", GUARD_COMMAND, time, NULL };
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, errno, "a channel to the guard of a freeze");
	rc = proc_start("/proc/self/exe", argv, (const int[]) { root, pair[1], lock }, 3,
			&guard->pid, err);
	close(pair[1]);
	if (rc < 0) {
		close(pair[0]);
		return -1;
	}
	guard->channel = pair[0];
	guard->state = GUARD_WORKING;
	guard->error = 0;
	guard->was_frozen = false;
	return 0;
}

static bool has_ended(const struct guard *guard)
{
	return guard->state != GUARD_WORKING && guard->state != GUARD_FROZEN;
}

/* The end of its channel is its own end. */
static void hear(struct guard *guard)
{
	struct word word;
	ssize_t n = recv(guard->channel, &word, sizeof(word), MSG_DONTWAIT);

	if (n == (ssize_t)sizeof(word)) {
		guard->state = word.state;
		guard->error = word.error;
		guard->was_frozen = word.was_frozen;
	} else if (n >= 0 || (errno != EAGAIN && errno != EINTR)) {
		guard->state = GUARD_DIED;
	}
}

bool guard_wait(struct guard *guard, int wake, struct deadline deadline)
{
	struct pollfd fds[] = { { .fd = guard->channel, .events = POLLIN },
				{ .fd = wake, .events = POLLIN } };
	enum guard_state state = guard->state;

	while (!has_ended(guard)) {
		int n = poll(fds, ARRAY_SIZE(fds), deadline_poll_ms(deadline));

		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0 && fds[0].revents)
			hear(guard);
		if (guard->state != state)
			return true;
		if (n <= 0 || fds[1].revents)
			return false;
	}
	return false;
}

void guard_thaw(struct guard *guard)
{
	(void)!send(guard->channel, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void guard_kill(struct guard *guard)
{
	kill(guard->pid, SIGKILL);
	while (!has_ended(guard))
		guard_wait(guard, -1, deadline_none());
}

void guard_fini(struct guard *guard)
{
	close(guard->channel);
	while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int guard_thaw_now(int root, struct err *err)
{
	if (ioctl(root, FITHAW, 0) == 0)
		return 1;
	return errno == EINVAL ? 0 : err_sys(err, errno, "thaw");
}
