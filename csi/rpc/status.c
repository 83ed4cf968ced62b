/* SPDX-License-Identifier: Apache-2.0 */
/* The table between error codes and gRPC status numbers. */
#include "csi/rpc/status.h"

#include <grpc/status.h>

#include "nvme/base/cleanup.h"

static const int status_of[ERR_CODE_COUNT] = {
	[ERR_NONE] = GRPC_STATUS_OK,
	[ERR_CANCELLED] = GRPC_STATUS_CANCELLED,
	[ERR_INVALID_ARGUMENT] = GRPC_STATUS_INVALID_ARGUMENT,
	[ERR_DEADLINE_EXCEEDED] = GRPC_STATUS_DEADLINE_EXCEEDED,
	[ERR_NOT_FOUND] = GRPC_STATUS_NOT_FOUND,
	[ERR_ALREADY_EXISTS] = GRPC_STATUS_ALREADY_EXISTS,
	[ERR_PERMISSION_DENIED] = GRPC_STATUS_PERMISSION_DENIED,
	[ERR_RESOURCE_EXHAUSTED] = GRPC_STATUS_RESOURCE_EXHAUSTED,
	[ERR_FAILED_PRECONDITION] = GRPC_STATUS_FAILED_PRECONDITION,
	[ERR_ABORTED] = GRPC_STATUS_ABORTED,
	[ERR_OUT_OF_RANGE] = GRPC_STATUS_OUT_OF_RANGE,
	[ERR_UNIMPLEMENTED] = GRPC_STATUS_UNIMPLEMENTED,
	[ERR_INTERNAL] = GRPC_STATUS_INTERNAL,
	[ERR_UNAVAILABLE] = GRPC_STATUS_UNAVAILABLE,
	[ERR_DATA_LOSS] = GRPC_STATUS_DATA_LOSS,
	[ERR_UNAUTHENTICATED] = GRPC_STATUS_UNAUTHENTICATED,
};

int rpc_status_of(enum err_code code)
{
	return (unsigned)code < ERR_CODE_COUNT ? status_of[code] : GRPC_STATUS_INTERNAL;
}

enum err_code rpc_err_of_status(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(status_of); i++)
		if (status_of[i] == status)
			return (enum err_code)i;
	return ERR_INTERNAL;
}
