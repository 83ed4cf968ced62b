/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities: the table of access modes, row by row, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "csi/request/access.h"
#include "tests/unit/request_fixture.h"

#define WRITER MODE(SINGLE_NODE_WRITER)

struct row {
	int mode;
	const char *name;
	bool reader, many_nodes, single_path;
	enum volume_access mount, block;
};

/* What each mode promises, once more and by hand. */
static const struct row rows[] = {
	{ MODE(SINGLE_NODE_WRITER), "SINGLE_NODE_WRITER", false, false, false, VOLUME_SINGLE_NODE,
	  VOLUME_SINGLE_NODE },
	{ MODE(SINGLE_NODE_READER_ONLY), "SINGLE_NODE_READER_ONLY", true, false, false,
	  VOLUME_SINGLE_NODE, VOLUME_SINGLE_NODE },
	{ MODE(MULTI_NODE_READER_ONLY), "MULTI_NODE_READER_ONLY", true, true, false,
	  VOLUME_MULTI_READER, VOLUME_MULTI_READER },
	{ MODE(MULTI_NODE_SINGLE_WRITER), "MULTI_NODE_SINGLE_WRITER", false, false, false,
	  VOLUME_SINGLE_NODE, VOLUME_SINGLE_NODE },
	{ MODE(MULTI_NODE_MULTI_WRITER), "MULTI_NODE_MULTI_WRITER", false, false, false,
	  VOLUME_SINGLE_NODE, VOLUME_MULTI_WRITER },
	{ MODE(SINGLE_NODE_SINGLE_WRITER), "SINGLE_NODE_SINGLE_WRITER", false, false, true,
	  VOLUME_SINGLE_NODE, VOLUME_SINGLE_NODE },
	{ MODE(SINGLE_NODE_MULTI_WRITER), "SINGLE_NODE_MULTI_WRITER", false, false, false,
	  VOLUME_SINGLE_NODE, VOLUME_SINGLE_NODE },
};

static void assert_row(const struct row *row, const struct access *access, bool block)
{
	assert_string_equal(access->mode_name, row->name);
	assert_int_equal(access->block, block);
	assert_int_equal(access->reader, row->reader);
	assert_int_equal(access->many_nodes, row->many_nodes);
	assert_int_equal(access->single_path, row->single_path);
	assert_int_equal(access->export, block ? row->block : row->mount);
	assert_false(access->ro_flag);
	assert_string_equal(access->options, "");
}

static void test_modes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct fixture_capability c;
		struct access access;
		struct err err = ERR_INIT;

		assert_int_equal(access_parse(fixture_mount(&c, rows[i].mode, "xfs", NULL, 0),
					      &access, &err),
				 0);
		assert_row(&rows[i], &access, false);
		assert_string_equal(access.fs_type, "xfs");
		assert_int_equal(access_parse(fixture_block(&c, rows[i].mode), &access, &err), 0);
		assert_row(&rows[i], &access, true);
	}
}

/* Every mode that the specification has is in the table: a new one must not pass unseen. */
static void test_all_modes_are_known(void **state)
{
	const ProtobufCEnumDescriptor *descriptor =
		&csi__v1__volume_capability__access_mode__mode__descriptor;

	(void)state;
	assert_int_equal(descriptor->n_values, sizeof(rows) / sizeof(*rows) + 1);
}

