/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing and modifying volumes: each step made to fail in turn, after which the same call or the
 * next start converges, and what the pool has promised is what its volumes have.
 */
#include "tests/unit/target_fixture.h"

#define MIB (1ULL << 20)
#define IMAGE "fast/" UUID ".img"
#define RECORD "fast/" UUID ".json"
#define RECORD_NEW "fast/" UUID ".new.json"

/* --- faults ----------------------------------------------------------------------------------- */

enum fault {
	FAULT_NONE,
	FAULT_GROW,	   /* nothing grows */
	FAULT_GROW_STUCK,  /* nothing grows, and the record of that cannot be written */
	FAULT_GROW_LATE,   /* it has grown, and the call fails all the same */
	FAULT_RECORD_LATE, /* it grows; the record of that cannot be written */
};

static enum fault fault;

static int fail_grow(struct pool *pool, const struct volume *volume, struct err *err)
{
	if (fault == FAULT_GROW_STUCK)
		put_obstacle();
	if (fault == FAULT_GROW || fault == FAULT_GROW_STUCK)
		return err_set(err, ERR_INTERNAL, "the test's own words");
	if (pool_dir_ops.grow(pool, volume, err) < 0)
		return -1;
	if (fault == FAULT_RECORD_LATE)
		put_obstacle();
	return fault == FAULT_GROW_LATE ? err_set(err, ERR_INTERNAL, "the test's own words") : 0;
}

static void arm(enum fault what)
{
	static struct pool_ops ops;

	ops = plain_ops();
	ops.grow = fail_grow;
	fault = what;
	target->pools[0]->ops = &ops;
}

/* --- expanding -------------------------------------------------------------------------------- */

static int expand(uint64_t size_bytes, struct err *err)
{
	cleanup_volume struct volume ret = { 0 };
	int r = target_expand(target, UUID, "fast", size_bytes, &ret, err);

	if (r == 0)
		assert_true(ret.size_bytes >= size_bytes);
	return r;
}

static bool record_says(const char *text)
{
	cleanup_free char *have = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(file_read(&root, RECORD, &have, &err), 1);
	return strstr(have, text);
}

/* The volume has this size wherever one looks, and nothing of an expansion is left. */
static void assert_size(uint64_t size_bytes)
{
	cleanup_free char *text = xasprintf("\"sizeBytes\":%llu", (unsigned long long)size_bytes);
	cleanup_volume struct volume volume = get(UUID);

	assert_int_equal(volume.size_bytes, size_bytes);
	assert_int_equal(volume.growing_bytes, 0);
	assert_int_equal(size_of(IMAGE), size_bytes);
	assert_true(record_says(text));
	assert_false(record_says("growingTo"));
	assert_int_equal(provisioned("fast"), size_bytes);
}

static void begin(void)
{
	struct err err = ERR_INIT;

	assert_ok(create(UUID, "fast", &err), &err);
	assert_size(MIB);
}

static void test_expand(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	begin();
	assert_ok(expand(3 * MIB, &err), &err);
	assert_size(3 * MIB);
	/* Again, and to less, which never shrinks. */
	assert_ok(expand(3 * MIB, &err), &err);
	assert_ok(expand(VOLUME_BLOCK_BYTES, &err), &err);
	assert_size(3 * MIB);
	restart();
	assert_size(3 * MIB);
	assert_ok(target_delete(target, UUID, "", &err), &err);
	assert_int_equal(provisioned("fast"), 0);
}

static void test_expand_refusals(void **state)
{
	cleanup_volume struct volume ret = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_code(expand(MIB, &err), &err, ERR_NOT_FOUND);
	begin();
	assert_code(expand(MIB + 1, &err), &err, ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "1048577 is not a positive multiple of 4096");
	assert_code(expand(0, &err), &err, ERR_INVALID_ARGUMENT);
	assert_code(expand(1ULL << 63, &err), &err, ERR_INVALID_ARGUMENT);
	assert_code(target_expand(target, UUID, "slow", 2 * MIB, &ret, &err), &err, ERR_NOT_FOUND);
	assert_says(err.msg, "in pool slow");
	assert_code(target_expand(target, "../x", "", 2 * MIB, &ret, &err), &err,
		    ERR_INVALID_ARGUMENT);
	assert_code(expand(1ULL << 62, &err), &err, ERR_RESOURCE_EXHAUSTED);
	assert_size(MIB);
}

