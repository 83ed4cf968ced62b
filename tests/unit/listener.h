/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP listener on loopback: until somebody accepts, it takes connections and stays silent. */
#ifndef TESTS_UNIT_LISTENER_H
#define TESTS_UNIT_LISTENER_H

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "nvme/base/portal.h"

/* The socket is the caller's; the port is a free one. */
static inline int listener_open(struct portal *ret)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(address);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret = (struct portal) { .family = AF_INET, .port = ntohs(address.sin_port) };
	strcpy(ret->addr, "127.0.0.1");
	return fd;
}

#endif
