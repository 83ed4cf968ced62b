/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme/host against a real kernel. The case (tests/vm/cases/host.sh) has exported the subsystem
 * $NQN at tcp://127.0.0.1:4420 (port 1) and tcp://[::1]:4420 (port 2) for the host in
 * $NQN_FILE, and $CLOSED_NQN at port 1 for nobody. Argument: "multipath" or "single".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "nvme/host/connect.h"
#include "nvme/host/controller.h"

#define GOOD "tcp://127.0.0.1:4420"
#define SECOND "tcp://[::1]:4420"
#define REFUSED "tcp://127.0.0.1:4499"
#define SIZE_BYTES (64U << 20)

static struct host host = HOST_INIT;
static struct host_connect_outcome outcome; /* of the latest connect_to */
static struct root nvmet = ROOT_INIT;
static struct uuid uuid;
static const char *nqn, *closed_nqn;

static int connect_to(const char *subsystem, const char *list, struct err *err)
{
	struct host_connect_options options = host_connect_options_default();
	struct portal portals[PORTAL_MAX];
	size_t count;

	options.nr_io_queues = 1;
	assert_int_equal(portal_parse_list(list, portals, &count, err), 0);
	return host_connect(&host, subsystem, portals, count, &options, deadline_after_ms(20000),
			    &outcome, err);
}

static size_t count_controllers(const char *subsystem)
{
	cleanup_host_controllers struct host_controllers all = { 0 };
	struct err err;

	assert_int_equal(host_controllers_get(&host.sysfs, subsystem, NULL, &all, &err), 0);
	return all.count;
}

static int wait_for(const struct uuid *wanted, uint64_t ms, struct host_namespace *ns,
		    struct err *err)
{
	return host_wait_namespace(&host, nqn, wanted, 0, deadline_after_ms(ms), ns, err);
}

static void expect_attribute(const char *name, const char *expected)
{
	cleanup_host_controllers struct host_controllers all = { 0 };
	char value[NQN_SIZE];
	struct err err;

	assert_int_equal(host_controllers_get(&host.sysfs, nqn, NULL, &all, &err), 0);
	assert_int_equal(all.count, 1);
	assert_int_equal(host_attribute_read(&host.sysfs, all.list[0].path, name, value,
					     sizeof(value), &err),
			 1);
	assert_string_equal(value, expected);
}

static int disconnected(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (host_disconnect(&host, nqn, deadline_after_ms(10000), &err) < 0)
		print_error("%s\n", err.msg);
	return err.code == ERR_NONE ? 0 : -1;
}

static int connected(void **state)
{
	struct host_namespace ns;
	struct err err = ERR_INIT;

	(void)state;
	if (connect_to(nqn, GOOD, &err) < 0 || wait_for(&uuid, 10000, &ns, &err) < 0)
		print_error("%s\n", err.msg);
	return err.code == ERR_NONE ? 0 : -1;
}

static void test_kernel_is_fit(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(host_fabrics_check(&err), 0);
}

static void test_kernel_gets_the_options(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(connect_to(nqn, GOOD, &err), 0);
	expect_attribute("hostnqn", host.identity.nqn);
	expect_attribute("hostid", host.identity.id.text);
	expect_attribute("ctrl_loss_tmo", "off");
	expect_attribute("fast_io_fail_tmo", "off");
	expect_attribute("reconnect_delay", "2");
	expect_attribute("kato", "5");
	expect_attribute("queue_count", "2");
	expect_attribute("sqsize", "127");
}

static void test_connecting_again_changes_nothing(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(connect_to(nqn, GOOD, &err), 0);
	assert_int_equal(count_controllers(nqn), 1);
}

