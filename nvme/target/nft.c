/* SPDX-License-Identifier: Apache-2.0 */
/* nftables, by the program nft. */
#include "nvme/target/nft.h"

#include <string.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/proc.h"

#define NFT_MS 10000

int nft_run(const char *commands, struct err *err)
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

/* A set may not be empty where elements are listed. */
static void add_set(struct strb *text, int family, const struct portal *portals, size_t count,
		    unsigned timeout_seconds)
{
	bool v6 = family == AF_INET6, any = false;

	strb_addf(text, "\tset portals%c {\n\t\ttype %s . inet_service; flags timeout;\n",
		  v6 ? '6' : '4', v6 ? "ipv6_addr" : "ipv4_addr");
	for (size_t i = 0; i < count; i++) {
		if (portals[i].family != family)
			continue;
		strb_addf(text, "%s%s . %u timeout %us", any ? ", " : "\t\telements = { ",
			  portals[i].addr, portals[i].port, timeout_seconds);
		any = true;
	}
	strb_addf(text, "%s\t}\n", any ? " }\n" : "");
}

void nft_add_sets(struct strb *text, const struct portal *portals, size_t count,
		  unsigned timeout_seconds)
{
	add_set(text, AF_INET, portals, count, timeout_seconds);
	add_set(text, AF_INET6, portals, count, timeout_seconds);
}
