/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting, formatting and mounting a namespace. */
#include "csi/node/device.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "csi/node/intent.h"
#include "csi/node/keeper.h"
#include "csi/node/paths.h"
#include "csi/volume/check.h"
#include "csi/volume/grow.h"
#include "csi/volume/journal.h"
#include "csi/volume/unfinished.h"
#include "nvme/base/log.h"

/* mkfs and fsck outlive the call that began them, but not for ever. */
#define PROGRAM_MAX_MS (10 * 60 * 1000)

/* What device_mount was asked for. */
struct device_job {
	const struct node *node;
	const struct node_record *record;
	const struct attachment *attachment;
	const struct access *access;
	const struct parameters *parameters;
	const struct host_namespace *ns;
	char path[PATH_MAX]; /* of the device, once it is pinned */
};

void device_private_path(const struct node *node, const struct node_record *record,
			 char ret[PATH_MAX])
{
	struct uuid key = node_record_key(record);

	snprintf(ret, PATH_MAX, "%.4000s/mnt/%s", node->state.path, key.text);
}

void device_stage_path(const char *staging_path, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%.4000s/volume", staging_path);
}

int device_pin(const struct node *node, const struct host_namespace *ns, char ret[PATH_MAX],
	       int *ret_fd, struct err *err)
{
	snprintf(ret, PATH_MAX, "%.4000s/%s", node->host->dev, ns->name);
	return host_device_open(node->host->dev, ns, O_RDONLY, ret_fd, err);
}

int device_find(const struct node *node, const struct node_record *record,
		struct host_namespace *ret, struct err *err)
{
	return host_namespace_find(&node->host->sysfs, record->nqn,
				   record->has_uuid ? &record->uuid : NULL, record->nsid, ret, err);
}

int device_connect(const struct node *node, const struct node_record *record,
		   const struct attachment *attachment, const struct parameters *parameters,
		   struct deadline deadline, struct host_namespace *ret, struct err *err)
{
	struct host_connect_outcome outcome;
	int rc;

	if (job_hold(record->nqn, deadline, err) < 0)
		return -1;
	rc = host_connect(node->host, record->nqn, attachment->portals, attachment->portal_count,
			  &parameters->connect, deadline, &outcome, err);
	job_let_go();
	if (rc < 0)
		return -1;
	if (outcome.missing) {
		log_warning("not all portals are connected", KV("nqn", record->nqn),
			    KV("error", outcome.reasons));
		keeper_wake(node->keeper);
	}
	job_doing("wait for the namespace of %s", record->nqn);
	if (host_wait_namespace(node->host, record->nqn, record->has_uuid ? &record->uuid : NULL,
				record->nsid, deadline, ret, err) < 0)
		return -1;
	if (attachment->size_bytes && ret->size_bytes < attachment->size_bytes)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "device %s of %s has %" PRIu64
			       " bytes, the target promised %" PRIu64,
			       ret->name, record->nqn, ret->size_bytes, attachment->size_bytes);
	return 0;
}

int device_end_old_mkfs(const struct node *node, const struct node_record *record,
			struct deadline deadline, struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	struct uuid key = node_record_key(record);
	char fs_type[INTENT_FS_TYPE_SIZE];
	struct host_namespace ns;
	int rc, found = intent_find(&node->state, &key, fs_type, err);

	if (found > 0)
		found = device_find(node, record, &ns, err);
	if (found <= 0)
		return found;
	if (mount_table_read(&table, err) < 0)
		return -1;
	if (device_next_mount(&table, NULL, &ns))
		return 0;
	log_info("disconnecting a device with an unfinished mkfs", KV("device", ns.name),
		 KV("nqn", ns.nqn), KV("fs_type", fs_type));
	if (job_hold(record->nqn, deadline, err) < 0)
		return -1;
	rc = host_disconnect(node->host, record->nqn, deadline, err);
	job_let_go();
	return rc;
}

