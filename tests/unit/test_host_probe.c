/* SPDX-License-Identifier: Apache-2.0 */
/* The TCP probe against loopback: a listener, a closed port, and a listener whose queue is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/host/probe.h"

static int bound_socket(struct portal *portal)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*portal = (struct portal) { .family = AF_INET, .port = ntohs(address.sin_port) };
	strcpy(portal->addr, "127.0.0.1");
	return fd;
}

static void test_listener_is_found(void **state)
{
	struct portal portal;
	cleanup_close int fd = bound_socket(&portal);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(host_probe(&portal, deadline_after_ms(5000), &err), 0);
}

static void test_closed_port_is_refused(void **state)
{
	struct portal portal;
	cleanup_close int fd = bound_socket(&portal);
	struct err err = ERR_INIT;

	(void)state;
	(void)fd; /* bound, so that nobody else listens on the port */
	assert_int_equal(host_probe(&portal, deadline_after_ms(5000), &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_int_equal(err.sys, ECONNREFUSED);
	assert_non_null(strstr(err.msg, "refused"));
}

/* A full accept queue drops the SYN, as a firewall would. */
static void test_silence_ends_at_the_deadline(void **state)
{
	struct portal portal;
	cleanup_close int fd = bound_socket(&portal);
	cleanup_close int first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage address;
	socklen_t size = portal_sockaddr(&portal, &address);
	struct err err = ERR_INIT;
	uint64_t start;

	(void)state;
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(connect(first, (struct sockaddr *)&address, size), 0);
	start = clock_now_ns();
	assert_int_equal(host_probe(&portal, deadline_after_ms(200), &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_int_equal(err.sys, ETIMEDOUT);
	assert_true(clock_now_ns() - start >= 200000000ULL);
	assert_true(clock_now_ns() - start < 5000000000ULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listener_is_found),
		cmocka_unit_test(test_closed_port_is_refused),
		cmocka_unit_test(test_silence_ends_at_the_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
