/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's uevents by netlink. */
#include "nvme/host/uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "nvme/base/cleanup.h"
#include "nvme/host/sysfs.h"

#define GROUP_KERNEL 1 /* udev repeats the events in group 2 */
#define EVENT_SIZE 8192

int host_uevent_open(int *ret_fd, struct err *err)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = GROUP_KERNEL };
	cleanup_close int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
				      NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return err_sys(err, errno, "subscribe to kernel uevents");
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* The head of an event is ACTION@DEVPATH. */
static bool is_about_nvme(const char *event)
{
	return strstr(event, "/nvme");
}

static bool is_removal(const char *event)
{
	return strncmp(event, "remove@", 7) == 0 &&
	       host_node_of(strrchr(event, '/') + 1) == HOST_NODE_CONTROLLER;
}

/* 1: there was one that matters, or some were lost; 0: there was none. */
static int drain(int fd, bool (*matters)(const char *event), struct err *err)
{
	bool relevant = false;
	char event[EVENT_SIZE];

	for (;;) {
		ssize_t n = recv(fd, event, sizeof(event) - 1, 0);

		if (n < 0 && errno == EAGAIN)
			return relevant;
		if (n < 0 && errno == ENOBUFS) {
			relevant = true;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "receive kernel uevents");
		event[n] = '\0';
		relevant = relevant || (is_about_nvme(event) && matters(event));
	}
}

int host_uevent_wait(int fd, struct deadline deadline, struct err *err)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	for (;;) {
		int rc = poll(&pollfd, 1, deadline_poll_ms(deadline));

		if (rc < 0 && errno != EINTR)
			return err_sys(err, errno, "wait for kernel uevents");
		if (rc > 0 && (rc = drain(fd, is_about_nvme, err)) != 0)
			return rc;
		if (deadline_passed(deadline))
			return 0;
	}
}

int host_uevent_wait_removal(int fd, int wake_fd, struct deadline deadline, struct err *err)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
				{ .fd = wake_fd, .events = POLLIN } };

	for (;;) {
		int rc = poll(fds, 2, deadline_poll_ms(deadline));

		if (rc < 0 && errno != EINTR)
			return err_sys(err, errno, "wait for kernel uevents");
		if (rc > 0 && fds[0].revents && (rc = drain(fd, is_removal, err)) != 0)
			return rc;
		if (rc >= 0 && (fds[1].revents || deadline_passed(deadline)))
			return 0;
	}
}
