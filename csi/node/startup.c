/* SPDX-License-Identifier: Apache-2.0 */
/* What is adopted, finished and let go of at the start. */
#include "csi/node/startup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csi/node/device.h"
#include "csi/node/freeze.h"
#include "nvme/base/log.h"

/* What is on record, and mounted. */
struct startup {
	struct node *node;
	struct deadline deadline;
	struct mount_table table;
	struct node_record *records;
	size_t count;
};

static void startup_fini(struct startup *s)
{
	mount_table_fini(&s->table);
	free(s->records);
}

static bool collect(const struct node_record *record, void *context)
{
	struct startup *s = context;

	s->records = xrealloc(s->records, s->count + 1, sizeof(*s->records));
	s->records[s->count++] = *record;
	return false;
}

/* Any mount that the volume has on this node; NULL: none. */
static const struct mount_entry *mount_of(const struct startup *s, const struct node_record *record)
{
	const struct mount_entry *entry;
	struct host_namespace ns;
	char path[PATH_MAX];
	struct err err;

	device_private_path(s->node, record, path);
	entry = mount_table_find(&s->table, path);
	if (!entry) {
		device_stage_path(record->staging_path, path);
		entry = mount_table_find(&s->table, path);
	}
	if (!entry && device_find(s->node, record, &ns, &err) > 0)
		entry = device_next_mount(&s->table, NULL, &ns);
	return entry;
}

/* A job's; it may outlive the start. */
struct letting_go {
	const struct node *node;
	struct node_record record; /* of controllers without one: only nqn */
	struct deadline deadline;
};

static int run_release(void *argument, struct err *err)
{
	const struct letting_go *work = argument;

	return device_release(work->node, &work->record, work->record.staging_path, work->deadline,
			      err);
}

/* 1: somebody uses a namespace of the subsystem; 0: nobody does; -1: error. */
static int is_used(const struct node *node, const char *nqn, struct err *err)
{
	struct host_namespaces all cleanup_host_namespaces = { 0 };
	struct mount_table table cleanup_mount_table = { 0 };

	if (host_namespaces_get(&node->host->sysfs, nqn, &all, err) < 0 ||
	    mount_table_read(&table, err) < 0)
		return -1;
	for (size_t i = 0; i < all.count; i++) {
		const struct host_namespace *ns = &all.list[i];
		cleanup_free char *path = xasprintf("%s/%s", node->host->dev, ns->name);
		const struct mount_entry *mounted = device_next_mount(&table, NULL, ns);
		int released = mounted ? 0 : mount_device_released(path, ns->name, err);

		if (released < 0)
			return -1;
		if (released)
			continue;
		log_info("connection without a record left: its device is in use", KV("nqn", nqn),
			 KV("device", ns->name), KV("mount", mounted ? mounted->target : ""));
		return 1;
	}
	return 0;
}

/* The job ends with it, and with that lets go of the subsystem. */
static int run_disconnect(void *argument, struct err *err)
{
	const struct letting_go *work = argument;
	int used = job_hold(work->record.nqn, work->deadline, err);

	if (used == 0)
		used = is_used(work->node, work->record.nqn, err);
	if (used)
		return used < 0 ? -1 : 0;
	return host_disconnect(work->node->host, work->record.nqn, work->deadline, err);
}

static void let_go(const struct startup *s, const struct node_record *record, const char *what,
		   int (*run)(void *argument, struct err *err))
{
	cleanup_free char *request = xasprintf("%s of %s at the start", what, record->nqn);
	struct node_time time = { .wait.deadline = s->deadline };
	struct letting_go *work = xcalloc(1, sizeof(*work));
	struct err err = ERR_INIT;

	*work = (struct letting_go) { .node = s->node, .record = *record, .deadline = s->deadline };
	if (node_run(s->node, record->volume_id, record,
		     (struct job_work) { .request = request,
					 .run = run,
					 .argument = work,
					 .free_argument = free },
		     &time, &err) < 0)
		log_warning("left at the start", KV("volume_id", record->volume_id),
			    KV("nqn", record->nqn), KV_ERR(&err));
}

