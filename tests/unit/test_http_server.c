/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server against real sockets: paths, methods, bounds, addresses. */
#include "tests/unit/http_client.h"

#include <errno.h>
#include <pthread.h>

#include "csi/http/server.h"

#define LOOPBACK "127.0.0.1:0"

struct seen {
	unsigned int calls;
	unsigned int threads;
	pthread_t thread;
};

static void say_hello(void *context, struct http_answer *answer)
{
	struct seen *seen = context;

	if (!seen->calls++ || !pthread_equal(seen->thread, pthread_self()))
		seen->threads++;
	seen->thread = pthread_self();
	fputs("hello\n", answer->body);
}

static void say_sorry(void *context, struct http_answer *answer)
{
	(void)context;
	answer->status = 503;
	answer->type = "text/x-sorry";
	fputs("sorry\n", answer->body);
}

static void say_much(void *context, struct http_answer *answer)
{
	(void)context;
	for (int i = 0; i < 5000; i++)
		fprintf(answer->body, "line %07d ........................\n", i);
}

static const struct http_route routes[] = {
	{ "/hello", say_hello },
	{ "/sorry", say_sorry },
	{ "/much", say_much },
};

static struct http_server *serve(const char *address, struct seen *seen)
{
	struct http_server *server = NULL;
	struct err err = ERR_INIT;

	if (http_server_new(address, routes, ARRAY_SIZE(routes), seen, &server, &err) < 0)
		fail_msg("%s", err.msg);
	return server;
}

static int refused(const char *address, struct err *err)
{
	struct http_server *server = NULL;
	struct seen seen = { 0 };

	*err = ERR_INIT;
	assert_int_equal(http_server_new(address, routes, ARRAY_SIZE(routes), &seen, &server, err),
			 -1);
	assert_null(server);
	return err->code;
}

static void test_paths(void **state)
{
	struct seen seen = { 0 };
	struct http_server *server = serve(LOOPBACK, &seen);
	cleanup_free char *hello = http_ask(http_server_address(server), "GET", "/hello?a=b");
	cleanup_free char *sorry = http_ask(http_server_address(server), "GET", "/sorry");
	cleanup_free char *much = http_ask(http_server_address(server), "GET", "/much");
	cleanup_free char *none = http_ask(http_server_address(server), "GET", "/hello/");

	(void)state;
	assert_int_equal(http_status(hello), 200);
	assert_string_equal(http_body(hello), "hello\n");
	assert_non_null(strstr(hello, "Content-Type: text/plain; charset=utf-8\r\n"));
	assert_int_equal(http_status(sorry), 503);
	assert_string_equal(http_body(sorry), "sorry\n");
	assert_non_null(strstr(sorry, "Content-Type: text/x-sorry\r\n"));
	assert_int_equal(http_status(much), 200);
	assert_int_equal(strlen(http_body(much)), 5000 * 38);
	assert_int_equal(http_status(none), 404);
	http_server_free(server);
}

static void test_head_has_no_body(void **state)
{
	struct seen seen = { 0 };
	struct http_server *server = serve(LOOPBACK, &seen);
	cleanup_free char *head = http_ask(http_server_address(server), "HEAD", "/hello");

	(void)state;
	assert_int_equal(http_status(head), 200);
	assert_non_null(strstr(head, "Content-Length: 6\r\n"));
	assert_string_equal(http_body(head), "");
	http_server_free(server);
}

static void test_other_methods(void **state)
{
	static const char *const methods[] = { "POST", "PUT", "DELETE", "OPTIONS", "X", "get" };
	struct seen seen = { 0 };
	struct http_server *server = serve(LOOPBACK, &seen);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		cleanup_free char *text =
			http_ask(http_server_address(server), methods[i], "/hello");

		assert_int_equal(http_status(text), 405);
		assert_non_null(strstr(text, "Allow: GET, HEAD\r\n"));
	}
	assert_int_equal(seen.calls, 0);
	http_server_free(server);
}

