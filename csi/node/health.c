/* SPDX-License-Identifier: Apache-2.0 */
/* NodeGetVolumeHealth and NodeGetStorageHealth. */
#include "csi/node/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csi/node/place.h"
#include "csi/volume/condition.h"
#include "nvme/base/strb.h"
#include "nvme/host/connect.h"

#define QUESTION_MAX_MS 3000
#define STUCK_AFTER_MS 60000
#define ENTRIES_MAX 4
#define MESSAGE_SIZE 1024

#define DEGRADED CSI__V1__VOLUME_HEALTH_ERROR_TYPE__DEGRADED
#define INACCESSIBLE CSI__V1__VOLUME_HEALTH_ERROR_TYPE__INACCESSIBLE
#define STORAGE_DEGRADED CSI__V1__STORAGE_HEALTH_ERROR_TYPE__STORAGE_DEGRADED
#define UNREACHABLE CSI__V1__STORAGE_HEALTH_ERROR_TYPE__STORAGE_UNREACHABLE

/* A job beside the operations, with a time of its own. */
static int ask(struct rpc_call *call, struct job_work work, void (*take)(const void *, void *),
	       void *ret, struct err *err)
{
	struct node *node = call->context;
	struct node_time time = node_attend(call);
	int rc;

	time.wait.deadline = deadline_min(time.wait.deadline, deadline_after_ms(QUESTION_MAX_MS));
	time.wait.take = take;
	time.wait.ret = ret;
	rc = job_run(node->jobs, &work, &time.wait, err);
	rpc_call_unwatch(call);
	return rc;
}

/* --- a volume --- */

static void add(struct rpc_call *call, Csi__V1__VolumeHealth *health,
		Csi__V1__VolumeHealthErrorType status, const char *reason, const char *message)
{
	Csi__V1__VolumeHealth__VolumeHealthEntry *entry =
		RPC_NEW(call, Csi__V1__VolumeHealth__VolumeHealthEntry,
			csi__v1__volume_health__volume_health_entry__init);

	for (size_t i = 0; i < health->n_health_statuses; i++)
		if (strcmp(health->health_statuses[i]->reason, reason) == 0)
			return;
	entry->status = status;
	entry->reason = rpc_strdup(call, reason);
	entry->message = rpc_strdup(call, message);
	health->health_statuses[health->n_health_statuses++] = entry;
}

int health_of_paths(const struct host_path_list *paths, Csi__V1__VolumeHealthErrorType *ret_status,
		    const char **ret_reason)
{
	size_t usable = 0, lost = 0;

	for (size_t i = 0; i < paths->count; i++) {
		const struct host_path *path = &paths->list[i];

		usable += host_path_is_usable(path);
		lost += !host_controller_is_live(&path->controller) ||
			strcmp(path->ana, "persistent-loss") == 0;
	}
	if (usable && !lost)
		return 0;
	*ret_status = usable ? DEGRADED : INACCESSIBLE;
	*ret_reason = usable ? "PathLost" : "NoPath";
	return 1;
}

/* What the kernel has given up, or never had, has no controller that would tell of it. */
static size_t count_missing(const struct node *node, const struct place *place,
			    const struct host_path_list *paths)
{
	const struct node_connection *connection = &place->record.connection;
	struct host_controllers ours cleanup_host_controllers = { 0 };

	ours.list = xcalloc(paths->count ?: 1, sizeof(*ours.list));
	for (size_t i = 0; i < paths->count; i++)
		if (strcmp(paths->list[i].controller.hostnqn, node->host->identity.nqn) == 0)
			ours.list[ours.count++] = paths->list[i].controller;
	return host_connect_missing(node->host, place->ns.nqn, &ours, connection->portals,
				    connection->portal_count);
}

