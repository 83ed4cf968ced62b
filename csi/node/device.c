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

#include "csi/node/paths.h"
#include "csi/volume/journal.h"
#include "nvme/base/log.h"

/* mkfs outlives the call that began it, but not for ever. */
#define MKFS_MAX_MS (10 * 60 * 1000)

void device_private_path(const struct node *node, const struct node_record *record,
			 char ret[PATH_MAX])
{
	struct uuid key = node_record_key(record);

	snprintf(ret, PATH_MAX, "%.4000s/mnt/%s", node->state.path, key.text);
}

void device_stage_path(const char *staging_path, bool block, const struct node_record *record,
		       char ret[PATH_MAX])
{
	struct uuid key = node_record_key(record);

	if (block)
		snprintf(ret, PATH_MAX, "%.4000s/%s", staging_path, key.text);
	else
		snprintf(ret, PATH_MAX, "%.4000s", staging_path);
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
	if (host_connect(node->host, record->nqn, attachment->portals, attachment->portal_count,
			 &parameters->connect, deadline, err) < 0)
		return -1;
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

int device_plan(const struct attachment *attachment, const struct access *access,
		const struct probe_result *probe, enum device_plan *ret, struct err *err)
{
	if (strcmp(probe->fs_type, access->fs_type) == 0) {
		*ret = DEVICE_MOUNT;
		return 0;
	}
	if (!probe->empty)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the volume holds %s, not %s; it is never formatted over",
			       probe->type, access->fs_type);
	if (access->reader || attachment->readonly)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the volume is empty and %s%s allows no formatting; publish it "
			       "read-write once first",
			       access->mode_name,
			       attachment->readonly ? " of a volume exported read-only" : "");
	if (!attachment->size_bytes)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the volume is empty; statically provisioned volumes are never "
			       "formatted, make its %s file system by hand",
			       access->fs_type);
	if (!attachment->blank)
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"the volume reads as empty, but its target says that it was written; "
			"it is not formatted");
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

/* Makes a file system on the pinned device. */
static int format(const struct attachment *attachment, const struct access *access,
		  const struct parameters *parameters, const struct host_namespace *ns,
		  const char *path, struct err *err)
{
	/* A smaller one is not the one that is known to be blank; it may have grown since. */
	if (ns->size_bytes < attachment->size_bytes)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "device %s has %" PRIu64 " bytes, not the expected %" PRIu64
			       "; it is not formatted",
			       ns->name, ns->size_bytes, attachment->size_bytes);
	log_info("formatting", KV("device", ns->name), KV("nqn", ns->nqn),
		 KV("fs_type", access->fs_type));
	job_doing("mkfs.%s %s", access->fs_type, path);
	return fs_make(fs_find(access->fs_type), path, parameters->mkfs_options, false,
		       deadline_after_ms(MKFS_MAX_MS), err);
}

/* Brings a file system onto the pinned device, by finding or by making it. */
static int prepare(const struct node_record *record, const struct attachment *attachment,
		   const struct access *access, const struct parameters *parameters,
		   const struct host_namespace *ns, int fd, const char *path, struct err *err)
{
	struct probe_result found;
	enum device_plan plan;

	job_doing("read %s", path);
	if (probe_device(fd, ns->name, ns->size_bytes, &found, err) < 0 ||
	    device_plan(attachment, access, &found, &plan, err) < 0)
		return -1;
	if (plan == DEVICE_FORMAT)
		return format(attachment, access, parameters, ns, path, err);
	return record->readonly ? require_replayed(ns, fd, access->fs_type, err) : 0;
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
			       "%s is a mount of %s (%u:%u), which is not %s (%u:%u) of %s; its "
			       "device went away under it: unpublish and unstage it first",
			       entry->target, entry->source, entry->major, entry->minor, ns->name,
			       ns->major, ns->minor, ns->nqn);
	if (strcmp(entry->fs_type, access->fs_type) != 0)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "the volume is staged as %s; asked for is %s", entry->fs_type,
			       access->fs_type);
	if (entry->sb_readonly && !record->readonly && !entry->readonly)
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"the file system of %s went read-only after an error; delete its pods, "
			"so that it is unmounted",
			ns->nqn);
	return device_check_readonly(entry->readonly, record, err);
}

static int mount_new(const struct node *node, const struct node_record *record,
		     const struct attachment *attachment, const struct access *access,
		     const struct parameters *parameters, const struct host_namespace *ns,
		     const char *private, struct err *err)
{
	struct uuid key = node_record_key(record);
	char text[MOUNT_OPTIONS_SIZE], path[PATH_MAX];
	struct strb joined = strb_over(text, sizeof(text));
	struct mount_options options;
	cleanup_close int fd = -1;

	fs_mount_options(fs_find(access->fs_type), record->readonly, access->options, &joined);
	if (joined.overflow)
		return err_set(err, ERR_INVALID_ARGUMENT, "the mount options are too long");
	if (mount_options_parse(text, &options, err) < 0)
		return -1;
	/* "ro" among the flags makes the pods read-only, not the device. */
	options.readonly = record->readonly;
	/* A reader of the raw device may have left it switched to read-only. */
	if (device_pin(node, ns, path, &fd, err) < 0 ||
	    device_set_readonly(ns, fd, record->readonly, err) < 0 ||
	    prepare(record, attachment, access, parameters, ns, fd, path, err) < 0 ||
	    root_mkdir(&node->state, err, "mnt/%s", key.text) < 0)
		return -1;
	return mount_device(path, private, access->fs_type, &options, err);
}

/* The private mount is gone, but the staging path still has the volume: bind it back from there. */
static int mount_back(const struct node *node, const struct node_record *record,
		      const struct mount_entry *staged, const char *private, struct err *err)
{
	struct mount_options options = { .readonly = staged->readonly };
	struct uuid key = node_record_key(record);

	log_warning("private mount is missing; bound back", KV("volume_id", record->volume_id),
		    KV("staging_path", staged->target));
	if (root_mkdir(&node->state, err, "mnt/%s", key.text) < 0)
		return -1;
	return mount_bind(staged->target, private, &options, err);
}

int device_mount(const struct node *node, const struct node_record *record,
		 const struct attachment *attachment, const struct access *access,
		 const struct parameters *parameters, const struct host_namespace *ns,
		 struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *entry;
	char private[PATH_MAX];

	device_private_path(node, record, private);
	if (mount_table_read(&table, err) < 0)
		return -1;
	entry = mount_table_find(&table, private);
	if (entry)
		return verify_private(entry, record, access, ns, err);
	entry = mount_table_find(&table, record->staging_path);
	if (entry && paths_is_bind_of(entry, ns, false)) {
		if (verify_private(entry, record, access, ns, err) < 0)
			return -1;
		return mount_back(node, record, entry, private, err);
	}
	entry = device_next_mount(&table, NULL, ns);
	if (entry)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "device %s of %s is in use at %s, but not by this volume", ns->name,
			       ns->nqn, entry->target);
	return mount_new(node, record, attachment, access, parameters, ns, private, err);
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
