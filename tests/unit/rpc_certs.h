/* SPDX-License-Identifier: Apache-2.0 */
/* TLS directories for tests, made by the script that operators use, and spoiled by openssl. */
#ifndef TESTS_UNIT_RPC_CERTS_H
#define TESTS_UNIT_RPC_CERTS_H

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* Runs shell lines in dir, in which $make is the script. */
static inline void certs_run(const char *dir, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static inline void certs_run(const char *dir, const char *format, ...)
{
	char top[PATH_MAX], lines[4096], command[2 * PATH_MAX + 4096];
	va_list args;

	va_start(args, format);
	vsnprintf(lines, sizeof(lines), format, args);
	va_end(args);
	assert_non_null(getcwd(top, sizeof(top)));
	snprintf(command, sizeof(command),
		 "set -e; make=%s/deploy/make-certs; cd %s; exec >>openssl.log 2>&1; %s", top, dir,
		 lines);
	if (system(command) != 0)
		fail_msg("%s", lines);
}

/* An authority in the directory <dir>/<name>.ca. */
static inline void certs_authority(const char *dir, const char *name)
{
	certs_run(dir, "$make ca %s.ca", name);
}

/* Files that are there are replaced by renaming. */
#define CERTS_TAKE "mkdir -p %2$s; mv %1$s.ca/%2$s/* %2$s/; rmdir %1$s.ca/%2$s"

/* The TLS directory <dir>/<name> of an agent at host, signed by an authority, which it trusts. */
static inline void certs_agent(const char *dir, const char *authority, const char *name,
			       const char *host)
{
	certs_run(dir, "$make agent %1$s.ca %2$s %3$s; " CERTS_TAKE, authority, name, host);
}

/* The same for a client that is called by its directory's name. */
static inline void certs_client(const char *dir, const char *authority, const char *name)
{
	certs_run(dir, "$make client %1$s.ca %2$s; " CERTS_TAKE, authority, name);
}

/*
 * A certificate that the script does not make: the key of the TLS directory <name> with these
 * subject and extensions (lines of openssl's x509v3_config, "" for none).
 */
static inline void certs_odd(const char *dir, const char *authority, const char *name,
			     const char *subject, const char *extensions)
{
	certs_run(dir,
		  "printf '%5$s' >ext; openssl req -new -key %2$s/tls.key -subj %3$s -out csr; "
		  "openssl x509 -req -in csr -days 9 -CA %1$s.ca/ca.crt -CAkey %1$s.ca/ca.key "
		  "-CAcreateserial %4$s -out %2$s/tls.crt",
		  authority, name, subject, *extensions ? "-extfile ext" : "", extensions);
}

/* Signs <name>/tls.crt again, valid between two times, in seconds from now. */
static inline void certs_period(const char *dir, const char *authority, const char *name, long from,
				long until)
{
	char path[PATH_MAX];
	EVP_PKEY *key;
	X509 *x509;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.ca/ca.key", dir, authority);
	f = fopen(path, "re");
	assert_non_null(f);
	key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	assert_non_null(key);
	fclose(f);
	snprintf(path, sizeof(path), "%s/%s/tls.crt", dir, name);
	f = fopen(path, "r+e");
	assert_non_null(f);
	x509 = PEM_read_X509(f, NULL, NULL, NULL);
	assert_non_null(x509);
	X509_gmtime_adj(X509_getm_notBefore(x509), from);
	X509_gmtime_adj(X509_getm_notAfter(x509), until);
	assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
	rewind(f);
	assert_int_equal(ftruncate(fileno(f), 0), 0);
	assert_int_equal(PEM_write_X509(f, x509), 1);
	fclose(f);
	X509_free(x509);
	EVP_PKEY_free(key);
}

static inline void certs_remove(const char *dir)
{
	certs_run(dir, "rm -rf ./*");
}

#endif
