/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper over a made-up sysfs: for which portals it is on the move, and for which it is not. A
 * listener of ours stands for a portal, and hangs up; what a kernel does with a portal that answers
 * is in tests/vm/cases/portals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <semaphore.h>

#include "csi/node/keeper.h"
#include "tests/unit/listener.h"
#include "tests/unit/log_lines.h"
#include "tests/unit/node_world.h"

#define LONG_MS 20000
#define SHORT_MS 500	 /* the first look is at once */
#define INTERVAL_MS 3000 /* longer than the first two */

static struct portal portal; /* the listener's */
static int listener = -1;

static int setup(void **state)
{
	if (world_setup(state) < 0)
		return -1;
	tree_put("module/nvme_core/parameters", "multipath", "Y");
	listener = listener_open(&portal);
	return 0;
}

static int teardown(void **state)
{
	close(listener);
	return world_teardown(state);
}

/* A volume with two portals, the listener and one that is connected. */
static void put_record_at(const char *staging_path)
{
	struct attachment a = { .nqn = NQN,
				.has_uuid = true,
				.uuid = { UUID },
				.portals = { { AF_INET, "192.0.2.1", 4420 }, portal },
				.portal_count = 2 };
	struct node_record record = node_record_make(ID, &a, &(struct access) { 0 }, staging_path);
	struct host_connect_options options = host_connect_options_default();
	struct err err;

	node_record_set_connection(&record, &a, &options);
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
}

static void put_record(void)
{
	put_record_at("/nowhere/staging");
}

static void put_controller(const char *path)
{
	cleanup_free char *address = xasprintf("traddr=127.0.0.1,trsvcid=%u", portal.port);

	tree_controller(path, HOST_NQN, HOST_ID, "live", address);
}

static void put_namespace(void)
{
	tree_subsystem(SUBSYS0, NQN);
	tree_controller(CONTROLLER, HOST_NQN, HOST_ID, "live", ADDRESS);
	tree_namespace(SUBSYS0 "/nvme0n1", UUID, "1", "259:1");
}

static void start_keeper(void)
{
	struct err err;

	assert_int_equal(keeper_start(&node, &err), 0);
}

/* What a target says first. */
static const uint8_t icresp[128] = { [0] = 1, [2] = 128, [4] = 128 };

