/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start-up: what was begun is finished, what is bad is set aside and stops nobody, what is not ours
 * is left alone. nvmet's tree is a plain directory here.
 */
#include "nvme/base/log.h"
#include "nvme/target/record.h"
#include "tests/unit/target_fixture.h"

static int setup_dirs(void **state)
{
	return target_dirs_setup(state) < 0 ? -1 : target_dirs_add_port();
}

/* A record as this program writes it. */
static void put_record(const char *pool, const char *uuid, enum volume_state state,
		       uint64_t size_bytes, const char *host)
{
	cleanup_free char *path = xasprintf("%s/%s%s.json", pool, uuid,
					    state == VOLUME_CREATING ? ".new" : ""),
			  *text = NULL;
	cleanup_volume struct volume volume = { .size_bytes = size_bytes,
						.volatile_cache = true,
						.state = state };
	struct volume_export e = { .access = VOLUME_SINGLE_NODE };

	strcpy(volume.uuid.text, uuid);
	volume.name = xstrdup("pvc-1");
	if (host) {
		strcpy(e.host_nqn, host);
		volume_add_export(&volume, &e);
	}
	text = record_format(&volume);
	put(path, text);
}

static void put_image(const char *pool, const char *uuid, off_t size_bytes, const char *data)
{
	cleanup_free char *path = xasprintf("%s/%s.img", pool, uuid), *full = NULL;

	put(path, data);
	full = xasprintf("%s/%s", dir, path);
	assert_int_equal(truncate(full, size_bytes), 0);
}

static enum err_code found(const char *uuid)
{
	cleanup_volume struct volume volume = { 0 };
	struct err err = ERR_INIT;

	target_get(target, uuid, "", &volume, &err);
	return err.code;
}

static enum err_code create_sized(const char *uuid, uint64_t size_bytes)
{
	cleanup_volume struct volume want = { .size_bytes = size_bytes, .volatile_cache = true };
	cleanup_volume struct volume made = { 0 };
	struct err err = ERR_INIT;

	strcpy(want.uuid.text, uuid);
	strcpy(want.pool, "fast");
	want.name = xstrdup("pvc-1");
	target_create(target, &want, &made, &err);
	return err.code;
}

static void test_ready_volume_comes_back(void **state)
{
	(void)state;
	restart();
	assert_int_equal(create_sized(UUID, 8192), ERR_NONE);
	restart();
	assert_int_equal(found(UUID), ERR_NONE);
	assert_int_equal(create_sized(UUID, 8192), ERR_NONE);
	assert_int_equal(create_sized(UUID, 4096), ERR_ALREADY_EXISTS);
}

static void test_creating_is_rolled_forward(void **state)
{
	(void)state;
	put_record("fast", UUID, VOLUME_CREATING, 8192, NULL);
	put_record("fast", OTHER, VOLUME_CREATING, 8192, NULL);
	put_image("fast", OTHER, 0, "");
	restart();
	assert_int_equal(found(UUID), ERR_NONE);
	assert_int_equal(found(OTHER), ERR_NONE);
	assert_true(there("fast/" UUID ".json") && !there("fast/" UUID ".new.json"));
	restart();
	assert_int_equal(found(UUID), ERR_NONE);
}

/* As records were written once: its text says it, under the final name. */
static void put_creating_by_its_text(void)
{
	cleanup_volume struct volume volume = { .uuid = { UUID }, .size_bytes = 8192 };
	cleanup_free char *ready = NULL, *creating = NULL;
	char *at;

	volume.name = xstrdup("pvc-1");
	volume.volatile_cache = true;
	ready = record_format(&volume);
	at = strstr(ready, "\"ready\"");
	creating = xasprintf("%.*s\"creating\"%s", (int)(at - ready), ready, at + 7);
	put("fast/" UUID ".json", creating);
}

static void test_creating_by_its_text(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	put_creating_by_its_text();
	restart();
	assert_int_equal(found(UUID), ERR_NONE);
	/* A volume that has data by the next start is none that is being created. */
	put_image("fast", UUID, 8192, "data");
	restart();
	assert_int_equal(found(UUID), ERR_NONE);
	assert_int_equal(target_delete(target, UUID, "", &err), 0);
	assert_false(there("fast/" UUID ".json") || there("fast/" UUID ".img"));
}

static void test_creating_that_cannot_be_is_taken_back(void **state)
{
	(void)state;
	put_record("fast", UUID, VOLUME_CREATING, 1ULL << 60, NULL);
	put_image("fast", UUID, 0, "");
	restart();
	assert_int_equal(found(UUID), ERR_NOT_FOUND);
	assert_false(there("fast/" UUID ".json") || there("fast/" UUID ".new.json"));
	assert_false(there("fast/" UUID ".img"));
}

