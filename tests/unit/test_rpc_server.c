/* SPDX-License-Identifier: Apache-2.0 */
/* The server's life: configuration, the socket file, ports, draining, and what it logs. */
#include "rpc_fixture.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static void expect_new_fails(const char *endpoint, const char *tls_dir, enum err_code code,
			     const char *part)
{
	static const char *const names[] = { "nvmeot-controller" };
	struct rpc_server_config config = { .endpoint = endpoint,
					    .tls_dir = tls_dir,
					    .client_names = names,
					    .client_name_count = 1 };
	struct rpc_server *server = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(rpc_server_new(&config, &server, &err), -1);
	assert_int_equal(err.code, code);
	if (!strstr(err.msg, part))
		fail_msg("\"%s\" does not contain \"%s\"", err.msg, part);
}

static void expect_start_fails(const char *endpoint, enum err_code code, const char *part)
{
	struct rpc_server_config config = { .endpoint = endpoint };
	struct rpc_server *server = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(rpc_server_new(&config, &server, &err), 0);
	assert_int_equal(rpc_server_start(server, &err), -1);
	assert_int_equal(err.code, code);
	if (!strstr(err.msg, part))
		fail_msg("\"%s\" does not contain \"%s\"", err.msg, part);
	rpc_server_free(server);
}

static void test_bad_configuration(void **state)
{
	(void)state;
	expect_new_fails("http://x", NULL, ERR_INVALID_ARGUMENT, "http://x");
	expect_new_fails("tcp://0.0.0.0:9000", NULL, ERR_INVALID_ARGUMENT, "loopback");
	expect_new_fails("tcp://[::]:9000", NULL, ERR_INVALID_ARGUMENT, "loopback");
	expect_new_fails("tcp://192.0.2.1:9000", NULL, ERR_INVALID_ARGUMENT, "192.0.2.1:9000");
	expect_new_fails("tcp://127.0.0.1:0", "/nonexistent", ERR_FAILED_PRECONDITION,
			 "/nonexistent");
	expect_start_fails("unix:///nonexistent/dir/s.sock", ERR_INTERNAL, "/nonexistent/dir");
}

static void test_port_in_use(void **state)
{
	struct rpc_server *server;
	struct fixture f;
	char endpoint[64];

	(void)state;
	fixture_init(&f);
	server = fixture_serve(&f, (struct rpc_server_config) { .endpoint = "tcp://127.0.0.1:0" });
	assert_int_not_equal(rpc_server_port(server), 0);
	snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%u", rpc_server_port(server));
	expect_start_fails(endpoint, ERR_INTERNAL, "Address already in use");
	rpc_server_free(server);
	fixture_fini(&f);
}

static void expect_served(const char *address)
{
	struct err err = ERR_INIT;

	if (fixture_probe_at(address, NULL, &err) < 0)
		fail_msg("%s", err.msg);
}

static void test_tcp(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "[::1]" };
	struct fixture f;
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		struct rpc_server *server;

		fixture_init(&f);
		snprintf(text, sizeof(text), "tcp://%s:0", hosts[i]);
		server = fixture_serve(&f, (struct rpc_server_config) { .endpoint = text });
		snprintf(text, sizeof(text), "%s:%u", hosts[i], rpc_server_port(server));
		expect_served(text);
		rpc_server_free(server);
		fixture_fini(&f);
	}
}

