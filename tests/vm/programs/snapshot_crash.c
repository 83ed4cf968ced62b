/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target killed at every step of making and deleting snapshots, groups of them, clones and
 * restored volumes, and of reading the metadata of a thin pool, while hosts may write to both
 * volumes: an operation runs in a child that is killed just before its n-th changing system call,
 * or that of a program it runs, for every n until it comes through. Then a new process must find
 * each copy whole or nothing of it, a group whole or nothing of it, of frozen hosts only what they
 * confirmed, and the same call must succeed, with the right content, the right promises, and
 * nothing left over. Thin volumes are made groups of while no host has them: lvm2 takes longer for
 * two here than hosts can be kept waiting.
 *
 *	snapshot_crash KIND ARGUMENT [EVERY]	of the pool, as target_crash
 */
#include "nvme/target/target_table.h" /* before the fixture has a variable of that name */
#include "tests/vm/programs/target_fixture.h"

#include "tests/vm/programs/kill_points.h"

#include <sys/mman.h>

#include "nvme/target/dm.h"
#include "nvme/target/record.h"

#define OTHER "6e6f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a12"
#define SNAP "11111111-6f0c-4f0e-9f0a-0b6f3f6c2a01"
#define SNAP_2 "22222222-6f0c-4f0e-9f0a-0b6f3f6c2a02"
#define CLONE "33333333-6f0c-4f0e-9f0a-0b6f3f6c2a03"
#define GROUP "44444444-6f0c-4f0e-9f0a-0b6f3f6c2a04"

static int every = 1;
static uint64_t held_bytes; /* what a snapshot promises */
static bool killed_while_held;
static bool *held; /* hosts are frozen; the children of this process share it */

/* --- operations ------------------------------------------------------------------------------- */

static int make_volume(const char *uuid, struct err *err)
{
	cleanup_volume struct volume want = { .size_bytes = SIZE_BYTES }, made = { 0 };

	strcpy(want.uuid.text, uuid);
	want.name = xstrdup("pvc-1");
	return target_create(target, &want, &made, err);
}

static bool is_thin(void)
{
	return strcmp(pool_kind, "lvm") == 0;
}

static int freeze(void *context, const struct volume *const volumes[], size_t count, void **ret,
		  struct err *err)
{
	(void)context, (void)volumes, (void)count, (void)err;
	*held = true;
	*ret = held;
	return 0;
}

static int thaw(void *context, void *begun, struct err *err)
{
	(void)context, (void)begun, (void)err;
	*held = false;
	return 0;
}

static int take(const char *group, size_t count, bool frozen, struct err *err)
{
	static const struct target_quiesce quiesce = { .begin = freeze, .end = thaw };
	const struct target_snapshot_item items[] = {
		{ .uuid = { SNAP }, .name = "snap-1", .volume = { UUID } },
		{ .uuid = { SNAP_2 }, .name = "snap-2", .volume = { OTHER } },
	};
	cleanup_volume_list struct volume_list list = { 0 };
	struct target_snapshot_request request = {
		.items = items, .count = count, .group_name = "group-1", .freeze = frozen
	};

	target_set_quiesce(target, &quiesce);
	strcpy(request.group.text, group);
	return target_snapshot_take(target, &request, &list, err);
}

static int take_one(struct err *err)
{
	return take("", 1, false, err);
}

/* Again when this slow machine took longer than hosts may be kept waiting, as a CO does. */
static int take_both(bool frozen, struct err *err)
{
	int r = -1;

	for (int i = 0; i < 10 && r < 0; i++) {
		r = take(GROUP, 2, frozen, err);
		if (r < 0 && err->code != ERR_UNAVAILABLE)
			break;
	}
	return r;
}

static int take_group(struct err *err)
{
	return take_both(false, err);
}

static int take_frozen_group(struct err *err)
{
	return take_both(true, err);
}

