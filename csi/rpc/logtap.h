/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What gRPC says in its log. Its errors go to ours; the rest goes there, as debug lines, when
 * GRPC_VERBOSITY is in the environment. Of a TCP server gRPC tells nobody from where a connection
 * comes that fails before its first call, but its trace of sockets does: each thread is told here
 * from whom it has just read.
 */
#ifndef CSI_RPC_LOGTAP_H
#define CSI_RPC_LOGTAP_H

#define RPC_PEER_SIZE 80

/* Once, before the library is used. */
void rpc_logtap_install(void);

/*
 * Turns the trace of sockets on, for a process with a TCP server. What it costs is the formatting
 * of some lines for each read and write, which go nowhere.
 */
void rpc_logtap_follow_peers(void);

/* "192.0.2.1:4567", the peer that this thread read from last; "" when it is not known. */
const char *rpc_logtap_peer(void);

/* Makes "[::1]:80" of gRPC's "ipv6:%5B::1%5D:80", and "127.0.0.1:80" of "ipv4:127.0.0.1:80". */
void rpc_peer_text(const char *uri, char text[RPC_PEER_SIZE]);

#endif
