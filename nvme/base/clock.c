/* SPDX-License-Identifier: Apache-2.0 */
/* Monotonic time and deadlines. */
#include "nvme/base/clock.h"

#include <limits.h>

uint64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

struct deadline deadline_none(void)
{
	return (struct deadline) { .at_ns = UINT64_MAX };
}

struct deadline deadline_after_ms(uint64_t ms)
{
	uint64_t now = clock_now_ns();

	if (ms > (UINT64_MAX - now) / NS_PER_MS)
		return deadline_none();
	return (struct deadline) { .at_ns = now + ms * NS_PER_MS };
}

struct deadline deadline_min(struct deadline a, struct deadline b)
{
	return a.at_ns < b.at_ns ? a : b;
}

bool deadline_passed(struct deadline d)
{
	return d.at_ns != UINT64_MAX && clock_now_ns() >= d.at_ns;
}

int deadline_poll_ms(struct deadline d)
{
	uint64_t now, ms;

	if (d.at_ns == UINT64_MAX)
		return -1;
	now = clock_now_ns();
	if (now >= d.at_ns)
		return 0;
	ms = (d.at_ns - now + NS_PER_MS - 1) / NS_PER_MS;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

struct timespec deadline_timespec(struct deadline d)
{
	uint64_t at_ns = d.at_ns;

	/* A century is "never" for every waiter, and fits any time_t. */
	if (at_ns > 100ULL * 365 * 86400 * NS_PER_S)
		at_ns = 100ULL * 365 * 86400 * NS_PER_S;
	return (struct timespec) { .tv_sec = (time_t)(at_ns / NS_PER_S),
				   .tv_nsec = (long)(at_ns % NS_PER_S) };
}
