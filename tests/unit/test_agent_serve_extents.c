/* SPDX-License-Identifier: Apache-2.0 */
/* ListExtents, called as the server calls it: of snapshots on an xfs, and what is refused. */
#include "csi/agent/service.h"
#include "target.pb-c.h"
#include "tests/unit/reflink_fixture.h"

#define BLOCK 4096
#define OF_OTHER "55555555-6f0c-4f0e-9f0a-0b6f3f6c2a05"

static struct rpc_call call; /* the last one; its answer lives in it */
static Nvmeot__Target__V1__ListExtentsResponse *answer;
static Nvmeot__Target__V1__ListExtentsRequest wanted;

static int ask(struct err *err)
{
	const struct rpc_service service = agent_service(target);
	const struct rpc_service *found;
	const struct rpc_method *method =
		rpc_method_find(&service, 1, "/nvmeot.target.v1.Target/ListExtents", &found);

	rpc_call_fini(&call);
	rpc_call_init(&call, deadline_none(), 1 << 20);
	call.context = target;
	answer = RPC_NEW(&call, Nvmeot__Target__V1__ListExtentsResponse,
			 nvmeot__target__v1__list_extents_response__init);
	*err = ERR_INIT;
	return method->handle(&call, &wanted, answer, err);
}

/* Two snapshots of one volume, and one of another; what differs between the two is block 5. */
static int extents_setup(void **state)
{
	struct err err = ERR_INIT;

	rpc_call_init(&call, deadline_none(), 1 << 20);
	if (reflink_setup(state) < 0)
		return -1;
	nvmeot__target__v1__list_extents_request__init(&wanted);
	wanted.target_id = (char *)"box-1";
	wanted.uuid = (char *)SNAP_2;
	if (!may_mount)
		return 0;
	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(create(OTHER, "fast", &err), &err);
	write_block(UUID, 3, 'a');
	write_block(UUID, 4, 'a');
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	write_block(UUID, 5, 'b');
	assert_ok(take(SNAP_2, "snap-2", UUID, &err), &err);
	assert_ok(take(OF_OTHER, "snap-3", OTHER, &err), &err);
	return 0;
}

static int extents_teardown(void **state)
{
	rpc_call_fini(&call);
	return reflink_teardown(state);
}

static void check_told(size_t at, int64_t block, int64_t count)
{
	assert_true(at < answer->n_extents);
	assert_int_equal(answer->extents[at]->offset_bytes, block * BLOCK);
	assert_int_equal(answer->extents[at]->length_bytes, count * BLOCK);
}

static void test_told(void **state)
{
	struct err err;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(ask(&err), &err);
	assert_int_equal(answer->n_extents, 1);
	check_told(0, 3, 3);
	assert_int_equal(answer->size_bytes, VOLUME_BYTES);
	assert_int_equal(answer->next_offset_bytes, VOLUME_BYTES);
	assert_false(answer->more);
	wanted.base_uuid = (char *)SNAP;
	wanted.pool = (char *)"fast";
	assert_ok(ask(&err), &err);
	assert_int_equal(answer->n_extents, 1);
	check_told(0, 5, 1);
	/* Of a volume that is gone, too; and a snapshot does not differ from itself. */
	assert_ok(target_delete(target, UUID, "", &err), &err);
	assert_ok(ask(&err), &err);
	check_told(0, 5, 1);
	wanted.base_uuid = (char *)SNAP_2;
	assert_ok(ask(&err), &err);
	assert_int_equal(answer->n_extents, 0);
}

static void test_pages(void **state)
{
	struct err err;

	(void)state;
	NEEDS_MOUNT();
	for (unsigned block = 20; block < 40; block += 2)
		write_block(UUID, block, 'c');
	assert_ok(target_snapshot_delete(target, SNAP_2, "", "", &err), &err);
	assert_ok(take(SNAP_2, "snap-2", UUID, &err), &err);
	wanted.base_uuid = (char *)SNAP;
	wanted.max_entries = 1;
	for (unsigned block = 5; block < 40; block = block == 5 ? 20 : block + 2) {
		assert_ok(ask(&err), &err);
		assert_int_equal(answer->n_extents, 1);
		check_told(0, block, 1);
		assert_int_equal(answer->more, block < 38);
		wanted.start_offset_bytes = answer->next_offset_bytes;
	}
	assert_int_equal(wanted.start_offset_bytes, VOLUME_BYTES);
	wanted.max_entries = INT32_MAX;
	wanted.start_offset_bytes = 20 * BLOCK + 1;
	assert_ok(ask(&err), &err);
	assert_int_equal(answer->n_extents, 10);
	check_told(0, 20, 1);
}

static void refused(const char *uuid, const char *base, enum err_code code, const char *says)
{
	struct err err;

	wanted.uuid = (char *)uuid;
	wanted.base_uuid = (char *)base;
	assert_code(ask(&err), &err, code);
	assert_says(err.msg, says);
}

static void test_refused(void **state)
{
	struct err err;

	(void)state;
	NEEDS_MOUNT();
	refused("", "", ERR_INVALID_ARGUMENT, "uuid");
	refused("nonsense", "", ERR_INVALID_ARGUMENT, "nonsense");
	refused(SNAP_2, "nonsense", ERR_INVALID_ARGUMENT, "nonsense");
	refused(CLONE, "", ERR_NOT_FOUND, CLONE);
	refused(SNAP_2, CLONE, ERR_NOT_FOUND, CLONE);
	refused(UUID, "", ERR_NOT_FOUND, UUID);
	refused(SNAP_2, UUID, ERR_NOT_FOUND, UUID);
	refused(SNAP_2, OF_OTHER, ERR_INVALID_ARGUMENT, "of volume " OTHER);
	wanted.pool = (char *)"slow";
	refused(SNAP_2, "", ERR_NOT_FOUND, SNAP_2);
	wanted.pool = (char *)"";
	wanted.start_offset_bytes = VOLUME_BYTES + 1;
	refused(SNAP_2, SNAP, ERR_OUT_OF_RANGE, "1048577");
	wanted.start_offset_bytes = -1;
	refused(SNAP_2, SNAP, ERR_INVALID_ARGUMENT, "start_offset_bytes -1");
	wanted.start_offset_bytes = VOLUME_BYTES;
	wanted.base_uuid = (char *)SNAP;
	assert_ok(ask(&err), &err);
	assert_int_equal(answer->n_extents, 0);
	wanted.target_id = (char *)"other";
	refused(SNAP_2, SNAP, ERR_FAILED_PRECONDITION, "other");
}

/* A backing that somebody has taken away. */
static void test_lost(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" SNAP ".img", dir);

	(void)state;
	NEEDS_MOUNT();
	assert_int_equal(unlink(path), 0);
	refused(SNAP_2, SNAP, ERR_DATA_LOSS, SNAP);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, extents_setup, extents_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_told), TEST(test_pages), TEST(test_refused),
					    TEST(test_lost) };

	return cmocka_run_group_tests(tests, reflink_group_setup, reflink_group_teardown);
}
