/* SPDX-License-Identifier: Apache-2.0 */
/* The per-call bump arena: a chain of blocks, each twice as large as the one before. */
#include "csi/rpc/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#include "nvme/base/cleanup.h"

#define FIRST_BLOCK_BYTES 2048
#define LAST_BLOCK_BYTES 65536
#define ALIGN alignof(max_align_t)

struct rpc_arena_block {
	struct rpc_arena_block *older;
	size_t size;
	alignas(max_align_t) char data[];
};

static void *limited_alloc(void *data, size_t size)
{
	struct rpc_arena *arena = data;

	if (arena->total_bytes > arena->limit_bytes ||
	    size > arena->limit_bytes - arena->total_bytes) {
		arena->exhausted = true;
		return NULL;
	}
	return rpc_arena_alloc(arena, size);
}

static void no_free(void *data, void *pointer)
{
	(void)data;
	(void)pointer;
}

void rpc_arena_init(struct rpc_arena *arena, size_t limit_bytes)
{
	*arena = (struct rpc_arena) {
		.limit_bytes = limit_bytes,
		.allocator = { .alloc = limited_alloc, .free = no_free, .allocator_data = arena },
	};
}

void rpc_arena_fini(struct rpc_arena *arena)
{
	struct rpc_arena_block *older;

	for (; arena->blocks; arena->blocks = older) {
		older = arena->blocks->older;
		free(arena->blocks);
	}
	arena->left_bytes = 0;
}

static void add_block(struct rpc_arena *arena, size_t at_least)
{
	size_t size = arena->blocks ? arena->blocks->size * 2 : FIRST_BLOCK_BYTES;
	struct rpc_arena_block *block;

	if (size > LAST_BLOCK_BYTES)
		size = LAST_BLOCK_BYTES;
	if (size < at_least)
		size = at_least;
	block = xcalloc(1, sizeof(*block) + size);
	block->older = arena->blocks;
	block->size = size;
	arena->blocks = block;
	arena->next = block->data;
	arena->left_bytes = size;
}

void *rpc_arena_alloc(struct rpc_arena *arena, size_t size)
{
	void *p;

	if (size > SIZE_MAX / 2)
		abort();
	size = ((size ? size : 1) + ALIGN - 1) / ALIGN * ALIGN;
	if (size > arena->left_bytes)
		add_block(arena, size);
	p = arena->next;
	arena->next += size;
	arena->left_bytes -= size;
	arena->total_bytes += size;
	return p;
}