static int read_map(struct err *err)
{
	const struct target_extents_query query = { .uuid = SNAP, .pool = "", .base = "" };
	struct extent items[4];
	struct extents list = { .items = items, .max = ARRAY_SIZE(items) };

	return target_extents(target, &query, &list, err);
}

static int weigh(struct err *err)
{
	cleanup_volume struct volume snapshot = { 0 };

	if (target_snapshot_get(target, SNAP, "", &snapshot, err) < 0)
		return -1;
	target_snapshots_weigh(target, &snapshot, 1);
	return snapshot.snapshot.weighed ? 0 : err_set(err, ERR_INTERNAL, "it has no weight");
}

/* What was read, which a process keeps. */
static int forget_map(struct err *err)
{
	stop();
	return start(err);
}

static int delete_snapshots(struct err *err)
{
	if (target_snapshot_delete(target, SNAP, "p", "", err) < 0)
		return -1;
	return target_snapshot_delete(target, SNAP_2, "p", "", err);
}

static int copy(const char *source, bool is_snapshot, uint64_t size_bytes, struct err *err)
{
	cleanup_volume struct volume want = { .uuid = { CLONE }, .size_bytes = size_bytes };
	cleanup_volume struct volume made = { 0 };

	want.name = xstrdup("pvc-2");
	want.source_is_snapshot = is_snapshot;
	strcpy(want.source.text, source);
	return target_create(target, &want, &made, err);
}

static int clone_volume(struct err *err)
{
	return copy(UUID, false, SIZE_BYTES, err);
}

static int restore_snapshot(struct err *err)
{
	return copy(SNAP, true, 2 * SIZE_BYTES, err);
}

static int delete_clone(struct err *err)
{
	return target_delete(target, CLONE, "p", err);
}

struct operation {
	const char *name;
	int (*act)(struct err *err);
	int (*undo)(struct err *err);
	size_t snapshots;    /* that are there after it */
	uint64_t clone_size; /* of the clone that is there after it; 0: none is */
	bool group;	     /* all or none, also at a start */
	bool pauses;	     /* it, or what undoes it, has hosts wait */
	bool thin_only;	     /* in pools of other kinds there is nothing to kill */
};

/* Each begins where the one before it has ended. */
static const struct operation operations[] = {
	{ "snapshot", take_one, delete_snapshots, .snapshots = 1 },
	{ "map of a snapshot", read_map, forget_map, .snapshots = 1, .thin_only = true },
	{ "weight of a snapshot", weigh, forget_map, .snapshots = 1, .thin_only = true },
	{ "restore", restore_snapshot, delete_clone, .snapshots = 1, .clone_size = 2 * SIZE_BYTES },
	{ "deletion of a restored one", delete_clone, restore_snapshot, .snapshots = 1 },
	{ "deletion of a snapshot", delete_snapshots, take_one, .snapshots = 0 },
	{ "clone", clone_volume, delete_clone, .clone_size = SIZE_BYTES },
	{ "deletion of a clone", delete_clone, clone_volume, .snapshots = 0 },
	{ "group", take_group, delete_snapshots, .snapshots = 2, .group = true, .pauses = true },
	{ "deletion of a group", delete_snapshots, take_group, .snapshots = 0, .pauses = true },
	{ "frozen group", take_frozen_group, delete_snapshots, .snapshots = 2, .group = true,
	  .pauses = true },
};

/* --- killing ---------------------------------------------------------------------------------- */

/* False when the operation came through. */
static bool run_killed(const struct operation *operation, int n)
{
	struct kill_run run = { .where = KILL_IN_PROCESS, .left = n };
	struct err err = ERR_INIT;
	int status;

	run.process = fork();
	assert_true(run.process >= 0);
	if (run.process == 0) {
		kill_begin();
		if (operation->act(&err) < 0) {
			fprintf(stderr, "%s: %s\n", operation->name, err.msg);
			_exit(1);
		}
		_exit(0);
	}
	status = kill_run_to_point(&run);
	if (status < 0)
		return true;
	assert_int_equal(status, 0);
	return false;
}