static void test_socket_mode_and_removal(void **state)
{
	struct rpc_server *server;
	struct fixture f;
	struct stat st;

	(void)state;
	fixture_init(&f);
	server = fixture_serve(&f, (struct rpc_server_config) { 0 });
	assert_int_equal(rpc_server_port(server), 0);
	assert_int_equal(stat(f.endpoint + 7, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	rpc_server_free(server);
	assert_int_equal(stat(f.endpoint + 7, &st), -1);
	fixture_fini(&f);
}

/* The socket of a server that is no more. */
static void make_stale(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

/* Both are served, and go together; a stale one is replaced like any. */
static void test_second_endpoint(void **state)
{
	cleanup_free char *also = NULL;
	struct rpc_server *server;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	also = xasprintf("unix://%s/also.sock", f.dir);
	make_stale(also + 7);
	server = fixture_serve(&f, (struct rpc_server_config) { .also = also });
	expect_served(f.endpoint);
	expect_served(also);
	rpc_server_free(server);
	fixture_fini(&f);
}

/* The first does not stay when the second cannot be made. */
static void test_second_endpoint_fails(void **state)
{
	struct rpc_server_config config = { .also = "unix:///nonexistent/also.sock" };
	struct rpc_server *server = NULL;
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	config.endpoint = f.endpoint;
	assert_int_equal(rpc_server_new(&config, &server, &err), 0);
	assert_int_equal(rpc_server_start(server, &err), -1);
	assert_non_null(strstr(err.msg, "/nonexistent"));
	rpc_server_free(server);
	config.also = "tcp://127.0.0.1:0";
	assert_int_equal(rpc_server_new(&config, &server, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_non_null(strstr(err.msg, config.also));
	fixture_fini(&f);
}

static void test_stale_socket(void **state)
{
	struct rpc_server *server;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	make_stale(f.endpoint + 7);
	server = fixture_serve(&f, (struct rpc_server_config) { 0 });
	expect_served(f.endpoint);
	rpc_server_free(server);
	fixture_fini(&f);
}

static void test_path_is_no_socket(void **state)
{
	struct fixture f;
	struct stat st;
	FILE *file;

	(void)state;
	fixture_init(&f);
	file = fopen(f.endpoint + 7, "w");
	fputs("precious", file);
	fclose(file);
	expect_start_fails(f.endpoint, ERR_FAILED_PRECONDITION, "is not a socket");
	assert_int_equal(stat(f.endpoint + 7, &st), 0);
	assert_int_equal(st.st_size, 8);
	unlink(f.endpoint + 7);
	fixture_fini(&f);
}

/* A newcomer takes the path over; the old one goes on for its client and removes nothing. */
static void test_takeover(void **state)
{
	struct rpc_server *old_server, *new_server;
	struct rpc_client *old_client;
	struct err err = ERR_INIT;
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	old_server = fixture_serve(&f, (struct rpc_server_config) { 0 });
	old_client = fixture_client(f.endpoint, NULL);
	assert_int_equal(fixture_call_probe(old_client, &err), 0);
	fixture_log_begin(&f);
	new_server = fixture_serve(&f, (struct rpc_server_config) { 0 });
	text = fixture_log_end(&f);
	assert_non_null(strstr(text, "taking the socket over"));
	free(text);
	assert_int_equal(fixture_call_probe(old_client, &err), 0);
	rpc_client_free(old_client);
	rpc_server_free(old_server);
	expect_served(f.endpoint);
	rpc_server_free(new_server);
	fixture_fini(&f);
}

static void test_secrets_stay_out_of_the_log(void **state)
{
	Csi__V1__NodeStageVolumeRequest request = CSI__V1__NODE_STAGE_VOLUME_REQUEST__INIT;
	Csi__V1__NodeStageVolumeRequest__SecretsEntry entry =
		CSI__V1__NODE_STAGE_VOLUME_REQUEST__SECRETS_ENTRY__INIT;
	Csi__V1__NodeStageVolumeRequest__SecretsEntry *entries[] = { &entry };
	ProtobufCMessage *response = NULL;
	struct rpc_server *server;
	struct rpc_client *client;
	struct err err = ERR_INIT;
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	fixture_log_begin(&f);
	log_init("text", "debug", &err);
	server = fixture_serve(&f, (struct rpc_server_config) { 0 });
	client = fixture_client(f.endpoint, NULL);
	request.volume_id = "missing";
	entry.key = "dhchap";
	entry.value = "DHHC-1:00:hunter2";
	request.secrets = entries;
	request.n_secrets = 1;
	assert_int_equal(rpc_client_call(client, STAGE, &request.base,
					 &csi__v1__node_stage_volume_response__descriptor,
					 deadline_none(), &response, &err),
			 -1);
	assert_int_equal(fixture_call_probe(client, &err), 0);
	rpc_client_free(client);
	rpc_server_free(server);
	log_init("text", "error", &err);
	text = fixture_log_end(&f);
	assert_null(strstr(text, "hunter2"));
	assert_non_null(strstr(text, "***stripped***"));
	assert_non_null(strstr(text, "call begins"));
	assert_non_null(strstr(text, "code=NOT_FOUND"));
	/* The probe is quiet: its closing line is there, at debug. */
	assert_non_null(strstr(text, "debug   call done method=" PROBE " code=OK"));
	free(text);
	fixture_fini(&f);
}

/* Handlers that are held are no matter, calls that wait for a worker are. */
static void test_check_of_workers(void **state)
{
	struct fixture_call held, waits;
	struct rpc_server *server;
	struct rpc_client *client;
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	server = fixture_serve(&f, (struct rpc_server_config) { .max_workers = 1 });
	client = fixture_client(f.endpoint, NULL);
	fixture_call_begin(&held, client, "hold-1");
	fixture_await_held(&f, 1);
	assert_int_equal(rpc_server_check(server, CALL_MS, &err), 0);
	fixture_call_begin(&waits, client, "hold-2");
	while (rpc_server_check(server, 10, &err) == 0)
		;
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "for one of 1 workers"));
	assert_int_equal(rpc_server_check(server, CALL_MS, &err), 0);
	fixture_let_go(&f);
	fixture_call_end(&held);
	fixture_call_end(&waits);
	rpc_client_free(client);
	rpc_server_free(server);
	fixture_fini(&f);
}

static void *call_unknown(void *client)
{
	Csi__V1__ProbeRequest request = CSI__V1__PROBE_REQUEST__INIT;
	ProtobufCMessage *response = NULL;
	struct err err = ERR_INIT;

	rpc_client_call(client, "/csi.v1.Node/NoSuchThing", &request.base,
			&csi__v1__probe_response__descriptor, deadline_after_ms(CALL_MS), &response,
			&err);
	return NULL;
}

/* A pipe that nobody reads, in the place of the log: whoever logs stands still. */
static int stop_log(void)
{
	char full[4096] = "";
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	while (write(fds[1], full, sizeof(full)) > 0)
		;
	fcntl(fds[1], F_SETFL, 0);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	return fds[0];
}

/* What refuses an unknown method, and logs that, is the poller. */
static void test_check_of_the_poller(void **state)
{
	int saved = dup(STDERR_FILENO), log;
	struct rpc_server *server;
	struct rpc_client *client;
	struct err err = ERR_INIT;
	char lines[4096];
	struct fixture f;
	pthread_t thread;

	(void)state;
	fixture_init(&f);
	server = fixture_serve(&f, (struct rpc_server_config) { 0 });
	client = fixture_client(f.endpoint, NULL);
	assert_int_equal(fixture_call_probe(client, &err), 0);
	assert_int_equal(log_init("text", "info", &err), 0);
	log = stop_log();
	assert_int_equal(pthread_create(&thread, NULL, call_unknown, client), 0);
	while (rpc_server_check(server, 10, &err) == 0)
		;
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "no call has been taken in"));
	assert_int_equal(rpc_server_check(server, CALL_MS, &err), 0);
	while (read(log, lines, sizeof(lines)) > 0)
		;
	pthread_join(thread, NULL);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(log);
	assert_int_equal(fixture_call_probe(client, &err), 0);
	while (rpc_server_check(server, 0, &err) < 0)
		;
	log_init("text", "error", &err);
	rpc_client_free(client);
	rpc_server_free(server);
	fixture_fini(&f);
}

static void test_drain_waits_and_reports(void **state)
{
	struct fixture_call call;
	struct err err = ERR_INIT;
	struct fixture f;

	(void)state;
	fixture_begin(&f);
	fixture_call_begin(&call, f.client, "hold-1");
	fixture_await_held(&f, 1);
	assert_int_equal(rpc_server_drain(f.server, deadline_after_ms(1), &err), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	assert_string_equal(err.msg, "1 calls still run");
	/* From now on new calls are refused, and the running one is not disturbed. */
	assert_int_equal(fixture_call_stage(f.client, "late", deadline_none(), &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "shutting down"));
	fixture_let_go(&f);
	assert_int_equal(rpc_server_drain(f.server, deadline_none(), &err), 0);
	fixture_call_end(&call);
	assert_int_equal(call.rc, 0);
	assert_int_equal(rpc_server_drain(f.server, deadline_none(), &err), 0);
	fixture_end(&f);
}

#define LOAD_THREADS 16

struct load {
	const struct fixture *f;
	pthread_barrier_t *started;
	size_t good;
	enum err_code last;
};

/* Calls until it is refused. */
static void *load_main(void *data)
{
	struct load *load = data;
	struct rpc_client *client = fixture_client(load->f->endpoint, NULL);
	struct err err = ERR_INIT;
	char id[32];

	snprintf(id, sizeof(id), "v-%zx", (size_t)pthread_self());
	while (fixture_call_stage(client, id, deadline_after_ms(CALL_MS), &err) == 0)
		if (load->good++ == 0)
			pthread_barrier_wait(load->started);
	load->last = err.code;
	rpc_client_free(client);
	return NULL;
}

static void test_drain_under_load(void **state)
{
	pthread_t threads[LOAD_THREADS];
	struct load loads[LOAD_THREADS];
	struct rpc_server *server;
	struct err err = ERR_INIT;
	pthread_barrier_t started;
	struct fixture f;
	size_t good = 0;

	(void)state;
	fixture_init(&f);
	pthread_barrier_init(&started, NULL, LOAD_THREADS + 1);
	server = fixture_serve(&f, (struct rpc_server_config) { 0 });
	for (size_t i = 0; i < LOAD_THREADS; i++) {
		loads[i] = (struct load) { .f = &f, .started = &started };
		assert_int_equal(pthread_create(&threads[i], NULL, load_main, &loads[i]), 0);
	}
	pthread_barrier_wait(&started);
	assert_int_equal(rpc_server_drain(server, deadline_after_ms(CALL_MS), &err), 0);
	for (size_t i = 0; i < LOAD_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(loads[i].last == ERR_UNAVAILABLE || loads[i].last == ERR_CANCELLED);
		good += loads[i].good;
	}
	rpc_server_free(server);
	/* Every call that a handler has seen was answered, and no refused one reached a handler. */
	assert_int_equal(f.begun, good);
	pthread_barrier_destroy(&started);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_configuration),
		cmocka_unit_test(test_port_in_use),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_socket_mode_and_removal),
		cmocka_unit_test(test_second_endpoint),
		cmocka_unit_test(test_second_endpoint_fails),
		cmocka_unit_test(test_stale_socket),
		cmocka_unit_test(test_path_is_no_socket),
		cmocka_unit_test(test_takeover),
		cmocka_unit_test(test_secrets_stay_out_of_the_log),
		cmocka_unit_test(test_check_of_workers),
		cmocka_unit_test(test_check_of_the_poller),
		cmocka_unit_test(test_drain_waits_and_reports),
		cmocka_unit_test(test_drain_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
