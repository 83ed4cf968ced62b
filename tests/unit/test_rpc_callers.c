/* SPDX-License-Identifier: Apache-2.0 */
/* Who may call: names in certificates of the right authority. */
#include "rpc_certs.h"
#include "rpc_fixture.h"
#include "log_lines.h"

#include "csi/rpc/refusal.h"

#define CLIENT "nvmeot-controller"
#define FOR_CLIENTS "extendedKeyUsage=clientAuth\\n"

static const char *const names[] = { CLIENT, "nvmeotctl" };
static struct lines lines;

struct trial {
	struct fixture f;
	struct rpc_server *server;
	char server_dir[80];
	char client_dir[80];
	char address[32];
};

static void trial_init(struct trial *t)
{
	fixture_init(&t->f);
	snprintf(t->server_dir, sizeof(t->server_dir), "%s/server", t->f.dir);
	snprintf(t->client_dir, sizeof(t->client_dir), "%s/client", t->f.dir);
	certs_authority(t->f.dir, "good");
	certs_agent(t->f.dir, "good", "server", "127.0.0.1");
	certs_client(t->f.dir, "good", "client");
	t->server =
		fixture_serve(&t->f, (struct rpc_server_config) { .endpoint = "tcp://127.0.0.1:0",
								  .tls_dir = t->server_dir,
								  .client_names = names,
								  .client_name_count = 2 });
	snprintf(t->address, sizeof(t->address), "127.0.0.1:%u", rpc_server_port(t->server));
	rpc_refusal_forget();
	lines_begin(&lines);
}

static void trial_fini(struct trial *t)
{
	lines_end(&lines);
	rpc_server_free(t->server);
	certs_remove(t->f.dir);
	fixture_fini(&t->f);
}

/* A stage call by a client with such a certificate. */
static int call_as(struct trial *t, const char *subject, const char *extensions, struct err *err)
{
	struct rpc_client *client;
	int rc;

	certs_odd(t->f.dir, "good", "client", subject, extensions);
	client = fixture_client(t->address, t->client_dir);
	rc = fixture_call_stage(client, "v", deadline_after_ms(CALL_MS), err);
	rpc_client_free(client);
	return rc;
}

static void expect_allowed(struct trial *t, const char *subject, const char *extensions)
{
	struct err err = ERR_INIT;

	if (call_as(t, subject, extensions, &err) < 0)
		fail_msg("%s %s: %s", subject, extensions, err.msg);
}

static size_t handlers_begun(struct fixture *f)
{
	size_t begun;

	pthread_mutex_lock(&f->lock);
	begun = f->begun;
	pthread_mutex_unlock(&f->lock);
	return begun;
}

static void expect_refused(struct trial *t, const char *subject, const char *extensions,
			   const char *theirs)
{
	char sentence[256], logged[256];
	const char *line[] = { "client refused peer=127.0.0.1:", logged };
	struct err err = ERR_INIT;
	size_t begun = handlers_begun(&t->f);

	snprintf(sentence, sizeof(sentence),
		 "the client's certificate is for \"%s\"; only " CLIENT ", nvmeotctl may call",
		 theirs);
	snprintf(logged, sizeof(logged), "certificate is for \\\"%s\\\"; only", theirs);
	assert_int_equal(call_as(t, subject, extensions, &err), -1);
	assert_int_equal(err.code, ERR_PERMISSION_DENIED);
	assert_string_equal(err.msg, sentence);
	assert_int_equal(handlers_begun(&t->f), begun);
	lines_await(&lines, line, 2);
}

