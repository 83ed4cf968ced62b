/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting, formatting, mounting and releasing a namespace. */
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
			 &parameters->connect, deadline, err) < 0 ||
	    host_wait_namespace(node->host, record->nqn, record->has_uuid ? &record->uuid : NULL,
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
	if (access->reader)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the volume is empty and %s allows no formatting; write it through "
			       "another access mode first",
			       access->mode_name);
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

/* Brings a file system onto the pinned device, by finding or by making it. */
static int prepare(const struct attachment *attachment, const struct access *access,
		   const struct parameters *parameters, const struct host_namespace *ns, int fd,
		   const char *path, struct err *err)
{
	struct probe_result found;
	enum device_plan plan;

	if (probe_device(fd, ns->name, ns->size_bytes, &found, err) < 0 ||
	    device_plan(attachment, access, &found, &plan, err) < 0)
		return -1;
	if (plan == DEVICE_MOUNT)
		return 0;
	/* An empty device of another size than promised is not the one that is known to be blank. */
	if (ns->size_bytes != attachment->size_bytes)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "device %s has %" PRIu64 " bytes, not the expected %" PRIu64
			       "; it is not formatted",
			       ns->name, ns->size_bytes, attachment->size_bytes);
	log_info("formatting", KV("device", ns->name), KV("nqn", ns->nqn),
		 KV("fs_type", access->fs_type));
	return fs_make(fs_find(access->fs_type), path, parameters->mkfs_options, false,
		       deadline_after_ms(MKFS_MAX_MS), err);
}

/* A reader of this raw device may have left it switched to read-only, which a mount cannot be. */
static int make_writable(const struct host_namespace *ns, int fd, struct err *err)
{
	int off = 0;

	if (ns->readonly && ioctl(fd, BLKROSET, &off) < 0)
		return err_sys(err, errno, "make device %s read-write", ns->name);
	return 0;
}

