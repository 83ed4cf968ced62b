/* SPDX-License-Identifier: Apache-2.0 */
/* Publish and unpublish. */
#include "csi/node/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi/node/heal.h"
#include "csi/node/paths.h"
#include "csi/node/stage.h"
#include "csi/request/authentication.h"
#include "nvme/base/log.h"

static int resolve(const char *field, const char *path, char ret[PATH_MAX], struct err *err)
{
	int found = mount_path_resolve(path, ret, err);

	if (found < 0)
		return err_wrap(err, "%s", field);
	if (!found)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s \"%.200s\": the directory above it does not exist", field, path);
	return 0;
}

void publish_spec_free(struct publish_spec *spec)
{
	dhchap_keys_wipe(&spec->parameters.connect.keys);
	free(spec);
}

/* None are needed: they are for what may have to be connected again. */
static int parse_secrets(const Csi__V1__NodePublishVolumeRequest *request,
			 const struct attachment *attachment, struct host_connect_options *options,
			 struct err *err)
{
	if (request->n_secrets == 0)
		return 0;
	options->renew = !attachment_is_static(MAP_OF(request, volume_context));
	return authentication_parse_stage(MAP_OF(request, secrets), attachment, &options->keys,
					  err);
}

int publish_spec_parse(const Csi__V1__NodePublishVolumeRequest *request, struct publish_spec *ret,
		       struct err *err)
{
	struct map volume_context = MAP_OF(request, volume_context);
	struct map publish_context = MAP_OF(request, publish_context);

	if (require_text("volume_id", request->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    require_path("target_path", request->target_path, err) < 0 ||
	    access_parse(request->volume_capability, &ret->access, err) < 0 ||
	    require_path("staging_target_path", request->staging_target_path, err) < 0 ||
	    map_check_size("volume_context", volume_context, err) < 0 ||
	    map_check_size("publish_context", publish_context, err) < 0 ||
	    attachment_parse(volume_context, publish_context, &ret->attachment, err) < 0 ||
	    (!attachment_is_static(volume_context) &&
	     attachment_check_volume(&ret->attachment, request->volume_id, err) < 0) ||
	    parameters_parse_context(volume_context, publish_context, &ret->parameters, err) < 0 ||
	    parse_secrets(request, &ret->attachment, &ret->parameters.connect, err) < 0 ||
	    resolve("staging_target_path", request->staging_target_path, ret->staging_path, err) <
		    0 ||
	    resolve("target_path", request->target_path, ret->target_path, err) < 0)
		return -1;
	snprintf(ret->volume_id, sizeof(ret->volume_id), "%s", request->volume_id);
	ret->parameters.fs_type = NULL;
	ret->parameters.mkfs_options = "";
	ret->readonly = request->readonly || ret->access.reader || ret->access.ro_flag;
	if (ret->attachment.readonly && !ret->readonly)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "volume \"%s\" is attached to this node read-only, so it cannot be "
			       "published read-write; publish it read-only (readOnly of the pod's "
			       "volume) or attach it read-write (csi.readOnly: false of its "
			       "PersistentVolume)",
			       ret->volume_id);
	return 0;
}

static int not_staged(const struct publish_spec *spec, struct err *err)
{
	return err_set(err, ERR_FAILED_PRECONDITION, "volume \"%s\" is not staged at %s",
		       spec->volume_id, spec->staging_path);
}

/* The staged bind and, for a file system, the private mount are there and of this very device. */
static int check_staged(const struct node *node, const struct publish_spec *spec,
			const struct node_record *record, const struct host_namespace *ns,
			const struct mount_table *table, struct err *err)
{
	const struct mount_entry *entry;
	char path[PATH_MAX], reason[HEAL_REASON_SIZE];

	if (paths_refuse_covered(table, spec->staging_path, err) < 0)
		return -1;
	device_stage_path(spec->staging_path, path);
	entry = mount_table_find(table, path);
	if (!entry || !paths_is_bind_of(entry, ns, spec->access.block))
		return not_staged(spec, err);
	if (spec->access.block)
		return 0;
	device_private_path(node, record, path);
	entry = mount_table_find(table, path);
	if (!entry || !paths_is_bind_of(entry, ns, false))
		return not_staged(spec, err);
	if (heal_is_dead(node, entry, reason))
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "volume \"%s\" is staged at %s, but dead: %s", spec->volume_id,
			       spec->staging_path, reason);
	if (device_check_readonly(entry->readonly, record, err) < 0)
		return -1;
	if (entry->sb_readonly && !spec->readonly)
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"volume \"%s\" is mounted read-only on this node; it cannot be published "
			"read-write",
			spec->volume_id);
	return 0;
}

