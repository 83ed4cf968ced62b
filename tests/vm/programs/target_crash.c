/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target killed at every step: an operation runs in a child that is killed just before its
 * n-th changing system call, for every n until it comes through. After each kill configfs must not
 * admit a host that no record names, nor lead to a half-made export, nor a reader to what can be
 * written; a new process must restore itself, and the same call must then succeed: with one volume
 * of the right size, exactly its hosts, the pool's promises as large as the volume, and nothing
 * left over.
 *
 *	target_crash KIND ARGUMENT [EVERY]	of the pool: dir /path, lvm vg/thinpool
 *
 * With EVERY only each EVERY-th step of an operation is its last, for pools that are slow.
 */
#include "nvme/target/target_table.h" /* before the fixture has a variable of that name */
#include "tests/vm/programs/target_fixture.h"

#include "tests/vm/programs/kill_points.h"

#include <dirent.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "nvme/target/record.h"
#include "tests/unit/dhchap_keys.h"

/* The volume's life, in order; each operation begins where the one before it has ended. */
struct operation {
	const char *name;
	int (*act)(struct err *err);
	int (*undo)(struct err *err);	/* back to where it began, or on to where it may begin */
	int (*before)(struct err *err); /* once; NULL: nothing */
	bool restarts;			/* begins with a new process */
	size_t hosts;			/* that have the volume after it */
	bool readonly;			/* … and read only */
	bool keyed; /* … and authenticate themselves, if the kernel knows keys */
	bool gone;  /* there is no volume after it */
};

static int every = 1;
static uint64_t size_bytes = SIZE_BYTES; /* that the volume has after the operation */
static int value;			 /* of its mutable parameter; 0: it has none */

/* --- operations ------------------------------------------------------------------------------- */

static int create_volume(struct err *err)
{
	size_bytes = SIZE_BYTES;
	value = 0;
	return do_create(err);
}

static int export_a(struct err *err)
{
	return do_export(HOST_A, VOLUME_MULTI_WRITER, err);
}

static int export_b(struct err *err)
{
	return do_export(HOST_B, VOLUME_MULTI_WRITER, err);
}

static int export_reader(struct err *err)
{
	return do_export(HOST_A, VOLUME_MULTI_READER, err);
}

static int export_with(const char *key, struct err *err)
{
	cleanup_volume struct volume made = { 0 };
	struct volume_export want = { .host_nqn = HOST_A, .dhchap = DHCHAP_ONE_WAY };
	struct dhchap_keys keys = { 0 };

	strcpy(keys.host, key);
	return target_export_keyed(target, UUID, &want, &keys, &made, err);
}

static int export_keyed(struct err *err)
{
	return export_with(KEY_32, err);
}

static int change_key(struct err *err)
{
	return export_with(KEY_OTHER_32, err);
}

static int unexport_a(struct err *err)
{
	return target_unexport(target, UUID, HOST_A, err);
}

static int unexport_b(struct err *err)
{
	return target_unexport(target, UUID, HOST_B, err);
}

static int expand(struct err *err)
{
	cleanup_volume struct volume grown = { 0 };

	return target_expand(target, UUID, "p", size_bytes, &grown, err);
}

/* It does not shrink: the next time it grows to more. */
static int expand_on(struct err *err)
{
	(void)err;
	size_bytes += 4ULL << 20;
	return 0;
}

static int modify(struct err *err)
{
	char text[16];
	struct volume_parameter set = { .key = (char *)"queueSize", .value = text };
	cleanup_volume struct volume modified = { 0 };

	snprintf(text, sizeof(text), "%d", value);
	return target_modify(target, UUID, "p", &set, 1, &modified, err);
}

static int modify_on(struct err *err)
{
	(void)err;
	value++;
	return 0;
}

static int delete_volume(struct err *err)
{
	return target_delete(target, UUID, "", err);
}

/* Restores itself from records to an empty configfs. */
static int restart(struct err *err)
{
	if (target)
		stop();
	if (forget_configfs(err) < 0)
		return -1;
	return start(err);
}

