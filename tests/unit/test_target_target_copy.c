/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of snapshots: all or none, whatever fails, is cut short, or is found half-done by a start;
 * and when their hosts are kept waiting. On an xfs.
 */
#include "tests/unit/reflink_fixture.h"

#include <time.h>

#include "nvme/target/nvmet_pause.h"

static struct pool_ops ops; /* of the pool fast: plain_ops, with steps that fail */
static int fail_at;	    /* the number of the call that fails; 0: none does */
static char pause_text[4096];
static int pause_runs;
static bool pause_fails, pause_is_late;

static int failing_copy(struct pool *pool, const struct volume *copy, const struct volume *from,
			struct err *err)
{
	if (fail_at && --fail_at == 0)
		return err_set(err, ERR_RESOURCE_EXHAUSTED, "no room for this copy");
	return pool_dir_ops.copy(pool, copy, from, err);
}

static int failing_finish(struct pool *pool, const struct volume *copy, struct err *err)
{
	if (fail_at && --fail_at == 0)
		return err_set(err, ERR_INTERNAL, "the disk says no");
	return pool_dir_ops.copy_finish(pool, copy, err);
}

static int failing_remove(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	(void)pool, (void)uuid;
	return err_set(err, ERR_INTERNAL, "cannot be removed");
}

static int note_pause(const char *commands, struct err *err)
{
	/* What is done after a failure says nothing. */
	if (!pause_fails || strstr(commands, "elements"))
		snprintf(pause_text, sizeof(pause_text), "%s", commands);
	pause_runs++;
	if (pause_fails)
		return err_set(err, ERR_INTERNAL, "no nf_tables");
	if (pause_is_late)
		target->pause.begun_ns -= NVMET_PAUSE_MS * NS_PER_MS;
	return 0;
}

static int copy_setup(void **state)
{
	struct err err = ERR_INIT;

	fail_at = pause_runs = 0;
	pause_fails = pause_is_late = false;
	if (reflink_setup(state) < 0)
		return -1;
	ops = plain_ops();
	target_pool_find(target, "fast")->ops = &ops;
	target->pause.run = note_pause;
	return create(UUID, "fast", &err) < 0 || create(OTHER, "fast", &err) < 0 ? -1 : 0;
}

/* As after every failure: two volumes, and nothing else is promised or there. */
static void assert_none(void)
{
	assert_false(is_trace_of(SNAP) || is_trace_of(SNAP_2));
	assert_false(has_snapshot(SNAP) || has_snapshot(SNAP_2));
	assert_int_equal(provisioned("fast"), 2 * VOLUME_BYTES);
}

static void assert_both(void)
{
	struct target_snapshot_query query = { "", 5, "", GROUP };
	cleanup_volume_list struct volume_list list = { 0 };
	struct err err = ERR_INIT;
	bool more;

	assert_ok(target_snapshot_list(target, &query, &list, &more, &err), &err);
	assert_int_equal(list.count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(list.volumes[i].snapshot.group_name, "group-1");
		assert_int_equal(list.volumes[i].snapshot.member_count, 2);
		assert_string_equal(list.volumes[i].snapshot.members[0].text, SNAP);
		assert_string_equal(list.volumes[i].snapshot.members[1].text, SNAP_2);
	}
	assert_int_equal(list.volumes[0].snapshot.created_ns, list.volumes[1].snapshot.created_ns);
	assert_false(there("fast/" SNAP ".new.json") || there("fast/" SNAP_2 ".new.json") ||
		     there("fast/" SNAP ".img.new") || there("fast/" SNAP_2 ".img.new"));
}