/* Whether the bind that is at the target path already is the one that is asked for. */
static int verify_existing(const struct publish_spec *spec, const struct mount_entry *entry,
			   const struct host_namespace *ns, struct err *err)
{
	bool readonly = spec->access.block ? ns->readonly : entry->readonly;

	if (!paths_is_bind_of(entry, ns, spec->access.block))
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "target_path %s is a mount of %s (%s), not of volume \"%s\"",
			       spec->target_path, entry->source, entry->fs_type, spec->volume_id);
	if (readonly != spec->readonly)
		return err_set(err, ERR_ALREADY_EXISTS,
			       "volume \"%s\" is published at %s %s; asked for is %s",
			       spec->volume_id, spec->target_path,
			       readonly ? "read-only" : "read-write",
			       spec->readonly ? "read-only" : "read-write");
	return 0;
}

/* A publish, as its job has it. */
struct publish_work {
	const struct node *node;
	struct publish_spec *spec; /* owned */
	struct node_record record;
	struct deadline deadline;
};

/*
 * The first mount of the namespace at a path of another pod, be it by another handle; NULL: none.
 * Only asked for what allows one path, or one kind of users: it may read records.
 */
static int other_publish(const struct publish_work *work, const struct host_namespace *ns,
			 const struct mount_table *table, const struct mount_entry **ret,
			 struct err *err)
{
	const struct publish_spec *spec = work->spec;
	const struct mount_entry *entry = NULL;
	char private[PATH_MAX], staged[PATH_MAX];

	*ret = NULL;
	if (!spec->access.single_path && !spec->access.block)
		return 0;
	device_private_path(work->node, &work->record, private);
	device_stage_path(spec->staging_path, staged);
	while ((entry = device_next_mount(table, entry, ns))) {
		int staging;

		if (strcmp(entry->target, private) == 0 || strcmp(entry->target, staged) == 0 ||
		    strcmp(entry->target, spec->target_path) == 0)
			continue;
		staging = device_is_of_another(work->node, &work->record, entry->target, err);
		if (staging < 0)
			return -1;
		if (staging)
			continue;
		*ret = entry;
		return 0;
	}
	return 0;
}

/*
 * A read-only bind of a device node stops nobody from writing: only the device's own switch does,
 * for all its users at once. So readers and writers of one raw device exclude each other here.
 */
static int set_device_readonly(const struct publish_spec *spec, const struct host_namespace *ns,
			       int fd, const struct mount_entry *other, struct err *err)
{
	if (ns->readonly != spec->readonly && other)
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"raw block volume \"%s\" is published %s at %s; a device is read-only "
			"for all its users or for none",
			spec->volume_id, ns->readonly ? "read-only" : "read-write", other->target);
	return device_set_readonly(ns, fd, spec->readonly, err);
}

static int bind_block(const struct node *node, const struct publish_spec *spec,
		      const struct host_namespace *ns, const struct mount_entry *other,
		      struct err *err)
{
	struct mount_options options = { .readonly = spec->readonly };
	cleanup_close int fd = -1;
	char device[PATH_MAX];

	if (device_pin(node, ns, device, &fd, err) < 0 ||
	    set_device_readonly(spec, ns, fd, other, err) < 0 ||
	    paths_create_file(spec->target_path, err) < 0)
		return -1;
	return mount_bind(device, spec->target_path, &options, err);
}

static int bind_mount(const struct node *node, const struct publish_spec *spec,
		      const struct node_record *record, struct err *err)
{
	struct mount_options options;
	char private[PATH_MAX];

	if (mount_options_parse(spec->access.options, &options, err) < 0 ||
	    paths_create_directory(spec->target_path, err) < 0)
		return -1;
	options.readonly = spec->readonly;
	device_private_path(node, record, private);
	return mount_bind(private, spec->target_path, &options, err);
}

