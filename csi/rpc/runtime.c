/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing the gRPC library up and down, and its log. */
#include "csi/rpc/runtime.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <pthread.h>
#include <stdlib.h>

#include "nvme/base/log.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Its last words before it aborts come this way too. */
static void to_our_log(gpr_log_func_args *args)
{
	LOG_AT(args->severity == GPR_LOG_SEVERITY_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, "grpc",
	       KV("text", args->message));
}

static void set_up(void)
{
	gpr_set_log_function(to_our_log);
	/* c-ares 1.18 leaks with every look-up of a name; getaddrinfo also knows nsswitch.conf. */
	setenv("GRPC_DNS_RESOLVER", "native", 0);
}

void rpc_runtime_get(void)
{
	pthread_once(&once, set_up);
	grpc_init();
}

void rpc_runtime_put(void)
{
	grpc_shutdown();
}
