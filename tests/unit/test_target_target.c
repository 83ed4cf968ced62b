/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target without a kernel: nvmet's tree is a plain directory, in which every export fails after
 * its record is written. That is enough for all rules that do not depend on configfs.
 */
#include "tests/unit/target_fixture.h"

#include <pthread.h>

static bool exists(const char *format, const char *uuid)
{
	cleanup_free char *path = xasprintf("%s/fast/%s%s", dir, uuid, format);

	return access(path, F_OK) == 0;
}

static void test_create_get_delete(void **state)
{
	cleanup_volume struct volume made = { 0 }, none = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_int_equal(target_get(target, UUID, "fast", &made, &err), 0);
	assert_string_equal(made.pool, "fast");
	assert_string_equal(made.name, "pvc-1");
	assert_string_equal(made.parameters[0].value, "2");
	assert_int_equal(made.state, VOLUME_READY);
	assert_true(made.blank);
	assert_true(exists(".img", UUID) && exists(".json", UUID));

	assert_code(target_get(target, UUID, "slow", &none, &err), &err, ERR_NOT_FOUND);
	assert_code(target_get(target, OTHER, "", &none, &err), &err, ERR_NOT_FOUND);
	assert_code(target_get(target, UUID, "nopool", &none, &err), &err, ERR_NOT_FOUND);
	assert_code(target_get(target, "../x", "", &none, &err), &err, ERR_INVALID_ARGUMENT);
	assert_code(target_get(target, "", "", &none, &err), &err, ERR_INVALID_ARGUMENT);

	assert_int_equal(target_delete(target, UUID, "", &err), 0);
	assert_int_equal(target_delete(target, UUID, "", &err), 0);
	assert_false(exists(".img", UUID) || exists(".json", UUID));
	assert_code(target_get(target, UUID, "", &none, &err), &err, ERR_NOT_FOUND);
}

static void test_list_is_sorted(void **state)
{
	cleanup_volume_list struct volume_list all = { 0 }, empty = { 0 };
	struct err err = ERR_INIT;
	bool more = true;

	(void)state;
	assert_int_equal(target_list(target, "", 10, &empty, &more, &err), 0);
	assert_int_equal(empty.count, 0);
	assert_int_equal(create(OTHER, "slow", &err), 0);
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_int_equal(target_list(target, "", 10, &all, &more, &err), 0);
	assert_int_equal(all.count, 2);
	assert_false(more);
	assert_string_equal(all.volumes[0].uuid.text, UUID);
	assert_string_equal(all.volumes[1].uuid.text, OTHER);
}

static void test_create_again(void **state)
{
	cleanup_volume struct volume same = request(UUID), made = { 0 }, none = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_int_equal(target_create(target, &same, &made, &err), 0);
	assert_string_equal(made.pool, "fast");

	same.size_bytes *= 2;
	same.volatile_cache = false;
	assert_code(target_create(target, &same, &none, &err), &err, ERR_ALREADY_EXISTS);
	assert_non_null(strstr(err.msg, "size 1048576 (asked for: 2097152)"));
	assert_non_null(strstr(err.msg, "write cache volatile (asked for: none)"));
	assert_code(create(UUID, "slow", &err), &err, ERR_ALREADY_EXISTS);
	assert_non_null(strstr(err.msg, "pool fast (asked for: slow)"));
}

static void test_create_refusals(void **state)
{
	cleanup_volume struct volume huge = request(UUID), odd = request(UUID), none = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_code(create("../../etc/passwd", "", &err), &err, ERR_INVALID_ARGUMENT);
	assert_code(create(UUID, "nopool", &err), &err, ERR_INVALID_ARGUMENT);
	odd.size_bytes = 1000;
	assert_code(target_create(target, &odd, &none, &err), &err, ERR_INVALID_ARGUMENT);
	huge.size_bytes = 1ULL << 62;
	assert_code(target_create(target, &huge, &none, &err), &err, ERR_RESOURCE_EXHAUSTED);
	/* Nothing is left of it, so that a smaller one succeeds. */
	assert_false(exists(".img", UUID) || exists(".json", UUID));
	assert_int_equal(create(UUID, "fast", &err), 0);
}