static void test_group(void **state)
{
	cleanup_volume_list struct volume_list list = { 0 };
	struct target_snapshot_item other = item_of(SNAP, "snap-1", UUID);
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	write_block(UUID, 0, 'a');
	write_block(OTHER, 0, 'b');
	assert_ok(take_group(&err), &err);
	assert_both();
	assert_int_equal(read_block(SNAP, 0), 'a');
	assert_int_equal(read_block(SNAP_2, 0), 'b');
	assert_ok(take_group(&err), &err);
	restart();
	assert_ok(take_group(&err), &err);
	assert_both();
	/* Another group of the same name and UUID, or none. */
	assert_code(take_items(&other, 1, GROUP, &list, &err), &err, ERR_ALREADY_EXISTS);
	assert_says(err.msg, "of 2 snapshots (asked for: \"group-1\" " GROUP " of 1");
	assert_code(take_items(&other, 1, "", &list, &err), &err, ERR_ALREADY_EXISTS);
	/* Who deletes another group may have named one of this by mistake. */
	assert_code(target_snapshot_delete(target, SNAP_2, "", OTHER, &err), &err,
		    ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "snapshot " SNAP_2 " is of group " GROUP ", not of group " OTHER);
	assert_code(target_snapshot_delete(target, SNAP_2, "", "g", &err), &err,
		    ERR_INVALID_ARGUMENT);
	assert_both();
	/* What is left of a group is not of the moment at which the rest would be taken. */
	assert_ok(target_snapshot_delete(target, SNAP_2, "", GROUP, &err), &err);
	assert_code(take_group(&err), &err, ERR_ALREADY_EXISTS);
	assert_says(err.msg, SNAP_2 " has been deleted");
	assert_false(is_trace_of(SNAP_2));
}

static void test_group_refusals(void **state)
{
	const struct target_snapshot_item twice[] = { item_of(SNAP, "snap-1", UUID),
						      item_of(SNAP_2, "snap-2", UUID) };
	cleanup_volume_list struct volume_list list = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	assert_code(take_items(twice, 2, GROUP, &list, &err), &err, ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "of the same volume " UUID);
	assert_code(take_items(twice, 2, "", &list, &err), &err, ERR_INVALID_ARGUMENT);
	assert_says(err.msg, "2 snapshots are asked for: without a group it is 1");
	assert_ok(target_delete(target, OTHER, "", &err), &err);
	assert_code(take_group(&err), &err, ERR_NOT_FOUND);
	assert_ok(create(OTHER, "slow", &err), &err);
	assert_code(take_group(&err), &err, ERR_FAILED_PRECONDITION);
	assert_says(err.msg, "tmpfs");
	assert_false(is_trace_of(SNAP) || there("slow/" SNAP_2 ".new.json"));
	assert_int_equal(provisioned("fast"), VOLUME_BYTES);
	assert_int_equal(provisioned("slow"), VOLUME_BYTES);
}

/* Each copy and each last step fails in turn. */
static void test_failed_steps(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	for (int i = 1; i <= 2; i++) {
		ops.copy = failing_copy;
		ops.copy_finish = pool_dir_ops.copy_finish;
		fail_at = i;
		assert_code(take_group(&err), &err, ERR_RESOURCE_EXHAUSTED);
		assert_none();
		ops.copy = pool_dir_ops.copy;
		ops.copy_finish = failing_finish;
		fail_at = i;
		assert_code(take_group(&err), &err, ERR_INTERNAL);
		assert_none();
	}
	assert_ok(take_group(&err), &err);
	assert_both();
}

static void test_failed_records(void **state)
{
	static const char *const obstacles[] = { "fast/" SNAP ".new.json",
						 "fast/" SNAP_2 ".new.json" };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	for (size_t i = 0; i < ARRAY_SIZE(obstacles); i++) {
		assert_int_equal(root_mkdir(&root, &err, "%s", obstacles[i]), 0);
		assert_int_equal(take_group(&err), -1);
		take_away(obstacles[i]);
		assert_false(has_snapshot(SNAP) || has_snapshot(SNAP_2));
		assert_int_equal(provisioned("fast"), 2 * VOLUME_BYTES);
	}
	assert_ok(take_group(&err), &err);
	assert_both();
}

