/* SPDX-License-Identifier: Apache-2.0 */
/* The files of mutual TLS: bad ones, and ones that change, by halves or as a secret does. */
#include "rpc_certs.h"
#include "rpc_fixture.h"

#include "csi/rpc/tls.h"

#define CLIENT "nvmeot-controller"

static const char *const names[] = { CLIENT };

struct tls_trial {
	struct fixture f;
	struct rpc_server *server;
	char server_dir[80];
	char client_dir[96];
	char stranger_dir[80];
	char address[32];
};

static void trial_serve(struct tls_trial *t, int connection_age_ms)
{
	t->server = fixture_serve(
		&t->f, (struct rpc_server_config) { .endpoint = "tcp://127.0.0.1:0",
						    .tls_dir = t->server_dir,
						    .client_names = names,
						    .client_name_count = 1,
						    .connection_age_ms = connection_age_ms });
	snprintf(t->address, sizeof(t->address), "127.0.0.1:%u", rpc_server_port(t->server));
}

static void trial_init(struct tls_trial *t)
{
	fixture_init(&t->f);
	snprintf(t->server_dir, sizeof(t->server_dir), "%s/server", t->f.dir);
	snprintf(t->client_dir, sizeof(t->client_dir), "%s/" CLIENT, t->f.dir);
	snprintf(t->stranger_dir, sizeof(t->stranger_dir), "%s/stranger", t->f.dir);
	certs_authority(t->f.dir, "good");
	certs_agent(t->f.dir, "good", "server", "127.0.0.1");
	certs_client(t->f.dir, "good", CLIENT);
	trial_serve(t, 0);
}

static void trial_fini(struct tls_trial *t)
{
	rpc_server_free(t->server);
	certs_remove(t->f.dir);
	fixture_fini(&t->f);
}

static void expect_probe(const struct tls_trial *t)
{
	struct err err = ERR_INIT;

	if (fixture_probe_at(t->address, t->client_dir, &err) < 0)
		fail_msg("%s", err.msg);
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
	certs_run(t.f.dir, "cp -r " CLIENT " stranger");
	certs_authority(t.f.dir, "next");
	certs_agent(t.f.dir, "next", "server", "127.0.0.1");
	certs_client(t.f.dir, "next", CLIENT);
	if (fixture_call_probe(client, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(fixture_probe_at(t.address, t.stranger_dir, &err), -1);
	/* Bad files for a while: what was read before stays in use. */
	certs_run(t.f.dir, "mv server/tls.key kept; echo nonsense >server/tls.key");
	expect_probe(&t);
	certs_run(t.f.dir, "mv kept server/tls.key");
	rpc_client_free(client);
	trial_fini(&t);
}

static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		count++;
	return count;
}

/* The new certificate with the old key, on either side: both stay with what they had. */
static void test_half_rotated(void **state)
{
	struct rpc_client *client;
	struct err err = ERR_INIT;
	struct tls_trial t;
	char *log;

	(void)state;
	trial_init(&t);
	client = fixture_client(t.address, t.client_dir);
	certs_run(t.f.dir, "cp -r server old; cp -r " CLIENT " mine");
	certs_agent(t.f.dir, "good", "server", "127.0.0.1");
	certs_client(t.f.dir, "good", CLIENT);
	certs_run(t.f.dir, "cp -r server new; cp -r " CLIENT " ours; cp old/tls.key server/; "
			   "cp mine/tls.key " CLIENT "/");
	fixture_log_begin(&t.f);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fixture_call_probe(client, &err), 0);
		certs_run(t.f.dir, "openssl s_client -connect %s </dev/null || true", t.address);
	}
	log = fixture_log_end(&t.f);
	/* Once on each side. */
	if (count_of(log, "tls.crt and tls.key do not belong together") != 2)
		fail_msg("%s", log);
	assert_int_equal(count_of(log, "read again"), 0);
	free(log);
	certs_run(t.f.dir, "cp new/tls.key server/; cp ours/tls.key " CLIENT "/");
	fixture_log_begin(&t.f);
	assert_int_equal(fixture_call_probe(client, &err), 0);
	log = fixture_log_end(&t.f);
	assert_int_equal(count_of(log, "read again"), 1);
	assert_int_equal(count_of(log, "cannot be used"), 0);
	free(log);
	rpc_client_free(client);
	trial_fini(&t);
}

/*
 * What stood in the way of reading passes without a change of the files: as the stamp sees it, when
 * they are put right in place and within a tick of the clock.
 */
static void test_passing_trouble(void **state)
{
	static const char same_time[] = "touch -d @1700000000 server/tls.key " CLIENT "/tls.key";
	struct rpc_client *client;
	struct err err = ERR_INIT;
	struct tls_trial t;
	char *log;

	(void)state;
	trial_init(&t);
	client = fixture_client(t.address, t.client_dir);
	certs_agent(t.f.dir, "good", "server", "127.0.0.1");
	certs_client(t.f.dir, "good", CLIENT);
	certs_run(t.f.dir,
		  "cp server/tls.key key; cp " CLIENT "/tls.key my; "
		  "tr A-Z a-z <key >server/tls.key; tr A-Z a-z <my >" CLIENT "/tls.key; %s",
		  same_time);
	fixture_log_begin(&t.f);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fixture_call_probe(client, &err), 0);
		certs_run(t.f.dir, "openssl s_client -connect %s </dev/null || true", t.address);
	}
	log = fixture_log_end(&t.f);
	if (count_of(log, "cannot be used") != 2)
		fail_msg("%s", log);
	free(log);
	certs_run(t.f.dir, "cat key >server/tls.key; cat my >" CLIENT "/tls.key; %s", same_time);
	fixture_log_begin(&t.f);
	assert_int_equal(fixture_call_probe(client, &err), 0);
	log = fixture_log_end(&t.f);
	/* By a new connection, which the client makes with the new files. */
	if (count_of(log, "read again") != 1 || count_of(log, "cannot be used"))
		fail_msg("%s", log);
	free(log);
	rpc_client_free(client);
	trial_fini(&t);
}

