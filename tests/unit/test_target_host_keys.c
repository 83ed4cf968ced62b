/* SPDX-License-Identifier: Apache-2.0 */
/* Files of keys: what is written is read again, what is not understood is no key. */
#include "tests/unit/target_fixture.h"

#include "nvme/target/host_keys.h"
#include "tests/unit/dhchap_keys.h"

#define FILE_A "fast/" HOST_A ".keys"

static struct root *records(void)
{
	return &target_pool_find(target, "fast")->records;
}

static void test_what_is_saved_is_loaded(void **state)
{
	struct host_keys one = { .serial = 1, .keys.host = KEY_32 }, loaded;
	struct host_keys two = { .serial = 7, .keys = { KEY_OTHER_32, KEY_64 } };
	cleanup_root_names struct root_names names = { 0 };
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(host_keys_load(records(), HOST_A, &loaded, &err), 0);
	assert_ok(host_keys_save(records(), HOST_A, &one, &err), &err);
	assert_int_equal(host_keys_load(records(), HOST_A, &loaded, &err), 1);
	assert_int_equal(loaded.serial, 1);
	assert_true(dhchap_keys_equal(&loaded.keys, &one.keys));
	assert_ok(host_keys_save(records(), HOST_A, &two, &err), &err);
	assert_int_equal(host_keys_load(records(), HOST_A, &loaded, &err), 1);
	assert_int_equal(loaded.serial, 7);
	assert_true(dhchap_keys_equal(&loaded.keys, &two.keys));
	assert_int_equal(fstatat(root.fd, FILE_A, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_ok(host_keys_list(records(), &names, &err), &err);
	assert_int_equal(names.count, 1);
	assert_string_equal(names.names[0], HOST_A);
	assert_ok(host_keys_remove(records(), HOST_A, &err), &err);
	assert_ok(host_keys_remove(records(), HOST_A, &err), &err);
	assert_false(there(FILE_A));
}

static void test_longest_name(void **state)
{
	struct host_keys one = { .serial = 1, .keys.host = KEY_32 };
	struct err err = ERR_INIT;
	char nqn[NQN_SIZE];

	(void)state;
	memset(nqn, 'x', NQN_MAX_LEN);
	memcpy(nqn, "nqn.2014-08.org:", 16);
	nqn[NQN_MAX_LEN] = '\0';
	assert_ok(host_keys_save(records(), nqn, &one, &err), &err);
	assert_int_equal(host_keys_load(records(), nqn, &one, &err), 1);
}

static void test_malformed(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"1\n",
		"1 1\n",
		"1 1 \n",
		"2 1 " KEY_32 "\n",
		"1 0 " KEY_32 "\n",
		"1 x " KEY_32 "\n",
		"1 " KEY_32 " " KEY_64 "\n",
		"1 1 " KEY_32,
		"1 1 " KEY_32 "\n\n",
		"1 1 " KEY_32 " " KEY_64 " \n",
		"1 1 " KEY_32 " " KEY_32 "\n",
		"1 1 " KEY_32 " x\n",
		"1 1  " KEY_32 "\n",
	};

	const char key_part[] = { KEY_32[10], KEY_32[11], KEY_32[12], KEY_32[13], 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct host_keys keys = { .serial = 42 };
		struct err err = ERR_INIT;
		int found;

		put(FILE_A, bad[i]);
		found = host_keys_load(records(), HOST_A, &keys, &err);
		if (found >= 0)
			fail_msg("%zu is taken for keys", i);
		assert_code(found, &err, ERR_DATA_LOSS);
		assert_says(err.msg, FILE_A);
		assert_null(strstr(err.msg, key_part));
		assert_int_equal(keys.serial, 42);
	}
}

static void test_other_files_are_no_keys(void **state)
{
	cleanup_root_names struct root_names names = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	put("fast/.keys", "");
	put("fast/other.keys", "");
	put("fast/." HOST_A ".keys.tmp", "");
	put("fast/" HOST_A ".key", "");
	assert_ok(host_keys_list(records(), &names, &err), &err);
	assert_int_equal(names.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_is_saved_is_loaded),
		CASE(test_longest_name),
		CASE(test_malformed),
		CASE(test_other_files_are_no_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
