/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes: a CSI CapacityRange, checked and turned into the one size to create. Pure. */
#ifndef CSI_REQUEST_RANGE_H
#define CSI_REQUEST_RANGE_H

#include <stdint.h>

#include "csi.pb-c.h"
#include "nvme/base/err.h"
#include "nvme/target/volume.h"

#define RANGE_DEFAULT_BYTES (1ULL << 30)
#define RANGE_MAX_BYTES (1ULL << 50) /* far above any pool, far below any overflow */

/* A checked range; limit_bytes is RANGE_MAX_BYTES when none was given. */
struct range {
	uint64_t required_bytes;
	uint64_t limit_bytes;
};

/*
 * Checks the range (NULL: none given). Negative values, an empty range and a limit below the
 * requirement are ERR_INVALID_ARGUMENT; more than RANGE_MAX_BYTES is ERR_OUT_OF_RANGE.
 */
int range_parse(const Csi__V1__CapacityRange *range, struct range *ret, struct err *err);

/*
 * The smallest size in the range that is at least minimum_bytes (of the file system) and a multiple
 * of VOLUME_BLOCK_BYTES; RANGE_DEFAULT_BYTES when no size was required. ERR_OUT_OF_RANGE when there
 * is none.
 */
int range_size(const struct range *range, uint64_t minimum_bytes, uint64_t *ret, struct err *err);

#endif
