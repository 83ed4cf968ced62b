/* SPDX-License-Identifier: Apache-2.0 */
/* What no volume accounts for is shown; what one does account for, or a call works on, is not. */
#include "tests/unit/target_fixture.h"

static struct target_orphans orphans(void)
{
	struct target_orphans found = { 0 };
	struct err err = ERR_INIT;

	assert_ok(target_orphans(target, &found, &err), &err);
	return found;
}

static void assert_none(void)
{
	cleanup_target_orphans struct target_orphans found = orphans();

	if (found.count)
		fail_msg("%s %s: %s", found.items[0].kind, found.items[0].path,
			 found.items[0].message);
}

/* Exactly one, with this path below dir. */
static void assert_one(const char *kind, const char *pool, const char *uuid, const char *path,
		       const char *says)
{
	cleanup_target_orphans struct target_orphans found = orphans();
	cleanup_free char *full = xasprintf("%s/%s", dir, path);

	assert_int_equal(found.count, 1);
	assert_string_equal(found.items[0].kind, kind);
	assert_string_equal(found.items[0].pool, pool);
	assert_string_equal(found.items[0].uuid, uuid);
	assert_string_equal(found.items[0].path, full);
	assert_says(found.items[0].message, says);
}

static void test_none(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_none();
	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(create(OTHER, "slow", &err), &err);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
	put("fast/README", "not ours to speak of");
	put("nvmet/subsystems/nqn.2020-01.org.example:theirs/attr_serial", "");
	assert_true(there(SUBSYSTEM));
	assert_none();
}

static void test_bad_records(void **state)
{
	(void)state;
	put("fast/" UUID ".json", "{");
	restart();
	/* Its backing is no orphan of its own. */
	put("fast/" UUID ".img", "data");
	assert_one("record", "fast", UUID, "fast/" UUID ".json.bad",
		   "could not be understood; repair it");
	take_away("fast/" UUID ".json.bad");
	take_away("fast/" UUID ".img");
	put("slow/notes.json", "{}");
	assert_one("record", "slow", "", "slow/notes.json", "not that of a record");
	restart();
	assert_one("record", "slow", "", "slow/notes.json.bad", "not that of a record");
	take_away("slow/notes.json.bad");
	put("fast/" UUID ".json", "{\"version\":3,\"uuid\":\"" UUID "\"}");
	restart();
	assert_one("record", "fast", UUID, "fast/" UUID ".json", "could not be read when");
}

static void test_what_a_bad_record_is_newer_than(void **state)
{
	cleanup_target_orphans struct target_orphans found = { 0 };

	(void)state;
	put("fast/" UUID ".json", "{");
	put("fast/" UUID ".new.json", "{");
	restart();
	found = orphans();
	assert_int_equal(found.count, 2);
	assert_says(found.items[1].message, "older than the volume's record that was set aside");
	assert_says(found.items[0].message, "could not be understood; repair it");
}

static void test_bad_record_beside_a_good_one(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(create(UUID, "fast", &err), &err);
	put("fast/" UUID ".json.bad", "{");
	assert_one("record", "fast", UUID, "fast/" UUID ".json.bad", "has another record now");
}

static void test_record_that_came_later(void **state)
{
	(void)state;
	put("fast/" UUID ".json", "{");
	assert_one("record", "fast", UUID, "fast/" UUID ".json", "came after the target started");
}

static void test_second_record_and_backing(void **state)
{
	cleanup_target_orphans struct target_orphans found = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(create(UUID, "fast", &err), &err);
	put("slow/" UUID ".json", "{");
	put("slow/" UUID ".img", "old");
	found = orphans();
	assert_int_equal(found.count, 2);
	assert_string_equal(found.items[0].kind, "record");
	assert_says(found.items[0].message, "record in another pool");
	assert_string_equal(found.items[1].kind, "backing");
	assert_string_equal(found.items[1].pool, "slow");
	assert_says(found.items[1].message, "the volume is in pool fast");
}

static void test_backing_without_a_record(void **state)
{
	(void)state;
	put("slow/" UUID ".img", "data");
	assert_one("backing", "slow", UUID, "slow/" UUID ".img", "it has no record");
}

static void put_export(const char *device_path)
{
	put(SUBSYSTEM "/namespaces/1/device_path", device_path);
	put(SUBSYSTEM "/allowed_hosts/.keep", "");
	take_away(SUBSYSTEM "/allowed_hosts/.keep");
}

static void test_exports(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" UUID ".img\n", dir);
	struct err err = ERR_INIT;

	(void)state;
	put_export("/srv/elsewhere/" UUID ".img\n");
	assert_one("export", "", UUID, SUBSYSTEM, "no pool has a record of this volume");
	put_export(path);
	assert_one("export", "fast", UUID, SUBSYSTEM, "no pool has a record of this volume");
	take_away(SUBSYSTEM "/namespaces/1/device_path");
	assert_ok(create(UUID, "fast", &err), &err);
	assert_one("export", "", UUID, SUBSYSTEM, "the volume's record has no export");
	assert_ok(root_mkdir(&root, &err, "nvmet/subsystems/" VOLUME_NQN_PREFIX "x"), &err);
	assert_ok(target_delete(target, UUID, "", &err) < 0 ? 0 : -1, &err);
	take_away(SUBSYSTEM "/allowed_hosts");
	take_away(SUBSYSTEM "/namespaces/1");
	take_away(SUBSYSTEM "/namespaces");
	take_away(SUBSYSTEM);
	assert_one("export", "", "", "nvmet/subsystems/" VOLUME_NQN_PREFIX "x",
		   "our prefix and no volume's UUID");
}

static void test_what_is_in_work_is_left_out(void **state)
{
	cleanup_target_orphans struct target_orphans found = { 0 };
	struct target_entry *entry;
	struct err err = ERR_INIT;

	(void)state;
	put("fast/" UUID ".img", "data");
	put("fast/" UUID ".json", "{");
	put_export("/dev/null\n");
	assert_ok(target_acquire(target, UUID, &entry, &err), &err);
	assert_none();
	target_release(target, entry);
	found = orphans();
	assert_int_equal(found.count, 3);
}

/* An answer that leaves something out would pass for "all is well". */
static void test_what_cannot_be_looked_at_is_an_error(void **state)
{
	struct target_orphans none = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	take_away("nvmet/subsystems");
	put("nvmet/subsystems", "no directory");
	assert_code(target_orphans(target, &none, &err), &err, ERR_INTERNAL);
	assert_null(none.items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_none),
		CASE(test_bad_records),
		CASE(test_what_a_bad_record_is_newer_than),
		CASE(test_bad_record_beside_a_good_one),
		CASE(test_record_that_came_later),
		CASE(test_second_record_and_backing),
		CASE(test_backing_without_a_record),
		CASE(test_exports),
		CASE(test_what_is_in_work_is_left_out),
		CASE(test_what_cannot_be_looked_at_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