static void settle_records(const struct startup *s)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct node_record *record = &s->records[i];
		const struct mount_entry *entry = mount_of(s, record);

		if (entry) {
			log_info("volume adopted: it is mounted",
				 KV("volume_id", record->volume_id), KV("nqn", record->nqn),
				 KV("mount", entry->target));
			continue;
		}
		log_info("volume let go of: it is on record, and nothing of it is mounted",
			 KV("volume_id", record->volume_id), KV("nqn", record->nqn));
		let_go(s, record, "release", run_release);
	}
}

/* Only told: what they are of is found by its next unstage. */
static void tell_mounts(const struct startup *s)
{
	cleanup_free char *prefix = xasprintf("%s/mnt/", s->node->state.path);

	for (size_t i = 0; i < s->table.count; i++) {
		const struct mount_entry *entry = &s->table.entries[i];
		const char *name = entry->target + strlen(prefix);
		bool known = false;

		if (strncmp(entry->target, prefix, strlen(prefix)) != 0)
			continue;
		for (size_t j = 0; !known && j < s->count; j++)
			known = strcmp(node_record_key(&s->records[j]).text, name) == 0;
		if (!known)
			log_warning("mount without a record left", KV("mount", entry->target),
				    KV("device", entry->source));
	}
}

static bool is_ours(const char *nqn)
{
	size_t len = strlen(VOLUME_NQN_PREFIX);
	struct uuid uuid;
	struct err err;

	return strncmp(nqn, VOLUME_NQN_PREFIX, len) == 0 &&
	       parse_uuid("nqn", nqn + len, &uuid, &err) == 0;
}

static bool has_record(const struct startup *s, const char *nqn)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->records[i].nqn, nqn) == 0)
			return true;
	return false;
}

static void settle_controllers(const struct startup *s)
{
	struct host_controllers all cleanup_host_controllers = { 0 };
	const struct host *host = s->node->host;
	struct node_record orphan = { 0 };
	struct err err;

	if (host_controllers_get(&host->sysfs, NULL, host->identity.nqn, &all, &err) < 0) {
		log_warning("controllers not looked at", KV_ERR(&err));
		return;
	}
	for (size_t i = 0; i < all.count; i++) {
		const char *nqn = all.list[i].nqn;

		/* The controllers of one subsystem follow each other. */
		if (strcmp(nqn, orphan.nqn) == 0 || !is_ours(nqn) || has_record(s, nqn))
			continue;
		strcpy(orphan.nqn, nqn);
		strcpy(orphan.volume_id, nqn);
		log_info("connection without a record: disconnected unless somebody uses it",
			 KV("nqn", nqn), KV("controller", all.list[i].name));
		let_go(s, &orphan, "disconnect", run_disconnect);
	}
}

static bool is_in_path(const char *program)
{
	cleanup_free char *directories = xstrdup(getenv("PATH") ?: "");
	char *rest = directories, *directory;

	while ((directory = strsep(&rest, ":"))) {
		cleanup_free char *path = xasprintf("%s/%s", directory, program);

		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static void warn_of_programs(void)
{
	static const char *const programs[] = { "mkfs.ext4", "e2fsck",	   "tune2fs",
						"mkfs.xfs",  "xfs_repair", "mkfs.btrfs" };

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (!is_in_path(programs[i]))
			log_warning("a program is missing: volumes that need it are not staged",
				    KV("program", programs[i]));
}

void startup_warn(const char *kubelet_dir)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *around = NULL;
	char path[PATH_MAX];
	struct err err;

	warn_of_programs();
	if (!kubelet_dir || !realpath(kubelet_dir, path))
		return;
	if (mount_table_read(&table, &err) == 0)
		around = mount_table_around(&table, path);
	if (around && !around->shared)
		log_warning("pods will not see their volumes: what is mounted below the kubelet's "
			    "directory stays in this process's view; its mount has to be shared "
			    "(mountPropagation: Bidirectional)",
			    KV("kubelet_dir", kubelet_dir), KV("mount", around->target));
}

void startup_reconcile(struct node *node, struct deadline deadline)
{
	struct startup s CLEANUP(startup_fini) = { .node = node, .deadline = deadline };
	struct err err;

	freezes_settle(node, deadline);
	if (mount_table_read(&s.table, &err) < 0 ||
	    node_record_any(&node->state, NULL, collect, &s, &err) < 0) {
		log_warning("nothing is tidied at the start", KV_ERR(&err));
		return;
	}
	tell_mounts(&s);
	settle_controllers(&s);
	settle_records(&s);
}