/* --- judging ---------------------------------------------------------------------------------- */

static bool is_there(const char *uuid, const char *suffix)
{
	return root_exists(&target->pools[0]->records, "%s%s", uuid, suffix);
}

/* Of what the killed process left: a committed record of a group means that all of it is whole. */
static void assert_order(const struct operation *operation)
{
	struct pool *pool = target->pools[0];
	struct pool_backing backing;
	static const struct uuid uuids[] = { { SNAP }, { SNAP_2 } };
	struct err err = ERR_INIT;

	if (!operation->group || (!is_there(SNAP, ".json") && !is_there(SNAP_2, ".json")))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(uuids); i++) {
		assert_int_equal(pool_find(pool, &uuids[i], &backing, &err), 1);
		assert_false(backing.unfinished);
	}
}

/* A byte of a backing, which a pool of thin volumes would have to be attached for. */
static char byte_of(const char *uuid)
{
	cleanup_free char *path = xasprintf("%s/%s.img", pool_path, uuid);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char byte = 0;

	assert_int_equal(pread(fd, &byte, 1, 4096), 1);
	return byte;
}

static void assert_content(const char *uuid, char byte, bool whole)
{
	if (whole && !is_thin())
		assert_int_equal(byte_of(uuid), byte);
}

/* The copies of a running target: how many, whole, and nothing of any other. */
static size_t count_snapshots(void)
{
	const struct target_snapshot_query query = { "", 10, "", "" };
	cleanup_volume_list struct volume_list list = { 0 };
	struct err err = ERR_INIT;
	bool more;

	must(target_snapshot_list(target, &query, &list, &more, &err), &err);
	for (size_t i = 0; i < list.count; i++) {
		bool first = strcmp(list.volumes[i].uuid.text, SNAP) == 0;

		assert_int_equal(list.volumes[i].snapshot.held_bytes, held_bytes);
		assert_content(list.volumes[i].uuid.text, first ? 'a' : 'b', true);
	}
	return list.count;
}

static uint64_t clone_size(void)
{
	cleanup_volume struct volume clone = { 0 };
	struct pool_backing backing;
	struct err err = ERR_INIT;

	if (target_get(target, CLONE, "", &clone, &err) < 0) {
		assert_int_equal(err.code, ERR_NOT_FOUND);
		return 0;
	}
	assert_false(clone.blank);
	assert_int_equal(pool_find(target->pools[0], &clone.uuid, &backing, &err), 1);
	assert_true(backing.size_bytes >= clone.size_bytes);
	assert_content(CLONE, 'a', true);
	return clone.size_bytes;
}

/* A thin pool is left without a metadata snapshot. */
static void assert_nothing_reserved(void)
{
	char status[DM_STATUS_SIZE] = "", block[32] = "";
	struct err err = ERR_INIT;

	if (!is_thin())
		return;
	assert_int_equal(dm_status("vg-tp-tpool", status, &err), 1);
	assert_int_equal(sscanf(status, "%*u %*u/%*u %*u/%*u %31s", block), 1);
	assert_string_equal(block, "-");
}

/* Two images and two records of volumes, and those of the copies that are there. */
static void assert_nothing_over(size_t copies)
{
	static const char *const copied[] = { SNAP, SNAP_2, CLONE };
	cleanup_root_names struct root_names names = { 0 }, backings = { 0 };
	struct pool *pool = target->pools[0];
	struct err err = ERR_INIT;

	must(root_list(&pool->records, &names, &err, "."), &err);
	for (size_t i = 0; i < names.count; i++)
		if (names.names[i][0] == '.' || strstr(names.names[i], ".new"))
			fail_msg("left over: %s", names.names[i]);
	must(pool_list(pool, &backings, &err), &err);
	assert_int_equal(backings.count, 2 + copies);
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		copies -= is_there(copied[i], ".json");
	assert_int_equal(copies, 0);
}

