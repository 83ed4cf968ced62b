/* SPDX-License-Identifier: Apache-2.0 */
/* What a pool of thin volumes decides. With the real lvm2: tests/vm/cases/lvm.sh. */
#include "tests/unit/lvm_world.h"

#include "nvme/target/spare.h"

/* --- tests ------------------------------------------------------------------------------------ */

/* The device-mapper device that the volume's device lies on. */
static int sysfs_says(const char *below)
{
	const char *const dirs[] = { "dev",
				     "dev/block",
				     NUMBER_PATH,
				     NUMBER_PATH "/slaves",
				     NUMBER_PATH "/slaves/dm-7",
				     NUMBER_PATH "/slaves/dm-7/dm" };
	cleanup_root struct root sys = ROOT_INIT;
	cleanup_close int file = -1;
	struct err err;

	if ((mkdir(sys_dir, 0700) < 0 && errno != EEXIST) || root_open(&sys, sys_dir, &err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (root_mkdir(&sys, &err, "%s", dirs[i]) < 0)
			return -1;
	file = openat(sys.fd, NUMBER_PATH "/slaves/dm-7/dm/name", O_CREAT | O_TRUNC | O_WRONLY,
		      0600);
	return dprintf(file, "%s\n", below) < 0 ? -1 : 0;
}

static int setup(void **state)
{
	struct err err;

	(void)state;
	memset(&world, 0, sizeof(world));
	pool = (struct lvm_pool) { .lvm = { "vg", "tp", 4 * MIB, 65536 }, .lock = -1 };
	volume = (struct volume) { .uuid = { UUID }, .size_bytes = 18 * MIB };
	strcpy(dir, "/tmp/test_target_pool_lvm.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	if (root_open(&pool.pool.records, dir, &err) < 0)
		return -1;
	snprintf(sys_dir, sizeof(sys_dir), "%s.sys", dir);
	return sysfs_says("tp-tpool");
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	root_close(&pool.pool.records);
	return nftw(sys_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) < 0 ? -1 : rmdir(dir);
}

static void assert_did(const char *expected)
{
	assert_string_equal(world.log, expected);
	world.log[0] = '\0';
}

static void a_volume_is_there(uint64_t size, uint64_t mapped)
{
	world.there = world.active = true;
	world.size = size;
	world.mapped = mapped;
}

static void test_find(void **state)
{
	struct pool_backing backing = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), 0);
	a_volume_is_there(20 * MIB, 0);
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), 1);
	assert_int_equal(backing.size_bytes, 20 * MIB);
	assert_true(backing.blank);
	world.mapped = 65536; /* One allocated chunk is data. */
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), 1);
	assert_false(backing.blank);
	assert_did("");

	world.active = false;
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), 1);
	assert_did("activate; ");
	world.active = false;
	world.foreign = true;
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_did("");

	world.active = true;
	world.mapped = UINT64_MAX;
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), -1);
	assert_non_null(strstr(err.msg, "\"Fail\""));
}

/* Nothing is activated because of a node that cannot be opened; one that goes is not there. */
static void test_open_failures(void **state)
{
	struct pool_backing backing = { 0 };
	struct err err;

	(void)state;
	a_volume_is_there(20 * MIB, 65536);
	world.open_fails = EIO;
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), -1);
	assert_int_equal(err.sys, EIO);
	assert_did("");
	world.open_fails = ENXIO;
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), -1);
	assert_did("activate; ");
}

static void is_elsewhere(void)
{
	world.elsewhere = true;
	assert_int_equal(sysfs_says("other-tpool"), 0);
}

/* Looking at a volume runs no program when the kernel says which thin pool it is in. */
static void test_find_is_cheap(void **state)
{
	struct pool_backing backing = { 0 };
	struct err err;

	(void)state;
	a_volume_is_there(20 * MIB, 65536);
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), 1);
	assert_int_equal(world.claims, 0);
	world.no_sysfs = true;
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), 1);
	assert_int_equal(world.claims, 1);
}