static int nothing(struct err *err)
{
	(void)err;
	return 0;
}

static const struct operation operations[] = {
	{ "create", create_volume, delete_volume, .hosts = 0 },
	{ "export to A", export_a, unexport_a, .hosts = 1 },
	{ "export to B", export_b, unexport_b, .hosts = 2 },
	{ "expand", expand, expand_on, .before = expand_on, .hosts = 2 },
	{ "modify", modify, modify_on, .before = modify_on, .hosts = 2 },
	{ "restore two hosts", restart, nothing, .restarts = true, .hosts = 2 },
	{ "unexport A of two", unexport_a, export_a, .hosts = 1 },
	{ "unexport B, the last", unexport_b, export_b, .hosts = 0 },
	{ "export read-only", export_reader, unexport_a, .hosts = 1, .readonly = true },
	{ "restore a reader", restart, nothing, .restarts = true, .hosts = 1, .readonly = true },
	{ "unexport the reader", unexport_a, export_reader, .hosts = 0 },
	{ "export with a key", export_keyed, unexport_a, .hosts = 1, .keyed = true },
	{ "change of the key", change_key, export_keyed, .hosts = 1, .keyed = true },
	{ "restore with a key", restart, nothing, .restarts = true, .hosts = 1, .keyed = true },
	{ "unexport with a key", unexport_a, change_key, .hosts = 0, .keyed = true },
	{ "delete", delete_volume, create_volume, .gone = true },
};

/* --- killing ---------------------------------------------------------------------------------- */

