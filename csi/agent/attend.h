/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's view of one target agent: it comes to it, gets orders, and reports what became of them.
 * client.h says what holds for every call.
 */
#ifndef CSI_AGENT_ATTEND_H
#define CSI_AGENT_ATTEND_H

#include "csi/agent/client.h"
#include "csi/rpc/client.h"
#include "csi/request/ids.h"

#define AGENT_ORDER_ID_SIZE 65
#define AGENT_ORDER_MIN_MS 1000
#define AGENT_ORDER_MAX_MS 60000

enum agent_order_kind { AGENT_ORDER_NONE, AGENT_ORDER_FREEZE, AGENT_ORDER_THAW };

struct agent_order {
	enum agent_order_kind kind;
	char id[AGENT_ORDER_ID_SIZE];
	char volume_id[VOLUME_ID_SIZE]; /* of a freeze */
	uint32_t for_ms;		/* of a freeze: by then it is over by itself */
};

/*
 * Begins to attend; does not wait for the network. The stream is rpc_pending_break's to end early,
 * and rpc_pending_cancel's in any case.
 */
int agent_attend(struct agent *agent, const char *host_nqn, struct rpc_pending **ret,
		 struct err *err);

/*
 * Blocks until the next order. 1: *ret is one; 0: the agent wants the host to come again; -1: the
 * stream is lost. An order that makes no sense is ERR_INTERNAL, one of a kind that is not known is
 * AGENT_ORDER_NONE.
 */
int agent_attend_next(const struct agent *agent, struct rpc_pending *stream,
		      struct agent_order *ret, struct err *err);

enum agent_outcome {
	AGENT_FROZEN,
	AGENT_NOT_MOUNTED, /* for writing, on this host; nor will it be before the thaw */
	AGENT_FAILED,	   /* nothing is frozen */
	AGENT_THAWED,
};

/*
 * message: for people; may be "". still_frozen: with AGENT_THAWED, what was reported before held
 * until then. ERR_NOT_FOUND: nobody waits for it any more.
 */
int agent_report(struct agent *agent, const char *host_nqn, const char *order_id,
		 enum agent_outcome outcome, const char *message, bool still_frozen,
		 struct deadline deadline, struct err *err);

#endif