static void test_creating_never_removes_data(void **state)
{
	(void)state;
	put_record("fast", UUID, VOLUME_CREATING, 8192, NULL);
	put_image("fast", UUID, 8192, "precious");
	restart();
	assert_int_equal(found(UUID), ERR_NOT_FOUND);
	assert_true(there("fast/" UUID ".img"));
	assert_int_equal(create_sized(UUID, 8192), ERR_FAILED_PRECONDITION);
	assert_true(there("fast/" UUID ".img"));
}

/* Killed, or crashed, while its first record was written: nothing else was done for it. */
static void test_creation_that_never_began_is_dropped(void **state)
{
	static const char *const torn[] = { "", "{\"version\":1,\"uuid\":\"" UUID };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(torn); i++) {
		put("fast/" UUID ".new.json", torn[i]);
		restart();
		assert_int_equal(found(UUID), ERR_NOT_FOUND);
		assert_false(there("fast/" UUID ".new.json") ||
			     there("fast/" UUID ".new.json.bad"));
		assert_int_equal(create_sized(UUID, 8192), ERR_NONE);
		assert_int_equal(found(UUID), ERR_NONE);
		take_away("fast/" UUID ".json");
		take_away("fast/" UUID ".img");
	}
}

/* What a newer target began is left to it. */
static void test_creation_by_another_version_is_left_alone(void **state)
{
	(void)state;
	put("fast/" UUID ".new.json", "{\"version\":3}");
	restart();
	assert_int_equal(create_sized(UUID, 8192), ERR_FAILED_PRECONDITION);
	assert_true(there("fast/" UUID ".new.json"));
}

static void test_deleting_is_finished(void **state)
{
	(void)state;
	put_record("fast", UUID, VOLUME_DELETING, 8192, NULL);
	put_image("fast", UUID, 8192, "old");
	put_record("fast", OTHER, VOLUME_DELETING, 8192, NULL);
	/* Of a volume whose creation never came to its end. */
	put_record("fast", OTHER, VOLUME_CREATING, 8192, NULL);
	restart();
	assert_int_equal(found(UUID), ERR_NOT_FOUND);
	assert_int_equal(found(OTHER), ERR_NOT_FOUND);
	assert_false(there("fast/" OTHER ".new.json") || there("fast/" OTHER ".img"));
	assert_false(there("fast/" UUID ".img") || there("fast/" UUID ".json"));
	assert_false(there("fast/" OTHER ".json"));
}

/* Set aside, its data kept; neither created anew nor called absent; the others come up. */
static void test_bad_record_is_quarantined(void **state)
{
	struct volume_export e = { .host_nqn = HOST_A, .access = VOLUME_SINGLE_NODE };
	struct volume none = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	put("fast/" UUID ".json", "{\"version\":1,");
	put_image("fast", UUID, 8192, "precious");
	put("fast/notes.json", "{}");
	put_record("slow", OTHER, VOLUME_READY, 8192, NULL);
	put_image("slow", OTHER, 8192, "");
	for (int run = 0; run < 2; run++) {
		restart();
		assert_int_equal(found(OTHER), ERR_NONE);
		assert_false(there("fast/" UUID ".json"));
		assert_true(there("fast/" UUID ".json.bad"));
		assert_true(there("fast/notes.json.bad"));
		assert_int_equal(found(UUID), ERR_FAILED_PRECONDITION);
		assert_int_equal(create_sized(UUID, 8192), ERR_FAILED_PRECONDITION);
		assert_int_equal(target_delete(target, UUID, "", &err), -1);
		assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
		assert_non_null(strstr(err.msg, "fast/" UUID ".json.bad"));
		assert_int_equal(target_unexport(target, UUID, HOST_A, &err), -1);
		assert_int_equal(target_export(target, UUID, &e, &none, &err), -1);
		assert_true(there("fast/" UUID ".img"));
	}

	/* Repaired beside the one set aside. */
	put_record("fast", UUID, VOLUME_READY, 8192, NULL);
	restart();
	assert_int_equal(found(UUID), ERR_NONE);
}