/* Without a device of its name nobody knows whether it holds data. */
static void test_doubt_is_not_blank(void **state)
{
	struct pool_backing backing = { 0 };
	struct err err;

	(void)state;
	a_volume_is_there(20 * MIB, 0);
	world.no_device = true;
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "vg/" LV " has no device-mapper device"));
	assert_false(backing.blank);
	assert_int_equal(pool_lvm_create(&pool.pool, &volume, false, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_did("create 18; ");
}

/* What counts is whether there is a device then: lvm2 fails because of others, too. */
static void test_activation(void **state)
{
	struct pool_backing backing = { 0 };
	struct err err;

	(void)state;
	a_volume_is_there(20 * MIB, 65536);
	world.active = false;
	world.activate_fails = true;
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), 1);
	world.active = false;
	world.stays_inactive = true;
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), -1);
	assert_string_equal(err.msg, "lvchange failed");
	world.activate_fails = false;
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), -1);
	assert_non_null(strstr(err.msg, "vg/" LV " cannot be activated"));
	assert_did("activate; activate; activate; ");
}

/* One of another thin pool of the group, or of somebody else, whose device is there. */
static void test_others_are_left_alone(void **state)
{
	struct pool_backing backing;
	struct err err;

	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *message = i ? "is not in thin pool tp" : "has not the tag nvmeot";

		a_volume_is_there(8 * MIB, 0);
		world.foreign = true;
		if (i)
			is_elsewhere();
		assert_int_equal(pool_lvm_create(&pool.pool, &volume, false, &err), -1);
		assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
		assert_string_equal(err.msg, message);
		assert_did("create 18; ");
		world.size = 20 * MIB;
		assert_int_equal(pool_lvm_grow(&pool.pool, &volume, &err), -1);
		assert_string_equal(err.msg, message);
		assert_int_equal(pool_lvm_attach(&pool.pool, &volume, false, &err), -1);
		assert_string_equal(err.msg, message);
		assert_int_equal(pool_lvm_attach(&pool.pool, &volume, true, &err), -1);
		assert_string_equal(err.msg, message);
		assert_int_equal(ensure_records(&pool.lvm, "nvmeot-records-tp", &err), -1);
		assert_string_equal(err.msg, message);
		assert_did("");
	}
	assert_int_equal(pool_lvm_find(&pool.pool, &volume.uuid, &backing, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_string_equal(err.msg, "is not in thin pool tp");
}

static void test_create(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(pool_lvm_create(&pool.pool, &volume, false, &err), 0);
	assert_did("create 18; ");
	assert_int_equal(pool_lvm_create(&pool.pool, &volume, false, &err), 0);
	assert_did("create 18; ");
	/* A blank one of another size is what an interrupted call has left. */
	world.size = 8 * MIB;
	assert_int_equal(pool_lvm_create(&pool.pool, &volume, false, &err), 0);
	assert_did("create 18; remove; create 18; ");
	for (int i = 0; i < 2; i++) {
		a_volume_is_there(i ? 8 * MIB : 20 * MIB, 65536);
		assert_int_equal(pool_lvm_create(&pool.pool, &volume, false, &err), -1);
		assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
		assert_non_null(strstr(err.msg, "vg/" LV " holds data and has no record"));
		assert_did("create 18; ");
	}
	world.there = false;
	world.lvm_fails = true;
	assert_int_equal(pool_lvm_create(&pool.pool, &volume, false, &err), -1);
	assert_string_equal(err.msg, "lvcreate failed");
}

/* One that lvm2 knows and the thin pool does not is made anew; one that just does not come stays. */
static void test_create_after_a_death_of_lvm2(void **state)
{
	struct err err;

	(void)state;
	a_volume_is_there(20 * MIB, 0);
	world.active = false;
	world.half_made = true;
	assert_int_equal(pool_lvm_create(&pool.pool, &volume, true, &err), 0);
	assert_did("create 18; activate; remove; create 18; ");
	world.half_made = world.active = false;
	world.stays_inactive = true;
	assert_int_equal(pool_lvm_create(&pool.pool, &volume, true, &err), -1);
	assert_did("create 18; activate; ");
}

/* A creation that is the first has made nothing, and a thin pool that cannot be read may say so of
 * a volume with data. */
static void test_create_never_removes_what_it_has_not_made(void **state)
{
	struct err err;

	(void)state;
	a_volume_is_there(20 * MIB, 65536);
	world.active = false;
	world.half_made = true;
	assert_int_equal(pool_lvm_create(&pool.pool, &volume, false, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "vg/" LV " has no record, cannot be looked at"));
	/* Perhaps the command that died has made it: the next call is not the first. */
	world.killed = true;
	assert_int_equal(pool_lvm_create(&pool.pool, &volume, false, &err), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	assert_did("create 18; activate; create 18; activate; ");
}

static void test_grow(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(pool_lvm_grow(&pool.pool, &volume, &err), -1);
	assert_int_equal(err.code, ERR_DATA_LOSS);
	a_volume_is_there(20 * MIB, 65536);
	volume.size_bytes = 19 * MIB;
	assert_int_equal(pool_lvm_grow(&pool.pool, &volume, &err), 0);
	assert_did("");
	volume.size_bytes = 41 * MIB;
	world.lvm_fails = true;
	assert_int_equal(pool_lvm_grow(&pool.pool, &volume, &err), -1);
	assert_string_equal(err.msg, "lvextend failed");
	assert_did("grow 41; refresh; ");
	/* The command failed, or was killed, when it had done its work. */
	world.grows_all_the_same = 44 * MIB;
	assert_int_equal(pool_lvm_grow(&pool.pool, &volume, &err), 0);
	assert_did("grow 41; refresh; ");
	world.size = 20 * MIB;
	world.grows_all_the_same = 24 * MIB;
	assert_int_equal(pool_lvm_grow(&pool.pool, &volume, &err), -1);
	assert_did("grow 41; refresh; ");
	world.size = 20 * MIB;
	world.lvm_fails = false;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pool_lvm_grow(&pool.pool, &volume, &err), 0);
	assert_did("grow 41; ");
	/* What hosts have open grows with it; a view of it does not. */
	world.below = NUMBER;
	assert_int_equal(pool_lvm_grow(&pool.pool, &volume, &err), 0);
	assert_did("dm 1234 41; resize through; ");
	world.below = NUMBER + 1;
	assert_int_equal(pool_lvm_grow(&pool.pool, &volume, &err), 0);
	assert_did("");
	volume.size_bytes = 40 * MIB;
	assert_int_equal(pool_lvm_grow(&pool.pool, &volume, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "backings are never cut"));
}

static void test_attach(void **state)
{
	char path[PATH_MAX];
	struct err err;

	(void)state;
	assert_int_equal(pool_lvm_attach(&pool.pool, &volume, false, &err), -1);
	assert_int_equal(err.code, ERR_DATA_LOSS);
	a_volume_is_there(16 * MIB, 0);
	assert_int_equal(pool_lvm_attach(&pool.pool, &volume, false, &err), -1);
	assert_int_equal(err.code, ERR_DATA_LOSS);
	assert_non_null(strstr(err.msg, "has 16777216 bytes, its record says 18874368"));
	assert_did("");

	/* Larger is as wrong: hosts may have seen what the record does not know of. */
	world.size = 44 * MIB;
	assert_int_equal(pool_lvm_attach(&pool.pool, &volume, false, &err), -1);
	assert_int_equal(err.code, ERR_DATA_LOSS);
	assert_non_null(strstr(err.msg, "says 18874368, which is 20971520 rounded up"));
	volume.growing_bytes = 40 * MIB;
	assert_int_equal(pool_lvm_attach(&pool.pool, &volume, false, &err), -1);
	volume.growing_bytes = 41 * MIB;
	assert_int_equal(pool_lvm_attach(&pool.pool, &volume, false, &err), 0);
	assert_did("dm 1234 18; through; ");
	world.size = 20 * MIB;
	assert_int_equal(pool_lvm_attach(&pool.pool, &volume, false, &err), 0);
	volume.growing_bytes = 0;
	assert_int_equal(pool_lvm_attach(&pool.pool, &volume, false, &err), 0);
	assert_did("dm 1234 18; through; dm 1234 18; through; ");
	pool_lvm_device_path(&pool.pool, &volume, false, path);
	assert_string_equal(path, "/dev/nvmeot-" UUID);
	assert_int_equal(pool_lvm_attach(&pool.pool, &volume, true, &err), 0);
	assert_did("view 18; ");
	pool_lvm_device_path(&pool.pool, &volume, true, path);
	assert_string_equal(path, "/dev/mapper/nvmeot-" UUID);
	volume.volatile_cache = true;
	assert_int_equal(pool_lvm_attach(&pool.pool, &volume, false, &err), 0);
	assert_did("dm 1234 18; ");
	pool_lvm_device_path(&pool.pool, &volume, false, path);
	assert_string_equal(path, "/dev/mapper/nvmeot-" UUID);

	assert_int_equal(pool_lvm_detach(&pool.pool, &volume.uuid, &err), 0);
	assert_did("no through; no dm; ");
}

static void test_list(void **state)
{
	cleanup_root_names struct root_names names = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(pool_lvm_list(&pool.pool, &names, &err), 0);
	assert_int_equal(names.count, 2);
	assert_string_equal(names.names[0], UUID);
	assert_string_equal(names.names[1], UUID2);
}

static void test_room(void **state)
{
	static const struct {
		const char *status, *warning;
	} rows[] = {
		{ "1 100/1000 10/160 - rw discard_passdown error_if_no_space - 256", "" },
		{ "1 899/1000 10/160 - rw discard_passdown error_if_no_space - 256", "" },
		{ "1 900/1000 10/160 - rw x", "the thin pool's metadata is 90% full" },
		{ "1 100/1000 10/160 - ro x", "is in mode \"ro\"" },
		{ "1 100/1000 10/160 - out_of_data_space x", "is in mode \"out_of_data_space\"" },
	};
	static const char *const failed[] = { NULL, "", "Fail", "Error", "1 2/3" };
	struct pool_room room;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		world.pool_status = rows[i].status;
		assert_int_equal(pool_lvm_room(&pool.pool, &room, &err), 0);
		assert_int_equal(room.capacity_bytes, 160 * 65536);
		assert_int_equal(room.free_bytes, 150 * 65536);
		assert_int_equal(room.closed, rows[i].warning[0] != '\0');
		assert_non_null(strstr(room.warning, rows[i].warning));
	}
	world.records_broken = true;
	assert_int_equal(pool_lvm_room(&pool.pool, &room, &err), 0);
	assert_true(room.closed);
	assert_non_null(strstr(room.warning, "file system of the records had an I/O error"));
	assert_non_null(strstr(room.warning, "in mode \"out_of_data_space\""));
	for (size_t i = 0; i < ARRAY_SIZE(failed); i++) {
		world.pool_status = failed[i];
		assert_int_equal(pool_lvm_room(&pool.pool, &room, &err), -1);
		assert_int_equal(err.code, ERR_UNAVAILABLE);
	}
}

