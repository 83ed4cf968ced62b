/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutual TLS from a directory that holds ca.crt, tls.crt and tls.key (PEM), as a Kubernetes secret
 * mounts it. Both sides must show a certificate that ca.crt signed. A stamp tells cheaply whether
 * the files have changed since they were read.
 */
#ifndef CSI_RPC_TLS_H
#define CSI_RPC_TLS_H

#include <grpc/grpc_security.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "csi/rpc/certificate.h"
#include "nvme/base/err.h"

#define RPC_TLS_FILES 3

struct rpc_tls_stamp {
	struct {
		dev_t dev;
		ino_t ino;
		off_t size;
		struct timespec modified;
	} file[RPC_TLS_FILES];
};

/* How the files are now; an absent one stamps as zeros. */
struct rpc_tls_stamp rpc_tls_stamp(const char *dir);
bool rpc_tls_stamp_equal(const struct rpc_tls_stamp *a, const struct rpc_tls_stamp *b);

/* What was read, beside the credentials. */
struct rpc_tls_own {
	struct rpc_tls_stamp stamp;
	struct rpc_certificate certificate;
	uint64_t warn_at_ns; /* when to say next that it runs out */
};

/*
 * Credentials for a client; owned. A file that is missing or is no PEM of its kind, and a key that
 * is of another certificate, is ERR_FAILED_PRECONDITION and named.
 */
int rpc_tls_client(const char *dir, grpc_channel_credentials **ret, struct rpc_tls_own *ret_own,
		   struct err *err);

/*
 * Says in the log why the files as they are now cannot be used, unless it was said of this state of
 * them: they are tried again each time, since what stands in the way may pass without a change.
 */
void rpc_tls_log_bad(struct rpc_tls_stamp *logged, const struct rpc_tls_stamp *now,
		     const struct err *err);

/*
 * Warns in the log when our certificate has expired, is not yet valid or runs out within a week; at
 * the first call, and then once a day.
 */
void rpc_tls_warn(const char *dir, struct rpc_tls_own *own);

/*
 * Credentials for a server that looks at the stamp at every handshake and takes changed files over
 * for new connections; while they are bad, half replaced or cannot be read, it keeps the ones
 * before, tries again at each handshake, and logs why, once for each state of the files. Errors as
 * above.
 */
struct rpc_tls_server;
int rpc_tls_server_new(const char *dir, struct rpc_tls_server **ret, struct err *err);
grpc_server_credentials *rpc_tls_server_credentials(const struct rpc_tls_server *tls);

/* Only after the gRPC server that uses it is gone. */
void rpc_tls_server_free(struct rpc_tls_server *tls);

#endif
