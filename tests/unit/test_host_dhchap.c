/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of controllers on a made-up sysfs: what counts as authenticated, and what is changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>

#include "nvme/host/dhchap.h"
#include "tests/unit/dhchap_keys.h"
#include "tests/unit/host_tree.h"

#define CONTROLLER SUBSYS0 "/nvme0"

static const struct host_controller controller = { .name = "nvme0",
						   .path = CONTROLLER,
						   .nqn = NQN };

static void holds(const char *host, const char *ctrl)
{
	tree_put(CONTROLLER, "dhchap_secret", host);
	tree_put(CONTROLLER, "dhchap_ctrl_secret", ctrl);
}

static int ensure(const char *host, const char *ctrl, struct err *err)
{
	struct dhchap_keys keys = { 0 };
	int r;

	assert_int_equal(dhchap_keys_parse("host", host, "ctrl", ctrl, &keys, err), 0);
	r = host_dhchap_ensure(&tree, &controller, &keys, err);
	if (r < 0)
		assert_null(strstr(err->msg, "DHHC"));
	return r;
}

static void assert_held(const char *host, const char *ctrl)
{
	char value[ROOT_VALUE_SIZE];
	struct err err;

	assert_int_equal(root_read(&tree, value, &err, CONTROLLER "/dhchap_secret"), 1);
	assert_string_equal(value, host);
	assert_int_equal(root_read(&tree, value, &err, CONTROLLER "/dhchap_ctrl_secret"), 1);
	assert_string_equal(value, ctrl);
}

static void assert_refused(const char *host, const char *ctrl, const char *says)
{
	struct err err = ERR_INIT;

	assert_int_equal(ensure(host, ctrl, &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	if (!strstr(err.msg, says))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
}

static void test_kernel_without_keys(void **state)
{
	(void)state;
	tree_put(CONTROLLER, "state", "live");
	assert_refused(KEY_32, "", "CONFIG_NVME_HOST_AUTH");
	assert_false(host_dhchap_is_used(&tree, &controller));
}

static void test_session_without_key(void **state)
{
	(void)state;
	holds("none", "none");
	assert_refused(KEY_32, "", "nvme0 of " NQN " was connected without authentication");
	assert_false(host_dhchap_is_used(&tree, &controller));
	assert_held("none", "none");
}

static void test_session_of_the_other_way(void **state)
{
	(void)state;
	holds(KEY_32, "none");
	assert_refused(KEY_32, KEY_64, "authentication one-way, asked for is both-ways");
	holds(KEY_32, KEY_64);
	assert_refused(KEY_32, "", "authentication both-ways, asked for is one-way");
	assert_held(KEY_32, KEY_64);
}

static void test_the_same_keys_are_hidden_only(void **state)
{
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	holds(KEY_32, "none");
	assert_int_equal(fchmodat(tree.fd, CONTROLLER "/dhchap_secret", 0644, 0), 0);
	assert_int_equal(ensure(KEY_32, "", &err), 0);
	assert_int_equal(fstatat(tree.fd, CONTROLLER "/dhchap_secret", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_held(KEY_32, "none");
	assert_true(host_dhchap_is_used(&tree, &controller));
}

static void test_one_new_key_is_given(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	holds(KEY_32, KEY_64);
	assert_int_equal(ensure(KEY_OTHER_32, KEY_64, &err), 0);
	assert_held(KEY_OTHER_32, KEY_64);
	assert_int_equal(ensure(KEY_OTHER_32, KEY_48, &err), 0);
	assert_held(KEY_OTHER_32, KEY_48);
	assert_refused(KEY_32, KEY_64, "holds two other keys");
	assert_held(KEY_OTHER_32, KEY_48);
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TREE(test_kernel_without_keys),	IN_TREE(test_session_without_key),
		IN_TREE(test_session_of_the_other_way), IN_TREE(test_the_same_keys_are_hidden_only),
		IN_TREE(test_one_new_key_is_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
