/* SPDX-License-Identifier: Apache-2.0 */
/* Portals: one canonical form for every spelling, and lists of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/portal.h"
#include "nvme/base/strb.h"

static void test_canonical(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "tcp://192.0.2.1:4420", "tcp://192.0.2.1:4420" },
		{ "tcp://192.0.2.1:04420", "tcp://192.0.2.1:4420" },
		{ "tcp://192.0.2.1:1", "tcp://192.0.2.1:1" },
		{ "tcp://192.0.2.1:65535", "tcp://192.0.2.1:65535" },
		{ "tcp://[2001:DB8::1]:4420", "tcp://[2001:db8::1]:4420" },
		{ "tcp://[2001:db8:0:0:0:0:0:1]:4420", "tcp://[2001:db8::1]:4420" },
		{ "tcp://[2001:0db8::0001]:4420", "tcp://[2001:db8::1]:4420" },
		{ "tcp://[::1]:4420", "tcp://[::1]:4420" },
		{ "tcp://[::ffff:192.0.2.1]:4420", "tcp://192.0.2.1:4420" },
		{ "tcp://[::ffff:c000:0201]:4420", "tcp://192.0.2.1:4420" },
		{ "tcp://[0000:0000:0000:0000:0000:FFFF:192.000.2.1]:4420", NULL },
		{ "tcp://[0000:0000:0000:0000:0000:FFFF:192.168.100.111]:4420",
		  "tcp://192.168.100.111:4420" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[PORTAL_TEXT_SIZE];
		struct portal portal;
		struct err err = ERR_INIT;

		if (!rows[i].want) {
			assert_int_equal(portal_parse(rows[i].text, &portal, &err), -1);
			continue;
		}
		assert_int_equal(portal_parse(rows[i].text, &portal, &err), 0);
		portal_format(&portal, text);
		assert_string_equal(text, rows[i].want);
		assert_int_equal(portal.family, strchr(rows[i].want, '[') ? AF_INET6 : AF_INET);
	}
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"192.0.2.1:4420",
		"TCP://192.0.2.1:4420",
		"rdma://192.0.2.1:4420",
		"tcp://",
		"tcp://:4420",
		"tcp://192.0.2.1",
		"tcp://192.0.2.1:",
		"tcp://192.0.2.1:0",
		"tcp://192.0.2.1:65536",
		"tcp://192.0.2.1:99999999999999999999",
		"tcp://192.0.2.1:+1",
		"tcp://192.0.2.1:4420 ",
		"tcp:// 192.0.2.1:4420",
		"tcp://192.0.2.1:4420/",
		"tcp://192.0.2:4420",
		"tcp://192.0.2.256:4420",
		"tcp://192.0.02.1:4420",
		"tcp://storage.example.com:4420",
		"tcp://localhost:4420",
		"tcp://[192.0.2.1]:4420",
		"tcp://0.0.0.0:4420",
		"tcp://255.255.255.255:4420",
		"tcp://224.0.0.1:4420",
		"tcp://[::]:4420",
		"tcp://[::ffff:0.0.0.0]:4420",
		"tcp://[ff02::1]:4420",
		"tcp://2001:db8::1:4420",
		"tcp://[2001:db8::1]4420",
		"tcp://[2001:db8::1:4420",
		"tcp://2001:db8::1]:4420",
		"tcp://[]:4420",
		"tcp://[:4420",
		"tcp://]:4420",
		"tcp://[fe80::1%eth0]:4420",
		"tcp://[1:2:3:4:5:6:7:8:9]:4420",
		"tcp://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:1",
	};
	struct portal portal = { .port = 77 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = ERR_INIT;

		if (portal_parse(rows[i], &portal, &err) != -1)
			fail_msg("%s is accepted", rows[i]);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		assert_non_null(strstr(err.msg, "tcp://IP:PORT"));
		assert_non_null(strstr(err.msg, rows[i]));
	}
	assert_int_equal(portal.port, 77);
	assert_int_equal(portal_parse(NULL, &portal, &(struct err) { 0 }), -1);
}

static void test_overlong(void **state)
{
	char text[8192];
	struct portal portals[PORTAL_MAX];
	struct err err = ERR_INIT;
	size_t count;

	(void)state;
	memset(text, '1', sizeof(text) - 1);
	memcpy(text, "tcp://", 6);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(portal_parse(text, portals, &err), -1);
	assert_true(strlen(err.msg) < 300);
	memcpy(text + 8000, ":4420", 6);
	assert_int_equal(portal_parse(text, portals, &err), -1);
	assert_int_equal(portal_parse_list(text, portals, &count, &err), -1);
}

static void test_list(void **state)
{
	struct portal portals[PORTAL_MAX];
	struct err err = ERR_INIT;
	size_t count = 0;

	(void)state;
	assert_int_equal(portal_parse_list("tcp://192.0.2.2:4420,tcp://[::ffff:192.0.2.2]:4420,"
					   "tcp://192.0.2.1:4420,tcp://192.0.2.2:4421",
					   portals, &count, &err),
			 0);
	assert_int_equal(count, 3);
	assert_string_equal(portals[0].addr, "192.0.2.2");
	assert_string_equal(portals[1].addr, "192.0.2.1");
	assert_int_equal(portals[2].port, 4421);
	assert_true(portal_equal(&portals[0], &portals[0]));
	assert_false(portal_equal(&portals[0], &portals[1]));
	assert_false(portal_equal(&portals[0], &portals[2]));
}

static void test_bad_list(void **state)
{
	static const char *const rows[] = { "",
					    ",",
					    "tcp://192.0.2.1:1,",
					    ",tcp://192.0.2.1:1",
					    "tcp://192.0.2.1:1,,tcp://192.0.2.2:1",
					    "tcp://192.0.2.1:1, tcp://192.0.2.2:1",
					    "tcp://192.0.2.1:1;tcp://192.0.2.2:1" };
	struct portal portals[PORTAL_MAX];
	size_t count = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(portal_parse_list(rows[i], portals, &count, &err), -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	}
	assert_int_equal(count, 77);
}

/* Duplicates do not count; the seventeenth different one is too many. */
static void test_seventeen(void **state)
{
	struct portal portals[PORTAL_MAX];
	struct err err = ERR_INIT;
	char buffer[2048];
	struct strb text = strb_over(buffer, sizeof(buffer));
	size_t count = 0;

	(void)state;
	for (int i = 1; i <= PORTAL_MAX; i++)
		strb_addf(&text, "tcp://192.0.2.%d:4420,", i);
	strb_add(&text, "tcp://192.0.2.16:4420");
	assert_int_equal(portal_parse_list(buffer, portals, &count, &err), 0);
	assert_int_equal(count, PORTAL_MAX);
	strb_add(&text, ",tcp://192.0.2.17:4420");
	assert_int_equal(portal_parse_list(buffer, portals, &count, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_non_null(strstr(err.msg, "more than 16"));
}

static void test_sockaddr(void **state)
{
	struct sockaddr_storage address;
	struct portal portal;
	struct err err = ERR_INIT;
	char text[INET6_ADDRSTRLEN];

	(void)state;
	assert_int_equal(portal_parse("tcp://192.0.2.1:4420", &portal, &err), 0);
	assert_int_equal(portal_sockaddr(&portal, &address), sizeof(struct sockaddr_in));
	assert_int_equal(address.ss_family, AF_INET);
	assert_int_equal(ntohs(((struct sockaddr_in *)&address)->sin_port), 4420);
	assert_int_equal(ntohl(((struct sockaddr_in *)&address)->sin_addr.s_addr), 0xc0000201);
	assert_int_equal(portal_parse("tcp://[2001:db8::1]:4421", &portal, &err), 0);
	assert_int_equal(portal_sockaddr(&portal, &address), sizeof(struct sockaddr_in6));
	assert_int_equal(address.ss_family, AF_INET6);
	assert_int_equal(ntohs(((struct sockaddr_in6 *)&address)->sin6_port), 4421);
	inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&address)->sin6_addr, text, sizeof(text));
	assert_string_equal(text, "2001:db8::1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canonical), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_overlong),  cmocka_unit_test(test_list),
		cmocka_unit_test(test_bad_list),  cmocka_unit_test(test_seventeen),
		cmocka_unit_test(test_sockaddr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