/* Whoever hears of another error relies on it that nothing is left. */
static void test_failure_that_cannot_be_taken_back(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	ops.copy_finish = failing_finish;
	ops.remove = failing_remove;
	fail_at = 2;
	assert_code(take_group(&err), &err, ERR_INTERNAL);
	assert_says(err.msg, "cannot be removed");
	assert_says(err.msg, "the disk says no");
	assert_true(is_trace_of(SNAP));
	/* It is neither there nor absent, and the same call ends that. */
	{
		cleanup_volume struct volume none = { 0 };

		assert_code(target_snapshot_get(target, SNAP, "", &none, &err), &err, ERR_ABORTED);
	}
	ops = plain_ops();
	assert_ok(take_group(&err), &err);
	assert_both();
}

static void test_delete_of_a_half_made_one(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	ops.copy_finish = failing_finish;
	ops.remove = failing_remove;
	fail_at = 2;
	assert_code(take_group(&err), &err, ERR_INTERNAL);
	ops = plain_ops();
	assert_code(target_snapshot_delete(target, SNAP_2, "", OTHER, &err), &err,
		    ERR_INVALID_ARGUMENT);
	assert_ok(target_snapshot_delete(target, SNAP, "", GROUP, &err), &err);
	assert_ok(target_snapshot_delete(target, SNAP_2, "", "", &err), &err);
	assert_none();
}

/* Its record may say that the whole group is there: nobody takes the rest for half-made. */
static void test_member_of_which_nothing_is_known(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	ops.copy_finish = failing_finish;
	ops.remove = failing_remove;
	fail_at = 2;
	assert_code(take_group(&err), &err, ERR_INTERNAL);
	put("fast/" SNAP ".json", "no record\n");
	restart();
	assert_true(is_trace_of(SNAP_2));
	assert_code(take_group(&err), &err, ERR_FAILED_PRECONDITION);
	assert_true(is_trace_of(SNAP_2));
	take_away("fast/" SNAP ".json.bad");
	restart();
	assert_ok(take_group(&err), &err);
	assert_both();
}

/* One is committed and the other cannot be: what was taken stays, and the next call ends it. */
static void test_commit_cut_short(void **state)
{
	struct err err = ERR_INIT;
	uint64_t created_ns;

	(void)state;
	NEEDS_MOUNT();
	assert_int_equal(root_mkdir(&root, &err, "fast/" SNAP_2 ".json"), 0);
	assert_int_equal(take_group(&err), -1);
	take_away("fast/" SNAP_2 ".json");
	{
		cleanup_volume struct volume first = get_snapshot(SNAP);

		created_ns = first.snapshot.created_ns;
	}
	assert_ok(take_group(&err), &err);
	assert_both();
	{
		cleanup_volume struct volume second = get_snapshot(SNAP_2);

		assert_int_equal(second.snapshot.created_ns, created_ns);
	}
}

static void move(const char *uuid, const char *from, const char *to)
{
	cleanup_free char *old = xasprintf("%s/fast/%s%s", dir, uuid, from);
	cleanup_free char *new = xasprintf("%s/fast/%s%s", dir, uuid, to);

	assert_int_equal(rename(old, new), 0);
}

/* What is there of one of two when the target starts. */
enum left { COMMITTED, WHOLE, TAKEN, BEGUN, NOTHING };

static void leave(const char *uuid, enum left left)
{
	cleanup_free char *image = xasprintf("fast/%s.img", uuid);
	cleanup_free char *record = xasprintf("fast/%s.new.json", uuid);

	if (left >= WHOLE)
		move(uuid, ".json", ".new.json");
	if (left == TAKEN)
		move(uuid, ".img", ".img.new");
	if (left >= BEGUN)
		take_away(image);
	if (left == NOTHING)
		take_away(record);
}

