/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that attends an agent and does what its input says: `attendee ADDRESS TARGET HOST_NQN`
 * prints "attending", and "freeze ID" for such an order, which it answers as the next line of its
 * input says: frozen, nothing, failed. A thaw it prints and answers at once: it was still frozen.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi/agent/attend.h"

#define REPORT_MS 10000

static const char *host_nqn;

static void report(struct agent *agent, const struct agent_order *order, enum agent_outcome outcome)
{
	struct err err = ERR_INIT;

	if (agent_report(agent, host_nqn, order->id, outcome, "as the test wants it",
			 outcome == AGENT_THAWED, deadline_after_ms(REPORT_MS), &err) < 0)
		printf("not heard: %s\n", err.msg);
}

static void answer(struct agent *agent, const struct agent_order *order)
{
	char line[64] = "";

	if (!fgets(line, sizeof(line), stdin))
		exit(EXIT_SUCCESS);
	if (strcmp(line, "frozen\n") == 0)
		report(agent, order, AGENT_FROZEN);
	else if (strcmp(line, "nothing\n") == 0)
		report(agent, order, AGENT_NOT_MOUNTED);
	else
		report(agent, order, AGENT_FAILED);
}

int main(int argc, char **argv)
{
	struct rpc_pending *stream cleanup_rpc_pending = NULL;
	struct agent_order order;
	struct err err = ERR_INIT;
	struct agent *agent;
	int rc;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 4 || agent_new(argv[2], argv[1], NULL, &agent, &err) < 0 ||
	    agent_attend(agent, host_nqn = argv[3], &stream, &err) < 0) {
		fprintf(stderr, "attendee: %s\n", err.msg);
		return EXIT_FAILURE;
	}
	while ((rc = agent_attend_next(agent, stream, &order, &err)) > 0) {
		static const char *const names[] = { "attending", "freeze", "thaw" };

		printf("%s %s\n", names[order.kind], order.id);
		if (order.kind == AGENT_ORDER_FREEZE)
			answer(agent, &order);
		else if (order.kind == AGENT_ORDER_THAW)
			report(agent, &order, AGENT_THAWED);
	}
	printf("ended: %s\n", rc < 0 ? err.msg : "come again");
	return EXIT_SUCCESS;
}