static void refused(const Csi__V1__VolumeCapability *capability, const char *says)
{
	struct access access;
	struct err err = ERR_INIT;

	assert_int_equal(access_parse(capability, &access, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	if (!strstr(err.msg, says))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
}

static void test_unknown_modes(void **state)
{
	struct fixture_capability c;

	(void)state;
	refused(fixture_block(&c, MODE(UNKNOWN)), "access_mode is required");
	refused(fixture_block(&c, 8), "access_mode 8 is not");
	refused(fixture_block(&c, 2147483647), "access_mode 2147483647 is not");
	refused(fixture_block(&c, -1), "access_mode -1 is not");
	fixture_block(&c, WRITER);
	c.capability.access_mode = NULL;
	refused(&c.capability, "access_mode is required");
}

static void test_missing_parts(void **state)
{
	struct fixture_capability c;

	(void)state;
	refused(NULL, "volume_capability is required");
	fixture_mode(&c, WRITER);
	refused(&c.capability, "neither block nor mount");
}

static void test_file_systems(void **state)
{
	struct fixture_capability c;
	struct access access;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(access_parse(fixture_mount(&c, WRITER, "", NULL, 0), &access, &err), 0);
	assert_string_equal(access.fs_type, "ext4");
	assert_int_equal(access_parse(fixture_mount(&c, WRITER, "ext4", NULL, 0), &access, &err),
			 0);
	refused(fixture_mount(&c, WRITER, "ntfs", NULL, 0), "\"ntfs\" is not supported; use ext4");
	refused(fixture_mount(&c, WRITER, "EXT4", NULL, 0), "\"EXT4\"");
	refused(fixture_mount(&c, WRITER, "ext4 ", NULL, 0), "\"ext4 \"");
	fixture_mount(&c, WRITER, "ext4", NULL, 0);
	c.mount.volume_mount_group = (char *)"1000";
	refused(&c.capability, "volume_mount_group \"1000\"");
}

static void test_flags(void **state)
{
	char *flags[] = { (char *)"noatime", (char *)"rw", (char *)"ro", (char *)"context=\"a,b\"",
			  (char *)"row" };
	struct fixture_capability c;
	struct access access;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(access_parse(fixture_mount(&c, WRITER, "", flags, 2), &access, &err), 0);
	assert_false(access.ro_flag);
	assert_string_equal(access.options, "noatime,rw");
	assert_int_equal(access_parse(fixture_mount(&c, WRITER, "", flags, 5), &access, &err), 0);
	assert_true(access.ro_flag);
	assert_string_equal(access.options, "noatime,rw,ro,context=\"a,b\",row");
	flags[0] = (char *)"nosuid,ro";
	assert_int_equal(access_parse(fixture_mount(&c, WRITER, "", flags, 1), &access, &err), 0);
	assert_true(access.ro_flag);
	flags[0] = (char *)"context=\"ro,x\"";
	assert_int_equal(access_parse(fixture_mount(&c, WRITER, "", flags, 1), &access, &err), 0);
	assert_false(access.ro_flag);
}

static void test_bad_flags(void **state)
{
	char *empty[] = { (char *)"noatime", (char *)"" };
	char *controls[] = { (char *)"noatime\nx", (char *)"a=\033[2J", (char *)"a=\177",
			     (char *)"\001" };
	struct fixture_capability c;

	(void)state;
	refused(fixture_mount(&c, WRITER, "", empty, 2), "mount_flags");
	for (size_t i = 0; i < ARRAY_SIZE(controls); i++)
		refused(fixture_mount(&c, WRITER, "", &controls[i], 1), "control character");
}

/* 4 KiB with the commas between them is what fits. */
static void test_oversize_flags(void **state)
{
	char long_flag[4097], short_flag[3] = "a";
	char *flags[] = { long_flag, short_flag };
	struct fixture_capability c;
	struct access access;
	struct err err = ERR_INIT;

	(void)state;
	memset(long_flag, 'f', sizeof(long_flag));
	long_flag[4092] = '\0';
	assert_int_equal(access_parse(fixture_mount(&c, WRITER, "", flags, 2), &access, &err), 0);
	assert_int_equal(strlen(access.options), 4094);
	strcpy(short_flag, "ab");
	refused(fixture_mount(&c, WRITER, "", flags, 2), "mount_flags");
	memset(long_flag, 'f', 4096);
	long_flag[4096] = '\0';
	refused(fixture_mount(&c, WRITER, "", flags, 1), "more than 4095 bytes");
}

static void test_list(void **state)
{
	struct fixture_capability a, b, c;
	Csi__V1__VolumeCapability *list[] = {
		fixture_mount(&a, MODE(MULTI_NODE_READER_ONLY), "xfs", NULL, 0),
		fixture_mount(&b, WRITER, "xfs", NULL, 0),
		fixture_block(&c, WRITER),
	};
	struct access access;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(access_parse_list(NULL, 0, &access, &err), -1);
	assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
	assert_string_equal(err.msg, "volume_capabilities is required and missing");
	assert_int_equal(access_parse_list(list, 2, &access, &err), 0);
	assert_string_equal(access.mode_name, "MULTI_NODE_READER_ONLY");
	assert_int_equal(access_parse_list(list, 3, &access, &err), -1);
	assert_non_null(strstr(err.msg, "both block and mount"));
	list[1] = fixture_mount(&b, WRITER, "ext4", NULL, 0);
	assert_int_equal(access_parse_list(list, 2, &access, &err), -1);
	assert_non_null(strstr(err.msg, "both xfs and ext4"));
	b.mode.mode = MODE(UNKNOWN);
	assert_int_equal(access_parse_list(list, 2, &access, &err), -1);
	assert_non_null(strstr(err.msg, "access_mode"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),	      cmocka_unit_test(test_all_modes_are_known),
		cmocka_unit_test(test_unknown_modes), cmocka_unit_test(test_missing_parts),
		cmocka_unit_test(test_file_systems),  cmocka_unit_test(test_flags),
		cmocka_unit_test(test_bad_flags),     cmocka_unit_test(test_oversize_flags),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
