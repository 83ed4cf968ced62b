/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bump arena: memory that is taken piece by piece and given back whole. Each call has one, for
 * its request, its response and what its handler needs. Not thread-safe: one thread at a time.
 */
#ifndef CSI_RPC_ARENA_H
#define CSI_RPC_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

struct rpc_arena_block;

/* Do not move it once initialised: the allocator points back to it. */
struct rpc_arena {
	struct rpc_arena_block *blocks;
	char *next;
	size_t left_bytes;
	size_t total_bytes; /* handed out so far */
	size_t limit_bytes; /* how far the allocator lets it grow */
	bool exhausted;	    /* the allocator refused at least once */

	/*
	 * For protobuf-c. Its alloc gives NULL beyond the limit, because what a sender makes grow
	 * is bounded; its free does nothing.
	 */
	ProtobufCAllocator allocator;
};

void rpc_arena_init(struct rpc_arena *arena, size_t limit_bytes);
void rpc_arena_fini(struct rpc_arena *arena);

/* Zeroed, aligned for any type, never NULL. For our own code: the limit does not apply. */
void *rpc_arena_alloc(struct rpc_arena *arena, size_t size);

#endif
