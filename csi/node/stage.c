/* SPDX-License-Identifier: Apache-2.0 */
/* Stage and unstage. */
#include "csi/node/stage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi/node/attend.h"
#include "csi/node/heal.h"
#include "csi/node/keeper.h"
#include "csi/node/paths.h"
#include "csi/request/authentication.h"
#include "csi/volume/btrfs.h"
#include "nvme/base/log.h"

/* What taking back a failed stage may cost on top of it. */
#define TAKE_BACK_MS 30000

void stage_spec_free(struct stage_spec *spec)
{
	dhchap_keys_wipe(&spec->parameters.connect.keys);
	free(spec);
}

int stage_spec_parse(const Csi__V1__NodeStageVolumeRequest *request, struct stage_spec *ret,
		     struct err *err)
{
	struct map volume_context = MAP_OF(request, volume_context);
	struct map publish_context = MAP_OF(request, publish_context);

	if (require_text("volume_id", request->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    require_path("staging_target_path", request->staging_target_path, err) < 0 ||
	    access_parse(request->volume_capability, &ret->access, err) < 0 ||
	    map_check_size("volume_context", volume_context, err) < 0 ||
	    map_check_size("publish_context", publish_context, err) < 0 ||
	    attachment_parse(volume_context, publish_context, &ret->attachment, err) < 0 ||
	    parameters_parse_context(volume_context, publish_context, &ret->parameters, err) < 0 ||
	    authentication_parse_stage(MAP_OF(request, secrets), &ret->attachment,
				       &ret->parameters.connect.keys, err) < 0)
		return -1;
	snprintf(ret->volume_id, sizeof(ret->volume_id), "%s", request->volume_id);
	snprintf(ret->mkfs_options, sizeof(ret->mkfs_options), "%s", ret->parameters.mkfs_options);
	ret->parameters.mkfs_options = ret->mkfs_options;
	/* Targets that are not ours may have other keys for each subsystem, or ask for none. */
	ret->parameters.connect.renew = !attachment_is_static(volume_context);
	if (ret->parameters.connect.renew)
		return attachment_check_volume(&ret->attachment, request->volume_id, err);
	if (volume_id_check_static(request->volume_id, err) < 0)
		return -1;
	return access_check_static(&ret->access, err);
}

static bool same_stage(const struct node_record *a, const struct node_record *b)
{
	return strcmp(a->nqn, b->nqn) == 0 && a->has_uuid == b->has_uuid &&
	       strcmp(a->uuid.text, b->uuid.text) == 0 && a->nsid == b->nsid &&
	       a->block == b->block && a->readonly == b->readonly &&
	       strcmp(a->staging_path, b->staging_path) == 0;
}

/* A stage, as its job has it. */
struct stage_work {
	struct node *node;
	struct stage_spec *spec; /* owned */
	struct node_record record;
	struct deadline deadline;
};

static void stage_work_free(void *argument)
{
	struct stage_work *work = argument;

	stage_spec_free(work->spec);
	free(work);
}

/* The release of what another stage of the volume left, as its job has it. */
struct release_work {
	const struct node *node;
	struct node_record other;
	struct deadline deadline;
};

static int run_release(void *argument, struct err *err)
{
	const struct release_work *work = argument;

	return device_release(work->node, &work->other, work->other.staging_path, work->deadline,
			      err);
}

static bool same_namespace(const struct node *node, const struct node_record *a,
			   const struct node_record *b)
{
	cleanup_free char *name_a = node_namespace(node, a), *name_b = node_namespace(node, b);

	return strcmp(name_a, name_b) == 0;
}

/* The job that this runs in has the volume and the namespace of the record, not the other one. */
static int release_other(struct node *node, const struct node_record *other,
			 const struct node_record *record, struct deadline deadline,
			 struct err *err)
{
	cleanup_free char *namespace = node_namespace(node, other);
	struct job_wait wait = { .deadline = deadline };
	cleanup_free char *request = xasprintf("release of volume \"%s\" from %s", other->volume_id,
					       other->staging_path);
	struct release_work *work;

