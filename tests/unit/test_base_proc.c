/* SPDX-License-Identifier: Apache-2.0 */
/* The process runner: what comes back, what is killed, and what must not hang it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/proc.h"

/* Far more than any program here needs: only a hang runs into it. */
#define AMPLE_MS 60000

static struct proc_result result;
static struct err err;

static int sh(const char *script, uint64_t ms)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	err = ERR_INIT;
	return proc_run(argv, deadline_after_ms(ms), &result, &err);
}

static void test_outputs(void **state)
{
	(void)state;
	assert_int_equal(sh("echo out; echo one >&2; echo two >&2; echo >&2", AMPLE_MS), 0);
	assert_int_equal(result.exit_code, 0);
	assert_int_equal(result.term_signal, 0);
	assert_string_equal(result.out, "out\n");
	assert_string_equal(result.err, "one\ntwo");
}

static void test_exit_code(void **state)
{
	(void)state;
	assert_int_equal(sh("exit 42", AMPLE_MS), 0);
	assert_int_equal(result.exit_code, 42);
	assert_int_equal(result.term_signal, 0);
	assert_string_equal(result.out, "");
	assert_string_equal(result.err, "");
}

static void test_signal(void **state)
{
	(void)state;
	assert_int_equal(sh("kill -TERM $$", AMPLE_MS), 0);
	assert_int_equal(result.exit_code, -1);
	assert_int_equal(result.term_signal, SIGTERM);
}

