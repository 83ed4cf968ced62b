/* SPDX-License-Identifier: Apache-2.0 */
/* Never format on doubt: the whole table of what is done with what is found on a device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "csi/node/device.h"

#define BLANK true
#define WRITTEN false
#define NOTHING -1 /* refused */
#define BYTES "non-zero bytes at offset 4096"

struct row {
	const char *title;
	bool empty;
	const char *found; /* the probe's words */
	const char *found_fs;
	bool is_static;
	bool blank;
	bool reader;
	int plan;
	const char *says; /* a part of the refusal */
};

static const struct row rows[] = {
	{ "new", true, "", "", false, BLANK, false, DEVICE_FORMAT, NULL },
	{ "ours again", false, "ext4", "ext4", false, WRITTEN, false, DEVICE_MOUNT, NULL },
	{ "ours, lies about blank", false, "ext4", "ext4", false, BLANK, false, DEVICE_MOUNT,
	  NULL },
	{ "ours, reader", false, "ext4", "ext4", false, WRITTEN, true, DEVICE_MOUNT, NULL },
	{ "static with file system", false, "ext4", "ext4", true, WRITTEN, false, DEVICE_MOUNT,
	  NULL },
	{ "static, reader", false, "ext4", "ext4", true, WRITTEN, true, DEVICE_MOUNT, NULL },
	{ "other file system", false, "xfs", "xfs", false, WRITTEN, false, NOTHING, "holds xfs" },
	{ "other file system, blank", false, "xfs", "xfs", false, BLANK, false, NOTHING,
	  "holds xfs" },
	{ "file system not of ours", false, "ntfs", "ntfs", false, BLANK, false, NOTHING, "ntfs" },
	{ "partition table", false, "gpt partition table", "", false, BLANK, false, NOTHING,
	  "gpt partition table" },
	{ "two signatures", false, "ambivalent signatures", "", false, BLANK, false, NOTHING,
	  "ambivalent" },
	{ "encrypted", false, "crypto_LUKS", "", false, BLANK, false, NOTHING, "crypto_LUKS" },
	{ "some bytes", false, "non-zero bytes at offset 65536", "", false, BLANK, false, NOTHING,
	  "offset 65536" },
	{ "empty but written", true, "", "", false, WRITTEN, false, NOTHING, "it was written" },
	{ "static and empty", true, "", "", true, WRITTEN, false, NOTHING, "by hand" },
	{ "static that claims blank", true, "", "", true, BLANK, false, NOTHING, "by hand" },
	{ "reader of new", true, "", "", false, BLANK, true, NOTHING, "THE_MODE" },
	{ "reader of empty", true, "", "", false, WRITTEN, true, NOTHING, "THE_MODE" },
	{ "reader of other", false, "xfs", "xfs", false, BLANK, true, NOTHING, "holds xfs" },
};

/* There is an intent of this node, and what a mkfs leaves that was cut short. */
static const struct row rows_cut_here[] = {
	{ "cut short", false, BYTES, "", false, WRITTEN, false, DEVICE_FORMAT, NULL },
	{ "cut short, with a signature", false, "ext4", "ext4", false, WRITTEN, false,
	  DEVICE_FORMAT, NULL },
	{ "cut short, reader", false, BYTES, "", false, WRITTEN, true, NOTHING,
	  "unfinished file system and THE_MODE allows no formatting" },
	{ "cut short, static", false, BYTES, "", true, WRITTEN, false, NOTHING, "by hand" },
};

/* There is none. */
static const struct row rows_cut_elsewhere[] = {
	{ "cut short elsewhere", false, BYTES, "", false, WRITTEN, false, NOTHING,
	  "only the node that began it may finish it" },
	{ "cut short elsewhere, said to be blank", false, BYTES, "", false, BLANK, false, NOTHING,
	  "mkfs.ext4 that was cut short" },
	{ "cut short elsewhere, with a signature", false, "ext4", "ext4", false, WRITTEN, false,
	  NOTHING, "delete the volume" },
};

