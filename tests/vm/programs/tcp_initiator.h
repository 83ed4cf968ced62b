/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host in user space that speaks just enough NVMe/TCP (without digests and TLS) to connect queues
 * and write blocks: many hosts and many controllers in one program, each with an NQN of its own,
 * which one kernel cannot be. Layouts: NVMe Base 2.0 (SQE, CQE, Connect), NVMe/TCP Transport 1.0.
 */
#ifndef TESTS_VM_TCP_INITIATOR_H
#define TESTS_VM_TCP_INITIATOR_H

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/clock.h"
#include "nvme/base/portal.h"

#define INITIATOR_BLOCK 4096
#define INITIATOR_DNR 0x4000 /* in a status: do not retry */
#define INITIATOR_ALL_CONTROLLERS 0xffff

#define PDU_SIZE 72 /* a command capsule without its data */
#define HELLO_SIZE 128
#define RESPONSE_SIZE 24

/* Results: 0: good; > 0: the NVMe status; -1: the connection failed or timed out, errno says how. */

static inline int initiator_receive(int fd, void *buffer, size_t size, uint64_t ms)
{
	struct deadline deadline = deadline_after_ms(ms);
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	size_t got = 0;

	while (got < size) {
		ssize_t n = recv(fd, (char *)buffer + got, size - got, MSG_DONTWAIT);

		if (n > 0) {
			got += (size_t)n;
		} else if (n == 0) {
			errno = ECONNRESET;
			return -1;
		} else if (errno != EAGAIN) {
			return -1;
		} else if (poll(&poller, 1, deadline_poll_ms(deadline)) == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
	}
	return 0;
}

/* A TCP connection; -1 with errno, ETIMEDOUT when nobody answers. */
static inline int initiator_dial(const struct portal *portal, uint64_t ms)
{
	cleanup_close int fd = socket(portal->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = (time_t)(ms / 1000),
				 .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
	struct sockaddr_storage addr;
	socklen_t len = portal_sockaddr(portal, &addr);
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&addr, len) < 0) {
		errno = errno == EINPROGRESS ? ETIMEDOUT : errno;
		return -1;
	}
	return steal_fd(&fd);
}

/* ICReq and ICResp. */
static inline int initiator_hello(int fd, uint64_t ms)
{
	uint8_t hello[HELLO_SIZE] = { [2] = HELLO_SIZE, [4] = HELLO_SIZE };

	if (send(fd, hello, sizeof(hello), MSG_NOSIGNAL) != sizeof(hello))
		return -1;
	return initiator_receive(fd, hello, sizeof(hello), ms);
}

static inline void initiator_put(uint8_t *at, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

/* A capsule with this opcode, whose data, if any, follows at once. */
static inline void initiator_capsule(uint8_t pdu[PDU_SIZE], uint8_t opcode, uint16_t id,
				     uint32_t data_size)
{
	memset(pdu, 0, PDU_SIZE);
	pdu[0] = 4;
	pdu[2] = PDU_SIZE;
	pdu[3] = data_size ? PDU_SIZE : 0;
	initiator_put(pdu + 4, PDU_SIZE + data_size, 4);
	pdu[8] = opcode;
	pdu[9] = 0x40;
	initiator_put(pdu + 10, id, 2);
	initiator_put(pdu + 8 + 32, data_size, 4);
	pdu[8 + 39] = data_size ? 0x01 : 0x5a;
}

static inline int initiator_send(int fd, const uint8_t pdu[PDU_SIZE], const void *data, size_t size)
{
	struct iovec parts[] = { { (void *)pdu, PDU_SIZE }, { (void *)data, size } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = size ? 2 : 1 };
	ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);

	return sent == (ssize_t)(PDU_SIZE + size) ? 0 : -1;
}

static inline int initiator_response(int fd, uint16_t *ret_result, uint64_t ms)
{
	uint8_t response[RESPONSE_SIZE];

	if (initiator_receive(fd, response, sizeof(response), ms) < 0)
		return -1;
	if (response[0] != 5) {
		errno = EPROTO;
		return -1;
	}
	if (ret_result)
		*ret_result = (uint16_t)(response[8] | response[9] << 8);
	return (response[22] | response[23] << 8) >> 1;
}

