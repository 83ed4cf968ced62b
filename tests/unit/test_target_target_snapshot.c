/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, restored volumes and clones as their callers see them, on an xfs. */
#include "tests/unit/reflink_fixture.h"

#include <sys/statvfs.h>

static void test_snapshot_keeps_what_was(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "fast", &err), &err);
	write_block(UUID, 3, 'a');
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	write_block(UUID, 3, 'b');
	{
		cleanup_volume struct volume snapshot = get_snapshot(SNAP);

		assert_string_equal(snapshot.name, "snap-1");
		assert_string_equal(snapshot.pool, "fast");
		assert_string_equal(snapshot.source.text, UUID);
		assert_int_equal(snapshot.size_bytes, VOLUME_BYTES);
		assert_string_equal(snapshot.parameters[0].value, "value");
		assert_true(snapshot.snapshot.created_ns > 1700000000ULL * NS_PER_S);
		assert_int_equal(snapshot.snapshot.held_bytes, 4096);
		assert_string_equal(snapshot.snapshot.group.text, "");
	}
	assert_int_equal(read_block(SNAP, 3), 'a');
	assert_int_equal(read_block(UUID, 3), 'b');
}

/* What the snapshot of a list weighs; -1: that is not told. */
static int64_t weight_of(const char *uuid)
{
	cleanup_volume struct volume snapshot = get_snapshot(uuid);

	assert_int_equal(target_snapshots_weigh(target, &snapshot, 1), 1);
	return snapshot.snapshot.weighed ? (int64_t)snapshot.snapshot.used_bytes : -1;
}

static void test_weights(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_int_equal(target_snapshots_weigh(target, NULL, 0), 0);
	assert_ok(create(UUID, "fast", &err), &err);
	write_block(UUID, 3, 'a');
	write_block(UUID, 5, 'a');
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	assert_int_equal(weight_of(SNAP), 0);
	write_block(UUID, 3, 'b');
	assert_int_equal(weight_of(SNAP), 4096);
	/* What two snapshots share is of neither. */
	assert_ok(take(SNAP_2, "snap-2", UUID, &err), &err);
	write_block(UUID, 5, 'b');
	assert_int_equal(weight_of(SNAP), 4096);
	assert_int_equal(weight_of(SNAP_2), 0);
	{
		cleanup_volume struct volume gone = get_snapshot(SNAP_2);

		assert_ok(target_snapshot_delete(target, SNAP_2, "", "", &err), &err);
		assert_int_equal(target_snapshots_weigh(target, &gone, 1), 1);
		assert_false(gone.snapshot.weighed);
	}
}

static void test_taken_again(void **state)
{
	struct err err = ERR_INIT;
	uint64_t created_ns;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(create(OTHER, "fast", &err), &err);
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	{
		cleanup_volume struct volume first = get_snapshot(SNAP);

		created_ns = first.snapshot.created_ns;
	}
	/* Neither another call nor a restart makes it another one, nor does it need its volume. */
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	assert_ok(target_delete(target, UUID, "", &err), &err);
	restart();
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	{
		cleanup_volume struct volume again = get_snapshot(SNAP);

		assert_int_equal(again.snapshot.created_ns, created_ns);
	}
	assert_code(take(SNAP, "snap-2", OTHER, &err), &err, ERR_ALREADY_EXISTS);
	assert_says(err.msg, "name \"snap-1\" (asked for: \"snap-2\")");
	assert_says(err.msg, "volume " UUID " (asked for: " OTHER ")");
	assert_code(take(OTHER, "snap-1", UUID, &err), &err, ERR_ALREADY_EXISTS);
	assert_says(err.msg, "is a volume and no snapshot");
}