/* Whatever is sent after a refused head is not read. */
static void test_bodies_are_not_taken(void **state)
{
	struct seen seen = { 0 };
	struct http_server *server = serve(LOOPBACK, &seen);
	int fd = http_connect(http_server_address(server));
	cleanup_free char *posted = NULL, *got = NULL;

	(void)state;
	http_send(fd, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc");
	posted = http_read_all(fd);
	assert_int_equal(http_status(posted), 405);
	close(fd);
	fd = http_connect(http_server_address(server));
	http_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
	got = http_read_all(fd);
	assert_string_equal(got, "");
	close(fd);
	assert_int_equal(seen.calls, 0);
	http_server_free(server);
}

static void test_a_long_head_is_refused(void **state)
{
	struct seen seen = { 0 };
	struct http_server *server = serve(LOOPBACK, &seen);
	cleanup_free char *path = xcalloc(1, 64 * 1024);
	cleanup_free char *after = NULL, *text = NULL;

	(void)state;
	memset(path, 'a', 64 * 1024 - 1);
	path[0] = '/';
	text = http_ask(http_server_address(server), "GET", path);
	/* The rest of it may be cut by a reset, and the answer with it. */
	if (*text)
		assert_in_range(http_status(text), 400, 499);
	after = http_ask(http_server_address(server), "GET", "/hello");
	assert_int_equal(http_status(after), 200);
	http_server_free(server);
}

static void test_garbage(void **state)
{
	struct seen seen = { 0 };
	struct http_server *server = serve(LOOPBACK, &seen);
	int fd = http_connect(http_server_address(server));
	cleanup_free char *text = NULL, *after = NULL;

	(void)state;
	http_send(fd, "\x16\x03\x01\x02 \r\n\r\n");
	shutdown(fd, SHUT_WR);
	text = http_read_all(fd);
	assert_int_not_equal(http_status(text), 200);
	close(fd);
	after = http_ask(http_server_address(server), "GET", "/hello");
	assert_int_equal(http_status(after), 200);
	http_server_free(server);
}

/* Many connections, one thread; a connection serves more than one request. */
static void test_one_thread(void **state)
{
	static const char request[] = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
	static const char last[] = "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	struct seen seen = { 0 };
	struct http_server *server = serve(LOOPBACK, &seen);
	int fds[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = http_connect(http_server_address(server));
		http_send(fds[i], request);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		cleanup_free char *text = NULL;
		const char *second;

		http_send(fds[i], last);
		text = http_read_all(fds[i]);
		assert_int_equal(http_status(text), 200);
		second = strstr(text + 1, "HTTP/1.1");
		assert_non_null(second);
		assert_int_equal(http_status(second), 200);
		close(fds[i]);
	}
	http_server_free(server);
	assert_int_equal(seen.calls, 2 * ARRAY_SIZE(fds));
	assert_int_equal(seen.threads, 1);
}

/* Those of one address are few, and others still get in. */
static void test_connections_are_bounded(void **state)
{
	struct seen seen = { 0 };
	struct http_server *server = serve("[::]:0", &seen);
	cleanup_free char *v4 =
		xasprintf("127.0.0.1:%s", strrchr(http_server_address(server), ':') + 1);
	cleanup_free char *v6 =
		xasprintf("[::1]:%s", strrchr(http_server_address(server), ':') + 1);
	cleanup_free char *too_many = NULL, *other = NULL, *after = NULL;
	int fds[HTTP_CONNECTIONS_PER_ADDRESS_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = http_connect(v4);
	too_many = http_ask(v4, "GET", "/hello");
	assert_string_equal(too_many, "");
	other = http_ask(v6, "GET", "/hello");
	assert_int_equal(http_status(other), 200);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		cleanup_free char *rest = NULL;

		shutdown(fds[i], SHUT_WR);
		rest = http_read_all(fds[i]);
		close(fds[i]);
	}
	after = http_ask(v4, "GET", "/hello");
	assert_int_equal(http_status(after), 200);
	http_server_free(server);
}

static void test_silence_is_ended(void **state)
{
	struct seen seen = { 0 };
	struct http_server *server = serve(LOOPBACK, &seen);
	int fd = http_connect(http_server_address(server));
	cleanup_free char *text = NULL;

	(void)state;
	http_send(fd, "GET /hel");
	text = http_read_all(fd);
	close(fd);
	assert_int_equal(seen.calls, 0);
	http_server_free(server);
}

static void test_free_ends_connections(void **state)
{
	struct seen seen = { 0 };
	struct http_server *server = serve(LOOPBACK, &seen);
	int fd = http_connect(http_server_address(server));
	cleanup_free char *text = NULL;

	(void)state;
	http_send(fd, "GET /hello HTTP/1.1\r\nHo");
	http_server_free(server);
	text = http_read_all(fd);
	assert_string_equal(text, "");
	close(fd);
}

static void test_addresses(void **state)
{
	static const char *const bad[] = {
		"",
		"8080",
		":8080",
		"localhost:1",
		"127.0.0.1",
		"127.0.0.1:",
		"127.0.0.1:99999",
		"::1:80",
		"[::1]",
		"http://127.0.0.1:1",
		"1.2.3:1",
		"127.0.0.1:-1",
		"127.0.0.1:x",
	};
	struct seen seen = { 0 };
	struct http_server *v6 = serve("[::1]:0", &seen), *first;
	cleanup_free char *text = http_ask(http_server_address(v6), "GET", "/hello");
	struct err err;

	(void)state;
	assert_int_equal(http_status(text), 200);
	http_server_free(v6);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cleanup_free char *quoted = xasprintf("\"%s\" is not IP:PORT or", bad[i]);

		assert_int_equal(refused(bad[i], &err), ERR_INVALID_ARGUMENT);
		assert_non_null(strstr(err.msg, quoted));
	}
	first = serve(LOOPBACK, &seen);
	assert_int_equal(refused(http_server_address(first), &err), ERR_INTERNAL);
	assert_int_equal(err.sys, EADDRINUSE);
	assert_non_null(strstr(err.msg, http_server_address(first)));
	http_server_free(first);
	/* Not an address of this machine. */
	assert_int_equal(refused("192.0.2.1:80", &err), ERR_INTERNAL);
	assert_int_equal(err.sys, EADDRNOTAVAIL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_head_has_no_body),
		cmocka_unit_test(test_other_methods),
		cmocka_unit_test(test_bodies_are_not_taken),
		cmocka_unit_test(test_a_long_head_is_refused),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_one_thread),
		cmocka_unit_test(test_connections_are_bounded),
		cmocka_unit_test(test_silence_is_ended),
		cmocka_unit_test(test_free_ends_connections),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
