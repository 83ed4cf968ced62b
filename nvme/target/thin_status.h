/* SPDX-License-Identifier: Apache-2.0 */
/* The status of a thin pool, as the kernel gives it (thin-provisioning.rst). */
#ifndef NVME_TARGET_THIN_STATUS_H
#define NVME_TARGET_THIN_STATUS_H

#include "nvme/target/lvm.h"

struct thin_status {
	uint64_t transaction; /* lvm2 changes it with whatever is made or deleted */
	uint64_t metadata_used, metadata_total; /* blocks of 4096 bytes */
	uint64_t data_used, data_total;		/* chunks */
	uint64_t held; /* the block of its metadata snapshot; 0: there is none */
	char mode[32]; /* "rw", or what is wrong */
};

/* Reads that of the pool. ERR_UNAVAILABLE: it is not active, or has failed. */
int thin_status_read(const struct lvm *lvm, struct thin_status *ret, struct err *err);

#endif