/* There is an intent, and something else. */
static const struct row rows_begun_here[] = {
	{ "finished after all", false, "ext4", "ext4", false, WRITTEN, false, DEVICE_MOUNT, NULL },
	{ "finished after all, reader", false, "ext4", "ext4", false, WRITTEN, true, DEVICE_MOUNT,
	  NULL },
	{ "nothing written", true, "", "", false, WRITTEN, false, DEVICE_FORMAT, NULL },
	{ "other data came", false, BYTES, "", false, WRITTEN, false, NOTHING,
	  "never formatted over" },
	{ "another file system came", false, "xfs", "xfs", false, WRITTEN, false, NOTHING,
	  "holds xfs" },
};

static void check_rows(const struct row *list, size_t count, bool unfinished, bool ours)
{
	for (size_t i = 0; i < count; i++) {
		const struct row *row = &list[i];
		struct attachment attachment = { .size_bytes = row->is_static ? 0 : 4096,
						 .blank = row->blank };
		struct access access = { .mode_name = "THE_MODE",
					 .reader = row->reader,
					 .fs_type = "ext4" };
		struct device_found found = { .probe.empty = row->empty,
					      .unfinished = unfinished,
					      .ours = ours };
		enum device_plan plan = (enum device_plan)77;
		struct err err = ERR_INIT;
		int rc;

		strcpy(found.probe.type, row->found);
		strcpy(found.probe.fs_type, row->found_fs);
		rc = device_plan(&attachment, &access, &found, &plan, &err);
		if (rc != (row->plan == NOTHING ? -1 : 0))
			fail_msg("%s: %d \"%s\"", row->title, rc, err.msg);
		if (rc == 0) {
			assert_int_equal(plan, row->plan);
			continue;
		}
		assert_int_equal(plan, 77);
		assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
		if (!strstr(err.msg, row->says))
			fail_msg("%s: \"%s\"", row->title, err.msg);
	}
}

static void test_plan(void **state)
{
	(void)state;
	check_rows(rows, ARRAY_SIZE(rows), false, false);
	check_rows(rows_cut_here, ARRAY_SIZE(rows_cut_here), true, true);
	check_rows(rows_cut_elsewhere, ARRAY_SIZE(rows_cut_elsewhere), true, false);
	check_rows(rows_begun_here, ARRAY_SIZE(rows_begun_here), false, true);
}

/* Whatever the mode, what the target lets nobody write is only ever mounted. */
static void test_plan_exported_readonly(void **state)
{
	struct attachment attachment = { .size_bytes = 4096, .blank = true, .readonly = true };
	struct access access = { .mode_name = "THE_MODE", .fs_type = "ext4" };
	struct device_found found = { .probe = { .type = "ext4", .fs_type = "ext4" } };
	struct err err = ERR_INIT;
	enum device_plan plan;

	(void)state;
	assert_int_equal(device_plan(&attachment, &access, &found, &plan, &err), 0);
	assert_int_equal(plan, DEVICE_MOUNT);
	found = (struct device_found) { .probe.empty = true };
	assert_int_equal(device_plan(&attachment, &access, &found, &plan, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "THE_MODE of a volume exported read-only allows no "
					"formatting; publish it read-write once"));
}