static void test_start_finds(void **state)
{
	static const struct {
		enum left first, second;
		bool forward;
	} rows[] = {
		{ BEGUN, NOTHING, false },  { BEGUN, BEGUN, false },	{ TAKEN, BEGUN, false },
		{ TAKEN, TAKEN, false },    { WHOLE, TAKEN, false },	{ TAKEN, WHOLE, false },
		{ WHOLE, WHOLE, true },	    { COMMITTED, WHOLE, true }, { WHOLE, COMMITTED, true },
		{ COMMITTED, TAKEN, true }, { TAKEN, COMMITTED, true },
	};
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		print_message("row %zu%s\n", i / 2, i % 2 ? " the other way round" : "");
		assert_ok(take_group(&err), &err);
		close_target();
		leave(i % 2 ? SNAP_2 : SNAP, rows[i / 2].first);
		leave(i % 2 ? SNAP : SNAP_2, rows[i / 2].second);
		restart();
		if (rows[i / 2].forward)
			assert_both();
		else
			assert_none();
		assert_ok(take_group(&err), &err);
		assert_both();
		assert_ok(target_snapshot_delete(target, SNAP, "", "", &err), &err);
		assert_ok(target_snapshot_delete(target, SNAP_2, "", "", &err), &err);
		assert_none();
	}
}

/* A single one, and a clone: on or back, by a start and by the same call. */
static void test_start_finds_a_clone(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	for (enum left left = WHOLE; left <= BEGUN; left++) {
		assert_ok(copy_to(CLONE, UUID, false, &err), &err);
		close_target();
		leave(CLONE, left);
		restart();
		assert_int_equal(is_trace_of(CLONE), left == WHOLE);
		assert_ok(copy_to(CLONE, UUID, false, &err), &err);
		assert_ok(target_delete(target, CLONE, "", &err), &err);
		assert_false(is_trace_of(CLONE));
	}
}

/* Hosts that are made quiet: how often, and what fails. */
static struct {
	int begins, ends;
	size_t asked;
	int turns; /* of the pool that were left at the beginning */
	bool fails_to_begin, fails_to_end;
	bool writes; /* the hosts write out what they had */
	uint64_t at_ns;
} quiet;

static uint64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static int begin_quiet(void *context, const struct volume *const volumes[], size_t count,
		       void **ret, struct err *err)
{
	assert_ptr_equal(context, &quiet);
	assert_string_equal(volumes[0]->uuid.text, UUID);
	assert_string_equal(volumes[0]->pool, "fast");
	quiet.begins++;
	quiet.asked = count;
	sem_getvalue(&target->turns[0], &quiet.turns);
	if (quiet.fails_to_begin)
		return err_set(err, ERR_ABORTED, "not quiet");
	for (unsigned i = 0; quiet.writes && i < 16; i++)
		write_block(UUID, i, 'w');
	quiet.at_ns = wall_ns();
	*ret = &quiet.ends;
	return 0;
}

static int end_quiet(void *context, void *begun, struct err *err)
{
	assert_ptr_equal(context, &quiet);
	assert_ptr_equal(begun, &quiet.ends);
	quiet.ends++;
	return quiet.fails_to_end ? err_set(err, ERR_ABORTED, "not quiet any more") : 0;
}

static void make_quiet(void)
{
	const struct target_quiesce quiesce = { begin_quiet, end_quiet, &quiet };

	memset(&quiet, 0, sizeof(quiet));
	target_set_quiesce(target, &quiesce);
	take_frozen = true;
}

static void assert_quiet(int begins, int ends)
{
	assert_int_equal(quiet.begins, begins);
	assert_int_equal(quiet.ends, ends);
}

