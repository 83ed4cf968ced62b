/* SPDX-License-Identifier: Apache-2.0 */
/* Stage and unstage. */
#include "csi/node/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "csi/node/paths.h"
#include "nvme/base/log.h"

int stage_spec_parse(const Csi__V1__NodeStageVolumeRequest *request, struct stage_spec *ret,
		     struct err *err)
{
	struct map volume_context = MAP_OF(request, volume_context);
	struct map publish_context = MAP_OF(request, publish_context);

	ret->volume_id = request->volume_id;
	if (require_text("volume_id", request->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    require_path("staging_target_path", request->staging_target_path, err) < 0 ||
	    access_parse(request->volume_capability, &ret->access, err) < 0 ||
	    map_check_size("volume_context", volume_context, err) < 0 ||
	    map_check_size("publish_context", publish_context, err) < 0 ||
	    attachment_parse(volume_context, publish_context, &ret->attachment, err) < 0 ||
	    parameters_parse_context(volume_context, &ret->parameters, err) < 0)
		return -1;
	return 0;
}

void stage_bind_path(const char *staging_path, bool block, const struct node_record *record,
		     char ret[PATH_MAX])
{
	struct uuid key = node_record_key(record);

	if (block)
		snprintf(ret, PATH_MAX, "%.4000s/%s", staging_path, key.text);
	else
		snprintf(ret, PATH_MAX, "%s", staging_path);
}

static bool same_stage(const struct node_record *a, const struct node_record *b)
{
	return strcmp(a->nqn, b->nqn) == 0 && a->has_uuid == b->has_uuid &&
	       strcmp(a->uuid.text, b->uuid.text) == 0 && a->nsid == b->nsid &&
	       a->block == b->block && strcmp(a->staging_path, b->staging_path) == 0;
}

/*
 * A volume is staged in one way at a time on a node. What another stage of it left unfinished is
 * taken back before its record is overwritten: nothing else knows of it.
 */
static int settle_other_stage(const struct node *node, const struct node_record *record,
			      struct deadline deadline, struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	struct node_record other;
	char bind[PATH_MAX];
	int found = node_record_load(&node->state, record->volume_id, &other, err);

	if (found <= 0 || same_stage(record, &other))
		return found < 0 ? -1 : 0;
	if (mount_table_read(&table, err) < 0)
		return -1;
	stage_bind_path(other.staging_path, other.block, &other, bind);
	if (mount_table_find(&table, bind))
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"volume \"%s\" is staged already, at %s as %s of %s; unstage it there "
			"first",
			record->volume_id, other.staging_path,
			other.block ? "raw block" : "file system", other.nqn);
	return device_release(node, &other, deadline, err);
}

/* 1: the bind at path is the wanted one; 0: nothing is there; -1: something else is. */
static int verify_bind(const struct mount_table *table, const char *path,
		       const struct host_namespace *ns, const struct access *access,
		       struct err *err)
{
	const struct mount_entry *entry = mount_table_find(table, path);

	if (!entry)
		return 0;
	if (!paths_is_of(entry, ns))
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s is a mount of %s (%s), not of device %s of %s", path,
			       entry->source, entry->fs_type, ns->name, ns->nqn);
	if (!access->block && entry->readonly != access->many_nodes)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "the volume is staged at %s %s, which does not go with %s", path,
			       entry->readonly ? "read-only" : "read-write", access->mode_name);
	return 1;
}

static int bind_file_system(const struct node *node, const struct stage_spec *spec,
			    const struct node_record *record, const char *path, struct err *err)
{
	struct mount_options options = { .readonly = spec->access.many_nodes };
	char private[PATH_MAX];

	device_private_path(node, record, private);
	return mount_bind(private, path, &options, err);
}

static int bind_device(const struct node *node, const struct host_namespace *ns, const char *path,
		       struct err *err)
{
	struct mount_options options = { 0 };
	char device[PATH_MAX];

	if (host_device_check(node->host->dev, ns, err) < 0 || paths_create_file(path, err) < 0)
		return -1;
	device_path(node, ns, device);
	return mount_bind(device, path, &options, err);
}

static int stage_connected(const struct node *node, const struct stage_spec *spec,
			   const struct node_record *record, const struct host_namespace *ns,
			   struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	char path[PATH_MAX];
	int there;

	stage_bind_path(spec->staging_path, spec->access.block, record, path);
	if (!spec->access.block && device_mount(node, record, &spec->attachment, &spec->access,
						&spec->parameters, ns, err) < 0)
		return -1;
	if (mount_table_read(&table, err) < 0)
		return -1;
	there = verify_bind(&table, path, ns, &spec->access, err);
	if (there)
		return there < 0 ? -1 : 0;
	return spec->access.block ? bind_device(node, ns, path, err) :
				    bind_file_system(node, spec, record, path, err);
}