static void test_allocation(void **state)
{
	struct pool_allocation allocation;
	struct err err;

	(void)state;
	a_volume_is_there(20 * MIB, 3 * 65536);
	assert_int_equal(pool_lvm_allocation(&pool.pool, &allocation, &err), 0);
	assert_int_equal(allocation.bytes, 0);
	assert_int_equal(allocation.overhead_bytes, RECORDS_BYTES);
	assert_int_equal(file_replace(&pool.pool.records, UUID ".json", "{}", &err), 0);
	assert_int_equal(pool_lvm_allocation(&pool.pool, &allocation, &err), 0);
	assert_int_equal(allocation.bytes, 3 * 65536);
	assert_int_equal(allocation.overhead_bytes, RECORDS_BYTES + 65536);
	/* One volume under two names. */
	assert_int_equal(file_replace(&pool.pool.records, UUID ".new.json", "{}", &err), 0);
	assert_int_equal(pool_lvm_allocation(&pool.pool, &allocation, &err), 0);
	assert_int_equal(allocation.bytes, 3 * 65536);
	assert_int_equal(allocation.overhead_bytes, RECORDS_BYTES + 65536);
	assert_int_equal(file_remove(&pool.pool.records, UUID ".new.json", &err), 0);
	/* What the records have taken is taken, and not taken twice. */
	world.records_mapped = RECORDS_BYTES;
	assert_int_equal(pool_lvm_allocation(&pool.pool, &allocation, &err), 0);
	assert_int_equal(allocation.bytes, 3 * 65536);
	assert_int_equal(allocation.overhead_bytes, 65536);
	assert_int_equal(file_remove(&pool.pool.records, UUID ".json", &err), 0);
}

