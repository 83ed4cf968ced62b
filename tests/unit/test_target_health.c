/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to be wrong with a volume: each thing alone, nothing when all is well. */
#include "tests/unit/target_fixture.h"

#define IMAGE "fast/" UUID ".img"
#define LINK "/subsystems/" VOLUME_NQN_PREFIX UUID

static struct volume_conditions conditions(void)
{
	struct uuid uuid = { UUID };
	struct volume_conditions found;

	target_conditions(target, &uuid, &found);
	return found;
}

static void assert_well(void)
{
	struct volume_conditions found = conditions();

	if (found.count)
		fail_msg("%s: %s", found.items[0].reason, found.items[0].message);
}

static void assert_only(enum volume_condition_status status, const char *reason, const char *says)
{
	struct volume_conditions found = conditions();

	assert_int_equal(found.count, 1);
	assert_string_equal(found.items[0].reason, reason);
	assert_int_equal(found.items[0].status, status);
	assert_says(found.items[0].message, says);
}

static void begin(void)
{
	struct err err = ERR_INIT;

	assert_ok(create(UUID, "fast", &err), &err);
	assert_well();
}

static void test_backing(void **state)
{
	cleanup_free char *path = xasprintf("%s/" IMAGE, dir);
	struct err err;

	(void)state;
	assert_well();
	begin();
	assert_int_equal(truncate(path, 4096), 0);
	assert_only(VOLUME_DATA_LOSS, "BackingShort", "has 4096 bytes of 1048576");
	assert_int_equal(truncate(path, 2 << 20), 0);
	assert_well();
	take_away(IMAGE);
	assert_only(VOLUME_DATA_LOSS, "BackingMissing", "in pool fast is gone");
	assert_int_equal(root_mkdir(&root, &err, IMAGE), 0);
	assert_only(VOLUME_DEGRADED, "BackingUnreadable", "is not a regular file");
}

static int warn_room(struct pool *pool, struct pool_room *ret, struct err *err)
{
	if (pool_dir_ops.room(pool, ret, err) < 0)
		return -1;
	strcpy(ret->warning, "volumes were promised more than there is");
	return 0;
}

static void test_pool(void **state)
{
	struct pool_ops ops = plain_ops();

	(void)state;
	ops.room = warn_room;
	begin();
	target->pools[0]->ops = &ops;
	/* What was heard a moment ago is good enough. */
	assert_well();
	target->rooms[0].until = deadline_after_ms(0);
	assert_only(VOLUME_DEGRADED, "PoolFull",
		    "pool fast: volumes were promised more than there is");
	target->pools[0]->ops = &pool_dir_ops;
}

static void put_port(const char *id, const char *address, const char *service)
{
	cleanup_free char *type = xasprintf("nvmet/ports/%s/addr_trtype", id);
	cleanup_free char *addr = xasprintf("nvmet/ports/%s/addr_traddr", id);
	cleanup_free char *port = xasprintf("nvmet/ports/%s/addr_trsvcid", id);
	cleanup_free char *link = xasprintf("nvmet/ports/%s" LINK, id);

	put(type, "tcp\n");
	put(addr, address);
	put(port, service);
	put(link, "");
}

static void test_export(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	begin();
	/* The record has it, and the kernel nothing of it. */
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
	assert_only(VOLUME_INACCESSIBLE, "ExportMissing", "no enabled namespace");
	put(SUBSYSTEM "/namespaces/1/enable", "0\n");
	assert_only(VOLUME_INACCESSIBLE, "ExportMissing", "no enabled namespace");
	put(SUBSYSTEM "/namespaces/1/enable", "1\n");
	assert_only(VOLUME_INACCESSIBLE, "ExportMissing", "does not let in host " HOST_A);
	put(SUBSYSTEM "/allowed_hosts/" HOST_A, "");
	assert_only(VOLUME_INACCESSIBLE, "ExportMissing", "no portal leads to the volume");
	put_port("1", "127.0.0.1\n", "4421\n");
	assert_only(VOLUME_INACCESSIBLE, "ExportMissing", "no portal leads to the volume");
	put_port("2", "127.0.0.1\n", "4420\n");
	assert_only(VOLUME_DEGRADED, "PortalMissing",
		    "1 of 2 portals lead to the volume; tcp://[::1]:4420 does not");
	put_port("28160", "::1\n", "4420\n");
	assert_well();
}

static void test_all_at_once(void **state)
{
	struct pool_ops ops = plain_ops();
	struct volume_conditions found;
	struct err err = ERR_INIT;

	(void)state;
	begin();
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
	take_away(IMAGE);
	ops.room = warn_room;
	target->pools[0]->ops = &ops;
	target->rooms[0].until = deadline_after_ms(0);
	found = conditions();
	assert_int_equal(found.count, 3);
	target->pools[0]->ops = &pool_dir_ops;
}

/* What a call is at work on is in between: nothing is certain. */
static void test_nothing_is_said_of_a_volume_in_work(void **state)
{
	struct target_entry *entry;
	struct err err = ERR_INIT;

	(void)state;
	begin();
	take_away(IMAGE);
	assert_ok(target_acquire(target, UUID, &entry, &err), &err);
	assert_well();
	target_release(target, entry);
	assert_only(VOLUME_DATA_LOSS, "BackingMissing", "gone");
}

static struct target_entry *taken; /* by the look, between its beginning and its end */

static int take_in_between(struct pool *pool, const struct uuid *uuid, struct pool_backing *ret,
			   struct err *err)
{
	(void)pool, (void)ret;
	assert_ok(target_acquire(target, uuid->text, &taken, err), err);
	target_release(target, taken);
	return 0;
}

static void test_nothing_is_said_of_a_volume_that_changed_meanwhile(void **state)
{
	struct pool_ops ops = plain_ops();

	(void)state;
	begin();
	ops.find = take_in_between;
	target->pools[0]->ops = &ops;
	assert_well();
	assert_non_null(taken);
	target->pools[0]->ops = &pool_dir_ops;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_backing),
		CASE(test_pool),
		CASE(test_export),
		CASE(test_all_at_once),
		CASE(test_nothing_is_said_of_a_volume_in_work),
		CASE(test_nothing_is_said_of_a_volume_that_changed_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
