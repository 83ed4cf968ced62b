/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting, formatting, mounting and releasing a namespace. */
#include "csi/node/device.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nvme/base/log.h"

/* mkfs outlives the call that began it, but not for ever. */
#define MKFS_MAX_MS (10 * 60 * 1000)

void device_private_path(const struct node *node, const struct node_record *record,
			 char ret[PATH_MAX])
{
	struct uuid key = node_record_key(record);

	snprintf(ret, PATH_MAX, "%.4000s/mnt/%s", node->state.path, key.text);
}

void device_path(const struct node *node, const struct host_namespace *ns, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s/%s", node->host->dev, ns->name);
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

static int probe(const struct node *node, const struct host_namespace *ns, struct probe_result *ret,
		 struct err *err)
{
	cleanup_close int fd = -1;

	if (host_device_open(node->host->dev, ns, O_RDONLY, &fd, err) < 0)
		return -1;
	return probe_device(fd, ns->name, ns->size_bytes, ret, err);
}

/* Brings a file system onto the device, by finding or by making it. */
static int prepare(const struct node *node, const struct attachment *attachment,
		   const struct access *access, const struct parameters *parameters,
		   const struct host_namespace *ns, struct err *err)
{
	struct probe_result found;
	enum device_plan plan;
	char path[PATH_MAX];

	if (probe(node, ns, &found, err) < 0 ||
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
	device_path(node, ns, path);
	log_info("formatting", KV("device", ns->name), KV("nqn", ns->nqn),
		 KV("fs_type", access->fs_type));
	return fs_make(fs_find(access->fs_type), path, parameters->mkfs_options, false,
		       deadline_after_ms(MKFS_MAX_MS), err);
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
	if (entry->readonly != access->many_nodes)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "the volume is staged %s, which does not go with %s",
			       entry->readonly ? "read-only" : "read-write", access->mode_name);
	return 0;
}

int device_mount(const struct node *node, const struct node_record *record,
		 const struct attachment *attachment, const struct access *access,
		 const struct parameters *parameters, const struct host_namespace *ns,
		 struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *entry;
	struct uuid key = node_record_key(record);
	char text[MOUNT_OPTIONS_SIZE], private[PATH_MAX], device[PATH_MAX];
	struct strb joined = strb_over(text, sizeof(text));
	struct mount_options options;

	device_private_path(node, record, private);
	if (mount_table_read(&table, err) < 0)
		return -1;
	entry = mount_table_find(&table, private);
	if (entry)
		return verify_private(entry, access, ns, err);
	entry = device_next_mount(&table, NULL, ns);
	if (entry)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "device %s of %s is in use at %s, but not by this driver", ns->name,
			       ns->nqn, entry->target);
	fs_mount_options(fs_find(access->fs_type), access->many_nodes, access->options, &joined);
	if (joined.overflow)
		return err_set(err, ERR_INVALID_ARGUMENT, "the mount options are too long");
	if (mount_options_parse(text, &options, err) < 0)
		return -1;
	/* "ro" among the flags makes the pods read-only, not the device. */
	options.readonly = access->many_nodes;
	if (prepare(node, attachment, access, parameters, ns, err) < 0 ||
	    root_mkdir(&node->state, err, "mnt/%s", key.text) < 0)
		return -1;
	device_path(node, ns, device);
	return mount_device(device, private, access->fs_type, &options, err);
}

const struct mount_entry *device_next_mount(const struct mount_table *table,
					    const struct mount_entry *previous,
					    const struct host_namespace *ns)
{
	const struct mount_entry *end = table->entries + table->count;

	for (const struct mount_entry *e = previous ? previous + 1 : table->entries; e < end; e++) {
		if (e->major == ns->major && e->minor == ns->minor)
			return e;
		/* A raw block volume is a bind of one file of devtmpfs. */
		if (strcmp(e->fs_type, "devtmpfs") == 0 && e->fs_root[0] == '/' &&
		    strcmp(e->fs_root + 1, ns->name) == 0)
			return e;
	}
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

/* 1: another handle of this namespace keeps it; 0: nobody uses it; -1: error or in use. */
static int find_users(const struct node *node, const struct node_record *record,
		      const struct host_namespace *ns, const char *private, struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *user = NULL, *first = NULL;

	if (mount_table_read(&table, err) < 0)
		return -1;
	while ((user = device_next_mount(&table, user, ns))) {
		struct search search = { .not_this = record,
					 .nqn = record->nqn,
					 .staging_path = user->target };
		int kept;

		if (strcmp(user->target, private) == 0)
			continue;
		first = first ?: user;
		kept = node_record_any(&node->state, is_staged_at, &search, err);
		if (kept)
			return kept;
	}
	if (first)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "device %s of %s is still in use at %s; unpublish that first",
			       ns->name, ns->nqn, first->target);
	return 0;
}

static int unmount_private(const struct node *node, const struct node_record *record,
			   const struct host_namespace *ns, const char *private, struct err *err)
{
	struct uuid key = node_record_key(record);
	char path[PATH_MAX];
	int released;

	if (mount_unmount_all(private, err) < 0 ||
	    root_rmdir(&node->state, err, "mnt/%s", key.text) < 0)
		return -1;
	if (!ns)
		return 0;
	device_path(node, ns, path);
	released = mount_device_released(path, ns->name, err);
	if (released == 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "device %s of %s is unmounted here but still held, by another mount "
			       "namespace or an open device; it is not disconnected",
			       ns->name, ns->nqn);
	return released < 0 ? -1 : 0;
}

static int disconnect(const struct node *node, const struct node_record *record,
		      struct deadline deadline, struct err *err)
{
	struct search search = { .not_this = record, .nqn = record->nqn };

	/* Our own subsystems have one volume each; a foreign one may serve others of this node. */
	if (strncmp(record->nqn, VOLUME_NQN_PREFIX, strlen(VOLUME_NQN_PREFIX)) != 0) {
		int shared = node_record_any(&node->state, uses_subsystem, &search, err);

		if (shared)
			return shared < 0 ? -1 : 0;
	}
	return host_disconnect(node->host, record->nqn, deadline, err);
}

int device_release(const struct node *node, const struct node_record *record,
		   struct deadline deadline, struct err *err)
{
	struct host_namespace ns;
	char private[PATH_MAX];
	int found, kept = 0;

	device_private_path(node, record, private);
	found = device_find(node, record, &ns, err);
	if (found < 0)
		return -1;
	if (found)
		kept = find_users(node, record, &ns, private, err);
	if (kept < 0)
		return -1;
	if (!kept && (unmount_private(node, record, found ? &ns : NULL, private, err) < 0 ||
		      disconnect(node, record, deadline, err) < 0))
		return -1;
	return node_record_remove(&node->state, record->volume_id, err);
}