/* What has no tag is never formatted, whatever is on it. */
static void test_records_are_formatted_once(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(ensure_records(&pool.lvm, "nvmeot-records-tp", &err), 0);
	assert_did("create 256nvmeot.formatting; make fs 256; untag nvmeot.formatting; ");
	assert_int_equal(ensure_records(&pool.lvm, "nvmeot-records-tp", &err), 0);
	assert_did("");
	world.formatting = true;
	world.make_fails = true;
	assert_int_equal(ensure_records(&pool.lvm, "nvmeot-records-tp", &err), -1);
	assert_string_equal(err.msg, "the records of thin pool vg/tp: no space");
	assert_did("make fs 256; ");
	world.make_fails = false;
	assert_int_equal(ensure_records(&pool.lvm, "nvmeot-records-tp", &err), 0);
	assert_did("make fs 256; untag nvmeot.formatting; ");
	world.formatting = false;
	world.active = false;
	assert_int_equal(ensure_records(&pool.lvm, "nvmeot-records-tp", &err), 0);
	assert_did("activate; ");
}

static void test_copy(void **state)
{
	struct volume copy = { .uuid = { UUID2 }, .size_bytes = 18 * MIB };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(pool_lvm_copy(&pool.pool, &copy, &volume, &err), -1);
	assert_int_equal(err.code, ERR_DATA_LOSS);
	assert_int_equal(pool_lvm_copy_is_whole(&pool.pool, &copy.uuid, &err), 0);
	a_volume_is_there(16 * MIB, 65536);
	assert_int_equal(pool_lvm_copy(&pool.pool, &copy, &volume, &err), -1);
	assert_int_equal(err.code, ERR_DATA_LOSS);
	assert_non_null(strstr(err.msg, "its record says 18874368"));
	world.size = 20 * MIB;
	assert_int_equal(pool_lvm_copy(&pool.pool, &copy, &volume, &err), 0);
	assert_did("snapshot nvmeot-" UUID2 " of " LV "; ");
	assert_int_equal(pool_lvm_copy_is_whole(&pool.pool, &copy.uuid, &err), 0);
	world.claims = 0;
	assert_int_equal(pool_lvm_copy_finish(&pool.pool, &copy, &err), 0);
	assert_did("untag nvmeot.copying; ");
	/* lvm2 is asked no more than whether it has the tag. */
	assert_int_equal(world.claims, 0);
	assert_int_equal(pool_lvm_copy_is_whole(&pool.pool, &copy.uuid, &err), 1);
	assert_int_equal(pool_lvm_copy_finish(&pool.pool, &copy, &err), 0);
	assert_did("");
	/* A larger one: it is whole only when it has its size. */
	world.copying = true;
	copy.size_bytes = 40 * MIB;
	assert_int_equal(pool_lvm_copy_finish(&pool.pool, &copy, &err), 0);
	assert_did("grow 40; untag nvmeot.copying; ");
	copy.uuid = volume.uuid;
	world.copying = world.lvm_fails = true;
	copy.size_bytes = 80 * MIB;
	assert_int_equal(pool_lvm_copy_finish(&pool.pool, &copy, &err), -1);
	assert_true(world.copying);
	assert_int_equal(pool_lvm_copy(&pool.pool, &copy, &volume, &err), -1);
}

