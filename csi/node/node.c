/* SPDX-License-Identifier: Apache-2.0 */
/* The CSI Node service: its state and its handlers. */
#include "csi/node/node.h"

#include "csi.pb-c.h"
#include "csi/node/attend.h"
#include "csi/node/device.h"
#include "csi/node/expand.h"
#include "csi/node/health.h"
#include "csi/node/keeper.h"
#include "csi/node/paths.h"
#include "csi/node/publish.h"
#include "csi/node/stage.h"
#include "csi/node/stats.h"
#include "csi/rpc/server.h"
#include "nvme/base/file.h"

/* What an operation takes at most, unless it is stuck in the kernel or makes a file system. */
#define OPERATION_MAX_MS 120000

int node_open(struct node *node, struct host *host, const char *state_dir, struct err *err)
{
	*node = (struct node) { .host = host, .state = ROOT_INIT };
	node->jobs = jobs_new();
	if (file_mkdirs(state_dir, err) < 0 || root_open(&node->state, state_dir, err) < 0 ||
	    root_mkdir(&node->state, err, "volumes") < 0 ||
	    root_mkdir(&node->state, err, "formatting") < 0 ||
	    root_mkdir(&node->state, err, "frozen") < 0 || root_mkdir(&node->state, err, "mnt") < 0)
		return err_wrap(err, "state directory");
	return 0;
}

void node_close(struct node *node)
{
	keeper_stop(node);
	attend_stop(node->attend);
	if (node->attend)
		attend_free(steal_ptr(&node->attend));
	root_close(&node->state);
	if (node->jobs)
		jobs_free(steal_ptr(&node->jobs));
}

size_t node_drain(struct node *node, struct deadline deadline)
{
	attend_stop(node->attend);
	return jobs_drain(node->jobs, deadline);
}

char *node_namespace(const struct node *node, const struct node_record *record)
{
	struct uuid uuid = node_record_key(record);
	struct host_namespace ns;
	struct err unknown;

	if (!record->has_uuid && device_find(node, record, &ns, &unknown) > 0 && ns.uuid.text[0])
		uuid = ns.uuid;
	return xasprintf("namespace %s", uuid.text);
}

int node_run(struct node *node, const char *volume_id, const struct node_record *record,
	     struct job_work work, const struct node_time *time, struct err *err)
{
	cleanup_free char *volume = xasprintf("volume %s", volume_id);
	cleanup_free char *namespace = record ? node_namespace(node, record) : NULL;

	work.key = volume;
	work.also = namespace;
	return job_run(node->jobs, &work, &time->wait, err);
}

static int run_check(void *argument, struct err *err)
{
	(void)argument;
	job_doing("look at the kernel's NVMe initiator");
	return host_fabrics_check(err);
}

/* A connect holds the kernel's lock that it needs, and modprobe may be held as well. */
int node_check(void *context, struct deadline deadline, struct err *err)
{
	const struct job_work work = { .key = "fitness of the initiator",
				       .request = "look at the initiator",
				       .run = run_check };
	const struct job_wait wait = { .deadline = deadline };
	const struct node *node = context;

	return job_run(node->jobs, &work, &wait, err);
}

static bool is_cancelled(void *call)
{
	return rpc_call_cancelled(call);
}

static void wake(void *jobs)
{
	jobs_wake(jobs);
}

struct node_time node_attend(struct rpc_call *call)
{
	const struct node *node = call->context;
	int left_ms = deadline_poll_ms(call->deadline);
	int work_ms = left_ms < 0 || left_ms > OPERATION_MAX_MS ? OPERATION_MAX_MS : left_ms;

	rpc_call_watch(call, wake, node->jobs);
	return (struct node_time) {
		.work = deadline_after_ms((uint64_t)(work_ms - work_ms / 5)),
		.wait = { .deadline = left_ms < 0 ?
					      deadline_none() :
					      deadline_after_ms((uint64_t)(left_ms - left_ms / 10)),
			  .cancelled = is_cancelled,
			  .context = call },
	};
}

