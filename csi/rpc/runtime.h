/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gRPC library as a whole: brought up with the first user, taken down with the last. What the
 * library has to say goes to our log. The first _get sets GRPC_DNS_RESOLVER in the environment, so
 * it belongs before the program's own threads.
 */
#ifndef CSI_RPC_RUNTIME_H
#define CSI_RPC_RUNTIME_H

/* Each _get needs one _put. Threads of the library inherit the signal mask of the first caller. */
void rpc_runtime_get(void);
void rpc_runtime_put(void);

#endif