static void test_refusals(void **state)
{
	struct target_snapshot_item none = item_of(SNAP, "", UUID);
	cleanup_volume_list struct volume_list list = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_code(take(SNAP, "snap-1", UUID, &err), &err, ERR_NOT_FOUND);
	assert_says(err.msg, UUID);
	assert_ok(create(UUID, "fast", &err), &err);
	assert_code(take_items(&none, 1, "", &list, &err), &err, ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "snapshot name");
	assert_code(take_items(&none, 0, "", &list, &err), &err, ERR_INVALID_ARGUMENT);
	assert_code(take(UUID, "snap-1", UUID, &err), &err, ERR_INVALID_ARGUMENT);
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	/* No snapshot of a snapshot. */
	assert_code(take(SNAP_2, "snap-2", SNAP, &err), &err, ERR_NOT_FOUND);
	assert_false(is_trace_of(SNAP_2));
	assert_code(take("../x", "snap-2", UUID, &err), &err, ERR_INVALID_ARGUMENT);
}

static void test_file_system_without_reflink(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "slow", &err), &err);
	assert_code(take(SNAP, "snap-1", UUID, &err), &err, ERR_FAILED_PRECONDITION);
	assert_says(err.msg, "the tmpfs file system cannot share blocks");
	assert_says(err.msg, "xfs");
	assert_code(copy_to(CLONE, UUID, false, &err), &err, ERR_FAILED_PRECONDITION);
	assert_false(there("slow/" SNAP ".new.json") || there("slow/" SNAP ".json") ||
		     there("slow/" SNAP ".img.new") || there("slow/" CLONE ".new.json"));
	assert_int_equal(provisioned("slow"), VOLUME_BYTES);
}

static void limit_files(const char *slow, unsigned long files)
{
	cleanup_free char *options = xasprintf("remount,nr_inodes=%lu", files);

	RUN("mount", "-o", options, slow);
}

/* Full storage that has room by its figures: of files, or of a quota. */
static void test_no_room_for_a_record(void **state)
{
	cleanup_free char *slow = xasprintf("%s/slow", dir);
	struct err err = ERR_INIT;
	struct statvfs st;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "slow", &err), &err);
	assert_int_equal(statvfs(slow, &st), 0);
	limit_files(slow, st.f_files - st.f_ffree);
	assert_code(take(SNAP, "snap-1", UUID, &err), &err, ERR_RESOURCE_EXHAUSTED);
	assert_code(create(OTHER, "slow", &err), &err, ERR_RESOURCE_EXHAUSTED);
	assert_int_equal(provisioned("slow"), VOLUME_BYTES);
	/* There is room for the record, and none for the image. */
	limit_files(slow, st.f_files - st.f_ffree + 1);
	assert_code(take(SNAP, "snap-1", UUID, &err), &err, ERR_RESOURCE_EXHAUSTED);
	assert_code(create(OTHER, "slow", &err), &err, ERR_RESOURCE_EXHAUSTED);
	assert_int_equal(provisioned("slow"), VOLUME_BYTES);
	assert_false(there("slow/" SNAP ".new.json") || there("slow/" OTHER ".new.json"));
	limit_files(slow, st.f_files);
	assert_ok(create(OTHER, "slow", &err), &err);
}

static void test_sorts_are_kept_apart(void **state)
{
	cleanup_volume struct volume none = { 0 };
	cleanup_volume_list struct volume_list volumes = { 0 };
	struct volume_parameter set = { (char *)"a", (char *)"b" };
	struct err err = ERR_INIT;
	bool more;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	assert_ok(target_list(target, "", 10, &volumes, &more, &err), &err);
	assert_int_equal(volumes.count, 1);
	assert_string_equal(volumes.volumes[0].uuid.text, UUID);
	assert_code(target_get(target, SNAP, "", &none, &err), &err, ERR_NOT_FOUND);
	assert_code(target_snapshot_get(target, UUID, "", &none, &err), &err, ERR_NOT_FOUND);
	assert_says(err.msg, "no snapshot " UUID);
	assert_code(target_expand(target, SNAP, "", 2 * VOLUME_BYTES, &none, &err), &err,
		    ERR_NOT_FOUND);
	assert_code(target_modify(target, SNAP, "", &set, 1, &none, &err), &err, ERR_NOT_FOUND);
	assert_code(export_to(SNAP, HOST_A, &err), &err, ERR_NOT_FOUND);
	assert_code(create(SNAP, "fast", &err), &err, ERR_ALREADY_EXISTS);
	/* What is of the other sort is as good as absent. */
	assert_ok(target_delete(target, SNAP, "", &err), &err);
	assert_ok(target_snapshot_delete(target, UUID, "", "", &err), &err);
	assert_true(has_snapshot(SNAP) && there("fast/" UUID ".img"));
	{
		cleanup_target_tally struct target_tally tally = { 0 };

		target_tally(target, &tally);
		assert_int_equal(tally.volumes, 1);
		assert_int_equal(tally.snapshots, 1);
	}
}

