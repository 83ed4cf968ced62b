/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DH-HMAC-CHAP keys of a host on disk: <host NQN>.keys beside the records of a pool, mode 0600,
 * one line: "1 SERIAL HOST_KEY [CTRL_KEY]". A host has the same keys for all volumes, whichever
 * pools they are in; each pool with such a volume has a file, and of several the one with the
 * highest serial counts. Every function here blocks for as long as the disk does.
 */
#ifndef NVME_TARGET_HOST_KEYS_H
#define NVME_TARGET_HOST_KEYS_H

#include <stdint.h>

#include "nvme/base/dhchap.h"
#include "nvme/base/parse.h"
#include "nvme/base/root.h"

struct host_keys {
	uint64_t serial; /* counts the changes; 0: there are no keys */
	struct dhchap_keys keys;
};

/* Overwrites them; serial 0. */
void host_keys_wipe(struct host_keys *keys);

/* 1: read; 0: absent; -1: unreadable, or malformed (ERR_DATA_LOSS). */
int host_keys_load(const struct root *root, const char *host_nqn, struct host_keys *ret,
		   struct err *err);

/* Durable when it returns 0. */
int host_keys_save(const struct root *root, const char *host_nqn, const struct host_keys *keys,
		   struct err *err);

/* Durable; an absent one is fine and costs nothing. */
int host_keys_remove(const struct root *root, const char *host_nqn, struct err *err);

/* The NQNs of all hosts that have a file. */
int host_keys_list(const struct root *root, struct root_names *ret, struct err *err);

#endif
