/* SPDX-License-Identifier: Apache-2.0 */
/* The pause as an nftables table. */
#include "nvme/target/nvmet_pause.h"

#include <errno.h>
#include <time.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/log.h"
#include "nvme/target/nft.h"

#define REMOVE_TABLE NFT_REMOVE_TABLE(NVMET_PAUSE_TABLE)
/* Fails where the table is gone: somebody has taken the pause away. */
#define END_PAUSE "delete table inet " NVMET_PAUSE_TABLE "\n"
#define MARGIN_MS 50U /* the kernel's timers count in ticks */
#define TURN_MS 5000U
/* TCP sends again after 200 ms, and then each time after twice as long. */
#define RESEND_MS 300U

static const char chain[] = "\tchain input {\n"
			    "\t\ttype filter hook input priority -310; policy accept;\n"
			    /* No write: for the guard to refuse, or to pass. */
			    "\t\ttcp flags & (syn | ack) == syn accept\n"
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

static bool has_kernel_ended(const struct nvmet_pause *pause)
{
	return clock_now_ns() - pause->begun_ns >= (NVMET_PAUSE_MS - MARGIN_MS) * NS_PER_MS;
}

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec) { .tv_sec = (time_t)(ns / NS_PER_S),
				   .tv_nsec = (long)(ns % NS_PER_S) };
}

static int take_turn(struct nvmet_pause *pause, struct err *err)
{
	struct timespec until = to_timespec(clock_now_ns() + TURN_MS * NS_PER_MS);

	if (pthread_mutex_clocklock(&pause->lock, CLOCK_MONOTONIC, &until) == 0)
		return 0;
	return err_set(err, ERR_UNAVAILABLE,
		       "another group of snapshots has been under way for %u ms; try again",
		       TURN_MS);
}

/* After a pause each host gets something through before the next one, a keep-alive above all. */
static void await_hosts(const struct nvmet_pause *pause)
{
	struct timespec until = to_timespec(pause->next_ns);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

static int begin_locked(struct nvmet_pause *pause, const struct portal *portals, size_t count,
			struct err *err)
{
	size_t size = NFT_FIXED_SIZE + count * PORTAL_TEXT_SIZE;
	cleanup_free char *buffer = xcalloc(size, 1);
	struct strb text = strb_over(buffer, size);
	struct err why, ignored;

	strb_add(&text, REMOVE_TABLE "table inet " NVMET_PAUSE_TABLE " {\n");
	nft_add_sets(&text, portals, count, NVMET_PAUSE_MS / 1000);
	strb_add(&text, chain);
	pause->begun_ns = clock_now_ns();
	if (!pause->run || pause->run(buffer, &why) == 0)
		return 0;
	/* It may have been done all the same. */
	pause->run(REMOVE_TABLE, &ignored);
	return err_set(
		err, why.code == ERR_DEADLINE_EXCEEDED ? ERR_UNAVAILABLE : ERR_FAILED_PRECONDITION,
		"hosts cannot be kept from writing for the moment that a group of snapshots "
		"takes; the kernel needs nf_tables, this process CAP_NET_ADMIN: %.400s",
		why.msg);
}

int nvmet_pause_begin(struct nvmet_pause *pause, const struct portal *portals, size_t count,
		      struct err *err)
{
	if (take_turn(pause, err) < 0)
		return -1;
	await_hosts(pause);
	if (begin_locked(pause, portals, count, err) == 0)
		return 0;
	pthread_mutex_unlock(&pause->lock);
	return -1;
}

bool nvmet_pause_holds(const struct nvmet_pause *pause)
{
	return !has_kernel_ended(pause);
}

bool nvmet_pause_end(struct nvmet_pause *pause)
{
	bool held = !has_kernel_ended(pause);
	uint64_t now_ns, took_ns;
	struct err err;

	if (pause->run && pause->run(END_PAUSE, &err) < 0) {
		held = false;
		log_warning("pause not ended by its own end; it ends by itself",
			    KV("table", "inet " NVMET_PAUSE_TABLE), KV_ERR(&err));
	}
	/* The kernel has kept it up no longer than this, however long the copies took. */
	now_ns = clock_now_ns();
	took_ns = now_ns - pause->begun_ns;
	if (took_ns > NVMET_PAUSE_MS * NS_PER_MS)
		took_ns = NVMET_PAUSE_MS * NS_PER_MS;
	pause->next_ns = now_ns + took_ns + RESEND_MS * NS_PER_MS;
	pthread_mutex_unlock(&pause->lock);
	return held;
}