static int no_room(struct pool *pool, const struct volume *volume, bool again, struct err *err)
{
	if (pool_dir_ops.create(pool, volume, again, err) < 0)
		return -1;
	return err_set(err, ERR_RESOURCE_EXHAUSTED, "no room for the last of it");
}

static int no_remove(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	(void)pool, (void)uuid;
	return err_set(err, ERR_UNAVAILABLE, "the disk is gone");
}

/* "No room" sends the caller elsewhere: it is said only when nothing is left here. */
static void test_create_that_cannot_be_taken_back(void **state)
{
	struct pool *pool = target_pool_find(target, "fast");
	const struct pool_ops *good = pool->ops;
	struct pool_ops ops = plain_ops();
	struct err err = ERR_INIT;

	(void)state;
	ops.create = no_room;
	pool->ops = &ops;
	assert_code(create(UUID, "fast", &err), &err, ERR_RESOURCE_EXHAUSTED);
	assert_false(exists(".img", UUID) || exists(".json", UUID));
	ops.remove = no_remove;
	assert_code(create(UUID, "fast", &err), &err, ERR_INTERNAL);
	assert_non_null(strstr(err.msg, "the disk is gone"));
	assert_non_null(strstr(err.msg, "no room for the last of it"));
	assert_true(exists(".img", UUID) && exists(".new.json", UUID));
	pool->ops = good;
	assert_int_equal(create(UUID, "fast", &err), 0);
}

static bool was_again; /* what the pool heard last */

static int refuse(struct pool *pool, const struct volume *volume, bool again, struct err *err)
{
	(void)pool, (void)volume;
	was_again = again;
	return err_set(err, ERR_FAILED_PRECONDITION, "it may hold data");
}

static int cut_short(struct pool *pool, const struct volume *volume, bool again, struct err *err)
{
	(void)pool, (void)volume;
	was_again = again;
	return err_set(err, ERR_DEADLINE_EXCEEDED, "killed");
}

static int no_find(struct pool *pool, const struct uuid *uuid, struct pool_backing *ret,
		   struct err *err)
{
	(void)pool, (void)uuid, (void)ret;
	return err_set(err, ERR_INTERNAL, "it cannot be looked at");
}

/* A pool may remove what it cannot look at only for a creation that an earlier call has begun. */
static void test_whose_a_backing_is(void **state)
{
	struct pool *pool = target_pool_find(target, "fast");
	const struct pool_ops *good = pool->ops;
	struct pool_ops ops = plain_ops();
	struct err err = ERR_INIT;

	(void)state;
	ops.create = refuse;
	ops.find = no_find;
	pool->ops = &ops;
	for (int i = 0; i < 2; i++) {
		assert_code(create(UUID, "fast", &err), &err, ERR_FAILED_PRECONDITION);
		assert_false(was_again || exists(".new.json", UUID));
	}
	assert_int_equal(provisioned("fast"), 0);
	ops.create = cut_short;
	for (int i = 0; i < 2; i++) {
		assert_code(create(UUID, "fast", &err), &err, ERR_INTERNAL);
		assert_int_equal(was_again, i);
		assert_true(exists(".new.json", UUID));
	}
	/* What an earlier call may have made is not forgotten because of a refusal. */
	ops.create = refuse;
	assert_code(create(UUID, "fast", &err), &err, ERR_INTERNAL);
	assert_true(was_again && exists(".new.json", UUID));
	pool->ops = good;
	assert_ok(create(UUID, "fast", &err), &err);
}

static void test_data_without_record_is_never_taken(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" UUID ".img", dir);
	struct err err = ERR_INIT;
	struct stat st;
	int fd;

	(void)state;
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "precious", 8), 8);
	assert_int_equal(close(fd), 0);
	assert_code(create(UUID, "fast", &err), &err, ERR_FAILED_PRECONDITION);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 8);
	assert_false(exists(".json", UUID));
}

