/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frozen file system, by FIFREEZE and FITHAW of the kernel's fs/ioctl.c, and its guard. Nothing
 * in the kernel thaws one by itself, so the freeze belongs to a process of its own, the guard: it
 * sets its timer, writes out what is dirty, freezes, and thaws at the first of: the word to do so,
 * the end of its starter, its timer. It ignores the signals that end services, is spared by the
 * kernel when memory runs out, and does nothing for which it would need the file system.
 *
 * The kernel counts one freeze of this kind (a second FIFREEZE is EBUSY on 6.1 and on newer ones,
 * which tell apart who holds a freeze), so one FITHAW ends it; EINVAL is that there was none.
 */
#ifndef CSI_VOLUME_GUARD_H
#define CSI_VOLUME_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "nvme/base/clock.h"
#include "nvme/base/err.h"

#define GUARD_COMMAND "freeze-guard" /* the program's first argument when it is to be a guard */

enum guard_state {
	GUARD_WORKING, /* it writes out, or waits for the kernel to freeze */
	GUARD_FROZEN,
	GUARD_FAILED, /* nothing is frozen by it; it has ended */
	GUARD_THAWED, /* it has ended */
	GUARD_DIED,   /* it did not get to say anything: what it had frozen is so still */
};

struct guard {
	pid_t pid;
	int channel;
	enum guard_state state;
	int error; /* of GUARD_FAILED: the kernel's; 0: it was called off, or its time was up */
	bool was_frozen; /* of GUARD_THAWED: until it was told to thaw, without a moment between */
};

/*
 * root: an open directory of the file system. lock: an open file with a lock (flock). The guard has
 * both for as long as it lives, however it ends. Does not wait.
 */
int guard_start(struct guard *guard, int root, int lock, uint32_t for_ms, struct err *err);

/*
 * Waits until its state is another one (true), or wake is readable or the deadline has passed
 * (false). wake -1: none. Takes no notice of anything once it has ended.
 */
bool guard_wait(struct guard *guard, int wake, struct deadline deadline);

/* Tells it to thaw, or not to freeze; wait for what it says to that. Never blocks. */
void guard_thaw(struct guard *guard);

/*
 * Kills one that does not answer, and waits for its end, which comes when the kernel lets go of it:
 * before that a thaw might come too early. It is GUARD_DIED then, or got to its end just before.
 */
void guard_kill(struct guard *guard);

/* Of one that has ended. */
void guard_fini(struct guard *guard);

/* 1: the file system was frozen, and is not any more; 0: it was not; -1: error. May block. */
int guard_thaw_now(int root, struct err *err);

/* The guard's own life, with argv[2] of its process: the descriptors are where guard_start puts
 * them. */
int guard_main(const char *for_ms);

#endif
