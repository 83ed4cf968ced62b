/* SPDX-License-Identifier: Apache-2.0 */
/* Names and IDs: UUIDs that never change, volume IDs that are ours or not, and field checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "csi/request/ids.h"
#include "nvme/base/cleanup.h"

#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define SHORT_32 "abcdefghijklmnopqrstuvwxyz-01234"

/* Pinned: were these to change, every volume ever made would be lost to its name. */
static void test_uuid_of_name(void **state)
{
	(void)state;
	assert_string_equal(volume_uuid_of_name("pvc-1").text,
			    "a19d662f-9448-58d3-b261-2dd056c90f80");
	assert_string_equal(volume_uuid_of_name("pvc-2").text,
			    "26a99d0e-5a14-55b0-91c9-39e354991198");
	assert_string_equal(volume_uuid_of_id("pvc-1").text,
			    "9b20ad3b-18ee-5ff7-94e3-982cc6af88e4");
}

/* Nor may these: a volume, a snapshot and a group of one name are three things. */
static void test_uuid_of_snapshots(void **state)
{
	struct uuid group = group_uuid_of_name("pvc-1"), volume = volume_uuid_of_name("pvc-1");

	(void)state;
	assert_string_equal(snapshot_uuid_of_name("pvc-1").text,
			    "b9d13a40-fe87-5bc7-a397-8b4c172a4248");
	assert_string_equal(group.text, "560aa038-69b0-57fa-9699-c019d3392f49");
	assert_string_equal(snapshot_uuid_of_member(&group, &volume).text,
			    "661f416f-bf37-53d2-935c-a5a2fa15f74a");
}

/* The lock of a CreateVolume is taken before its name is checked: any length must do. */
static void test_uuid_of_long_name(void **state)
{
	cleanup_free char *name = xcalloc(1 << 20, 1);

	(void)state;
	memset(name, 'a', (1 << 20) - 1);
	assert_int_equal(strlen(volume_uuid_of_name(name).text), 36);
	name[4110] = '\0';
	assert_string_equal(volume_uuid_of_name(name).text, "6d0763a6-af40-5386-9e53-3dabfb12ca04");
}

static void test_volume_id(void **state)
{
	static const char *const good[] = { "t/p/" UUID, "box-1/fast/" UUID,
					    SHORT_32 "/" SHORT_32 "/" UUID };
	char text[VOLUME_ID_SIZE];
	struct volume_id id;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(volume_id_parse(good[i], &id));
		volume_id_format(&id, text);
		assert_string_equal(text, good[i]);
	}
	assert_true(volume_id_parse("box-1/fast/" UUID, &id));
	assert_string_equal(id.target, "box-1");
	assert_string_equal(id.pool, "fast");
	assert_string_equal(id.uuid.text, UUID);
}