	if (same_namespace(node, other, record))
		return device_release(node, other, other->staging_path, deadline, err);
	work = xcalloc(1, sizeof(*work));
	*work = (struct release_work) { .node = node, .other = *other, .deadline = deadline };
	return job_run(node->jobs,
		       &(struct job_work) { .key = namespace,
					    .request = request,
					    .run = run_release,
					    .argument = work,
					    .free_argument = free },
		       &wait, err);
}

/*
 * A volume is staged in one way at a time on a node. What another stage of it left unfinished is
 * taken back before its record is overwritten: nothing else knows of it.
 * 1: the volume has a record of this very stage; 0: it has none.
 */
static int settle_other_stage(struct node *node, const struct node_record *record,
			      struct deadline deadline, struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	struct node_record other;
	char bind[PATH_MAX];
	int found = node_record_load(&node->state, record->volume_id, &other, err);

	if (found <= 0 || same_stage(record, &other))
		return found;
	if (mount_table_read(&table, err) < 0)
		return -1;
	device_stage_path(other.staging_path, bind);
	if (mount_table_find(&table, bind)) {
		if (device_check_readonly(other.readonly, record, err) < 0)
			return -1;
		return err_set(
			err,
			strcmp(other.staging_path, record->staging_path) == 0 ?
				ERR_ALREADY_EXISTS :
				ERR_FAILED_PRECONDITION,
			"volume \"%s\" is staged already, at %s as %s of %s; unstage it there "
			"first",
			record->volume_id, other.staging_path,
			other.block ? "raw block" : "file system", other.nqn);
	}
	return release_other(node, &other, record, deadline, err);
}

/* 1: the bind at path is the wanted one; 0: nothing is there; -1: something else is. */
static int verify_bind(const struct mount_table *table, const char *path,
		       const struct host_namespace *ns, const struct node_record *record,
		       struct err *err)
{
	const struct mount_entry *entry = mount_table_find(table, path);

	if (!entry)
		return 0;
	if (!paths_is_bind_of(entry, ns, record->block))
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s is a mount of %s (%s), not of device %s of %s", path,
			       entry->source, entry->fs_type, ns->name, ns->nqn);
	if (!record->block && device_check_readonly(entry->readonly, record, err) < 0)
		return -1;
	return 1;
}

static int bind_file_system(const struct node *node, const struct node_record *record,
			    const char *path, struct err *err)
{
	struct mount_options options = { .readonly = record->readonly };
	char private[PATH_MAX];

	if (paths_create_directory(path, err) < 0)
		return -1;
	device_private_path(node, record, private);
	return mount_bind(private, path, &options, err);
}

/* Only a read-only volume decides about the device here: otherwise the first publish does. */
static int bind_device(const struct node *node, const struct node_record *record,
		       const struct host_namespace *ns, const struct mount_table *table,
		       const char *path, struct err *err)
{
	const struct mount_entry *user = device_next_mount(table, NULL, ns);
	struct mount_options options = { 0 };
	cleanup_close int fd = -1;
	char device[PATH_MAX];

	if (record->readonly && user && !ns->readonly)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "device %s of %s is in use at %s and not read-only, as volume "
			       "\"%s\" must be",
			       ns->name, ns->nqn, user->target, record->volume_id);
	if (device_pin(node, ns, device, &fd, err) < 0 ||
	    (record->readonly && device_set_readonly(ns, fd, true, err) < 0) ||
	    paths_create_file(path, err) < 0)
		return -1;
	return mount_bind(device, path, &options, err);
}

/* A file system that is mounted must not be written to past it. */
static int refuse_mounted(const struct node *node, const struct mount_table *table,
			  const struct host_namespace *ns, struct err *err)
{
	char holder[NAME_MAX];
	int held;

	for (size_t i = 0; i < table->count; i++) {
		const struct mount_entry *e = &table->entries[i];

		if (e->major == ns->major && e->minor == ns->minor)
			return err_set(
				err, ERR_FAILED_PRECONDITION,
				"device %s of %s is mounted at %s as a file system; it cannot be "
				"used as raw block",
				ns->name, ns->nqn, e->target);
	}
	/* mountinfo names one device only of a btrfs. */
	held = btrfs_find_holder(&node->host->sysfs, ns->name, holder, err);
	if (held > 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "device %s of %s belongs to a mounted btrfs (%s/%s); it cannot be "
			       "used as raw block",
			       ns->name, ns->nqn, node->host->sysfs.path, holder);
	return held;
}

