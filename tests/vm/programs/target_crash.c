/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target killed at every step: an operation runs in a child that is killed just before its
 * n-th changing system call, for every n until it comes through. After each kill configfs must not
 * admit a host that no record names, nor lead to a half-made export; a new process must restore
 * itself, and the same call must then succeed.
 *
 *	target_crash POOL-DIRECTORY
 */
#include "tests/vm/programs/target_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nvme/target/record.h"

/* The volume's life, in order; each operation begins where the one before it has ended. */
struct operation {
	const char *name;
	int (*act)(struct err *err);
	int (*undo)(struct err *err); /* back to where it began */
	size_t hosts;		      /* that have the volume after it */
	bool volume;		      /* there is one after it */
};

/* --- operations ------------------------------------------------------------------------------- */

static int export_a(struct err *err)
{
	return do_export(HOST_A, VOLUME_MULTI_WRITER, err);
}

static int export_b(struct err *err)
{
	return do_export(HOST_B, VOLUME_MULTI_WRITER, err);
}

static int unexport_a(struct err *err)
{
	return target_unexport(target, UUID, HOST_A, err);
}

static int unexport_b(struct err *err)
{
	return target_unexport(target, UUID, HOST_B, err);
}

static int delete_volume(struct err *err)
{
	return target_delete(target, UUID, "", err);
}

/* The process that is killed restores itself from records to an empty configfs. */
static int restart(struct err *err)
{
	stop();
	if (forget_configfs(err) < 0)
		return -1;
	return start(err);
}

static int nothing(struct err *err)
{
	(void)err;
	return 0;
}

static const struct operation operations[] = {
	{ "create", do_create, delete_volume, 0, true },
	{ "export to A", export_a, unexport_a, 1, true },
	{ "export to B", export_b, unexport_b, 2, true },
	{ "restore two hosts", restart, nothing, 2, true },
	{ "unexport A of two", unexport_a, export_a, 1, true },
	{ "unexport B, the last", unexport_b, export_b, 0, true },
	{ "delete", delete_volume, do_create, 0, false },
};

/* --- killing ---------------------------------------------------------------------------------- */

static bool changes_something(uint64_t number)
{
	static const long numbers[] = { SYS_write,     SYS_mkdirat,  SYS_unlinkat,
					SYS_symlinkat, SYS_renameat, SYS_renameat2,
					SYS_ftruncate, SYS_ioctl,    SYS_fsync };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (number == (uint64_t)numbers[i])
			return true;
	return false;
}

static void child_run(const struct operation *operation)
{
	struct err err = ERR_INIT;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || start(&err) < 0)
		_exit(2);
	raise(SIGSTOP);
	if (operation->act(&err) < 0) {
		fprintf(stderr, "%s: %s\n", operation->name, err.msg);
		_exit(1);
	}
	_exit(0);
}

static bool is_changing_entry(pid_t child)
{
	struct __ptrace_syscall_info info;

	return ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof(info), &info) > 0 &&
	       info.op == PTRACE_SYSCALL_INFO_ENTRY && changes_something(info.entry.nr);
}

/* Runs the operation up to its n-th changing call. False when it has no such call and succeeds. */
static bool run_killed(const struct operation *operation, int n)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		child_run(operation);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, NULL,
				(void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)),
			 0);
	for (;;) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		if (is_changing_entry(child) && n-- == 0)
			break;
	}
	assert_int_equal(kill(child, SIGKILL), 0);
	do {
		assert_int_equal(waitpid(child, &status, 0), child);
	} while (!WIFSIGNALED(status));
	return true;
}

/* --- judging ---------------------------------------------------------------------------------- */

/* Of what the killed process left: no host without a record, no way to a half-made export. */
static void assert_safe(void)
{
	cleanup_volume struct volume volume = { 0 };
	struct uuid uuid = { UUID };
	struct root pool = { .fd = -1 };
	struct err err = ERR_INIT;

	must(root_open(&pool, pool_path, &err), &err);
	must(record_load(&pool, &uuid, &volume, &err), &err);
	root_close(&pool);
	if (allowed(HOST_A))
		assert_non_null(volume_find_export(&volume, HOST_A));
	if (allowed(HOST_B))
		assert_non_null(volume_find_export(&volume, HOST_B));
	if (links())
		assert_true(complete());
}

/* Of a running target: configfs has exactly what the volume's record says. */
static void assert_consistent(size_t *ret_hosts, bool *ret_volume)
{
	cleanup_volume_list struct volume_list list = { 0 };
	struct err err = ERR_INIT;

	must(target_get(target, "", "", &list, &err), &err);
	*ret_volume = list.count == 1;
	*ret_hosts = list.count ? list.volumes[0].export_count : 0;
	assert_int_equal(count_in("subsystems"), *ret_hosts ? 1 : 0);
	assert_int_equal(links(), *ret_hosts ? 1 : 0);
	if (!*ret_hosts)
		return;
	assert_true(complete());
	assert_int_equal(count_in("subsystems/" NQN "/allowed_hosts"), *ret_hosts);
	for (size_t i = 0; i < *ret_hosts; i++)
		assert_true(allowed(list.volumes[0].exports[i].host_nqn));
}

static void crash_everywhere(const struct operation *operation)
{
	struct err err = ERR_INIT;
	size_t hosts;
	bool volume;
	int n;

	for (n = 0; run_killed(operation, n); n++) {
		assert_safe();
		must(start(&err), &err);
		assert_consistent(&hosts, &volume);
		must(operation->act(&err), &err);
		assert_consistent(&hosts, &volume);
		assert_int_equal(hosts, operation->hosts);
		assert_int_equal(volume, operation->volume);
		must(operation->undo(&err), &err);
		stop();
	}
	/* An operation that was never killed has proved nothing. */
	assert_true(n > 2);
	print_message("%s: killed at each of %d steps\n", operation->name, n);
}

static void test_killed_at_every_step(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		crash_everywhere(&operations[i]);
	must(start(&err), &err);
	stop();
	assert_nothing_left();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_killed_at_every_step) };

	if (parse_arguments(argc, argv) < 0)
		return 2;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
