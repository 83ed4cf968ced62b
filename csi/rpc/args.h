/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channel arguments of gRPC, and the times of keep-alive on which client and server must agree: a
 * server takes pings that come faster than it allows for an attack and ends the connection
 * ("too_many_pings").
 */
#ifndef CSI_RPC_ARGS_H
#define CSI_RPC_ARGS_H

#include <grpc/grpc.h>

#define RPC_INTEGER_ARG(name, number)                                                              \
	{                                                                                          \
		.type = GRPC_ARG_INTEGER, .key = (char *)(name), .value.integer = (int)(number)    \
	}

/* A TCP client pings after this long without news, and gives the connection up after the second. */
#define RPC_KEEPALIVE_MS 10000
#define RPC_KEEPALIVE_TIMEOUT_MS 5000

/*
 * A TCP server does the same, but later: the pings of a client that lives are news, and spare it
 * its own. So it learns within 20 s that a client is gone without a word (its machine lost power,
 * or its network), and ends the streams that it has there.
 */
#define RPC_SERVER_KEEPALIVE_MS 15000

/* How close together a server lets pings come, with and without calls. */
#define RPC_PING_MIN_MS 5000

_Static_assert(RPC_PING_MIN_MS * 2 <= RPC_KEEPALIVE_MS, "pings that are late or early are fine");

#endif
