/* SPDX-License-Identifier: Apache-2.0 */
/* The target's figures as metrics. */
#ifndef CMD_NVMEOT_TARGET_FIGURES_H
#define CMD_NVMEOT_TARGET_FIGURES_H

#include <stdio.h>

#include "nvme/target/target.h"

/* Waits for nothing: a pool that does not answer shows as down, without its other figures. */
void figures_put_target(struct target *target, FILE *out);

#endif