/* Snapshots of quiet hosts: nothing is left of what may not have been quiet. */
static void test_frozen(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	take_frozen = true;
	assert_code(take_group(&err), &err, ERR_FAILED_PRECONDITION);
	assert_says(err.msg, "there is nobody who could do it");
	assert_none();
	make_quiet();
	quiet.fails_to_begin = true;
	assert_code(take_group(&err), &err, ERR_ABORTED);
	assert_none();
	assert_quiet(1, 0);
	quiet.fails_to_begin = false;
	quiet.fails_to_end = true;
	assert_code(take_group(&err), &err, ERR_ABORTED);
	assert_string_equal(err.msg, "not quiet any more");
	assert_none();
	assert_quiet(2, 1);
	quiet.fails_to_end = false;
	assert_ok(take_group(&err), &err);
	assert_both();
	assert_quiet(3, 2);
	assert_int_equal(quiet.asked, 2);
	/* Nobody is frozen while a turn is waited for. */
	assert_int_equal(quiet.turns, TARGET_TURNS - 1);
	{
		cleanup_volume struct volume snapshot = get_snapshot(SNAP);

		assert_string_equal(volume_parameter(&snapshot, VOLUME_FREEZE), "true");
	}
	/* What is there needs no quiet. */
	assert_ok(take_group(&err), &err);
	assert_quiet(3, 2);
	take_frozen = false;
}

static int measures_quiet; /* of the pool, while hosts were quiet */

static int note_measure(struct pool *pool, struct pool_allocation *ret, struct err *err)
{
	measures_quiet += quiet.begins > quiet.ends;
	return pool_dir_ops.allocation(pool, ret, err);
}

/* Measuring a pool, which is due now and then and can take seconds, is not what hosts wait for. */
static void test_frozen_is_not_measured(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	make_quiet();
	measures_quiet = 0;
	ops.allocation = note_measure;
	target_pool_find(target, "fast")->measure_again = deadline_after_ms(0);
	assert_ok(take_group(&err), &err);
	take_frozen = false;
	assert_quiet(1, 1);
	assert_int_equal(measures_quiet, 0);
	assert_false(deadline_passed(target_pool_find(target, "fast")->measure_again));
}

/* Who asks for it does not get one that was taken without; the other way is as good. */
static void test_frozen_is_not_plain(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	make_quiet();
	take_frozen = false;
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	take_frozen = true;
	assert_code(take(SNAP, "snap-1", UUID, &err), &err, ERR_ALREADY_EXISTS);
	assert_says(err.msg, "exists with freeze false (asked for: true)");
	assert_quiet(0, 0);
	assert_ok(target_snapshot_delete(target, SNAP, "", "", &err), &err);
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	take_frozen = false;
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
}

/* What hosts write out before they are quiet is in the snapshot, in its promise and of its time. */
static void test_frozen_after_writing(void **state)
{
	cleanup_volume struct volume snapshot = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	make_quiet();
	quiet.writes = true;
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	take_frozen = false;
	snapshot = get_snapshot(SNAP);
	assert_int_equal(read_block(SNAP, 15), 'w');
	assert_int_equal(snapshot.snapshot.held_bytes, 16 * 4096);
	assert_int_equal(provisioned("fast"), 2 * VOLUME_BYTES + 16 * 4096);
	assert_true(snapshot.snapshot.created_ns >= quiet.at_ns);
	restart();
	assert_int_equal(provisioned("fast"), 2 * VOLUME_BYTES + 16 * 4096);
}

static int removals; /* of backings */

static int remove_when_let_go(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	removals++;
	assert_int_equal(quiet.begins, quiet.ends);
	return pool_dir_ops.remove(pool, uuid, err);
}

/* They are let go when the copies fail, too, and do not wait until all is taken back. */
static void test_frozen_fails(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	make_quiet();
	put("fast/" SNAP ".img.new", "x");
	assert_code(take(SNAP, "snap-1", UUID, &err), &err, ERR_FAILED_PRECONDITION);
	assert_quiet(1, 1);
	take_away("fast/" SNAP ".img.new");
	ops.remove = remove_when_let_go;
	ops.copy = failing_copy;
	fail_at = 2;
	quiet.fails_to_end = true;
	removals = 0;
	assert_code(take_group(&err), &err, ERR_RESOURCE_EXHAUSTED);
	assert_none();
	assert_quiet(2, 2);
	assert_int_equal(removals, 2);
	take_frozen = false;
}

static void *take_later(void *ret)
{
	struct err err = ERR_INIT;

	*(int *)ret = take(SNAP, "snap-1", UUID, &err);
	return NULL;
}