/* The private mount that is there already is the right one, or the error says why not. */
static int verify_private(const struct mount_entry *entry, const struct access *access,
			  const struct host_namespace *ns, struct err *err)
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
	if (entry->sb_readonly && !access->many_nodes && !entry->readonly)
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"the file system of %s went read-only after an error; delete its pods, "
			"so that it is unmounted",
			ns->nqn);
	if (entry->readonly != access->many_nodes)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "the volume is staged %s, which does not go with %s",
			       entry->readonly ? "read-only" : "read-write", access->mode_name);
	return 0;
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

	fs_mount_options(fs_find(access->fs_type), access->many_nodes, access->options, &joined);
	if (joined.overflow)
		return err_set(err, ERR_INVALID_ARGUMENT, "the mount options are too long");
	if (mount_options_parse(text, &options, err) < 0)
		return -1;
	/* "ro" among the flags makes the pods read-only, not the device. */
	options.readonly = access->many_nodes;
	if (device_pin(node, ns, path, &fd, err) < 0 ||
	    (!access->many_nodes && make_writable(ns, fd, err) < 0) ||
	    prepare(attachment, access, parameters, ns, fd, path, err) < 0 ||
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
		return verify_private(entry, access, ns, err);
	entry = mount_table_find(&table, record->staging_path);
	if (entry && paths_is_bind_of(entry, ns, false)) {
		if (verify_private(entry, access, ns, err) < 0)
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

/* What a search over the records looks for. */
struct search {
	const struct node_record *not_this;
	const char *nqn;
	const char *staging_path;
};

static bool uses_subsystem(const struct node_record *record, void *context)
{
	const struct search *search = context;

	return strcmp(record->volume_id, search->not_this->volume_id) != 0 &&
	       strcmp(record->nqn, search->nqn) == 0;
}

static bool is_staged_at(const struct node_record *record, void *context)
{
	const struct search *search = context;
	size_t len = strlen(record->staging_path);

	/* A block volume is staged at a file below the staging path. */
	return uses_subsystem(record, context) &&
	       strncmp(record->staging_path, search->staging_path, len) == 0 &&
	       (search->staging_path[len] == '\0' || search->staging_path[len] == '/');
}

/* What a release has to do with: the namespace in sysfs, and what the private mount still holds. */
struct release {
	const struct node *node;
	const struct node_record *record;
	struct mount_table table;
	bool block; /* whatever says so: the record, or the bind at the staging path */
	bool found; /* ns is in sysfs */
	struct host_namespace ns;
	const struct mount_entry
		*held; /* the private mount, which may be of a device that is gone */
	char private[PATH_MAX];
	char staged[PATH_MAX]; /* the two places where this volume may be bound at its staging path */
	char staged_file[PATH_MAX];
};

static void release_fini(struct release *r)
{
	mount_table_fini(&r->table);
}

/*
 * The private mount of the namespace. It is looked for at its place first, then by device: whoever
 * lost the record may know the namespace by another of its names than the one that made the place.
 */
static void find_private(struct release *r)
{
	const struct mount_entry *e = NULL;
	char prefix[PATH_MAX];

	device_private_path(r->node, r->record, r->private);
	r->held = mount_table_find(&r->table, r->private);
	if (r->held || !r->found)
		return;
	snprintf(prefix, sizeof(prefix), "%.4000s/mnt/", r->node->state.path);
	while ((e = mount_table_next(&r->table, e, r->ns.major, r->ns.minor))) {
		if (strncmp(e->target, prefix, strlen(prefix)) == 0) {
			r->held = e;
			snprintf(r->private, sizeof(r->private), "%s", e->target);
			return;
		}
	}
}

static int release_init(struct release *r, const char *staging_path, struct err *err)
{
	int found = device_find(r->node, r->record, &r->ns, err);

	if (found < 0 || mount_table_read(&r->table, err) < 0)
		return -1;
	r->found = found;
	find_private(r);
	device_stage_path(staging_path, false, r->record, r->staged);
	device_stage_path(staging_path, true, r->record, r->staged_file);
	r->block = r->record->block || mount_table_find(&r->table, r->staged_file);
	return 0;
}

static bool is_own_mount(const struct release *r, const char *target)
{
	return strcmp(target, r->private) == 0 || strcmp(target, r->staged) == 0 ||
	       strcmp(target, r->staged_file) == 0;
}

static bool is_of_release(const struct release *r, const struct mount_entry *e)
{
	if (r->found && paths_is_of(e, &r->ns))
		return true;
	return r->held && e->major == r->held->major && e->minor == r->held->minor;
}

/* 1: another handle of this namespace keeps it; 0: nobody uses it; -1: error or in use. */
static int find_users(const struct release *r, struct err *err)
{
	const struct mount_entry *first = NULL;

	for (size_t i = 0; i < r->table.count; i++) {
		const struct mount_entry *user = &r->table.entries[i];
		struct search search = { .not_this = r->record,
					 .nqn = r->record->nqn,
					 .staging_path = user->target };
		int kept;

		if (!is_of_release(r, user) || is_own_mount(r, user->target))
			continue;
		first = first ?: user;
		kept = node_record_any(&r->node->state, is_staged_at, &search, err);
		if (kept)
			return kept;
	}
	if (first)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s of %s is still in use at %s; unpublish that first",
			       first->source, r->record->nqn, first->target);
	return 0;
}

static int remove_staging(const struct release *r, struct err *err)
{
	const struct root *sysfs = &r->node->host->sysfs;
	const struct host_namespace *ns = r->found ? &r->ns : NULL;

	if (paths_unmount_ours(sysfs, r->staged, ns, err) < 0 ||
	    paths_unmount_ours(sysfs, r->staged_file, ns, err) < 0)
		return -1;
	return paths_remove_file(r->staged_file, err);
}

static int require_released(const char *path, const char *name, const char *nqn, struct err *err)
{
	int released = mount_device_released(path, name, err);

	if (released == 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "device %s of %s is unmounted here but still held, by another mount "
			       "namespace or an open device; it is not disconnected",
			       name, nqn);
	return released < 0 ? -1 : 0;
}

/* What was written to a raw device and not flushed would be lost with its controllers. */
static int flush_device(const struct node *node, const struct host_namespace *ns, struct err *err)
{
	cleanup_close int fd = -1;
	char path[PATH_MAX];

	if (device_pin(node, ns, path, &fd, err) < 0)
		return -1;
	if (fsync(fd) < 0)
		return err_sys(err, errno, "flush %s of %s", path, ns->nqn);
	return 0;
}

static int unmount_private(const struct release *r, struct err *err)
{
	const char *name = r->held ? strrchr(r->held->source, '/') : NULL;
	char path[PATH_MAX];
	struct err ignored;

	if (mount_unmount_all(r->private, err) < 0)
		return -1;
	/* A file that somebody put into the bare directory must not keep the volume connected. */
	if (root_rmdir(&r->node->state, &ignored, "mnt%s", strrchr(r->private, '/')) < 0)
		log_warning("private directory stays", KV_ERR(&ignored));
	if (name && require_released(r->held->source, name + 1, r->record->nqn, err) < 0)
		return -1;
	if (!r->found)
		return 0;
	snprintf(path, sizeof(path), "%.4000s/%s", r->node->host->dev, r->ns.name);
	if (require_released(path, r->ns.name, r->record->nqn, err) < 0)
		return -1;
	return r->block ? flush_device(r->node, &r->ns, err) : 0;
}

static int disconnect(const struct release *r, struct deadline deadline, struct err *err)
{
	struct search search = { .not_this = r->record, .nqn = r->record->nqn };
	struct host_namespace ns;
	int shared = node_record_any(&r->node->state, uses_subsystem, &search, err);

	/* A foreign subsystem may have other namespaces in use on this node. */
	if (shared)
		return shared < 0 ? -1 : 0;
	if (host_disconnect(r->node->host, r->record->nqn, deadline, err) < 0)
		return -1;
	shared = device_find(r->node, r->record, &ns, err);
	if (shared > 0)
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"%s is disconnected, but its device %s is still there: it is connected "
			"under another host NQN than %s",
			r->record->nqn, ns.name, r->node->host->identity.nqn);
	return shared;
}

int device_release(const struct node *node, const struct node_record *record,
		   const char *staging_path, struct deadline deadline, struct err *err)
{
	struct release r CLEANUP(release_fini) = { .node = node, .record = record };
	int kept;

	if (release_init(&r, staging_path, err) < 0)
		return -1;
	kept = find_users(&r, err);
	if (kept < 0 || remove_staging(&r, err) < 0)
		return -1;
	if (!kept && (unmount_private(&r, err) < 0 || disconnect(&r, deadline, err) < 0))
		return -1;
	return node_record_remove(&node->state, record->volume_id, err);
}
