/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for sessions to end, with sockets of this process in the place of nvmet's: what counts is
 * what the kernel says of them. That of a real target is for tests/vm/cases/fence-hosts.sh.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/clock.h"
#include "nvme/target/nvmet_drain.h"
#include "tests/unit/listener.h"

#define HELLO 128
#define CONNECT 1096
#define RESPONSE 24

static int listener = -1;
static struct portal portal;
static struct nvmet_drain drain;

/* Both ends of a connection to the portal. */
struct session {
	int host;
	int target;
};

static int setup(void **state)
{
	(void)state;
	listener = listener_open(&portal);
	drain = NVMET_DRAIN_INIT;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nvmet_drain_fini(&drain);
	return close(listener);
}

static void send_bytes(int from, int to, size_t count)
{
	char buffer[CONNECT] = { 0 };

	assert_int_equal(send(from, buffer, count, MSG_NOSIGNAL), count);
	assert_int_equal(recv(to, buffer, count, MSG_WAITALL), count);
}

/* One that has come as far as ICReq and ICResp, of the host at 127.0.0.n. */
static struct session begin_session_of(uint32_t n)
{
	struct session session = { .host = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	struct sockaddr_in from = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl((127U << 24) + n) };
	struct sockaddr_storage addr;
	socklen_t len = portal_sockaddr(&portal, &addr);

	assert_int_equal(bind(session.host, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(session.host, (struct sockaddr *)&addr, len), 0);
	session.target = accept(listener, NULL, NULL);
	assert_true(session.target >= 0);
	send_bytes(session.host, session.target, HELLO);
	send_bytes(session.target, session.host, HELLO);
	return session;
}

static struct session begin_session(void)
{
	return begin_session_of(1);
}

static struct session live_session(void)
{
	struct session session = begin_session();

