/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the node knows of itself without asking anything that may hang: figures for metrics, and
 * whether the kernel can connect at all.
 */
#ifndef CSI_NODE_VITALS_H
#define CSI_NODE_VITALS_H

#include "csi/node/node.h"

/* The states of a controller, as sysfs names them; whatever else it says is the last. */
#define NODE_STATES 7
extern const char *const node_state_names[NODE_STATES];

struct node_vitals {
	size_t staged;	/* volumes that are staged, or were set out to be */
	size_t wounded; /* of these, with portals that have to be connected again */
	size_t jobs;	/* operations that run */
	size_t stuck;	/* of these, at one step for over a minute */
	size_t controllers[NODE_STATES]; /* of our host NQN */
};

/* Reads the state directory and sysfs; touches no device and no mount. */
int node_vitals_get(const struct node *node, struct node_vitals *ret, struct err *err);

/*
 * Whether this kernel can connect, as host_fabrics_check says. The question may wait for a connect,
 * so it is a job's, and who asks waits for half a second at most: ERR_DEADLINE_EXCEEDED.
 */
int node_vitals_fit(struct node *node, struct err *err);

#endif