static void test_namespace_is_found_and_opened(void **state)
{
	struct host_namespace ns, by_dev;
	cleanup_close int fd = -1;
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(wait_for(&uuid, 10000, &ns, &err), 0);
	assert_int_equal(ns.size_bytes, SIZE_BYTES);
	assert_int_equal(ns.nsid, 1);
	assert_false(ns.readonly);
	assert_int_equal(host_device_open(host.dev, &ns, O_RDONLY, &fd, &err), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(host_namespace_by_dev(&host.sysfs, major(st.st_rdev), minor(st.st_rdev),
					       &by_dev, &err),
			 1);
	assert_string_equal(by_dev.nqn, nqn);
	assert_string_equal(by_dev.uuid.text, uuid.text);
	assert_string_equal(by_dev.name, ns.name);
}

static void test_namespace_is_found_by_nsid(void **state)
{
	struct host_namespace ns;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(host_namespace_find(&host.sysfs, nqn, NULL, 1, &ns, &err), 1);
	assert_string_equal(ns.uuid.text, uuid.text);
	assert_int_equal(host_namespace_find(&host.sysfs, nqn, NULL, 2, &ns, &err), 0);
}

static void test_other_devices_are_no_namespaces(void **state)
{
	struct host_namespace ns;
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(stat(getenv("OTHER_DEVICE"), &st), 0);
	assert_int_equal(host_namespace_by_dev(&host.sysfs, major(st.st_rdev), minor(st.st_rdev),
					       &ns, &err),
			 0);
}

static void test_absent_namespace_is_described(void **state)
{
	uint64_t start = clock_now_ns();
	struct host_namespace ns;
	struct err err = ERR_INIT;
	struct uuid other;

	(void)state;
	assert_int_equal(parse_uuid("uuid", "11111111-2222-4333-8444-555555555555", &other, &err),
			 0);
	assert_int_equal(wait_for(&other, 500, &ns, &err), -1);
	assert_int_equal(err.code, ERR_DEADLINE_EXCEEDED);
	assert_non_null(strstr(err.msg, other.text));
	assert_non_null(strstr(err.msg, uuid.text));
	assert_non_null(strstr(err.msg, "live tcp://127.0.0.1:4420"));
	assert_true(clock_now_ns() - start < 5000000000ULL);
}

static void test_unknown_subsystem_is_rejected(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(connect_to("nqn.2026-11.io.nvmeot:nowhere", GOOD, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, GOOD ": rejected by the target"));
	assert_int_equal(outcome.rejected, 1);
	assert_int_equal(count_controllers("nqn.2026-11.io.nvmeot:nowhere"), 0);
}

static void test_host_that_is_not_allowed_is_rejected(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(connect_to(closed_nqn, GOOD, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "rejected by the target"));
	assert_non_null(strstr(err.msg, host.identity.nqn));
	assert_int_equal(outcome.rejected, 1);
}

static void test_dead_portals_are_named(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(connect_to(nqn, REFUSED ",tcp://127.0.0.1:4498", &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, REFUSED ": TCP connection refused"));
	assert_non_null(strstr(err.msg, "tcp://127.0.0.1:4498: TCP connection refused"));
}

static void test_dead_portal_does_not_hinder_a_good_one(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(connect_to(nqn, REFUSED "," GOOD, &err), 0);
	assert_int_equal(count_controllers(nqn), 1);
}

static void test_second_portal_is_a_second_path(void **state)
{
	cleanup_host_namespaces struct host_namespaces all = { 0 };
	struct host_namespace ns;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(connect_to(nqn, GOOD "," SECOND, &err), 0);
	assert_int_equal(count_controllers(nqn), 2);
	assert_int_equal(wait_for(&uuid, 10000, &ns, &err), 0);
	assert_int_equal(host_namespaces_get(&host.sysfs, nqn, &all, &err), 0);
	assert_int_equal(all.count, 1);
}

static void test_without_multipath_one_portal_is_connected(void **state)
{
	struct host_namespace ns;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(connect_to(nqn, REFUSED "," SECOND "," GOOD, &err), 0);
	assert_int_equal(connect_to(nqn, GOOD "," SECOND, &err), 0);
	assert_int_equal(count_controllers(nqn), 1);
	assert_int_equal(wait_for(&uuid, 10000, &ns, &err), 0);
}

static void test_other_identity_is_refused(void **state)
{
	struct host_identity ours = host.identity;
	struct err err = ERR_INIT;

	(void)state;
	strcpy(host.identity.id.text, "22222222-2222-4333-8444-555555555555");
	assert_int_equal(connect_to(nqn, GOOD, &err), -1);
	host.identity = ours;
	assert_int_equal(err.code, ERR_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "22222222-2222-4333-8444-555555555555"));
	assert_non_null(strstr(err.msg, ours.id.text));
}

static void set_port_link(bool there)
{
	cleanup_free char *subsystem = xasprintf("%s/subsystems/%s", nvmet.path, nqn);
	struct err err = ERR_INIT;

	if (there)
		assert_int_equal(
			root_symlink(&nvmet, subsystem, &err, "ports/1/subsystems/%s", nqn), 0);
	else
		assert_int_equal(root_unlink(&nvmet, &err, "ports/1/subsystems/%s", nqn), 0);
}

/* Both links of port 1 go, so that its listener does and the host is refused, not rejected. */
static void set_listening(bool there)
{
	cleanup_free char *closed = xasprintf("%s/subsystems/%s", nvmet.path, closed_nqn);
	struct err err = ERR_INIT;

	if (there) {
		set_port_link(true);
		assert_int_equal(
			root_symlink(&nvmet, closed, &err, "ports/1/subsystems/%s", closed_nqn), 0);
		return;
	}
	assert_int_equal(root_unlink(&nvmet, &err, "ports/1/subsystems/%s", closed_nqn), 0);
	set_port_link(false);
}