static enum err_code code_of_acquiring(const char *uuid)
{
	struct target_entry *entry;
	struct err err = ERR_INIT;

	if (target_acquire(target, uuid, &entry, &err) == 0)
		target_release(target, entry);
	return err.code;
}

/* They come one after another, and hold up nothing else. */
static void test_frozen_in_turn(void **state)
{
	struct target_turn turns[TARGET_FREEZES] = { 0 };
	struct err err = ERR_INIT;
	pthread_t thread;
	int rc = -1;

	(void)state;
	NEEDS_MOUNT();
	make_quiet();
	for (size_t i = 0; i < ARRAY_SIZE(turns); i++)
		assert_ok(target_freeze_take(target, &turns[i], &err), &err);
	target->freeze_wait_ms = 10;
	assert_code(take(SNAP, "snap-1", UUID, &err), &err, ERR_UNAVAILABLE);
	assert_string_equal(err.msg, "4 other snapshots with freeze have been under way for 10 ms; "
				     "try again");
	assert_none();
	assert_quiet(0, 0);
	take_frozen = false;
	assert_ok(take(SNAP_2, "snap-2", OTHER, &err), &err);
	take_frozen = true;
	assert_code(take(SNAP_2, "snap-2", OTHER, &err), &err, ERR_ALREADY_EXISTS);
	target->freeze_wait_ms = 60000;
	assert_int_equal(pthread_create(&thread, NULL, take_later, &rc), 0);
	while (code_of_acquiring(SNAP) == ERR_NONE)
		usleep(1000);
	assert_int_equal(code_of_acquiring(UUID), ERR_NONE);
	assert_quiet(0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(turns); i++)
		target_turn_fini(&turns[i]);
	pthread_join(thread, NULL);
	assert_int_equal(rc, 0);
	assert_quiet(1, 1);
	take_frozen = false;
}

/* Killed in the midst of it: whether the hosts were quiet only a committed record says. */
static void test_start_finds_frozen(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	for (enum left left = COMMITTED; left <= BEGUN; left++) {
		make_quiet();
		assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
		close_target();
		leave(SNAP, left);
		restart();
		assert_int_equal(is_trace_of(SNAP), left == COMMITTED);
		make_quiet();
		assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
		assert_quiet(left != COMMITTED, left != COMMITTED);
		assert_ok(target_snapshot_delete(target, SNAP, "", "", &err), &err);
	}
	make_quiet();
	assert_ok(take_group(&err), &err);
	close_target();
	leave(SNAP, WHOLE);
	restart();
	assert_both();
	close_target();
	leave(SNAP, WHOLE);
	leave(SNAP_2, WHOLE);
	restart();
	assert_none();
	take_frozen = false;
}

static void test_orphans(void **state)
{
	cleanup_target_orphans struct target_orphans orphans = { 0 };
	cleanup_free char *path = xasprintf("%s/fast/" SNAP ".img.new", dir);
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	put("fast/" SNAP ".img.new", "x");
	assert_ok(target_orphans(target, &orphans, &err), &err);
	assert_int_equal(orphans.count, 1);
	assert_string_equal(orphans.items[0].kind, "backing");
	assert_string_equal(orphans.items[0].uuid, SNAP);
	assert_string_equal(orphans.items[0].path, path);
	/* It may be what is left of a lost record: nothing is made over it. */
	assert_code(take(SNAP, "snap-1", UUID, &err), &err, ERR_FAILED_PRECONDITION);
	assert_says(err.msg, "has a backing in pool fast but no record");
	assert_code(copy_to(SNAP, UUID, false, &err), &err, ERR_FAILED_PRECONDITION);
	assert_code(target_snapshot_delete(target, SNAP, "", "", &err), &err,
		    ERR_FAILED_PRECONDITION);
	assert_true(there("fast/" SNAP ".img.new"));
}

