/* SPDX-License-Identifier: Apache-2.0 */
/* One line of text. */
#include "nvme/target/thin_status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int thin_status_read(const struct lvm *lvm, struct thin_status *ret, struct err *err)
{
	char device[DM_NAME_SIZE], text[DM_STATUS_SIZE], held[32] = "";
	struct thin_status status = { 0 };
	int found;

	lvm_dm_name(lvm, lvm->pool, "-tpool", device);
	found = dm_status(device, text, err);
	if (found < 0)
		return -1;
	if (!found ||
	    sscanf(text, "%" SCNu64 " %" SCNu64 "/%" SCNu64 " %" SCNu64 "/%" SCNu64 " %31s %31s",
		   &status.transaction, &status.metadata_used, &status.metadata_total,
		   &status.data_used, &status.data_total, held, status.mode) != 7)
		return err_set(err, ERR_UNAVAILABLE, "thin pool %s/%s %s%.100s", lvm->group,
			       lvm->pool, found ? "has the status " : "is not active",
			       found ? text : "");
	if (strcmp(held, "-") != 0 &&
	    parse_u64("metadata snapshot", held, 1, INT64_MAX, &status.held, err) < 0)
		return err_recode(err, ERR_INTERNAL);
	*ret = status;
	return 0;
}
