/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A portal: the address at which a target listens, "tcp://IP:PORT" ("tcp://[IPv6]:PORT"). Addresses
 * are numeric and canonical (inet_ntop form, v4-mapped IPv6 as IPv4), so that two spellings of one
 * address compare equal; host names are refused, because the kernel takes none.
 */
#ifndef NVME_BASE_PORTAL_H
#define NVME_BASE_PORTAL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "nvme/base/err.h"

#define PORTAL_MAX 16 /* portals one volume can have */
#define PORTAL_TEXT_SIZE 80

struct portal {
	int family; /* AF_INET or AF_INET6 */
	char addr[INET6_ADDRSTRLEN];
	uint16_t port;
};

/* ERR_INVALID_ARGUMENT names the text. Port 0 is refused. */
int portal_parse(const char *text, struct portal *ret, struct err *err);

/* A comma separated list of 1..PORTAL_MAX portals; duplicates are dropped. */
int portal_parse_list(const char *text, struct portal ret[PORTAL_MAX], size_t *ret_count,
		      struct err *err);

bool portal_equal(const struct portal *a, const struct portal *b);

/* Whether the portal is among these. */
bool portal_is_in(const struct portal *portal, const struct portal *portals, size_t count);

/* "tcp://…" into out. */
void portal_format(const struct portal *portal, char out[PORTAL_TEXT_SIZE]);

/* The socket address to connect to; returns its length. */
socklen_t portal_sockaddr(const struct portal *portal, struct sockaddr_storage *ret);

#endif
