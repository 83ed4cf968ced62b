/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of a recorded export is in nvmet's configfs. Reads only, takes no lock, and costs a few
 * reads for each port.
 */
#ifndef NVME_TARGET_NVMET_LOOK_H
#define NVME_TARGET_NVMET_LOOK_H

#include "nvme/target/nvmet.h"

struct nvmet_look {
	bool enabled;	       /* it has a subsystem with an enabled namespace */
	const char *shut_out;  /* a host of its exports that is not let in; borrowed; NULL: none */
	size_t portal_count;   /* of the configured portals, those that lead to it */
	struct portal missing; /* one that does not; only when there is one */
};

int nvmet_look(struct nvmet *nvmet, const struct volume *volume, struct nvmet_look *ret,
	       struct err *err);

#endif