static void test_written_volume_is_not_blank(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" UUID ".img", dir);
	cleanup_volume struct volume written = { 0 }, lost = { 0 };
	struct err err = ERR_INIT;
	int fd;

	(void)state;
	assert_int_equal(create(UUID, "fast", &err), 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 70000), 1);
	assert_int_equal(close(fd), 0);
	written = get(UUID);
	assert_false(written.blank);
	/* A backing that is gone is no blank one either. */
	assert_int_equal(unlink(path), 0);
	lost = get(UUID);
	assert_false(lost.blank);
}

/* The record comes first: a host whose export failed half-way holds the volume until unexport. */
static void test_failed_export_holds_the_volume(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
	assert_code(export_to(UUID, HOST_B, &err), &err, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, HOST_A));
	assert_code(target_delete(target, UUID, "", &err), &err, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, HOST_A));
	assert_true(exists(".img", UUID));

	/* Of a host that has none: no change. */
	assert_int_equal(target_unexport(target, UUID, HOST_B, &err), 0);
	assert_code(target_delete(target, UUID, "", &err), &err, ERR_FAILED_PRECONDITION);

	assert_int_equal(target_unexport(target, UUID, HOST_A, &err), 0);
	assert_int_equal(target_unexport(target, UUID, HOST_A, &err), 0);
	assert_int_equal(target_delete(target, UUID, "", &err), 0);
}

static void test_unexport_all(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(target_unexport(target, UUID, "", &err), 0);
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
	assert_int_equal(target_unexport(target, UUID, NULL, &err), 0);
	assert_int_equal(target_delete(target, UUID, "", &err), 0);
}

/* A killed fence leaves a session without an entry: only the whole way back is an answer. */
static void test_no_entry_is_no_fence(void **state)
{
	struct root nvmet = ROOT_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(root_open(&nvmet, target->nvmet.root.path, &err), &err);
	assert_ok(root_mkdir(&nvmet, &err, "subsystems/" VOLUME_NQN_PREFIX UUID), &err);
	assert_ok(target_unexport(target, UUID, HOST_A, &err), &err);
	assert_false(root_exists(&nvmet, "subsystems/" VOLUME_NQN_PREFIX UUID));
	root_close(&nvmet);
}

static void test_export_refusals(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" UUID ".img", dir);
	struct volume_export bad = want(HOST_A);
	cleanup_volume struct volume ret = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_NOT_FOUND);
	assert_code(export_to(UUID, "nqn.2020-01.org.x:../../a", &err), &err, ERR_INVALID_ARGUMENT);
	assert_code(export_to("x", HOST_A, &err), &err, ERR_INVALID_ARGUMENT);
	bad.access = (enum volume_access)7;
	assert_code(target_export(target, UUID, &bad, &ret, &err), &err, ERR_INVALID_ARGUMENT);
	assert_code(target_unexport(target, UUID, "host", &err), &err, ERR_INVALID_ARGUMENT);

	/* A lost backing is found before the host is written into the record. */
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_int_equal(unlink(path), 0);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_DATA_LOSS);
	assert_int_equal(target_delete(target, UUID, "", &err), 0);
}

static void test_info(void **state)
{
	cleanup_target_info struct target_info info = { 0 };
	const struct portal *portals;
	char text[PORTAL_TEXT_SIZE];
	size_t count;

	(void)state;
	assert_string_equal(target_id(target), "box-1");
	portals = target_portals(target, &count);
	assert_int_equal(count, 2);
	portal_format(&portals[0], text);
	assert_string_equal(text, "tcp://127.0.0.1:4420");
	target_info(target, &info);
	assert_int_equal(info.pool_count, 2);
	assert_string_equal(info.pools[1].name, "slow");
	assert_string_equal(info.pools[1].kind, "dir");
	assert_true(info.pools[0].capacity_bytes > 0);
	assert_int_equal(info.pools[0].provisioned_bytes, 0);
}

