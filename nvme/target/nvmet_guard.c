/* SPDX-License-Identifier: Apache-2.0 */
/* The guard as an nftables table; the one user of nft, whose library is no library for us: GPL. */
#include "nvme/target/nvmet_guard.h"

#include <stdio.h>
#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/log.h"
#include "nvme/base/proc.h"
#include "nvme/base/strb.h"

/* Adding a table that is there is fine, deleting one that is not there would fail. */
#define REMOVE_TABLE                                                                               \
	"add table inet " NVMET_GUARD_TABLE "\n"                                                   \
	"delete table inet " NVMET_GUARD_TABLE "\n"
#define FIXED_SIZE 2048 /* the text without the portals */
#define NFT_MS 10000

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

static int nft_run(const char *commands, struct err *err)
{
	const char *const argv[] = { "nft", "--", commands, NULL };
	cleanup_free struct proc_result *result = xcalloc(1, sizeof(*result));

	if (proc_run(argv, deadline_after_ms(NFT_MS), result, err) < 0)
		return err_wrap(err, "nftables");
	if (result->exit_code == 0)
		return 0;
	/* What it was given follows, line by line. */
	return err_set(err, ERR_INTERNAL, "nft: exit status %d: %.*s", result->exit_code,
		       (int)strcspn(result->err, "\n"), result->err);
}

void nvmet_guard_init(struct nvmet_guard *guard, bool live)
{
	*guard = (struct nvmet_guard) { .run = live ? nft_run : NULL };
}

/* A set may not be empty where elements are listed. */
static void add_set(struct strb *text, int family, const struct portal *portals, size_t count)
{
	bool v6 = family == AF_INET6, any = false;

	strb_addf(text, "\tset portals%c {\n\t\ttype %s . inet_service; flags timeout;\n",
		  v6 ? '6' : '4', v6 ? "ipv6_addr" : "ipv4_addr");
	for (size_t i = 0; i < count; i++) {
		if (portals[i].family != family)
			continue;
		strb_addf(text, "%s%s . %u timeout %ds", any ? ", " : "\t\telements = { ",
			  portals[i].addr, portals[i].port, NVMET_GUARD_SECONDS);
		any = true;
	}
	strb_addf(text, "%s\t}\n", any ? " }\n" : "");
}

void nvmet_guard_up(struct nvmet_guard *guard, const struct portal *portals, size_t count)
{
	size_t size = FIXED_SIZE + count * PORTAL_TEXT_SIZE;
	cleanup_free char *buffer = NULL;
	struct strb text;
	struct err err;

	if (!guard->run || !count)
		return;
	buffer = xcalloc(size, 1);
	text = strb_over(buffer, size);
	strb_add(&text, REMOVE_TABLE "table inet " NVMET_GUARD_TABLE " {\n");
	add_set(&text, AF_INET, portals, count);
	add_set(&text, AF_INET6, portals, count);
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
