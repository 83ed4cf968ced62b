/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing the gRPC library up and down. */
#include "csi/rpc/runtime.h"

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdlib.h>

#include "csi/rpc/handshake.h"
#include "csi/rpc/logtap.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void set_up(void)
{
	rpc_logtap_install();
	rpc_handshake_watch();
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
