/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of DH-HMAC-CHAP, with which hosts and targets prove who they are when they connect. The
 * text form is the one of the kernel and of `nvme gen-dhchap-key` (NVMe Base Specification 2.1,
 * 8.3.4.5.8; drivers/nvme/common/auth.c): "DHHC-1:HH:BASE64:", where BASE64 is the key followed by
 * its CRC-32, little endian, and HH the hash that transforms the key: 00 none, 01 SHA-256 (32
 * bytes), 02 SHA-384 (48), 03 SHA-512 (64). No message ever has a key, or a part of one, in it.
 */
#ifndef NVME_BASE_DHCHAP_H
#define NVME_BASE_DHCHAP_H

#include <stdbool.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/err.h"

#define DHCHAP_KEY_SIZE (10 + 92 + 1 + 1) /* prefix, base64 of 64 + 4 bytes, colon, terminated */

/* What a host and a target have in common; an empty text is no key. */
struct dhchap_keys {
	char host[DHCHAP_KEY_SIZE]; /* by which the host proves itself */
	char ctrl[DHCHAP_KEY_SIZE]; /* by which the target does; only beside a host's */
};

/* Who has to prove itself: nobody, the host, or both. */
enum dhchap_mode { DHCHAP_NONE, DHCHAP_ONE_WAY, DHCHAP_BOTH_WAYS, DHCHAP_MODE_COUNT };

/* Borrowed names: "none", "one-way", "both-ways". */
const char *dhchap_mode_name(enum dhchap_mode mode);

/*
 * Takes over both, each of which may be NULL or empty, checked; what is each one's name.
 * ERR_INVALID_ARGUMENT says what is wrong and what would be right, and shows nothing of a key.
 */
int dhchap_keys_parse(const char *host_what, const char *host, const char *ctrl_what,
		      const char *ctrl, struct dhchap_keys *ret, struct err *err);

enum dhchap_mode dhchap_keys_mode(const struct dhchap_keys *keys);
bool dhchap_keys_equal(const struct dhchap_keys *a, const struct dhchap_keys *b);

/* Overwrites the keys, so that they do not stay in memory; a cleanup function, too. */
void dhchap_keys_wipe(struct dhchap_keys *keys);
#define cleanup_dhchap_keys CLEANUP(dhchap_keys_wipe)

#endif