static int refuse_unfinished(const struct access *access, struct err *err)
{
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "the volume holds what a mkfs.%s that was cut short leaves, and this node "
		       "has no intent of one: only the node that began it may finish it, when the "
		       "volume is staged there. If that node is gone and nothing was ever written "
		       "to the volume by another way, delete the volume and create it again",
		       access->fs_type);
}

/* Whether a file system may be made on what is empty, or unfinished and ours. */
static int check_formattable(const struct attachment *attachment, const struct access *access,
			     const struct device_found *found, struct err *err)
{
	const char *is = found->unfinished ? "has an unfinished file system" : "is empty";

	if (access->reader || attachment->readonly)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the volume %s and %s%s allows no formatting; publish it "
			       "read-write once first",
			       is, access->mode_name,
			       attachment->readonly ? " of a volume exported read-only" : "");
	if (!attachment->size_bytes)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the volume %s; statically provisioned volumes are never "
			       "formatted, make its %s file system by hand",
			       is, access->fs_type);
	if (!attachment->blank && !found->ours)
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"the volume reads as empty, but its target says that it was written, or "
			"made of another one, which is never formatted");
	return 0;
}

int device_plan(const struct attachment *attachment, const struct access *access,
		const struct device_found *found, enum device_plan *ret, struct err *err)
{
	const struct probe_result *probe = &found->probe;

	if (found->unfinished && !found->ours)
		return refuse_unfinished(access, err);
	if (!found->unfinished && strcmp(probe->fs_type, access->fs_type) == 0) {
		*ret = DEVICE_MOUNT;
		return 0;
	}
	if (!found->unfinished && !probe->empty)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the volume holds %s, not %s; it is never formatted over",
			       probe->type, access->fs_type);
	if (check_formattable(attachment, access, found, err) < 0)
		return -1;
	*ret = DEVICE_FORMAT;
	return 0;
}

/* Without a replay, what its writer did last would be missing or half there. */
static int require_replayed(const struct host_namespace *ns, int fd, const char *fs_type,
			    struct err *err)
{
	int pending = journal_is_pending(fd, ns->name, fs_type, err);

	if (pending > 0)
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"the %s of %s was not unmounted cleanly: its journal has to be replayed "
			"before it can be read; publish the volume read-write once first",
			fs_type, ns->nqn);
	return pending;
}

/*
 * Makes a file system on the pinned device. The intent goes before anything is bound: from then on
 * data may come.
 */
static int format(const struct device_job *job, bool overwrite, struct err *err)
{
	const struct attachment *attachment = job->attachment;
	const struct host_namespace *ns = job->ns;
	const char *fs_type = job->access->fs_type;
	struct uuid key = node_record_key(job->record);

	/* A smaller one is not the one that is known to be blank; it may have grown since. */
	if (ns->size_bytes < attachment->size_bytes)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "device %s has %" PRIu64 " bytes, not the expected %" PRIu64
			       "; it is not formatted",
			       ns->name, ns->size_bytes, attachment->size_bytes);
	log_info(overwrite ? "formatting, which was begun before" : "formatting",
		 KV("device", ns->name), KV("nqn", ns->nqn), KV("fs_type", fs_type));
	if (intent_save(&job->node->state, &key, fs_type, err) < 0)
		return -1;
	job_doing("mkfs.%s %s", fs_type, job->path);
	if (fs_make(fs_find(fs_type), job->path, job->parameters->mkfs_options, overwrite,
		    deadline_after_ms(PROGRAM_MAX_MS), err) < 0)
		return -1;
	return intent_remove(&job->node->state, &key, err);
}

/* What is on the pinned device; 1: and an intent is there, whatever it says; 0: none is. */
static int look(const struct device_job *job, int fd, struct device_found *ret, struct err *err)
{
	const struct host_namespace *ns = job->ns;
	const char *fs_type = job->access->fs_type;
	struct uuid key = node_record_key(job->record);
	char intended[INTENT_FS_TYPE_SIZE] = "";
	int intent, unfinished;

	job_doing("read %s", job->path);
	if (probe_device(fd, ns->name, ns->size_bytes, &ret->probe, err) < 0)
		return -1;
	unfinished = unfinished_mkfs(fd, ns->name, fs_type, &ret->probe, err);
	if (unfinished < 0)
		return -1;
	intent = intent_find(&job->node->state, &key, intended, err);
	ret->unfinished = unfinished;
	ret->ours = strcmp(intended, fs_type) == 0;
	return intent;
}

