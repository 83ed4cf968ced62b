/* SPDX-License-Identifier: Apache-2.0 */
/* Taking dead mounts away. */
#include "csi/node/heal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "csi/node/paths.h"
#include "nvme/base/log.h"

/* Whether the mount is of an ext4 that met errors; those that are said of others are no news. */
static bool has_errors(const struct node *node, const struct mount_entry *entry)
{
	const char *name = strrchr(entry->source, '/');
	char value[ROOT_VALUE_SIZE];
	struct err ignored;

	return name && strcmp(entry->fs_type, "ext4") == 0 &&
	       root_read(&node->host->sysfs, value, &ignored, "fs/ext4/%s/errors_count", name + 1) >
		       0 &&
	       strcmp(value, "0") != 0;
}

/*
 * An xfs that shut down refuses every open. An ext4 does not, and kernels between those that make
 * it read-only or say it in mountinfo (before 6.12) and those that say it again (6.18) show
 * nothing; but it refuses to sync.
 */
static bool answers(const struct node *node, const struct mount_entry *entry)
{
	cleanup_close int fd = -1;

	job_doing("open %s", entry->target);
	fd = open(entry->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno != EIO;
	if (!has_errors(node, entry))
		return true;
	job_doing("sync %s", entry->target);
	return fsync(fd) == 0 || errno != EIO;
}

bool heal_is_dead(const struct node *node, const struct mount_entry *entry,
		  char ret_reason[HEAL_REASON_SIZE])
{
	const char *reason = NULL;

	if (paths_is_dead(&node->host->sysfs, entry))
		reason = "its device went away under it";
	else if (entry->sb_readonly && !entry->readonly)
		reason = "its file system went read-only after an error";
	else if (entry->sb_stopped)
		reason = "an error stopped its file system";
	else if (!paths_is_node(entry) && !answers(node, entry))
		reason = "its file system answers nothing but input/output errors";
	if (reason)
		snprintf(ret_reason, HEAL_REASON_SIZE, "%s", reason);
	return reason != NULL;
}

/* The two places of a volume that are not a pod's. */
struct places {
	char private[PATH_MAX];
	char staged[PATH_MAX];
};

static bool is_same_device(const struct mount_entry *a, const struct mount_entry *b)
{
	if (a->major != b->major || a->minor != b->minor)
		return false;
	return !paths_is_node(a) || strcmp(a->fs_root, b->fs_root) == 0;
}

/* What else is mounted of the device of a dead mount; NULL: nothing. */
static const struct mount_entry *find_user(const struct mount_table *table,
					   const struct places *places,
					   const struct mount_entry *dead)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct mount_entry *e = &table->entries[i];

		if (is_same_device(dead, e) && strcmp(e->target, places->private) != 0 &&
		    strcmp(e->target, places->staged) != 0)
			return e;
	}
	return NULL;
}

/* 1: what was at the path is gone; 0: there is nothing dead. */
static int clear(const struct node *node, const struct mount_table *table,
		 const struct places *places, const char *path, const struct host_namespace *ns,
		 struct err *err)
{
	struct mount_table whole cleanup_mount_table = { 0 };
	const struct mount_entry *entry = mount_table_find(table, path);
	const struct mount_entry *user;
	char reason[HEAL_REASON_SIZE];

	/* What is neither the volume's nor dead is foreign: whoever finds it in the way says so. */
	if (!entry || !(paths_is_of(entry, ns) || paths_is_dead(&node->host->sysfs, entry)) ||
	    !heal_is_dead(node, entry, reason))
		return 0;
	if (mount_table_read(&whole, err) < 0)
		return -1;
	user = find_user(&whole, places, entry);
	if (user)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s, a mount of %s, is dead: %s; it is mounted anew once nothing "
			       "uses it, but it is in use at %s; unpublish or unstage that first",
			       path, entry->source, reason, user->target);
	log_warning("dead mount taken away", KV("path", path), KV("device", entry->source),
		    KV("reason", reason));
	return paths_unmount_ours(&node->host->sysfs, path, ns, err) < 0 ? -1 : 1;
}

/* A superblock that is still there would only be mounted again, as dead as it is. */
static int require_gone(const struct node *node, const struct host_namespace *ns, struct err *err)
{
	char path[PATH_MAX];
	int released;

	snprintf(path, sizeof(path), "%.4000s/%s", node->host->dev, ns->name);
	job_doing("open %s", path);
	released = mount_device_released(path, ns->name, err);
	if (released)
		return released < 0 ? -1 : 0;
	return err_set(
		err, ERR_FAILED_PRECONDITION,
		"the dead file system of %s is unmounted here, but another mount namespace or "
		"an open file keeps it; end whatever does, then stage the volume again",
		ns->nqn);
}

int heal_dead_mounts(const struct node *node, const struct node_record *record,
		     const struct host_namespace *ns, struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	struct places places;
	const char *const paths[] = { places.staged, places.private };
	int rc;

	device_private_path(node, record, places.private);
	device_stage_path(record->staging_path, places.staged);
	if (mount_table_read_at(paths, ARRAY_SIZE(paths), &table, err) < 0)
		return -1;
	rc = clear(node, &table, &places, places.staged, ns, err);
	if (rc < 0 || record->block)
		return rc < 0 ? -1 : 0;
	rc = clear(node, &table, &places, places.private, ns, err);
	if (rc <= 0)
		return rc;
	return require_gone(node, ns, err);
}
