/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership: what is stolen is not released, what is not is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/cleanup.h"

struct thing {
	int freed;
};

static void thing_free(struct thing *thing)
{
	thing->freed++;
}

DEFINE_CLEANUP(struct thing *, thing_free)

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_destructor_runs_once(void **state)
{
	struct thing thing = { 0 };

	(void)state;
	{
		struct thing *owned CLEANUP(thing_freep) = &thing;
		struct thing *none CLEANUP(thing_freep) = NULL;

		assert_null(none);
		assert_ptr_equal(owned, &thing);
	}
	assert_int_equal(thing.freed, 1);
}

static void test_stolen_pointer_is_kept(void **state)
{
	struct thing thing = { 0 };
	char *text = NULL;

	(void)state;
	{
		struct thing *owned CLEANUP(thing_freep) = &thing;
		cleanup_free char *copy = xstrdup("kept");

		assert_ptr_equal(steal_ptr(&owned), &thing);
		assert_null(owned);
		text = steal_ptr(&copy);
		assert_null(copy);
	}
	assert_int_equal(thing.freed, 0);
	assert_string_equal(text, "kept");
	free(text);
}

static void test_descriptors(void **state)
{
	int closed, kept;

	(void)state;
	{
		cleanup_close int a = open("/dev/null", O_RDONLY | O_CLOEXEC);
		cleanup_close int b = open("/dev/null", O_RDONLY | O_CLOEXEC);
		cleanup_close int none = -1;

		assert_true(a >= 0 && b >= 0 && none < 0);
		closed = a;
		kept = steal_fd(&b);
		assert_int_equal(b, -1);
	}
	assert_false(is_open(closed));
	assert_true(is_open(kept));
	close(kept);
}

/* A cleanup must not spoil the errno that the caller is about to report. */
static void test_nothing_to_close_leaves_errno(void **state)
{
	(void)state;
	errno = ENOTTY;
	{
		cleanup_close int none = -1;

		(void)none;
	}
	assert_int_equal(errno, ENOTTY);
}

static void test_allocation(void **state)
{
	cleanup_free char *nothing = xcalloc(0, 0);
	cleanup_free char *zeroed = xcalloc(4, 2);
	cleanup_free char *text = xasprintf("%s-%d", "a", 1);
	cleanup_free char *grown = NULL;

	(void)state;
	assert_non_null(nothing);
	assert_memory_equal(zeroed, "\0\0\0\0\0\0\0", 8);
	assert_string_equal(text, "a-1");
	grown = xrealloc(NULL, 2, 4);
	memcpy(grown, "12345678", 8);
	grown = xrealloc(grown, 4, 4);
	assert_memory_equal(grown, "12345678", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_destructor_runs_once),
		cmocka_unit_test(test_stolen_pointer_is_kept),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_nothing_to_close_leaves_errno),
		cmocka_unit_test(test_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
