/* SPDX-License-Identifier: Apache-2.0 */
/* The per-call arena: alignment, zeroed memory, the limit of its allocator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "csi/rpc/arena.h"

static void test_pieces_are_apart_aligned_and_zero(void **state)
{
	struct rpc_arena arena;
	unsigned char *pieces[600];

	(void)state;
	rpc_arena_init(&arena, 0);
	for (size_t i = 0; i < 600; i++) {
		pieces[i] = rpc_arena_alloc(&arena, i);
		assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
		for (size_t k = 0; k < i; k++)
			assert_int_equal(pieces[i][k], 0);
		memset(pieces[i], (int)(i & 0xff), i);
	}
	for (size_t i = 0; i < 600; i++)
		for (size_t k = 0; k < i; k++)
			assert_int_equal(pieces[i][k], i & 0xff);
	rpc_arena_fini(&arena);
}

static void test_large_piece(void **state)
{
	struct rpc_arena arena;
	char *large, *small;

	(void)state;
	rpc_arena_init(&arena, 0);
	large = rpc_arena_alloc(&arena, 1 << 20);
	memset(large, 'x', 1 << 20);
	small = rpc_arena_alloc(&arena, 8);
	memset(small, 'y', 8);
	assert_int_equal(large[(1 << 20) - 1], 'x');
	rpc_arena_fini(&arena);
}

static void test_allocator_keeps_the_limit(void **state)
{
	struct rpc_arena arena;
	ProtobufCAllocator *a = &arena.allocator;
	size_t got = 0;
	void *p;

	(void)state;
	rpc_arena_init(&arena, 10000);
	while ((p = a->alloc(a->allocator_data, 100))) {
		a->free(a->allocator_data, p);
		got++;
	}
	assert_true(arena.exhausted);
	assert_in_range(got, 80, 100);
	assert_null(a->alloc(a->allocator_data, SIZE_MAX));
	assert_non_null(rpc_arena_alloc(&arena, 100000));
	assert_null(a->alloc(a->allocator_data, 1));
	rpc_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_are_apart_aligned_and_zero),
		cmocka_unit_test(test_large_piece),
		cmocka_unit_test(test_allocator_keeps_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