static void test_new_says_what_is_missing(void **state)
{
	cleanup_free char *pool = xasprintf("third=dir:%s/nvmet", dir);
	const char *pools[] = { pool };
	struct portal portal;
	struct target_config config = { .id = "Box",
					.pools = pools,
					.pool_count = 1,
					.portals = &portal,
					.portal_count = 1,
					.nvmet_path = dir };
	struct target *none = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(portal_parse("tcp://127.0.0.1:4420", &portal, &err), 0);
	assert_code(target_new(&config, &none, &err), &err, ERR_INVALID_ARGUMENT);
	config.id = "box";
	assert_code(target_new(&config, &none, &err), &err, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "modprobe -a nvmet nvmet-tcp"));
	config.pool_count = 0;
	assert_code(target_new(&config, &none, &err), &err, ERR_INVALID_ARGUMENT);
	assert_null(none);
}

/* A pool that hangs must not take every caller with it. */
static void test_busy_volume_does_not_wait(void **state)
{
	struct target_entry *entry;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(target_acquire(target, UUID, &entry, &err), 0);
	assert_code(create(UUID, "fast", &err), &err, ERR_ABORTED);
	assert_code(target_delete(target, UUID, "", &err), &err, ERR_ABORTED);
	assert_code(target_unexport(target, UUID, "", &err), &err, ERR_ABORTED);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_ABORTED);
	assert_int_equal(create(OTHER, "fast", &err), 0);
	target_release(target, entry);
	assert_int_equal(create(UUID, "fast", &err), 0);
}

static bool is_recorded_as_made(const char *uuid)
{
	cleanup_free char *path = xasprintf("%s/fast/%s.json", dir, uuid);
	char text[4096] = "";
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	return strstr(text, "\"hostMade\":true");
}

/* The exports fail, but the record says before that whose the hosts are. */
static void test_whose_a_host_is(void **state)
{
	cleanup_free char *a = xasprintf("%s/nvmet/hosts/" HOST_A, dir);
	cleanup_free char *b = xasprintf("%s/nvmet/hosts/" HOST_B, dir);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_int_equal(create(OTHER, "fast", &err), 0);
	assert_int_equal(mkdir(b, 0755), 0);
	assert_code(export_to(UUID, HOST_B, &err), &err, ERR_INTERNAL);
	assert_false(is_recorded_as_made(UUID));
	assert_int_equal(target_unexport(target, UUID, HOST_B, &err), 0);
	assert_int_equal(access(b, F_OK), 0);

	/* The second volume finds the host that the first one made. */
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
	assert_true(is_recorded_as_made(UUID));
	assert_int_equal(mkdir(a, 0755), 0);
	assert_code(export_to(OTHER, HOST_A, &err), &err, ERR_INTERNAL);
	assert_true(is_recorded_as_made(OTHER));
	assert_int_equal(target_unexport(target, UUID, HOST_A, &err), 0);
	assert_int_equal(access(a, F_OK), -1);
}

/* Empty and with an id of our range, but without one of our addresses: somebody else's. */
static void test_foreign_port_stays(void **state)
{
	cleanup_free char *port = xasprintf("%s/nvmet/ports/28170", dir);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(mkdir(port, 0755), 0);
	assert_int_equal(create(UUID, "fast", &err), 0);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
	assert_int_equal(target_unexport(target, UUID, HOST_A, &err), 0);
	assert_int_equal(access(port, F_OK), 0);
}

/* A page begins after any UUID, whether that volume is still there or not. */
static void test_pages(void **state)
{
	struct err err = ERR_INIT;
	char uuids[5][UUID_TEXT_SIZE];
	size_t seen = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(uuids); i++) {
		snprintf(uuids[i], UUID_TEXT_SIZE,
			 "%zu"
			 "%s",
			 i, &UUID[1]);
		assert_ok(create(uuids[i], i % 2 ? "fast" : "slow", &err), &err);
	}
	for (const char *after = ""; seen < ARRAY_SIZE(uuids);) {
		cleanup_volume_list struct volume_list page = { 0 };
		bool more = false;

		assert_ok(target_list(target, after, 2, &page, &more, &err), &err);
		assert_int_equal(page.count, seen < 4 ? 2 : 1);
		assert_int_equal(more, seen + page.count < ARRAY_SIZE(uuids));
		for (size_t i = 0; i < page.count; i++)
			assert_string_equal(page.volumes[i].uuid.text, uuids[seen++]);
		after = uuids[seen - 1];
		/* Gone before the next page begins after it. */
		assert_ok(target_delete(target, after, "", &err), &err);
	}
}