static void test_lost_data_is_not_grown_over(void **state)
{
	cleanup_free char *path = xasprintf("%s/" IMAGE, dir);
	struct err err = ERR_INIT;

	(void)state;
	begin();
	assert_int_equal(truncate(path, 4096), 0);
	assert_code(expand(2 * MIB, &err), &err, ERR_DATA_LOSS);
	assert_code(expand(MIB, &err), &err, ERR_DATA_LOSS);
	assert_int_equal(size_of(IMAGE), 4096);
	take_away(IMAGE);
	assert_code(expand(2 * MIB, &err), &err, ERR_DATA_LOSS);
	assert_false(there(IMAGE));
	assert_false(record_says("growingTo"));
}

/* The intended record: nothing has changed, and nothing is taken of the pool. */
static void test_intended_record_fails(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	begin();
	put_obstacle();
	assert_code(expand(2 * MIB, &err), &err, ERR_INTERNAL);
	take_away(OBSTACLE);
	assert_size(MIB);
	assert_ok(expand(2 * MIB, &err), &err);
	assert_size(2 * MIB);
}

static void test_growing_fails(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	begin();
	arm(FAULT_GROW);
	assert_code(expand(4 * MIB, &err), &err, ERR_INTERNAL);
	assert_says(err.msg, "the test's own words");
	assert_size(MIB);
	/* Taken back, so that less than what failed can be had. */
	arm(FAULT_NONE);
	assert_ok(expand(2 * MIB, &err), &err);
	assert_size(2 * MIB);
}

/* Neither grown nor to be taken back: the next call goes on with it, whatever it asks for. */
static void test_taking_back_fails(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	begin();
	arm(FAULT_GROW_STUCK);
	assert_code(expand(2 * MIB, &err), &err, ERR_INTERNAL);
	take_away(OBSTACLE);
	assert_int_equal(size_of(IMAGE), MIB);
	assert_true(record_says("\"growingTo\":2097152"));
	assert_int_equal(provisioned("fast"), 2 * MIB);
	arm(FAULT_NONE);
	assert_ok(expand(MIB, &err), &err);
	assert_size(2 * MIB);
}

static void test_what_has_grown_is_not_taken_back(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	begin();
	arm(FAULT_GROW_LATE);
	assert_code(expand(2 * MIB, &err), &err, ERR_INTERNAL);
	assert_true(record_says("\"growingTo\":2097152"));
	assert_int_equal(provisioned("fast"), 2 * MIB);
	arm(FAULT_NONE);
	assert_ok(expand(MIB, &err), &err);
	assert_size(2 * MIB);
}

static void leave_unfinished(void)
{
	struct err err = ERR_INIT;

	begin();
	arm(FAULT_RECORD_LATE);
	assert_code(expand(2 * MIB, &err), &err, ERR_INTERNAL);
	arm(FAULT_NONE);
	take_away(OBSTACLE);
	assert_int_equal(size_of(IMAGE), 2 * MIB);
	assert_true(record_says("\"sizeBytes\":1048576"));
	assert_true(record_says("\"growingTo\":2097152"));
	assert_int_equal(provisioned("fast"), 2 * MIB);
}

static void test_committed_record_fails(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	leave_unfinished();
	assert_ok(expand(2 * MIB, &err), &err);
	assert_size(2 * MIB);
}

static void test_start_finishes(void **state)
{
	(void)state;
	leave_unfinished();
	restart();
	assert_size(2 * MIB);
}

/* Killed before the backing grew. */
static void test_start_grows(void **state)
{
	cleanup_free char *path = xasprintf("%s/" IMAGE, dir);

	(void)state;
	leave_unfinished();
	assert_int_equal(truncate(path, MIB), 0);
	restart();
	assert_size(2 * MIB);
}

/* A backing that lost data while an expansion was begun is not grown over the loss. */
static void test_start_does_not_hide_a_loss(void **state)
{
	cleanup_free char *path = xasprintf("%s/" IMAGE, dir);
	struct err err = ERR_INIT;

	(void)state;
	leave_unfinished();
	assert_int_equal(truncate(path, 4096), 0);
	restart();
	assert_int_equal(size_of(IMAGE), 4096);
	assert_code(expand(2 * MIB, &err), &err, ERR_DATA_LOSS);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_DATA_LOSS);
	assert_int_equal(size_of(IMAGE), 4096);
}

/* A larger backing than the record says is no data loss while an expansion is under way. */
static void test_export_finishes(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	leave_unfinished();
	/* It fails later on, for lack of a kernel. */
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
	assert_size(2 * MIB);
}

