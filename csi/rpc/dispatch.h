/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of one request through the core, from its bytes to the handler's answer, and the log
 * lines it leaves. Knows nothing of gRPC.
 */
#ifndef CSI_RPC_DISPATCH_H
#define CSI_RPC_DISPATCH_H

#include "csi/rpc/gate.h"
#include "csi/rpc/service.h"

/*
 * Unpacks the request, logs it (debug, secrets left out), passes the gate, runs the handler.
 * Blocks as long as the handler does; data may be freed when it returns. *ret_response lies in the
 * call's arena; of a stream it is NULL. Errors beside the handler's: INVALID_ARGUMENT (not such a
 * message), RESOURCE_EXHAUSTED (unpacked larger than the arena's limit, or than unpack.h allows),
 * CANCELLED and DEADLINE_EXCEEDED (before the handler began), ABORTED (the key is busy).
 */
int rpc_dispatch(struct rpc_call *call, const struct rpc_method *method, struct gate *gate,
		 const void *data, size_t size, ProtobufCMessage **ret_response, struct err *err);

/* The one closing line. err->code ERR_NONE: success; quiet makes a success a debug line. */
void rpc_log_end(const struct rpc_call *call, bool quiet, const struct err *err);

#endif
