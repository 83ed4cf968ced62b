/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps everything that hosts send from our portals for a moment, sessions that live included: what
 * arrives is dropped, by a table of our own in nftables, `inet nvmeot_pause`, and TCP sends it
 * again, some 200 ms later. Hosts see a pause. Answers to what had arrived before go out.
 *
 * Whatever becomes of this process, the pause ends: its portals are elements of sets with a
 * timeout, which the kernel ends after NVMET_PAUSE_MS. That is far below what hosts wait for an
 * answer or a keep-alive, unless keepAliveTmo is less than 5; between two pauses every host gets
 * something through. By hand: nft delete table inet nvmeot_pause. New connections are none of its
 * business: what they lead to is dropped, and the guard must be able to refuse them.
 *
 * As the guard (nvmet_guard.h) it works in this process's network namespace.
 */
#ifndef NVME_TARGET_NVMET_PAUSE_H
#define NVME_TARGET_NVMET_PAUSE_H

#include <pthread.h>
#include <stdbool.h>

#include "nvme/base/clock.h"
#include "nvme/base/portal.h"

#define NVMET_PAUSE_TABLE "nvmeot_pause"
#define NVMET_PAUSE_MS 2000U

struct nvmet_pause {
	/* Executes nft commands in one transaction; NULL: there is nothing to pause. */
	int (*run)(const char *commands, struct err *err);
	pthread_mutex_t lock; /* of the table, held while there is a pause */
	uint64_t begun_ns;
	uint64_t next_ns; /* not before may there be another one */
};

/* live: there is a kernel behind it; false: do nothing. */
void nvmet_pause_init(struct nvmet_pause *pause, bool live);
void nvmet_pause_fini(struct nvmet_pause *pause);

/*
 * From when it returns until nvmet_pause_end nothing that was sent to these portals arrives. Waits
 * some seconds for the pause of another thread and for what it kept from arriving, then it is
 * ERR_UNAVAILABLE, as when nft does not answer. ERR_FAILED_PRECONDITION: nftables cannot be used.
 */
int nvmet_pause_begin(struct nvmet_pause *pause, const struct portal *portals, size_t count,
		      struct err *err);

/* Whether the kernel has not ended it yet. */
bool nvmet_pause_holds(const struct nvmet_pause *pause);

/* Ends it. False: it may have ended before, by the kernel or by others' hands. One that cannot be
 * ended is logged: it ends by itself. */
bool nvmet_pause_end(struct nvmet_pause *pause);

#endif
