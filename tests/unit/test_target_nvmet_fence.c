/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fence of one of several hosts does in configfs; what becomes of sessions is for
 * tests/vm/cases/fence-hosts.sh.
 */
#include "tests/unit/nvmet_tree.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "nvme/base/clock.h"
#include "nvme/target/nvmet_diag.h"
#include "tests/unit/listener.h"

#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define NQN VOLUME_NQN_PREFIX UUID
#define OTHER_NQN VOLUME_NQN_PREFIX "6e6f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a12"
#define HOST_A "nqn.2014-08.org.nvmexpress:uuid:aaaaaaaa-0000-4000-8000-000000000001"
#define HOST_B "nqn.2014-08.org.nvmexpress:uuid:bbbbbbbb-0000-4000-8000-000000000002"
#define ACL "subsystems/" NQN "/allowed_hosts/"

static ino_t link_before, link_seen;

static ino_t inode(const char *path)
{
	struct stat st = { 0 };

	fstatat(nvmet.root.fd, path, &st, AT_SYMLINK_NOFOLLOW);
	return st.st_ino;
}

static int setup(void **state)
{
	if (tree_setup(state) < 0)
		return -1;
	tree_mkdir("subsystems/" NQN "/allowed_hosts");
	tree_mkdir("subsystems/" OTHER_NQN);
	tree_mkdir("hosts/" HOST_A);
	tree_mkdir("hosts/" HOST_B);
	tree_link("hosts/" HOST_A, ACL HOST_A);
	tree_link("hosts/" HOST_B, ACL HOST_B);
	tree_link("subsystems/" NQN, "ports/1/subsystems/" NQN);
	tree_link("subsystems/" OTHER_NQN, "ports/1/subsystems/" OTHER_NQN);
	nvmet.guard.settled = true;
	return 0;
}

static int remove_host(struct volume_export host, struct err *err)
{
	struct uuid uuid = { UUID };

	strcpy(host.host_nqn, HOST_A);
	return nvmet_remove_host(&nvmet, &uuid, &host, err);
}

static int remove_a(bool made, struct err *err)
{
	return remove_host((struct volume_export) { .host_made = made }, err);
}

static void note_link(void)
{
	if (!guard_is_up())
		link_seen = inode("ports/1/subsystems/" NQN);
	else
		assert_int_equal(inode("ports/1/subsystems/" NQN), link_before);
}

/* The link is another one when the guard is lifted: it was away in between. */
static void test_relinked_under_the_guard(void **state)
{
	struct err err = ERR_INIT;
	ino_t other = inode("ports/1/subsystems/" OTHER_NQN);

	(void)state;
	link_before = inode("ports/1/subsystems/" NQN);
	guard_seen = note_link;
	/* Keeps the number of its inode from being given out again. */
	assert_int_equal(linkat(nvmet.root.fd, "ports/1/subsystems/" NQN, nvmet.root.fd, "kept", 0),
			 0);
	assert_int_equal(remove_a(true, &err), 0);
	assert_int_equal(guard_runs, 2);
	assert_false(guard_is_up());
	assert_int_not_equal(link_seen, 0);
	assert_int_not_equal(link_seen, link_before);
	assert_int_equal(inode("ports/1/subsystems/" OTHER_NQN), other);
	assert_true(tree_has(ACL HOST_B) && tree_has("hosts/" HOST_B));
	assert_false(tree_has(ACL HOST_A) || tree_has("hosts/" HOST_A));
}

/* At a port of somebody's, under a name of somebody's: cut there, too, and put back. */
static void test_any_port_and_any_name(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	tree_port("9", "198.51.100.7", "4444");
	tree_link("subsystems/" NQN, "ports/9/subsystems/by-hand");
	assert_int_equal(remove_a(false, &err), 0);
	assert_false(tree_has("ports/9/subsystems/by-hand"));
	assert_true(tree_has("ports/9/subsystems/" NQN));
	assert_true(tree_has("hosts/" HOST_A));
}