static void publish_work_free(void *argument)
{
	struct publish_work *work = argument;

	publish_spec_free(work->spec);
	free(work);
}

/* All that bind_staged looks at: mounts of other pods only if they matter (other_publish). */
static int read_mounts(const struct publish_work *work, struct mount_table *ret, struct err *err)
{
	const struct publish_spec *spec = work->spec;
	char private[PATH_MAX], staged[PATH_MAX];
	const char *const paths[] = { private, spec->target_path, spec->staging_path, staged };
	struct mount_table table cleanup_mount_table = { 0 };

	if (spec->access.single_path || spec->access.block)
		return mount_table_read(ret, err);
	device_private_path(work->node, &work->record, private);
	device_stage_path(spec->staging_path, staged);
	if (mount_table_read_at(paths, 3, &table, err) < 0)
		return -1;
	/* In what covers the staging path, looking for the bind may hang. */
	if (!mount_table_find(&table, spec->staging_path))
		return mount_table_read_at(paths, ARRAY_SIZE(paths), ret, err);
	*ret = table;
	table = (struct mount_table) { 0 };
	return 0;
}

/* Finds the staged volume, its namespace and the mounts. */
static int find_staged(const struct publish_work *work, struct host_namespace *ret_ns,
		       struct mount_table *ret_table, struct err *err)
{
	int found = device_find(work->node, &work->record, ret_ns, err);

	if (found < 0)
		return -1;
	if (!found)
		return not_staged(work->spec, err);
	if (read_mounts(work, ret_table, err) < 0)
		return -1;
	return check_staged(work->node, work->spec, &work->record, ret_ns, ret_table, err);
}

/* What find_staged does not find, for the reason in err, may be put back. */
static int restore(const struct publish_work *work, struct err *err)
{
	const struct publish_spec *spec = work->spec;
	CLEANUP(stage_spec_freep) struct stage_spec *stage = xcalloc(1, sizeof(*stage));
	struct err why = *err;
	int restored;

	if (why.code != ERR_FAILED_PRECONDITION)
		return -1;
	stage->access = spec->access;
	stage->attachment = spec->attachment;
	stage->attachment.blank = false;
	stage->parameters = spec->parameters;
	strcpy(stage->volume_id, spec->volume_id);
	strcpy(stage->staging_path, spec->staging_path);
	*err = ERR_INIT;
	restored = stage_restore(work->node, &work->record, stage, work->deadline, err);
	if (restored == 0)
		*err = why;
	if (restored <= 0)
		return -1;
	log_warning("staged anew for a publish", KV("volume_id", spec->volume_id), KV_ERR(&why));
	return 0;
}

static int bind_staged(const struct publish_work *work, const struct host_namespace *ns,
		       const struct mount_table *table, struct err *err)
{
	const struct publish_spec *spec = work->spec;
	const struct mount_entry *existing, *other;
	struct err ignored;
	int rc;

	if (other_publish(work, ns, table, &other, err) < 0)
		return -1;
	if (spec->access.single_path && other)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "volume \"%s\" is published at %s already; %s allows one path",
			       spec->volume_id, other->target, spec->access.mode_name);
	existing = mount_table_find(table, spec->target_path);
	if (existing)
		return verify_existing(spec, existing, ns, err);
	rc = spec->access.block ? bind_block(work->node, spec, ns, other, err) :
				  bind_mount(work->node, spec, &work->record, err);
	if (rc < 0)
		paths_remove_any(spec->target_path, &ignored);
	return rc;
}

static int run_publish(void *argument, struct err *err)
{
	const struct publish_work *work = argument;
	struct mount_table table cleanup_mount_table = { 0 };
	struct host_namespace ns;

	if (find_staged(work, &ns, &table, err) == 0)
		return bind_staged(work, &ns, &table, err);
	mount_table_fini(&table);
	table = (struct mount_table) { 0 };
	if (restore(work, err) < 0 || find_staged(work, &ns, &table, err) < 0)
		return -1;
	return bind_staged(work, &ns, &table, err);
}

