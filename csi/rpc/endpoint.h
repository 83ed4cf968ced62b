/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a server listens: "unix:///abs/path.sock", "tcp://IP:PORT" or "tcp://[IPv6]:PORT", port 0
 * for any free one. Numeric addresses only.
 */
#ifndef CSI_RPC_ENDPOINT_H
#define CSI_RPC_ENDPOINT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "nvme/base/err.h"

/* What the name that it is first bound to, ".NAME.12345", has more than the path. */
#define RPC_SOCKET_EXTRA_LEN 7
#define RPC_SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1 - RPC_SOCKET_EXTRA_LEN)
#define RPC_LISTEN_SIZE (INET6_ADDRSTRLEN + 16)

struct rpc_endpoint {
	bool is_unix;
	char path[RPC_SOCKET_PATH_MAX + 1]; /* unix */
	char listen[RPC_LISTEN_SIZE];	    /* tcp: "IP:PORT" or "[IPv6]:PORT" */
	bool loopback;			    /* tcp: reachable from this machine only */
	struct sockaddr_storage address;    /* tcp */
	socklen_t address_len;
};

/* ERR_INVALID_ARGUMENT names the text and what would be right. */
int rpc_endpoint_parse(const char *text, struct rpc_endpoint *ret, struct err *err);

/* gRPC's name for a unix socket: "unix:" and the path, percent-encoded. Owned. */
char *rpc_unix_target(const char *path);

#endif