/* An existing file system on the pinned device, which is mounted nowhere. */
static int check(const struct device_job *job, int fd, struct err *err)
{
	if (job->record->readonly)
		return require_replayed(job->ns, fd, job->access->fs_type, err);
	if (job->access->reader)
		return 0;
	job_doing("check %s", job->path);
	return check_before_mount(fs_find(job->access->fs_type), job->path,
				  job->parameters->fs_repair, deadline_after_ms(PROGRAM_MAX_MS),
				  err);
}

/* Brings a file system onto the pinned device, by finding or by making it. */
static int prepare(const struct device_job *job, int fd, struct err *err)
{
	struct uuid key = node_record_key(job->record);
	struct device_found found = { 0 };
	enum device_plan plan;
	int intent = look(job, fd, &found, err);

	if (intent < 0 || device_plan(job->attachment, job->access, &found, &plan, err) < 0)
		return -1;
	if (plan == DEVICE_FORMAT)
		return format(job, found.ours, err);
	/* It was finished after all, here or elsewhere. */
	if (intent && intent_remove(&job->node->state, &key, err) < 0)
		return -1;
	return check(job, fd, err);
}

int device_set_readonly(const struct host_namespace *ns, int fd, bool readonly, struct err *err)
{
	int wanted = readonly;

	if (ns->readonly != readonly && ioctl(fd, BLKROSET, &wanted) < 0)
		return err_sys(err, errno, "make device %s %s", ns->name,
			       readonly ? "read-only" : "read-write");
	return 0;
}

int device_check_readonly(bool staged_readonly, const struct node_record *record, struct err *err)
{
	if (staged_readonly == record->readonly)
		return 0;
	return err_set(
		err, ERR_FAILED_PRECONDITION,
		"volume \"%s\" is staged %s on this node, but attached %s now; unpublish and "
		"unstage it first",
		record->volume_id, staged_readonly ? "read-only" : "read-write",
		record->readonly ? "read-only" : "read-write");
}

/* The private mount that is there already is the right one, or the error says why not. */
static int verify_private(const struct mount_entry *entry, const struct node_record *record,
			  const struct access *access, const struct host_namespace *ns,
			  struct err *err)
{
	if (entry->major != ns->major || entry->minor != ns->minor)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s is a mount of %s (%s), which is not %s of %s; it is left alone: "
			       "whoever mounted it has to unmount it",
			       entry->target, entry->source, entry->fs_type, ns->name, ns->nqn);
	if (strcmp(entry->fs_type, access->fs_type) != 0)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "the volume is staged as %s; asked for is %s", entry->fs_type,
			       access->fs_type);
	return device_check_readonly(entry->readonly, record, err);
}

/* Mounts what was prepared; once more if it was refused and could be repaired. */
static int mount_prepared(const struct device_job *job, const char *private,
			  const struct mount_options *options, struct err *err)
{
	const char *fs_type = job->access->fs_type;

	if (mount_device(job->path, private, fs_type, options, err) == 0)
		return 0;
	if (job->record->readonly || job->access->reader)
		return -1;
	job_doing("repair %s", job->path);
	if (check_after_refusal(fs_find(fs_type), job->path, job->parameters->fs_repair,
				deadline_after_ms(PROGRAM_MAX_MS), err) < 0)
		return -1;
	return mount_device(job->path, private, fs_type, options, err);
}