/* Whether a host is of our making is counted over all volumes, and forgotten with the last. */
static void test_hosts_are_counted(void **state)
{
	cleanup_free char *a = xasprintf("%s/nvmet/hosts/" HOST_A, dir);
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(create(OTHER, "fast", &err), &err);
	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_INTERNAL);
	assert_int_equal(mkdir(a, 0755), 0);
	assert_code(export_to(OTHER, HOST_A, &err), &err, ERR_INTERNAL);
	assert_true(target_made_host(target, HOST_A));
	assert_false(target_made_host(target, HOST_B));
	restart();
	assert_true(target_made_host(target, HOST_A));
	assert_ok(target_unexport(target, UUID, HOST_A, &err), &err);
	assert_true(target_made_host(target, HOST_A));
	assert_ok(target_unexport(target, OTHER, HOST_A, &err), &err);
	assert_false(target_made_host(target, HOST_A));
	assert_int_equal(target->hosts.count, 0);
}

/* --- read-only -------------------------------------------------------------------------------- */

static int export_as(const char *host, enum volume_access access, bool readonly, struct err *err)
{
	cleanup_volume struct volume ret = { 0 };
	struct volume_export e = want(host);

	e.access = access;
	e.readonly = readonly;
	return target_export(target, UUID, &e, &ret, err);
}

static void test_readers_and_writers_exclude_each_other(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(create(UUID, "fast", &err), &err);
	for (int readonly = 0; readonly < 2; readonly++) {
		assert_code(export_as(HOST_A, VOLUME_MULTI_WRITER, readonly, &err), &err,
			    ERR_INTERNAL);
		assert_code(export_as(HOST_B, VOLUME_MULTI_WRITER, !readonly, &err), &err,
			    ERR_FAILED_PRECONDITION);
		assert_says(err.msg, "host " HOST_A " holds it");
		assert_code(export_as(HOST_B, VOLUME_MULTI_READER, true, &err), &err,
			    ERR_FAILED_PRECONDITION);
		assert_code(export_as(HOST_B, VOLUME_MULTI_READER, false, &err), &err,
			    ERR_INVALID_ARGUMENT);
		assert_ok(target_unexport(target, UUID, "", &err), &err);
	}
}

static char steps[256]; /* what the pool was asked to do, and in what order */
static bool fails;

static void note_step(const char *what, bool readonly)
{
	size_t len = strlen(steps);

	snprintf(steps + len, sizeof(steps) - len, "%s%s ", what, readonly ? "-ro" : "");
}

static int note_attach(struct pool *pool, const struct volume *volume, bool readonly,
		       struct err *err)
{
	(void)pool, (void)volume;
	note_step("attach", readonly);
	return fails ? err_set(err, ERR_INTERNAL, "the test's own words") : 0;
}

static int note_detach(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	(void)pool, (void)uuid;
	note_step("detach", false);
	return fails ? err_set(err, ERR_INTERNAL, "the test's own words") : 0;
}

static int note_remove(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	note_step("remove", false);
	return pool_dir_ops.remove(pool, uuid, err);
}

static size_t export_count(const char *uuid)
{
	cleanup_volume struct volume volume = get(uuid);

	return volume.export_count;
}

