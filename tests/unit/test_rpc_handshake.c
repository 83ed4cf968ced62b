/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are refused before any call: over real sockets, by real clients. Each leaves an
 * error and a line on either side that say which it was.
 */
#include "rpc_certs.h"
#include "rpc_fixture.h"
#include "log_lines.h"

#include "csi/rpc/refusal.h"

#define CLIENT "nvmeot-controller"
#define DAY_S (24L * 60 * 60)

static const char *const names[] = { CLIENT };
static struct lines lines;
static char made[] = "/tmp/rpc-certsXXXXXX";

struct trial {
	struct fixture f;
	struct rpc_server *server;
	char server_dir[80];
	char client_dir[96];
	char address[32];
};

/* An agent at 127.0.0.1 and a client of one authority, and a client of another. */
static int make_certs(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(made));
	certs_authority(made, "bad");
	certs_client(made, "bad", CLIENT);
	certs_run(made, "mv " CLIENT " stranger");
	certs_authority(made, "good");
	certs_client(made, "good", CLIENT);
	certs_agent(made, "good", "server", "127.0.0.1");
	return 0;
}

static int remove_certs(void **state)
{
	(void)state;
	fixture_await_threads();
	certs_remove(made);
	return rmdir(made);
}

/* Nothing runs yet. */
static void trial_init(struct trial *t)
{
	fixture_init(&t->f);
	snprintf(t->server_dir, sizeof(t->server_dir), "%s/server", t->f.dir);
	snprintf(t->client_dir, sizeof(t->client_dir), "%s/" CLIENT, t->f.dir);
	certs_run(t->f.dir, "cp -r %s/* .", made);
}

static void trial_serve(struct trial *t, bool tls)
{
	struct rpc_server_config config = { .endpoint = "tcp://127.0.0.1:0" };

	if (tls) {
		config.tls_dir = t->server_dir;
		config.client_names = names;
		config.client_name_count = 1;
	}
	rpc_refusal_forget();
	lines_begin(&lines);
	t->server = fixture_serve(&t->f, config);
	snprintf(t->address, sizeof(t->address), "127.0.0.1:%u", rpc_server_port(t->server));
}

static void trial_fini(struct trial *t)
{
	rpc_server_free(t->server);
	lines_end(&lines);
	certs_remove(t->f.dir);
	fixture_fini(&t->f);
}

