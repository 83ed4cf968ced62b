/* SPDX-License-Identifier: Apache-2.0 */
/* Attending a target agent. */
#include "csi/agent/attend.h"

#include <string.h>

#include "csi/agent/ask.h"
#include "target.pb-c.h"

#define ATTENDANCE_METHOD(name) "/nvmeot.target.v1.Attendance/" name

int agent_attend(struct agent *agent, const char *host_nqn, struct rpc_pending **ret,
		 struct err *err)
{
	Nvmeot__Target__V1__AttendRequest request = NVMEOT__TARGET__V1__ATTEND_REQUEST__INIT;

	request.target_id = agent->name;
	request.host_nqn = (char *)host_nqn;
	if (rpc_client_open(agent->client, ATTENDANCE_METHOD("Attend"), &request.base,
			    deadline_none(), ret, err) < 0)
		return err_wrap(err, "target %s", agent->name);
	return 0;
}

static bool take_order(const Nvmeot__Target__V1__Order *wire, struct agent_order *ret)
{
	struct agent_order order = { .kind = AGENT_ORDER_NONE };

	if (strlen(wire->id) >= sizeof(order.id) ||
	    strlen(wire->volume_id) >= sizeof(order.volume_id))
		return false;
	strcpy(order.id, wire->id);
	strcpy(order.volume_id, wire->volume_id);
	if (wire->kind == NVMEOT__TARGET__V1__ORDER_KIND__ORDER_KIND_THAW)
		order.kind = AGENT_ORDER_THAW;
	if (wire->kind == NVMEOT__TARGET__V1__ORDER_KIND__ORDER_KIND_FREEZE) {
		if (wire->for_ms < AGENT_ORDER_MIN_MS || wire->for_ms > AGENT_ORDER_MAX_MS)
			return false;
		order.kind = AGENT_ORDER_FREEZE;
		order.for_ms = (uint32_t)wire->for_ms;
	}
	*ret = order;
	return true;
}

int agent_attend_next(const struct agent *agent, struct rpc_pending *stream,
		      struct agent_order *ret, struct err *err)
{
	ProtobufCMessage *answer cleanup_agent_answer = NULL;
	int rc = rpc_pending_next(stream, &nvmeot__target__v1__order__descriptor, &answer, err);

	if (rc < 0)
		return err_wrap(err, "target %s", agent->name);
	if (rc > 0 && !take_order((const Nvmeot__Target__V1__Order *)answer, ret))
		return err_set(err, ERR_INTERNAL,
			       "target %s: an order whose id or volume_id is too long, or whose "
			       "for_ms is not %d to %d",
			       agent->name, AGENT_ORDER_MIN_MS, AGENT_ORDER_MAX_MS);
	return rc;
}

int agent_report(struct agent *agent, const char *host_nqn, const char *order_id,
		 enum agent_outcome outcome, const char *message, bool still_frozen,
		 struct deadline deadline, struct err *err)
{
	static const Nvmeot__Target__V1__Outcome outcomes[] = {
		[AGENT_FROZEN] = NVMEOT__TARGET__V1__OUTCOME__OUTCOME_FROZEN,
		[AGENT_NOT_MOUNTED] = NVMEOT__TARGET__V1__OUTCOME__OUTCOME_NOT_MOUNTED,
		[AGENT_FAILED] = NVMEOT__TARGET__V1__OUTCOME__OUTCOME_FAILED,
		[AGENT_THAWED] = NVMEOT__TARGET__V1__OUTCOME__OUTCOME_THAWED,
	};
	Nvmeot__Target__V1__ReportRequest request = NVMEOT__TARGET__V1__REPORT_REQUEST__INIT;
	ProtobufCMessage *answer cleanup_agent_answer = NULL;

	request.target_id = agent->name;
	request.host_nqn = (char *)host_nqn;
	request.id = (char *)order_id;
	request.outcome = outcomes[outcome];
	request.message = (char *)message;
	request.still_frozen = still_frozen;
	return agent_call(agent, ATTENDANCE_METHOD("Report"), &request, AGENT_ANSWER(report),
			  deadline, &answer, err);
}
