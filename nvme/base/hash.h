/* SPDX-License-Identifier: Apache-2.0 */
/* FNV-1a in 64 bits, a hash of texts that is the same on every machine, for ever. */
#ifndef NVME_BASE_HASH_H
#define NVME_BASE_HASH_H

#include <stdint.h>

#define HASH_BEGIN 0xcbf29ce484222325ULL

/* The hash of what was hashed before, HASH_BEGIN for nothing, and then this text. */
static inline uint64_t hash_add(uint64_t hash, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		hash = (hash ^ *p) * 0x100000001b3ULL;
	return hash;
}

#endif
