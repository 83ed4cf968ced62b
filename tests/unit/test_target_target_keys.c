/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pair of keys a host: who may have which, what is durable when, and what a restart brings
 * back. The tree has no kernel behind it: a host has the files for keys if the test put them there.
 */
#include "tests/unit/target_fixture.h"

#include "nvme/target/host_keys.h"
#include "nvme/target/record.h"
#include "tests/unit/dhchap_keys.h"

#define HOST_DIR "nvmet/hosts/" HOST_A
#define KEY_FILE HOST_DIR "/dhchap_key"
#define CTRL_FILE HOST_DIR "/dhchap_ctrl_key"
#define KEYS_FAST "fast/" HOST_A ".keys"
#define KEYS_SLOW "slow/" HOST_A ".keys"

static void put_host(const char *key, const char *ctrl)
{
	put(KEY_FILE, key);
	put(CTRL_FILE, ctrl);
}

/* The subsystem of a volume, as the kernel makes one. */
static void put_subsystem(const char *uuid)
{
	static const char *const files[][2] = {
		{ "attr_allow_any_host", "0" },
		{ "attr_serial", "" },
		{ "attr_model", "" },
		{ "namespaces/1/device_uuid", "" },
		{ "namespaces/1/device_nguid", "" },
		{ "namespaces/1/device_path", "" },
		{ "namespaces/1/buffered_io", "0" },
		{ "namespaces/1/enable", "0" },
		{ "allowed_hosts/.keep", "" },
	};
	cleanup_free char *keep = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		cleanup_free char *path =
			xasprintf("nvmet/subsystems/" VOLUME_NQN_PREFIX "%s/%s", uuid, files[i][0]);

		put(path, files[i][1]);
	}
	keep = xasprintf("nvmet/subsystems/" VOLUME_NQN_PREFIX "%s/allowed_hosts/.keep", uuid);
	take_away(keep);
}

static int export_keyed(const char *uuid, const char *key, const char *ctrl, struct err *err)
{
	cleanup_volume struct volume ret = { 0 };
	struct volume_export e = want(HOST_A);
	struct dhchap_keys keys;
	int r;

	put_subsystem(uuid);
	assert_ok(dhchap_keys_parse("host", key, "ctrl", ctrl, &keys, err), err);
	e.dhchap = dhchap_keys_mode(&keys);
	r = target_export_keyed(target, uuid, &e, &keys, &ret, err);
	if (r < 0 && strstr(err->msg, "DHHC"))
		fail_msg("a key is in \"%s\"", err->msg);
	return r;
}

/* As far as an export gets here: to the ports, of which this tree can have none. */
static void assert_let_in(int r, const struct err *err)
{
	assert_code(r, err, ERR_INTERNAL);
	assert_says(err->msg, "no portal can be served");
}

static void assert_refused(int r, const struct err *err, const char *says)
{
	assert_code(r, err, ERR_FAILED_PRECONDITION);
	assert_says(err->msg, says);
}

static void assert_kernel_has(const char *key, const char *ctrl)
{
	char value[ROOT_VALUE_SIZE];
	struct err err;

	assert_int_equal(root_read(&root, value, &err, KEY_FILE), 1);
	assert_string_equal(value, key);
	assert_int_equal(root_read(&root, value, &err, CTRL_FILE), 1);
	assert_string_equal(value, ctrl);
}

static void assert_disk_has(const char *pool, uint64_t serial, const char *key)
{
	struct host_keys keys;
	struct err err = ERR_INIT;

	if (host_keys_load(&target_pool_find(target, pool)->records, HOST_A, &keys, &err) != 1)
		fail_msg("pool %s has no keys", pool);
	assert_int_equal(keys.serial, serial);
	assert_string_equal(keys.keys.host, key);
}

static void save_keys(const char *pool, uint64_t serial, const char *key, const char *ctrl)
{
	struct host_keys keys = { .serial = serial };
	struct err err;

	snprintf(keys.keys.host, sizeof(keys.keys.host), "%s", key);
	snprintf(keys.keys.ctrl, sizeof(keys.keys.ctrl), "%s", ctrl);
	assert_int_equal(
		host_keys_save(&target_pool_find(target, pool)->records, HOST_A, &keys, &err), 0);
}