static bool is_tried_and_answered(int ms, const void *answer, size_t size)
{
	struct pollfd pollfd = { .fd = listener, .events = POLLIN };
	cleanup_close int fd = -1;

	if (poll(&pollfd, 1, ms) == 0)
		return false;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return fd >= 0 && send(fd, answer, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool is_tried(int ms)
{
	return is_tried_and_answered(ms, NULL, 0);
}

static void test_missing_portal_is_tried_again(void **state)
{
	(void)state;
	put_record();
	put_namespace();
	start_keeper();
	assert_true(is_tried(LONG_MS));
	assert_true(is_tried(LONG_MS));
	/* Somebody else connected it. */
	put_controller(SUBSYS0 "/nvme1");
	while (is_tried(INTERVAL_MS))
		;
}

static void test_complete_volume_is_let_be(void **state)
{
	(void)state;
	put_record();
	put_namespace();
	put_controller(SUBSYS0 "/nvme1");
	start_keeper();
	assert_false(is_tried(SHORT_MS));
	tree_put(SUBSYS0 "/nvme1", "state", "dead");
	keeper_wake(node.keeper);
	assert_true(is_tried(LONG_MS));
}

/* Another subsystem's controller at the same portal is none of this volume. */
static void test_other_subsystem_does_not_count(void **state)
{
	(void)state;
	put_record();
	put_namespace();
	tree_subsystem(SUBSYS1, OTHER_NQN);
	put_controller(SUBSYS1 "/nvme1");
	start_keeper();
	assert_true(is_tried(LONG_MS));
}

static void test_dead_volume_is_let_be(void **state)
{
	(void)state;
	put_record();
	tree_subsystem(SUBSYS0, NQN);
	start_keeper();
	assert_false(is_tried(SHORT_MS));
}

/* One that was staged (at a mount, anyhow), until it comes back to life. */
static void test_staged_volume_that_died(void **state)
{
	(void)state;
	put_record_at("/proc");
	tree_subsystem(SUBSYS0, NQN);
	start_keeper();
	assert_false(is_tried(SHORT_MS));
	put_namespace();
	keeper_wake(node.keeper);
	assert_true(is_tried(LONG_MS));
}

static void test_volume_without_record_is_let_be(void **state)
{
	(void)state;
	put_namespace();
	start_keeper();
	assert_false(is_tried(SHORT_MS));
}

/* The other session takes keys, of which no record knows: it would have a path without. */
static void test_keyed_volume_is_let_be(void **state)
{
	(void)state;
	put_record();
	put_namespace();
	tree_put(SUBSYS0 "/nvme0", "dhchap_secret", "DHHC-1:00:x:");
	start_keeper();
	assert_true(is_tried_and_answered(LONG_MS, icresp, sizeof(icresp)));
	assert_false(is_tried(INTERVAL_MS));
}

static int hold_subsystem(void *sem, struct err *err)
{
	if (job_hold(NQN, deadline_none(), err) < 0)
		return -1;
	sem_wait(sem);
	return 0;
}

/* One that somebody works on, and be it for ever, does not keep the keeper from others. */
static void test_busy_subsystem_is_not_waited_for(void **state)
{
	struct job_work work = { .key = "a", .request = "a", .run = hold_subsystem };
	struct job_wait wait = { .deadline = deadline_after_ms(1) };
	struct err err;
	sem_t sem;

	(void)state;
	assert_int_equal(sem_init(&sem, 0, 0), 0);
	work.argument = &sem;
	assert_int_equal(job_run(node.jobs, &work, &wait, &err), -1);
	put_record();
	put_namespace();
	start_keeper();
	assert_true(is_tried_and_answered(LONG_MS, icresp, sizeof(icresp)));
	assert_true(is_tried(LONG_MS));
	sem_post(&sem);
	assert_int_equal(node_drain(&node, deadline_none()), 0);
}

/* The other volume of the subsystem misses it as much. */
static void test_volume_that_goes_leaves_the_other(void **state)
{
	struct node_record record;
	struct err err;

	(void)state;
	put_record();
	put_namespace();
	start_keeper();
	assert_true(is_tried(LONG_MS));
	assert_int_equal(node_record_load(&node.state, ID, &record, &err), 1);
	strcpy(record.volume_id, "another");
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
	assert_int_equal(node_record_remove(&node.state, ID, &err), 0);
	/* The first of them may have begun before. */
	assert_true(is_tried(LONG_MS));
	assert_true(is_tried(LONG_MS));
}

/* The kernel says EIO for it, as this memory does at address 0. */
static void test_turned_away_twice(void **state)
{
	static const char *const words[] = { "the target turns this host away" };
	static struct lines lines;
	size_t told_early;

	(void)state;
	NEEDS_MOUNT();
	assert_int_equal(mount("none", "/dev", "tmpfs", 0, NULL), 0);
	close(open("/dev/nvme-fabrics", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(mount("/proc/self/mem", "/dev/nvme-fabrics", NULL, MS_BIND, NULL), 0);
	put_record();
	put_namespace();
	lines_begin(&lines);
	start_keeper();
	/* The keeper's own probe, and that of the connect. */
	is_tried_and_answered(LONG_MS, icresp, sizeof(icresp));
	is_tried_and_answered(LONG_MS, icresp, sizeof(icresp));
	/* It may have been a restart: soon it is tried again. */
	is_tried_and_answered(INTERVAL_MS, icresp, sizeof(icresp));
	told_early = lines_count(&lines, words, ARRAY_SIZE(words));
	is_tried_and_answered(LONG_MS, icresp, sizeof(icresp));
	lines_await(&lines, words, ARRAY_SIZE(words));
	lines_end(&lines);
	assert_int_equal(told_early, 0);
	assert_false(is_tried(INTERVAL_MS));
	assert_int_equal(umount("/dev/nvme-fabrics"), 0);
	assert_int_equal(umount("/dev"), 0);
}

static void test_nobody_to_wake(void **state)
{
	(void)state;
	keeper_wake(NULL);
	keeper_stop(&node);
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TREE(test_missing_portal_is_tried_again),
		IN_TREE(test_complete_volume_is_let_be),
		IN_TREE(test_other_subsystem_does_not_count),
		IN_TREE(test_dead_volume_is_let_be),
		IN_TREE(test_staged_volume_that_died),
		IN_TREE(test_volume_without_record_is_let_be),
		IN_TREE(test_keyed_volume_is_let_be),
		IN_TREE(test_busy_subsystem_is_not_waited_for),
		IN_TREE(test_volume_that_goes_leaves_the_other),
		IN_TREE(test_turned_away_twice),
		IN_TREE(test_nobody_to_wake),
	};

	if (own_mounts() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
