/* SPDX-License-Identifier: Apache-2.0 */
/* Values from outside: each kind's edges, and that a refusal leaves the result alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/parse.h"

#define UNTOUCHED 77
#define SHORT_32 "abcdefghijklmnopqrstuvwxyz-01234"

static void refused(struct err *err, const char *quoted)
{
	assert_int_equal(err->code, ERR_INVALID_ARGUMENT);
	assert_non_null(strstr(err->msg, "value x"));
	assert_non_null(strstr(err->msg, quoted));
	assert_non_null(strstr(err->msg, "is not"));
	*err = ERR_INIT;
}

static void test_u64(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = { { "0", 0 }, { "7", 7 }, { "007", 7 }, { "18446744073709551615", UINT64_MAX } };
	static const char *const bad[] = { "",
					   " 1",
					   "1 ",
					   "+1",
					   "-1",
					   "0x1",
					   "1e3",
					   "1.",
					   "\t1",
					   "18446744073709551616",
					   "99999999999999999999999999999999",
					   "one",
					   "1\n" };
	struct err err = ERR_INIT;
	uint64_t value = UNTOUCHED;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_u64("value x", bad[i], 0, UINT64_MAX, &value, &err), -1);
		refused(&err, bad[i]);
	}
	assert_int_equal(parse_u64("value x", NULL, 0, 9, &value, &err), -1);
	assert_int_equal(value, UNTOUCHED);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse_u64("value x", good[i].text, 0, UINT64_MAX, &value, &err),
				 0);
		assert_true(value == good[i].value);
	}
}

static void test_u64_bounds(void **state)
{
	struct err err = ERR_INIT;
	uint64_t value = UNTOUCHED;

	(void)state;
	assert_int_equal(parse_u64("value x", "4", 5, 9, &value, &err), -1);
	assert_int_equal(parse_u64("value x", "10", 5, 9, &value, &err), -1);
	assert_string_equal(err.msg, "value x \"10\" is not a whole number from 5 to 9");
	assert_int_equal(value, UNTOUCHED);
	assert_int_equal(parse_u64("value x", "5", 5, 9, &value, &err), 0);
	assert_int_equal(parse_u64("value x", "9", 5, 9, &value, &err), 0);
	assert_int_equal(value, 9);
}

static void test_i64(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} good[] = { { "0", 0 },
		     { "-0", 0 },
		     { "-1", -1 },
		     { "9223372036854775807", INT64_MAX },
		     { "-9223372036854775808", INT64_MIN } };
	static const char *const bad[] = {
		"", "-", "--1", "+1", "- 1", "-0x1", "9223372036854775808", "-9223372036854775809"
	};
	struct err err = ERR_INIT;
	int64_t value = UNTOUCHED;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_i64("value x", bad[i], INT64_MIN, INT64_MAX, &value, &err),
				 -1);
		refused(&err, bad[i]);
	}
	assert_int_equal(parse_i64("value x", "-2", -1, 5, &value, &err), -1);
	assert_string_equal(err.msg, "value x \"-2\" is not a whole number from -1 to 5");
	assert_int_equal(value, UNTOUCHED);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(
			parse_i64("value x", good[i].text, INT64_MIN, INT64_MAX, &value, &err), 0);
		assert_true(value == good[i].value);
	}
}

static void test_duration(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{ "0s", 0 }, { "500ms", 500 }, { "10s", 10000 }, { "2m", 120000 }, { "1h", 3600000 }
	};
	static const char *const bad[] = { "", "10", "s", "10 s", "1d", "-1s", "5124095576031h" };
	struct err err = ERR_INIT;
	uint64_t value = UNTOUCHED;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_duration_ms("value x", bad[i], &value, &err), -1);
		refused(&err, bad[i]);
	}
	assert_int_equal(value, UNTOUCHED);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse_duration_ms("value x", good[i].text, &value, &err), 0);
		assert_int_equal(value, good[i].value);
	}
}

static void test_hex(void **state)
{
	static const char *const bad[] = { "",	     "0a0",    "0a0b0", "0a0b0c0d",
					   "0a0b0g", "0a 0b0", "0x0a0b" };
	uint8_t bytes[3] = { 1, 2, 3 };
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_hex("value x", bad[i], bytes, 3, &err), -1);
	refused(&err, "6 hexadecimal digits");
	assert_memory_equal(bytes, "\1\2\3", 3);
	assert_int_equal(parse_hex("value x", "0aFf10", bytes, 3, &err), 0);
	assert_memory_equal(bytes, "\x0a\xff\x10", 3);
}

static void test_uuid(void **state)
{
	static const char *const bad[] = {
		"",
		"00000000-0000-0000-0000-000000000000",
		"5D5F4A53-6F0C-4F0E-9F0A-0B6F3F6C2A1",
		"5D5F4A53-6F0C-4F0E-9F0A-0B6F3F6C2A111",
		"5D5F4A536F0C-4F0E-9F0A--0B6F3F6C2A11",
		"5D5F4A53_6F0C_4F0E_9F0A_0B6F3F6C2A11",
		"{5D5F4A53-6F0C-4F0E-9F0A-0B6F3F6C2A1",
		"gD5F4A53-6F0C-4F0E-9F0A-0B6F3F6C2A11",
		"../../../../../../../../../../etc/xx",
	};
	struct err err = ERR_INIT;
	struct uuid uuid = { "untouched" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_uuid("value x", bad[i], &uuid, &err), -1);
		refused(&err, bad[i]);
	}
	assert_int_equal(parse_uuid("value x", NULL, &uuid, &err), -1);
	assert_string_equal(uuid.text, "untouched");
	assert_int_equal(parse_uuid("value x", "5D5F4A53-6F0C-4F0e-9f0a-0B6F3F6C2A11", &uuid, &err),
			 0);
	assert_string_equal(uuid.text, "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11");
}

static void test_nqn(void **state)
{
	static const char *const bad[] = { "",
					   "nqn",
					   "nqn.2014-08.",
					   "nqn.14-08.org.x:y",
					   "nqn.2014-8.org.x:yz",
					   "NQN.2014-08.org.x:y",
					   "iqn.2014-08.org.x:y",
					   "nqn.2014-08.org:a b",
					   "nqn.2014-08.org:a,b",
					   "nqn.2014-08.org:../../x",
					   "nqn.2014-08.org:a\nb",
					   "nqn.2014-08.org:\303\251",
					   "nqn.2014-08.org:\177" };
	static const char *const good[] = { "nqn.2014-08.o",
					    "nqn.2014-08.org.nvmexpress.discovery" };
	char nqn[NQN_SIZE] = "untouched";
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_nqn("value x", bad[i], nqn, &err), -1);
		refused(&err, bad[i]);
	}
	assert_string_equal(nqn, "untouched");
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse_nqn("value x", good[i], nqn, &err), 0);
		assert_string_equal(nqn, good[i]);
	}
}

static void test_nqn_length(void **state)
{
	char text[NQN_MAX_LEN + 2], nqn[NQN_SIZE] = "untouched";
	struct err err = ERR_INIT;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	memcpy(text, "nqn.2014-08.org:", 16);
	text[NQN_MAX_LEN + 1] = '\0';
	assert_int_equal(parse_nqn("value x", text, nqn, &err), -1);
	assert_string_equal(nqn, "untouched");
	assert_non_null(strstr(err.msg, "at most 223"));
	text[NQN_MAX_LEN] = '\0';
	assert_int_equal(parse_nqn("value x", text, nqn, &err), 0);
	assert_int_equal(strlen(nqn), 223);
}

/* A megabyte of value must not drown the message that says what would be right. */
static void test_quotes_are_cut(void **state)
{
	char text[5000];
	struct err err = ERR_INIT;
	uint64_t value;

	(void)state;
	memset(text, '9', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(parse_u64("value x", text, 0, 5, &value, &err), -1);
	assert_non_null(strstr(err.msg, "from 0 to 5"));
	assert_int_equal(parse_duration_ms("value x", text, &value, &err), -1);
	assert_non_null(strstr(err.msg, "500ms"));
	assert_true(strlen(err.msg) < 200);
}

static void test_short_names(void **state)
{
	(void)state;
	assert_true(parse_is_name("a"));
	assert_true(parse_is_name("0-9"));
	assert_true(parse_is_name(SHORT_32));
	assert_false(parse_is_name(SHORT_32 "5"));
	assert_false(parse_is_name(""));
	assert_false(parse_is_name("A"));
	assert_false(parse_is_name("a b"));
	assert_false(parse_is_name("a/b"));
	assert_false(parse_is_name("."));
}

static void test_labels(void **state)
{
	static const char *const good[][2] = {
		{ "zone", "a" },
		{ "topology.nvmeot.io/zone", "eu-1.a_b" },
		{ "Z", "0" },
	};
	static const char *const bad[][3] = {
		{ "", "a", "key \"\"" },	   { "/zone", "a", "key \"/zone\"" },
		{ "a/", "a", "key \"a/\"" },	   { "a/b/c", "a", "key \"a/b/c\"" },
		{ "-zone", "a", "key \"-zone\"" }, { "zo ne", "a", "key \"zo ne\"" },
		{ "a_b/c", "a", "key \"a_b/c\"" }, { "IO/zone", "a", "key \"IO/zone\"" },
		{ "zone", "", "value \"\"" },	   { "zone", "a b", "value \"a b\"" },
		{ "zone", ".a", "value \".a\"" },
	};
	char long_word[65];
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(parse_label("--topology", good[i][0], good[i][1], &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse_label("--topology", bad[i][0], bad[i][1], &err), -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		if (!strstr(err.msg, bad[i][2]) || strncmp(err.msg, "--topology: ", 12) != 0)
			fail_msg("\"%s\" does not say \"%s\"", err.msg, bad[i][2]);
	}
	memset(long_word, 'a', 64);
	long_word[64] = '\0';
	assert_int_equal(parse_label("t", long_word, "a", &err), -1);
	assert_int_equal(parse_label("t", "a", long_word, &err), -1);
	long_word[63] = '\0';
	assert_int_equal(parse_label("t", long_word, long_word, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_u64_bounds),
		cmocka_unit_test(test_i64),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_nqn),
		cmocka_unit_test(test_nqn_length),
		cmocka_unit_test(test_quotes_are_cut),
		cmocka_unit_test(test_short_names),
		cmocka_unit_test(test_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
