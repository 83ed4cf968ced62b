/* SPDX-License-Identifier: Apache-2.0 */
/* The node's figures as metrics. */
#ifndef CMD_NVMEOT_CSI_FIGURES_H
#define CMD_NVMEOT_CSI_FIGURES_H

#include <stdio.h>

#include "csi/node/node.h"

/* Waits for nothing; what cannot be read is left out, and logged. */
void figures_put_node(const struct node *node, FILE *out);

#endif
