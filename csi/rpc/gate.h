/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A busy gate: at most one holder per key, a second one is turned away at once, never queued.
 * Thread-safe; nothing blocks or fails. Keys are copied.
 */
#ifndef CSI_RPC_GATE_H
#define CSI_RPC_GATE_H

#include <pthread.h>
#include <stdbool.h>

struct gate_holder;

struct gate {
	pthread_mutex_t lock;
	struct gate_holder *holders;
};

void gate_init(struct gate *gate);

/* Every holder must have left. */
void gate_fini(struct gate *gate);

/* false: someone holds key. */
bool gate_enter(struct gate *gate, const char *key);

/* key must have been entered; any thread may leave for the one that entered. */
void gate_leave(struct gate *gate, const char *key);

#endif
