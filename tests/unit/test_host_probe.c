/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe against loopback: a target, closed ports, listeners whose queue is full, that stay
 * silent, hang up or talk nonsense, and several of them at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/host/probe.h"

#define LONG_MS 20000
#define PDU_SIZE 128

static const uint8_t icresp[PDU_SIZE] = { [0] = 1, [2] = PDU_SIZE, [4] = PDU_SIZE };

static int bound_socket_of(int family, struct portal *portal)
{
	struct sockaddr_storage address;
	socklen_t size;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*portal = (struct portal) { .family = family };
	strcpy(portal->addr, family == AF_INET ? "127.0.0.1" : "::1");
	size = portal_sockaddr(portal, &address);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	portal->port = ntohs(family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port :
						 ((struct sockaddr_in6 *)&address)->sin6_port);
	return fd;
}

static int bound_socket(struct portal *portal)
{
	return bound_socket_of(AF_INET, portal);
}

/* Somebody who listens at a portal, takes one request and answers with some bytes. */
struct listener {
	int fd;
	const void *answer;
	size_t size, request_size;
	uint8_t request[PDU_SIZE];
	pthread_t thread;
};

static void *serve(void *data)
{
	struct listener *l = data;
	cleanup_close int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	uint8_t rest;

	if (fd < 0)
		return NULL;
	l->request_size = (size_t)recv(fd, l->request, sizeof(l->request), MSG_WAITALL);
	/* Byte by byte, as a network may deliver it. */
	for (size_t i = 0; i < l->size; i++)
		if (send(fd, (const char *)l->answer + i, 1, MSG_NOSIGNAL) < 0)
			break;
	if (l->size)
		(void)recv(fd, &rest, 1, 0); /* until the other side closes */
	return NULL;
}

static void listener_start(struct listener *l, int family, struct portal *portal,
			   const void *answer, size_t size)
{
	*l = (struct listener) { .fd = bound_socket_of(family, portal),
				 .answer = answer,
				 .size = size };
	assert_int_equal(listen(l->fd, 1), 0);
	assert_int_equal(pthread_create(&l->thread, NULL, serve, l), 0);
}

static void listener_stop(struct listener *l)
{
	pthread_join(l->thread, NULL);
	close(l->fd);
}

static void expect_failure(const struct portal *portal, uint64_t ms, int sys, const char *says)
{
	struct host_probe probe = { .portal = portal };

	assert_int_equal(host_probe(&probe, 1, deadline_after_ms(ms), 0), 0);
	assert_false(probe.good);
	assert_int_equal(probe.err.code, ERR_UNAVAILABLE);
	assert_int_equal(probe.err.sys, sys);
	if (!strstr(probe.err.msg, says))
		fail_msg("\"%s\" does not say \"%s\"", probe.err.msg, says);
}

static void expect_target(int family)
{
	struct listener target;
	struct portal portal;
	struct host_probe probe = { .portal = &portal };

	listener_start(&target, family, &portal, icresp, sizeof(icresp));
	assert_int_equal(host_probe(&probe, 1, deadline_after_ms(LONG_MS), 0), 1);
	assert_true(probe.good);
	listener_stop(&target);
	/* An ICReq: type 0, its two lengths, version 0, nothing asked for. */
	assert_int_equal(target.request_size, PDU_SIZE);
	for (size_t i = 0; i < PDU_SIZE; i++)
		assert_int_equal(target.request[i], i == 2 || i == 4 ? PDU_SIZE : 0);
}

static void test_target_is_found(void **state)
{
	(void)state;
	expect_target(AF_INET);
	expect_target(AF_INET6);
}

