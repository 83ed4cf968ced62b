/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect, wait and disconnect as far as they are decided by sysfs alone; a made-up one stands
 * still, so nothing is ever connected here. What the kernel does: tests/vm/cases/host.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "nvme/host/connect.h"
#include "tests/unit/dhchap_keys.h"
#include "tests/unit/host_tree.h"
#include "tests/unit/listener.h"

static struct host host = HOST_INIT;
static struct host_connect_outcome outcome;

static int setup(void **state)
{
	return tree_setup(state) < 0 || tree_open_host(&host) < 0;
}

static int teardown(void **state)
{
	host_close(&host);
	return tree_teardown(state);
}

static void make_subsystem(const char *controller_state)
{
	tree_put("module/nvme_core/parameters", "multipath", "Y");
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(SUBSYS0 "/nvme0", HOST_NQN, HOST_ID, controller_state,
			"traddr=127.0.0.1,trsvcid=1");
}

static int connect_to(const char *list, struct err *err)
{
	struct host_connect_options options = host_connect_options_default();
	struct portal portals[PORTAL_MAX];
	size_t count;

	assert_int_equal(portal_parse_list(list, portals, &count, err), 0);
	return host_connect(&host, NQN, portals, count, &options, deadline_after_ms(5000), &outcome,
			    err);
}

static void test_connected_portal_is_enough(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	make_subsystem("connecting");
	assert_int_equal(connect_to("tcp://127.0.0.1:1", &err), 0);
	assert_int_equal(outcome.missing, 0);
	/* Port 2 refuses, which is only told. */
	assert_int_equal(connect_to("tcp://127.0.0.1:2,tcp://127.0.0.1:1", &err), 0);
	assert_int_equal(outcome.missing, 1);
	assert_int_equal(outcome.rejected, 0);
	assert_non_null(strstr(outcome.reasons, "tcp://127.0.0.1:2: TCP connection refused"));
}