static bool is_among(uint64_t number, const unsigned long numbers[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (number == numbers[i])
			return true;
	return false;
}

static const struct kill_call changing[] = {
	KILL_CALL(write),     KILL_CALL(pwrite64),  KILL_CALL(ftruncate), KILL_CALL(fallocate),
	KILL_CALL(ioctl),     KILL_CALL(fsync),	    KILL_CALL(fdatasync), KILL_CALL(mkdir),
	KILL_CALL(mkdirat),   KILL_CALL(rmdir),	    KILL_CALL(unlink),	  KILL_CALL(unlinkat),
	KILL_CALL(symlink),   KILL_CALL(symlinkat), KILL_CALL(rename),	  KILL_CALL(renameat),
	KILL_CALL(renameat2), KILL_CALL(mknod),	    KILL_CALL(mknodat),	  KILL_CALL(mount),
	KILL_CALL(umount2),   KILL_CALL(clone),	    KILL_CALL(clone3),	  KILL_CALL(vfork),
	KILL_CALL(sendto),    KILL_CALL(sendmsg),
};

/* Of one that stopped at a call of these. */
static bool changes_something(uint64_t number, const uint64_t args[])
{
	static const unsigned long asking[] = { FS_IOC_GETFLAGS,   BLKGETSIZE64,      BLKSSZGET,
						LOOP_GET_STATUS64, LOOP_CTL_GET_FREE, DM_VERSION,
						DM_DEV_STATUS,	   DM_TABLE_STATUS };

	if (number == SYS_ioctl && is_among(args[1], asking, ARRAY_SIZE(asking)))
		return false;
	if (number == SYS_write && args[0] == STDERR_FILENO)
		return false;
	return kill_find(changing, ARRAY_SIZE(changing), number) != NULL;
}

/*
 * Runs the operation up to its n-th changing call, of whichever thread; its programs are killed
 * with it. False when it has no such call and succeeds.
 */
static bool run_killed(const struct operation *operation, int n)
{
	struct kill_run run = { .changes = changes_something, .left = n };
	struct err err = ERR_INIT;
	int status;

	run.process = fork();
	assert_true(run.process >= 0);
	if (run.process == 0) {
		kill_begin_at(changing, ARRAY_SIZE(changing));
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

/* The entries of a directory of sysfs that have this file. */
static size_t count_devices(const char *prefix, const char *file)
{
	DIR *blocks = opendir("/sys/block");
	const struct dirent *entry;
	size_t count = 0;

	assert_non_null(blocks);
	while ((entry = readdir(blocks))) {
		cleanup_free char *path = xasprintf("/sys/block/%s/%s", entry->d_name, file);

		count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
			 access(path, F_OK) == 0;
	}
	closedir(blocks);
	return count;
}

/* Loop devices and dm devices in use. */
static size_t devices(void)
{
	return count_devices("loop", "loop/backing_file") + count_devices("dm-", "dm/name");
}

static size_t devices_at_first; /* before there is a volume */

/* The record, if there is one. Half-written it is of a creation that has not begun. */
static void load_left(struct pool *pool, struct volume *ret)
{
	struct uuid uuid = { UUID };
	struct pool_backing backing;
	struct err err = ERR_INIT;

	if (record_load(&pool->records, &uuid, ret, &err) >= 0)
		return;
	assert_int_equal(err.code, ERR_DATA_LOSS);
	assert_false(root_exists(&pool->records, UUID ".json"));
	assert_int_equal(pool_find(pool, &uuid, &backing, &err), 0);
}

/* Of what the killed process left: no host without a record, no way to a half-made export. */
static void assert_safe(void)
{
	cleanup_volume struct volume volume = { 0 };
	struct pool *pool = target ? target->pools[0] : NULL;
	cleanup_pool struct pool *opened = NULL;
	struct err err = ERR_INIT;
	char path[PATH_MAX];

	if (!pool)
		must(look_at_pool(&opened, &err), &err);
	pool = pool ?: opened;
	load_left(pool, &volume);
	if (allowed(HOST_A)) {
		const struct volume_export *held = volume_find_export(&volume, HOST_A);

		assert_non_null(held);
		if (held->dhchap != DHCHAP_NONE)
			assert_false(attr_equals("hosts/" HOST_A "/dhchap_key", ""));
	}
	if (allowed(HOST_B))
		assert_non_null(volume_find_export(&volume, HOST_B));
	if (!links())
		return;
	assert_true(complete());
	pool_device_path(pool, &volume, volume_is_readonly(&volume), path);
	assert_true(attr_equals("subsystems/" NQN "/namespaces/1/device_path", path));
}

/* Of a running target: nothing but the volume itself and what its exports need. */
static void assert_nothing_over(const struct volume *volume)
{
	cleanup_root_names struct root_names names = { 0 };
	struct pool *pool = target->pools[0];
	cleanup_target_info struct target_info info = { 0 };
	struct pool_backing backing;
	char path[PATH_MAX];
	struct uuid uuid = { UUID };
	struct err err = ERR_INIT;

	must(root_list(&pool->records, &names, &err, "."), &err);
	for (size_t i = 0; i < names.count; i++)
		if (names.names[i][0] == '.')
			fail_msg("left over: %s", names.names[i]);
	assert_int_equal(root_exists(&pool->records, UUID ".json"), volume != NULL);
	assert_false(root_exists(&pool->records, UUID ".new.json"));
	target_info(target, &info);
	assert_int_equal(info.pools[0].provisioned_bytes, volume ? volume->size_bytes : 0);
	assert_int_equal(pool_find(pool, &uuid, &backing, &err), volume ? 1 : 0);
	if (volume)
		assert_true(backing.size_bytes >= volume->size_bytes);
	else
		assert_int_equal(devices(), devices_at_first);
	/* Writers have a device of that name, too, in pools where a backing is no device itself. */
	if (volume && volume->export_count && !volume_is_readonly(volume))
		return;
	pool_device_path(pool, &(struct volume) { .uuid = uuid }, true, path);
	assert_int_equal(access(path, F_OK), volume && volume->export_count ? 0 : -1);
}

/* Of a running target: configfs has exactly what the volume's record says. */
static void assert_consistent(const struct volume *volume)
{
	size_t hosts = volume ? volume->export_count : 0;
	char path[PATH_MAX];

	assert_int_equal(count_in("subsystems"), hosts ? 1 : 0);
	assert_int_equal(links(), hosts ? 1 : 0);
	if (!hosts)
		return;
	assert_true(complete());
	assert_int_equal(count_in("subsystems/" NQN "/allowed_hosts"), hosts);
	if (volume->exports[0].dhchap != DHCHAP_NONE)
		assert_true(attr_equals("hosts/" HOST_A "/dhchap_key", KEY_32) ||
			    attr_equals("hosts/" HOST_A "/dhchap_key", KEY_OTHER_32));
	for (size_t i = 0; i < hosts; i++)
		assert_true(allowed(volume->exports[i].host_nqn));
	pool_device_path(target->pools[0], volume, volume_is_readonly(volume), path);
	assert_true(attr_equals("subsystems/" NQN "/namespaces/1/device_path", path));
}

/* The volume is what the operation makes of it. */
static void assert_done(const struct operation *operation, const struct volume *volume)
{
	assert_true(operation->gone == !volume);
	if (!volume)
		return;
	assert_int_equal(volume->export_count, operation->hosts);
	assert_int_equal(volume_is_readonly(volume), operation->readonly);
	if (operation->keyed && operation->act == export_keyed)
		assert_true(attr_equals("hosts/" HOST_A "/dhchap_key", KEY_32));
	else if (operation->keyed && operation->hosts)
		assert_true(attr_equals("hosts/" HOST_A "/dhchap_key", KEY_OTHER_32));
	assert_int_equal(volume->size_bytes, size_bytes);
	assert_int_equal(volume->mutable_count, value ? 1 : 0);
	if (value)
		assert_int_equal(atoi(volume->mutables[0].value), value);
}

/* Looks at everything; `done`: the operation must have come to its end. */
static void judge(const struct operation *operation, bool done)
{
	cleanup_volume_list struct volume_list list = { 0 };
	const struct volume *volume;
	struct err err = ERR_INIT;
	bool more;

	must(target_list(target, "", 2, &list, &more, &err), &err);
	assert_true(list.count <= 1);
	volume = list.count ? &list.volumes[0] : NULL;
	assert_consistent(volume);
	if (!done)
		return;
	assert_done(operation, volume);
	assert_nothing_over(volume);
}

/*
 * What is killed is a copy of the running target, so that each kill costs one start. An operation
 * that starts by itself begins with none, since only one process at a time may have the pool.
 */
static int crash_everywhere(const struct operation *operation)
{
	struct err err = ERR_INIT;
	int kills = 0;

	if (operation->before)
		must(operation->before(&err), &err);
	for (;; kills++) {
		if (operation->restarts)
			stop();
		if (!run_killed(operation, kills * every + every / 2))
			break;
		assert_safe();
		if (target)
			stop();
		must(start(&err), &err);
		judge(operation, false);
		must(operation->act(&err), &err);
		judge(operation, true);
		must(operation->undo(&err), &err);
	}
	if (target)
		stop();
	must(start(&err), &err);
	judge(operation, true);
	/* An operation that was never killed has proved nothing. */
	assert_true(kills * every > 2);
	print_message("%s: killed at %d steps\n", operation->name, kills);
	return kills;
}

/* Linux 6.1 has none. */
static bool kernel_knows_keys(void)
{
	struct err err = ERR_INIT;
	bool knows;

	must(root_mkdir(&tree, &err, "hosts/" HOST_A), &err);
	knows = root_exists(&tree, "hosts/" HOST_A "/dhchap_key");
	must(root_rmdir(&tree, &err, "hosts/" HOST_A), &err);
	return knows;
}

static void test_killed_at_every_step(void **state)
{
	struct err err = ERR_INIT;
	bool keys = kernel_knows_keys();
	int points = 0;

	(void)state;
	must(start(&err), &err);
	devices_at_first = devices();
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		points += keys || !operations[i].keyed ? crash_everywhere(&operations[i]) : 0;
	print_message("pool of kind %s: killed at %d points in all\n", pool_kind, points);
	assert_nothing_left();
	stop();
	assert_int_equal(devices(), devices_at_first);
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
