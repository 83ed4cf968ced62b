/* SPDX-License-Identifier: Apache-2.0 */
/* Reading certificates and keys. */
#include "csi/rpc/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/strb.h"

DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(BIO *, BIO_free_all)

/* Takes what was printed into memory. */
static void add(struct strb *text, BIO *memory)
{
	char *data;
	long len = BIO_get_mem_data(memory, &data);

	if (len > 0)
		strb_addn(text, data, (size_t)len);
	(void)BIO_reset(memory);
}

static void add_names(struct strb *text, BIO *memory, const X509 *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		strb_add(text, i ? " " : ", for ");
		GENERAL_NAME_print(memory, sk_GENERAL_NAME_value(names, i));
		add(text, memory);
	}
	GENERAL_NAMES_free(names);
}

static time_t time_of(const ASN1_TIME *when)
{
	struct tm tm;

	return ASN1_TIME_to_tm(when, &tm) ? timegm(&tm) : 0;
}

void rpc_certificate_read(const X509 *x509, struct rpc_certificate *ret)
{
	struct strb text = strb_over(ret->text, sizeof(ret->text));
	BIO *memory CLEANUP(BIO_free_allp) = BIO_new(BIO_s_mem());
	char date[32];
	struct tm tm;

	if (!memory)
		abort();
	ret->not_before = time_of(X509_get0_notBefore(x509));
	ret->not_after = time_of(X509_get0_notAfter(x509));
	X509_NAME_print_ex(memory, X509_get_subject_name(x509), 0, XN_FLAG_RFC2253);
	add(&text, memory);
	strb_add(&text, ", issued by ");
	X509_NAME_print_ex(memory, X509_get_issuer_name(x509), 0, XN_FLAG_RFC2253);
	add(&text, memory);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&ret->not_after, &tm));
	strb_addf(&text, ", valid until %s", date);
	/* Last, because there may be any number of them. */
	add_names(&text, memory, x509);
}

/* A key with a passphrase must not make a daemon ask for it. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
	(void)buffer, (void)size, (void)writing, (void)context;
	return 0;
}

static X509 *read_certificate(const char *pem)
{
	BIO *memory CLEANUP(BIO_free_allp) = BIO_new_mem_buf(pem, -1);

	return memory ? PEM_read_bio_X509(memory, NULL, no_passphrase, NULL) : NULL;
}

static EVP_PKEY *read_key(const char *pem)
{
	BIO *memory CLEANUP(BIO_free_allp) = BIO_new_mem_buf(pem, -1);

	return memory ? PEM_read_bio_PrivateKey(memory, NULL, no_passphrase, NULL) : NULL;
}

static int check(const X509 *authority, X509 *certificate, EVP_PKEY *key, struct err *err)
{
	if (!authority)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "ca.crt is not a certificate in PEM form");
	if (!certificate)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "tls.crt is not a certificate in PEM form");
	if (!key)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "tls.key is not a private key in PEM form without a passphrase");
	if (X509_check_private_key(certificate, key) != 1)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "tls.crt and tls.key do not belong together");
	return 0;
}

int rpc_certificate_check(const char *ca, const char *cert, const char *key,
			  struct rpc_certificate *ret, struct err *err)
{
	X509 *authority CLEANUP(X509_freep) = read_certificate(ca);
	X509 *certificate CLEANUP(X509_freep) = read_certificate(cert);
	EVP_PKEY *private CLEANUP(EVP_PKEY_freep) = read_key(key);
	int rc = check(authority, certificate, private, err);

	/* What OpenSSL left in this thread's queue would pass for a reason of a later failure. */
	ERR_clear_error();
	if (rc < 0)
		return -1;
	rpc_certificate_read(certificate, ret);
	return 0;
}

const char *rpc_certificate_fault(const struct rpc_certificate *certificate, time_t now)
{
	if (now > certificate->not_after)
		return ", which has expired";
	if (now < certificate->not_before)
		return ", which is not yet valid";
	return "";
}