/* A volume whose record says that HOST_A, a host of our making, has it with these keys. */
static void exported_before(const char *uuid, const char *pool, enum dhchap_mode mode)
{
	struct volume_export e = want(HOST_A);
	cleanup_volume struct volume volume = { 0 };
	struct err err = ERR_INIT;

	assert_ok(create(uuid, pool, &err), &err);
	volume = get(uuid);
	e.host_made = true;
	e.dhchap = mode;
	volume_add_export(&volume, &e);
	assert_ok(record_save(&target_pool_find(target, pool)->records, &volume, &err), &err);
}

/* UUID is exported with the key, and the kernel's host has its files, empty. */
static void start_with(const char *key, const char *ctrl)
{
	exported_before(UUID, "fast", *ctrl ? DHCHAP_BOTH_WAYS : DHCHAP_ONE_WAY);
	save_keys("fast", 1, key, ctrl);
	put_host("", "");
	restart();
	assert_kernel_has(key, ctrl);
}

static void test_kernel_without_keys(void **state)
{
	cleanup_volume struct volume volume = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(create(UUID, "fast", &err), &err);
	assert_refused(export_keyed(UUID, KEY_32, "", &err), &err, "CONFIG_NVME_TARGET_AUTH");
	volume = get(UUID);
	assert_int_equal(volume.export_count, 0);
	assert_false(there(HOST_DIR));
	assert_false(there(KEYS_FAST));
	assert_int_equal(target->hosts.count, 0);
}

static void test_host_of_somebody_else(void **state)
{
	cleanup_volume struct volume volume = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(create(UUID, "fast", &err), &err);
	put_host(KEY_OTHER_32, "");
	assert_refused(export_keyed(UUID, KEY_32, "", &err), &err, "was not made by this target");
	put_host("", "");
	assert_refused(export_keyed(UUID, KEY_32, "", &err), &err, "was not made by this target");
	put_host(KEY_32, KEY_64);
	assert_refused(export_keyed(UUID, KEY_32, "", &err), &err, "was not made by this target");
	assert_false(there(KEYS_FAST));
	put_host(KEY_32, "");
	assert_let_in(export_keyed(UUID, KEY_32, "", &err), &err);
	volume = get(UUID);
	assert_int_equal(volume.exports[0].dhchap, DHCHAP_ONE_WAY);
	assert_false(volume.exports[0].host_made);
	assert_disk_has("fast", 1, KEY_32);
}

static void test_one_secret_a_host(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	start_with(KEY_32, "");
	assert_ok(create(OTHER, "slow", &err), &err);
	assert_refused(export_keyed(OTHER, KEY_OTHER_32, "", &err), &err,
		       "all volumes of a node use one secret");
	assert_refused(export_keyed(OTHER, KEY_32, KEY_64, &err), &err,
		       "all volumes of a node use one secret");
	assert_refused(export_to(OTHER, HOST_A, &err), &err,
		       "authentication one-way, asked for is none: all volumes of a node");
	assert_refused(export_to(UUID, HOST_A, &err), &err, "authentication one-way");
	assert_kernel_has(KEY_32, "");
	assert_false(there(KEYS_SLOW));
	assert_let_in(export_keyed(OTHER, KEY_32, "", &err), &err);
	assert_disk_has("slow", 1, KEY_32);
}

static void test_no_secret_beside_volumes_without(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	put_host(KEY_32, "");
	assert_ok(create(UUID, "fast", &err), &err);
	assert_ok(create(OTHER, "fast", &err), &err);
	put_subsystem(UUID);
	assert_let_in(export_to(UUID, HOST_A, &err), &err);
	assert_refused(export_keyed(OTHER, KEY_32, "", &err), &err, "authentication none");
	assert_refused(export_keyed(UUID, KEY_32, "", &err), &err, "authentication none");
	assert_false(there(KEYS_FAST));
}

static void test_change_of_the_secret(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	start_with(KEY_32, "");
	assert_ok(create(OTHER, "slow", &err), &err);
	assert_let_in(export_keyed(OTHER, KEY_32, "", &err), &err);
	assert_let_in(export_keyed(UUID, KEY_OTHER_32, "", &err), &err);
	assert_kernel_has(KEY_OTHER_32, "");
	assert_disk_has("fast", 2, KEY_OTHER_32);
	assert_disk_has("slow", 1, KEY_32);
	/* The newest counts, whichever pool is asked first. */
	restart();
	assert_kernel_has(KEY_OTHER_32, "");
	assert_let_in(export_keyed(OTHER, KEY_OTHER_32, "", &err), &err);
	assert_disk_has("slow", 2, KEY_OTHER_32);
	/* The pool of the newest one changes hands. */
	assert_let_in(export_keyed(OTHER, KEY_32, "", &err), &err);
	restart();
	assert_kernel_has(KEY_32, "");
}

