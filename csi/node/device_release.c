/* SPDX-License-Identifier: Apache-2.0 */
/* Letting go of a namespace: its users, its mounts, its superblock, its controllers. */
#include "csi/node/device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "csi/node/paths.h"
#include "csi/volume/btrfs.h"
#include "nvme/base/log.h"
#include "nvme/target/volume.h"

/* What a search over the records looks for. */
struct search {
	const struct node *node;
	const struct node_record *not_this;
	const char *nqn;
	const char *path;
};

static bool uses_subsystem(const struct node_record *record, void *context)
{
	const struct search *search = context;

	return strcmp(record->volume_id, search->not_this->volume_id) != 0 &&
	       strcmp(record->nqn, search->nqn) == 0;
}

static bool is_of_another(const struct node_record *record, void *context)
{
	const struct search *search = context;
	char staged[PATH_MAX], private[PATH_MAX];

	if (!uses_subsystem(record, context))
		return false;
	device_stage_path(record->staging_path, staged);
	device_private_path(search->node, record, private);
	return strcmp(staged, search->path) == 0 || strcmp(private, search->path) == 0;
}

int device_is_of_another(const struct node *node, const struct node_record *not_this,
			 const char *path, struct err *err)
{
	struct search search = {
		.node = node, .not_this = not_this, .nqn = not_this->nqn, .path = path
	};

	return node_record_any(&node->state, search.nqn, is_of_another, &search, err);
}

/* What a release has to do with: the namespace in sysfs, and what the private mount still holds. */
struct release {
	const struct node *node;
	const struct node_record *record;
	struct mount_table table;
	bool block; /* whatever says so: the record, or the bind of the stage */
	bool found; /* ns is in sysfs */
	struct host_namespace ns;
	const struct mount_entry
		*held; /* the private mount, which may be of a device that is gone */
	char private[PATH_MAX];
	char staged[PATH_MAX];
};

static void release_fini(struct release *r)
{
	mount_table_fini(&r->table);
}

/*
 * The private mount of the namespace. It is looked for at its place first, then by device: whoever
 * lost the record may know the namespace by another of its names than the one that made the place.
 * The place of another that is on record is not ours, even before anything is bound there.
 */
static int find_private(struct release *r, struct err *err)
{
	const struct mount_entry *e = NULL;
	char prefix[PATH_MAX];

	device_private_path(r->node, r->record, r->private);
	r->held = mount_table_find(&r->table, r->private);
	if (r->held || !r->found)
		return 0;
	snprintf(prefix, sizeof(prefix), "%.4000s/mnt/", r->node->state.path);
	while ((e = mount_table_next(&r->table, e, r->ns.major, r->ns.minor))) {
		int others;

		if (strncmp(e->target, prefix, strlen(prefix)) != 0)
			continue;
		others = device_is_of_another(r->node, r->record, e->target, err);
		if (others < 0)
			return -1;
		if (others)
			continue;
		r->held = e;
		snprintf(r->private, sizeof(r->private), "%s", e->target);
		return 0;
	}
	return 0;
}

static int release_init(struct release *r, const char *staging_path, struct err *err)
{
	int found = device_find(r->node, r->record, &r->ns, err);
	const struct mount_entry *bind;

	if (found < 0 || mount_table_read(&r->table, err) < 0 ||
	    paths_refuse_covered(&r->table, staging_path, err) < 0)
		return -1;
	r->found = found;
	if (find_private(r, err) < 0)
		return -1;
	device_stage_path(staging_path, r->staged);
	bind = mount_table_find(&r->table, r->staged);
	r->block = r->record->block || (bind && paths_is_node(bind));
	return 0;
}

static bool is_own_mount(const struct release *r, const char *target)
{
	return strcmp(target, r->private) == 0 || strcmp(target, r->staged) == 0;
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
		int kept;

		if (!is_of_release(r, user) || is_own_mount(r, user->target))
			continue;
		first = first ?: user;
		kept = device_is_of_another(r->node, r->record, user->target, err);
		if (kept)
			return kept;
	}
	if (first)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s of %s is still in use at %s; unpublish that first",
			       first->source, r->record->nqn, first->target);
	return 0;
}

