/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded string builder: cutting, its flag, and JSON escapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/strb.h"

static void test_adds(void **state)
{
	char buffer[32] = "old";
	struct strb s = strb_over(buffer, sizeof(buffer));

	(void)state;
	assert_string_equal(buffer, "");
	strb_add(&s, "ab");
	strb_addc(&s, 'c');
	strb_addn(&s, "defgh", 2);
	strb_addf(&s, "%d-%s", 12, "x");
	assert_string_equal(buffer, "abcde12-x");
	assert_int_equal(s.len, 9);
	assert_false(s.overflow);
	strb_clear(&s);
	assert_string_equal(buffer, "");
	assert_int_equal(s.len, 0);
}

/* Exactly full is no overflow; one byte more is, and stays so until cleared. */
static void test_overflow(void **state)
{
	char buffer[5];
	struct strb s = strb_over(buffer, sizeof(buffer));

	(void)state;
	strb_add(&s, "abcd");
	assert_false(s.overflow);
	strb_addc(&s, 'e');
	assert_true(s.overflow);
	assert_string_equal(buffer, "abcd");
	strb_addf(&s, "%s", "x");
	strb_addf(&s, "%s", "");
	assert_true(s.overflow);
	assert_string_equal(buffer, "abcd");
	strb_clear(&s);
	strb_addf(&s, "%d", 1234);
	assert_false(s.overflow);
	strb_clear(&s);
	strb_addf(&s, "%d", 12345);
	assert_true(s.overflow);
	assert_string_equal(buffer, "1234");
	strb_addn(&s, "y", 1);
	assert_string_equal(buffer, "1234");
}

static void test_one_byte_buffer(void **state)
{
	char buffer[1];
	struct strb s = strb_over(buffer, sizeof(buffer));

	(void)state;
	strb_add(&s, "");
	assert_false(s.overflow);
	strb_addf(&s, "a");
	assert_true(s.overflow);
	assert_string_equal(buffer, "");
}

/* What strict JSON makes of the escaped text; the caller frees it. */
static char *through_json(const char *text)
{
	char buffer[512];
	struct strb s = strb_over(buffer, sizeof(buffer));
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *value;
	char *ret;

	strb_addc(&s, '"');
	strb_add_json(&s, text);
	strb_addc(&s, '"');
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	value = json_tokener_parse_ex(tokener, buffer, (int)s.len);
	if (!value)
		fail_msg("%s is no JSON: %s", buffer,
			 json_tokener_error_desc(json_tokener_get_error(tokener)));
	ret = strdup(json_object_get_string(value));
	json_object_put(value);
	json_tokener_free(tokener);
	return ret;
}

static void test_json_comes_back(void **state)
{
	static const char *const texts[] = {
		"",
		"plain",
		"a \"quoted\" \\ path/",
		"line\nline\r\ttab",
		"\001\002\037\177",
		"caf\303\251 \342\202\254 \360\237\230\200",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		char *back = through_json(texts[i]);

		assert_string_equal(back, texts[i]);
		free(back);
	}
}

/* Requests are not checked for UTF-8 when they are unpacked, but a log line must stay JSON. */
static void test_json_of_no_utf8(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "a\377b", "a\357\277\275b" },
		{ "cut \342\202", "cut \357\277\275\357\277\275" },
		{ "\303(", "\357\277\275(" },
		{ "slash \300\257", "slash \357\277\275\357\277\275" },
		{ "\355\240\200", "\357\277\275\357\277\275\357\277\275" },
		{ "\364\220\200\200", "\357\277\275\357\277\275\357\277\275\357\277\275" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *back = through_json(rows[i].text);

		assert_string_equal(back, rows[i].want);
		free(back);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adds),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_one_byte_buffer),
		cmocka_unit_test(test_json_comes_back),
		cmocka_unit_test(test_json_of_no_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