static void test_one_key_at_a_time(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	start_with(KEY_32, KEY_64);
	assert_refused(export_keyed(UUID, KEY_OTHER_32, KEY_48, &err), &err,
		       "both secrets of host " HOST_A " are new");
	assert_kernel_has(KEY_32, KEY_64);
	assert_let_in(export_keyed(UUID, KEY_OTHER_32, KEY_64, &err), &err);
	assert_kernel_has(KEY_OTHER_32, KEY_64);
	assert_let_in(export_keyed(UUID, KEY_OTHER_32, KEY_48, &err), &err);
	assert_kernel_has(KEY_OTHER_32, KEY_48);
	assert_refused(export_keyed(UUID, KEY_OTHER_32, "", &err), &err,
		       "authentication both-ways");
}

/* The disk first: a key that only the kernel has would lock the host out at the next start. */
static void test_each_step_of_a_change_fails(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	start_with(KEY_32, "");
	assert_int_equal(root_mkdir(&root, &err, "fast/." HOST_A ".keys.tmp"), 0);
	assert_code(export_keyed(UUID, KEY_OTHER_32, "", &err), &err, ERR_INTERNAL);
	assert_kernel_has(KEY_32, "");
	assert_disk_has("fast", 1, KEY_32);
	take_away("fast/." HOST_A ".keys.tmp");
	take_away(KEY_FILE);
	assert_int_equal(root_mkdir(&root, &err, KEY_FILE), 0);
	assert_code(export_keyed(UUID, KEY_OTHER_32, "", &err), &err, ERR_INTERNAL);
	assert_disk_has("fast", 2, KEY_OTHER_32);
	take_away(KEY_FILE);
	put_host(KEY_32, "");
	assert_let_in(export_keyed(UUID, KEY_OTHER_32, "", &err), &err);
	assert_kernel_has(KEY_OTHER_32, "");
	assert_disk_has("fast", 2, KEY_OTHER_32);
}

static void test_record_fails_after_the_keys(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(create(UUID, "fast", &err), &err);
	put_host(KEY_32, "");
	put_obstacle();
	assert_code(export_keyed(UUID, KEY_32, "", &err), &err, ERR_INTERNAL);
	take_away(OBSTACLE);
	/* Nobody has them: other ones are no second secret. */
	put_host(KEY_OTHER_32, "");
	assert_let_in(export_keyed(UUID, KEY_OTHER_32, "", &err), &err);
	assert_disk_has("fast", 2, KEY_OTHER_32);
}

static void test_host_without_its_key_is_not_let_in(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	exported_before(UUID, "fast", DHCHAP_ONE_WAY);
	put_host("", "");
	put(KEYS_FAST, "1 1 nonsense\n");
	put_subsystem(UUID);
	restart();
	assert_true(there(SUBSYSTEM));
	assert_false(there(SUBSYSTEM "/allowed_hosts/" HOST_A));
	/* Publishing the volume again gives them back. */
	assert_let_in(export_keyed(UUID, KEY_32, "", &err), &err);
	assert_true(there(SUBSYSTEM "/allowed_hosts/" HOST_A));
	assert_kernel_has(KEY_32, "");
	assert_disk_has("fast", 1, KEY_32);
}

/* A shared volume of HOST_A, whose key is lost, and of HOST_B, which needs none; a port serves it. */
static void shared_without_the_key_of_a(void)
{
	struct volume_export hosts[] = { want(HOST_A), want(HOST_B) };
	cleanup_volume struct volume volume = { 0 };
	struct err err = ERR_INIT;

	assert_ok(create(UUID, "fast", &err), &err);
	volume = get(UUID);
	hosts[0].dhchap = DHCHAP_ONE_WAY;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		hosts[i].access = VOLUME_MULTI_WRITER;
		hosts[i].host_made = true;
		volume_add_export(&volume, &hosts[i]);
	}
	assert_ok(record_save(&target_pool_find(target, "fast")->records, &volume, &err), &err);
	put_subsystem(UUID);
	put("nvmet/ports/1/addr_trtype", "tcp\n");
	put("nvmet/ports/1/addr_traddr", "127.0.0.1\n");
	put("nvmet/ports/1/addr_trsvcid", "4420\n");
	assert_ok(root_mkdir(&root, &err, "nvmet/ports/1/subsystems"), &err);
	restart();
}

