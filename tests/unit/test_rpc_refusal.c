/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences for refusals, and how many of them are logged. */
#include "csi/rpc/refusal.h"
#include "rpc_fixture.h"

static void test_server_view(void **state)
{
	static const char *const sentences[][2] = {
		{ "Handshake failed with fatal error SSL_ERROR_SSL: "
		  "error:4000000A:certificate::has expired",
		  "the client's certificate has expired" },
		{ "SSL_ERROR_SSL: error:0A0000C7:SSL routines::peer did not return a certificate",
		  "the client showed no certificate" },
		{ "SSL_ERROR_SSL: error:0A00010B:SSL routines::wrong version number",
		  "the client does not speak TLS" },
		{ "SSL_ERROR_SSL: error:0A00009C:SSL routines::http request",
		  "the client does not speak TLS" },
		{ "SSL_ERROR_SSL: error:0A000418:SSL routines::tlsv1 alert unknown ca",
		  "the client does not accept our certificate: tlsv1 alert unknown ca" },
		{ "SSL_ERROR_SSL: error:0A0000C1:SSL routines::no shared cipher",
		  "the TLS handshake failed: no shared cipher" },
		{ "something new", "the TLS handshake failed: something new" },
	};
	char reason[RPC_REASON_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sentences); i++) {
		rpc_refusal_of_client(sentences[i][0], reason);
		assert_string_equal(reason, sentences[i][1]);
	}
}

#define FAILED "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: "
#define SSL_FAILED FAILED "Ssl handshake failed: SSL_ERROR_SSL: "

static void test_client_view(void **state)
{
	static const char *const sentences[][2] = {
		{ SSL_FAILED "error:40000009:certificate::is not yet valid",
		  "the server's certificate is not yet valid" },
		{ FAILED "Peer name t1.lan is not in peer certificate",
		  "the server's certificate is not for t1.lan" },
		{ SSL_FAILED "error:0A00010B:SSL routines::wrong version number",
		  "the server does not speak TLS at this port" },
		{ SSL_FAILED "error:0A000410:SSL routines::sslv3 alert handshake failure",
		  "the TLS handshake failed: sslv3 alert handshake failure" },
		{ FAILED "recvmsg:Connection reset by peer",
		  "the server closed the connection; most likely it does not accept our "
		  "certificate (CN=me): its log says why" },
	};
	static const char *const others[] = { FAILED "Connection refused", "Socket closed",
					      FAILED "Timeout occurred: FD Shutdown", "" };
	char reason[RPC_REASON_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sentences); i++) {
		assert_true(rpc_refusal_of_server(sentences[i][0], "CN=me", reason));
		assert_string_equal(reason, sentences[i][1]);
	}
	assert_true(rpc_refusal_of_server(FAILED "Socket closed", "", reason));
	assert_string_equal(reason, "the server closed the connection; does it want TLS?");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(rpc_refusal_of_server(others[i], "CN=me", reason));
}

static size_t count_lines(const char *log)
{
	size_t count = 0;

	for (; *log; log++)
		count += *log == '\n';
	return count;
}

static void test_lines(void **state)
{
	struct fixture f;
	char *log, port[32];

	(void)state;
	fixture_init(&f);
	rpc_refusal_forget();
	fixture_log_begin(&f);
	for (int i = 0; i < 100; i++) {
		snprintf(port, sizeof(port), "192.0.2.1:%d", 40000 + i);
		rpc_refusal_log_client("refused", port, "one", "");
		rpc_refusal_log_client("refused", port, "two", "");
	}
	rpc_refusal_log_client("refused", "192.0.2.2:40000", "one", "CN=c");
	rpc_refusal_log_client("refused", "[2001:db8::1]:40000", "one", "");
	rpc_refusal_log_client("refused", "[2001:db8::1]:40001", "one", "");
	rpc_refusal_log_server("192.0.2.1:9500", "one");
	rpc_refusal_log_server("192.0.2.1:9501", "one");
	rpc_refusal_log_server("192.0.2.1:9501", "one");
	rpc_refusal_forget();
	rpc_refusal_log_client("refused", "192.0.2.1:1", "one", "");
	log = fixture_log_end(&f);
	assert_int_equal(count_lines(log), 7);
	assert_non_null(strstr(log, "peer=192.0.2.1:40000 reason=two"));
	assert_non_null(strstr(log, "peer=192.0.2.2:40000 reason=one certificate=\"CN=c\""));
	free(log);
	fixture_fini(&f);
}

/* More peers than are remembered: the oldest is forgotten, the newest is still quiet. */
static void test_many_peers(void **state)
{
	struct fixture f;
	char *log, who[32];

	(void)state;
	fixture_init(&f);
	rpc_refusal_forget();
	fixture_log_begin(&f);
	for (int i = 0; i < 100; i++) {
		snprintf(who, sizeof(who), "192.0.2.%d:1", i);
		rpc_refusal_log_client("refused", who, "one", "");
	}
	rpc_refusal_log_client("refused", "192.0.2.99:2", "one", "");
	rpc_refusal_log_client("refused", "192.0.2.0:2", "one", "");
	log = fixture_log_end(&f);
	assert_int_equal(count_lines(log), 101);
	free(log);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server_view),
		cmocka_unit_test(test_client_view),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_many_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