static void judge(const struct operation *operation, bool done)
{
	cleanup_target_info struct target_info info = { 0 };
	size_t snapshots = count_snapshots();
	uint64_t clone = clone_size();

	if (operation->group)
		assert_int_not_equal(snapshots, 1);
	if (*held) {
		assert_int_equal(snapshots, 0);
		killed_while_held = true;
	}
	assert_nothing_reserved();
	target_info(target, &info);
	assert_int_equal(info.pools[0].provisioned_bytes,
			 2 * SIZE_BYTES + snapshots * held_bytes + clone);
	if (!done)
		return;
	assert_int_equal(snapshots, operation->snapshots);
	assert_int_equal(clone, operation->clone_size);
	assert_nothing_over(snapshots + (clone ? 1 : 0));
}

static int crash_everywhere(const struct operation *operation)
{
	struct err err = ERR_INIT;
	int kills = 0;

	for (;; kills++) {
		if (!run_killed(operation, kills * every + every / 2))
			break;
		assert_order(operation);
		stop();
		must(start(&err), &err);
		judge(operation, false);
		must(operation->act(&err), &err);
		judge(operation, true);
		must(operation->undo(&err), &err);
	}
	stop();
	must(start(&err), &err);
	judge(operation, true);
	/* An operation that was never killed has proved nothing. */
	assert_true(kills * every > 2);
	print_message("%s: killed at %d steps\n", operation->name, kills);
	return kills;
}

/* --- all -------------------------------------------------------------------------------------- */

static void fill(const char *uuid, char byte)
{
	cleanup_free char *path = xasprintf("%s/%s.img", pool_path, uuid);
	cleanup_close int fd = -1;
	char block[4096];

	if (is_thin())
		return;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	memset(block, byte, sizeof(block));
	assert_int_equal(pwrite(fd, block, sizeof(block), 4096), sizeof(block));
	assert_int_equal(fsync(fd), 0);
}

static void export(const char *uuid)
{
	struct volume_export want = { .host_nqn = HOST_A };
	cleanup_volume struct volume exported = { 0 };
	struct err err = ERR_INIT;

	must(target_export(target, uuid, &want, &exported, &err), &err);
}

static const char *const volumes[] = { UUID, OTHER };

static void unexport_all(void)
{
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(volumes); i++)
		must(target_unexport(target, volumes[i], "", &err), &err);
}

static void test_killed_at_every_step(void **state)
{
	struct pool_backing backing = { 0 };
	struct uuid uuid = { UUID };
	struct err err = ERR_INIT;
	int points = 0;

	(void)state;
	held = mmap(NULL, sizeof(*held), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(held, MAP_FAILED);
	must(start(&err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(volumes); i++) {
		must(make_volume(volumes[i], &err), &err);
		fill(volumes[i], i ? 'b' : 'a');
		export(volumes[i]);
	}
	assert_int_equal(pool_find(target->pools[0], &uuid, &backing, &err), 1);
	held_bytes = backing.allocated_bytes;
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		if (operations[i].thin_only && !is_thin())
			continue;
		if (operations[i].pauses && is_thin())
			unexport_all();
		points += crash_everywhere(&operations[i]);
	}
	print_message("pool of kind %s: killed at %d points in all\n", pool_kind, points);
	assert_true(killed_while_held);
	must(delete_snapshots(&err), &err);
	unexport_all();
	for (size_t i = 0; i < ARRAY_SIZE(volumes); i++)
		must(target_delete(target, volumes[i], "p", &err), &err);
	assert_nothing_left();
	stop();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_killed_at_every_step) };

	if (argc == 4)
		every = atoi(argv[--argc]);
	if (parse_arguments(argc, argv) < 0 || every < 1)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0); /* its children must not print it once more */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
