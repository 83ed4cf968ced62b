/* SPDX-License-Identifier: Apache-2.0 */
/* The pause as an nftables table. */
#include "nvme/target/nvmet_pause.h"

#include "nvme/base/cleanup.h"
#include "nvme/base/log.h"
#include "nvme/target/nft.h"

#define REMOVE_TABLE NFT_REMOVE_TABLE(NVMET_PAUSE_TABLE)
#define MARGIN_MS 50U /* the kernel's timers count in ticks */

static const char chain[] = "\tchain input {\n"
			    "\t\ttype filter hook input priority -310; policy accept;\n"
			    "\t\tip daddr . tcp dport @portals4 drop\n"
			    "\t\tip6 daddr . tcp dport @portals6 drop\n"
			    "\t}\n"
			    "}\n";

void nvmet_pause_init(struct nvmet_pause *pause, bool live)
{
	*pause = (struct nvmet_pause) { .run = live ? nft_run : NULL };
	pthread_mutex_init(&pause->lock, NULL);
}

void nvmet_pause_fini(struct nvmet_pause *pause)
{
	pthread_mutex_destroy(&pause->lock);
}

static int begin_locked(struct nvmet_pause *pause, const struct portal *portals, size_t count,
			struct err *err)
{
	size_t size = NFT_FIXED_SIZE + count * PORTAL_TEXT_SIZE;
	cleanup_free char *buffer = xcalloc(size, 1);
	struct strb text = strb_over(buffer, size);
	struct err why;

	strb_add(&text, REMOVE_TABLE "table inet " NVMET_PAUSE_TABLE " {\n");
	nft_add_sets(&text, portals, count, NVMET_PAUSE_MS / 1000);
	strb_add(&text, chain);
	pause->begun_ns = clock_now_ns();
	if (!pause->run || pause->run(buffer, &why) == 0)
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "hosts cannot be kept from writing for the moment that a group of snapshots "
		       "takes; the kernel needs nf_tables, this process CAP_NET_ADMIN: %.400s",
		       why.msg);
}

int nvmet_pause_begin(struct nvmet_pause *pause, const struct portal *portals, size_t count,
		      struct err *err)
{
	pthread_mutex_lock(&pause->lock);
	if (begin_locked(pause, portals, count, err) == 0)
		return 0;
	pthread_mutex_unlock(&pause->lock);
	return -1;
}

bool nvmet_pause_end(struct nvmet_pause *pause)
{
	uint64_t took_ns = clock_now_ns() - pause->begun_ns;
	struct err err;

	if (pause->run && pause->run(REMOVE_TABLE, &err) < 0)
		log_warning("nftables table not removed; it ends by itself",
			    KV("table", "inet " NVMET_PAUSE_TABLE), KV_ERR(&err));
	pthread_mutex_unlock(&pause->lock);
	return took_ns < (NVMET_PAUSE_MS - MARGIN_MS) * NS_PER_MS;
}
