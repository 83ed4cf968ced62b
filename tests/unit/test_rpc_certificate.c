/* SPDX-License-Identifier: Apache-2.0 */
/* What is read in PEM files, good ones and bad ones, and what time does to them. */
#include "csi/rpc/certificate.h"
#include "rpc_certs.h"
#include "rpc_fixture.h"

static char dir[] = "/tmp/rpc-certsXXXXXX";
static char *ca, *cert, *key, *other_key, *locked_key;

static char *slurp(const char *name)
{
	char path[128], *text = calloc(1, 16384);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_true(fread(text, 1, 16383, f) > 0);
	fclose(f);
	return text;
}

static int make(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	certs_authority(dir, "good");
	certs_agent(dir, "good", "t1", "t1.lan 192.0.2.1 2001:db8::1");
	certs_client(dir, "good", "nvmeotctl");
	certs_run(dir, "openssl ec -in t1/tls.key -aes128 -passout pass:x -out locked");
	ca = slurp("good.ca/ca.crt");
	cert = slurp("t1/tls.crt");
	key = slurp("t1/tls.key");
	other_key = slurp("nvmeotctl/tls.key");
	locked_key = slurp("locked");
	return 0;
}

static int clean(void **state)
{
	(void)state;
	free(ca), free(cert), free(key), free(other_key), free(locked_key);
	certs_remove(dir);
	return rmdir(dir);
}

static void test_good(void **state)
{
	struct rpc_certificate c = { 0 };
	struct err err = ERR_INIT;
	time_t now = time(NULL);

	(void)state;
	assert_int_equal(rpc_certificate_check(ca, cert, key, &c, &err), 0);
	assert_int_equal(strncmp(c.text, "CN=t1, issued by CN=nvmeot CA ", 30), 0);
	assert_non_null(strstr(c.text, ", valid until 20"));
	assert_non_null(
		strstr(c.text, ", for DNS:t1.lan IP Address:192.0.2.1 IP Address:2001:DB8"));
	assert_true(c.not_before <= now && c.not_before > now - 600);
	assert_true(c.not_after > now + 364 * 86400L && c.not_after < now + 366 * 86400L);
	assert_string_equal(rpc_certificate_fault(&c, now), "");
	assert_string_equal(rpc_certificate_fault(&c, c.not_after), "");
	assert_string_equal(rpc_certificate_fault(&c, c.not_after + 1), ", which has expired");
	assert_string_equal(rpc_certificate_fault(&c, c.not_before - 1),
			    ", which is not yet valid");
}

static void expect_bad(const char *a, const char *c, const char *k, const char *message)
{
	struct rpc_certificate ret = { .text = "untouched" };
	struct err err = ERR_INIT;

	assert_int_equal(rpc_certificate_check(a, c, k, &ret, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_string_equal(err.msg, message);
	assert_string_equal(ret.text, "untouched");
}

static void test_bad(void **state)
{
	static const char no_key[] =
		"tls.key is not a private key in PEM form without a passphrase";

	(void)state;
	expect_bad("", cert, key, "ca.crt is not a certificate in PEM form");
	expect_bad(key, cert, key, "ca.crt is not a certificate in PEM form");
	expect_bad(ca, "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", key,
		   "tls.crt is not a certificate in PEM form");
	expect_bad(ca, cert, cert, no_key);
	expect_bad(ca, cert, locked_key, no_key);
	expect_bad(ca, cert, other_key, "tls.crt and tls.key do not belong together");
	expect_bad(ca, ca, key, "tls.crt and tls.key do not belong together");
}

/* A certificate of a stranger may hold anything; what is told of it is short and printable. */
static void test_long_and_strange(void **state)
{
	char extensions[2048] = "subjectAltName=DNS:a", *text;
	struct rpc_certificate c = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(extensions, ",DNS:name.example");
	strcat(extensions, "\\n");
	certs_odd(dir, "good", "nvmeotctl", "\"/CN=a$(printf '\\001\\012')b\"", extensions);
	text = slurp("nvmeotctl/tls.crt");
	assert_int_equal(rpc_certificate_check(ca, text, other_key, &c, &err), 0);
	free(text);
	assert_true(strlen(c.text) < RPC_CERTIFICATE_TEXT_SIZE);
	for (const char *p = c.text; *p; p++)
		assert_true(*p >= ' ' && *p <= '~');
	assert_non_null(strstr(c.text, "issued by CN=nvmeot CA"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_long_and_strange),
	};

	return cmocka_run_group_tests(tests, make, clean);
}