/* The call fails with these words, which the client also logs; the server logs the others. */
static void expect_refusal(const char *address, const char *tls_dir, const char *error,
			   const char *line)
{
	const char *ours[] = { "no connection to the server", error, address };
	const char *theirs[] = { line, "peer=127.0.0.1:" };
	struct err err = ERR_INIT;

	assert_int_equal(fixture_probe_at(address, tls_dir, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	if (!strstr(err.msg, error) || strncmp(err.msg, address, strlen(address)) != 0)
		fail_msg("\"%s\" does not begin with %s and hold \"%s\"", err.msg, address, error);
	lines_await(&lines, ours, 3);
	lines_await(&lines, theirs, 2);
}

#define NOT_SIGNED "certificate is not signed by an authority in our ca.crt"
#define NOT_TRUSTED "during the TLS handshake; most likely it does not trust our certificate"
#define NOT_ACCEPTED "most likely it does not accept our certificate (CN=" CLIENT

static void test_accepted(void **state)
{
	const char *const refused[] = { "peer=" };
	struct err err = ERR_INIT;
	struct trial t;

	(void)state;
	trial_init(&t);
	trial_serve(&t, true);
	for (int i = 0; i < 3; i++)
		if (fixture_probe_at(t.address, t.client_dir, &err) < 0)
			fail_msg("%s", err.msg);
	rpc_server_free(t.server);
	assert_int_equal(lines_count(&lines, refused, 1), 0);
	lines_end(&lines);
	trial_serve(&t, true);
	trial_fini(&t);
}

static void test_server_of_another_authority(void **state)
{
	struct trial t;

	(void)state;
	trial_init(&t);
	certs_run(t.f.dir, "cp stranger/* " CLIENT);
	trial_serve(&t, true);
	expect_refusal(t.address, t.client_dir, "the server's " NOT_SIGNED, NOT_TRUSTED);
	trial_fini(&t);
}

/* It trusts the server but shows the certificate of another authority. */
static void test_client_of_another_authority(void **state)
{
	struct trial t;

	(void)state;
	trial_init(&t);
	certs_run(t.f.dir, "cp stranger/* " CLIENT);
	certs_run(t.f.dir, "cp good.ca/ca.crt " CLIENT);
	trial_serve(&t, true);
	expect_refusal(t.address, t.client_dir, NOT_ACCEPTED, "the client's " NOT_SIGNED);
	trial_fini(&t);
}

static void test_client_out_of_time(void **state)
{
	struct trial t;

	(void)state;
	trial_init(&t);
	certs_period(t.f.dir, "good", CLIENT, -2 * DAY_S, -DAY_S);
	trial_serve(&t, true);
	expect_refusal(t.address, t.client_dir, NOT_ACCEPTED,
		       "reason=\"the client's certificate has expired\" "
		       "certificate=\"CN=" CLIENT ", issued by CN=nvmeot CA");
	expect_refusal(t.address, t.client_dir, "which has expired): its log says why", "peer=");
	certs_period(t.f.dir, "good", CLIENT, DAY_S, 2 * DAY_S);
	expect_refusal(t.address, t.client_dir, NOT_ACCEPTED,
		       "the client's certificate is not yet valid");
	expect_refusal(t.address, t.client_dir, "which is not yet valid): its log", "peer=");
	trial_fini(&t);
}

static void test_server_out_of_time(void **state)
{
	struct trial t;

	(void)state;
	trial_init(&t);
	certs_period(t.f.dir, "good", "server", -2 * DAY_S, -DAY_S);
	trial_serve(&t, true);
	expect_refusal(t.address, t.client_dir, "the server's certificate has expired",
		       NOT_TRUSTED ", which has expired");
	certs_period(t.f.dir, "good", "server", DAY_S, 2 * DAY_S);
	expect_refusal(t.address, t.client_dir, "the server's certificate is not yet valid",
		       NOT_TRUSTED ", which is not yet valid");
	trial_fini(&t);
}

/* The certificate is for the address, and the client calls it by a name. */
static void test_server_of_another_name(void **state)
{
	struct trial t;
	char by_name[32];

	(void)state;
	trial_init(&t);
	trial_serve(&t, true);
	snprintf(by_name, sizeof(by_name), "localhost:%u", rpc_server_port(t.server));
	expect_refusal(by_name, t.client_dir, "the server's certificate is not for localhost",
		       "right after the TLS handshake; most likely our certificate is not for");
	trial_fini(&t);
}

/* Of the right authority and name, but made for the other side. */
static void test_wrong_usage(void **state)
{
	struct trial t;

	(void)state;
	trial_init(&t);
	trial_serve(&t, true);
	expect_refusal(t.address, t.server_dir, "it does not accept our certificate (CN=server",
		       "the client's certificate is not made for this side");
	certs_odd(t.f.dir, "good", "server", "/CN=server",
		  "subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=clientAuth\\n");
	expect_refusal(t.address, t.client_dir,
		       "the server's certificate is not made for this side", NOT_TRUSTED);
	trial_fini(&t);
}

static void test_plaintext_to_tls(void **state)
{
	struct trial t;

	(void)state;
	trial_init(&t);
	trial_serve(&t, true);
	expect_refusal(t.address, NULL, "the server closed the connection; does it want TLS?",
		       "the client does not speak TLS");
	trial_fini(&t);
}

/* The address of an IPv6 client is written as everywhere else. */
static void test_v6(void **state)
{
	struct rpc_server_config config = { .endpoint = "tcp://[::1]:0",
					    .client_names = names,
					    .client_name_count = 1 };
	const char *const line[] = { "the client does not speak TLS", "peer=[::1]:" };
	struct err err = ERR_INIT;
	struct trial t;

	(void)state;
	trial_init(&t);
	rpc_refusal_forget();
	lines_begin(&lines);
	config.tls_dir = t.server_dir;
	t.server = fixture_serve(&t.f, config);
	snprintf(t.address, sizeof(t.address), "[::1]:%u", rpc_server_port(t.server));
	assert_int_equal(fixture_probe_at(t.address, NULL, &err), -1);
	lines_await(&lines, line, 2);
	trial_fini(&t);
}

static void test_tls_to_plaintext(void **state)
{
	struct trial t;

	(void)state;
	trial_init(&t);
	trial_serve(&t, false);
	expect_refusal(t.address, t.client_dir, "the server does not speak TLS at this port",
		       "the client speaks TLS, which this server does not");
	trial_fini(&t);
}

/* What a TLS client without a certificate gets is no session; with one the same client gets it. */
static void test_no_client_certificate(void **state)
{
	static const char client[] = "echo | openssl s_client -brief -connect %s -alpn h2 -tls1_2 "
				     "-CAfile server/ca.crt -verify_return_error %s 2>&1";
	const char *const line[] = { "the client showed no certificate", "peer=127.0.0.1:" };
	char command[512];
	struct trial t;

	(void)state;
	trial_init(&t);
	trial_serve(&t, true);
	snprintf(command, sizeof(command), client, t.address, "");
	certs_run(t.f.dir, "! %s | grep -q 'CONNECTION ESTABLISHED'", command);
	lines_await(&lines, line, 2);
	snprintf(command, sizeof(command), client, t.address,
		 "-cert " CLIENT "/tls.crt -key " CLIENT "/tls.key");
	certs_run(t.f.dir, "%s | grep -q 'CONNECTION ESTABLISHED'", command);
	trial_fini(&t);
}

/* A client that tries again and again is one line a minute; another reason is another line. */
static void test_no_flood(void **state)
{
	const char *const refused[] = { "client refused" };
	const char *const plain[] = { "does not speak TLS" };
	const char *const failed[] = { "no connection to the server" };
	struct err err = ERR_INIT;
	struct trial t;

	(void)state;
	trial_init(&t);
	certs_period(t.f.dir, "good", CLIENT, -2 * DAY_S, -DAY_S);
	trial_serve(&t, true);
	for (int i = 0; i < 20; i++)
		assert_int_equal(fixture_probe_at(t.address, t.client_dir, &err), -1);
	assert_int_equal(lines_count(&lines, refused, 1), 1);
	assert_int_equal(lines_count(&lines, failed, 1), 1);
	assert_int_equal(fixture_probe_at(t.address, NULL, &err), -1);
	lines_await(&lines, plain, 1);
	assert_int_equal(lines_count(&lines, refused, 1), 2);
	trial_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_server_of_another_authority),
		cmocka_unit_test(test_client_of_another_authority),
		cmocka_unit_test(test_client_out_of_time),
		cmocka_unit_test(test_server_out_of_time),
		cmocka_unit_test(test_server_of_another_name),
		cmocka_unit_test(test_wrong_usage),
		cmocka_unit_test(test_plaintext_to_tls),
		cmocka_unit_test(test_v6),
		cmocka_unit_test(test_tls_to_plaintext),
		cmocka_unit_test(test_no_client_certificate),
		cmocka_unit_test(test_no_flood),
	};

	return cmocka_run_group_tests(tests, make_certs, remove_certs);
}