/* 1: I/O has a way; 0: it has none; -1: error. */
static int add_paths(struct rpc_call *call, const struct place *place,
		     Csi__V1__VolumeHealth *health, struct err *err)
{
	const struct node *node = call->context;
	struct host_path_list paths cleanup_host_paths = { 0 };
	char text[MESSAGE_SIZE / 2], message[MESSAGE_SIZE];
	Csi__V1__VolumeHealthErrorType status;
	const char *reason;

	/* The kernel takes any path, whoever connected it. */
	if (host_paths_get(&node->host->sysfs, &place->ns, NULL, &paths, err) < 0)
		return -1;
	if (!health_of_paths(&paths, &status, &reason)) {
		if (!count_missing(node, place, &paths))
			return 1;
		status = DEGRADED;
		reason = "PathLost";
	}
	host_paths_describe(&paths, text, sizeof(text));
	snprintf(message, sizeof(message), "%s of %s: %s paths: %s", place->ns.name, place->ns.nqn,
		 status == DEGRADED ? "it has lost some of its" :
				      "no I/O is possible on any of its",
		 text);
	add(call, health, status, reason, message);
	return status == DEGRADED;
}

static void add_condition(struct rpc_call *call, const struct condition *condition,
			  Csi__V1__VolumeHealth *health)
{
	if (condition->abnormal)
		add(call, health, condition->inaccessible ? INACCESSIBLE : DEGRADED,
		    condition->reason, condition->message);
}

/* The question, as its job has it. */
struct probe_work {
	char path[PATH_MAX];
	struct condition condition;
};

static int run_probe(void *argument, struct err *err)
{
	struct probe_work *work = argument;

	job_doing("open %s", work->path);
	return condition_probe(work->path, &work->condition, err);
}

static void take_condition(const void *argument, void *ret)
{
	const struct probe_work *work = argument;

	*(struct condition *)ret = work->condition;
}

static int add_probe(struct rpc_call *call, const struct place *place, const char *path,
		     Csi__V1__VolumeHealth *health, struct err *err)
{
	const char *volume_id = place->record.volume_id;
	cleanup_free char *request = xasprintf("check of volume \"%s\"", volume_id);
	cleanup_free char *key = xasprintf("health of volume %s", volume_id);
	struct probe_work *work = xcalloc(1, sizeof(*work));
	struct condition condition;

	snprintf(work->path, sizeof(work->path), "%s", path);
	if (ask(call,
		(struct job_work) { .key = key,
				    .request = request,
				    .run = run_probe,
				    .argument = work,
				    .free_argument = free },
		take_condition, &condition, err) == 0) {
		add_condition(call, &condition, health);
		return 0;
	}
	if (err->code != ERR_DEADLINE_EXCEEDED && err->code != ERR_INTERNAL)
		return -1;
	add(call, health, INACCESSIBLE,
	    err->code == ERR_INTERNAL ? "FileSystemFails" : "FileSystemHangs", err->msg);
	return 0;
}

static int add_file_system(struct rpc_call *call, const struct place *place, bool reachable,
			   Csi__V1__VolumeHealth *health, struct err *err)
{
	const struct node *node = call->context;
	/* A bind may be read-only by intent. */
	const struct mount_entry *entry = place_private(node, place) ?: place->entry;
	struct condition condition;

	if (condition_read(&node->host->sysfs, entry, place->ns.name, &condition, err) < 0)
		return -1;
	add_condition(call, &condition, health);
	/* What has no path would only hold a thread. */
	return reachable ? add_probe(call, place, entry->target, health, err) : 0;
}

int health_of_volume(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Csi__V1__NodeGetVolumeHealthRequest *get = request;
	Csi__V1__NodeGetVolumeHealthResponse *answer = response;
	Csi__V1__VolumeHealth *health =
		RPC_NEW(call, Csi__V1__VolumeHealth, csi__v1__volume_health__init);
	const char *publish_path = get->volume_publish_path ?: "";
	const char *staging_path = get->staging_target_path ?: "";
	struct place place cleanup_place = { 0 };
	char message[MESSAGE_SIZE];
	int reachable;

	if (require_text("volume_id", get->volume_id, NAME_MAX_BYTES, err) < 0 ||
	    place_find(call->context, get->volume_id, publish_path[0] ? publish_path : staging_path,
		       &place, err) < 0)
		return -1;
	health->volume_id = rpc_strdup(call, get->volume_id);
	health->health_statuses = rpc_alloc(call, ENTRIES_MAX * sizeof(*health->health_statuses));
	answer->volume_health = health;
	if (place.gone) {
		snprintf(message, sizeof(message),
			 "the device of %s is gone; delete the volume's pods, so that it is "
			 "unmounted",
			 place.entry->target);
		add(call, health, INACCESSIBLE, "DeviceGone", message);
		return 0;
	}
	reachable = add_paths(call, &place, health, err);
	if (reachable < 0)
		return -1;
	return place.block ? 0 : add_file_system(call, &place, reachable, health, err);
}

