/* SPDX-License-Identifier: Apache-2.0 */
/* The CSI SnapshotMetadata service. */
#include "csi/controller/metadata.h"

#include <string.h>

#include "csi.pb-c.h"
#include "csi/agent/extents.h"
#include "csi/controller/snapshots.h"

#define RANGES_MAX 4096 /* of one question to a target, and of one answer of ours */

/* A stream: where its ranges come from, and how they go on. */
struct flow {
	struct rpc_call *call;
	struct agent *target;
	struct agent_extents_query query;
	size_t message_max; /* ranges */
	int (*send)(const struct flow *flow, size_t count, struct err *err);
	/* Filled anew for each question and each answer. */
	struct extents list;
	Csi__V1__BlockMetadata *ranges, **pointers; /* message_max of them */
};

#define SENDER(name, type, INIT)                                                                   \
	static int name(const struct flow *flow, size_t count, struct err *err)                    \
	{                                                                                          \
		type answer = INIT;                                                                \
                                                                                                   \
		answer.block_metadata_type = CSI__V1__BLOCK_METADATA_TYPE__VARIABLE_LENGTH;        \
		answer.volume_capacity_bytes = (int64_t)flow->list.size_bytes;                     \
		answer.block_metadata = flow->pointers;                                            \
		answer.n_block_metadata = count;                                                   \
		return rpc_send(flow->call, &answer, err);                                         \
	}

SENDER(send_allocated, Csi__V1__GetMetadataAllocatedResponse,
       CSI__V1__GET_METADATA_ALLOCATED_RESPONSE__INIT)
SENDER(send_delta, Csi__V1__GetMetadataDeltaResponse, CSI__V1__GET_METADATA_DELTA_RESPONSE__INIT)

static void flow_prepare(struct flow *flow, int32_t max_results)
{
	struct rpc_call *call = flow->call;

	flow->message_max = max_results > 0 && max_results < RANGES_MAX ? (size_t)max_results :
									  RANGES_MAX;
	flow->list.max = RANGES_MAX;
	flow->list.items = rpc_alloc(call, RANGES_MAX * sizeof(*flow->list.items));
	flow->ranges = rpc_alloc(call, flow->message_max * sizeof(*flow->ranges));
	flow->pointers = rpc_alloc(call, flow->message_max * sizeof(*flow->pointers));
	for (size_t i = 0; i < flow->message_max; i++) {
		csi__v1__block_metadata__init(&flow->ranges[i]);
		flow->pointers[i] = &flow->ranges[i];
	}
}

/* Passes on what the target has told, in as many answers as it takes. */
static int flow_on(const struct flow *flow, struct err *err)
{
	size_t count;

	for (size_t done = 0; done < flow->list.count; done += count) {
		for (count = 0; count < flow->message_max && done + count < flow->list.count;
		     count++) {
			const struct extent *extent = &flow->list.items[done + count];

			flow->ranges[count].byte_offset = (int64_t)extent->offset_bytes;
			flow->ranges[count].size_bytes = (int64_t)extent->length_bytes;
		}
		if (flow->send(flow, count, err) < 0)
			return -1;
	}
	return 0;
}

static struct agent_ask *flow_ask(const struct flow *flow)
{
	return agent_extents_begin(flow->target, &flow->query, RANGES_MAX,
				   controller_deadline(flow->call));
}

/*
 * The target looks for the next ranges while the ones before go on to the client. A stream without
 * ranges still says how large the volume is.
 */
static int flow_run(struct flow *flow, struct err *err)
{
	struct agent_ask *ask cleanup_agent_ask = flow_ask(flow);
	bool any = false;

	while (ask) {
		if (agent_extents_finish(steal_ptr(&ask), &flow->query, &flow->list, err) < 0)
			return -1;
		if (rpc_call_cancelled(flow->call))
			return err_set(err, ERR_CANCELLED, "the client of %s is gone",
				       flow->call->method);
		flow->query.start_bytes = flow->list.next_bytes;
		if (flow->list.next_bytes < flow->list.size_bytes)
			ask = flow_ask(flow);
		if (flow_on(flow, err) < 0)
			return -1;
		any = any || flow->list.count;
	}
	return any ? 0 : flow->send(flow, 0, err);
}

static int check_bounds(int64_t starting_offset, int32_t max_results, struct err *err)
{
	if (starting_offset < 0)
		return err_set(err, ERR_OUT_OF_RANGE,
			       "starting_offset %lld is negative; it is a position in the snapshot",
			       (long long)starting_offset);
	if (max_results < 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "max_results %d is negative; 0 leaves it to us", max_results);
	return 0;
}

static int locate(struct rpc_call *call, const char *field, const char *snapshot_id,
		  struct volume_id *id, struct agent **target, struct err *err)
{
	if (require_text(field, snapshot_id, NAME_MAX_BYTES, err) < 0)
		return -1;
	return snapshots_locate(call->context, snapshot_id, id, target, err);
}

static int get_allocated(struct rpc_call *call, const void *request, struct err *err)
{
	const Csi__V1__GetMetadataAllocatedRequest *get = request;
	struct flow flow = { .call = call, .send = send_allocated };
	struct volume_id id;

	if (check_bounds(get->starting_offset, get->max_results, err) < 0 ||
	    locate(call, "snapshot_id", get->snapshot_id, &id, &flow.target, err) < 0)
		return -1;
	flow.query = (struct agent_extents_query) { .snapshot = &id,
						    .start_bytes = (uint64_t)get->starting_offset };
	flow_prepare(&flow, get->max_results);
	return flow_run(&flow, err);
}

static int get_delta(struct rpc_call *call, const void *request, struct err *err)
{
	const Csi__V1__GetMetadataDeltaRequest *get = request;
	struct flow flow = { .call = call, .send = send_delta };
	struct volume_id id, base;
	struct agent *base_target;

	if (check_bounds(get->starting_offset, get->max_results, err) < 0 ||
	    locate(call, "base_snapshot_id", get->base_snapshot_id, &base, &base_target, err) < 0 ||
	    locate(call, "target_snapshot_id", get->target_snapshot_id, &id, &flow.target, err) < 0)
		return -1;
	/* A snapshot lies where its volume lies. */
	if (flow.target != base_target || strcmp(id.pool, base.pool) != 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "snapshots \"%s\" and \"%s\" are of different volumes",
			       get->base_snapshot_id, get->target_snapshot_id);
	flow.query = (struct agent_extents_query) { .snapshot = &id,
						    .base = &base.uuid,
						    .start_bytes = (uint64_t)get->starting_offset };
	flow_prepare(&flow, get->max_results);
	return flow_run(&flow, err);
}

static const struct rpc_method methods[] = {
	{ .name = "GetMetadataAllocated",
	  .request = &csi__v1__get_metadata_allocated_request__descriptor,
	  .response = &csi__v1__get_metadata_allocated_response__descriptor,
	  .stream = get_allocated },
	{ .name = "GetMetadataDelta",
	  .request = &csi__v1__get_metadata_delta_request__descriptor,
	  .response = &csi__v1__get_metadata_delta_response__descriptor,
	  .stream = get_delta },
};

struct rpc_service metadata_service(struct controller *controller)
{
	return (struct rpc_service) { .name = "csi.v1.SnapshotMetadata",
				      .methods = methods,
				      .count = ARRAY_SIZE(methods),
				      .context = controller };
}