static void note_portal(void)
{
	if (guard_is_up())
		assert_non_null(strstr(guard_text, "198.51.100.7 . 4444 timeout"));
}

static void test_guards_every_port_that_leads_there(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	tree_port("9", "198.51.100.7", "4444");
	tree_link("subsystems/" NQN, "ports/9/subsystems/" NQN);
	guard_seen = note_portal;
	assert_int_equal(remove_a(true, &err), 0);
	assert_int_equal(guard_runs, 2);
}

/* What an interrupted call left: no ACL entry, no link. */
static void test_again(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_unlink(&nvmet.root, &err, ACL HOST_A), 0);
	assert_int_equal(root_unlink(&nvmet.root, &err, "ports/1/subsystems/" NQN), 0);
	assert_int_equal(remove_a(true, &err), 0);
	assert_true(tree_has("ports/1/subsystems/" NQN) && tree_has("ports/2/subsystems/" NQN));
	assert_int_equal(remove_a(true, &err), 0);
}

/* A host whose sessions live on is not left without an entry, as if it were fenced. */
static void test_what_is_not_cut_keeps_its_entry(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	/* A link that cannot be removed: a directory is in its place. */
	assert_int_equal(root_unlink(&nvmet.root, &err, "ports/1/subsystems/" NQN), 0);
	tree_mkdir("ports/1/subsystems/" NQN);
	tree_mkdir("ports/1/subsystems/" NQN "/x");
	assert_int_equal(remove_a(true, &err), -1);
	assert_true(tree_has(ACL HOST_A));
}

/* Another volume's end has taken the host away, and its keys with it: it must not come back bare. */
static void test_host_that_is_gone_gets_no_entry(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_unlink(&nvmet.root, &err, "ports/1/subsystems/" NQN), 0);
	tree_mkdir("ports/1/subsystems/" NQN "/x");
	assert_int_equal(root_rmdir(&nvmet.root, &err, "hosts/" HOST_A), 0);
	assert_int_equal(remove_a(true, &err), -1);
	assert_false(tree_has("hosts/" HOST_A));
	assert_int_equal(inode(ACL HOST_A), 0);
}

/* Its directory was made again, and giving it the key has failed or is not done yet. */
static void test_host_without_its_key_gets_no_entry(void **state)
{
	const struct volume_export host = { .host_made = true, .dhchap = DHCHAP_ONE_WAY };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_unlink(&nvmet.root, &err, "ports/1/subsystems/" NQN), 0);
	tree_mkdir("ports/1/subsystems/" NQN "/x");
	tree_put("hosts/" HOST_A "/dhchap_key", "");
	assert_int_equal(remove_host(host, &err), -1);
	assert_int_equal(inode(ACL HOST_A), 0);
	tree_put("hosts/" HOST_A "/dhchap_key", "DHHC-1:00:x:");
	tree_link("hosts/" HOST_A, ACL HOST_A);
	assert_int_equal(remove_host(host, &err), -1);
	assert_true(tree_has(ACL HOST_A));
}

static void test_no_guard_does_not_stop_the_fence(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	guard_fails = true;
	assert_int_equal(remove_a(true, &err), 0);
	assert_false(tree_has(ACL HOST_A));
}

/* --- with sessions ---------------------------------------------------------------------------- */

static int session_host = -1, session_target = -1;
static int listener = -1, joined_host = -1, joined_target = -1;
static atomic_bool released;
static unsigned clock_speed = 1;
static _Atomic uint64_t clock_ahead_ns;
static const char *stuck_link; /* cannot be removed */

int unlinkat(int fd, const char *path, int flags)
{
	if (stuck_link && strcmp(path, stuck_link) == 0)
		return errno = EIO, -1;
	return (int)syscall(SYS_unlinkat, fd, path, flags);
}

