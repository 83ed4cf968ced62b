/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may call a server with TLS: the names of which a client's certificate must carry one. That
 * the authority signed it is not enough, because it signs the servers' certificates too. Nothing
 * here blocks.
 */
#ifndef CSI_RPC_CALLERS_H
#define CSI_RPC_CALLERS_H

#include <grpc/grpc.h>
#include <stddef.h>

#include "nvme/base/err.h"

struct rpc_callers {
	char **names;
	size_t count; /* 0: anybody, for servers without TLS */
};

/* Copies the names. */
void rpc_callers_init(struct rpc_callers *callers, const char *const *names, size_t count);
void rpc_callers_fini(struct rpc_callers *callers);

/*
 * Whether the client of this call may make it. What counts are the DNS names among its
 * certificate's alternative names, without wildcards and in any case of letters; the common name
 * only when there are no alternative names of any kind. ERR_UNAUTHENTICATED without a certificate,
 * else ERR_PERMISSION_DENIED, with the names that it has and those that may; logged as a refusal.
 */
int rpc_callers_check(const struct rpc_callers *callers, grpc_call *call, struct err *err);

#endif
