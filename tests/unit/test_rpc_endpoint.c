/* SPDX-License-Identifier: Apache-2.0 */
/* Listen addresses: the forms that are taken, the ones that are not, and gRPC's name of a path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "csi/rpc/endpoint.h"
#include "nvme/base/cleanup.h"

static void test_tcp(void **state)
{
	static const struct {
		const char *text, *listen;
		bool loopback;
	} cases[] = {
		{ "tcp://127.0.0.1:0", "127.0.0.1:0", true },
		{ "tcp://127.9.9.9:65535", "127.9.9.9:65535", true },
		{ "tcp://0.0.0.0:9500", "0.0.0.0:9500", false },
		{ "tcp://10.0.0.1:1", "10.0.0.1:1", false },
		{ "tcp://[::1]:80", "[::1]:80", true },
		{ "tcp://[::]:80", "[::]:80", false },
		{ "tcp://[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:80", true },
		{ "tcp://[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.1]:80", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rpc_endpoint endpoint;
		struct err err = ERR_INIT;

		assert_int_equal(rpc_endpoint_parse(cases[i].text, &endpoint, &err), 0);
		assert_false(endpoint.is_unix);
		assert_string_equal(endpoint.listen, cases[i].listen);
		assert_int_equal(endpoint.loopback, cases[i].loopback);
	}
}

static void test_bad(void **state)
{
	static const char *const cases[] = {
		"",
		"tcp://",
		"tcp://:80",
		"tcp://1.2.3.4",
		"tcp://1.2.3.4:",
		"tcp://1.2.3.4:65536",
		"tcp://1.2.3.4:-1",
		"tcp://1.2.3.4:80x",
		"tcp://localhost:80",
		"tcp://::1:80",
		"tcp://[::1]80",
		"tcp://[::1",
		"tcp://[]:80",
		"tcp://[1.2.3.4]:80",
		"tcp://[fe80::1%eth0]:80",
		"unix://",
		"unix:///",
		"unix://relative/s.sock",
		"unix:///dir/",
		"unix:/s.sock",
		"/s.sock",
		"vsock://1:2",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rpc_endpoint endpoint = { .is_unix = true };
		struct err err = ERR_INIT;

		if (rpc_endpoint_parse(cases[i], &endpoint, &err) == 0)
			fail_msg("\"%s\" was taken", cases[i]);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		assert_non_null(strstr(err.msg, cases[i]));
		assert_true(endpoint.is_unix);
	}
}

static void test_unix_length(void **state)
{
	struct rpc_endpoint endpoint;
	struct err err = ERR_INIT;
	char text[256] = "unix:///";

	(void)state;
	memset(text + 8, 'x', RPC_SOCKET_PATH_MAX - 1);
	assert_int_equal(rpc_endpoint_parse(text, &endpoint, &err), 0);
	assert_true(endpoint.is_unix);
	assert_string_equal(endpoint.path, text + 7);
	strcat(text, "x");
	assert_int_equal(rpc_endpoint_parse(text, &endpoint, &err), -1);
	assert_non_null(strstr(err.msg, "the path has 101 bytes, at most 100 fit"));
}

static void test_target(void **state)
{
	cleanup_free char *plain = rpc_unix_target("/run/a-b_c.d~1/s.sock");
	cleanup_free char *odd = rpc_unix_target("/a b%20?#\xc3\xa9");

	(void)state;
	assert_string_equal(plain, "unix:/run/a-b_c.d~1/s.sock");
	assert_string_equal(odd, "unix:/a%20b%2520%3F%23%C3%A9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_unix_length),
		cmocka_unit_test(test_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