/* Of what is there and whole, by the sizes of the volumes, not of the thin ones. */
static void test_extents(void **state)
{
	struct volume snapshot = { .uuid = { UUID2 }, .size_bytes = 18 * MIB };
	struct extents got = { .count = 1 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(pool_lvm_extents(&pool.pool, &snapshot, NULL, 0, &got, &err), -1);
	assert_int_equal(err.code, ERR_DATA_LOSS);
	a_volume_is_there(20 * MIB, 65536);
	world.claims = 0;
	assert_int_equal(pool_lvm_extents(&pool.pool, &snapshot, NULL, 4 * MIB, &got, &err), 0);
	assert_did("extents of nvmeot-" UUID2 " from nothing, 4 of 18; ");
	assert_int_equal(pool_lvm_extents(&pool.pool, &snapshot, &volume, 0, &got, &err), 0);
	assert_did("extents of nvmeot-" UUID2 " from " LV ", 0 of 18; ");
	assert_int_equal(world.claims, 0);
	snapshot.size_bytes = 12 * MIB;
	assert_int_equal(pool_lvm_extents(&pool.pool, &volume, &snapshot, 0, &got, &err), -1);
	assert_int_equal(err.code, ERR_DATA_LOSS);
	assert_did("");
}

/* Of what may be gone; lvm2 is not asked. */
static void test_used(void **state)
{
	struct uuid uuid = { UUID2 };
	struct err err = ERR_INIT;
	uint64_t bytes = 0;

	(void)state;
	assert_int_equal(pool_lvm_ops.used(&pool.pool, &uuid, 17, &bytes, &err), 1);
	assert_int_equal(bytes, 3 * MIB);
	assert_int_equal(world.claims, 0);
	assert_did("own of nvmeot-" UUID2 " since 17; ");
}

/* What is shared is in the sum of all thin volumes as often as it is shared. */
static void test_shared_blocks_count_once(void **state)
{
	struct pool_allocation sum;
	struct err err = ERR_INIT;
	struct volume recorded = { .uuid = { UUID },
				   .name = (char *)"pvc-1",
				   .size_bytes = 18 * MIB };

	(void)state;
	a_volume_is_there(20 * MIB, 10 * MIB);
	world.records_mapped = 256 * MIB;
	world.pool_status =
		"1 50/1024 4200/10000 - rw"; /* 4096 chunks of 64 KiB are the records' */
	recorded.state = VOLUME_READY;
	assert_int_equal(record_save(&pool.pool.records, &recorded, &err), 0);
	assert_int_equal(pool_lvm_allocation(&pool.pool, &sum, &err), 0);
	assert_int_equal(sum.bytes, 10 * MIB);
	pool.pool.shares = true;
	assert_int_equal(pool_lvm_allocation(&pool.pool, &sum, &err), 0);
	assert_int_equal(sum.bytes, 104 * 65536);
	assert_int_equal(record_remove(&pool.pool.records, &recorded.uuid, &err), 0);
	while (spare_give(&pool.pool.records))
		;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_find),
		CASE(test_open_failures),
		CASE(test_find_is_cheap),
		CASE(test_doubt_is_not_blank),
		CASE(test_activation),
		CASE(test_others_are_left_alone),
		CASE(test_create),
		CASE(test_create_after_a_death_of_lvm2),
		CASE(test_create_never_removes_what_it_has_not_made),
		CASE(test_grow),
		CASE(test_attach),
		CASE(test_list),
		CASE(test_room),
		CASE(test_allocation),
		CASE(test_records_are_formatted_once),
		CASE(test_copy),
		CASE(test_extents),
		CASE(test_used),
		CASE(test_shared_blocks_count_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