/* An export that cannot be served here is in the record all the same. */
static void test_pause_only_for_several_writers(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	export_to(UUID, HOST_A, &err);
	assert_ok(take_group(&err), &err);
	assert_int_equal(pause_runs, 0);
	assert_ok(target_snapshot_delete(target, SNAP, "", "", &err), &err);
	assert_ok(target_snapshot_delete(target, SNAP_2, "", "", &err), &err);
	export_to(OTHER, HOST_B, &err);
	assert_ok(take(SNAP, "snap-1", UUID, &err), &err);
	assert_int_equal(pause_runs, 0);
	assert_ok(target_snapshot_delete(target, SNAP, "", "", &err), &err);
	assert_ok(take_group(&err), &err);
	assert_int_equal(pause_runs, 2);
	assert_string_equal(pause_text, "delete table inet nvmeot_pause\n");
	assert_both();
}

static void put_port(const char *addr)
{
	cleanup_free char *text = xasprintf("%s\n", addr);

	put("nvmet/ports/7/addr_trtype", "tcp\n");
	put("nvmet/ports/7/addr_traddr", text);
	put("nvmet/ports/7/addr_trsvcid", "4421\n");
	put("nvmet/ports/7/subsystems/.keep", "");
	if (symlinkat("../../../subsystems/" NQN, root.fd, "nvmet/ports/7/subsystems/foreign") < 0)
		assert_int_equal(errno, EEXIST);
	take_away("nvmet/ports/7/subsystems/.keep");
}

/* Hosts come by whatever port leads to a volume, whoever linked it by whatever name. */
static void test_pause_of_other_ports(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	export_to(UUID, HOST_A, &err);
	export_to(OTHER, HOST_B, &err);
	put_port("192.0.2.7");
	pause_fails = true;
	assert_code(take_group(&err), &err, ERR_FAILED_PRECONDITION);
	assert_says(pause_text, "127.0.0.1 . 4420 timeout 2s");
	assert_says(pause_text, "192.0.2.7 . 4421 timeout 2s");
	assert_says(pause_text, "::1 . 4420 timeout 2s");
	pause_fails = false;
	put_port("0.0.0.0");
	assert_code(take_group(&err), &err, ERR_FAILED_PRECONDITION);
	assert_says(err.msg, "ports/7 leads to a volume");
	assert_none();
	take_away("nvmet/ports/7/subsystems/foreign");
	assert_ok(take_group(&err), &err);
}

static void test_pause_that_fails(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	NEEDS_MOUNT();
	export_to(UUID, HOST_A, &err);
	export_to(OTHER, HOST_B, &err);
	pause_fails = true;
	assert_code(take_group(&err), &err, ERR_FAILED_PRECONDITION);
	assert_says(err.msg, "no nf_tables");
	assert_none();
	pause_fails = false;
	pause_is_late = true;
	assert_code(take_group(&err), &err, ERR_UNAVAILABLE);
	assert_says(err.msg, "could not be copied within the 2000 ms");
	assert_none();
	pause_is_late = false;
	assert_ok(take_group(&err), &err);
	assert_both();
}

#define COPY(f) cmocka_unit_test_setup_teardown(f, copy_setup, reflink_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		COPY(test_group),
		COPY(test_group_refusals),
		COPY(test_failed_steps),
		COPY(test_failed_records),
		COPY(test_failure_that_cannot_be_taken_back),
		COPY(test_delete_of_a_half_made_one),
		COPY(test_member_of_which_nothing_is_known),
		COPY(test_commit_cut_short),
		COPY(test_start_finds),
		COPY(test_start_finds_a_clone),
		COPY(test_frozen),
		COPY(test_frozen_after_writing),
		COPY(test_frozen_is_not_measured),
		COPY(test_frozen_is_not_plain),
		COPY(test_frozen_fails),
		COPY(test_frozen_in_turn),
		COPY(test_start_finds_frozen),
		COPY(test_orphans),
		COPY(test_pause_only_for_several_writers),
		COPY(test_pause_of_other_ports),
		COPY(test_pause_that_fails),
	};

	return cmocka_run_group_tests(tests, reflink_group_setup, reflink_group_teardown);
}
