/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thin volume by its name (lvm.h): its device, its size, and what is allocated for it. Blocks on
 * lvm2 where that is said, else on device-mapper alone.
 */
#ifndef NVME_TARGET_LV_H
#define NVME_TARGET_LV_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/err.h"
#include "nvme/target/lvm.h"

#define LV_TAG "nvmeot" /* which all of ours have */

struct lv {
	int fd; /* open for reading, owned; -1: none */
	dev_t number;
	uint64_t size_bytes;
};

void lv_close(struct lv *lv);
#define cleanup_lv CLEANUP(lv_close)

/* Where its device node is, if there is one: see lv_open. */
void lv_path(const struct lvm *lvm, const char *name, char out[PATH_MAX]);

/* 1: opened, whoever made it, in whatever thin pool; 0: it has no device. Without lvm2. */
int lv_open(const struct lvm *lvm, const char *name, struct lv *ret, struct err *err);

/*
 * Opens one that is ours for sure, after making its device if need be: asks lvm2. 0: there is no
 * such thin volume. Errors are those of lvm_claim and lvm_activate.
 */
int lv_find(const struct lvm *lvm, const char *name, struct lv *ret, struct err *err);

/*
 * As lv_find, but does without lvm2 where the kernel knows the thin pool: it is not asked about the
 * tag then, so nothing may be changed because of what this finds.
 */
int lv_glance(const struct lvm *lvm, const char *name, struct lv *ret, struct err *err);

/*
 * What has been allocated for it, in bytes. Without lvm2. ERR_INTERNAL: it has no device, or no
 * figure, as one whose pool has failed.
 */
int lv_mapped(const struct lvm *lvm, const char *name, uint64_t *ret_bytes, struct err *err);

#endif
