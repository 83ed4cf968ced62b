/* SPDX-License-Identifier: Apache-2.0 */
/* nvmeotctl's text from elsewhere: what reaches a terminal, and what JSON makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <json-c/json.h>

/* Programs' own code is in no archive. */
#include "cmd/nvmeotctl/text.c"

static const struct {
	const char *text, *tidy, *json;
} rows[] = {
	{ "", "", "" },
	{ "plain text", "plain text", "plain text" },
	{ "größe € 𝄞", "größe € 𝄞", "größe € 𝄞" },
	{ "a\033[2Jb", "a?[2Jb", NULL },
	{ "a\r\nb\tc", "a??b?c", "a\r\nb\tc" },
	{ "a\177b", "a?b", "a\\u007fb" },
	/* U+009B: one character that does what ESC [ does. */
	{ "a\302\2332Jb", "a?2Jb", "a\\u009b2Jb" },
	{ "a\302\240b", "a\302\240b", "a\302\240b" },
	/* The same as a byte alone; a byte too few; overlong; what is beyond Unicode. */
	{ "a\2332Jb", "a?2Jb", "a\\ufffd2Jb" },
	{ "a\342\202", "a??", "a\\ufffd\\ufffd" },
	{ "\300\233", "??", "\\ufffd\\ufffd" },
	{ "\340\202\233", "???", "\\ufffd\\ufffd\\ufffd" },
	{ "\370\210\200\200\200", "?????", "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd" },
	/* The replacement character itself is one like others. */
	{ "a\357\277\275b", "a\357\277\275b", "a\357\277\275b" },
};

static void test_tidy(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_free char *text = xstrdup(rows[i].text);

		text_tidy(text);
		assert_string_equal(text, rows[i].tidy);
	}
}

static void test_json(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cleanup_free char *json = text_json(rows[i].text);

		if (rows[i].json)
			assert_string_equal(json, rows[i].json);
	}
}

/* A document stays one, with the same text in it. */
static void test_document(void **state)
{
	struct json_object *string = json_object_new_string("a\"\033[2J\302\233\177\n€"), *back;
	cleanup_free char *json = text_json(json_object_to_json_string(string));

	(void)state;
	for (const char *p = json; *p; p++)
		assert_true((unsigned char)*p >= ' ' && *p != 0x7f && (unsigned char)*p != 0x9b);
	back = json_tokener_parse(json);
	assert_string_equal(json_object_get_string(back), json_object_get_string(string));
	json_object_put(back);
	json_object_put(string);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tidy),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