/* Before anything is looked for in the staging path: what covers it may hang. */
static int refuse_covered(const char *staging_path, struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };

	if (mount_table_read_at(&staging_path, 1, &table, err) < 0)
		return -1;
	return paths_refuse_covered(&table, staging_path, err);
}

static int stage_held(const struct node *node, const struct stage_spec *spec,
		      const struct node_record *record, const struct host_namespace *ns,
		      struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	char path[PATH_MAX];
	const char *at = path;
	int there;

	device_stage_path(spec->staging_path, path);
	if (refuse_covered(spec->staging_path, err) < 0 ||
	    heal_dead_mounts(node, record, ns, err) < 0)
		return -1;
	if (!record->block && device_mount(node, record, &spec->attachment, &spec->access,
					   &spec->parameters, ns, err) < 0)
		return -1;
	/* Of a raw device every mount matters. */
	if ((record->block ? mount_table_read(&table, err) :
			     mount_table_read_at(&at, 1, &table, err)) < 0 ||
	    (record->block && refuse_mounted(node, &table, ns, err) < 0))
		return -1;
	there = verify_bind(&table, path, ns, record, err);
	if (there)
		return there < 0 ? -1 : 0;
	return record->block ? bind_device(node, record, ns, &table, path, err) :
			       bind_file_system(node, record, path, err);
}

/* Before it was connected, a handle that names it by nsid could not know its other name. */
static int stage_connected(const struct node *node, const struct stage_spec *spec,
			   const struct node_record *record, const struct host_namespace *ns,
			   struct err *err)
{
	cleanup_free char *namespace = node_namespace(node, record);
	int rc;

	if (job_hold(namespace, deadline_after_ms(0), err) < 0)
		return -1;
	rc = stage_held(node, spec, record, ns, err);
	job_let_go();
	return rc;
}

/* After a failed stage the CO may never call unstage: nothing may stay that nobody uses. */
static void take_back(const struct node *node, const struct node_record *record)
{
	struct err err;

	if (device_release(node, record, record->staging_path, deadline_after_ms(TAKE_BACK_MS),
			   &err) < 0)
		log_warning("volume kept after a failed stage", KV("volume_id", record->volume_id),
			    KV_ERR(&err));
}

/* Of a volume that was staged before: only a stage that succeeds changes how it is connected. */
static int renew_record(const struct node *node, const struct node_record *record, struct err *err)
{
	if (node_record_save(&node->state, record, err) < 0)
		return -1;
	keeper_wake(node->keeper);
	return 0;
}

/* The record is there: whoever disconnects the subsystem for another volume sees it. */
static int connect_volume(const struct stage_work *work, struct host_namespace *ret,
			  struct err *err)
{
	const struct stage_spec *spec = work->spec;

	if (device_end_old_mkfs(work->node, &work->record, work->deadline, err) < 0)
		return -1;
	return device_connect(work->node, &work->record, &spec->attachment, &spec->parameters,
			      work->deadline, ret, err);
}

static int run_stage(void *argument, struct err *err)
{
	const struct stage_work *work = argument;
	const struct node_record *record = &work->record;
	struct node *node = work->node;
	struct host_namespace ns;
	int known = settle_other_stage(node, record, work->deadline, err);

	if (known < 0 || (!known && node_record_save(&node->state, record, err) < 0))
		return -1;
	if (connect_volume(work, &ns, err) < 0 ||
	    stage_connected(node, work->spec, record, &ns, err) < 0) {
		if (!known)
			take_back(node, record);
		return -1;
	}
	if (known && renew_record(node, record, err) < 0)
		return -1;
	attend_staged(node->attend, record->volume_id);
	return 0;
}

