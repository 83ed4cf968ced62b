/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills a process, and the programs that it runs, just before its n-th system call that changes
 * something outside of it. Threads count as the process. Of its programs only their end counts
 * (mkfs has made everything, nobody has heard of it), or, if asked for, their own writes.
 */
#ifndef TESTS_VM_KILL_POINTS_H
#define TESTS_VM_KILL_POINTS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nvme/base/err.h"
#include "nvme/base/strb.h"

enum kill_where { KILL_IN_PROCESS, KILL_IN_PROGRAMS };

struct kill_run {
	pid_t process;
	enum kill_where where;
	/* Which calls of the process count, and none of its programs; NULL: as below. */
	bool (*changes)(uint64_t number, const uint64_t args[]);
	int left;	  /* points to pass by */
	pid_t tasks[256]; /* all that was ever traced */
	size_t task_count;
	const char *point; /* where it was killed: the call, */
	char file[256];	   /* and the file that a write went to */
};

struct kill_call {
	long number;
	const char *name;
};

#define KILL_CALL(name)                                                                            \
	{                                                                                          \
		SYS_##name, #name                                                                  \
	}

static inline const char *kill_find(const struct kill_call calls[], size_t count, uint64_t number)
{
	for (size_t i = 0; i < count; i++)
		if ((uint64_t)calls[i].number == number)
			return calls[i].name;
	return NULL;
}

static inline bool kill_is_of_process(const struct kill_run *run, pid_t task)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", run->process, task);
	return access(path, F_OK) == 0;
}

/* A thread changes nothing; a program that is about to be run does. */
static inline bool kill_makes_process(pid_t task, uint64_t number, const uint64_t args[])
{
	uint64_t flags = args[0];

	if (number == SYS_clone3)
		flags = (uint64_t)ptrace(PTRACE_PEEKDATA, task, (void *)args[0], NULL);
	return !(flags & CLONE_THREAD);
}

/* Those that make a process, those that are looked at more closely, those that change something. */
#define KILL_MAKING 4
#define KILL_OTHERS 6
static const struct kill_call kill_stops[] = {
	KILL_CALL(clone),      KILL_CALL(clone3),	 KILL_CALL(vfork),    KILL_CALL(fork),
	KILL_CALL(ioctl),      KILL_CALL(exit_group),	 KILL_CALL(write),    KILL_CALL(pwrite64),
	KILL_CALL(ftruncate),  KILL_CALL(fallocate),	 KILL_CALL(fsync),    KILL_CALL(fdatasync),
	KILL_CALL(mkdir),      KILL_CALL(mkdirat),	 KILL_CALL(rmdir),    KILL_CALL(unlink),
	KILL_CALL(unlinkat),   KILL_CALL(rename),	 KILL_CALL(renameat), KILL_CALL(renameat2),
	KILL_CALL(mknod),      KILL_CALL(mknodat),	 KILL_CALL(mount),    KILL_CALL(umount2),
	KILL_CALL(fsopen),     KILL_CALL(fsconfig),	 KILL_CALL(fsmount),  KILL_CALL(open_tree),
	KILL_CALL(move_mount), KILL_CALL(mount_setattr), KILL_CALL(fchmodat), KILL_CALL(symlinkat),
	KILL_CALL(syncfs),
};

/* The name of the call if it changes something, else NULL. */
static inline const char *kill_point_of_process(pid_t task, uint64_t number, const uint64_t args[])
{
	const char *name = kill_find(kill_stops, KILL_MAKING, number);

	if (name)
		return kill_makes_process(task, number, args) ? name : NULL;
	if (number == SYS_write && args[0] <= STDERR_FILENO)
		return NULL;
	if (number == SYS_openat)
		return args[2] & O_CREAT ? "open to create" : NULL;
	/* Asking ioctls are many; these write to the device, or to what is on it. */
	if (number == SYS_ioctl)
		return args[1] == BLKROSET || _IOC_DIR(args[1]) == _IOC_WRITE ? "ioctl" : NULL;
	return kill_find(kill_stops + KILL_OTHERS, ARRAY_SIZE(kill_stops) - KILL_OTHERS, number);
}

static inline const char *kill_point_of_program(enum kill_where where, uint64_t number,
						const uint64_t args[])
{
	static const struct kill_call changing[] = { KILL_CALL(write), KILL_CALL(pwrite64),
						     KILL_CALL(fallocate), KILL_CALL(fsync) };

	if (number == SYS_exit_group)
		return "end of program";
	if (where == KILL_IN_PROCESS || (number == SYS_write && args[0] <= STDERR_FILENO))
		return NULL;
	return kill_find(changing, ARRAY_SIZE(changing), number);
}