	send_bytes(session.host, session.target, CONNECT);
	send_bytes(session.target, session.host, RESPONSE);
	return session;
}

static void end_session(struct session *session)
{
	if (session->host >= 0)
		close(session->host);
	if (session->target >= 0)
		close(session->target);
}

static void *close_later(void *arg)
{
	int *fd = arg;

	poll(NULL, 0, 200);
	close(*fd);
	*fd = -1;
	return NULL;
}

static uint64_t ms_since(uint64_t begin_ns)
{
	return (clock_now_ns() - begin_ns) / 1000000;
}

static void drain_begin(void)
{
	struct err err = ERR_INIT;

	if (nvmet_drain_begin(&drain, &portal, 1, &err) < 0)
		fail_msg("%s", err.msg);
}

static void drain_end(void)
{
	struct err err = ERR_INIT;

	if (nvmet_drain_end(&drain, &err) < 0)
		fail_msg("%s", err.msg);
}

static uint64_t drain_wait(void)
{
	uint64_t begin_ns = clock_now_ns();
	struct err err = ERR_INIT;

	if (nvmet_drain_wait(&drain, &err) < 0)
		fail_msg("%s", err.msg);
	return ms_since(begin_ns);
}

static void test_nothing_to_wait_for(void **state)
{
	struct session other = live_session();

	(void)state;
	drain_begin();
	drain_end();
	drain_wait();
	send_bytes(other.host, other.target, 10);
	end_session(&other);
}

/* What nvmet does: shut down at once, released when the last command is done. */
static void wait_for_release(bool host_answers)
{
	struct session gone = live_session(), other = live_session();
	pthread_t thread;

	drain_begin();
	shutdown(gone.target, SHUT_RDWR);
	if (host_answers) {
		close(gone.host);
		gone.host = -1;
	}
	drain_end();
	assert_int_equal(drain.connections.count, 1);
	assert_int_equal(pthread_create(&thread, NULL, close_later, &gone.target), 0);
	assert_true(drain_wait() >= 150);
	assert_int_equal(pthread_join(thread, NULL), 0);
	send_bytes(other.host, other.target, 10);
	end_session(&gone);
	end_session(&other);
}

/* Both ends are closed: the kernel lists it no more, and only its event tells of the release. */
static void test_release_by_event(void **state)
{
	(void)state;
	wait_for_release(true);
}

/* A host that does not close its end: the socket stays, but nobody holds it. */
static void test_release_of_a_silent_host(void **state)
{
	(void)state;
	wait_for_release(false);
}

static void test_gone_before_the_wait(void **state)
{
	struct session gone = live_session();

	(void)state;
	drain_begin();
	end_session(&gone);
	drain_end();
	drain_wait();
}

static void assert_reset(int host)
{
	struct pollfd poller = { .fd = host, .events = POLLIN };
	char byte;

	assert_int_equal(poll(&poller, 1, 5000), 1);
	assert_int_equal(recv(host, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

/* The wait ends when nvmet has let the session go, and not before. */
static void assert_waits_for(struct session *session)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, close_later, &session->target), 0);
	assert_true(drain_wait() >= 150);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Without an answer to its Connect, beside a session that was cut. */
static void half_made_is_aborted(struct session half)
{
	struct session gone = live_session();

	drain_begin();
	close(gone.target);
	gone.target = -1;
	drain_end();
	assert_reset(half.host);
	assert_waits_for(&half);
	end_session(&gone);
	end_session(&half);
}

static void test_half_made_are_aborted(void **state)
{
	(void)state;
	half_made_is_aborted(begin_session());
}

/* The host that was cut may have more addresses than one. */
static void test_half_made_from_elsewhere_are_aborted(void **state)
{
	(void)state;
	half_made_is_aborted(begin_session_of(2));
}

static void test_half_made_stay_without_a_cut(void **state)
{
	struct session half = begin_session();

	(void)state;
	drain_begin();
	drain_end();
	send_bytes(half.host, half.target, CONNECT);
	end_session(&half);
}

static void *answer_later(void *arg)
{
	char response[RESPONSE] = { 0 };

	poll(NULL, 0, 200);
	assert_int_equal(send(*(int *)arg, response, sizeof(response), MSG_NOSIGNAL), RESPONSE);
	return NULL;
}

static void test_begin_waits_for_a_connect(void **state)
{
	uint64_t begin_ns = clock_now_ns();
	struct session session = begin_session();
	pthread_t thread;

	(void)state;
	send_bytes(session.host, session.target, CONNECT);
	assert_int_equal(pthread_create(&thread, NULL, answer_later, &session.target), 0);
	drain_begin();
	assert_true(ms_since(begin_ns) >= 150);
	assert_int_equal(pthread_join(thread, NULL), 0);
	end_session(&session);
}

/* As many bytes as a Connect has, and then nothing: that keeps no fence from its end. */
static void test_connect_without_an_answer(void **state)
{
	struct session stranger = begin_session(), other = live_session();
	uint64_t begin_ns = clock_now_ns(), ms;

	(void)state;
	send_bytes(stranger.host, stranger.target, CONNECT);
	drain_begin();
	ms = ms_since(begin_ns);
	assert_true(ms >= 1900 && ms < 4000);
	assert_reset(stranger.host);
	drain_end();
	/* It may have been executing all the same. */
	assert_int_equal(drain.connections.count, 1);
	assert_waits_for(&stranger);
	send_bytes(other.host, other.target, 10);
	end_session(&stranger);
	end_session(&other);
}

/* Its Connect was on its way when the drain began: it may have a queue that the cut has missed. */
static void test_answered_beside_the_cut(void **state)
{
	struct session gone = live_session(), half = begin_session();

	(void)state;
	drain_begin();
	end_session(&gone);
	send_bytes(half.host, half.target, CONNECT);
	send_bytes(half.target, half.host, RESPONSE);
	drain_end();
	assert_reset(half.host);
	assert_waits_for(&half);
	end_session(&half);
}

/* As many ends of connections to the portal as make the kernel drop events of them. */
/* How many messages did not fit into what the socket may hold. */
static uint32_t dropped(int fd)
{
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t size = sizeof(info);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size), 0);
	return info[SK_MEMINFO_DROPS];
}

/* The kernel tells of a socket's end when it gets to it. */
static void overflow_events(void)
{
	struct deadline deadline = deadline_after_ms(60000);
	int least = 1;

	assert_int_equal(setsockopt(drain.events, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)), 0);
	while (!dropped(drain.events)) {
		struct session session = begin_session();

		end_session(&session);
		assert_false(deadline_passed(deadline));
	}
}

static void wait_in_vain(void)
{
	struct err err = ERR_INIT;

	assert_int_equal(nvmet_drain_wait(&drain, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "events of the kernel's sockets were lost"));
	assert_true(nvmet_drain_pending(&drain));
}