static void test_no_portal_gives_each_reason(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	make_subsystem("deleting");
	assert_int_equal(connect_to("tcp://127.0.0.1:1,tcp://127.0.0.1:2", &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(
		strstr(err.msg, "connect " NQN ": tcp://127.0.0.1:1: TCP connection refus"));
	assert_non_null(strstr(err.msg, "; tcp://127.0.0.1:2: TCP connection refused"));
}

static void test_controller_of_another_host_is_not_ours(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	make_subsystem("live");
	tree_put(SUBSYS0 "/nvme0", "hostnqn", OTHER_HOST_NQN);
	tree_put(SUBSYS0 "/nvme0", "hostid", OTHER_HOST_ID);
	assert_int_equal(connect_to("tcp://127.0.0.1:1", &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
}

static void test_conflict_anywhere_stops_the_connect(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	make_subsystem("live");
	tree_subsystem(SUBSYS1, OTHER_NQN);
	tree_controller(SUBSYS1 "/nvme1", HOST_NQN, OTHER_HOST_ID, "live", ADDRESS);
	assert_int_equal(connect_to("tcp://127.0.0.1:1", &err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
}

struct slow_connect {
	struct portal portal;
	atomic_bool done;
};

static void *connect_slowly(void *data)
{
	struct host_connect_options options = host_connect_options_default();
	struct host_connect_outcome slow_outcome;
	struct slow_connect *slow = data;
	struct err err = ERR_INIT;

	host_connect(&host, OTHER_NQN, &slow->portal, 1, &options, deadline_after_ms(5000),
		     &slow_outcome, &err);
	atomic_store(&slow->done, true);
	return NULL;
}

/* With a path there, the others come later: volumes of one subsystem queue for a connect. */
static void test_silent_portal_beside_a_connected_one(void **state)
{
	struct portal portal;
	cleanup_close int fd = listener_open(&portal);
	char silent[PORTAL_TEXT_SIZE], list[PORTAL_TEXT_SIZE + 32];
	uint64_t begun_ns = clock_now_ns();
	struct err err = ERR_INIT;

	(void)state;
	make_subsystem("live");
	portal_format(&portal, silent);
	snprintf(list, sizeof(list), "%s,tcp://127.0.0.1:1", silent);
	assert_int_equal(connect_to(list, &err), 0);
	assert_int_equal(outcome.missing, 1);
	assert_non_null(strstr(outcome.reasons, "stays silent"));
	assert_true(clock_now_ns() - begun_ns < 1500 * NS_PER_MS);
}

/* Who waits for a portal that stays silent waits alone. */
static void test_silent_portal_holds_nobody_up(void **state)
{
	struct slow_connect slow = { .done = false };
	cleanup_close int fd = listener_open(&slow.portal);
	struct pollfd reached = { .fd = fd, .events = POLLIN };
	struct err err = ERR_INIT;
	pthread_t thread;

	(void)state;
	make_subsystem("live");
	assert_int_equal(pthread_create(&thread, NULL, connect_slowly, &slow), 0);
	assert_int_equal(poll(&reached, 1, 20000), 1);
	assert_int_equal(connect_to("tcp://127.0.0.1:2,tcp://127.0.0.1:1", &err), 0);
	assert_int_equal(host_disconnect(&host, OTHER_NQN, deadline_after_ms(0), &err), 0);
	assert_false(atomic_load(&slow.done));
	pthread_join(thread, NULL);
}

/* The listener must not be touched, because without multipath one connection is enough. */
static void test_without_multipath_no_second_portal_is_tried(void **state)
{
	struct portal portal;
	cleanup_close int fd = listener_open(&portal);
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	cleanup_free char *list = NULL;
	struct err err = ERR_INIT;

	(void)state;
	list = xasprintf("tcp://127.0.0.1:%u,tcp://127.0.0.1:1", portal.port);
	make_subsystem("live");
	tree_put("module/nvme_core/parameters", "multipath", "N");
	assert_int_equal(connect_to(list, &err), 0);
	assert_int_equal(outcome.missing, 0);
	assert_int_equal(poll(&pollfd, 1, 0), 0);
}

static int connect_with_key(struct err *err)
{
	struct host_connect_options options = host_connect_options_default();
	struct portal portals[PORTAL_MAX];
	size_t count;

	strcpy(options.keys.host, KEY_32);
	assert_int_equal(portal_parse_list("tcp://127.0.0.1:1", portals, &count, err), 0);
	return host_connect(&host, NQN, portals, count, &options, deadline_after_ms(5000), &outcome,
			    err);
}

static void expect_key(const char *path, const char *expected)
{
	char value[ROOT_VALUE_SIZE];
	struct err err = ERR_INIT;

	assert_int_equal(root_read(&tree, value, &err, "%s/dhchap_secret", path), 1);
	assert_string_equal(value, expected);
}

/* A session that was there before counts as any other: only with the key. */
static void test_session_without_its_key_does_not_count(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	make_subsystem("live");
	assert_int_equal(connect_with_key(&err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "CONFIG_NVME_HOST_AUTH"));
	tree_put(SUBSYS0 "/nvme0", "dhchap_secret", "none");
	tree_put(SUBSYS0 "/nvme0", "dhchap_ctrl_secret", "none");
	assert_int_equal(connect_with_key(&err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "without authentication"));
	tree_put(SUBSYS0 "/nvme0", "state", "deleting");
	assert_int_equal(connect_with_key(&err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	tree_put(SUBSYS0 "/nvme0", "state", "live");
	tree_put(SUBSYS0 "/nvme0", "dhchap_secret", KEY_32);
	assert_int_equal(connect_with_key(&err), 0);
	/* A second path, by another portal, is one of the subsystem's as well. */
	tree_controller(SUBSYS0 "/nvme1", HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_put(SUBSYS0 "/nvme1", "dhchap_secret", "none");
	tree_put(SUBSYS0 "/nvme1", "dhchap_ctrl_secret", "none");
	assert_int_equal(connect_with_key(&err), -1);
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
}

/* Who has no key neither uses a session of one that has, nor adds a path to it. */
static void test_keyless_call_gets_no_keyed_session(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	make_subsystem("live");
	tree_put(SUBSYS0 "/nvme0", "dhchap_secret", KEY_32);
	tree_put(SUBSYS0 "/nvme0", "dhchap_ctrl_secret", "none");
	assert_int_equal(connect_to("tcp://127.0.0.1:1", &err), -1);
	assert_int_equal(err.code, ERR_UNAUTHENTICATED);
	assert_non_null(strstr(err.msg, "nvme0 of " NQN " was connected with dhchapSecret"));
	assert_null(strstr(err.msg, "DHHC"));
	assert_int_equal(outcome.rejected, 0);
	assert_int_equal(connect_to("tcp://127.0.0.1:2", &err), -1);
	assert_int_equal(err.code, ERR_UNAUTHENTICATED);
	/* One that goes hinders nobody, nor does one of another subsystem. */
	tree_put(SUBSYS0 "/nvme0", "state", "deleting");
	assert_int_equal(connect_to("tcp://127.0.0.1:1", &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	tree_controller(SUBSYS0 "/nvme1", HOST_NQN, HOST_ID, "live", "traddr=127.0.0.1,trsvcid=1");
	tree_put(SUBSYS0 "/nvme1", "dhchap_secret", "none");
	tree_subsystem(SUBSYS1, OTHER_NQN);
	tree_controller(SUBSYS1 "/nvme2", HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_put(SUBSYS1 "/nvme2", "dhchap_secret", KEY_32);
	assert_int_equal(connect_to("tcp://127.0.0.1:1", &err), 0);
}

/* A key that nothing has proved is not given to the sessions of other volumes. */
static void test_changed_key_is_given_to_the_own_session(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	make_subsystem("live");
	tree_put(SUBSYS0 "/nvme0", "dhchap_secret", KEY_OTHER_32);
	tree_put(SUBSYS0 "/nvme0", "dhchap_ctrl_secret", "none");
	tree_subsystem(SUBSYS1, OTHER_NQN);
	tree_controller(SUBSYS1 "/nvme1", HOST_NQN, HOST_ID, "live", "traddr=127.0.0.1,trsvcid=1");
	tree_put(SUBSYS1 "/nvme1", "dhchap_secret", KEY_OTHER_32);
	tree_put(SUBSYS1 "/nvme1", "dhchap_ctrl_secret", "none");
	assert_int_equal(connect_with_key(&err), 0);
	expect_key(SUBSYS0 "/nvme0", KEY_32);
	expect_key(SUBSYS1 "/nvme1", KEY_OTHER_32);
}

static void expect_missing(const char *multipath, const char *list, size_t expected)
{
	cleanup_host_controllers struct host_controllers all = { 0 };
	struct portal portals[PORTAL_MAX];
	struct err err = ERR_INIT;
	size_t count;

	tree_put("module/nvme_core/parameters", "multipath", multipath);
	assert_int_equal(host_controllers_get(&tree, NULL, NULL, &all, &err), 0);
	assert_int_equal(portal_parse_list(list, portals, &count, &err), 0);
	assert_int_equal(host_connect_missing(&host, NQN, &all, portals, count), expected);
}

static void test_missing_portals_are_counted(void **state)
{
	(void)state;
	make_subsystem("connecting");
	/* The same portals, of another subsystem. */
	tree_subsystem(SUBSYS1, OTHER_NQN);
	tree_controller(SUBSYS1 "/nvme1", HOST_NQN, HOST_ID, "live", "traddr=127.0.0.1,trsvcid=2");
	expect_missing("Y", "tcp://127.0.0.1:1", 0);
	expect_missing("Y", "tcp://127.0.0.1:1,tcp://127.0.0.1:2,tcp://127.0.0.1:3", 2);
	expect_missing("N", "tcp://127.0.0.1:1,tcp://127.0.0.1:2,tcp://127.0.0.1:3", 0);
	tree_put(SUBSYS0 "/nvme0", "state", "deleting");
	expect_missing("Y", "tcp://127.0.0.1:1,tcp://127.0.0.1:2", 2);
	expect_missing("N", "tcp://127.0.0.1:1,tcp://127.0.0.1:2", 1);
}

static int wait_for(const char *text, struct err *err)
{
	struct host_namespace ns;
	struct uuid uuid;

	assert_int_equal(parse_uuid("uuid", text, &uuid, err), 0);
	return host_wait_namespace(&host, NQN, &uuid, 0, deadline_after_ms(50), &ns, err);
}

static void expect_wait_failure(const char *uuid, enum err_code code, const char *part)
{
	struct err err = ERR_INIT;

	assert_int_equal(wait_for(uuid, &err), -1);
	assert_int_equal(err.code, code);
	assert_non_null(strstr(err.msg, part));
}

static void test_wait_says_what_is_missing(void **state)
{
	(void)state;
	expect_wait_failure(UUID, ERR_UNAVAILABLE, "no controller any more");
	make_subsystem("connecting");
	expect_wait_failure(UUID, ERR_UNAVAILABLE, "nvme0 connecting tcp://127.0.0.1:1");
	tree_put(SUBSYS0 "/nvme0", "state", "live");
	expect_wait_failure(UUID, ERR_DEADLINE_EXCEEDED, "namespaces: none");
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", "259:1");
	expect_wait_failure(OTHER_UUID, ERR_DEADLINE_EXCEEDED, "nvme0n1 nsid 1 uuid " UUID);
	expect_wait_failure(UUID, ERR_FAILED_PRECONDITION, "No such file");
	tree_put(SUBSYS0 "/nvme0n1", "size", "0");
	expect_wait_failure(UUID, ERR_DEADLINE_EXCEEDED, "no usable namespace " UUID);
}

static void expect_delete_file(const char *path, const char *expected)
{
	char value[ROOT_VALUE_SIZE];
	struct err err = ERR_INIT;

	assert_int_equal(root_read(&tree, value, &err, "%s/delete_controller", path), 1);
	assert_string_equal(value, expected);
}

static void test_disconnect_deletes_ours_and_verifies(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	make_subsystem("live");
	tree_controller(SUBSYS0 "/nvme1", HOST_NQN, HOST_ID, "connecting", ADDRESS);
	tree_controller(SUBSYS0 "/nvme2", OTHER_HOST_NQN, OTHER_HOST_ID, "live", ADDRESS);
	tree_subsystem(SUBSYS1, OTHER_NQN);
	tree_controller(SUBSYS1 "/nvme3", HOST_NQN, HOST_ID, "live", ADDRESS);
	/* They stay, since there is no kernel behind: that must not be called success. */
	assert_int_equal(host_disconnect(&host, NQN, deadline_after_ms(50), &err), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	assert_non_null(strstr(err.msg, "nvme0 live"));
	expect_delete_file(SUBSYS0 "/nvme0", "1");
	expect_delete_file(SUBSYS0 "/nvme1", "1");
	expect_delete_file(SUBSYS0 "/nvme2", "");
	expect_delete_file(SUBSYS1 "/nvme3", "");
}

static void test_disconnect_without_controllers_is_done(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(SUBSYS0 "/nvme2", OTHER_HOST_NQN, OTHER_HOST_ID, "live", ADDRESS);
	assert_int_equal(host_disconnect(&host, NQN, deadline_after_ms(0), &err), 0);
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TREE(test_connected_portal_is_enough),
		IN_TREE(test_no_portal_gives_each_reason),
		IN_TREE(test_controller_of_another_host_is_not_ours),
		IN_TREE(test_conflict_anywhere_stops_the_connect),
		IN_TREE(test_silent_portal_holds_nobody_up),
		IN_TREE(test_silent_portal_beside_a_connected_one),
		IN_TREE(test_without_multipath_no_second_portal_is_tried),
		IN_TREE(test_session_without_its_key_does_not_count),
		IN_TREE(test_keyless_call_gets_no_keyed_session),
		IN_TREE(test_changed_key_is_given_to_the_own_session),
		IN_TREE(test_missing_portals_are_counted),
		IN_TREE(test_wait_says_what_is_missing),
		IN_TREE(test_disconnect_deletes_ours_and_verifies),
		IN_TREE(test_disconnect_without_controllers_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
