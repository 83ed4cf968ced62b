/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink messages about TCP sockets. */
#include "nvme/target/nvmet_diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* States of a TCP socket by number (include/net/tcp_states.h, which is not for programs). */
#define STATE_ESTABLISHED 1
#define STATE_SYN_RECV 3
#define STATE_TIME_WAIT 6
#define STATE_LISTEN 10
#define STATES_WANTED (0xfffU & ~(1U << STATE_TIME_WAIT) & ~(1U << STATE_LISTEN))

#define BUFFER_BYTES 32768
#define EVENTS_BUFFER_BYTES (8 << 20)

/* --- netlink ---------------------------------------------------------------------------------- */

int nvmet_diag_open(int *ret, struct err *err)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, errno, "netlink socket");
	*ret = steal_fd(&fd);
	return 0;
}

/* Lets only messages about our ports in: what others' sockets do cannot fill the buffer. */
static int filter_ports(int fd, const struct portal *portals, size_t count, struct err *err)
{
	const unsigned at = NLMSG_HDRLEN + offsetof(struct inet_diag_msg, id) +
			    offsetof(struct inet_diag_sockid, idiag_sport);
	cleanup_free struct sock_filter *code = xcalloc(2 * count + 2, sizeof(*code));
	struct sock_fprog program = { .filter = code };

	if (count > NVMET_DIAG_PORTS_MAX)
		count = 0;
	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_ABS, at);
	for (size_t i = 0; i < count; i++) {
		code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
								   portals[i].port, 0, 1);
		code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	}
	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, count ? 0 : UINT32_MAX);
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return err_sys(err, errno, "netlink filter");
	return 0;
}

static int watch_open(const struct portal *portals, size_t portal_count, int *ret, struct err *err)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK,
				    .nl_groups = 1U << (SKNLGRP_INET_TCP_DESTROY - 1) |
						 1U << (SKNLGRP_INET6_TCP_DESTROY - 1) };
	int size = EVENTS_BUFFER_BYTES;
	cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return err_sys(err, errno, "netlink socket");
	/* Filter and buffer before the first event can come. */
	if (filter_ports(fd, portals, portal_count, err) < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		return err_sys(err, errno, "netlink receive buffer");
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, errno, "netlink socket");
	*ret = steal_fd(&fd);
	return 0;
}

int nvmet_diag_watch(const struct portal *portals, size_t portal_count, int *fd, struct err *err)
{
	return *fd < 0 ? watch_open(portals, portal_count, fd, err) :
			 filter_ports(*fd, portals, portal_count, err);
}

static int request_send(int fd, uint16_t type, uint16_t flags, const struct inet_diag_req_v2 *want,
			struct err *err)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 want;
	} request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = type,
			    .nlmsg_flags = NLM_F_REQUEST | flags },
		.want = *want,
	};

	if (send(fd, &request, sizeof(request), 0) < 0)
		return err_sys(err, errno, "ask the kernel for its sockets");
	return 0;
}

static ssize_t receive(int fd, char *buffer, size_t size)
{
	ssize_t n;

	do {
		n = recv(fd, buffer, size, 0);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* The errno in an acknowledgement or in the end of a dump; 0: none. */
static int message_errno(const struct nlmsghdr *message)
{
	int number = 0;

	if (message->nlmsg_len >= NLMSG_LENGTH(sizeof(number)))
		memcpy(&number, NLMSG_DATA(message), sizeof(number));
	return -number;
}

/* The message at *offset of what was received, which moves on; NULL: there is no whole one left. */
static const struct nlmsghdr *message_next(const char *buffer, size_t size, size_t *offset)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)(buffer + *offset);

	if (*offset + sizeof(*message) > size || message->nlmsg_len < sizeof(*message) ||
	    message->nlmsg_len > size - *offset)
		return NULL;
	*offset += NLMSG_ALIGN(message->nlmsg_len);
	return message;
}

/* Of a socket; NULL: the message is not about one. */
static const struct inet_diag_msg *message_socket(const struct nlmsghdr *message)
{
	bool is = message->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
		  message->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg));

	return is ? NLMSG_DATA(message) : NULL;
}

/* --- listing ---------------------------------------------------------------------------------- */

void nvmet_connections_fini(struct nvmet_connections *list)
{
	free(list->items);
	*list = (struct nvmet_connections) { 0 };
}

void nvmet_connections_add(struct nvmet_connections *list,
			   const struct nvmet_connection *connection)
{
	if (list->count == list->room) {
		list->room = list->room ? 2 * list->room : 64;
		list->items = xrealloc(list->items, list->room, sizeof(*list->items));
	}
	list->items[list->count++] = *connection;
}

static int compare_ids(const struct inet_diag_sockid *a, const struct inet_diag_sockid *b)
{
	return memcmp(a->idiag_cookie, b->idiag_cookie, sizeof(a->idiag_cookie));
}

static int compare_connections(const void *a, const void *b)
{
	return compare_ids(&((const struct nvmet_connection *)a)->id,
			   &((const struct nvmet_connection *)b)->id);
}