static void test_delete_of_an_unfinished_one(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	leave_unfinished();
	assert_ok(target_delete(target, UUID, "", &err), &err);
	assert_int_equal(provisioned("fast"), 0);
	assert_false(there(IMAGE) || there(RECORD));
}

/* Its record cannot be written a second time: what it takes of the pool is given back once. */
static void test_delete_that_fails(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	leave_unfinished();
	put_obstacle();
	assert_code(target_delete(target, UUID, "", &err), &err, ERR_INTERNAL);
	assert_int_equal(provisioned("fast"), 2 * MIB);
	take_away(OBSTACLE);
	take_away(IMAGE);
	assert_int_equal(root_mkdir(&root, &err, IMAGE), 0);
	assert_code(target_delete(target, UUID, "", &err), &err, ERR_INTERNAL);
	assert_int_equal(provisioned("fast"), MIB);
	take_away(IMAGE);
	assert_ok(target_delete(target, UUID, "", &err), &err);
	assert_int_equal(provisioned("fast"), 0);
}

/* The kernel's namespace of the volume, as far as a directory can show one. */
static void put_namespace(bool refuses)
{
	put(SUBSYSTEM "/namespaces/1/enable", "1\n");
	if (!refuses)
		put(SUBSYSTEM "/namespaces/1/revalidate_size", "");
}

static void test_hosts_are_told(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	begin();
	put_namespace(true);
	assert_code(expand(2 * MIB, &err), &err, ERR_INTERNAL);
	assert_true(record_says("\"growingTo\":2097152"));
	put_namespace(false);
	assert_ok(expand(2 * MIB, &err), &err);
	assert_size(2 * MIB);
	assert_int_equal(size_of(SUBSYSTEM "/namespaces/1/revalidate_size"), 1);
	/* One that is large enough: told again. */
	put(SUBSYSTEM "/namespaces/1/revalidate_size", "");
	assert_ok(expand(2 * MIB, &err), &err);
	assert_int_equal(size_of(SUBSYSTEM "/namespaces/1/revalidate_size"), 1);
}

static void test_readonly_does_not_grow(void **state)
{
	cleanup_volume struct volume ret = { 0 };
	struct volume_export reader = want(HOST_A);
	struct err err = ERR_INIT;

	(void)state;
	begin();
	reader.readonly = true;
	assert_int_equal(target_export(target, UUID, &reader, &ret, &err), -1);
	assert_code(expand(2 * MIB, &err), &err, ERR_FAILED_PRECONDITION);
	assert_says(err.msg, "is exported read-only, to " HOST_A);
	assert_ok(expand(MIB, &err), &err);
	assert_ok(target_unexport(target, UUID, "", &err), &err);
	assert_ok(expand(2 * MIB, &err), &err);
	assert_size(2 * MIB);
}

/* --- creating, as far as the pool's room is concerned ----------------------------------------- */

static void test_failed_creation_gives_its_room_back(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_mkdir(&root, &err, RECORD_NEW), 0);
	assert_code(create(UUID, "fast", &err), &err, ERR_INTERNAL);
	assert_int_equal(provisioned("fast"), 0);
	take_away(RECORD_NEW);
	put(IMAGE, "precious");
	assert_code(create(UUID, "fast", &err), &err, ERR_FAILED_PRECONDITION);
	assert_int_equal(provisioned("fast"), 0);
	take_away(IMAGE);
	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(create(UUID, "fast", &err), &err);
	assert_size(MIB);
}

/* A volume all of which is there but the final name of its record. */
static void create_uncommitted(void)
{
	cleanup_volume struct volume none = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(root_mkdir(&root, &err, RECORD), 0);
	assert_code(create(UUID, "fast", &err), &err, ERR_INTERNAL);
	assert_says(err.msg, "rename");
	assert_true(there(IMAGE) && there(RECORD_NEW));
	assert_int_equal(provisioned("fast"), MIB);
	assert_code(target_get(target, UUID, "", &none, &err), &err, ERR_ABORTED);
}

static void test_uncommitted_creation_is_finished(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	create_uncommitted();
	take_away(RECORD);
	assert_ok(create(UUID, "fast", &err), &err);
	assert_size(MIB);
	assert_true(there(RECORD) && !there(RECORD_NEW));
	assert_int_equal(provisioned("fast"), MIB);
}

static void test_start_finishes_an_uncommitted_creation(void **state)
{
	(void)state;
	create_uncommitted();
	take_away(RECORD);
	restart();
	assert_size(MIB);
	assert_true(there(RECORD) && !there(RECORD_NEW));
	assert_int_equal(provisioned("fast"), MIB);
}

