/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for uevents, with a socket pair in place of the kernel (real ones: tests/vm/cases/host):
 * which events wake, that all are taken, and that silence ends at the deadline.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "nvme/base/cleanup.h"
#include "nvme/host/uevent.h"

#define WAIT_MS 100

static int ends[2];

static int setup(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
}

static int teardown(void **state)
{
	(void)state;
	cleanup_closep(&ends[0]);
	cleanup_closep(&ends[1]);
	return 0;
}

static void announce(const char *event)
{
	assert_int_equal(send(ends[1], event, strlen(event) + 1, 0), strlen(event) + 1);
}

static int wait_ms(uint64_t ms)
{
	struct err err = ERR_INIT;

	return host_uevent_wait(ends[0], deadline_after_ms(ms), &err);
}

static void test_silence_ends_at_the_deadline(void **state)
{
	uint64_t start = clock_now_ns();

	(void)state;
	assert_int_equal(wait_ms(WAIT_MS), 0);
	assert_true(clock_now_ns() - start >= WAIT_MS * 1000000ULL);
}

static void test_event_before_the_wait_is_not_lost(void **state)
{
	(void)state;
	announce("add@/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1");
	assert_int_equal(wait_ms(60000), 1);
}

static void test_all_events_are_taken_at_once(void **state)
{
	(void)state;
	announce("add@/devices/virtual/nvme-fabrics/ctl/nvme0");
	announce("add@/devices/virtual/block/loop0");
	announce("change@/devices/virtual/nvme-fabrics/ctl/nvme0");
	assert_int_equal(wait_ms(60000), 1);
	assert_int_equal(wait_ms(WAIT_MS), 0);
}

static int wait_removal(int wake_fd)
{
	struct err err = ERR_INIT;

	return host_uevent_wait_removal(ends[0], wake_fd, deadline_after_ms(WAIT_MS), &err);
}

/* Of a controller, not of what is below it or merely changes. */
static void test_removal(void **state)
{
	cleanup_close int wake = eventfd(0, EFD_CLOEXEC);

	(void)state;
	announce("remove@/devices/virtual/nvme-fabrics/ctl/nvme0/nvme0c0n1");
	announce("remove@/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1");
	announce("add@/devices/virtual/nvme-fabrics/ctl/nvme1");
	announce("change@/devices/virtual/nvme-fabrics/ctl/nvme1");
	announce("remove@/devices/virtual/block/loop0");
	assert_int_equal(wait_removal(wake), 0);
	announce("remove@/devices/virtual/nvme-fabrics/ctl/nvme1");
	announce("add@/devices/virtual/nvme-fabrics/ctl/nvme2");
	assert_int_equal(wait_removal(wake), 1);
	assert_int_equal(wait_removal(wake), 0);
}

static void test_removal_wait_is_woken(void **state)
{
	cleanup_close int wake = eventfd(1, EFD_CLOEXEC);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(host_uevent_wait_removal(ends[0], wake, deadline_none(), &err), 0);
}

static void test_other_devices_do_not_wake(void **state)
{
	(void)state;
	announce("add@/devices/virtual/block/loop0");
	assert_int_equal(wait_ms(WAIT_MS), 0);
}

static void test_kernel_socket_opens(void **state)
{
	cleanup_close int fd = -1;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(host_uevent_open(&fd, &err), 0);
	assert_true(fd >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_silence_ends_at_the_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_before_the_wait_is_not_lost, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_all_events_are_taken_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_devices_do_not_wake, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removal_wait_is_woken, setup, teardown),
		cmocka_unit_test(test_kernel_socket_opens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