static void wait_until_lost(void)
{
	struct deadline deadline = deadline_after_ms(10000);

	for (;;) {
		cleanup_host_controllers struct host_controllers all = { 0 };
		struct err err = ERR_INIT;

		assert_int_equal(host_controllers_get(&host.sysfs, nqn, NULL, &all, &err), 0);
		assert_int_equal(all.count, 1);
		if (!host_controller_is_live(&all.list[0]))
			return;
		assert_false(deadline_passed(deadline));
		usleep(10000);
	}
}

static void test_lost_target_is_reported_and_waited_for(void **state)
{
	struct host_namespace ns;
	struct err err = ERR_INIT;
	uint64_t start;

	(void)state;
	set_listening(false);
	wait_until_lost();
	assert_int_equal(connect_to(nqn, GOOD, &err), 0);
	assert_int_equal(wait_for(&uuid, 300, &ns, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "no live controller"));
	assert_non_null(strstr(err.msg, "connecting"));
	set_listening(true);
	start = clock_now_ns();
	assert_int_equal(wait_for(&uuid, 30000, &ns, &err), 0);
	assert_true(clock_now_ns() - start < 10000000000ULL);
}

/* A portal that accepts and says nothing never gets to the kernel, whose connects it would hold. */
static void test_silent_portal(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(4470),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	cleanup_close int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t start = clock_now_ns();
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(connect_to(nqn, "tcp://127.0.0.1:4470", &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "tcp://127.0.0.1:4470: what listens there does not answer "
					"as an NVMe/TCP target"));
	assert_true(clock_now_ns() - start < 4000000000ULL);
	assert_int_equal(connect_to(nqn, "tcp://127.0.0.1:4470," GOOD, &err), 0);
	assert_int_equal(outcome.missing, 1);
	assert_int_equal(outcome.rejected, 0);
	assert_int_equal(count_controllers(nqn), 1);
}

static void test_disconnect_is_verified_and_idempotent(void **state)
{
	struct host_namespace ns;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(host_disconnect(&host, nqn, deadline_after_ms(10000), &err), 0);
	assert_int_equal(count_controllers(nqn), 0);
	assert_int_equal(host_namespace_find(&host.sysfs, nqn, &uuid, 0, &ns, &err), 0);
	assert_int_equal(host_disconnect(&host, nqn, deadline_after_ms(10000), &err), 0);
	assert_int_equal(wait_for(&uuid, 10000, &ns, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
}

static const struct CMUnitTest common[] = {
	cmocka_unit_test(test_kernel_is_fit),
	cmocka_unit_test_teardown(test_kernel_gets_the_options, disconnected),
	cmocka_unit_test_setup_teardown(test_connecting_again_changes_nothing, connected,
					disconnected),
	cmocka_unit_test_setup_teardown(test_namespace_is_found_and_opened, connected,
					disconnected),
	cmocka_unit_test_setup_teardown(test_namespace_is_found_by_nsid, connected, disconnected),
	cmocka_unit_test(test_other_devices_are_no_namespaces),
	cmocka_unit_test_setup_teardown(test_absent_namespace_is_described, connected,
					disconnected),
	cmocka_unit_test(test_unknown_subsystem_is_rejected),
	cmocka_unit_test(test_host_that_is_not_allowed_is_rejected),
	cmocka_unit_test(test_dead_portals_are_named),
	cmocka_unit_test_teardown(test_dead_portal_does_not_hinder_a_good_one, disconnected),
	cmocka_unit_test_setup_teardown(test_other_identity_is_refused, connected, disconnected),
	cmocka_unit_test_setup_teardown(test_lost_target_is_reported_and_waited_for, connected,
					disconnected),
	cmocka_unit_test_setup(test_disconnect_is_verified_and_idempotent, connected),
};

static const struct CMUnitTest multipath[] = {
	cmocka_unit_test_teardown(test_second_portal_is_a_second_path, disconnected),
	cmocka_unit_test_teardown(test_silent_portal, disconnected),
};

static const struct CMUnitTest single[] = {
	cmocka_unit_test_teardown(test_without_multipath_one_portal_is_connected, disconnected),
};

int main(int argc, char **argv)
{
	struct host_paths paths = { .nqn_file = getenv("NQN_FILE") };
	struct err err = ERR_INIT;
	bool is_single = argc == 2 && strcmp(argv[1], "single") == 0;

	nqn = getenv("NQN");
	closed_nqn = getenv("CLOSED_NQN");
	if (parse_uuid("UUID", getenv("UUID"), &uuid, &err) < 0 ||
	    root_open(&nvmet, "/sys/kernel/config/nvmet", &err) < 0 ||
	    host_open(&host, &paths, &err) < 0) {
		print_error("%s\n", err.msg);
		return 1;
	}
	return cmocka_run_group_tests_name("common", common, NULL, NULL) +
	       (is_single ? cmocka_run_group_tests_name("single", single, NULL, NULL) :
			    cmocka_run_group_tests_name("multipath", multipath, NULL, NULL));
}