static void test_foreign_volume_ids(void **state)
{
	static const char *const rows[] = {
		"",
		"/",
		"//",
		"///",
		"t",
		"t/",
		"t/p",
		"t/p/",
		"/p/" UUID,
		"t//" UUID,
		"//" UUID,
		UUID,
		"t/" UUID,
		"/t/p/" UUID,
		"t/p/" UUID "/",
		"t/p/" UUID " ",
		"t/p/" UUID "@" UUID,
		"t/p/x/" UUID,
		"T/p/" UUID,
		"t/P/" UUID,
		"t_1/p/" UUID,
		"t/p.1/" UUID,
		"../../" UUID,
		"t/../" UUID,
		" t/p/" UUID,
		SHORT_32 "5/p/" UUID,
		"t/" SHORT_32 "5/" UUID,
		"t/p/00000000-0000-0000-0000-000000000000",
		"t/p/5D5F4A53-6F0C-4F0E-9F0A-0B6F3F6C2A11",
		"t/p/5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a1",
		"t/p/5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a111",
		"t/p/5d5f4a536f0c4f0e9f0a0b6f3f6c2a11",
		"t/p/%s%n%s%n%s%n%s%n%s%n%s%n%s%n%s%n%s%n",
		"t/p\n/" UUID,
		"\303\251/p/" UUID,
	};
	struct volume_id id = { .target = "untouched" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (volume_id_parse(rows[i], &id))
			fail_msg("\"%s\" is taken for a volume ID", rows[i]);
	assert_string_equal(id.target, "untouched");
}

static void test_huge_volume_ids(void **state)
{
	cleanup_free char *text = xcalloc(1 << 20, 1);
	struct volume_id id;

	(void)state;
	memset(text, 'a', (1 << 20) - 1);
	assert_false(volume_id_parse(text, &id));
	memset(text, '/', (1 << 20) - 1);
	assert_false(volume_id_parse(text, &id));
	memcpy(text, "t/p/", 4);
	assert_false(volume_id_parse(text, &id));
}

/* Of the three sorts of IDs each is one and no other. */
static void test_snapshot_ids(void **state)
{
	static const char *const rows[] = {
		"t/p/" UUID,
		"t/@" UUID,
		"t/@@" UUID,
		"t/p/@@" UUID,
		"t/p/@",
		"t/p/@" UUID "/",
		"t/p/ @" UUID,
		"/p/@" UUID,
		"t//@" UUID,
		"t/@p/" UUID,
		"@t/p/" UUID,
		"t/p/@" UUID "@" UUID,
		"t/p/@5D5F4A53-6F0C-4F0E-9F0A-0B6F3F6C2A11",
		"@" UUID,
		"",
		"t/p/%s",
	};
	static const char good[] = SHORT_32 "/" SHORT_32 "/@" UUID;
	struct volume_id id = { 0 };
	char text[VOLUME_ID_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (snapshot_id_parse(rows[i], &id))
			fail_msg("\"%s\" is taken for a snapshot ID", rows[i]);
	assert_string_equal(id.target, "");
	assert_true(snapshot_id_parse(good, &id));
	snapshot_id_format(&id, text);
	assert_string_equal(text, good);
	assert_false(volume_id_parse(good, &id));
}

static void test_group_ids(void **state)
{
	static const char *const rows[] = { "t/p/@" UUID, "t/@" UUID,	   "t/p/" UUID,
					    "t/@@",	  "t/@@" UUID "/", "t/p/@@" UUID,
					    "/@@" UUID,	  "@@" UUID,	   "t/@@@" UUID };
	struct group_id group = { 0 };
	char text[VOLUME_ID_SIZE];
	struct volume_id id;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (group_id_parse(rows[i], &group))
			fail_msg("\"%s\" is taken for the ID of a group", rows[i]);
	assert_string_equal(group.target, "");
	assert_true(group_id_parse(SHORT_32 "/@@" UUID, &group));
	group_id_format(&group, text);
	assert_string_equal(text, SHORT_32 "/@@" UUID);
	assert_string_equal(group.uuid.text, UUID);
	assert_false(volume_id_parse(text, &id));
	assert_false(snapshot_id_parse(text, &id));
}

static void refuse_text(const char *text, size_t max, const char *want)
{
	struct err err = ERR_INIT;

	assert_int_equal(require_text("field", text, max, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_string_equal(err.msg, want);
}

static void test_require_text(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(require_text("field", "12345", 5, &err), 0);
	assert_int_equal(require_text("field", "caf\303\251 \"x\" /", 128, &err), 0);
	refuse_text(NULL, 5, "field is required and missing");
	refuse_text("", 5, "field is required and missing");
	refuse_text("123456", 5, "field \"123456…\" is 6 bytes long; at most 5 are allowed");
	refuse_text("ab\ncd", 128, "field holds the control character 0x0a at offset 2");
	refuse_text("\177", 128, "field holds the control character 0x7f at offset 0");
}

static void test_require_path(void **state)
{
	static const char *const good[] = {
		"/a", "/a/b/", "/a//b", "/a/...", "/.a/b.", "/a b/\"c\""
	};
	static const char *const bad[] = { "a",	     "/",	 "//",	    "///",    "./a",
					   "../a",   "/.",	 "/..",	    "/a/.",   "/a/..",
					   "/./a",   "/../a",	 "/a/../b", "/a/./b", "/a//../b",
					   "/a/../", "unix:///a" };
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(require_path("field", good[i], &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (require_path("field", bad[i], &err) == 0)
			fail_msg("path \"%s\" is accepted", bad[i]);
		assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
		assert_non_null(strstr(err.msg, bad[i]));
	}
	assert_int_equal(require_path("field", "", &err), -1);
	assert_int_equal(require_path("field", "/a\nb", &err), -1);
}

static void test_long_path(void **state)
{
	char path[PATH_MAX + 1];
	struct err err = ERR_INIT;

	(void)state;
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[PATH_MAX] = '\0';
	assert_int_equal(require_path("field", path, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	path[PATH_BYTES_MAX] = '\0';
	assert_int_equal(require_path("field", path, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uuid_of_name),	  cmocka_unit_test(test_uuid_of_long_name),
		cmocka_unit_test(test_volume_id),	  cmocka_unit_test(test_foreign_volume_ids),
		cmocka_unit_test(test_huge_volume_ids),	  cmocka_unit_test(test_require_text),
		cmocka_unit_test(test_require_path),	  cmocka_unit_test(test_long_path),
		cmocka_unit_test(test_uuid_of_snapshots), cmocka_unit_test(test_snapshot_ids),
		cmocka_unit_test(test_group_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
