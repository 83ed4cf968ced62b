/* SPDX-License-Identifier: Apache-2.0 */
/* DH-HMAC-CHAP keys: what is one, and that no message shows any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/dhchap.h"
#include "tests/unit/dhchap_keys.h"

static void test_keys_of_every_hash(void **state)
{
	static const char *const good[] = { KEY_32,    KEY_OTHER_32, KEY_48,   KEY_64,
					    KEY_32_00, KEY_48_00,    KEY_64_00 };
	struct dhchap_keys keys;
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (dhchap_keys_parse("dhchapSecret", good[i], "", NULL, &keys, &err) < 0)
			fail_msg("key %zu: %s", i, err.msg);
}

static void test_bad_keys_are_named_and_not_shown(void **state)
{
	static const struct {
		const char *text;
		const char *says;
	} bad[] = {
		{ "hunter2-hunter2", "form DHHC-1:HH:BASE64:" },
		{ "DHHC-1:01", "form DHHC-1:HH:BASE64:" },
		{ "DHHC-2:01:" KEY_32_DATA ":", "form DHHC-1:HH:BASE64:" },
		{ "DHHC-1:01:" KEY_32_DATA, "does not end in a colon;" },
		{ KEY_32 "\n", "does not end in a colon, but in a newline" },
		{ "DHHC-1:04:" KEY_32_DATA ":", "unknown hash" },
		{ "DHHC-1:1:" KEY_32_DATA ":", "form DHHC-1:HH:BASE64:" },
		{ "DHHC-1:x1:" KEY_32_DATA ":", "unknown hash" },
		{ "DHHC-1:02:" KEY_32_DATA ":",
		  "has 32 bytes of key; the hash that it names takes 48" },
		{ "DHHC-1:01:" KEY_64_DATA ":",
		  "has 64 bytes of key; the hash that it names takes 32" },
		{ "DHHC-1:01:" KEY_32_DAMAGED ":", "CRC-32 is not that" },
		{ "DHHC-1:00:aHVudGVyMg==:", "has 7 bytes with its CRC-32" },
		{ "DHHC-1:00:aHVudGVyMg=:", "base64" },
		{ "DHHC-1:00:aHVudGVyMh==:", "base64" },
		{ "DHHC-1:00:aHVu!GVyMg==:", "base64" },
		{ "DHHC-1:00:aHVu=GVyMg==:", "base64" },
		{ "DHHC-1:00:=:", "base64" },
		{ "DHHC-1:00::", "base64" },
		{ "DHHC-1:01:" KEY_64_DATA KEY_64_DATA ":", "base64" },
	};
	struct dhchap_keys keys;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(
			dhchap_keys_parse("dhchapSecret", bad[i].text, "", NULL, &keys, &err), -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		if (!strstr(err.msg, bad[i].says) || strncmp(err.msg, "dhchapSecret ", 13) != 0)
			fail_msg("%zu: %s", i, err.msg);
		/* Four characters of what is secret in it would be too many. */
		for (const char *p = bad[i].text; strlen(p) > 4 && i > 1; p++)
			if (strncmp(p, "DHHC", 4) != 0 && strncmp(p, "HHC-", 4) != 0 &&
			    strncmp(p, "HC-1", 4) != 0 && strncmp(p, "C-1:", 4) != 0) {
				char part[5] = { p[0], p[1], p[2], p[3], 0 };

				assert_null(strstr(err.msg, part));
			}
		assert_null(strstr(err.msg, "hunter2"));
	}
}

static int parse(const char *host, const char *ctrl, struct dhchap_keys *ret, struct err *err)
{
	return dhchap_keys_parse("dhchapSecret", host, "dhchapCtrlSecret", ctrl, ret, err);
}

static void test_pairs(void **state)
{
	struct dhchap_keys keys, other;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(parse(NULL, NULL, &keys, &err), 0);
	assert_int_equal(dhchap_keys_mode(&keys), DHCHAP_NONE);
	assert_int_equal(parse(KEY_32, "", &keys, &err), 0);
	assert_int_equal(dhchap_keys_mode(&keys), DHCHAP_ONE_WAY);
	assert_int_equal(parse(KEY_32, KEY_64, &other, &err), 0);
	assert_int_equal(dhchap_keys_mode(&other), DHCHAP_BOTH_WAYS);
	assert_string_equal(other.host, KEY_32);
	assert_string_equal(other.ctrl, KEY_64);
	assert_false(dhchap_keys_equal(&keys, &other));
	assert_int_equal(parse(KEY_32, KEY_64, &keys, &err), 0);
	assert_true(dhchap_keys_equal(&keys, &other));
	dhchap_keys_wipe(&keys);
	assert_int_equal(dhchap_keys_mode(&keys), DHCHAP_NONE);
}

static void expect_refused(const char *host, const char *ctrl, const char *says)
{
	struct dhchap_keys keys = { .host = "as before" };
	struct err err = ERR_INIT;

	assert_int_equal(parse(host, ctrl, &keys, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	if (!strstr(err.msg, says))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
	assert_string_equal(keys.host, "as before");
}

static void test_bad_pairs(void **state)
{
	(void)state;
	expect_refused(NULL, KEY_32, "dhchapCtrlSecret is given without dhchapSecret");
	expect_refused("", KEY_32, "dhchapCtrlSecret is given without dhchapSecret");
	expect_refused(KEY_32, KEY_32, "are the same key");
	expect_refused(KEY_32, "DHHC-1:", "dhchapCtrlSecret is not of the form");
	expect_refused("DHHC-1:", KEY_32, "dhchapSecret is not of the form");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_of_every_hash),
		cmocka_unit_test(test_bad_keys_are_named_and_not_shown),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_bad_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