static void test_delete_in_any_order(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "fast", &err), &err);
	write_block(UUID, 0, 'a');
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	write_block(UUID, 0, 'b');
	assert_ok(take(SNAP_2, "snap-2", UUID, &err), &err);
	assert_ok(copy_to(CLONE, SNAP, true, &err), &err);
	assert_ok(target_delete(target, UUID, "fast", &err), &err);
	assert_int_equal(read_block(SNAP, 0), 'a');
	assert_ok(target_snapshot_delete(target, SNAP, "fast", "", &err), &err);
	assert_ok(target_snapshot_delete(target, SNAP, "fast", "", &err), &err);
	assert_false(is_trace_of(SNAP));
	assert_int_equal(read_block(CLONE, 0), 'a');
	assert_int_equal(read_block(SNAP_2, 0), 'b');
	assert_ok(target_delete(target, CLONE, "", &err), &err);
	assert_code(target_snapshot_delete(target, SNAP_2, "slow", "", &err), &err,
		    ERR_FAILED_PRECONDITION);
	assert_ok(target_snapshot_delete(target, SNAP_2, "", "", &err), &err);
	assert_int_equal(provisioned("fast"), 0);
}

static void test_volume_from_a_snapshot(void **state)
{
	cleanup_volume struct volume want = copy_request(CLONE, SNAP, true), made = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "fast", &err), &err);
	write_block(UUID, 5, 'a');
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	write_block(UUID, 5, 'b');
	want.size_bytes = 3 * VOLUME_BYTES;
	want.volatile_cache = false;
	assert_ok(target_create(target, &want, &made, &err), &err);
	assert_string_equal(made.source.text, SNAP);
	assert_true(made.source_is_snapshot);
	assert_false(made.blank);
	assert_int_equal(size_of("fast/" CLONE ".img"), 3 * VOLUME_BYTES);
	assert_int_equal(read_block(CLONE, 5), 'a');
	assert_int_equal(read_block(CLONE, 300), 0);
	/* Three volumes' worth for it, one for the first, and what the snapshot keeps. */
	assert_int_equal(provisioned("fast"), 4 * VOLUME_BYTES + 4096);
	/* Source and copy go their own ways. */
	write_block(CLONE, 5, 'c');
	assert_int_equal(read_block(SNAP, 5), 'a');
	assert_int_equal(read_block(UUID, 5), 'b');
	restart();
	{
		cleanup_volume struct volume again = { 0 };

		assert_ok(target_create(target, &want, &again, &err), &err);
		assert_string_equal(again.source.text, SNAP);
		assert_int_equal(provisioned("fast"), 4 * VOLUME_BYTES + 4096);
	}
	assert_code(copy_to(CLONE, UUID, false, &err), &err, ERR_ALREADY_EXISTS);
	assert_says(err.msg, "source snapshot " SNAP " (asked for: volume " UUID ")");
	assert_code(create(CLONE, "fast", &err), &err, ERR_ALREADY_EXISTS);
	assert_says(err.msg, "(asked for: none)");
	assert_code(copy_to(UUID, SNAP, true, &err), &err, ERR_ALREADY_EXISTS);
}

