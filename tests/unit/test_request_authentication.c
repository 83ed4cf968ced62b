/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets of requests: which are known, and whether publish and stage have the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "csi/request/authentication.h"
#include "tests/unit/dhchap_keys.h"
#include "tests/unit/request_fixture.h"

static struct map secrets_of(struct fixture_map *map, const char *host, const char *ctrl)
{
	*map = (struct fixture_map) { 0 };
	if (host)
		fixture_map_set(map, AUTHENTICATION_SECRET, host);
	if (ctrl)
		fixture_map_set(map, AUTHENTICATION_CTRL_SECRET, ctrl);
	return fixture_map_of(map);
}

static void test_secrets(void **state)
{
	struct fixture_map map;
	struct dhchap_keys keys;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(authentication_parse(secrets_of(&map, NULL, NULL), &keys, &err), 0);
	assert_int_equal(dhchap_keys_mode(&keys), DHCHAP_NONE);
	assert_int_equal(authentication_parse(secrets_of(&map, KEY_32, NULL), &keys, &err), 0);
	assert_int_equal(dhchap_keys_mode(&keys), DHCHAP_ONE_WAY);
	assert_int_equal(authentication_parse(secrets_of(&map, KEY_32, KEY_64), &keys, &err), 0);
	assert_string_equal(keys.ctrl, KEY_64);
}

static void expect_refused(struct map secrets, const char *says)
{
	struct dhchap_keys keys;
	struct err err = ERR_INIT;

	assert_int_equal(authentication_parse(secrets, &keys, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	if (!strstr(err.msg, says))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
	assert_null(strstr(err.msg, KEY_32));
}

static void test_bad_secrets(void **state)
{
	struct fixture_map map;

	(void)state;
	expect_refused(secrets_of(&map, NULL, KEY_32), "dhchapCtrlSecret is given without");
	expect_refused(secrets_of(&map, "x", NULL), "dhchapSecret is not of the form");
	secrets_of(&map, NULL, NULL);
	fixture_map_set(&map, "dhchapsecret", KEY_32);
	expect_refused(fixture_map_of(&map), "unknown name \"dhchapsecret\"");
}

static int stage(enum dhchap_mode published, uint64_t size, const char *host, const char *ctrl,
		 struct err *err)
{
	struct dhchap_keys keys = { .host = KEY_32 };
	struct attachment attachment = { .authentication = published, .size_bytes = size };
	struct fixture_map map;

	if (published == DHCHAP_BOTH_WAYS)
		strcpy(keys.ctrl, KEY_64);
	if (published != DHCHAP_NONE)
		attachment.secret_id = authentication_id(&keys);
	return authentication_parse_stage(secrets_of(&map, host, ctrl), &attachment, &keys, err);
}

static void test_stage_agrees_with_publish(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(stage(DHCHAP_NONE, 1, NULL, NULL, &err), 0);
	assert_int_equal(stage(DHCHAP_ONE_WAY, 1, KEY_32, NULL, &err), 0);
	assert_int_equal(stage(DHCHAP_BOTH_WAYS, 1, KEY_32, KEY_64, &err), 0);
	/* Of a static volume nothing is known. */
	assert_int_equal(stage(DHCHAP_NONE, 0, KEY_32, KEY_64, &err), 0);
	assert_int_equal(stage(DHCHAP_ONE_WAY, 1, NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERR_UNAUTHENTICATED);
	assert_non_null(strstr(err.msg, "node-stage-secret-name"));
	assert_int_equal(stage(DHCHAP_ONE_WAY, 1, KEY_OTHER_32, NULL, &err), -1);
	assert_int_equal(err.code, ERR_UNAUTHENTICATED);
	assert_int_equal(stage(DHCHAP_BOTH_WAYS, 1, KEY_32, KEY_48, &err), -1);
	assert_int_equal(err.code, ERR_UNAUTHENTICATED);
	assert_non_null(strstr(err.msg, "not those that the volume was published with"));
	assert_null(strstr(err.msg, "DHHC"));
	assert_int_equal(stage(DHCHAP_NONE, 1, KEY_32, NULL, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "controller-publish-secret-name"));
	assert_int_equal(stage(DHCHAP_BOTH_WAYS, 1, KEY_32, NULL, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_int_equal(stage(DHCHAP_ONE_WAY, 1, KEY_32, KEY_64, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_bad_secrets),
		cmocka_unit_test(test_stage_agrees_with_publish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