static void test_lost_key_of_one_host_is_nothing_to_the_others(void **state)
{
	struct volume_export again = want(HOST_B);
	cleanup_volume struct volume ret = { 0 };
	struct uuid uuid = { UUID };
	struct volume_conditions found;
	struct err err = ERR_INIT;

	(void)state;
	shared_without_the_key_of_a();
	assert_true(there("nvmet/ports/1/subsystems/" VOLUME_NQN_PREFIX UUID));
	assert_true(there(SUBSYSTEM "/allowed_hosts/" HOST_B));
	assert_false(there(SUBSYSTEM "/allowed_hosts/" HOST_A));
	target_conditions(target, &uuid, &found);
	assert_string_equal(found.items[0].reason, "ExportMissing");
	assert_says(found.items[0].message, "does not let in host " HOST_A);
	again.access = VOLUME_MULTI_WRITER;
	assert_ok(target_export(target, UUID, &again, &ret, &err), &err);
	assert_false(there(SUBSYSTEM "/allowed_hosts/" HOST_A));
}

static void test_keys_go_with_the_last_volume(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	exported_before(OTHER, "slow", DHCHAP_ONE_WAY);
	save_keys("slow", 1, KEY_32, "");
	start_with(KEY_32, "");
	/* A kernel's directory goes with its files. */
	take_away(KEY_FILE);
	take_away(CTRL_FILE);
	assert_ok(target_unexport(target, UUID, HOST_A, &err), &err);
	assert_true(there(KEYS_FAST));
	assert_true(there(KEYS_SLOW));
	assert_ok(target_unexport(target, OTHER, HOST_A, &err), &err);
	assert_false(there(KEYS_FAST));
	assert_false(there(KEYS_SLOW));
	assert_int_equal(target->hosts.count, 0);
}

static void test_keys_of_no_volume_go_at_the_start(void **state)
{
	(void)state;
	save_keys("slow", 3, KEY_32, "");
	restart();
	assert_false(there(KEYS_SLOW));
	assert_int_equal(target->hosts.count, 0);
}

static void test_keys_stay_while_a_record_is_not_read(void **state)
{
	(void)state;
	save_keys("slow", 3, KEY_32, "");
	put("fast/" UUID ".json", "{ }");
	restart();
	assert_true(there(KEYS_SLOW));
	restart();
	assert_true(there(KEYS_SLOW));
	take_away("fast/" UUID ".json.bad");
	restart();
	assert_false(there(KEYS_SLOW));
}

/* What could not be removed must not look newer than the next keys. */
static void test_keys_that_stay_are_older_than_the_next(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	start_with(KEY_32, "");
	save_keys("slow", 5, KEY_OTHER_32, "");
	restart();
	assert_kernel_has(KEY_OTHER_32, "");
	take_away(KEY_FILE);
	take_away(CTRL_FILE);
	/* The pool slow hangs: nobody gets a turn. */
	target->turn_wait_ms = 10;
	for (int i = 0; i < TARGET_TURNS; i++)
		assert_int_equal(sem_trywait(&target->turns[1]), 0);
	assert_ok(target_unexport(target, UUID, HOST_A, &err), &err);
	assert_true(there(KEYS_SLOW));
	put_host(KEY_64, "");
	assert_let_in(export_keyed(UUID, KEY_64, "", &err), &err);
	assert_disk_has("fast", 6, KEY_64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_kernel_without_keys),
		CASE(test_host_of_somebody_else),
		CASE(test_one_secret_a_host),
		CASE(test_no_secret_beside_volumes_without),
		CASE(test_change_of_the_secret),
		CASE(test_one_key_at_a_time),
		CASE(test_each_step_of_a_change_fails),
		CASE(test_record_fails_after_the_keys),
		CASE(test_host_without_its_key_is_not_let_in),
		CASE(test_lost_key_of_one_host_is_nothing_to_the_others),
		CASE(test_keys_go_with_the_last_volume),
		CASE(test_keys_of_no_volume_go_at_the_start),
		CASE(test_keys_stay_while_a_record_is_not_read),
		CASE(test_keys_that_stay_are_older_than_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