int publish_volume(struct node *node, struct publish_spec *spec, const struct node_time *time,
		   struct err *err)
{
	const struct access *access = &spec->access;
	struct node_record record =
		node_record_make(spec->volume_id, &spec->attachment, access, spec->staging_path);
	/* All that a success promises: who asks for something else must not join. */
	cleanup_free char *request =
		xasprintf("publish of volume \"%s\" at %s%s, %s %s, staged at %s, %s %s nsid %u",
			  record.volume_id, spec->target_path, spec->readonly ? " read-only" : "",
			  access->mode_name, access->block ? "block" : access->fs_type,
			  record.staging_path, record.nqn, record.uuid.text, record.nsid);
	/* Mount flags may be secret. */
	struct uuid keys = authentication_id(&spec->parameters.connect.keys);
	cleanup_free char *details = xasprintf("device read-only %d, keys %s, %s", record.readonly,
					       keys.text, access->options);
	struct publish_work *work = xcalloc(1, sizeof(*work));

	*work = (struct publish_work) {
		.node = node, .spec = spec, .record = record, .deadline = time->work
	};
	return node_run(node, record.volume_id, &record,
			(struct job_work) { .request = request,
					    .details = details,
					    .run = run_publish,
					    .argument = work,
					    .free_argument = publish_work_free },
			time, err);
}

/*
 * No record and not an ID of ours: the namespace is the volume's if this driver mounted it, which
 * its private mount shows. NULL otherwise; dead mounts may still go.
 */
static const struct host_namespace *mounted_by_us(const struct node *node, const char *path,
						  struct host_namespace *ns, struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *at, *e = NULL;
	char prefix[PATH_MAX];

	snprintf(prefix, sizeof(prefix), "%.4000s/mnt/", node->state.path);
	if (mount_table_read(&table, err) < 0)
		return NULL;
	at = mount_table_find(&table, path);
	while (at && (e = mount_table_next(&table, e, at->major, at->minor)))
		if (strncmp(e->target, prefix, strlen(prefix)) == 0 &&
		    host_namespace_by_dev(&node->host->sysfs, e->major, e->minor, ns, err) == 1)
			return ns;
	return NULL;
}

static int unpublish_unknown(const struct node *node, const char *path, struct err *err)
{
	struct host_namespace ns;

	return paths_unmount_ours(&node->host->sysfs, path, mounted_by_us(node, path, &ns, err),
				  err);
}

static int unpublish_known(const struct node *node, const struct node_record *record,
			   const char *path, struct err *err)
{
	struct host_namespace ns;
	int found = device_find(node, record, &ns, err);

	if (found < 0)
		return -1;
	return paths_unmount_ours(&node->host->sysfs, path, found ? &ns : NULL, err);
}

/* An unpublish, as its job has it. */
struct unpublish_work {
	const struct node *node;
	char volume_id[VOLUME_ID_SIZE];
	char path[PATH_MAX];
};

static int run_unpublish(void *argument, struct err *err)
{
	const struct unpublish_work *work = argument;
	struct node_record record;
	int rc = node_record_find(&work->node->state, work->volume_id, &record, err);

	if (rc < 0)
		return -1;
	rc = rc ? unpublish_known(work->node, &record, work->path, err) :
		  unpublish_unknown(work->node, work->path, err);
	return rc < 0 ? -1 : paths_remove_any(work->path, err);
}

int unpublish_volume(struct node *node, const char *volume_id, const char *target_path,
		     const struct node_time *time, struct err *err)
{
	cleanup_free struct unpublish_work *work = xcalloc(1, sizeof(*work));
	cleanup_free char *request = NULL;
	int found = mount_path_resolve(target_path, work->path, err);

	if (found <= 0)
		return found;
	work->node = node;
	snprintf(work->volume_id, sizeof(work->volume_id), "%s", volume_id);
	request = xasprintf("unpublish of volume \"%s\" from %s", volume_id, work->path);
	/* Its own pod's mount goes, so what another handle of the namespace does is no matter. */
	return node_run(node, volume_id, NULL,
			(struct job_work) { .request = request,
					    .run = run_unpublish,
					    .argument = steal_ptr(&work),
					    .free_argument = free },
			time, err);
}
