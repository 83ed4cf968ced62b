/* SPDX-License-Identifier: Apache-2.0 */
/* Error codes and gRPC status numbers: the one table between them. Nothing here can fail. */
#ifndef CSI_RPC_STATUS_H
#define CSI_RPC_STATUS_H

#include "nvme/base/err.h"

/* The gRPC status number (grpc/status.h) of a code; an unknown code is INTERNAL. */
int rpc_status_of(enum err_code code);

/* The code of a status number; UNKNOWN and numbers that gRPC does not define are ERR_INTERNAL. */
enum err_code rpc_err_of_status(int status);

#endif
