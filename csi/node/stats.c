/* SPDX-License-Identifier: Apache-2.0 */
/* NodeGetVolumeStats. */
#include "csi/node/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi/node/place.h"
#include "csi/volume/usage.h"

#define STATS_MAX_MS 5000

/* The question, as its job has it. */
struct stats_work {
	const struct node *node;
	char volume_id[VOLUME_ID_SIZE];
	char path[PATH_MAX];
	int mount_id;
	struct usage usage;
};

static int run_stats(void *argument, struct err *err)
{
	struct stats_work *work = argument;
	struct place place cleanup_place = { 0 };
	struct usage usage;

	job_doing("statfs %s", work->path);
	if (usage_read(work->path, &usage, err) < 0 ||
	    place_find(work->node, work->volume_id, work->path, &place, err) < 0)
		return -1;
	/* What was asked may have been whatever lies below. */
	if (place.entry->id != work->mount_id)
		return err_set(err, ERR_ABORTED, "volume \"%s\" was mounted anew at %s; call again",
			       work->volume_id, work->path);
	work->usage = usage;
	return 0;
}

static void take_usage(const void *argument, void *ret)
{
	const struct stats_work *work = argument;

	*(struct usage *)ret = work->usage;
}

static int ask(struct rpc_call *call, const struct place *place, struct usage *ret, struct err *err)
{
	const char *volume_id = place->record.volume_id;
	cleanup_free char *request = xasprintf("usage of volume \"%s\"", volume_id);
	cleanup_free char *key = xasprintf("stats of volume %s", volume_id);
	struct stats_work *work = xcalloc(1, sizeof(*work));
	struct node *node = call->context;
	/* For whoever joins: a pod's mount may go meanwhile. */
	const struct mount_entry *entry = place_private(node, place) ?: place->entry;
	struct node_time time = node_attend(call);
	int rc;

	*work = (struct stats_work) { .node = node, .mount_id = entry->id };
	strcpy(work->volume_id, volume_id);
	snprintf(work->path, sizeof(work->path), "%s", entry->target);
	time.wait.deadline = deadline_min(time.wait.deadline, deadline_after_ms(STATS_MAX_MS));
	time.wait.take = take_usage;
	time.wait.ret = ret;
	rc = job_run(node->jobs,
		     &(struct job_work) { .key = key,
					  .request = request,
					  .run = run_stats,
					  .argument = work,
					  .free_argument = free },
		     &time.wait, err);
	rpc_call_unwatch(call);
	return rc;
}

static Csi__V1__VolumeUsage *add(struct rpc_call *call, Csi__V1__NodeGetVolumeStatsResponse *answer,
				 Csi__V1__VolumeUsage__Unit unit, uint64_t total)
{
	Csi__V1__VolumeUsage *usage =
		RPC_NEW(call, Csi__V1__VolumeUsage, csi__v1__volume_usage__init);

	usage->unit = unit;
	usage->total = (int64_t)total;
	answer->usage[answer->n_usage++] = usage;
	return usage;
}

static void fill(struct rpc_call *call, const struct usage *usage,
		 Csi__V1__NodeGetVolumeStatsResponse *answer)
{
	Csi__V1__VolumeUsage *entry =
		add(call, answer, CSI__V1__VOLUME_USAGE__UNIT__BYTES, usage->total_bytes);

	entry->used = (int64_t)usage->used_bytes;
	entry->available = (int64_t)usage->available_bytes;
	if (!usage->total_inodes)
		return;
	entry = add(call, answer, CSI__V1__VOLUME_USAGE__UNIT__INODES, usage->total_inodes);
	entry->used = (int64_t)usage->used_inodes;
	entry->available = (int64_t)usage->available_inodes;
}

int stats_get(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__NodeGetVolumeStatsRequest *get = request;
	Csi__V1__NodeGetVolumeStatsResponse *answer = response;
	struct place place cleanup_place = { 0 };
	struct usage usage;

	if (require_text("volume_id", get->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    require_text("volume_path", get->volume_path, PATH_MAX - 1, err) < 0 ||
	    place_find(call->context, get->volume_id, get->volume_path, &place, err) < 0)
		return -1;
	if (place.gone)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the device of volume \"%s\" at %s is gone", get->volume_id,
			       place.entry->target);
	answer->usage = rpc_alloc(call, 2 * sizeof(*answer->usage));
	if (place.block) {
		add(call, answer, CSI__V1__VOLUME_USAGE__UNIT__BYTES, place.ns.size_bytes);
		return 0;
	}
	if (ask(call, &place, &usage, err) < 0)
		return -1;
	fill(call, &usage, answer);
	return 0;
}