static inline const char *kill_point(const struct kill_run *run, pid_t task)
{
	struct __ptrace_syscall_info info;
	const uint64_t *args = (const uint64_t *)info.seccomp.args;
	bool of_process;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, task, (void *)sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_SECCOMP)
		return NULL;
	of_process = kill_is_of_process(run, task);
	if (run->changes)
		return of_process && run->changes(info.seccomp.nr, args) ? "a call" : NULL;
	if (of_process)
		return run->where == KILL_IN_PROCESS ?
			       kill_point_of_process(task, info.seccomp.nr, args) :
			       NULL;
	return kill_point_of_program(run->where, info.seccomp.nr, args);
}

static inline void kill_remember(struct kill_run *run, pid_t task)
{
	for (size_t i = 0; i < run->task_count; i++)
		if (run->tasks[i] == task)
			return;
	if (run->task_count < ARRAY_SIZE(run->tasks))
		run->tasks[run->task_count++] = task;
}

/* As when its container is killed: everything at once. */
static inline void kill_all(struct kill_run *run)
{
	int status;

	for (size_t i = 0; i < run->task_count; i++)
		kill(run->tasks[i], SIGKILL);
	while (waitpid(-1, &status, __WALL) > 0 || errno == EINTR)
		;
}

/* Whose descriptor the call has as its first argument. */
static inline void kill_note_file(struct kill_run *run, pid_t task)
{
	struct __ptrace_syscall_info info;
	char link[64];
	ssize_t len;

	if (strcmp(run->point, "write") != 0 ||
	    ptrace(PTRACE_GET_SYSCALL_INFO, task, (void *)sizeof(info), &info) <= 0)
		return;
	snprintf(link, sizeof(link), "/proc/%d/fd/%d", task, (int)info.seccomp.args[0]);
	len = readlink(link, run->file, sizeof(run->file) - 1);
	run->file[len < 0 ? 0 : len] = '\0';
}

/*
 * Runs a child of ours that has called kill_begin. Returns -1 when it was killed at the point, else
 * its exit status: then it has no more points. We must have no other child.
 */
static inline int kill_run_to_point(struct kill_run *run)
{
	int status, signal;
	pid_t task;

	while ((task = waitpid(-1, &status, __WALL)) > 0) {
		if (task == run->process && WIFEXITED(status)) {
			kill_all(run);
			return WEXITSTATUS(status);
		}
		if (!WIFSTOPPED(status))
			continue;
		kill_remember(run, task);
		signal = WSTOPSIG(status);
		if (signal == SIGSTOP && task == run->process)
			ptrace(PTRACE_SETOPTIONS, task, NULL,
			       (void *)(PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL |
					PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
					PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC));
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
			run->point = kill_point(run, task);
			if (run->point && run->left-- == 0) {
				kill_note_file(run, task);
				kill_all(run);
				return -1;
			}
		}
		if (signal == SIGSTOP || signal == SIGTRAP)
			signal = 0;
		ptrace(PTRACE_CONT, task, NULL, (void *)(long)signal);
	}
	return 127;
}

/* These calls of its own, and of what it starts, stop: to stop at every call would cost far more. */
static inline int kill_stop_at(const struct kill_call calls[], size_t count)
{
	static const struct sock_filter rest[] = {
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_filter code[128] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						  offsetof(struct seccomp_data, nr)) };
	struct sock_fprog program = { .filter = code };
	size_t len = 1;

	if (1 + 2 * count + ARRAY_SIZE(rest) > ARRAY_SIZE(code))
		return -1;
	for (size_t i = 0; i < count; i++) {
		code[len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							   (uint32_t)calls[i].number, 0, 1);
		code[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	}
	memcpy(code + len, rest, sizeof(rest));
	program.len = (unsigned short)(len + ARRAY_SIZE(rest));
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

/* In the child: its tracer has the first stop, and sets its options there. */
static inline void kill_begin_at(const struct kill_call calls[], size_t count)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(126);
	raise(SIGSTOP);
	if (kill_stop_at(calls, count) < 0)
		_exit(126);
}

/* In the child: from here on its calls are counted. */
static inline void kill_begin(void)
{
	kill_begin_at(kill_stops, ARRAY_SIZE(kill_stops));
}

#endif
