/* SPDX-License-Identifier: Apache-2.0 */
/* A client of HTTP over plain sockets, which can also send what no library would. */
#ifndef TESTS_UNIT_HTTP_CLIENT_H
#define TESTS_UNIT_HTTP_CLIENT_H

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "csi/rpc/endpoint.h"
#include "nvme/base/cleanup.h"

#define HTTP_ANSWER_MAX (256 * 1024)
#define HTTP_WAIT_MS 60000

/* address is "IP:PORT"; returns a socket. */
static inline int http_connect(const char *address)
{
	cleanup_free char *url = xasprintf("tcp://%s", address);
	struct rpc_endpoint endpoint;
	struct err err = ERR_INIT;
	int fd;

	assert_int_equal(rpc_endpoint_parse(url, &endpoint, &err), 0);
	fd = socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&endpoint.address, endpoint.address_len),
			 0);
	return fd;
}

static inline void http_send(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Until the server closes; owned. A reset counts as a close. */
static inline char *http_read_all(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	char *text = xcalloc(1, HTTP_ANSWER_MAX);
	size_t len = 0;
	ssize_t got;

	do {
		assert_int_equal(poll(&pollfd, 1, HTTP_WAIT_MS), 1);
		got = recv(fd, text + len, HTTP_ANSWER_MAX - 1 - len, 0);
		len += got > 0 ? (size_t)got : 0;
	} while (got > 0);
	return text;
}

/* One request on a connection of its own; the whole answer, owned. */
static inline char *http_ask(const char *address, const char *method, const char *path)
{
	cleanup_free char *request = xasprintf(
		"%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", method, path);
	int fd = http_connect(address);
	char *text;

	http_send(fd, request);
	text = http_read_all(fd);
	close(fd);
	return text;
}

static inline unsigned int http_status(const char *answer)
{
	unsigned int status = 0;

	if (sscanf(answer, "HTTP/1.1 %u ", &status) != 1)
		return 0;
	return status;
}

static inline const char *http_body(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n");

	return end ? end + 4 : "";
}

#endif