/* A client stays connected, and its authority is no longer trusted: it is out before long. */
static void test_connection_age(void **state)
{
	struct deadline limit = deadline_after_ms(30000);
	struct rpc_client *client;
	struct err err = ERR_INIT;
	struct tls_trial t;

	(void)state;
	trial_init(&t);
	rpc_server_free(t.server);
	trial_serve(&t, 1000);
	client = fixture_client(t.address, t.client_dir);
	if (fixture_call_probe(client, &err) < 0)
		fail_msg("%s", err.msg);
	certs_authority(t.f.dir, "next");
	certs_agent(t.f.dir, "next", "server", "127.0.0.1");
	while (fixture_call_probe(client, &err) == 0)
		assert_false(deadline_passed(limit));
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	rpc_client_free(client);
	trial_fini(&t);
}

/* A secret as the kubelet mounts it: files are links into ..data, which is a link that moves. */
static void test_secret_volume(void **state)
{
	static const char mount[] = "mkdir %1$s/..%2$s; mv %1$s/ca.crt %1$s/tls.* %1$s/..%2$s; "
				    "ln -s ..%2$s %1$s/..next; mv -T %1$s/..next %1$s/..data; "
				    "ln -sf ..data/ca.crt ..data/tls.crt ..data/tls.key %1$s";
	struct rpc_client *client;
	struct err err = ERR_INIT;
	struct tls_trial t;

	(void)state;
	trial_init(&t);
	certs_run(t.f.dir, mount, "server", "1");
	certs_run(t.f.dir, mount, CLIENT, "1");
	client = fixture_client(t.address, t.client_dir);
	assert_int_equal(fixture_call_probe(client, &err), 0);
	certs_authority(t.f.dir, "next");
	certs_run(t.f.dir, "rm server/* " CLIENT "/*");
	certs_agent(t.f.dir, "next", "server", "127.0.0.1");
	certs_client(t.f.dir, "next", CLIENT);
	certs_run(t.f.dir, mount, "server", "2");
	certs_run(t.f.dir, mount, CLIENT, "2");
	if (fixture_call_probe(client, &err) < 0)
		fail_msg("%s", err.msg);
	expect_probe(&t);
	rpc_client_free(client);
	trial_fini(&t);
}

#define DAY_S (24L * 60 * 60)

/* At the load, and then not before a day has passed. */
static void test_expiry(void **state)
{
	struct tls_trial t;
	char *log;

	(void)state;
	trial_init(&t);
	fixture_log_begin(&t.f);
	expect_probe(&t);
	expect_probe(&t);
	certs_period(t.f.dir, "good", "server", -DAY_S, 3 * DAY_S);
	expect_probe(&t);
	expect_probe(&t);
	log = fixture_log_end(&t.f);
	if (count_of(log, "our TLS certificate runs out within a week") != 1 ||
	    count_of(log, t.server_dir) == 0)
		fail_msg("%s", log);
	free(log);
	certs_period(t.f.dir, "good", "server", -2 * DAY_S, -DAY_S);
	fixture_log_begin(&t.f);
	fixture_probe_at(t.address, t.client_dir, &(struct err) { 0 });
	log = fixture_log_end(&t.f);
	if (count_of(log, "our TLS certificate is refused by everybody") != 1 ||
	    count_of(log, "reason=\"has expired\"") == 0)
		fail_msg("%s", log);
	free(log);
	trial_fini(&t);
}

static void expect_bad(const struct tls_trial *t, const char *script, const char *part)
{
	struct rpc_server_config config = { .endpoint = "tcp://127.0.0.1:0",
					    .tls_dir = t->server_dir,
					    .client_names = names,
					    .client_name_count = 1 };
	struct rpc_server *server = NULL;
	struct rpc_client *client = NULL;
	struct err err = ERR_INIT;

	certs_run(t->f.dir, "%s", script);
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
	expect_bad(&t,
		   "mv key server/tls.key; cp server/ca.crt ca; "
		   "sed -i '2s/^..../@@@@/' server/ca.crt",
		   "ca.crt is not a certificate");
	/* Each is good by itself, but they do not belong together. */
	expect_bad(&t, "mv ca server/ca.crt; cp " CLIENT "/tls.key server/tls.key",
		   "tls.crt and tls.key do not belong together");
	trial_fini(&t);
}

static void test_names_are_needed(void **state)
{
	struct rpc_server_config config = { .endpoint = "tcp://127.0.0.1:0", .tls_dir = "/tmp" };
	struct rpc_server *server = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(rpc_server_new(&config, &server, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_non_null(strstr(err.msg, "without the names of clients"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_change),	cmocka_unit_test(test_half_rotated),
		cmocka_unit_test(test_passing_trouble), cmocka_unit_test(test_connection_age),
		cmocka_unit_test(test_secret_volume),	cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_bad_files),	cmocka_unit_test(test_names_are_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
