/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP probe by a non-blocking connect. */
#include "nvme/host/probe.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "nvme/base/cleanup.h"

static int fail(int sys_errno, struct err *err)
{
	if (sys_errno == ECONNREFUSED)
		err_set(err, ERR_UNAVAILABLE, "TCP connection refused: no target listens there");
	else
		err_set(err, ERR_UNAVAILABLE, "TCP connection failed: %s",
			strerrordesc_np(sys_errno) ?: "unknown error");
	err->sys = sys_errno;
	return -1;
}

/* Waits for a connect in progress; its outcome, 0 or an errno. */
static int outcome(int fd, struct deadline deadline)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLOUT };
	int rc, sys_errno = 0;
	socklen_t size = sizeof(sys_errno);

	do
		rc = poll(&pollfd, 1, deadline_poll_ms(deadline));
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return errno;
	if (rc == 0)
		return ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys_errno, &size) < 0 ? errno : sys_errno;
}

int host_probe(const struct portal *portal, struct deadline deadline, struct err *err)
{
	struct sockaddr_storage address;
	socklen_t size = portal_sockaddr(portal, &address);
	cleanup_close int fd =
		socket(portal->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	int sys_errno;

	if (fd < 0)
		return err_sys(err, errno, "create a TCP socket");
	if (connect(fd, (struct sockaddr *)&address, size) == 0)
		return 0;
	sys_errno = errno == EINPROGRESS ? outcome(fd, deadline) : errno;
	return sys_errno ? fail(sys_errno, err) : 0;
}
