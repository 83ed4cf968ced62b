/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for records in a directory that may be full: some files that hold nothing but storage. A
 * record write that finds no space gives one of them back and tries again, so that volumes of a
 * full pool can still be unexported and deleted; afterwards they are made again as far as there is
 * space. Several, so that those who fill the directory cannot take all of it in between.
 */
#ifndef NVME_TARGET_SPARE_H
#define NVME_TARGET_SPARE_H

#include <stdbool.h>

#include "nvme/base/root.h"

#define SPARE_PREFIX "nvmeot-spare-"
#define SPARE_COUNT 8
#define SPARE_BYTES 65536 /* each; a record has some hundred bytes, and a hundred more a host */

/* Makes those that are missing, if there is space; where files cannot be preallocated there are
 * none. Looks at one file only when all are there. */
void spare_fill(const struct root *records);

/* Gives one back. False: there is none left. */
bool spare_give(const struct root *records);

#endif
