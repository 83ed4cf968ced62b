/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines: far ones, passed ones, and what poll and the condition variables get of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>

#include "nvme/base/clock.h"

static void test_now_goes_on(void **state)
{
	uint64_t a = clock_now_ns(), b = clock_now_ns();

	(void)state;
	assert_true(a > 0 && b >= a);
}

static void test_none(void **state)
{
	(void)state;
	assert_false(deadline_passed(deadline_none()));
	assert_int_equal(deadline_poll_ms(deadline_none()), -1);
	assert_true(deadline_timespec(deadline_none()).tv_sec > 99L * 365 * 86400);
}

static void test_passed(void **state)
{
	struct deadline past = { .at_ns = clock_now_ns() };

	(void)state;
	assert_true(deadline_passed(past));
	assert_int_equal(deadline_poll_ms(past), 0);
	assert_true(deadline_passed(deadline_after_ms(0)));
}

/* Rounded up: a poll of 0 ms for the last half millisecond would spin. */
static void test_rounds_up(void **state)
{
	struct deadline soon = { .at_ns = clock_now_ns() + 5000000000ULL };
	int ms = deadline_poll_ms(soon);

	(void)state;
	assert_true(ms > 4000 && ms <= 5000);
	assert_true((uint64_t)ms * 1000000 + clock_now_ns() >= soon.at_ns);
}

static void test_far(void **state)
{
	struct deadline month = deadline_after_ms(30ULL * 86400 * 1000);

	(void)state;
	assert_int_equal(deadline_poll_ms(month), INT_MAX);
	assert_false(deadline_passed(month));
	assert_true(deadline_after_ms(UINT64_MAX).at_ns == UINT64_MAX);
	assert_true(deadline_after_ms(UINT64_MAX / 1000000).at_ns == UINT64_MAX);
}

static void test_min(void **state)
{
	struct deadline early = { .at_ns = 5 }, late = { .at_ns = 6 };

	(void)state;
	assert_int_equal(deadline_min(early, late).at_ns, 5);
	assert_int_equal(deadline_min(late, early).at_ns, 5);
	assert_int_equal(deadline_min(late, deadline_none()).at_ns, 6);
}

static void test_timespec(void **state)
{
	struct timespec ts = deadline_timespec((struct deadline) { .at_ns = 12000000034ULL });

	(void)state;
	assert_int_equal(ts.tv_sec, 12);
	assert_int_equal(ts.tv_nsec, 34);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_now_goes_on), cmocka_unit_test(test_none),
		cmocka_unit_test(test_passed),	    cmocka_unit_test(test_rounds_up),
		cmocka_unit_test(test_far),	    cmocka_unit_test(test_min),
		cmocka_unit_test(test_timespec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