/* --- the storage --- */

static void add_storage(struct rpc_call *call, Csi__V1__NodeGetStorageHealthResponse *answer,
			Csi__V1__StorageHealthErrorType status, const char *reason,
			const char *message)
{
	Csi__V1__NodeGetStorageHealthResponse__StorageBackendHealth *entry =
		RPC_NEW(call, Csi__V1__NodeGetStorageHealthResponse__StorageBackendHealth,
			csi__v1__node_get_storage_health_response__storage_backend_health__init);

	entry->status = status;
	entry->reason = rpc_strdup(call, reason);
	entry->message = rpc_strdup(call, message);
	answer->backend_health[answer->n_backend_health++] = entry;
}

static int run_fabrics_check(void *argument, struct err *err)
{
	(void)argument;
	job_doing("look at the kernel's NVMe initiator");
	return host_fabrics_check(err);
}

static int add_initiator(struct rpc_call *call, Csi__V1__NodeGetStorageHealthResponse *answer,
			 struct err *err)
{
	if (ask(call,
		(struct job_work) { .key = "health of the initiator",
				    .request = "check of the initiator",
				    .run = run_fabrics_check },
		NULL, NULL, err) == 0)
		return 0;
	if (err->code == ERR_FAILED_PRECONDITION)
		add_storage(call, answer, UNREACHABLE, "InitiatorUnfit", err->msg);
	else if (err->code == ERR_DEADLINE_EXCEEDED)
		add_storage(call, answer, STORAGE_DEGRADED, "InitiatorBusy", err->msg);
	else
		return -1;
	return 0;
}

static int add_controllers(struct rpc_call *call, Csi__V1__NodeGetStorageHealthResponse *answer,
			   struct err *err)
{
	const struct node *node = call->context;
	struct host_controllers all cleanup_host_controllers = { 0 };
	struct host_controllers lost cleanup_host_controllers = { 0 };
	char text[MESSAGE_SIZE / 2], message[MESSAGE_SIZE];
	struct err conflict;
	size_t ours = 0;

	if (host_controllers_get(&node->host->sysfs, NULL, NULL, &all, err) < 0)
		return -1;
	if (host_controllers_check_identity(&all, &node->host->identity, &conflict) < 0)
		add_storage(call, answer, UNREACHABLE, "IdentityConflict", conflict.msg);
	lost.list = xcalloc(all.count ?: 1, sizeof(*lost.list));
	for (size_t i = 0; i < all.count; i++) {
		if (strcmp(all.list[i].hostnqn, node->host->identity.nqn) != 0)
			continue;
		ours++;
		if (!host_controller_is_live(&all.list[i]))
			lost.list[lost.count++] = all.list[i];
	}
	if (!lost.count)
		return 0;
	host_controllers_describe(&lost, text, sizeof(text));
	snprintf(message, sizeof(message), "%zu of %zu connections are not live: %s", lost.count,
		 ours, text);
	add_storage(call, answer, lost.count == ours ? UNREACHABLE : STORAGE_DEGRADED,
		    "ConnectionsLost", message);
	return 0;
}

static void add_stuck(struct rpc_call *call, Csi__V1__NodeGetStorageHealthResponse *answer)
{
	const struct node *node = call->context;
	char text[MESSAGE_SIZE], message[MESSAGE_SIZE + 64];
	size_t stuck = jobs_describe(node->jobs, STUCK_AFTER_MS, text, sizeof(text));

	if (!stuck)
		return;
	snprintf(message, sizeof(message), "%zu operations do not get on: %s", stuck, text);
	add_storage(call, answer, STORAGE_DEGRADED, "OperationsStuck", message);
}

int health_of_storage(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	Csi__V1__NodeGetStorageHealthResponse *answer = response;

	(void)request;
	answer->backend_health = rpc_alloc(call, ENTRIES_MAX * sizeof(*answer->backend_health));
	if (add_initiator(call, answer, err) < 0 || add_controllers(call, answer, err) < 0)
		return -1;
	add_stuck(call, answer);
	return 0;
}
