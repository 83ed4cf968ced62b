/* SPDX-License-Identifier: Apache-2.0 */
/* Attachments: from the publish context or, for static volumes, from the volume context. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "csi/request/attachment.h"
#include "tests/unit/request_fixture.h"

#define NQN "nqn.2026-11.io.nvmeot:5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"

static struct map none;

static void provisioned(struct fixture_map *m)
{
	*m = (struct fixture_map) { 0 };
	fixture_map_set(m, "nqn", NQN);
	fixture_map_set(m, "portals", "tcp://192.0.2.1:4420,tcp://[2001:db8::1]:4420");
	fixture_map_set(m, "nsUuid", "5D5F4A53-6F0C-4F0E-9F0A-0B6F3F6C2A11");
	fixture_map_set(m, "sizeBytes", "1073741824");
	fixture_map_set(m, "blank", "true");
}

static void test_provisioned(void **state)
{
	struct fixture_map m;
	struct attachment a;
	struct err err = ERR_INIT;

	(void)state;
	provisioned(&m);
	assert_false(attachment_is_static(none));
	assert_int_equal(attachment_parse(none, fixture_map_of(&m), &a, &err), 0);
	assert_string_equal(a.nqn, NQN);
	assert_true(a.has_uuid);
	assert_string_equal(a.uuid.text, UUID);
	assert_int_equal(a.portal_count, 2);
	assert_string_equal(a.portals[1].addr, "2001:db8::1");
	assert_int_equal(a.size_bytes, 1073741824);
	assert_true(a.blank);
	fixture_map_set(&m, "blank", "false");
	assert_int_equal(attachment_parse(none, fixture_map_of(&m), &a, &err), 0);
	assert_false(a.blank);
	assert_false(a.readonly);
	fixture_map_set(&m, "readonly", "false");
	assert_int_equal(attachment_parse(none, fixture_map_of(&m), &a, &err), 0);
	assert_false(a.readonly);
	fixture_map_set(&m, "readonly", "true");
	assert_int_equal(attachment_parse(none, fixture_map_of(&m), &a, &err), 0);
	assert_true(a.readonly);
}

/* Each key in turn missing or malformed: refused, by name, and nothing is handed out. */
static void test_bad_provisioned(void **state)
{
	static const char *const rows[][3] = {
		{ "nqn", NULL, "publish_context needs nqn" },
		{ "nqn", "", "nqn \"\" is not an NQN" },
		{ "nqn", "nqn.2026-11.x,y", "nqn \"nqn.2026-11.x,y\"" },
		{ "portals", NULL, "needs nqn and portals" },
		{ "portals", "", "portal \"\"" },
		{ "portals", "tcp://box:4420", "tcp://box:4420" },
		{ "nsUuid", NULL, "neither nsUuid nor nsid" },
		{ "nsUuid", "", "nsUuid \"\"" },
		{ "nsUuid", "00000000-0000-0000-0000-000000000000", "not all zero" },
		{ "sizeBytes", NULL, "sizeBytes \"\"" },
		{ "sizeBytes", "0", "sizeBytes \"0\"" },
		{ "sizeBytes", "-1", "sizeBytes \"-1\"" },
		{ "sizeBytes", "9223372036854775808", "sizeBytes \"9223372036854775808\"" },
		{ "blank", NULL, "blank \"\" is not true or false" },
		{ "blank", "", "blank \"\"" },
		{ "blank", "True", "blank \"True\"" },
		{ "blank", "1", "blank \"1\"" },
		{ "readonly", "", "readonly \"\" is not true or false" },
		{ "readonly", "yes", "readonly \"yes\"" },
		{ "authentication", "", "authentication \"\" is not none, one-way or both-ways" },
		{ "authentication", "maybe", "authentication \"maybe\"" },
	};
	struct attachment a = { .nqn = "untouched" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = ERR_INIT;
		struct fixture_map m;

		provisioned(&m);
		fixture_map_set(&m, rows[i][0], rows[i][1]);
		assert_int_equal(attachment_parse(none, fixture_map_of(&m), &a, &err), -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		if (!strstr(err.msg, rows[i][2]))
			fail_msg("\"%s\" does not say \"%s\"", err.msg, rows[i][2]);
	}
	assert_string_equal(a.nqn, "untouched");
}

static void test_static(void **state)
{
	struct fixture_map m = { 0 }, publish;
	struct attachment a;
	struct err err = ERR_INIT;

	(void)state;
	provisioned(&publish);
	fixture_map_set(&m, "nqn", "nqn.2014-08.org.example:array");
	fixture_map_set(&m, "portals", "tcp://192.0.2.9:4420");
	fixture_map_set(&m, "nsid", "7");
	assert_true(attachment_is_static(fixture_map_of(&m)));
	assert_int_equal(attachment_parse(fixture_map_of(&m), none, &a, &err), 0);
	assert_false(a.has_uuid);
	assert_int_equal(a.nsid, 7);
	assert_int_equal(a.size_bytes, 0);
	fixture_map_set(&m, "nsUuid", UUID);
	assert_int_equal(attachment_parse(fixture_map_of(&m), fixture_map_of(&publish), &a, &err),
			 0);
	assert_string_equal(a.nqn, "nqn.2014-08.org.example:array");
	assert_true(a.has_uuid);
	assert_int_equal(a.portal_count, 1);
	assert_false(a.readonly);
	fixture_map_set(&publish, "readonly", "true");
	assert_int_equal(attachment_parse(fixture_map_of(&m), fixture_map_of(&publish), &a, &err),
			 0);
	assert_true(a.readonly);
}

/* An administrator cannot talk a foreign volume into being formatted. */
static void test_static_is_never_blank(void **state)
{
	struct fixture_map m;
	struct attachment a;
	struct err err = ERR_INIT;

	(void)state;
	provisioned(&m);
	assert_int_equal(attachment_parse(fixture_map_of(&m), fixture_map_of(&m), &a, &err), 0);
	assert_false(a.blank);
	assert_int_equal(a.size_bytes, 0);
}

static void test_bad_static(void **state)
{
	static const char *const rows[][3] = {
		{ "portals", NULL, "volume_context needs nqn and portals" },
		{ "nqn", "", "nqn \"\"" },
		{ "nsid", NULL, "volume_context has neither nsUuid nor nsid" },
		{ "nsid", "0", "nsid \"0\"" },
		{ "nsid", "4294967295", "from 1 to 4294967294" },
		{ "nsid", "x", "nsid \"x\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fixture_map m = { 0 }, publish;
		struct attachment a;
		struct err err = ERR_INIT;

		provisioned(&publish);
		fixture_map_set(&m, "nqn", NQN);
		fixture_map_set(&m, "portals", "tcp://192.0.2.9:4420");
		fixture_map_set(&m, "nsid", "7");
		fixture_map_set(&m, rows[i][0], rows[i][1]);
		assert_int_equal(attachment_parse(fixture_map_of(&m), fixture_map_of(&publish), &a,
						  &err),
				 -1);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		assert_non_null(strstr(err.msg, rows[i][2]));
	}
}

static void test_nothing(void **state)
{
	struct attachment a;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(attachment_parse(none, none, &a, &err), -1);
	assert_string_equal(err.msg, "publish_context needs nqn and portals");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_provisioned), cmocka_unit_test(test_bad_provisioned),
		cmocka_unit_test(test_static),	    cmocka_unit_test(test_static_is_never_blank),
		cmocka_unit_test(test_bad_static),  cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