/*
 * After a failed stage the CO may never call unstage: nothing may stay connected that nobody uses.
 * What is in use (the volume was staged before) stays, which device_release finds out itself.
 */
static void take_back(const struct node *node, const struct node_record *record)
{
	struct err err;

	if (device_release(node, record, deadline_after_ms(30000), &err) < 0)
		log_warning("volume kept after a failed stage", KV("volume_id", record->volume_id),
			    KV_ERR(&err));
}

static int stage_locked(struct node *node, const struct stage_spec *spec,
			const struct node_record *record, struct deadline deadline, struct err *err)
{
	struct host_namespace ns;

	if (settle_other_stage(node, record, deadline, err) < 0 ||
	    node_record_save(&node->state, record, err) < 0)
		return -1;
	if (device_connect(node, record, &spec->attachment, &spec->parameters, deadline, &ns, err) <
		    0 ||
	    stage_connected(node, spec, record, &ns, err) < 0) {
		take_back(node, record);
		return -1;
	}
	return 0;
}

int stage_volume(struct node *node, const struct stage_spec *spec, struct deadline deadline,
		 struct err *err)
{
	struct node_record record = node_record_make(spec->volume_id, &spec->attachment,
						     spec->access.block, spec->staging_path);
	struct uuid key = node_record_key(&record);
	int rc;

	if (!gate_enter(&node->gate, key.text))
		return err_set(err, ERR_ABORTED, "an operation on namespace %s is already running",
			       key.text);
	rc = stage_locked(node, spec, &record, deadline, err);
	gate_leave(&node->gate, key.text);
	return rc;
}

/*
 * What volume this is: by its record, by its ID, or by what is mounted at the staging path.
 * 1: known; 0: nothing says so, and nothing is there.
 */
static int identify(const struct node *node, const char *volume_id, const char *staging_path,
		    struct node_record *ret, struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *entry;
	struct host_namespace ns;
	int found = node_record_load(&node->state, volume_id, ret, err);

	if (found)
		return found;
	if (node_record_derive(volume_id, ret))
		return 1;
	if (mount_table_read(&table, err) < 0)
		return -1;
	entry = mount_table_find(&table, staging_path);
	if (!entry)
		return 0;
	found = host_namespace_by_dev(&node->host->sysfs, entry->major, entry->minor, &ns, err);
	if (found < 0)
		return -1;
	if (!found)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s is a mount of %s, which is no NVMe namespace; it is left alone",
			       staging_path, entry->source);
	*ret = (struct node_record) { .has_uuid = ns.uuid.text[0],
				      .uuid = ns.uuid,
				      .nsid = ns.nsid };
	strcpy(ret->volume_id, volume_id);
	strcpy(ret->nqn, ns.nqn);
	return 1;
}

/* The block bind's file, or nothing. The kind of the volume is unknown when there is no record. */
static int remove_binds(const struct node *node, const struct node_record *record,
			const char *staging_path, struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	struct host_namespace ns;
	char file[PATH_MAX];
	int found;

	stage_bind_path(staging_path, true, record, file);
	found = device_find(node, record, &ns, err);
	if (found < 0 || mount_table_read(&table, err) < 0)
		return -1;
	if (paths_unmount_ours(&table, staging_path, found ? &ns : NULL, err) < 0 ||
	    paths_unmount_ours(&table, file, found ? &ns : NULL, err) < 0)
		return -1;
	return paths_remove_file(file, err);
}

static int unstage_locked(struct node *node, const struct node_record *record,
			  const char *staging_path, struct deadline deadline, struct err *err)
{
	if (remove_binds(node, record, staging_path, err) < 0)
		return -1;
	return device_release(node, record, deadline, err);
}

int unstage_volume(struct node *node, const char *volume_id, const char *staging_path,
		   struct deadline deadline, struct err *err)
{
	struct node_record record;
	struct uuid key;
	int rc = identify(node, volume_id, staging_path, &record, err);

	if (rc <= 0)
		return rc;
	key = node_record_key(&record);
	if (!gate_enter(&node->gate, key.text))
		return err_set(err, ERR_ABORTED, "an operation on namespace %s is already running",
			       key.text);
	rc = unstage_locked(node, &record, staging_path, deadline, err);
	gate_leave(&node->gate, key.text);
	return rc;
}