/* Closed by both ends but held, so not listed, and events were lost: it is not taken for gone. */
static void test_lost_events(void **state)
{
	struct session gone = live_session();

	(void)state;
	drain_begin();
	shutdown(gone.target, SHUT_RDWR);
	close(gone.host);
	gone.host = -1;
	drain_end();
	overflow_events();
	wait_in_vain();
	/* Nor by the next call, which does not find it in the kernel's list. */
	drain_begin();
	drain_end();
	assert_int_equal(drain.connections.count, 1);
	assert_waits_for(&gone);
	assert_false(nvmet_drain_pending(&drain));
	end_session(&gone);
}

static void note_gone(void *data, const struct inet_diag_sockid *id)
{
	bool *seen = data;

	*seen = *seen || nvmet_connections_find(&drain.connections, id);
}

/* The lost event was that of the session itself: another socket has heard it. */
static void test_lost_event_of_the_session(void **state)
{
	struct pollfd poller = { .fd = -1, .events = POLLIN };
	struct session gone = live_session();
	struct err err = ERR_INIT;
	bool seen = false;

	(void)state;
	drain_begin();
	shutdown(gone.target, SHUT_RDWR);
	close(gone.host);
	gone.host = -1;
	drain_end();
	overflow_events();
	assert_int_equal(nvmet_diag_watch(&portal, 1, &poller.fd, &err), 0);
	close(gone.target);
	gone.target = -1;
	while (!seen) {
		assert_int_equal(poll(&poller, 1, 10000), 1);
		assert_int_equal(nvmet_diag_events(poller.fd, note_gone, &seen, &err), 0);
	}
	close(poller.fd);
	wait_in_vain();
	wait_in_vain();
}

/* The guard has to stay for a host that has just got its controller, and for no other. */
static void test_lingers_for_the_young(void **state)
{
	struct session young;
	uint64_t begin_ns;
	bool lingers = true;

	(void)state;
	/* More than once: a machine that is busy may linger by itself. */
	for (int i = 0; lingers && i < 5; i++) {
		struct session old = live_session();

		poll(NULL, 0, 300);
		drain_begin();
		close(old.target);
		old.target = -1;
		begin_ns = clock_now_ns();
		drain_end();
		lingers = ms_since(begin_ns) >= 200;
		nvmet_drain_fini(&drain);
		end_session(&old);
	}
	assert_false(lingers);
	begin_ns = clock_now_ns();
	young = live_session();
	drain_begin();
	close(young.target);
	young.target = -1;
	drain_end();
	assert_true(ms_since(begin_ns) >= 200);
	end_session(&young);
}

static int drain_try(uint64_t limit_ms)
{
	struct err err = ERR_INIT;
	int r = nvmet_drain_try(&drain, limit_ms, &err);

	if (r < 0)
		fail_msg("%s", err.msg);
	return r;
}

static void test_try(void **state)
{
	struct session gone = live_session();
	uint64_t begin_ns, ms;
	pthread_t thread;

	(void)state;
	drain_begin();
	shutdown(gone.target, SHUT_RDWR);
	drain_end();
	begin_ns = clock_now_ns();
	assert_int_equal(drain_try(100), 0);
	ms = ms_since(begin_ns);
	assert_true(ms >= 100 && ms < 2000);
	assert_int_equal(pthread_create(&thread, NULL, close_later, &gone.target), 0);
	assert_int_equal(drain_try(10000), 1);
	assert_true(ms_since(begin_ns) < 5000);
	assert_int_equal(pthread_join(thread, NULL), 0);
	end_session(&gone);
}

/* What was ending before is not waited for without an end, and once only. */
static void test_others_that_hang(void **state)
{
	struct session hung = live_session();
	uint64_t ms;

	(void)state;
	shutdown(hung.target, SHUT_RDWR);
	drain_begin();
	drain_end();
	ms = drain_wait();
	assert_true(ms >= NVMET_DRAIN_OTHERS_MS && ms < 3 * NVMET_DRAIN_OTHERS_MS);
	drain_begin();
	drain_end();
	assert_int_equal(drain_try(0), 1);
	end_session(&hung);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_to_wait_for),
		TEST(test_release_by_event),
		TEST(test_release_of_a_silent_host),
		TEST(test_gone_before_the_wait),
		TEST(test_half_made_are_aborted),
		TEST(test_half_made_from_elsewhere_are_aborted),
		TEST(test_try),
		TEST(test_half_made_stay_without_a_cut),
		TEST(test_begin_waits_for_a_connect),
		TEST(test_connect_without_an_answer),
		TEST(test_answered_beside_the_cut),
		TEST(test_lost_events),
		TEST(test_lost_event_of_the_session),
		TEST(test_lingers_for_the_young),
		TEST(test_others_that_hang),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
