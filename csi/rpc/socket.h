/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of a listening unix socket. It is bound under a hidden name and renamed over its
 * path, so that there is a socket at the path at every moment, and a predecessor that still drains
 * loses the name without noticing. Blocks only for a lock on the directory that is held for
 * microseconds.
 */
#ifndef CSI_RPC_SOCKET_H
#define CSI_RPC_SOCKET_H

#include "csi/rpc/endpoint.h"
#include "nvme/base/cleanup.h"

struct rpc_socket;

/*
 * Prepares to listen at path (at most RPC_SOCKET_PATH_MAX bytes): its directory must exist, and
 * what is at the path must be a socket or nothing (FAILED_PRECONDITION). A stale socket, or the one
 * of a live server that is being replaced, stays until rpc_socket_publish; the log says which.
 */
int rpc_socket_new(const char *path, struct rpc_socket **ret, struct err *err);

/* The name to bind to. Borrowed. */
const char *rpc_socket_temporary(const struct rpc_socket *socket);

/* Puts the bound socket in its place. */
int rpc_socket_publish(struct rpc_socket *socket, struct err *err);

/* Removes the path if it is still our socket. */
void rpc_socket_free(struct rpc_socket *socket);

DEFINE_CLEANUP(struct rpc_socket *, rpc_socket_free)
#define cleanup_rpc_socket CLEANUP(rpc_socket_freep)

#endif