int stage_volume(struct node *node, struct stage_spec *spec, const struct node_time *time,
		 struct err *err)
{
	const struct access *access = &spec->access;
	struct node_record record =
		node_record_make(spec->volume_id, &spec->attachment, access, spec->staging_path);
	/* All that a success promises: who asks for something else must not join. */
	cleanup_free char *request = xasprintf(
		"stage of volume \"%s\" at %s, %s %s%s, %s %s nsid %u", record.volume_id,
		record.staging_path, access->mode_name, access->block ? "block" : access->fs_type,
		record.readonly ? " read-only" : "", record.nqn, record.uuid.text, record.nsid);
	/* What may be done to the device, too; mount flags may be secret, and come last. */
	struct uuid keys = authentication_id(&spec->parameters.connect.keys);
	cleanup_free char *details =
		xasprintf("blank %d, %" PRIu64 " bytes, repair %d, keys %s, %s",
			  spec->attachment.blank, spec->attachment.size_bytes,
			  spec->parameters.fs_repair, keys.text, access->options);
	struct stage_work *work = xcalloc(1, sizeof(*work));

	node_record_set_connection(&record, &spec->attachment, &spec->parameters.connect);
	*work = (struct stage_work) {
		.node = node, .spec = spec, .record = record, .deadline = time->work
	};
	return node_run(node, record.volume_id, &record,
			(struct job_work) { .request = request,
					    .details = details,
					    .run = run_stage,
					    .argument = work,
					    .free_argument = stage_work_free },
			time, err);
}

/* Whether a mount is there, in whatever state, that only a stage makes; ret gets its record. */
static int was_staged(const struct node *node, const struct node_record *record,
		      struct node_record *ret, struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	char private[PATH_MAX], staged[PATH_MAX];
	int found = node_record_load(&node->state, record->volume_id, ret, err);

	if (found <= 0 || !same_stage(record, ret))
		return found < 0 ? -1 : 0;
	if (mount_table_read(&table, err) < 0)
		return -1;
	device_private_path(node, record, private);
	device_stage_path(record->staging_path, staged);
	return mount_table_find(&table, private) || mount_table_find(&table, staged);
}

/* What takes keys is not connected without them, which a publish has only if it brings secrets. */
static int connect_again(const struct node *node, const struct node_record *known,
			 const struct stage_spec *spec, struct deadline deadline,
			 struct host_namespace *ret, struct err *err)
{
	bool takes_keys = known->takes_keys || spec->attachment.authentication != DHCHAP_NONE;
	int found;

	if (!takes_keys || dhchap_keys_mode(&spec->parameters.connect.keys) != DHCHAP_NONE)
		return device_connect(node, known, &spec->attachment, &spec->parameters, deadline,
				      ret, err);
	found = device_find(node, known, ret, err);
	if (found == 0)
		return err_set(err, ERR_UNAUTHENTICATED,
			       "its connection is gone and takes the volume's secret to come back, "
			       "which this call has not: it has to be staged again, which is done "
			       "once its pods on this node are deleted; or name the secret as "
			       "csi.storage.k8s.io/node-publish-secret-name, too "
			       "(nodePublishSecretRef of a PersistentVolume)");
	return found < 0 ? -1 : 0;
}

int stage_restore(const struct node *node, const struct node_record *record,
		  const struct stage_spec *spec, struct deadline deadline, struct err *err)
{
	struct node_record known;
	struct host_namespace ns;
	int staged = was_staged(node, record, &known, err);

	if (staged <= 0)
		return staged;
	if (connect_again(node, &known, spec, deadline, &ns, err) < 0 ||
	    stage_connected(node, spec, record, &ns, err) < 0)
		return err_wrap(err, "volume \"%s\" was staged at %s and is not usable",
				record->volume_id, record->staging_path);
	return 1;
}

/* The namespace a mount is of: 1 found, 0 not one, -1 error. */
static int namespace_of(const struct node *node, const struct mount_entry *entry, bool block,
			struct host_namespace *ret, struct err *err)
{
	unsigned major = entry->major, minor = entry->minor;
	char value[ROOT_VALUE_SIZE];

	if (block) {
		int found = root_read(&node->host->sysfs, value, err, "class/block/%s/dev",
				      entry->fs_root + 1);

		if (found <= 0 || sscanf(value, "%u:%u", &major, &minor) != 2)
			return found < 0 ? -1 : 0;
	}
	return host_namespace_by_dev(&node->host->sysfs, major, minor, ret, err);
}

