/* SPDX-License-Identifier: Apache-2.0 */
/* Mutual TLS: who gets in, who does not, bad files, and files that change. */
#include "rpc_certs.h"
#include "rpc_fixture.h"

struct tls_trial {
	struct fixture f;
	struct rpc_service services[2];
	struct rpc_server *server;
	char server_dir[80];
	char client_dir[80];
	char stranger_dir[80];
	char address[32];
};

static void trial_init(struct tls_trial *t)
{
	fixture_init(&t->f);
	snprintf(t->server_dir, sizeof(t->server_dir), "%s/server", t->f.dir);
	snprintf(t->client_dir, sizeof(t->client_dir), "%s/client", t->f.dir);
	snprintf(t->stranger_dir, sizeof(t->stranger_dir), "%s/stranger", t->f.dir);
	certs_authority(t->f.dir, "good");
	certs_directory(t->f.dir, "server", "good", "IP:127.0.0.1");
	certs_directory(t->f.dir, "client", "good", "DNS:controller");
	t->server = fixture_serve(&t->f, t->services,
				  (struct rpc_server_config) { .endpoint = "tcp://127.0.0.1:0",
							       .tls_dir = t->server_dir });
	snprintf(t->address, sizeof(t->address), "127.0.0.1:%u", rpc_server_port(t->server));
}

static void trial_fini(struct tls_trial *t)
{
	rpc_server_free(t->server);
	certs_remove(t->f.dir);
	fixture_fini(&t->f);
}

static int probe(const char *address, const char *tls_dir, struct err *err)
{
	struct rpc_client *client = fixture_client(address, tls_dir);
	int rc = fixture_call_probe(client, err);

	rpc_client_free(client);
	return rc;
}

static void test_who_gets_in(void **state)
{
	struct tls_trial t;
	struct err err = ERR_INIT;
	char by_name[32];

	(void)state;
	trial_init(&t);
	if (probe(t.address, t.client_dir, &err) < 0)
		fail_msg("%s", err.msg);
	/* No TLS at all, and so no certificate. */
	assert_int_equal(probe(t.address, NULL, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, t.address));
	/* A client of another authority trusts nobody here and is trusted by nobody. */
	certs_authority(t.f.dir, "bad");
	certs_directory(t.f.dir, "stranger", "bad", "DNS:controller");
	assert_int_equal(probe(t.address, t.stranger_dir, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	/* The server's certificate is for the address, not for a name. */
	snprintf(by_name, sizeof(by_name), "localhost:%u", rpc_server_port(t.server));
	assert_int_equal(probe(by_name, t.client_dir, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	if (probe(t.address, t.client_dir, &err) < 0)
		fail_msg("%s", err.msg);
	trial_fini(&t);
}

/* It trusts the server but shows the certificate of another authority. */
static void test_untrusted_client(void **state)
{
	struct tls_trial t;
	struct err err = ERR_INIT;

	(void)state;
	trial_init(&t);
	certs_authority(t.f.dir, "bad");
	certs_directory(t.f.dir, "stranger", "bad", "DNS:controller");
	certs_run("cp good.ca/crt stranger/ca.crt", t.f.dir, "none", "none");
	assert_int_equal(probe(t.address, t.stranger_dir, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	trial_fini(&t);
}

/* What a TLS client without a certificate gets is no session; with one the same client gets it. */
static void test_no_client_certificate(void **state)
{
	static const char client[] = "echo | openssl s_client -brief -connect %s -alpn h2 -tls1_2 "
				     "-CAfile server/ca.crt -verify_return_error %s 2>&1";
	struct tls_trial t;
	char command[512], script[640];

	(void)state;
	trial_init(&t);
	snprintf(command, sizeof(command), client, t.address, "");
	snprintf(script, sizeof(script), "! %s | grep -q 'CONNECTION ESTABLISHED'", command);
	certs_run(script, t.f.dir, "none", "none");
	snprintf(command, sizeof(command), client, t.address,
		 "-cert client/tls.crt -key client/tls.key");
	snprintf(script, sizeof(script), "%s | grep -q 'CONNECTION ESTABLISHED'", command);
	certs_run(script, t.f.dir, "none", "none");
	trial_fini(&t);
}

/* Both sides move to another authority while they run. */
static void test_files_change(void **state)
{
	struct rpc_client *client;
	struct err err = ERR_INIT;
	struct tls_trial t;

	(void)state;
	trial_init(&t);
	client = fixture_client(t.address, t.client_dir);
	if (fixture_call_probe(client, &err) < 0)
		fail_msg("%s", err.msg);
	certs_authority(t.f.dir, "next");
	certs_directory(t.f.dir, "server", "next", "IP:127.0.0.1");
	certs_directory(t.f.dir, "client", "next", "DNS:controller");
	certs_directory(t.f.dir, "stranger", "good", "DNS:controller");
	if (fixture_call_probe(client, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(probe(t.address, t.stranger_dir, &err), -1);
	/* Bad files for a while: what was read before stays in use. */
	certs_run("mv server/tls.key kept; echo nonsense >server/tls.key", t.f.dir, "none", "none");
	if (probe(t.address, t.client_dir, &err) < 0)
		fail_msg("%s", err.msg);
	certs_run("mv kept server/tls.key", t.f.dir, "none", "none");
	rpc_client_free(client);
	trial_fini(&t);
}

static void expect_bad(const struct tls_trial *t, const char *script, const char *part)
{
	struct rpc_server_config config = { .endpoint = "tcp://127.0.0.1:0",
					    .tls_dir = t->server_dir };
	struct rpc_server *server = NULL;
	struct rpc_client *client = NULL;
	struct err err = ERR_INIT;

	certs_run(script, t->f.dir, "none", "none");
	assert_int_equal(rpc_server_new(&config, &server, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	if (!strstr(err.msg, part) || !strstr(err.msg, t->server_dir))
		fail_msg("\"%s\" does not name %s", err.msg, part);
	assert_int_equal(rpc_client_new(t->address, t->server_dir, &client, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, part));
}

static void test_bad_files(void **state)
{
	struct rpc_server_config config = { .endpoint = "tcp://127.0.0.1:0" };
	struct rpc_server *server = NULL;
	struct err err = ERR_INIT;
	struct tls_trial t;

	(void)state;
	trial_init(&t);
	expect_bad(&t, "mv server/ca.crt ca", "ca.crt");
	expect_bad(&t,
		   "mv ca server/ca.crt; cp server/tls.crt crt; cp server/tls.key "
		   "server/tls.crt",
		   "tls.crt");
	expect_bad(&t, "mv crt server/tls.crt; mv server/tls.key key; : >server/tls.key",
		   "tls.key");
	/* Each is good by itself, but they do not belong together. */
	certs_run("rm key; cp client/tls.key server/tls.key", t.f.dir, "none", "none");
	config.tls_dir = t.server_dir;
	assert_int_equal(rpc_server_new(&config, &server, &err), 0);
	assert_int_equal(rpc_server_start(server, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "belong together"));
	rpc_server_free(server);
	trial_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_gets_in),
		cmocka_unit_test(test_untrusted_client),
		cmocka_unit_test(test_no_client_certificate),
		cmocka_unit_test(test_files_change),
		cmocka_unit_test(test_bad_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
