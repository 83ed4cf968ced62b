/* SPDX-License-Identifier: Apache-2.0 */
/* What can be read in certificates, by OpenSSL. Blocks never. */
#ifndef CSI_RPC_CERTIFICATE_H
#define CSI_RPC_CERTIFICATE_H

#include <openssl/x509.h>
#include <time.h>

#include "nvme/base/err.h"

#define RPC_CERTIFICATE_TEXT_SIZE 384

struct rpc_certificate {
	/* For people: "CN=t1, issued by CN=ca, valid until 2027-01-31T12:00:00Z, for DNS:t1.lan" */
	char text[RPC_CERTIFICATE_TEXT_SIZE];
	time_t not_before;
	time_t not_after;
};

/* Never fails; a text that is too long is cut. */
void rpc_certificate_read(const X509 *x509, struct rpc_certificate *ret);

/*
 * Checks that the three PEM texts are what their names say and that key belongs to cert's first
 * certificate, which *ret tells of. ERR_FAILED_PRECONDITION names the file.
 */
int rpc_certificate_check(const char *ca, const char *cert, const char *key,
			  struct rpc_certificate *ret, struct err *err);

/* "", or what is wrong with the time: ", which has expired", ", which is not yet valid". */
const char *rpc_certificate_fault(const struct rpc_certificate *certificate, time_t now);

#endif
