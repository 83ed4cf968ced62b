/* SPDX-License-Identifier: Apache-2.0 */
/* TLS directories for tests, made with the openssl program. */
#ifndef TESTS_UNIT_RPC_CERTS_H
#define TESTS_UNIT_RPC_CERTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static inline void certs_run(const char *script, const char *dir, const char *name, const char *san)
{
	char command[2048];

	snprintf(command, sizeof(command),
		 "set -e; cd %s; name=%s; san=%s; exec >/dev/null 2>openssl.log; %s", dir, name,
		 san, script);
	assert_int_equal(system(command), 0);
}

/* An authority in the directory <dir>/<name>.ca. */
static inline void certs_authority(const char *dir, const char *name)
{
	certs_run("mkdir $name.ca; openssl req -x509 -newkey ec -pkeyopt "
		  "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=$name "
		  "-keyout $name.ca/key -out $name.ca/crt",
		  dir, name, "none");
}

/*
 * The TLS directory <dir>/<name> with a fresh key, signed by <authority>, which it trusts. san is
 * "IP:127.0.0.1" or "DNS:name". Files that are there are replaced by renaming.
 */
static inline void certs_directory(const char *dir, const char *name, const char *authority,
				   const char *san)
{
	char script[1024];

	snprintf(script, sizeof(script),
		 "mkdir -p $name; openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
		 "-nodes -subj /CN=$name -keyout new.key -out new.csr; "
		 "echo subjectAltName=$san >ext; openssl x509 -req -in new.csr -days 2 "
		 "-CA %1$s.ca/crt -CAkey %1$s.ca/key -CAcreateserial -extfile ext -out new.crt; "
		 "cp %1$s.ca/crt new.ca; mv new.key $name/tls.key; mv new.crt $name/tls.crt; "
		 "mv new.ca $name/ca.crt",
		 authority);
	certs_run(script, dir, name, san);
}

static inline void certs_remove(const char *dir)
{
	certs_run("rm -rf ./*", dir, "none", "none");
}

#endif
