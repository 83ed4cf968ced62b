/* SPDX-License-Identifier: Apache-2.0 */
/* The process runner. */
#include "nvme/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"

extern char **environ;

/* The two ends of the captured outputs that stay with us, and the child. */
struct child {
	pid_t pid;
	int pidfd;
	int out;
	int err;
};

static void child_fini(struct child *child)
{
	cleanup_closep(&child->pidfd);
	cleanup_closep(&child->out);
	cleanup_closep(&child->err);
}

static int spawn_with(const char *const argv[], int out, int err_fd, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, err_fd, 2);
	/* Libraries may have opened some without O_CLOEXEC. */
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawnp(ret, argv[0], &actions, &attr, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

static int reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static int child_start(const char *const argv[], struct child *child, struct err *err)
{
	int out[2] = { -1, -1 }, errs[2] = { -1, -1 };
	int rc;

	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(err, errno, "pipe for %s", argv[0]);
	if (pipe2(errs, O_CLOEXEC) < 0) {
		rc = errno;
		close(out[0]);
		close(out[1]);
		return err_sys(err, rc, "pipe for %s", argv[0]);
	}
	rc = spawn_with(argv, out[1], errs[1], &child->pid);
	close(out[1]);
	close(errs[1]);
	child->out = out[0];
	child->err = errs[0];
	if (rc) {
		err_sys(err, rc, "run %s", argv[0]);
		return rc == ENOENT ? err_recode(err, ERR_FAILED_PRECONDITION) : -1;
	}
	child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	if (child->pidfd >= 0)
		return 0;
	/* Nothing else would tell of its end. */
	rc = errno;
	kill(-child->pid, SIGKILL);
	reap(child->pid);
	return err_sys(err, rc, "watch %s, which was killed", argv[0]);
}

#define TAIL_CHUNK 1024
#define FEED_CHUNK 16384
/* What a pipe holds at most (pipe(7)), in reads of the smallest size, and one for a small rest. */
#define DRAIN_ROUNDS (65536 / TAIL_CHUNK + 1)

/* Reads what is there; keeps the head. False at end of file. */
static bool read_head(int fd, char *buf, size_t size, size_t *len)
{
	char scrap[4096];
	size_t room = size - 1 - *len;
	ssize_t n = read(fd, room ? buf + *len : scrap, room ? room : sizeof(scrap));

	if (n > 0 && room)
		*len += (size_t)n;
	return n > 0 || (n < 0 && errno == EINTR);
}

/* Reads what is there, for the reader. False at end of file; *ret_enough: it wants no more. */
static bool read_on(int fd, const struct proc_reader *reader, bool *ret_enough)
{
	char chunk[FEED_CHUNK];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	*ret_enough = n > 0 && !reader->take(reader->context, chunk, (size_t)n);
	return n > 0 || (n < 0 && errno == EINTR);
}

/* Reads what is there; keeps the tail. False at end of file. */
static bool read_tail(int fd, char *buf, size_t size, size_t *len)
{
	char chunk[TAIL_CHUNK];
	ssize_t n = read(fd, chunk, sizeof(chunk));
	size_t drop;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	if (*len + (size_t)n > size - 1) {
		drop = *len + (size_t)n - (size - 1);
		memmove(buf, buf + drop, *len - drop);
		*len -= drop;
	}
	memcpy(buf + *len, chunk, (size_t)n);
	*len += (size_t)n;
	return true;
}

enum end { END_OWN, END_ENOUGH, END_LATE };

/*
 * Collects output until the child itself has ended, the reader wants no more, or the deadline has
 * passed. Waiting for end of file alone would wait for daemons that a program left behind with our
 * pipes, and those may never be silent.
 */
static enum end collect(struct child *child, struct deadline deadline,
			const struct proc_reader *reader, struct proc_result *result)
{
	struct pollfd fds[3] = {
		{ .fd = child->out, .events = POLLIN },
		{ .fd = child->err, .events = POLLIN },
		{ .fd = child->pidfd, .events = POLLIN },
	};
	size_t out_len = 0, err_len = 0;
	bool enough = false;
	int rounds = 0;

	for (;;) {
		int n = poll(fds, 3, deadline_poll_ms(deadline));

		if (n == 0 || (n < 0 && errno != EINTR))
			return END_LATE;
		if (n < 0)
			continue;
		if (fds[0].revents &&
		    !(reader ? read_on(child->out, reader, &enough) :
			       read_head(child->out, result->out, sizeof(result->out), &out_len)))
			fds[0].fd = -1;
		if (enough)
			return END_ENOUGH;
		if (fds[1].revents &&
		    !read_tail(child->err, result->err, sizeof(result->err), &err_len))
			fds[1].fd = -1;
		if (fds[2].revents &&
		    ((!fds[0].revents && !fds[1].revents) || ++rounds > DRAIN_ROUNDS))
			break;
	}
	while (err_len && result->err[err_len - 1] == '\n')
		err_len--;
	result->err[err_len] = '\0';
	result->out[out_len] = '\0';
	return END_OWN;
}

int proc_feed(const char *const argv[], struct deadline deadline, const struct proc_reader *reader,
	      struct proc_result *ret, struct err *err)
{
	struct child child CLEANUP(child_fini) = { .pid = -1, .pidfd = -1, .out = -1, .err = -1 };
	enum end end;
	int status;

	memset(ret, 0, sizeof(*ret));
	if (child_start(argv, &child, err) < 0)
		return -1;
	end = collect(&child, deadline, reader, ret);
	if (end != END_OWN)
		kill(-child.pid, SIGKILL);
	status = reap(child.pid);
	if (end == END_LATE)
		return err_set(err, ERR_DEADLINE_EXCEEDED, "%s did not end in time and was killed",
			       argv[0]);
	ret->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	ret->term_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	return 0;
}

#define START_FDS_MAX 4

/* out_of_way: the same descriptors above all that they are going to be. */
static int start_with(const char *path, const char *const argv[], const int out_of_way[],
		      size_t count, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	posix_spawn_file_actions_init(&actions);
	for (int fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	for (size_t i = 0; i < count; i++)
		posix_spawn_file_actions_adddup2(&actions, out_of_way[i], 3 + (int)i);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3 + (int)count);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawn(ret, path, &actions, &attr, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

int proc_start(const char *path, const char *const argv[], const int fds[], size_t count,
	       pid_t *ret, struct err *err)
{
	int copies[START_FDS_MAX] = { 0 }, rc = 0;
	size_t copied = 0;

	for (; rc == 0 && copied < count && copied < START_FDS_MAX; copied++) {
		copies[copied] = fcntl(fds[copied], F_DUPFD_CLOEXEC, 3 + START_FDS_MAX);
		if (copies[copied] < 0)
			rc = errno;
	}
	if (rc == 0)
		rc = start_with(path, argv, copies, copied, ret);
	for (size_t i = 0; i < copied; i++)
		cleanup_closep(&copies[i]);
	return rc ? err_sys(err, rc, "run %s", path) : 0;
}

int proc_run(const char *const argv[], struct deadline deadline, struct proc_result *ret,
	     struct err *err)
{
	return proc_feed(argv, deadline, NULL, ret, err);
}

void proc_spare(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, "-1000", 5);
	close(fd);
}