/* Whether it is known which volume an ID stands for. */
enum { NOTHING_THERE, KNOWN, SEEN /* only by its mount, which goes with the first step */ };

/* Without a record and with an ID that is not ours, what is mounted there says what it is. */
static int identify_mount(const struct node *node, const char *volume_id, const char *staging_path,
			  struct node_record *ret, struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *entry;
	struct host_namespace ns;
	char path[PATH_MAX];
	bool block;
	int found;

	if (mount_table_read(&table, err) < 0)
		return -1;
	device_stage_path(staging_path, path);
	entry = mount_table_find(&table, path);
	if (!entry)
		return NOTHING_THERE;
	block = paths_is_node(entry);
	found = namespace_of(node, entry, block, &ns, err);
	if (found < 0)
		return -1;
	if (!found)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s is a mount of %s, which is no NVMe namespace; it is left alone",
			       entry->target, entry->source);
	*ret = (struct node_record) {
		.has_uuid = ns.uuid.text[0], .uuid = ns.uuid, .nsid = ns.nsid, .block = block
	};
	strcpy(ret->volume_id, volume_id);
	strcpy(ret->nqn, ns.nqn);
	snprintf(ret->staging_path, sizeof(ret->staging_path), "%s", staging_path);
	return SEEN;
}

/* What volume this is: by its record, by its ID, or by its mount. */
static int identify(const struct node *node, const char *volume_id, const char *staging_path,
		    struct node_record *ret, struct err *err)
{
	int found = node_record_find(&node->state, volume_id, ret, err);

	if (found)
		return found < 0 ? -1 : KNOWN;
	return identify_mount(node, volume_id, staging_path, ret, err);
}

/* An unstage, as its job has it. */
struct unstage_work {
	struct node *node;
	char volume_id[VOLUME_ID_SIZE];
	char staging_path[PATH_MAX];
	bool known; /* and the job has the namespace of: */
	struct node_record record;
	struct deadline deadline;
};

static int run_unstage(void *argument, struct err *err)
{
	const struct unstage_work *work = argument;
	struct node_record record;
	char path[PATH_MAX];
	/* Before the job had the volume, another may have changed what it is. */
	int known = identify(work->node, work->volume_id, work->staging_path, &record, err);

	if (known < 0)
		return -1;
	/* The CO removes the staging path, which has to be empty. */
	if (known == NOTHING_THERE) {
		device_stage_path(work->staging_path, path);
		return refuse_covered(work->staging_path, err) < 0 ? -1 :
								     paths_remove_any(path, err);
	}
	if (!work->known || !same_namespace(work->node, &record, &work->record))
		return err_set(err, ERR_ABORTED,
			       "volume \"%s\" became one of %s meanwhile; call again",
			       work->volume_id, record.nqn);
	if (known == SEEN && node_record_save(&work->node->state, &record, err) < 0)
		return -1;
	if (device_release(work->node, &record, work->staging_path, work->deadline, err) < 0)
		return -1;
	attend_unstaged(work->node->attend, work->volume_id);
	return 0;
}

int unstage_volume(struct node *node, const char *volume_id, const char *staging_path,
		   const struct node_time *time, struct err *err)
{
	cleanup_free char *request =
		xasprintf("unstage of volume \"%s\" from %s", volume_id, staging_path);
	cleanup_free struct unstage_work *work = xcalloc(1, sizeof(*work));
	struct node_record record = { 0 };
	int known = identify(node, volume_id, staging_path, &record, err);

	if (known < 0)
		return -1;
	work->node = node;
	work->deadline = time->work;
	work->known = known != NOTHING_THERE;
	work->record = record;
	snprintf(work->volume_id, sizeof(work->volume_id), "%s", volume_id);
	snprintf(work->staging_path, sizeof(work->staging_path), "%s", staging_path);
	return node_run(node, volume_id, known == NOTHING_THERE ? NULL : &record,
			(struct job_work) { .request = request,
					    .run = run_unstage,
					    .argument = steal_ptr(&work),
					    .free_argument = free },
			time, err);
}
