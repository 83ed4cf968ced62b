/* SPDX-License-Identifier: Apache-2.0 */
/* The guard of a freeze, on an ext4 of the test's own: whoever ends, nothing stays frozen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "csi/volume/guard.h"
#include "nvme/base/cleanup.h"
#include "tests/unit/own_mounts.h"

#include "tests/unit/disk_file.h"

#define LONG_MS 60000
#define WAIT_MS 30000

static char dir[] = "/tmp/test_guard.XXXXXX";
static int root = -1, lock = -1;

static int group_setup(void **state)
{
	char path[64];

	if (own_mounts() < 0 || disk_setup(state) < 0 || !mkdtemp(dir))
		return -1;
	if (!may_mount)
		return 0;
	RUN("mkfs.ext4", "-q", disk);
	RUN("mount", "-o", "loop", disk, dir);
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s.lock", dir);
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	unlink(path);
	return root < 0 || lock < 0;
}

static int group_teardown(void **state)
{
	if (may_mount) {
		close(root);
		close(lock);
		RUN("umount", dir);
	}
	return rmdir(dir) || disk_teardown(state);
}

static struct guard begin(uint32_t for_ms)
{
	struct guard guard;
	struct err err;

	if (guard_start(&guard, root, lock, for_ms, &err) < 0)
		fail_msg("%s", err.msg);
	return guard;
}

static struct guard freeze(uint32_t for_ms)
{
	struct guard guard = begin(for_ms);

	assert_true(guard_wait(&guard, -1, deadline_after_ms(WAIT_MS)));
	assert_int_equal(guard.state, GUARD_FROZEN);
	return guard;
}

static void await(struct guard *guard, enum guard_state state)
{
	assert_true(guard_wait(guard, -1, deadline_after_ms(WAIT_MS)));
	assert_int_equal(guard->state, state);
}

static bool thaw_now(void)
{
	struct err err;
	int thawed = guard_thaw_now(root, &err);

	if (thawed < 0)
		fail_msg("%s", err.msg);
	return thawed;
}

static void test_thaws_when_told(void **state)
{
	struct guard guard;

	(void)state;
	NEEDS_MOUNT();
	guard = freeze(LONG_MS);
	guard_thaw(&guard);
	await(&guard, GUARD_THAWED);
	assert_true(guard.was_frozen);
	guard_fini(&guard);
	assert_false(thaw_now());
}

/* Services are ended by signals that are none of its business. */
static void test_ignores_signals(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct guard guard;

	(void)state;
	NEEDS_MOUNT();
	guard = freeze(LONG_MS);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		assert_int_equal(kill(guard.pid, signals[i]), 0);
	guard_thaw(&guard);
	await(&guard, GUARD_THAWED);
	assert_true(guard.was_frozen);
	guard_fini(&guard);
}

static void test_deadline(void **state)
{
	struct deadline least = deadline_after_ms(2000);
	struct guard guard;

	(void)state;
	NEEDS_MOUNT();
	guard = freeze(2000);
	await(&guard, GUARD_THAWED);
	assert_true(deadline_passed(least));
	assert_false(guard.was_frozen);
	guard_fini(&guard);
	assert_false(thaw_now());
}

/* Too late for anything to be said to it. */
static void test_told_too_late(void **state)
{
	struct guard guard;

	(void)state;
	NEEDS_MOUNT();
	guard = freeze(2000);
	kill(guard.pid, SIGSTOP);
	usleep(2100000); /* its own time, for which there is no event */
	guard_thaw(&guard);
	kill(guard.pid, SIGCONT);
	await(&guard, GUARD_THAWED);
	assert_false(guard.was_frozen);
	guard_fini(&guard);
}

/* Of a starter that dies the kernel closes the channel. */
static void test_starter_ends(void **state)
{
	struct guard guard;

	(void)state;
	NEEDS_MOUNT();
	guard = freeze(LONG_MS);
	guard_fini(&guard);
	assert_false(thaw_now());
}

/* It has the lock for as long as it lives. */
static void test_lock(void **state)
{
	struct guard guard;
	char path[64];
	int other;

	(void)state;
	NEEDS_MOUNT();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", lock);
	other = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	guard = freeze(LONG_MS);
	close(lock);
	lock = other;
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	guard_fini(&guard);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(flock(other, LOCK_UN), 0);
}

static void test_guard_dies(void **state)
{
	struct guard guard;

	(void)state;
	NEEDS_MOUNT();
	guard = freeze(LONG_MS);
	kill(guard.pid, SIGKILL);
	await(&guard, GUARD_DIED);
	guard_fini(&guard);
	assert_true(thaw_now());
	assert_false(thaw_now());
}

static void test_guard_stopped(void **state)
{
	struct guard guard;

	(void)state;
	NEEDS_MOUNT();
	guard = freeze(LONG_MS);
	kill(guard.pid, SIGSTOP);
	guard_thaw(&guard);
	assert_false(guard_wait(&guard, -1, deadline_after_ms(50)));
	guard_kill(&guard);
	assert_int_equal(guard.state, GUARD_DIED);
	guard_fini(&guard);
	assert_true(thaw_now());
}

/* Somebody else's freeze is not ours to end. */
static void test_frozen_by_another(void **state)
{
	struct guard first, second;

	(void)state;
	NEEDS_MOUNT();
	first = freeze(LONG_MS);
	second = begin(LONG_MS);
	await(&second, GUARD_FAILED);
	assert_int_equal(second.error, EBUSY);
	guard_fini(&second);
	guard_thaw(&first);
	await(&first, GUARD_THAWED);
	assert_true(first.was_frozen);
	guard_fini(&first);
}

/* What cannot be frozen says so. */
static void test_no_freeze(void **state)
{
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct guard guard;
	struct err err;

	(void)state;
	NEEDS_MOUNT();
	if (guard_start(&guard, proc, lock, LONG_MS, &err) < 0)
		fail_msg("%s", err.msg);
	await(&guard, GUARD_FAILED);
	assert_int_equal(guard.error, EOPNOTSUPP);
	guard_fini(&guard);
	close(proc);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thaws_when_told),	  cmocka_unit_test(test_ignores_signals),
		cmocka_unit_test(test_deadline),	  cmocka_unit_test(test_told_too_late),
		cmocka_unit_test(test_starter_ends),	  cmocka_unit_test(test_lock),
		cmocka_unit_test(test_guard_dies),	  cmocka_unit_test(test_guard_stopped),
		cmocka_unit_test(test_frozen_by_another), cmocka_unit_test(test_no_freeze),
	};

	if (argc == 3 && strcmp(argv[1], GUARD_COMMAND) == 0)
		return guard_main(argv[2]);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
