/* SPDX-License-Identifier: Apache-2.0 */
/* The host's identity: each source, their order, what is refused, and that it stays the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/file.h"
#include "nvme/host/identity.h"

#define UUID "0d1b3f52-93c6-4c43-8a39-1b2b0d7a2c77"
#define NQN "nqn.2014-08.org.nvmexpress:uuid:" UUID
#define OTHER_NQN "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-4333-8444-555555555555"
#define MACHINE_ID "4f6a1c0e9b3d4d1f8a7c5e2b1d0f9e8c"

static char dir[] = "/tmp/test_host_identity.XXXXXX";
static struct root root = ROOT_INIT;

static int setup_dir(void **state)
{
	struct err err;

	(void)state;
	return mkdtemp(dir) && root_open(&root, dir, &err) == 0 ? 0 : -1;
}

static int remove_files(void **state)
{
	struct err err;

	(void)state;
	root_unlink(&root, &err, "nqn");
	root_unlink(&root, &err, "machine-id");
	root_unlink(&root, &err, "state/hostnqn");
	root_rmdir(&root, &err, "nqn");
	return root_rmdir(&root, &err, "state");
}

static int remove_dir(void **state)
{
	(void)state;
	root_close(&root);
	return rmdir(dir);
}

static void put(const char *name, const char *text)
{
	struct err err;

	assert_int_equal(file_replace(&root, name, text, &err), 0);
}

static int resolve(struct host_identity *ret, struct err *err)
{
	cleanup_free char *nqn = xasprintf("%s/nqn", dir);
	cleanup_free char *machine_id = xasprintf("%s/machine-id", dir);
	cleanup_free char *state_dir = xasprintf("%s/state", dir);

	return host_identity_resolve(nqn, state_dir, machine_id, ret, err);
}

static void expect(const char *nqn, const char *id)
{
	struct host_identity identity;
	struct err err = ERR_INIT;

	assert_int_equal(resolve(&identity, &err), 0);
	assert_string_equal(identity.nqn, nqn);
	if (id)
		assert_string_equal(identity.id.text, id);
}

static void expect_refusal(const char *part, const char *other_part)
{
	struct host_identity identity;
	struct err err = ERR_INIT;

	assert_int_equal(resolve(&identity, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, part));
	assert_non_null(strstr(err.msg, other_part));
	assert_false(root_exists(&root, "state/hostnqn"));
}

static void test_file_of_the_host_is_taken(void **state)
{
	(void)state;
	put("nqn", "  " NQN " \r\nsecond line\n");
	expect(NQN, UUID);
	assert_false(root_exists(&root, "state"));
}

static void test_host_id_is_canonical(void **state)
{
	(void)state;
	put("nqn", "nqn.2014-08.org.nvmexpress:uuid:0D1B3F52-93C6-4C43-8A39-1B2B0D7A2C77");
	expect("nqn.2014-08.org.nvmexpress:uuid:0D1B3F52-93C6-4C43-8A39-1B2B0D7A2C77", UUID);
}

static void test_nqn_without_uuid_has_a_stable_id(void **state)
{
	struct host_identity first, again, other;
	struct err err;

	(void)state;
	put("nqn", "nqn.2020-01.org.example:node-a");
	assert_int_equal(resolve(&first, &err), 0);
	assert_int_equal(resolve(&again, &err), 0);
	assert_string_equal(first.id.text, again.id.text);
	assert_int_equal(first.id.text[14], '5');
	put("nqn", "nqn.2020-01.org.example:node-b");
	assert_int_equal(resolve(&other, &err), 0);
	assert_string_not_equal(first.id.text, other.id.text);
}

static void test_malformed_nqn_is_refused(void **state)
{
	(void)state;
	put("machine-id", MACHINE_ID "\n");
	put("nqn", "not-an-nqn\n");
	expect_refusal("/nqn", "\"not-an-nqn\"");
}

static void test_directory_in_place_of_the_file_is_an_error(void **state)
{
	struct host_identity identity;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(root_mkdir(&root, &err, "nqn"), 0);
	assert_int_equal(resolve(&identity, &err), -1);
	assert_non_null(strstr(err.msg, "/nqn: Is a directory"));
}

/* The derived name is part of what the project promises: it must not change between versions. */
static void test_machine_id_gives_a_stable_nqn(void **state)
{
	(void)state;
	put("machine-id", MACHINE_ID "\n");
	expect("nqn.2014-08.org.nvmexpress:uuid:8f0ee843-3c83-5ace-a047-8179e010c1eb",
	       "8f0ee843-3c83-5ace-a047-8179e010c1eb");
}

static void test_derived_nqn_is_persisted(void **state)
{
	struct host_identity identity;
	struct err err;

	(void)state;
	put("machine-id", MACHINE_ID);
	assert_int_equal(resolve(&identity, &err), 0);
	put("machine-id", "00112233445566778899aabbccddeeff");
	expect(identity.nqn, identity.id.text);
	assert_int_equal(root_unlink(&root, &err, "machine-id"), 0);
	put("nqn", "\n");
	expect(identity.nqn, identity.id.text);
}

static void test_file_of_the_host_goes_before_the_persisted_one(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(root_mkdir(&root, &err, "state"), 0);
	put("nqn", NQN "\n");
	put("machine-id", MACHINE_ID);
	{
		cleanup_root struct root state_root = ROOT_INIT;
		cleanup_free char *path = xasprintf("%s/state", dir);

		assert_int_equal(root_open(&state_root, path, &err), 0);
		assert_int_equal(file_replace(&state_root, "hostnqn", OTHER_NQN, &err), 0);
	}
	expect(NQN, UUID);
	assert_int_equal(root_unlink(&root, &err, "nqn"), 0);
	expect(OTHER_NQN, "11111111-2222-4333-8444-555555555555");
}

static void test_without_any_source_nothing_is_made_up(void **state)
{
	(void)state;
	expect_refusal("/nqn", "machine-id is absent or empty");
	put("machine-id", "");
	expect_refusal("/nqn", "machine-id is absent or empty");
	put("machine-id", "uninitialized\n");
	expect_refusal("/nqn", "is uninitialized");
	put("machine-id", "abc\n");
	expect_refusal("machine-id", "\"abc\"");
	put("machine-id", "00000000000000000000000000000000\n");
	expect_refusal("machine-id", "\"00000000000000000000000000000000\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_file_of_the_host_is_taken, remove_files),
		cmocka_unit_test_teardown(test_host_id_is_canonical, remove_files),
		cmocka_unit_test_teardown(test_nqn_without_uuid_has_a_stable_id, remove_files),
		cmocka_unit_test_teardown(test_malformed_nqn_is_refused, remove_files),
		cmocka_unit_test_teardown(test_directory_in_place_of_the_file_is_an_error,
					  remove_files),
		cmocka_unit_test_teardown(test_machine_id_gives_a_stable_nqn, remove_files),
		cmocka_unit_test_teardown(test_derived_nqn_is_persisted, remove_files),
		cmocka_unit_test_teardown(test_file_of_the_host_goes_before_the_persisted_one,
					  remove_files),
		cmocka_unit_test_teardown(test_without_any_source_nothing_is_made_up, remove_files),
	};

	return cmocka_run_group_tests(tests, setup_dir, remove_dir);
}
