/* SPDX-License-Identifier: Apache-2.0 */
/* The node's figures as metrics. */
#include "cmd/nvmeot-csi/figures.h"

#include "cmd/metrics.h"
#include "csi/node/vitals.h"
#include "nvme/base/log.h"

void figures_put_node(const struct node *node, FILE *out)
{
	struct node_vitals vitals;
	struct err err;

	if (node_vitals_get(node, &vitals, &err) < 0) {
		log_warning("the node's figures cannot be read", KV_ERR(&err));
		return;
	}
	metrics_value(out, "nvmeot_node_volumes_staged", "gauge",
		      "Volumes that are staged, or were begun to be.", (double)vitals.staged);
	metrics_value(out, "nvmeot_node_volumes_missing_paths", "gauge",
		      "Subsystems of staged volumes with portals that have to be connected again.",
		      (double)vitals.wounded);
	metrics_head(out, "nvmeot_node_controllers", "gauge",
		     "NVMe controllers connected as this host, by state.");
	for (size_t i = 0; i < NODE_STATES; i++)
		metrics_sample(out, "nvmeot_node_controllers", (double)vitals.controllers[i],
			       "state", node_state_names[i], NULL);
	metrics_value(out, "nvmeot_node_jobs", "gauge", "Operations that run.",
		      (double)vitals.jobs);
	metrics_value(out, "nvmeot_node_jobs_stuck", "gauge",
		      "Of these, those at one step for over a minute.", (double)vitals.stuck);
}
