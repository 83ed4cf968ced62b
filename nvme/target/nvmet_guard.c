/* SPDX-License-Identifier: Apache-2.0 */
/* The guard as an nftables table. */
#include "nvme/target/nvmet_guard.h"

#include "nvme/base/cleanup.h"
#include "nvme/base/log.h"
#include "nvme/target/nft.h"

#define REMOVE_TABLE NFT_REMOVE_TABLE(NVMET_GUARD_TABLE)

static const char chains[] = "\tchain opening {\n"
			     "\t\ttcp flags & (syn | ack) == syn reject with tcp reset\n"
			     "\t\t@ih,0,8 0x04 @ih,64,8 0x7f @ih,96,8 0x01 drop\n"
			     "\t}\n"
			     "\tchain input {\n"
			     "\t\ttype filter hook input priority -300; policy accept;\n"
			     "\t\tip daddr . tcp dport @portals4 jump opening\n"
			     "\t\tip6 daddr . tcp dport @portals6 jump opening\n"
			     "\t}\n"
			     "}\n";

void nvmet_guard_init(struct nvmet_guard *guard, bool live)
{
	*guard = (struct nvmet_guard) { .run = live ? nft_run : NULL };
}

void nvmet_guard_up(struct nvmet_guard *guard, const struct portal *portals, size_t count)
{
	size_t size = NFT_FIXED_SIZE + count * PORTAL_TEXT_SIZE;
	cleanup_free char *buffer = NULL;
	struct strb text;
	struct err err;

	if (!guard->run || !count)
		return;
	buffer = xcalloc(size, 1);
	text = strb_over(buffer, size);
	strb_add(&text, REMOVE_TABLE "table inet " NVMET_GUARD_TABLE " {\n");
	nft_add_sets(&text, portals, count, NVMET_GUARD_SECONDS);
	strb_add(&text, chains);
	guard->up = true;
	guard->settled = true;
	if (guard->run(buffer, &err) == 0)
		return;
	guard->up = false;
	log_error("portals not guarded: a host that reconnects in this moment may find its "
		  "subsystem missing and remove its controller for good, and what is mounted "
		  "there with it; the kernel needs nf_tables, this process CAP_NET_ADMIN",
		  KV_ERR(&err));
}

void nvmet_guard_down(struct nvmet_guard *guard)
{
	struct err err;

	if (!guard->up || guard->run(REMOVE_TABLE, &err) == 0) {
		guard->up = false;
		return;
	}
	log_warning("nftables table not removed; it ends by itself",
		    KV("table", "inet " NVMET_GUARD_TABLE),
		    KV_NUM("within_seconds", NVMET_GUARD_SECONDS), KV_ERR(&err));
}

void nvmet_guard_settle(struct nvmet_guard *guard)
{
	struct err err;

	if (!guard->run || guard->settled)
		return;
	guard->settled = true;
	/* Without nftables nobody left a table. */
	if (guard->run(REMOVE_TABLE, &err) < 0)
		log_debug("nftables cannot be used", KV_ERR(&err));
}