/* Of all combinations, these format and no others. */
static void test_ways_to_format(void **state)
{
	int formats = 0;

	(void)state;
	for (unsigned bits = 0; bits < 256; bits++) {
		struct attachment attachment = { .size_bytes = bits & 1 ? 4096 : 0,
						 .blank = bits & 2,
						 .readonly = bits & 32 };
		struct access access = { .mode_name = "MODE",
					 .reader = bits & 4,
					 .fs_type = "ext4" };
		struct device_found found = { .probe.empty = bits & 8,
					      .unfinished = bits & 64,
					      .ours = bits & 128 };
		bool new = (bits & (8 | 2 | 64)) == (8 | 2);
		bool begun_here = (bits & 128) && (bits & (8 | 64));
		bool wanted = (bits & 1) && !(bits & (4 | 32)) && (new || begun_here);
		enum device_plan plan;
		struct err err;

		strcpy(found.probe.type, found.probe.empty ? "" :
					 bits & 16	   ? "xfs" :
							     "gpt partition table");
		strcpy(found.probe.fs_type, !found.probe.empty && bits & 16 ? "xfs" : "");
		if (device_plan(&attachment, &access, &found, &plan, &err) == 0) {
			assert_int_equal(plan, DEVICE_FORMAT);
			assert_true(wanted);
			formats++;
		} else {
			assert_false(wanted);
		}
	}
	assert_true(formats > 0);
}

/* A mount is of a device by its number, or a bind of its node in devtmpfs; names alone never. */
static void test_next_mount(void **state)
{
	struct host_namespace ns = { .name = "nvme0n1", .major = 259, .minor = 3 };
	struct mount_entry entries[] = {
		{ .major = 259,
		  .minor = 4,
		  .source = (char *)"/dev/nvme0n1",
		  .fs_type = (char *)"ext4",
		  .fs_root = (char *)"/" },
		{ .major = 259,
		  .minor = 3,
		  .source = (char *)"/dev/other",
		  .fs_type = (char *)"ext4",
		  .fs_root = (char *)"/sub" },
		{ .minor = 5, .fs_type = (char *)"devtmpfs", .fs_root = (char *)"/nvme0n1" },
		{ .minor = 5, .fs_type = (char *)"devtmpfs", .fs_root = (char *)"/nvme0n10" },
		{ .minor = 5, .fs_type = (char *)"devtmpfs", .fs_root = (char *)"/" },
		{ .minor = 6, .fs_type = (char *)"tmpfs", .fs_root = (char *)"/nvme0n1" },
	};
	struct mount_table table = { .entries = entries, .count = ARRAY_SIZE(entries) };
	const struct mount_entry *entry;

	(void)state;
	entry = device_next_mount(&table, NULL, &ns);
	assert_ptr_equal(entry, &entries[1]);
	entry = device_next_mount(&table, entry, &ns);
	assert_ptr_equal(entry, &entries[2]);
	assert_null(device_next_mount(&table, entry, &ns));
	assert_null(device_next_mount(&(struct mount_table) { 0 }, NULL, &ns));
}

/* A mount from another life of the volume is not used again, whichever way it differs. */
static void test_check_readonly(void **state)
{
	struct node_record record = { .volume_id = "the volume", .readonly = true };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(device_check_readonly(true, &record, &err), 0);
	assert_int_equal(device_check_readonly(false, &record, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "\"the volume\" is staged read-write on this node, but "
					"attached read-only now"));
	record.readonly = false;
	err = ERR_INIT;
	assert_int_equal(device_check_readonly(false, &record, &err), 0);
	assert_int_equal(device_check_readonly(true, &record, &err), -1);
	assert_non_null(strstr(err.msg, "staged read-only on this node"));
}

static void test_paths(void **state)
{
	struct host host = { .dev = "/dev" };
	struct node node = { .host = &host, .state = { .fd = -1, .path = "/state" } };
	struct node_record record = { .has_uuid = true,
				      .uuid = { "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11" } };
	char path[PATH_MAX];

	(void)state;
	device_private_path(&node, &record, path);
	assert_string_equal(path, "/state/mnt/5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11");
	device_stage_path("/staging", path);
	assert_string_equal(path, "/staging/volume");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_plan_exported_readonly),
		cmocka_unit_test(test_ways_to_format),
		cmocka_unit_test(test_next_mount),
		cmocka_unit_test(test_check_readonly),
		cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