/* Of a volume that was never written, too: nobody may format what somebody calls a copy. */
static void test_copy_is_never_blank(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(copy_to(CLONE, UUID, false, &err), &err);
	{
		cleanup_volume struct volume source = get(UUID), clone = get(CLONE);

		assert_true(source.blank);
		assert_false(clone.blank);
	}
	restart();
	{
		cleanup_volume struct volume clone = get(CLONE);

		assert_false(clone.blank);
	}
}

static void test_source_refusals(void **state)
{
	cleanup_volume struct volume small = copy_request(CLONE, UUID, false), none = { 0 };
	cleanup_volume struct volume elsewhere = copy_request(CLONE, UUID, false);
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "fast", &err), &err);
	small.size_bytes = 4096;
	assert_code(target_create(target, &small, &none, &err), &err, ERR_OUT_OF_RANGE);
	assert_says(err.msg, "4096 bytes are less than the 1048576 of volume " UUID);
	strcpy(elsewhere.pool, "slow");
	assert_code(target_create(target, &elsewhere, &none, &err), &err, ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "is in pool fast, and a copy of it cannot be in pool slow");
	assert_code(copy_to(CLONE, OTHER, false, &err), &err, ERR_NOT_FOUND);
	assert_code(copy_to(CLONE, UUID, true, &err), &err, ERR_NOT_FOUND);
	assert_says(err.msg, "no snapshot " UUID);
	assert_code(copy_to(CLONE, CLONE, false, &err), &err, ERR_INVALID_ARGUMENT);
	assert_false(is_trace_of(CLONE));
	/* What is short must not look whole again. */
	{
		cleanup_free char *path = xasprintf("%s/fast/" UUID ".img", dir);

		assert_int_equal(truncate(path, 4096), 0);
	}
	assert_code(copy_to(CLONE, UUID, false, &err), &err, ERR_DATA_LOSS);
	assert_says(err.msg, "has 4096 bytes, its record says 1048576");
	assert_code(take(SNAP, "snap-1", UUID, &err), &err, ERR_DATA_LOSS);
	assert_false(is_trace_of(CLONE) || is_trace_of(SNAP));
}

/* Several may copy one source; nobody changes it meanwhile. */
static void test_source_is_shared(void **state)
{
	struct target_entry *held;
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(target_acquire_shared(target, UUID, &held, &err), &err);
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	assert_ok(copy_to(CLONE, UUID, false, &err), &err);
	assert_code(target_delete(target, UUID, "", &err), &err, ERR_ABORTED);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_ABORTED);
	target_release(target, held);
	assert_ok(target_acquire(target, UUID, &held, &err), &err);
	assert_code(take(SNAP_2, "snap-2", UUID, &err), &err, ERR_ABORTED);
	target_release(target, held);
}

static void test_list(void **state)
{
	struct target_snapshot_query query = { .after = "", .max = 1, .volume = "", .group = "" };
	cleanup_volume_list struct volume_list first = { 0 }, rest = { 0 }, none = { 0 };
	struct err err = ERR_INIT;
	bool more = false;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(create(OTHER, "fast", &err), &err);
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	assert_ok(take(SNAP_2, "snap-2", OTHER, &err), &err);
	assert_ok(target_snapshot_list(target, &query, &first, &more, &err), &err);
	assert_int_equal(first.count, 1);
	assert_string_equal(first.volumes[0].uuid.text, SNAP);
	assert_true(more);
	query = (struct target_snapshot_query) { SNAP, 5, OTHER, "" };
	assert_ok(target_snapshot_list(target, &query, &rest, &more, &err), &err);
	assert_int_equal(rest.count, 1);
	assert_string_equal(rest.volumes[0].uuid.text, SNAP_2);
	assert_false(more);
	query = (struct target_snapshot_query) { "", 5, "", GROUP };
	assert_ok(target_snapshot_list(target, &query, &none, &more, &err), &err);
	assert_int_equal(none.count, 0);
	query.after = "x";
	assert_code(target_snapshot_list(target, &query, &none, &more, &err), &err,
		    ERR_INVALID_ARGUMENT);
}