static void test_other_servers_are_told(void **state)
{
	static const char http[] = "HTTP/1.1 400 Bad Request\r\n";
	uint8_t wrong_type[PDU_SIZE], wrong_size[PDU_SIZE];
	const struct {
		const void *answer;
		size_t size;
	} rows[] = {
		{ http, sizeof(http) },
		{ wrong_type, sizeof(wrong_type) },
		{ wrong_size, sizeof(wrong_size) },
		{ NULL, 0 }, /* hangs up */
	};

	(void)state;
	memcpy(wrong_type, icresp, PDU_SIZE);
	wrong_type[0] = 3;
	memcpy(wrong_size, icresp, PDU_SIZE);
	wrong_size[4] = 24;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct listener other;
		struct portal portal;

		listener_start(&other, AF_INET, &portal, rows[i].answer, rows[i].size);
		expect_failure(&portal, LONG_MS, EPROTO, "does not answer as an NVMe/TCP target");
		listener_stop(&other);
	}
}

static void test_closed_port_is_refused(void **state)
{
	struct portal portal;
	cleanup_close int fd = bound_socket(&portal);

	(void)state;
	(void)fd; /* bound, so that nobody else listens on the port */
	expect_failure(&portal, LONG_MS, ECONNREFUSED, "TCP connection refused");
}

/* A full accept queue drops the SYN, as a firewall would. */
static int full_listener(struct portal *portal, int *ret_first)
{
	int fd = bound_socket(portal);
	struct sockaddr_storage address;
	socklen_t size = portal_sockaddr(portal, &address);

	*ret_first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(connect(*ret_first, (struct sockaddr *)&address, size), 0);
	return fd;
}

static void test_dropped_syn_ends_at_the_deadline(void **state)
{
	struct portal portal;
	cleanup_close int first = -1;
	cleanup_close int fd = full_listener(&portal, &first);
	uint64_t start = clock_now_ns();

	(void)state;
	(void)fd;
	expect_failure(&portal, 200, ETIMEDOUT, "no answer to TCP connections");
	assert_true(clock_now_ns() - start >= 200000000ULL);
	assert_true(clock_now_ns() - start < 5000000000ULL);
}

/* Connections are accepted by the kernel alone, and nobody reads. */
static void test_silence_ends_at_the_deadline(void **state)
{
	struct portal portal;
	cleanup_close int fd = bound_socket(&portal);
	uint64_t start = clock_now_ns();

	(void)state;
	assert_int_equal(listen(fd, 8), 0);
	expect_failure(&portal, 200, ETIMEDOUT, "accepts the connection and stays silent");
	assert_true(clock_now_ns() - start >= 200000000ULL);
	assert_true(clock_now_ns() - start < 5000000000ULL);
}

/* A good one waits for the bad ones only for the grace time, and each is told apart. */
static void test_many_at_once(void **state)
{
	struct portal portals[4];
	struct listener target;
	cleanup_close int silent = bound_socket(&portals[0]), closed = bound_socket(&portals[1]);
	cleanup_close int first = -1;
	cleanup_close int full = full_listener(&portals[2], &first);
	struct host_probe probes[4] = { { .portal = &portals[0] },
					{ .portal = &portals[1] },
					{ .portal = &portals[2] },
					{ .portal = &portals[3] } };
	uint64_t start;

	(void)state;
	(void)closed, (void)full;
	assert_int_equal(listen(silent, 8), 0);
	listener_start(&target, AF_INET, &portals[3], icresp, sizeof(icresp));
	start = clock_now_ns();
	assert_int_equal(host_probe(probes, 4, deadline_after_ms(LONG_MS), 100), 1);
	assert_true(clock_now_ns() - start < 5000000000ULL);
	listener_stop(&target);
	assert_int_equal(probes[0].err.sys, ETIMEDOUT);
	assert_int_equal(probes[1].err.sys, ECONNREFUSED);
	assert_int_equal(probes[2].err.sys, ETIMEDOUT);
	assert_true(probes[3].good);
}

static void test_none_is_none(void **state)
{
	(void)state;
	assert_int_equal(host_probe(NULL, 0, deadline_after_ms(LONG_MS), 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_target_is_found),
		cmocka_unit_test(test_other_servers_are_told),
		cmocka_unit_test(test_closed_port_is_refused),
		cmocka_unit_test(test_dropped_syn_ends_at_the_deadline),
		cmocka_unit_test(test_silence_ends_at_the_deadline),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_none_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
