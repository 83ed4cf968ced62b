/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of the node, from its state directory, its jobs, its keeper and sysfs. */
#include "csi/node/vitals.h"

#include <string.h>

#include "csi/node/keeper.h"
#include "nvme/host/controller.h"

#define STUCK_AFTER_MS 60000
#define FIT_WAIT_MS 500

const char *const node_state_names[NODE_STATES] = {
	"new", "live", "resetting", "connecting", "deleting", "dead", "other",
};

static size_t state_of(const char *text)
{
	size_t i = 0;

	/* "deleting (no IO)" is one of them. */
	while (i < NODE_STATES - 1 &&
	       strncmp(text, node_state_names[i], strlen(node_state_names[i])) != 0)
		i++;
	return i;
}

static bool is_record(const char *name)
{
	size_t len = strlen(name);

	/* A temporary file begins with a dot. */
	return len > 5 && name[0] != '.' && strcmp(name + len - 5, ".json") == 0;
}

static int count_records(const struct node *node, size_t *ret, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };

	if (root_list(&node->state, &names, err, "volumes") < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		*ret += is_record(names.names[i]);
	return 0;
}

static int count_controllers(const struct node *node, size_t ret[NODE_STATES], struct err *err)
{
	struct host_controllers all cleanup_host_controllers = { 0 };

	if (host_controllers_get(&node->host->sysfs, NULL, node->host->identity.nqn, &all, err) < 0)
		return -1;
	for (size_t i = 0; i < all.count; i++)
		ret[state_of(all.list[i].state)]++;
	return 0;
}

int node_vitals_get(const struct node *node, struct node_vitals *ret, struct err *err)
{
	struct node_vitals vitals = { 0 };
	char unused[1];

	if (count_records(node, &vitals.staged, err) < 0 ||
	    count_controllers(node, vitals.controllers, err) < 0)
		return -1;
	vitals.wounded = keeper_wounded(node->keeper);
	vitals.jobs = jobs_describe(node->jobs, 0, unused, sizeof(unused));
	vitals.stuck = jobs_describe(node->jobs, STUCK_AFTER_MS, unused, sizeof(unused));
	*ret = vitals;
	return 0;
}

int node_vitals_fit(struct node *node, struct err *err)
{
	return node_check(node, deadline_after_ms(FIT_WAIT_MS), err);
}