static void test_alternative_names(void **state)
{
	struct trial t;

	(void)state;
	trial_init(&t);
	expect_allowed(&t, "/CN=x", FOR_CLIENTS "subjectAltName=DNS:" CLIENT "\\n");
	expect_allowed(&t, "/CN=x", FOR_CLIENTS "subjectAltName=DNS:y,DNS:NvmeotCtl\\n");
	expect_refused(&t, "/CN=x", FOR_CLIENTS "subjectAltName=DNS:y,DNS:z\\n", "y, z");
	/* Neither the beginning of a name, nor a wildcard, nor a name of another kind. */
	expect_refused(&t, "/CN=x", FOR_CLIENTS "subjectAltName=DNS:nvmeot\\n", "nvmeot");
	expect_refused(&t, "/CN=x", FOR_CLIENTS "subjectAltName=DNS:" CLIENT ".evil\\n",
		       CLIENT ".evil");
	expect_refused(&t, "/CN=x", FOR_CLIENTS "subjectAltName=DNS:*\\n", "*");
	expect_refused(&t, "/CN=x", FOR_CLIENTS "subjectAltName=email:" CLIENT "@b.c\\n",
		       CLIENT "@b.c");
	expect_refused(&t, "/CN=x", FOR_CLIENTS "subjectAltName=URI:" CLIENT "\\n", CLIENT);
	trial_fini(&t);
}

/* The common name counts only when there is nothing else. */
static void test_common_name(void **state)
{
	struct trial t;

	(void)state;
	trial_init(&t);
	expect_allowed(&t, "/CN=" CLIENT, FOR_CLIENTS);
	expect_refused(&t, "/CN=x", FOR_CLIENTS, "x");
	expect_refused(&t, "/CN=" CLIENT, FOR_CLIENTS "subjectAltName=DNS:y\\n", "y");
	expect_refused(&t, "/CN=" CLIENT, FOR_CLIENTS "subjectAltName=IP:127.0.0.1\\n",
		       "127.0.0.1");
	expect_refused(&t, "/O=nobody", FOR_CLIENTS, "");
	trial_fini(&t);
}

/* An agent's certificate opens no other agent, even when it is not limited to servers. */
static void test_agents(void **state)
{
	struct trial t;

	(void)state;
	trial_init(&t);
	expect_refused(&t, "/CN=t2", "subjectAltName=IP:192.0.2.2,DNS:t2.lan\\n", "t2.lan");
	expect_refused(&t, "/CN=t2", "", "t2");
	trial_fini(&t);
}

/* Names are for certificates: without TLS, which is for loopback only, nobody shows one. */
static void test_names_without_tls(void **state)
{
	struct rpc_server_config config = { .endpoint = "tcp://127.0.0.1:0",
					    .client_names = names,
					    .client_name_count = 2 };
	struct rpc_client *client;
	struct rpc_server *server;
	struct err err = ERR_INIT;
	char address[32];
	struct fixture f;

	(void)state;
	fixture_init(&f);
	server = fixture_serve(&f, config);
	snprintf(address, sizeof(address), "127.0.0.1:%u", rpc_server_port(server));
	client = fixture_client(address, NULL);
	assert_int_equal(fixture_call_stage(client, "v", deadline_after_ms(CALL_MS), &err), 0);
	rpc_client_free(client);
	rpc_server_free(server);
	fixture_fini(&f);
}

/* An unknown method too says no more to a stranger, and one line is enough for many calls. */
static void test_many_calls(void **state)
{
	const char *const refused[] = { "client refused" }, *const any[] = { "call " };
	Csi__V1__ProbeRequest request = CSI__V1__PROBE_REQUEST__INIT;
	ProtobufCMessage *response = NULL;
	struct rpc_client *client;
	struct err err = ERR_INIT;
	struct trial t;

	(void)state;
	trial_init(&t);
	client = fixture_client(t.address, t.client_dir);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(rpc_client_call(client, i % 2 ? PROBE : "/no.Such/Method",
						 &request.base,
						 &csi__v1__probe_response__descriptor,
						 deadline_after_ms(CALL_MS), &response, &err),
				 -1);
		assert_int_equal(err.code, ERR_PERMISSION_DENIED);
	}
	rpc_client_free(client);
	assert_int_equal(lines_count(&lines, refused, 1), 1);
	assert_int_equal(lines_count(&lines, any, 1), 0);
	trial_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alternative_names),
		cmocka_unit_test(test_common_name),
		cmocka_unit_test(test_agents),
		cmocka_unit_test(test_names_without_tls),
		cmocka_unit_test(test_many_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