struct initiator_names {
	const char *subsystem;
	const char *host;
	uint8_t host_id[16];
};

static inline int initiator_connect_send(int fd, const struct initiator_names *names, uint16_t qid,
					 uint16_t controller)
{
	uint8_t pdu[PDU_SIZE], data[1024] = { 0 };

	initiator_capsule(pdu, 0x7f, 1, sizeof(data));
	pdu[8 + 4] = 0x01;
	initiator_put(pdu + 8 + 42, qid, 2);
	initiator_put(pdu + 8 + 44, 31, 2);
	memcpy(data, names->host_id, sizeof(names->host_id));
	initiator_put(data + 16, controller, 2);
	strncpy((char *)data + 256, names->subsystem, 255);
	strncpy((char *)data + 512, names->host, 255);
	return initiator_send(fd, pdu, data, sizeof(data));
}

/* CC.EN = 1, with the sizes of queue entries that the specification asks for. */
static inline int initiator_enable(int fd, uint64_t ms)
{
	uint8_t pdu[PDU_SIZE];

	initiator_capsule(pdu, 0x7f, 2, 0);
	initiator_put(pdu + 8 + 44, 0x14, 4);
	initiator_put(pdu + 8 + 48, 0x460001, 8);
	if (initiator_send(fd, pdu, NULL, 0) < 0)
		return -1;
	return initiator_response(fd, NULL, ms);
}

/* A controller with one I/O queue. */
struct initiator {
	int admin;
	int io;
	uint16_t controller;
};

#define INITIATOR_INIT ((struct initiator) { .admin = -1, .io = -1 })

static inline void initiator_close(struct initiator *initiator)
{
	cleanup_closep(&initiator->admin);
	cleanup_closep(&initiator->io);
	*initiator = INITIATOR_INIT;
}

static inline int initiator_queue(const struct portal *portal, const struct initiator_names *names,
				  uint16_t qid, uint16_t controller, uint16_t *ret_controller,
				  int *ret, uint64_t ms)
{
	cleanup_close int fd = initiator_dial(portal, ms);
	int r;

	if (fd < 0 || initiator_hello(fd, ms) < 0 ||
	    initiator_connect_send(fd, names, qid, controller) < 0)
		return -1;
	r = initiator_response(fd, ret_controller, ms);
	if (r == 0)
		*ret = steal_fd(&fd);
	return r;
}

/* Each step may take ms. What was begun is closed when it is not 0. */
static inline int initiator_connect(struct initiator *initiator, const struct portal *portal,
				    const struct initiator_names *names, uint64_t ms)
{
	int r;

	*initiator = INITIATOR_INIT;
	r = initiator_queue(portal, names, 0, INITIATOR_ALL_CONTROLLERS, &initiator->controller,
			    &initiator->admin, ms);
	if (r == 0)
		r = initiator_enable(initiator->admin, ms);
	if (r == 0)
		r = initiator_queue(portal, names, 1, initiator->controller, NULL, &initiator->io,
				    ms);
	if (r)
		initiator_close(initiator);
	return r;
}

/* Writes one block of namespace 1 without waiting for the answer. */
static inline int initiator_write_send(int fd, uint16_t id, uint64_t block, char byte)
{
	char data[INITIATOR_BLOCK];
	uint8_t pdu[PDU_SIZE];

	memset(data, byte, sizeof(data));
	initiator_capsule(pdu, 0x01, id, sizeof(data));
	initiator_put(pdu + 8 + 4, 1, 4);
	initiator_put(pdu + 8 + 40, block, 8);
	return initiator_send(fd, pdu, data, sizeof(data));
}

static inline int initiator_write(int fd, uint64_t block, char byte, uint64_t ms)
{
	if (initiator_write_send(fd, 1, block, byte) < 0)
		return -1;
	return initiator_response(fd, NULL, ms);
}

#endif