/* Time that passes faster, or has leapt. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int r = (int)syscall(SYS_clock_gettime, id, ts);
	uint64_t ns = (uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec;

	ns = ns * clock_speed + clock_ahead_ns;
	ts->tv_sec = (time_t)(ns / 1000000000);
	ts->tv_nsec = (long)(ns % 1000000000);
	return r;
}

/*
 * In the place of the C library's: the relinking of the fence, in which the kernel cuts. The host
 * closes its end, too, but nvmet, which this process stands for, is not done with it.
 */
int symlinkat(const char *to, int fd, const char *path)
{
	if (strstr(path, "subsystems/" NQN) && session_host >= 0) {
		shutdown(session_target, SHUT_RDWR);
		close(session_host);
		session_host = -1;
	}
	if (strstr(path, "subsystems/" NQN) && joined_target >= 0)
		shutdown(joined_target, SHUT_RDWR);
	return (int)syscall(SYS_symlinkat, to, fd, path);
}

/* A session that has got through its Connect. */
static void session_connect(int *host, int *target)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	char bytes[1224] = { 0 };

	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	*host = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*host, (struct sockaddr *)&addr, len), 0);
	*target = accept(listener, NULL, NULL);
	assert_int_equal(send(*host, bytes, 1224, 0), 1224);
	assert_int_equal(recv(*target, bytes, 1224, MSG_WAITALL), 1224);
	assert_int_equal(send(*target, bytes, 152, 0), 152);
	assert_int_equal(recv(*host, bytes, 152, MSG_WAITALL), 152);
}

/* A port of this machine's, and a session there. */
static void begin_session(void)
{
	struct portal portal;
	char port[8];

	listener = listener_open(&portal);
	session_connect(&session_host, &session_target);
	snprintf(port, sizeof(port), "%u", portal.port);
	tree_port("0", "127.0.0.1", port);
	tree_link("subsystems/" NQN, "ports/0/subsystems/" NQN);
	nvmet.live = true;
}

static int teardown(void **state)
{
	cleanup_closep(&session_host);
	cleanup_closep(&session_target);
	cleanup_closep(&joined_host);
	cleanup_closep(&joined_target);
	cleanup_closep(&listener);
	session_host = session_target = joined_host = joined_target = listener = -1;
	stuck_link = NULL;
	released = false;
	clock_speed = 1;
	return tree_teardown(state);
}

static void release_session(void)
{
	released = true;
	close(session_target);
	session_target = -1;
}

/* Later than the guard would be lifted for hosts that have just connected. */
static void *release_later(void *arg)
{
	poll(NULL, 0, 500);
	release_session();
	return arg;
}