static int extents_of(const char *uuid, const char *base, struct extents *ret, struct err *err)
{
	const struct target_extents_query query = { .uuid = uuid, .pool = "", .base = base };

	return target_extents(target, &query, ret, err);
}

static void cut_image(const char *uuid, off_t bytes)
{
	cleanup_free char *path = xasprintf("%s/fast/%s.img", dir, uuid);

	assert_int_equal(truncate(path, bytes), 0);
}

/* A damaged image would look as if its lost part had been zeros all the time. */
static void test_extents_of_a_cut_image(void **state)
{
	struct extent items[8];
	struct extents got = { .items = items, .max = ARRAY_SIZE(items) };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "fast", &err), &err);
	write_block(UUID, 200, 'a');
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	write_block(UUID, 3, 'b');
	assert_ok(take(SNAP_2, "snap-2", UUID, &err), &err);
	assert_ok(extents_of(SNAP_2, SNAP, &got, &err), &err);
	assert_int_equal(got.count, 1);
	assert_int_equal(items[0].offset_bytes, 3 * 4096);
	cut_image(SNAP, 4096);
	assert_code(extents_of(SNAP, "", &got, &err), &err, ERR_DATA_LOSS);
	assert_says(err.msg, SNAP ".img has 4096 bytes, its record says 1048576");
	assert_code(extents_of(SNAP_2, SNAP, &got, &err), &err, ERR_DATA_LOSS);
	assert_code(extents_of(SNAP, SNAP_2, &got, &err), &err, ERR_DATA_LOSS);
	assert_ok(extents_of(SNAP_2, "", &got, &err), &err);
}

static uint64_t allocated(void)
{
	struct pool *pool = target_pool_find(target, "fast");
	struct pool_allocation ret;
	struct err err = ERR_INIT;

	assert_ok(pool->ops->allocation(pool, &ret, &err), &err);
	return ret.bytes;
}

/* Shared blocks are allocated once, and twice from when one side is written. */
static void test_room(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_ok(create(UUID, "fast", &err), &err);
	for (unsigned i = 0; i < 16; i++)
		write_block(UUID, i, 'a');
	sync();
	assert_int_equal(allocated(), 16 * 4096);
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	assert_ok(copy_to(CLONE, SNAP, true, &err), &err);
	assert_int_equal(allocated(), 16 * 4096);
	for (unsigned i = 0; i < 16; i++)
		write_block(UUID, i, 'b');
	sync();
	assert_int_equal(allocated(), 32 * 4096);
	assert_int_equal(provisioned("fast"), 2 * VOLUME_BYTES + 16 * 4096);
	restart();
	assert_int_equal(allocated(), 32 * 4096);
	assert_int_equal(provisioned("fast"), 2 * VOLUME_BYTES + 16 * 4096);
	assert_ok(target_snapshot_delete(target, SNAP, "", "", &err), &err);
	assert_int_equal(allocated(), 32 * 4096);
	assert_ok(target_delete(target, CLONE, "", &err), &err);
	assert_int_equal(allocated(), 16 * 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		REFLINK(test_snapshot_keeps_what_was),
		REFLINK(test_weights),
		REFLINK(test_taken_again),
		REFLINK(test_refusals),
		REFLINK(test_file_system_without_reflink),
		REFLINK(test_no_room_for_a_record),
		REFLINK(test_sorts_are_kept_apart),
		REFLINK(test_delete_in_any_order),
		REFLINK(test_volume_from_a_snapshot),
		REFLINK(test_copy_is_never_blank),
		REFLINK(test_source_refusals),
		REFLINK(test_source_is_shared),
		REFLINK(test_list),
		REFLINK(test_extents_of_a_cut_image),
		REFLINK(test_room),
	};

	return cmocka_run_group_tests(tests, reflink_group_setup, reflink_group_teardown);
}