/* What attach makes is there only while a record names a host, and goes before the backing. */
static void test_devices_of_exports_come_and_go(void **state)
{
	struct pool_ops ops = plain_ops();
	struct err err = ERR_INIT;

	(void)state;
	ops.attach = note_attach;
	ops.detach = note_detach;
	ops.remove = note_remove;
	target->pools[0]->ops = &ops;
	steps[0] = '\0';
	assert_ok(create(UUID, "fast", &err), &err);
	assert_string_equal(steps, "");
	assert_code(export_as(HOST_A, VOLUME_MULTI_READER, true, &err), &err, ERR_INTERNAL);
	assert_code(export_as(HOST_B, VOLUME_MULTI_READER, true, &err), &err, ERR_INTERNAL);
	assert_ok(target_unexport(target, UUID, HOST_B, &err), &err);
	assert_string_equal(steps, "attach-ro attach-ro ");

	steps[0] = '\0';
	fails = true;
	assert_code(target_unexport(target, UUID, HOST_A, &err), &err, ERR_INTERNAL);
	assert_int_equal(export_count(UUID), 1);
	fails = false;
	assert_ok(target_unexport(target, UUID, HOST_A, &err), &err);
	assert_string_equal(steps, "detach detach ");

	steps[0] = '\0';
	fails = true;
	assert_code(export_as(HOST_B, VOLUME_SINGLE_NODE, false, &err), &err, ERR_INTERNAL);
	assert_int_equal(export_count(UUID), 1);
	fails = false;
	assert_ok(target_unexport(target, UUID, HOST_B, &err), &err);
	assert_ok(target_delete(target, UUID, "", &err), &err);
	assert_string_equal(steps, "attach detach detach remove ");
	target->pools[0]->ops = &pool_dir_ops;
}

/* --- pools that hang -------------------------------------------------------------------------- */