static int require_released(const char *path, const char *name, const char *nqn, struct err *err)
{
	int released;

	job_doing("open %s", path);
	released = mount_device_released(path, name, err);
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
	job_doing("flush %s", path);
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
	snprintf(path, sizeof(path), "%.4000s/%s", r->node->host->dev, r->ns.name);
	/* Another device than the namespace's is one that went away under its mount. */
	if (name && !(r->found && strcmp(r->held->source, path) == 0) &&
	    require_released(r->held->source, name + 1, r->record->nqn, err) < 0)
		return -1;
	if (!r->found)
		return 0;
	if (require_released(path, r->ns.name, r->record->nqn, err) < 0)
		return -1;
	return r->block && !r->record->readonly ? flush_device(r->node, &r->ns, err) : 0;
}

/*
 * Whether a namespace beside the own one is used. mountinfo names one device only of a btrfs, and
 * does not name the device below a partition, a logical volume, a RAID or swap: whoever has that
 * holds it exclusively.
 */
static int is_in_use(const struct release *r, const struct mount_table *table,
		     const struct host_namespace *ns, struct err *err)
{
	const struct mount_entry *user = device_next_mount(table, NULL, ns);
	char holder[NAME_MAX] = "", path[PATH_MAX];
	int held = user ? 1 : btrfs_find_holder(&r->node->host->sysfs, ns->name, holder, err);

	if (held == 0) {
		snprintf(path, sizeof(path), "%.4000s/%s", r->node->host->dev, ns->name);
		job_doing("open %s", path);
		held = mount_device_released(path, ns->name, err);
		held = held < 0 ? -1 : !held;
	}
	if (held > 0)
		log_info("subsystem stays connected", KV("nqn", ns->nqn), KV("device", ns->name),
			 KV("user", user ? user->target : holder));
	return held;
}

/*
 * A subsystem of ours has but the namespace of its own UUID, on which no other job works now: if
 * the record has that UUID. The job of a handle by nsid need not have the namespace.
 */
static bool is_alone(const struct release *r)
{
	char nqn[NQN_SIZE];

	if (!r->record->has_uuid)
		return false;
	volume_nqn(&r->record->uuid, nqn);
	return strcmp(nqn, r->record->nqn) == 0;
}

/*
 * A foreign subsystem may have other namespaces in use on this node, whose controllers these are,
 * too. The records say so of ours, staged or about to be; the mounts say so of all, whoever made
 * them and whatever became of their records. 1: so it is; 0: it is not; -1: error.
 */
static int is_shared(const struct release *r, struct err *err)
{
	struct search search = { .not_this = r->record, .nqn = r->record->nqn };
	struct host_namespaces all cleanup_host_namespaces = { 0 };
	struct mount_table table cleanup_mount_table = { 0 };
	int shared = is_alone(r) ? 0 :
				   node_record_any(&r->node->state, search.nqn, uses_subsystem,
						   &search, err);

	if (shared)
		return shared;
	if (host_namespaces_get(&r->node->host->sysfs, r->record->nqn, &all, err) < 0)
		return -1;
	for (size_t i = 0; i < all.count; i++) {
		const struct host_namespace *ns = &all.list[i];

		if (r->found && ns->major == r->ns.major && ns->minor == r->ns.minor)
			continue;
		/* Of what was mounted when the release began, others may have gone meanwhile. */
		if (!table.text && mount_table_read(&table, err) < 0)
			return -1;
		shared = is_in_use(r, &table, ns, err);
		if (shared)
			return shared;
	}
	return 0;
}

static int disconnect(const struct release *r, struct deadline deadline, struct err *err)
{
	struct host_namespace ns;
	int shared = is_shared(r, err);

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

/* With the subsystem held: of two that leave it at once, the later one has to be the last. */
static int leave(const struct release *r, bool kept, struct deadline deadline, struct err *err)
{
	if (!kept && disconnect(r, deadline, err) < 0)
		return -1;
	/* Last: what somebody put into the bare directory must not keep the volume connected. */
	if (paths_remove_any(r->staged, err) < 0)
		return -1;
	return node_record_remove(&r->node->state, r->record->volume_id, err);
}

int device_release(const struct node *node, const struct node_record *record,
		   const char *staging_path, struct deadline deadline, struct err *err)
{
	struct release r CLEANUP(release_fini) = { .node = node, .record = record };
	int kept, rc;

	if (release_init(&r, staging_path, err) < 0)
		return -1;
	kept = find_users(&r, err);
	if (kept < 0 ||
	    paths_unmount_ours(&node->host->sysfs, r.staged, r.found ? &r.ns : NULL, err) < 0)
		return -1;
	if ((!kept && unmount_private(&r, err) < 0) || job_hold(record->nqn, deadline, err) < 0)
		return -1;
	rc = leave(&r, kept, deadline, err);
	job_let_go();
	return rc;
}
