/* SPDX-License-Identifier: Apache-2.0 */
/* NodeExpandVolume. */
#include "csi/node/expand.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi/node/place.h"
#include "csi/volume/grow.h"
#include "nvme/base/log.h"
#include "nvme/host/size.h"

/* Meanwhile the volume's other calls are turned away; whoever wants the size calls again. */
#define SIZE_MAX_MS 30000

int expand_parse(const Csi__V1__NodeExpandVolumeRequest *request, struct expand_request *ret,
		 struct err *err)
{
	struct expand_request parsed = { .volume_id = request->volume_id,
					 .volume_path = request->volume_path,
					 .staging_path = request->staging_target_path ?: "",
					 .has_access = request->volume_capability != NULL };
	struct access access = { 0 };

	if (require_text("volume_id", request->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    require_text("volume_path", request->volume_path, PATH_MAX - 1, err) < 0 ||
	    range_parse(request->capacity_range, &parsed.range, err) < 0 ||
	    (parsed.has_access && access_parse(request->volume_capability, &access, err) < 0))
		return -1;
	parsed.block = access.block;
	parsed.reader = access.reader;
	*ret = parsed;
	return 0;
}

/* An expansion, as its job has it. */
struct expand_work {
	const struct node *node;
	struct node_record record;
	bool block;
	struct range range;
	struct deadline deadline;
	uint64_t size_bytes; /* what it has in the end */
};

static int wait_size(const struct expand_work *work, struct host_namespace *ret, struct err *err)
{
	const struct node_record *record = &work->record;
	struct deadline deadline = deadline_min(work->deadline, deadline_after_ms(SIZE_MAX_MS));

	job_doing("wait until the device has %" PRIu64 " bytes", work->range.required_bytes);
	if (host_wait_size(work->node->host, record->nqn, record->has_uuid ? &record->uuid : NULL,
			   record->nsid, work->range.required_bytes, deadline, ret, err) < 0)
		return -1;
	if (ret->size_bytes > work->range.limit_bytes)
		return err_set(err, ERR_OUT_OF_RANGE,
			       "volume \"%s\" has %" PRIu64 " bytes, more than limit_bytes %" PRIu64
			       "; volumes do not shrink",
			       record->volume_id, ret->size_bytes, work->range.limit_bytes);
	return 0;
}

static int grow_file_system(const struct expand_work *work, const struct host_namespace *ns,
			    struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	cleanup_free char *device = xasprintf("%s/%s", work->node->host->dev, ns->name);
	const struct mount_entry *entry;
	char private[PATH_MAX];
	const char *path = private;
	const struct fs *fs;
	uint64_t bytes;

	device_private_path(work->node, &work->record, private);
	if (mount_table_read_at(&path, 1, &table, err) < 0)
		return -1;
	entry = mount_table_find(&table, private);
	if (!entry)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "volume \"%s\" is not mounted at %s; stage it again",
			       work->record.volume_id, private);
	fs = fs_find(entry->fs_type);
	if (!fs)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "volume \"%s\" has a file system of type %s; what can be grown is "
			       "%s",
			       work->record.volume_id, entry->fs_type, FS_NAMES);
	job_doing("grow the %s at %s", entry->fs_type, private);
	if (grow_mounted(fs, private, device, &bytes, err) < 0)
		return -1;
	log_info("file system fills its device", KV("volume_id", work->record.volume_id),
		 KV("device", ns->name), KV_NUM("bytes", bytes));
	return 0;
}

static int run_expand(void *argument, struct err *err)
{
	struct expand_work *work = argument;
	struct host_namespace ns;

	if (wait_size(work, &ns, err) < 0 || (!work->block && grow_file_system(work, &ns, err) < 0))
		return -1;
	work->size_bytes = ns.size_bytes;
	return 0;
}

static void take_size(const void *argument, void *ret)
{
	const struct expand_work *work = argument;

	*(uint64_t *)ret = work->size_bytes;
}

/* COs name either path; for raw block volumes some name one of their own. */
static int find(const struct node *node, const struct expand_request *request, struct place *ret,
		struct err *err)
{
	struct err ignored;

	if (place_find(node, request->volume_id, request->volume_path, ret, err) == 0)
		return 0;
	if (err->code == ERR_NOT_FOUND && request->staging_path[0] &&
	    place_find(node, request->volume_id, request->staging_path, ret, &ignored) == 0)
		return 0;
	return -1;
}

/* Whether what is there may be grown as it is asked for. */
static int check(const struct place *place, const struct expand_request *request, struct err *err)
{
	const char *volume_id = place->record.volume_id;

	if (place->gone)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the device of volume \"%s\" at %s is gone; delete its pods, so "
			       "that it is unmounted",
			       volume_id, place->entry->target);
	if (request->has_access && request->block != place->block)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "volume \"%s\" is staged as %s; volume_capability is for %s",
			       volume_id, place->block ? "raw block" : "a file system",
			       request->block ? "raw block" : "a file system");
	if (place->record.readonly || request->reader)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "volume \"%s\" is read-only on this node; a node that writes to it "
			       "has to expand it",
			       volume_id);
	return 0;
}

int expand_volume(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	Csi__V1__NodeExpandVolumeResponse *answer = response;
	cleanup_free struct expand_work *work = NULL;
	struct place place cleanup_place = { 0 };
	cleanup_free char *text = NULL;
	struct node *node = call->context;
	struct expand_request parsed;
	struct node_time time;
	uint64_t size_bytes;

	if (expand_parse(request, &parsed, err) < 0 || find(node, &parsed, &place, err) < 0 ||
	    check(&place, &parsed, err) < 0)
		return -1;
	time = node_attend(call);
	time.wait.take = take_size;
	time.wait.ret = &size_bytes;
	work = xcalloc(1, sizeof(*work));
	*work = (struct expand_work) { .node = node,
				       .record = place.record,
				       .block = place.block,
				       .range = parsed.range,
				       .deadline = time.work };
	text = xasprintf("expansion of volume \"%s\" to %" PRIu64 " bytes, at most %" PRIu64,
			 parsed.volume_id, parsed.range.required_bytes, parsed.range.limit_bytes);
	if (node_run(node, parsed.volume_id, &place.record,
		     (struct job_work) { .request = text,
					 .run = run_expand,
					 .argument = steal_ptr(&work),
					 .free_argument = free },
		     &time, err) < 0) {
		rpc_call_unwatch(call);
		return -1;
	}
	rpc_call_unwatch(call);
	answer->capacity_bytes = (int64_t)size_bytes;
	return 0;
}
