/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes from capacity ranges. */
#include "csi/request/range.h"

#include <inttypes.h>

int range_parse(const Csi__V1__CapacityRange *range, struct range *ret, struct err *err)
{
	if (!range) {
		*ret = (struct range) { .limit_bytes = RANGE_MAX_BYTES };
		return 0;
	}
	if (range->required_bytes < 0 || range->limit_bytes < 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "capacity_range: required_bytes %" PRId64 " and limit_bytes %" PRId64
			       " must not be negative",
			       range->required_bytes, range->limit_bytes);
	if (!range->required_bytes && !range->limit_bytes)
		return err_set(
			err, ERR_INVALID_ARGUMENT,
			"capacity_range is given, but required_bytes and limit_bytes are both "
			"0; one must say a size");
	if (range->limit_bytes && range->limit_bytes < range->required_bytes)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "capacity_range: limit_bytes %" PRId64
			       " is less than required_bytes "
			       "%" PRId64,
			       range->limit_bytes, range->required_bytes);
	if ((uint64_t)range->required_bytes > RANGE_MAX_BYTES)
		return err_set(err, ERR_OUT_OF_RANGE,
			       "capacity_range.required_bytes %" PRId64 " is more than the largest "
			       "volume, %llu bytes",
			       range->required_bytes, RANGE_MAX_BYTES);
	ret->required_bytes = (uint64_t)range->required_bytes;
	ret->limit_bytes = range->limit_bytes ? (uint64_t)range->limit_bytes : RANGE_MAX_BYTES;
	return 0;
}

int range_size(const struct range *range, uint64_t minimum_bytes, uint64_t *ret, struct err *err)
{
	uint64_t size = range->required_bytes;

	if (!size)
		size = RANGE_DEFAULT_BYTES < range->limit_bytes ?
			       RANGE_DEFAULT_BYTES :
			       range->limit_bytes / VOLUME_BLOCK_BYTES * VOLUME_BLOCK_BYTES;
	if (size < minimum_bytes)
		size = minimum_bytes;
	size = (size + VOLUME_BLOCK_BYTES - 1) / VOLUME_BLOCK_BYTES * VOLUME_BLOCK_BYTES;
	if (size > range->limit_bytes || !size)
		return err_set(err, ERR_OUT_OF_RANGE,
			       "capacity_range: the smallest possible size is %" PRIu64
			       " bytes, limit_bytes is %" PRIu64,
			       size ? size : (uint64_t)VOLUME_BLOCK_BYTES, range->limit_bytes);
	*ret = size;
	return 0;
}