static int node_stage(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	CLEANUP(stage_spec_freep) struct stage_spec *spec = xcalloc(1, sizeof(*spec));
	const Csi__V1__NodeStageVolumeRequest *stage = request;
	struct node_time time;
	int rc;

	(void)response;
	if (stage_spec_parse(stage, spec, err) < 0 ||
	    paths_check_staging(stage->staging_target_path, spec->staging_path, err) < 0)
		return -1;
	time = node_attend(call);
	rc = stage_volume(call->context, steal_ptr(&spec), &time, err);
	rpc_call_unwatch(call);
	return rc;
}

static int node_unstage(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__NodeUnstageVolumeRequest *unstage = request;
	char *path = rpc_alloc(call, PATH_MAX);
	struct node_time time;
	int found, rc;

	(void)response;
	if (require_text("volume_id", unstage->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    require_path("staging_target_path", unstage->staging_target_path, err) < 0)
		return -1;
	found = mount_path_resolve(unstage->staging_target_path, path, err);
	if (found < 0)
		return -1;
	/* Nothing can be mounted below an absent directory, but the device may still be connected. */
	if (!found)
		path = unstage->staging_target_path;
	time = node_attend(call);
	rc = unstage_volume(call->context, unstage->volume_id, path, &time, err);
	rpc_call_unwatch(call);
	return rc;
}

static int node_publish(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	CLEANUP(publish_spec_freep) struct publish_spec *spec = xcalloc(1, sizeof(*spec));
	struct node_time time;
	int rc;

	(void)response;
	if (publish_spec_parse(request, spec, err) < 0)
		return -1;
	time = node_attend(call);
	rc = publish_volume(call->context, steal_ptr(&spec), &time, err);
	rpc_call_unwatch(call);
	return rc;
}

static int node_unpublish(struct rpc_call *call, const void *request, void *response,
			  struct err *err)
{
	const Csi__V1__NodeUnpublishVolumeRequest *unpublish = request;
	struct node_time time;
	int rc;

	(void)response;
	if (require_text("volume_id", unpublish->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    require_path("target_path", unpublish->target_path, err) < 0)
		return -1;
	time = node_attend(call);
	rc = unpublish_volume(call->context, unpublish->volume_id, unpublish->target_path, &time,
			      err);
	rpc_call_unwatch(call);
	return rc;
}

static int node_get_info(struct rpc_call *call, const void *request, void *response,
			 struct err *err)
{
	const struct node *node = call->context;
	Csi__V1__NodeGetInfoResponse *info = response;
	Csi__V1__Topology *topology;

	(void)request, (void)err;
	info->node_id = rpc_strdup(call, node->host->identity.nqn);
	info->max_volumes_per_node = node->max_volumes;
	if (!node->topology_count)
		return 0;
	topology = RPC_NEW(call, Csi__V1__Topology, csi__v1__topology__init);
	topology->segments = rpc_alloc(call, node->topology_count * sizeof(*topology->segments));
	for (size_t i = 0; i < node->topology_count; i++) {
		Csi__V1__Topology__SegmentsEntry *entry =
			RPC_NEW(call, Csi__V1__Topology__SegmentsEntry,
				csi__v1__topology__segments_entry__init);

		entry->key = rpc_strdup(call, node->topology[i].key);
		entry->value = rpc_strdup(call, node->topology[i].value);
		topology->segments[topology->n_segments++] = entry;
	}
	info->accessible_topology = topology;
	return 0;
}

static int node_get_capabilities(struct rpc_call *call, const void *request, void *response,
				 struct err *err)
{
	static const Csi__V1__NodeServiceCapability__RPC__Type types[] = {
		CSI__V1__NODE_SERVICE_CAPABILITY__RPC__TYPE__STAGE_UNSTAGE_VOLUME,
		CSI__V1__NODE_SERVICE_CAPABILITY__RPC__TYPE__GET_VOLUME_STATS,
		CSI__V1__NODE_SERVICE_CAPABILITY__RPC__TYPE__EXPAND_VOLUME,
		CSI__V1__NODE_SERVICE_CAPABILITY__RPC__TYPE__SINGLE_NODE_MULTI_WRITER,
		CSI__V1__NODE_SERVICE_CAPABILITY__RPC__TYPE__GET_VOLUME_HEALTH,
		CSI__V1__NODE_SERVICE_CAPABILITY__RPC__TYPE__GET_STORAGE_HEALTH,
	};
	Csi__V1__NodeGetCapabilitiesResponse *answer = response;

	(void)request, (void)err;
	answer->capabilities = rpc_alloc(call, sizeof(types) / sizeof(*types) * sizeof(void *));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		Csi__V1__NodeServiceCapability *capability =
			RPC_NEW(call, Csi__V1__NodeServiceCapability,
				csi__v1__node_service_capability__init);

		capability->type_case = CSI__V1__NODE_SERVICE_CAPABILITY__TYPE_RPC;
		capability->rpc = RPC_NEW(call, Csi__V1__NodeServiceCapability__RPC,
					  csi__v1__node_service_capability__rpc__init);
		capability->rpc->type = types[i];
		answer->capabilities[answer->n_capabilities++] = capability;
	}
	return 0;
}

/* No lock keys: the jobs let one operation per volume run, and a retry join it. */
static const struct rpc_method methods[] = {
	{ .name = "NodeStageVolume",
	  .request = &csi__v1__node_stage_volume_request__descriptor,
	  .response = &csi__v1__node_stage_volume_response__descriptor,
	  .handle = node_stage },
	{ .name = "NodeUnstageVolume",
	  .request = &csi__v1__node_unstage_volume_request__descriptor,
	  .response = &csi__v1__node_unstage_volume_response__descriptor,
	  .handle = node_unstage },
	{ .name = "NodePublishVolume",
	  .request = &csi__v1__node_publish_volume_request__descriptor,
	  .response = &csi__v1__node_publish_volume_response__descriptor,
	  .handle = node_publish },
	{ .name = "NodeUnpublishVolume",
	  .request = &csi__v1__node_unpublish_volume_request__descriptor,
	  .response = &csi__v1__node_unpublish_volume_response__descriptor,
	  .handle = node_unpublish },
	{ .name = "NodeExpandVolume",
	  .request = &csi__v1__node_expand_volume_request__descriptor,
	  .response = &csi__v1__node_expand_volume_response__descriptor,
	  .handle = expand_volume },
	{ .name = "NodeGetVolumeStats",
	  .request = &csi__v1__node_get_volume_stats_request__descriptor,
	  .response = &csi__v1__node_get_volume_stats_response__descriptor,
	  .handle = stats_get,
	  .quiet = true },
	{ .name = "NodeGetVolumeHealth",
	  .request = &csi__v1__node_get_volume_health_request__descriptor,
	  .response = &csi__v1__node_get_volume_health_response__descriptor,
	  .handle = health_of_volume,
	  .quiet = true },
	{ .name = "NodeGetStorageHealth",
	  .request = &csi__v1__node_get_storage_health_request__descriptor,
	  .response = &csi__v1__node_get_storage_health_response__descriptor,
	  .handle = health_of_storage,
	  .quiet = true },
	{ .name = "NodeGetInfo",
	  .request = &csi__v1__node_get_info_request__descriptor,
	  .response = &csi__v1__node_get_info_response__descriptor,
	  .handle = node_get_info },
	{ .name = "NodeGetCapabilities",
	  .request = &csi__v1__node_get_capabilities_request__descriptor,
	  .response = &csi__v1__node_get_capabilities_response__descriptor,
	  .handle = node_get_capabilities,
	  .quiet = true },
};

size_t node_max_workers(const struct node *node)
{
	return RPC_MAX_WORKERS + (size_t)node->max_volumes;
}

struct rpc_service node_service(struct node *node)
{
	return (struct rpc_service) { .name = "csi.v1.Node",
				      .methods = methods,
				      .count = ARRAY_SIZE(methods),
				      .context = node };
}