/* All turns of one pool are taken, as by calls that hang; the other pool's volumes do not care. */
static void test_a_pool_that_hangs_holds_nobody_else(void **state)
{
	cleanup_target_info struct target_info info = { 0 };
	cleanup_volume_list struct volume_list list = { 0 };
	struct target_turn turns[TARGET_TURNS] = { 0 };
	cleanup_volume struct volume any = request("7e6f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a13");
	cleanup_volume struct volume made = { 0 };
	struct err err = ERR_INIT;
	bool more;

	(void)state;
	target->turn_wait_ms = 10;
	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(create(OTHER, "slow", &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(turns); i++)
		assert_ok(target_turn_take(target, target->pools[0], &turns[i], &err), &err);

	assert_code(export_to(UUID, HOST_A, &err), &err, ERR_UNAVAILABLE);
	assert_says(err.msg, "pool fast does not answer");
	assert_code(target_delete(target, UUID, "", &err), &err, ERR_UNAVAILABLE);
	assert_code(target_get(target, UUID, "", &made, &err), &err, ERR_UNAVAILABLE);
	assert_code(target_list(target, "", 10, &list, &more, &err), &err, ERR_UNAVAILABLE);
	assert_code(target_expand(target, UUID, "", 2 << 20, &made, &err), &err, ERR_UNAVAILABLE);
	assert_code(target_modify(target, UUID, "", NULL, 0, &made, &err), &err, ERR_UNAVAILABLE);
	target_info(target, &info);
	assert_says(info.pools[0].warning, "pool fast does not answer");
	assert_int_equal(info.pools[0].capacity_bytes, 0);
	assert_true(info.pools[1].capacity_bytes > 0);
	/* Its hosts can be fenced. */
	assert_ok(target_unexport(target, UUID, HOST_A, &err), &err);

	assert_ok(target_has(target, OTHER, "", &err), &err);
	assert_code(export_to(OTHER, HOST_A, &err), &err, ERR_INTERNAL);
	assert_ok(target_unexport(target, OTHER, "", &err), &err);
	assert_ok(target_create(target, &any, &made, &err), &err);
	assert_string_equal(made.pool, "slow");
	assert_ok(target_delete(target, OTHER, "slow", &err), &err);

	for (size_t i = 0; i < ARRAY_SIZE(turns); i++)
		target_turn_fini(&turns[i]);
	assert_ok(target_delete(target, UUID, "", &err), &err);
}

/* Whoever asks first holds it, however many ask at once. */
static void *export_to_one(void *host)
{
	struct err err = ERR_INIT;

	do {
		export_to(UUID, host, &err);
	} while (err.code == ERR_ABORTED);
	return err.code == ERR_FAILED_PRECONDITION ? NULL : host;
}

static void test_one_of_many_hosts(void **state)
{
	pthread_t threads[8];
	char hosts[ARRAY_SIZE(threads)][NQN_SIZE];
	struct err err = ERR_INIT;
	int holders = 0;
	void *holder;

	(void)state;
	assert_ok(create(UUID, "fast", &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		snprintf(hosts[i], NQN_SIZE, "nqn.2020-01.org.example:%zu", i);
		assert_int_equal(pthread_create(&threads[i], NULL, export_to_one, hosts[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &holder), 0);
		holders += holder != NULL;
	}
	assert_int_equal(holders, 1);
	assert_int_equal(export_count(UUID), 1);
	assert_ok(target_unexport(target, UUID, "", &err), &err);
}

/* What is looked at meanwhile: never anything wrong, never an orphan. */
static bool looks_well(const char *uuid)
{
	cleanup_target_orphans struct target_orphans orphans = { 0 };
	cleanup_target_info struct target_info info = { 0 };
	cleanup_volume_list struct volume_list page = { 0 };
	struct volume_conditions conditions;
	struct uuid key = { 0 };
	struct err err = ERR_INIT;
	bool more;

	strcpy(key.text, uuid);
	target_conditions(target, &key, &conditions);
	target_info(target, &info);
	return conditions.count == 0 && target_orphans(target, &orphans, &err) == 0 &&
	       orphans.count == 0 && target_list(target, uuid, 10, &page, &more, &err) == 0;
}

/* Many callers of the same two volumes: one at a time each, the others are told so. */
static void *hammer(void *failures)
{
	struct volume_parameter set = { .key = (char *)"k", .value = (char *)"v" };

	for (int i = 0; i < 40; i++) {
		cleanup_volume struct volume modified = { 0 };
		const char *uuid = i % 2 ? UUID : OTHER;
		struct err err = ERR_INIT;

		if ((create(uuid, "fast", &err) < 0 ||
		     target_modify(target, uuid, "", &set, 1, &modified, &err) < 0 ||
		     target_unexport(target, uuid, "", &err) < 0 ||
		     target_delete(target, uuid, "", &err) < 0) &&
		    err.code != ERR_ABORTED && err.code != ERR_NOT_FOUND)
			__atomic_add_fetch((int *)failures, 1, __ATOMIC_RELAXED);
		if (!looks_well(uuid))
			__atomic_add_fetch((int *)failures, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_threads(void **state)
{
	cleanup_volume_list struct volume_list list = { 0 };
	pthread_t threads[4];
	struct err err = ERR_INIT;
	int failures = 0;
	bool more;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, &failures), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(failures, 0);
	assert_int_equal(target_delete(target, UUID, "", &err), 0);
	assert_int_equal(target_delete(target, OTHER, "", &err), 0);
	assert_int_equal(target_list(target, "", 10, &list, &more, &err), 0);
	assert_int_equal(list.count, 0);
	assert_false(exists(".img", UUID) || exists(".json", UUID) || exists(".img", OTHER));
	assert_int_equal(provisioned("fast"), 0);
	assert_int_equal(target->entries.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_create_get_delete),
		CASE(test_list_is_sorted),
		CASE(test_create_again),
		CASE(test_create_refusals),
		CASE(test_create_that_cannot_be_taken_back),
		CASE(test_whose_a_backing_is),
		CASE(test_data_without_record_is_never_taken),
		CASE(test_written_volume_is_not_blank),
		CASE(test_failed_export_holds_the_volume),
		CASE(test_unexport_all),
		CASE(test_no_entry_is_no_fence),
		CASE(test_export_refusals),
		CASE(test_info),
		CASE(test_new_says_what_is_missing),
		CASE(test_busy_volume_does_not_wait),
		CASE(test_whose_a_host_is),
		CASE(test_foreign_port_stays),
		CASE(test_pages),
		CASE(test_hosts_are_counted),
		CASE(test_readers_and_writers_exclude_each_other),
		CASE(test_devices_of_exports_come_and_go),
		CASE(test_a_pool_that_hangs_holds_nobody_else),
		CASE(test_one_of_many_hosts),
		CASE(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