static int mount_new(struct device_job *job, const char *private, struct err *err)
{
	struct uuid key = node_record_key(job->record);
	bool readonly = job->record->readonly;
	char text[MOUNT_OPTIONS_SIZE];
	struct strb joined = strb_over(text, sizeof(text));
	struct mount_options options;
	cleanup_close int fd = -1;

	fs_mount_options(fs_find(job->access->fs_type), readonly, job->access->options, &joined);
	if (joined.overflow)
		return err_set(err, ERR_INVALID_ARGUMENT, "the mount options are too long");
	if (mount_options_parse(text, &options, err) < 0)
		return -1;
	/* Flags of one mount are the pods': a bind would inherit them, and another handle's, too. */
	options.attr_set = 0;
	options.attr_clr = 0;
	options.readonly = readonly;
	/* A reader of the raw device may have left it switched to read-only. */
	if (device_pin(job->node, job->ns, job->path, &fd, err) < 0 ||
	    device_set_readonly(job->ns, fd, readonly, err) < 0 || prepare(job, fd, err) < 0 ||
	    root_mkdir(&job->node->state, err, "mnt/%s", key.text) < 0)
		return -1;
	return mount_prepared(job, private, &options, err);
}

/* The private mount is gone, but the staging bind still has the volume: bind it back from there. */
static int mount_back(const struct node *node, const struct node_record *record,
		      const struct mount_entry *staged, const char *private, struct err *err)
{
	struct mount_options options = { .readonly = staged->readonly };
	struct uuid key = node_record_key(record);

	log_warning("private mount is missing; bound back", KV("volume_id", record->volume_id),
		    KV("path", staged->target));
	if (root_mkdir(&node->state, err, "mnt/%s", key.text) < 0)
		return -1;
	return mount_bind(staged->target, private, &options, err);
}

static int mount_once(struct device_job *job, const char *private, struct err *err)
{
	const struct node_record *record = job->record;
	const struct host_namespace *ns = job->ns;
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *entry;
	char staged[PATH_MAX];

	if (mount_table_read(&table, err) < 0)
		return -1;
	entry = mount_table_find(&table, private);
	if (entry)
		return verify_private(entry, record, job->access, ns, err);
	device_stage_path(record->staging_path, staged);
	entry = mount_table_find(&table, staged);
	if (entry && paths_is_bind_of(entry, ns, false)) {
		if (verify_private(entry, record, job->access, ns, err) < 0)
			return -1;
		return mount_back(job->node, record, entry, private, err);
	}
	entry = device_next_mount(&table, NULL, ns);
	if (entry)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "device %s of %s is in use at %s, but not by this volume", ns->name,
			       ns->nqn, entry->target);
	return mount_new(job, private, err);
}

/*
 * A clone in a larger volume, or one that was expanded while it was nowhere. What cannot grow is
 * still good for what it holds, so that is no reason to keep it from its pod.
 */
static void grow(const struct device_job *job, const char *private)
{
	char path[PATH_MAX];
	uint64_t bytes;
	struct err err;

	if (job->record->readonly || job->access->reader)
		return;
	snprintf(path, sizeof(path), "%.4000s/%s", job->node->host->dev, job->ns->name);
	job_doing("grow %s", private);
	if (grow_mounted(fs_find(job->access->fs_type), private, path, &bytes, &err) < 0)
		log_warning("the file system stays smaller than its volume",
			    KV("volume_id", job->record->volume_id), KV_ERR(&err));
}

int device_mount(const struct node *node, const struct node_record *record,
		 const struct attachment *attachment, const struct access *access,
		 const struct parameters *parameters, const struct host_namespace *ns,
		 struct err *err)
{
	struct device_job job = { .node = node,
				  .record = record,
				  .attachment = attachment,
				  .access = access,
				  .parameters = parameters,
				  .ns = ns };
	char private[PATH_MAX];

	device_private_path(node, record, private);
	if (mount_once(&job, private, err) < 0)
		return -1;
	grow(&job, private);
	return 0;
}

const struct mount_entry *device_next_mount(const struct mount_table *table,
					    const struct mount_entry *previous,
					    const struct host_namespace *ns)
{
	const struct mount_entry *end = table->entries + table->count;

	for (const struct mount_entry *e = previous ? previous + 1 : table->entries; e < end; e++)
		if (paths_is_of(e, ns))
			return e;
	return NULL;
}
