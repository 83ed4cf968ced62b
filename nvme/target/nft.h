/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one user of nftables, by its program nft: its library is no library for us (GPL). All tables
 * of ours are of the family inet and hold portals in two sets, portals4 and portals6, whose
 * elements have a timeout: whatever becomes of this process, the kernel ends what they do.
 */
#ifndef NVME_TARGET_NFT_H
#define NVME_TARGET_NFT_H

#include "nvme/base/portal.h"
#include "nvme/base/strb.h"

/* Commands that remove a table, whether it is there or not. Adding one that is there is fine,
 * deleting one that is not there would fail. */
#define NFT_REMOVE_TABLE(name) "add table inet " name "\ndelete table inet " name "\n"

#define NFT_FIXED_SIZE 2048 /* what a table takes as text beside its portals, at most */

/* Executes commands in one transaction. Blocks for some milliseconds, for ten seconds at most. */
int nft_run(const char *commands, struct err *err);

/* Adds the sets portals4 and portals6 to the text of a table. */
void nft_add_sets(struct strb *text, const struct portal *portals, size_t count,
		  unsigned timeout_seconds);

#endif
