/* SPDX-License-Identifier: Apache-2.0 */
/* Monotonic time and deadlines. A deadline is a point in time, so it passes through layers
 * unchanged. */
#ifndef NVME_BASE_CLOCK_H
#define NVME_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_MS ((uint64_t)1000000)
#define NS_PER_S ((uint64_t)1000000000)

struct deadline {
	uint64_t at_ns; /* CLOCK_MONOTONIC; UINT64_MAX: none */
};

uint64_t clock_now_ns(void);

struct deadline deadline_none(void);
struct deadline deadline_after_ms(uint64_t ms);

/* The earlier of the two. */
struct deadline deadline_min(struct deadline a, struct deadline b);

bool deadline_passed(struct deadline d);

/* Milliseconds left, rounded up, 0 when passed; as poll(2) takes it: -1 without a deadline. */
int deadline_poll_ms(struct deadline d);

/* The deadline as CLOCK_MONOTONIC timespec, for pthread_cond_clockwait and ppoll arithmetic. */
struct timespec deadline_timespec(struct deadline d);

#endif
