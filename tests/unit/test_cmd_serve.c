/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a server process: what it waits for, and how it leaves what is stuck. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* Programs' own code is in no archive. */
#include "cmd/metrics.c"
#include "cmd/monitor.c"
#include "cmd/serve.c"

enum { RETURNED = 3, FAILED, BAD_DEADLINE, BAD_REASON };

struct work {
	int pipe; /* told of the drain */
	size_t left;
};

#define BEGIN_MS 20

/* What it takes is part of the drain's time. */
static void begin(void *context)
{
	(void)context;
	poll(NULL, 0, BEGIN_MS);
}

static size_t drain(void *context, struct deadline deadline)
{
	const struct work *work = context;
	int left_ms = deadline_poll_ms(deadline);

	if (left_ms <= 0 || left_ms > DRAIN_MAX_MS - BEGIN_MS || write(work->pipe, "d", 1) != 1)
		_exit(BAD_DEADLINE);
	return work->left;
}

static void serve(const char *endpoint, const struct serve_work *work, const char *why)
{
	struct rpc_server_config config = { .endpoint = endpoint };
	struct err err = ERR_INIT;

	serve_prepare();
	/* It waits for the next sigwait. */
	if (why)
		serve_fail(why);
	else
		raise(SIGTERM);
	if (serve_until_signal(&config, work, NULL, &err) == 0)
		_exit(RETURNED);
	_exit(why && strcmp(err.msg, why) == 0 ? FAILED : BAD_REASON);
}

/* The exit status of a process that gets SIGTERM; *ret_drained tells whether its work was waited
 * for. */
static int status_of(bool with_work, size_t left, const char *why, bool *ret_drained)
{
	char dir[] = "/tmp/test_cmd_serve.XXXXXX", c;
	cleanup_free char *endpoint = NULL, *socket = NULL;
	int fds[2], status;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	endpoint = xasprintf("unix://%s/s", dir);
	socket = xasprintf("%s/s", dir);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct work work = { .pipe = fds[1], .left = left };
		struct serve_work jobs = { .begin = begin, .drain = drain, .context = &work };

		serve(endpoint, with_work ? &jobs : NULL, why);
	}
	close(fds[1]);
	*ret_drained = read(fds[0], &c, 1) == 1;
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* A process that leaves what is stuck leaves its socket, too: the next one replaces it. */
	unlink(socket);
	assert_int_equal(rmdir(dir), 0);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_nothing_left(void **state)
{
	bool drained;

	(void)state;
	assert_int_equal(status_of(true, 0, NULL, &drained), RETURNED);
	assert_true(drained);
	assert_int_equal(status_of(false, 0, NULL, &drained), RETURNED);
	assert_false(drained);
}

/* Nothing may be freed that stuck work still uses: the process ends without returning. */
static void test_left(void **state)
{
	bool drained;

	(void)state;
	assert_int_equal(status_of(true, 1, NULL, &drained), EXIT_SUCCESS);
	assert_true(drained);
}

/* It drains like any, and says why it failed. */
static void test_failure(void **state)
{
	bool drained;

	(void)state;
	assert_int_equal(status_of(true, 0, "turned down", &drained), FAILED);
	assert_true(drained);
	assert_int_equal(status_of(true, 1, "turned down", &drained), EXIT_FAILURE);
	assert_true(drained);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_left),
		cmocka_unit_test(test_left),
		cmocka_unit_test(test_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
