/* SPDX-License-Identifier: Apache-2.0 */
/* The probe: non-blocking sockets, one poll for all of them. */
#include "nvme/host/probe.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "nvme/base/cleanup.h"

#define IC_SIZE 128 /* of either PDU; a request is zeroes but for its two lengths */
#define HEADER_SIZE 8
#define TYPE_ICRESP 1
#define PDU_HLEN 2
#define PDU_PLEN 4

/* One portal's exchange; over when fd is -1. */
struct exchange {
	struct host_probe *probe;
	int fd;
	bool asked; /* connected, and the request is sent */
	uint8_t answer[HEADER_SIZE];
	size_t got;
};

static const uint8_t request[IC_SIZE] = { [PDU_HLEN] = IC_SIZE, [PDU_PLEN] = IC_SIZE };

static void end(struct exchange *x)
{
	cleanup_closep(&x->fd);
	x->fd = -1;
}

static void fail(struct exchange *x, int sys_errno)
{
	struct err *err = &x->probe->err;

	if (sys_errno == EPROTO)
		err_set(err, ERR_UNAVAILABLE,
			"what listens there does not answer as an NVMe/TCP target");
	else if (sys_errno == ETIMEDOUT && x->asked)
		err_set(err, ERR_UNAVAILABLE,
			"what listens there does not answer as an NVMe/TCP target: it accepts the "
			"connection and stays silent");
	else if (sys_errno == ETIMEDOUT)
		err_set(err, ERR_UNAVAILABLE, "no answer to TCP connections");
	else if (sys_errno == ECONNREFUSED)
		err_set(err, ERR_UNAVAILABLE, "TCP connection refused: no target listens there");
	else
		err_set(err, ERR_UNAVAILABLE, "TCP connection failed: %s",
			strerrordesc_np(sys_errno) ?: "unknown error");
	err->sys = sys_errno;
	end(x);
}

static void begin(struct exchange *x, struct host_probe *probe)
{
	struct sockaddr_storage address;
	socklen_t size = portal_sockaddr(probe->portal, &address);

	*x = (struct exchange) { .probe = probe };
	probe->good = false;
	probe->err = ERR_INIT;
	x->fd = socket(probe->portal->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		       IPPROTO_TCP);
	if (x->fd < 0 ||
	    (connect(x->fd, (struct sockaddr *)&address, size) < 0 && errno != EINPROGRESS))
		fail(x, errno);
}

/* The connect is over. */
static void ask(struct exchange *x)
{
	int sys_errno = 0;
	socklen_t size = sizeof(sys_errno);

	if (getsockopt(x->fd, SOL_SOCKET, SO_ERROR, &sys_errno, &size) < 0)
		sys_errno = errno;
	/* The buffer of a new connection takes it whole. */
	if (!sys_errno && send(x->fd, request, sizeof(request), MSG_NOSIGNAL) != sizeof(request))
		sys_errno = errno ?: EPROTO;
	x->asked = true;
	if (sys_errno)
		fail(x, sys_errno);
}

static void hear(struct exchange *x)
{
	ssize_t n = recv(x->fd, x->answer + x->got, sizeof(x->answer) - x->got, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(x, n < 0 ? errno : EPROTO);
		return;
	}
	x->got += (size_t)n;
	if (x->got < sizeof(x->answer))
		return;
	if (x->answer[0] != TYPE_ICRESP || x->answer[PDU_HLEN] != IC_SIZE ||
	    x->answer[PDU_PLEN] != IC_SIZE) {
		fail(x, EPROTO);
		return;
	}
	x->probe->good = true;
	end(x);
}

/* Waits once for all that goes on; how many that are. */
static size_t step(struct exchange *all, size_t count, struct deadline deadline)
{
	struct pollfd polled[PORTAL_MAX];
	size_t left = 0;

	for (size_t i = 0; i < count; i++) {
		polled[i] = (struct pollfd) { .fd = all[i].fd,
					      .events = all[i].asked ? POLLIN : POLLOUT };
		left += all[i].fd >= 0;
	}
	if (!left || poll(polled, count, deadline_poll_ms(deadline)) < 0)
		return left;
	for (size_t i = 0; i < count; i++) {
		if (all[i].fd < 0 || !polled[i].revents)
			continue;
		if (all[i].asked)
			hear(&all[i]);
		else
			ask(&all[i]);
	}
	return left;
}

size_t host_probe(struct host_probe *probes, size_t count, struct deadline deadline,
		  uint64_t grace_ms)
{
	struct exchange all[PORTAL_MAX];
	size_t good = 0;

	for (size_t i = 0; i < count; i++)
		begin(&all[i], &probes[i]);
	while (step(all, count, deadline)) {
		size_t before = good;

		good = 0;
		for (size_t i = 0; i < count; i++)
			good += probes[i].good;
		if (good && !before)
			deadline = deadline_min(deadline, deadline_after_ms(grace_ms));
		if (deadline_passed(deadline))
			break;
	}
	for (size_t i = 0; i < count; i++)
		if (all[i].fd >= 0)
			fail(&all[i], ETIMEDOUT);
	return good;
}
