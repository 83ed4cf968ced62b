/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes that a call has left half-way: which errors others get, and records of which it is not
 * known whether their last change is durable.
 */
#include "tests/unit/target_fixture.h"

#include <errno.h>
#include <sys/syscall.h>

#include "nvme/target/record.h"

#define MIB (1ULL << 20)
#define RECORD "fast/" UUID ".json"

/* --- faults ----------------------------------------------------------------------------------- */

static int syncs_left = -1; /* of directories, until one fails; -1: none does */

/* In the place of the C library's: what was renamed or removed stays so, and is not durable. */
int fsync(int fd)
{
	struct stat st = { 0 };

	fstat(fd, &st);
	if (S_ISDIR(st.st_mode) && syncs_left >= 0 && syncs_left-- == 0)
		return errno = EIO, -1;
	return (int)syscall(SYS_fsync, fd);
}

static bool fail_remove;

static int faulty_remove(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	if (fail_remove)
		return err_set(err, ERR_INTERNAL, "the test's own words");
	return pool_dir_ops.remove(pool, uuid, err);
}

static void arm(void)
{
	static struct pool_ops ops;

	ops = plain_ops();
	ops.remove = faulty_remove;
	target->pools[0]->ops = &ops;
	fail_remove = false;
}

/* --- calls ------------------------------------------------------------------------------------ */

static int do_create(struct err *err)
{
	return create(UUID, "fast", err);
}

static int do_delete(struct err *err)
{
	return target_delete(target, UUID, "", err);
}

static int do_expand(struct err *err)
{
	cleanup_volume struct volume ret = { 0 };

	return target_expand(target, UUID, "", 2 * MIB, &ret, err);
}

static int modify(const char *value, struct err *err)
{
	struct volume_parameter set = { .key = (char *)"queueSize", .value = (char *)value };
	cleanup_volume struct volume ret = { 0 };

	return target_modify(target, UUID, "", &set, 1, &ret, err);
}

static int do_modify(struct err *err)
{
	return modify("64", err);
}

static int do_export(struct err *err)
{
	return export_to(UUID, HOST_A, err);
}

static int do_unexport(struct err *err)
{
	return target_unexport(target, UUID, HOST_A, err);
}

/* --- what is begun ---------------------------------------------------------------------------- */

static void assert_pending(const char *says)
{
	static int (*const calls[])(struct err * err) = { do_expand, do_modify, do_export };
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		assert_code(calls[i](&err), &err, ERR_ABORTED);
		assert_says(err.msg, UUID);
		assert_says(err.msg, says);
	}
}

/* A volume whose creation or deletion has not come to its end is neither absent nor usable. */
static void test_pending(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	arm();
	/* In the way of the record's final name. */
	assert_ok(root_mkdir(&root, &err, RECORD), &err);
	assert_code(do_create(&err), &err, ERR_INTERNAL);
	assert_pending("its creation was begun");
	take_away(RECORD);
	assert_ok(do_create(&err), &err);
	assert_ok(do_expand(&err), &err);
	fail_remove = true;
	assert_code(do_delete(&err), &err, ERR_INTERNAL);
	assert_pending("its deletion was begun");
	fail_remove = false;
	assert_ok(do_delete(&err), &err);
	assert_code(do_expand(&err), &err, ERR_NOT_FOUND);
}

/* --- what is not durable ---------------------------------------------------------------------- */

/* The record and the table say the same, or there is neither. */
static void assert_agree(void)
{
	const struct target_entry *entry = target_entry_find(target, &(struct uuid) { UUID });
	cleanup_free char *want = NULL, *have = NULL;
	struct err err = ERR_INIT;
	int found = file_read(&root, RECORD, &have, &err);

	assert_true(found >= 0);
	if (entry) {
		assert_true(entry->present && !entry->unsure);
		want = record_format(&entry->volume);
	}
	assert_string_equal(have ?: "", want ?: "");
}

/*
 * Makes each sync of a directory in a call fail in turn. The call fails; what is done afterwards
 * makes record and table agree.
 */
static void fail_each_sync(int (*before)(struct err *err), int (*call)(struct err *err),
			   int (*afterwards)(struct err *err), int expected)
{
	int failed = 0;

	for (int nth = 0;; nth++) {
		struct err err = ERR_INIT;
		int r;

		arm();
		if (before)
			assert_ok(before(&err), &err);
		syncs_left = nth;
		r = call(&err);
		if (syncs_left >= 0) {
			syncs_left = -1;
			assert_ok(do_delete(&err), &err);
			break;
		}
		failed++;
		assert_code(r, &err, ERR_INTERNAL);
		assert_ok(afterwards(&err), &err);
		assert_agree();
		restart();
		assert_agree();
		arm();
		assert_ok(do_delete(&err), &err);
		assert_agree();
		assert_int_equal(provisioned("fast"), 0);
	}
	assert_int_equal(failed, expected);
}

static void test_the_same_again(void **state)
{
	(void)state;
	fail_each_sync(NULL, do_create, do_create, 2);
	fail_each_sync(do_create, do_expand, do_expand, 2);
	fail_each_sync(do_create, do_modify, do_modify, 1);
	fail_each_sync(do_create, do_delete, do_delete, 3);
}

static int modify_back(struct err *err)
{
	return modify("32", err);
}

static int create_modified(struct err *err)
{
	return create(UUID, "fast", err) < 0 ? -1 : modify_back(err);
}

/* What needs no change according to the table must not find another record after a restart. */
static void test_the_opposite(void **state)
{
	(void)state;
	fail_each_sync(NULL, do_create, do_delete, 2);
	fail_each_sync(create_modified, do_modify, modify_back, 1);
	fail_each_sync(do_create, do_delete, do_create, 3);
}

static void test_a_host_that_was_never_exported_to(void **state)
{
	cleanup_volume struct volume volume = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(do_create(&err), &err);
	syncs_left = 0;
	assert_code(do_export(&err), &err, ERR_INTERNAL);
	assert_int_equal(syncs_left, -1);
	assert_ok(do_unexport(&err), &err);
	assert_agree();
	restart();
	volume = get(UUID);
	assert_int_equal(volume.export_count, 0);
}

/* A fence does not wait for the record of an earlier call. */
static void test_a_fence_comes_first(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(do_create(&err), &err);
	syncs_left = 0;
	assert_code(do_modify(&err), &err, ERR_INTERNAL);
	assert_int_equal(root_mkdir(&root, &err, SUBSYSTEM), 0);
	put_obstacle();
	assert_code(target_unexport(target, UUID, "", &err), &err, ERR_INTERNAL);
	assert_false(there(SUBSYSTEM));
	take_away(OBSTACLE);
	assert_ok(target_unexport(target, UUID, "", &err), &err);
	assert_agree();
}

/* As long as it cannot be said what the record says, nothing is built on it. */
static void test_nothing_goes_on_before(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(do_create(&err), &err);
	syncs_left = 0;
	assert_code(do_modify(&err), &err, ERR_INTERNAL);
	put_obstacle();
	assert_code(do_expand(&err), &err, ERR_INTERNAL);
	assert_says(err.msg, "settle the record of volume " UUID);
	assert_code(do_delete(&err), &err, ERR_INTERNAL);
	take_away(OBSTACLE);
	assert_ok(do_delete(&err), &err);
	assert_agree();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_pending),
		CASE(test_the_same_again),
		CASE(test_the_opposite),
		CASE(test_a_host_that_was_never_exported_to),
		CASE(test_a_fence_comes_first),
		CASE(test_nothing_goes_on_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