/* It was being deleted while its creation had not come to its end: nothing makes it usable. */
static void test_bad_record_of_a_creation_that_was_deleted(void **state)
{
	(void)state;
	put("fast/" UUID ".json", "{\"version\":1,");
	put_record("fast", UUID, VOLUME_CREATING, 8192, NULL);
	put_image("fast", UUID, 8192, "");
	for (int run = 0; run < 3; run++) {
		cleanup_target_info struct target_info info = { 0 };

		restart();
		assert_true(there("fast/" UUID ".json.bad") && there("fast/" UUID ".new.json"));
		assert_false(there("fast/" UUID ".json"));
		assert_int_equal(found(UUID), ERR_FAILED_PRECONDITION);
		assert_int_equal(create_sized(UUID, 8192), ERR_FAILED_PRECONDITION);
		target_info(target, &info);
		assert_int_equal(info.pools[0].provisioned_bytes, 8192);
	}
	/* Repaired. */
	take_away("fast/" UUID ".json.bad");
	put_record("fast", UUID, VOLUME_DELETING, 8192, NULL);
	restart();
	assert_int_equal(found(UUID), ERR_NOT_FOUND);
	assert_false(there("fast/" UUID ".new.json") || there("fast/" UUID ".img"));
}

/* What a newer target wrote, and what cannot be read just now, is not this one's to rename. */
static void test_unreadable_record_stays(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	put("fast/" UUID ".json", "{\"version\":3,\"uuid\":\"" UUID "\"}");
	put("fast/" OTHER ".json/is-a-directory", "");
	restart();
	assert_true(there("fast/" UUID ".json") && there("fast/" OTHER ".json"));
	assert_false(there("fast/" UUID ".json.bad") || there("fast/" OTHER ".json.bad"));
	assert_int_equal(found(OTHER), ERR_FAILED_PRECONDITION);
	assert_int_equal(create_sized(UUID, 8192), ERR_FAILED_PRECONDITION);
	assert_int_equal(target_delete(target, UUID, "fast", &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "fast/" UUID ".json could not be read"));
}

static void test_record_of_another_volume_is_quarantined(void **state)
{
	cleanup_free char *from = xasprintf("%s/fast/" OTHER ".json", dir);
	cleanup_free char *to = xasprintf("%s/fast/" UUID ".json", dir);

	(void)state;
	put_record("fast", OTHER, VOLUME_READY, 8192, NULL);
	assert_int_equal(rename(from, to), 0);
	restart();
	assert_int_equal(found(UUID), ERR_FAILED_PRECONDITION);
	assert_int_equal(found(OTHER), ERR_NOT_FOUND);
}

static void test_volume_in_two_pools(void **state)
{
	cleanup_volume_list struct volume_list list = { 0 };
	cleanup_target_info struct target_info info = { 0 };
	struct err err = ERR_INIT;
	bool more;

	(void)state;
	put_record("fast", UUID, VOLUME_READY, 8192, NULL);
	put_record("slow", UUID, VOLUME_DELETING, 4096, NULL);
	/* Its deletion began before its creation came to its end: still one volume. */
	put_record("slow", UUID, VOLUME_CREATING, 4096, NULL);
	put_record("fast", OTHER, VOLUME_READY, 16384, NULL);
	put("slow/" OTHER ".json", "{");
	put_image("slow", OTHER, 32768, "data");
	restart();
	assert_int_equal(target_list(target, "", 10, &list, &more, &err), 0);
	assert_int_equal(list.count, 2);
	assert_string_equal(list.volumes[0].pool, "fast");
	assert_string_equal(list.volumes[1].pool, "fast");
	assert_true(there("slow/" UUID ".json") && there("slow/" OTHER ".json"));
	/* What lies there takes of its pool all the same: as recorded, or as it is. */
	target_info(target, &info);
	assert_int_equal(info.pools[0].provisioned_bytes, 8192 + 16384);
	assert_int_equal(info.pools[1].provisioned_bytes, 4096 + 32768);
}

/* An export in the tree, as far as plain directories can show one. */
static void put_export(const char *device_path)
{
	cleanup_free char *target_path = xasprintf("%s/nvmet/subsystems/" NQN, dir);
	struct err err;

	put("nvmet/subsystems/" NQN "/namespaces/1/device_path", device_path);
	assert_int_equal(root_symlink(&root, target_path, &err, "nvmet/ports/1/subsystems/" NQN),
			 0);
}

static bool is_linked(void)
{
	return there("nvmet/ports/1/subsystems/" NQN);
}

static void test_unknown_export_elsewhere_is_left(void **state)
{
	(void)state;
	put_export("/srv/other/" UUID ".img");
	restart();
	assert_true(is_linked());
}

static void test_unknown_export_of_a_missing_backing_is_left(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" UUID ".img", dir);

	(void)state;
	put_export(path);
	restart();
	assert_true(is_linked());
}

static void test_unknown_export_of_our_backing_is_cut(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" UUID ".img", dir);

	(void)state;
	put_image("fast", UUID, 8192, "data");
	put_export(path);
	restart();
	assert_false(is_linked());
	assert_true(there("fast/" UUID ".img"));
}

static void test_export_of_a_quarantined_volume_is_left(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" UUID ".img", dir);

	(void)state;
	put_image("fast", UUID, 8192, "data");
	put("fast/" UUID ".json", "");
	put_export(path);
	restart();
	assert_true(is_linked());
}