static void assert_waits_for_release(void)
{
	uint64_t begin_ns = clock_now_ns();
	struct err err = ERR_INIT;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, release_later, NULL), 0);
	if (remove_a(false, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(clock_now_ns() - begin_ns >= 450000000);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_null(nvmet.fenced);
}

static void assert_released_when_lifted(void)
{
	assert_true(guard_is_up() || released);
}

/* And nobody gets in before that. */
static void test_waits_for_what_it_cut(void **state)
{
	(void)state;
	begin_session();
	guard_seen = assert_released_when_lifted;
	assert_waits_for_release();
	assert_int_equal(guard_runs, 2);
}

/*
 * The first call has cut the session and then failed at another port. The next one does not find
 * the session in the kernel's list any more, and waits for its I/O all the same.
 */
static void test_a_failed_fence_is_remembered(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	begin_session();
	stuck_link = "ports/1/subsystems/" NQN;
	assert_int_equal(remove_a(false, &err), -1);
	assert_non_null(nvmet.fenced);
	assert_true(tree_has(ACL HOST_A));
	stuck_link = NULL;
	assert_waits_for_release();
}

/* With the namespace, all I/O of the volume has ended. */
static void test_removal_settles_a_failed_fence(void **state)
{
	struct volume volume = { .uuid = { UUID } };
	struct err err = ERR_INIT;

	(void)state;
	begin_session();
	stuck_link = "ports/1/subsystems/" NQN;
	assert_int_equal(remove_a(false, &err), -1);
	assert_non_null(nvmet.fenced);
	stuck_link = NULL;
	/* What is a part of a subsystem in configfs goes with it; not so here. */
	assert_int_equal(root_unlink(&nvmet.root, &err, ACL HOST_A), 0);
	assert_int_equal(root_unlink(&nvmet.root, &err, ACL HOST_B), 0);
	assert_int_equal(root_rmdir(&nvmet.root, &err, "subsystems/" NQN "/allowed_hosts"), 0);
	if (nvmet_remove(&nvmet, &volume, &err) < 0)
		fail_msg("%s", err.msg);
	assert_null(nvmet.fenced);
}

/* --- with slow storage ------------------------------------------------------------------------ */

static sem_t has_joined;

/* As soon as the guard is lifted the host gets another queue of the controller that was cut. */
static void join_when_lifted(void)
{
	if (guard_is_up() || joined_host >= 0)
		return;
	session_connect(&joined_host, &joined_target);
	sem_post(&has_joined);
}

static void *release_slowly(void *arg)
{
	poll(NULL, 0, 1500);
	assert_false(released);
	release_session();
	return arg;
}

static void *release_both_slowly(void *arg)
{
	struct pollfd joined = { 0 };

	sem_wait(&has_joined);
	assert_false(released);
	release_session();
	joined.fd = joined_target;
	assert_int_equal(poll(&joined, 1, 10000), 1);
	assert_int_equal(joined.revents & POLLHUP, POLLHUP);
	released = false;
	poll(NULL, 0, 200);
	released = true;
	close(joined_target);
	joined_target = -1;
	return arg;
}

/* What the host got while nobody kept it out is cut as well, and this time nobody gets in. */
static void test_a_queue_beside_slow_writes_is_cut(void **state)
{
	struct err err = ERR_INIT;
	pthread_t thread;

	(void)state;
	begin_session();
	guard_seen = join_when_lifted;
	assert_int_equal(sem_init(&has_joined, 0, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, release_both_slowly, NULL), 0);
	if (remove_a(false, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(released && joined_host >= 0);
	assert_int_equal(guard_runs, 4);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_null(nvmet.fenced);
	assert_false(tree_has(ACL HOST_A));
}

/* It is not said to be fenced as long as it may have got yet another one; later it is. */
static void test_slow_writes_twice_are_no_fence(void **state)
{
	struct err err = ERR_INIT;
	pthread_t thread;

	(void)state;
	begin_session();
	guard_seen = join_when_lifted;
	clock_speed = 20;
	assert_int_equal(sem_init(&has_joined, 0, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, release_slowly, NULL), 0);
	assert_int_equal(remove_a(false, &err), -1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "has not ended within 10000 ms"));
	assert_int_equal(guard_runs, 4);
	assert_non_null(nvmet.fenced);
	assert_true(tree_has(ACL HOST_A));

	close(joined_target);
	joined_target = -1;
	assert_int_equal(remove_a(false, &err), 0);
	assert_null(nvmet.fenced);
}

static void leap(void)
{
	if (guard_runs == 1)
		clock_ahead_ns += (NVMET_GUARD_SECONDS + 1) * 1000000000ULL;
	release_session();
}

/* The kernel has lifted it before what was cut had ended. */
static void test_a_guard_that_expires_proves_nothing(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	begin_session();
	guard_seen = leap;
	if (remove_a(false, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(guard_runs, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_relinked_under_the_guard),
		TEST(test_any_port_and_any_name),
		TEST(test_guards_every_port_that_leads_there),
		TEST(test_again),
		TEST(test_no_guard_does_not_stop_the_fence),
		TEST(test_what_is_not_cut_keeps_its_entry),
		TEST(test_host_that_is_gone_gets_no_entry),
		TEST(test_host_without_its_key_gets_no_entry),
		TEST(test_waits_for_what_it_cut),
		TEST(test_a_failed_fence_is_remembered),
		TEST(test_removal_settles_a_failed_fence),
		TEST(test_a_queue_beside_slow_writes_is_cut),
		TEST(test_slow_writes_twice_are_no_fence),
		TEST(test_a_guard_that_expires_proves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