void nvmet_connections_sort(struct nvmet_connections *list)
{
	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), compare_connections);
}

static int compare_id_to(const void *id, const void *connection)
{
	return compare_ids(id, &((const struct nvmet_connection *)connection)->id);
}

struct nvmet_connection *nvmet_connections_find(const struct nvmet_connections *list,
						const struct inet_diag_sockid *id)
{
	if (!list->count)
		return NULL;
	return bsearch(id, list->items, list->count, sizeof(*list->items), compare_id_to);
}

static struct tcp_info info_of(const struct nlmsghdr *message, const struct inet_diag_msg *found)
{
	const struct rtattr *attr = (const struct rtattr *)(found + 1);
	unsigned left = (unsigned)(message->nlmsg_len - NLMSG_LENGTH(sizeof(*found)));
	struct tcp_info info = { 0 };

	for (; RTA_OK(attr, left); attr = RTA_NEXT(attr, left)) {
		size_t size = RTA_PAYLOAD(attr);

		if (attr->rta_type == INET_DIAG_INFO)
			memcpy(&info, RTA_DATA(attr), size < sizeof(info) ? size : sizeof(info));
	}
	return info;
}

static bool is_at(const struct inet_diag_msg *found, const struct portal *portal)
{
	struct in6_addr addr = { 0 };

	return found->idiag_family == portal->family &&
	       found->id.idiag_sport == htons(portal->port) &&
	       inet_pton(portal->family, portal->addr, &addr) == 1 &&
	       memcmp(&addr, found->id.idiag_src, portal->family == AF_INET6 ? 16 : 4) == 0;
}

static void list_add(struct nvmet_connections *list, const struct nlmsghdr *message,
		     const struct inet_diag_msg *found)
{
	struct tcp_info info = info_of(message, found);
	bool established = found->idiag_state == STATE_ESTABLISHED;
	bool open = established || found->idiag_state == STATE_SYN_RECV;
	struct nvmet_connection connection = {
		.id = found->id,
		.family = found->idiag_family,
		.open = open,
		.established = established,
		.held = open || found->idiag_inode,
		.bytes_in = info.tcpi_bytes_received,
		.bytes_out = info.tcpi_bytes_sent - info.tcpi_bytes_retrans,
		.idle_ms = info.tcpi_last_data_recv,
	};

	nvmet_connections_add(list, &connection);
}

/* One message of a dump: 1: the last. */
static int list_message(const struct nlmsghdr *message, const struct portal *portal,
			struct nvmet_connections *list, struct err *err)
{
	const struct inet_diag_msg *found = message_socket(message);
	int number;

	if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
		number = message_errno(message);
		return number ? err_sys(err, number, "list the kernel's TCP sockets") : 1;
	}
	if (found && is_at(found, portal))
		list_add(list, message, found);
	return 0;
}

int nvmet_diag_list(int fd, const struct portal *portal, struct nvmet_connections *list,
		    struct err *err)
{
	struct inet_diag_req_v2 want = {
		.sdiag_family = (uint8_t)portal->family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_ext = 1 << (INET_DIAG_INFO - 1),
		.idiag_states = STATES_WANTED,
		.id.idiag_sport = htons(portal->port),
	};
	_Alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];

	if (request_send(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &want, err) < 0)
		return -1;
	for (;;) {
		ssize_t size = receive(fd, buffer, sizeof(buffer));
		const struct nlmsghdr *message;
		size_t offset = 0;

		if (size < 0)
			return err_sys(err, errno, "list the kernel's TCP sockets");
		while ((message = message_next(buffer, (size_t)size, &offset))) {
			int r = list_message(message, portal, list, err);

			if (r)
				return r < 0 ? -1 : 0;
		}
	}
}

/* --- ending ----------------------------------------------------------------------------------- */

int nvmet_diag_abort(int fd, const struct nvmet_connection *connection, struct err *err)
{
	struct inet_diag_req_v2 want = {
		.sdiag_family = connection->family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = UINT32_MAX,
		.id = connection->id,
	};
	_Alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];
	ssize_t size;
	int number;

	if (request_send(fd, SOCK_DESTROY, NLM_F_ACK, &want, err) < 0)
		return -1;
	size = receive(fd, buffer, sizeof(buffer));
	if (size < (ssize_t)NLMSG_LENGTH(sizeof(number)))
		return err_sys(err, size < 0 ? errno : EPROTO, "abort a connection");
	number = message_errno((const struct nlmsghdr *)buffer);
	return number == 0 || number == ENOENT ? 0 : err_sys(err, number, "abort a connection");
}

int nvmet_diag_events(int fd, void (*gone)(void *data, const struct inet_diag_sockid *id),
		      void *data, struct err *err)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];
	ssize_t size;

	while ((size = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *message;
		size_t offset = 0;

		while ((message = message_next(buffer, (size_t)size, &offset)))
			if (message_socket(message))
				gone(data, &message_socket(message)->id);
	}
	if (size == 0 || errno == EAGAIN || errno == EINTR)
		return 0;
	err_sys(err, errno, "events of the kernel's sockets");
	return err_recode(err, ERR_UNAVAILABLE);
}