static void test_missing_program(void **state)
{
	const char *const argv[] = { "no-such-program-of-ours", NULL };
	const char *const not_executable[] = { "/etc/passwd", NULL };

	(void)state;
	assert_int_equal(proc_run(argv, deadline_none(), &result, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_string_equal(err.msg, "run no-such-program-of-ours: No such file or directory");
	assert_int_equal(proc_run(not_executable, deadline_none(), &result, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
}

/* No shell in between: words arrive as they are. */
static void test_arguments(void **state)
{
	const char *const argv[] = { "printf", "%s|", "a b", "$(id)", "*", "", ";x", NULL };

	(void)state;
	assert_int_equal(proc_run(argv, deadline_none(), &result, &err), 0);
	assert_string_equal(result.out, "a b|$(id)|*||;x|");
}

static void test_stdin_is_empty(void **state)
{
	(void)state;
	assert_int_equal(sh("cat; readlink /proc/self/fd/0", AMPLE_MS), 0);
	assert_string_equal(result.out, "/dev/null\n");
}

/* A mask or an ignored signal of ours is not the program's. */
static void test_signals_are_reset(void **state)
{
	sigset_t set, old;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(sh("kill -PIPE $$; exit 0", AMPLE_MS), 0);
	assert_int_equal(result.term_signal, SIGPIPE);
	assert_int_equal(sh("kill -TERM $$; exit 0", AMPLE_MS), 0);
	assert_int_equal(result.term_signal, SIGTERM);
	signal(SIGPIPE, SIG_DFL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void test_head_of_stdout(void **state)
{
	(void)state;
	assert_int_equal(sh("printf begin; head -c 2000000 /dev/zero | tr '\\0' x; echo; exit 3",
			    AMPLE_MS),
			 0);
	assert_int_equal(result.exit_code, 3);
	assert_int_equal(strlen(result.out), PROC_OUT_SIZE - 1);
	assert_memory_equal(result.out, "beginxxx", 8);
}

/* What a reader has got of it. */
struct got {
	size_t bytes, sum;
	size_t enough; /* it wants no more after so many */
};

static bool take(void *context, const char *text, size_t len)
{
	struct got *got = context;

	got->bytes += len;
	for (size_t i = 0; i < len; i++)
		got->sum += (unsigned char)text[i];
	return got->bytes < got->enough;
}

static int feed(const char *script, uint64_t ms, struct got *got)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	const struct proc_reader reader = { take, got };

	err = ERR_INIT;
	return proc_feed(argv, deadline_after_ms(ms), &reader, &result, &err);
}

static void test_all_of_stdout_goes_to_a_reader(void **state)
{
	struct got got = { .enough = SIZE_MAX };

	(void)state;
	assert_int_equal(feed("head -c 3000000 /dev/zero | tr '\\0' x; echo why >&2; exit 3",
			      AMPLE_MS, &got),
			 0);
	assert_int_equal(result.exit_code, 3);
	assert_string_equal(result.err, "why");
	assert_string_equal(result.out, "");
	assert_int_equal(got.bytes, 3000000);
	assert_int_equal(got.sum, 3000000 * (size_t)'x');
	/* A lot at its very end. */
	got = (struct got) { .enough = SIZE_MAX };
	assert_int_equal(feed("head -c 60000 /dev/zero", AMPLE_MS, &got), 0);
	assert_int_equal(got.bytes, 60000);
}

static void test_reader_that_has_enough(void **state)
{
	struct got got = { .enough = 100000 };

	(void)state;
	assert_int_equal(feed("exec cat /dev/zero", AMPLE_MS, &got), 0);
	assert_in_range(got.bytes, 100000, 200000);
	got = (struct got) { .enough = SIZE_MAX };
	assert_int_equal(feed("exec sleep 1000", 50, &got), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
}

static void test_tail_of_stderr(void **state)
{
	(void)state;
	assert_int_equal(
		sh("{ echo begin; head -c 300000 /dev/zero | tr '\\0' x; echo the reason; } "
		   ">&2",
		   AMPLE_MS),
		0);
	assert_int_equal(strlen(result.err), PROC_ERR_SIZE - 2);
	assert_null(strstr(result.err, "begin"));
	assert_string_equal(result.err + strlen(result.err) - 10, "the reason");
}

static void test_both_at_once(void **state)
{
	(void)state;
	assert_int_equal(sh("head -c 300000 /dev/zero | tr '\\0' e >&2 & "
			    "head -c 300000 /dev/zero | tr '\\0' o; wait",
			    AMPLE_MS),
			 0);
	assert_int_equal(strlen(result.out), PROC_OUT_SIZE - 1);
	assert_int_equal(strlen(result.err), PROC_ERR_SIZE - 1);
}

/* Two fifos' worth of order: the reader sees end of file once every process of the group is gone. */
static void test_deadline_kills_the_group(void **state)
{
	char dir[] = "/tmp/test_base_proc.XXXXXX", byte;
	cleanup_free char *fifo = NULL;
	cleanup_free char *script = NULL;
	cleanup_close int fd = -1;
	struct pollfd poll_fd = { .events = POLLIN };

	(void)state;
	assert_non_null(mkdtemp(dir));
	fifo = xasprintf("%s/alive", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	/* A grandchild that ignores what it can and keeps the pipes, and a child that waits for it.
	 */
	script = xasprintf("exec 9>%s; echo x >&9; (trap '' TERM HUP INT; sleep 1000) & sleep 1000",
			   fifo);
	assert_int_equal(sh(script, 500), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	assert_non_null(strstr(err.msg, "sh did not end in time"));
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(read(fd, &byte, 1), 1);
	poll_fd.fd = fd;
	assert_int_equal(poll(&poll_fd, 1, AMPLE_MS), 1);
	assert_int_equal(read(fd, &byte, 1), 0);
	unlink(fifo);
	rmdir(dir);
}

static void test_passed_deadline(void **state)
{
	const char *const argv[] = { "sleep", "1000", NULL };

	(void)state;
	assert_int_equal(proc_run(argv, deadline_after_ms(0), &result, &err), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* A daemon that keeps our pipes, silent or talking, is not what we wait for. */
static void test_daemon_left_behind(void **state)
{
	pid_t daemon;

	(void)state;
	assert_int_equal(sh("sleep 1000 & echo $!; echo why >&2; exit 5", AMPLE_MS), 0);
	assert_int_equal(result.exit_code, 5);
	assert_string_equal(result.err, "why");
	daemon = (pid_t)atoi(result.out);
	assert_true(daemon > 1);
	assert_int_equal(kill(daemon, SIGKILL), 0);
}

static void test_talking_daemon_left_behind(void **state)
{
	(void)state;
	assert_int_equal(sh("yes >&2 & echo $!; exit 5", 20000), 0);
	assert_int_equal(result.exit_code, 5);
	/* Its pipe is closed now: SIGPIPE has ended it, or will with its next line. */
}

/* Two pipes need four descriptors; with less it fails and gives back those it got. */
static void test_no_descriptors_inherited(void **state)
{
	const char *argv[] = { "test", "-e", "/proc/self/fd/77", NULL };

	(void)state;
	assert_int_equal(dup2(0, 77), 77);
	assert_int_equal(proc_run(argv, deadline_after_ms(10000), &result, &err), 0);
	assert_int_equal(result.exit_code, 1);
	assert_int_equal(close(77), 0);
}

static void test_no_descriptors_left(void **state)
{
	struct rlimit old, tight;
	int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (int spare = 0; spare < 4; spare++) {
		int rc;

		tight = (struct rlimit) { .rlim_cur = (rlim_t)(lowest + spare),
					  .rlim_max = old.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
		rc = sh("exit 0", AMPLE_MS);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		assert_int_equal(rc, -1);
		assert_int_equal(err.code, ERR_INTERNAL);
		assert_int_equal(err.sys, EMFILE);
	}
	assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), lowest);
	close(lowest);
}

/* The kernel refuses this thread, and what it starts, to open a pidfd. */
static void refuse_pidfds(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENFILE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(filter), .filter = filter };

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void *run_unwatched(void *rc)
{
	refuse_pidfds();
	*(int *)rc = sh("sleep 1000", 2000);
	return NULL;
}

/* Without a pidfd nobody would notice its end: it is killed, and does not stay as a zombie. */
static void test_cannot_be_watched(void **state)
{
	pthread_t thread;
	int rc = 0;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, run_unwatched, &rc), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(rc, -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_int_equal(err.sys, ENFILE);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outputs),
		cmocka_unit_test(test_exit_code),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_missing_program),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_stdin_is_empty),
		cmocka_unit_test(test_signals_are_reset),
		cmocka_unit_test(test_head_of_stdout),
		cmocka_unit_test(test_all_of_stdout_goes_to_a_reader),
		cmocka_unit_test(test_reader_that_has_enough),
		cmocka_unit_test(test_tail_of_stderr),
		cmocka_unit_test(test_both_at_once),
		cmocka_unit_test(test_deadline_kills_the_group),
		cmocka_unit_test(test_passed_deadline),
		cmocka_unit_test(test_daemon_left_behind),
		cmocka_unit_test(test_talking_daemon_left_behind),
		cmocka_unit_test(test_no_descriptors_inherited),
		cmocka_unit_test(test_no_descriptors_left),
		cmocka_unit_test(test_cannot_be_watched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