static void test_export_that_the_record_ended_is_cut(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" UUID ".img", dir);

	(void)state;
	put_record("fast", UUID, VOLUME_READY, 8192, NULL);
	put_image("fast", UUID, 8192, "data");
	put_export(path);
	restart();
	assert_false(is_linked());
}

/* One volume's export cannot be built: the host keeps the volume, the other volume is there. */
static void test_failed_export_stops_nobody(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	put_record("fast", UUID, VOLUME_READY, 8192, HOST_A);
	put_record("fast", OTHER, VOLUME_READY, 8192, NULL);
	put_image("fast", OTHER, 8192, "");
	restart();
	assert_int_equal(found(OTHER), ERR_NONE);
	assert_int_equal(target_delete(target, UUID, "", &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
}

/* A volume that is exported, and all of its subsystem that the kernel would make by itself. */
static void put_exported_volume(void)
{
	static const char *const attrs[] = { "attr_allow_any_host",
					     "attr_serial",
					     "attr_model",
					     "namespaces/1/device_uuid",
					     "namespaces/1/device_nguid",
					     "namespaces/1/device_path",
					     "namespaces/1/buffered_io",
					     "namespaces/1/enable",
					     "allowed_hosts/.keep" };

	put_record("fast", UUID, VOLUME_READY, 8192, HOST_A);
	put_image("fast", UUID, 8192, "data");
	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		cleanup_free char *path = xasprintf("nvmet/subsystems/" NQN "/%s", attrs[i]);

		put(path, "");
	}
	assert_int_equal(unlinkat(root.fd, "nvmet/subsystems/" NQN "/allowed_hosts/.keep", 0), 0);
}

/* Ports cannot be made in a plain directory: no portal works, and the target must still fence. */
static void test_no_portal_works(void **state)
{
	(void)state;
	put_exported_volume();
	restart();
	assert_true(there("nvmet/subsystems/" NQN "/allowed_hosts/" HOST_A));
	assert_int_equal(found(UUID), ERR_NONE);
	assert_false(is_linked());
}

/* Only the second one has a port. */
static void test_one_portal_works(void **state)
{
	struct volume_export e = { .host_nqn = HOST_A, .access = VOLUME_SINGLE_NODE };
	cleanup_volume struct volume volume = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	put_exported_volume();
	put("nvmet/ports/1/addr_trtype", "tcp\n");
	put("nvmet/ports/1/addr_traddr", "::1\n");
	put("nvmet/ports/1/addr_trsvcid", "4420\n");
	restart();
	assert_true(is_linked());
	if (target_export(target, UUID, &e, &volume, &err) < 0)
		fail_msg("%s", err.msg);
}

/* Its hosts cannot be listed; what the record ended of the other one is cut all the same. */
static void test_unreadable_export_stops_nobody(void **state)
{
	cleanup_free char *path = xasprintf("%s/fast/" UUID ".img", dir);

	(void)state;
	put("nvmet/subsystems/" VOLUME_NQN_PREFIX "0/allowed_hosts", "no directory");
	put_record("fast", UUID, VOLUME_READY, 8192, NULL);
	put_image("fast", UUID, 8192, "data");
	put_export(path);
	restart();
	assert_false(is_linked());
}

#define BEGUN(f) cmocka_unit_test_setup_teardown(f, setup_dirs, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BEGUN(test_ready_volume_comes_back),
		BEGUN(test_creating_is_rolled_forward),
		BEGUN(test_creating_by_its_text),
		BEGUN(test_creating_that_cannot_be_is_taken_back),
		BEGUN(test_creating_never_removes_data),
		BEGUN(test_creation_that_never_began_is_dropped),
		BEGUN(test_creation_by_another_version_is_left_alone),
		BEGUN(test_deleting_is_finished),
		BEGUN(test_bad_record_is_quarantined),
		BEGUN(test_bad_record_of_a_creation_that_was_deleted),
		BEGUN(test_unreadable_record_stays),
		BEGUN(test_record_of_another_volume_is_quarantined),
		BEGUN(test_volume_in_two_pools),
		BEGUN(test_unknown_export_elsewhere_is_left),
		BEGUN(test_unknown_export_of_a_missing_backing_is_left),
		BEGUN(test_unknown_export_of_our_backing_is_cut),
		BEGUN(test_export_of_a_quarantined_volume_is_left),
		BEGUN(test_export_that_the_record_ended_is_cut),
		BEGUN(test_failed_export_stops_nobody),
		BEGUN(test_no_portal_works),
		BEGUN(test_one_portal_works),
		BEGUN(test_unreadable_export_stops_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