static void test_uncommitted_creation_is_deleted(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	create_uncommitted();
	assert_code(target_delete(target, UUID, "", &err), &err, ERR_INTERNAL);
	assert_true(there(IMAGE) && there(RECORD_NEW));
	take_away(RECORD);
	assert_ok(target_delete(target, UUID, "", &err), &err);
	assert_false(there(IMAGE) || there(RECORD) || there(RECORD_NEW));
	assert_int_equal(provisioned("fast"), 0);
}

/* Its volume may still be written to, whatever its record said. */
static void test_unreadable_volume_takes_room(void **state)
{
	(void)state;
	begin();
	put(RECORD, "{");
	for (int run = 0; run < 2; run++) {
		restart();
		assert_int_equal(provisioned("fast"), MIB);
	}
}

/* --- modifying -------------------------------------------------------------------------------- */

static int modify(const char *key, const char *value, struct err *err)
{
	struct volume_parameter set = { .key = (char *)key, .value = (char *)value };
	cleanup_volume struct volume ret = { 0 };

	return target_modify(target, UUID, "fast", &set, 1, &ret, err);
}

static void assert_mutable(size_t at, const char *key, const char *value)
{
	cleanup_volume struct volume volume = get(UUID);

	assert_true(volume.mutable_count > at);
	assert_string_equal(volume.mutables[at].key, key);
	assert_string_equal(volume.mutables[at].value, value);
}

static void test_modify(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_code(modify("queueSize", "64", &err), &err, ERR_NOT_FOUND);
	begin();
	assert_ok(modify("queueSize", "64", &err), &err);
	assert_ok(modify("nrIoQueues", "4", &err), &err);
	assert_ok(modify("queueSize", "128", &err), &err);
	assert_mutable(0, "queueSize", "128");
	assert_mutable(1, "nrIoQueues", "4");
	restart();
	assert_mutable(0, "queueSize", "128");
	/* What does not change is not written. */
	put_obstacle();
	assert_ok(modify("queueSize", "128", &err), &err);
	assert_code(modify("queueSize", "256", &err), &err, ERR_INTERNAL);
	assert_mutable(0, "queueSize", "128");
	take_away(OBSTACLE);
	assert_ok(modify("queueSize", "256", &err), &err);
	assert_mutable(0, "queueSize", "256");
	assert_int_equal(provisioned("fast"), MIB);
}

static void test_modify_is_bounded(void **state)
{
	struct volume_parameter many[VOLUME_PARAMETERS_MAX + 1];
	cleanup_volume struct volume ret = { 0 };
	char keys[VOLUME_PARAMETERS_MAX + 1][24], long_value[VOLUME_VALUE_MAX + 2];
	struct err err = ERR_INIT;

	(void)state;
	begin();
	memset(long_value, 'v', sizeof(long_value) - 1);
	long_value[sizeof(long_value) - 1] = '\0';
	assert_code(modify("", "v", &err), &err, ERR_INVALID_ARGUMENT);
	assert_code(modify("k", long_value, &err), &err, ERR_INVALID_ARGUMENT);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
		many[i] = (struct volume_parameter) { .key = keys[i], .value = (char *)"v" };
	}
	assert_code(target_modify(target, UUID, "", many, ARRAY_SIZE(many), &ret, &err), &err,
		    ERR_INVALID_ARGUMENT);
	assert_ok(target_modify(target, UUID, "", many, VOLUME_PARAMETERS_MAX, &ret, &err), &err);
	assert_code(modify("one-more", "v", &err), &err, ERR_INVALID_ARGUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_expand),
		CASE(test_expand_refusals),
		CASE(test_lost_data_is_not_grown_over),
		CASE(test_intended_record_fails),
		CASE(test_growing_fails),
		CASE(test_taking_back_fails),
		CASE(test_what_has_grown_is_not_taken_back),
		CASE(test_committed_record_fails),
		CASE(test_start_finishes),
		CASE(test_start_grows),
		CASE(test_start_does_not_hide_a_loss),
		CASE(test_export_finishes),
		CASE(test_delete_of_an_unfinished_one),
		CASE(test_delete_that_fails),
		CASE(test_hosts_are_told),
		CASE(test_readonly_does_not_grow),
		CASE(test_failed_creation_gives_its_room_back),
		CASE(test_uncommitted_creation_is_finished),
		CASE(test_start_finishes_an_uncommitted_creation),
		CASE(test_uncommitted_creation_is_deleted),
		CASE(test_unreadable_volume_takes_room),
		CASE(test_modify),
		CASE(test_modify_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
