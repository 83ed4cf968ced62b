/* SPDX-License-Identifier: Apache-2.0 */
/* Freezes by order: their marks, their jobs, and what a start finds of them. */
#include "csi/node/freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#include "csi/node/device.h"
#include "csi/volume/guard.h"
#include "nvme/base/file.h"
#include "nvme/base/log.h"

#define REPORT_MS 3000
#define GRACE_MS 1000 /* that a guard has beyond the time of its order */
#define ANSWER_MS 2000

struct freezes {
	struct node *node;
	struct agent *agent;
	pthread_mutex_t lock;
	struct freeze *list;
};

/* One of them; the job's, and in the list for as long as the job has it. */
struct freeze {
	struct freeze *next;
	struct freezes *owner;
	struct agent_order order;
	struct node_record record;
	struct deadline over;
	int wake;     /* readable: it is to end */
	bool ordered; /* to end, by the target; under the owner's lock */
};

/* --- marks ------------------------------------------------------------------------------------ */

static int open_marks(const struct node *node, struct root *ret, struct err *err)
{
	cleanup_free char *path = xasprintf("%s/frozen", node->state.path);

	return root_open(ret, path, err);
}

/* Opens a mark, and locks it: a guard has the lock for as long as it lives. */
static int lock_mark(const struct root *marks, const char *key, int *ret, struct err *err)
{
	cleanup_close int fd = openat(marks->fd, key, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "open %s/%s", marks->path, key);
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_sys(err, errno, "lock %s/%s", marks->path, key);
	*ret = fd;
	fd = -1;
	return 0;
}

static int save_mark(const struct node *node, const struct node_record *record, int *ret_lock,
		     struct err *err)
{
	cleanup_free char *text = xasprintf("%s\n", record->volume_id);
	struct uuid key = node_record_key(record);
	struct root marks cleanup_root = ROOT_INIT;

	if (open_marks(node, &marks, err) < 0 || file_replace(&marks, key.text, text, err) < 0)
		return -1;
	return lock_mark(&marks, key.text, ret_lock, err);
}

static int remove_mark(const struct node *node, const char *key, struct err *err)
{
	struct root marks cleanup_root = ROOT_INIT;

	if (open_marks(node, &marks, err) < 0)
		return -1;
	return file_remove(&marks, key, err);
}

/* --- reports ---------------------------------------------------------------------------------- */

static int report(const struct freezes *freezes, const char *order_id, enum agent_outcome outcome,
		  const char *message, bool still_frozen, struct err *err)
{
	return agent_report(freezes->agent, freezes->node->host->identity.nqn, order_id, outcome,
			    message, still_frozen, deadline_after_ms(REPORT_MS), err);
}

/* For what does not hang on being heard: the target learns it from the silence, too. */
static bool tell(const struct freezes *freezes, const char *order_id, enum agent_outcome outcome,
		 const char *message, bool still_frozen)
{
	struct err err;

	if (report(freezes, order_id, outcome, message, still_frozen, &err) == 0)
		return true;
	log_debug("a report was not heard", KV("order", order_id), KV_ERR(&err));
	return false;
}

/* --- the job ---------------------------------------------------------------------------------- */

static bool is_ordered(struct freeze *freeze)
{
	bool ordered;

	pthread_mutex_lock(&freeze->owner->lock);
	ordered = freeze->ordered;
	pthread_mutex_unlock(&freeze->owner->lock);
	return ordered;
}

/* 1: at path; 0: nothing of it is mounted for writing; -1: error. */
static int find_mount(const struct node *node, const struct node_record *record,
		      char path[PATH_MAX], struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *entry;
	struct host_namespace ns;
	int found;

	device_private_path(node, record, path);
	if (record->block)
		return 0;
	if (mount_table_read(&table, err) < 0)
		return -1;
	entry = mount_table_find(&table, path);
	if (entry)
		return !entry->sb_readonly;
	found = device_find(node, record, &ns, err);
	if (found <= 0)
		return found;
	entry = device_next_mount(&table, NULL, &ns);
	if (!entry)
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "its file system is mounted at %s, but not at %s any more, where the "
		       "driver had it",
		       entry->target, path);
}

static int open_root(const char *path, int *ret, struct err *err)
{
	job_doing("open %s", path);
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_sys(err, errno, "open %s", path) : 0;
}

/* What a guard left that has died. False: it may be frozen still. */
static bool thaw_behind(const struct freeze *freeze, int root)
{
	struct err err;
	int thawed;

	job_doing("thaw it: its guard has died");
	thawed = guard_thaw_now(root, &err);
	if (thawed < 0)
		log_error("a frozen file system cannot be thawed: run fsfreeze -u on one of its "
			  "mounts on this node",
			  KV("volume_id", freeze->record.volume_id), KV_ERR(&err));
	else
		log_warning(thawed ? "the guard of a freeze has died: thawed without it" :
				     "the guard of a freeze has died, and nothing was frozen",
			    KV("volume_id", freeze->record.volume_id));
	return thawed >= 0;
}

static void describe_failure(const struct guard *guard, char *text, size_t size)
{
	if (guard->state == GUARD_DIED)
		snprintf(text, size, "the process that was to guard the freeze has died");
	else if (guard->error == EBUSY)
		snprintf(text, size, "somebody else has frozen its file system");
	else if (guard->error)
		snprintf(text, size, "freeze: %s", strerror(guard->error));
	else
		snprintf(text, size, "it was called off while it was written out");
}

/* Until it is frozen or will not be: then it has been reported. */
static void await_frozen(struct freeze *freeze, struct guard *guard)
{
	struct freezes *owner = freeze->owner;
	bool told = false;
	char text[128];

	job_doing("write out and freeze its file system");
	if (!guard_wait(guard, freeze->wake, freeze->over)) {
		guard_thaw(guard);
		tell(owner, freeze->order.id, AGENT_FAILED, "it was not written out in time",
		     false);
		told = true;
		job_doing("wait until the kernel lets go of a freeze that is called off");
		/* If it does not hear us either, it is stopped, or in the kernel. */
		if (!guard_wait(guard, -1, deadline_after_ms(ANSWER_MS)) ||
		    guard->state == GUARD_FROZEN)
			guard_kill(guard);
	}
	if (guard->state == GUARD_FROZEN || told)
		return;
	describe_failure(guard, text, sizeof(text));
	tell(owner, freeze->order.id, AGENT_FAILED, text, false);
}

/* It is over: by the target's word, because there is none any more, or by the guard itself. */
static bool end(struct freeze *freeze, struct guard *guard, int root)
{
	bool still, thawed = true;

	if (guard->state == GUARD_FROZEN) {
		job_doing("thaw its file system");
		guard_thaw(guard);
		if (!guard_wait(guard, -1, deadline_after_ms(ANSWER_MS)))
			guard_kill(guard);
	}
	if (guard->state == GUARD_DIED)
		thawed = thaw_behind(freeze, root);
	still = guard->state == GUARD_THAWED && guard->was_frozen && is_ordered(freeze);
	log_info(still ? "file system thawed" : "file system thawed before its time",
		 KV("volume_id", freeze->record.volume_id), KV("order", freeze->order.id));
	tell(freeze->owner, freeze->order.id, AGENT_THAWED,
	     still ? "" : "its guard had let go, or the way to the target was lost", still);
	return thawed;
}

/* False: it may be frozen still. */
static bool hold(struct freeze *freeze, struct guard *guard, int root)
{
	struct err err;

	await_frozen(freeze, guard);
	if (guard->state != GUARD_FROZEN)
		return guard->state != GUARD_DIED || thaw_behind(freeze, root);
	log_info("file system frozen", KV("volume_id", freeze->record.volume_id),
		 KV("order", freeze->order.id));
	job_doing("hold its file system frozen for a snapshot");
	if (report(freeze->owner, freeze->order.id, AGENT_FROZEN, "", false, &err) < 0)
		log_warning("the target does not take the report of a freeze",
			    KV("volume_id", freeze->record.volume_id), KV_ERR(&err));
	else
		guard_wait(guard, freeze->wake, freeze->over);
	return end(freeze, guard, root);
}

static int freeze_mounted(struct freeze *freeze, const char *path, struct err *err)
{
	const struct node *node = freeze->owner->node;
	struct uuid key = node_record_key(&freeze->record);
	cleanup_close int root = -1, lock = -1;
	struct guard guard;
	struct err failure;
	bool thawed;

	if (open_root(path, &root, err) < 0 || save_mark(node, &freeze->record, &lock, err) < 0)
		return -1;
	if (guard_start(&guard, root, lock, freeze->order.for_ms, err) < 0) {
		remove_mark(node, key.text, &failure);
		return -1;
	}
	thawed = hold(freeze, &guard, root);
	guard_fini(&guard);
	if (thawed && remove_mark(node, key.text, &failure) < 0)
		log_warning("the mark of a freeze stays", KV("volume_id", freeze->record.volume_id),
			    KV_ERR(&failure));
	return 0;
}

/* Who would mount it is kept waiting by the job. */
static void hold_unmounted(struct freeze *freeze)
{
	struct pollfd woken = { .fd = freeze->wake, .events = POLLIN };
	bool still;

	job_doing("keep its file system from being mounted while a snapshot is taken");
	if (!tell(freeze->owner, freeze->order.id, AGENT_NOT_MOUNTED, "", false))
		return;
	while (poll(&woken, 1, deadline_poll_ms(freeze->over)) < 0 && errno == EINTR)
		;
	still = is_ordered(freeze);
	tell(freeze->owner, freeze->order.id, AGENT_THAWED,
	     still ? "" : "its time was over, or the way to the target was lost", still);
}

static int run_freeze(void *argument, struct err *err)
{
	struct freeze *freeze = argument;
	char path[PATH_MAX];
	int found = find_mount(freeze->owner->node, &freeze->record, path, err);

	if (found == 0)
		hold_unmounted(freeze);
	if (found < 0 || (found && freeze_mounted(freeze, path, err) < 0))
		tell(freeze->owner, freeze->order.id, AGENT_FAILED, err->msg, false);
	/* Nobody waits for its result: it has been told. */
	return 0;
}

static void freeze_free(void *argument)
{
	struct freeze *freeze = argument, **link = &freeze->owner->list;

	pthread_mutex_lock(&freeze->owner->lock);
	while (*link != freeze)
		link = &(*link)->next;
	*link = freeze->next;
	pthread_mutex_unlock(&freeze->owner->lock);
	close(freeze->wake);
	free(freeze);
}

static void freeze_add(struct freezes *freezes, struct freeze *freeze)
{
	pthread_mutex_lock(&freezes->lock);
	freeze->next = freezes->list;
	freezes->list = freeze;
	pthread_mutex_unlock(&freezes->lock);
}

static int begin(struct freezes *freezes, const struct agent_order *order,
		 const struct node_record *record, struct err *err)
{
	cleanup_free char *request =
		xasprintf("freeze of volume \"%s\", order %s", order->volume_id, order->id);
	/* Its caller does not wait: the next order is to be heard. */
	struct node_time time = { .wait.deadline = deadline_after_ms(0) };
	struct freeze *freeze = xcalloc(1, sizeof(*freeze));
	struct job_work work = { .request = request,
				 .run = run_freeze,
				 .argument = freeze,
				 .free_argument = freeze_free };

	freeze->owner = freezes;
	freeze->order = *order;
	freeze->record = *record;
	freeze->over = deadline_after_ms(order->for_ms + GRACE_MS);
	freeze->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (freeze->wake < 0) {
		free(freeze);
		return err_sys(err, errno, "create an eventfd");
	}
	freeze_add(freezes, freeze);
	if (node_run(freezes->node, record->volume_id, record, work, &time, err) < 0 &&
	    err->code != ERR_DEADLINE_EXCEEDED)
		return -1;
	return 0;
}

/* An agent has no say over volumes of others. */
static bool is_own(const struct freezes *freezes, const char *volume_id)
{
	struct volume_id id;

	return volume_id_parse(volume_id, &id) &&
	       strcmp(id.target, agent_name(freezes->agent)) == 0;
}

void freezes_begin(struct freezes *freezes, const struct agent_order *order)
{
	struct node_record record;
	struct err err;
	int found;

	if (!is_own(freezes, order->volume_id)) {
		tell(freezes, order->id, AGENT_FAILED, "it is no volume of this target", false);
		return;
	}
	found = node_record_find(&freezes->node->state, order->volume_id, &record, &err);
	/* It is not staged, and must not be before the thaw. */
	if (found == 0)
		node_record_derive(order->volume_id, &record);
	if (found < 0 || begin(freezes, order, &record, &err) < 0)
		tell(freezes, order->id, AGENT_FAILED, err.msg, false);
}

/* order_id NULL: all, and not because the target says so. */
static void thaw(struct freezes *freezes, const char *order_id)
{
	pthread_mutex_lock(&freezes->lock);
	for (struct freeze *freeze = freezes->list; freeze; freeze = freeze->next) {
		if (order_id && strcmp(freeze->order.id, order_id) != 0)
			continue;
		freeze->ordered = freeze->ordered || order_id;
		eventfd_write(freeze->wake, 1);
	}
	pthread_mutex_unlock(&freezes->lock);
}

void freezes_thaw(struct freezes *freezes, const char *order_id)
{
	thaw(freezes, order_id);
}

void freezes_thaw_all(struct freezes *freezes)
{
	thaw(freezes, NULL);
}

struct freezes *freezes_new(struct node *node, struct agent *agent)
{
	struct freezes *freezes = xcalloc(1, sizeof(*freezes));

	freezes->node = node;
	freezes->agent = agent;
	pthread_mutex_init(&freezes->lock, NULL);
	return freezes;
}

void freezes_free(struct freezes *freezes)
{
	pthread_mutex_destroy(&freezes->lock);
	free(freezes);
}

/* --- the start -------------------------------------------------------------------------------- */

/* A job's; it may outlive the start. */
struct settling {
	struct node *node;
	char key[UUID_TEXT_SIZE];
	struct node_record record; /* nqn empty: it is not known whose it is */
};

/*
 * 1: a mount of it is at path; 0: none is. The private one may be gone: any other will do. But what
 * is not mounted there would be the state directory's own file system.
 */
static int find_any_mount(const struct settling *settling, const struct mount_table *table,
			  char path[PATH_MAX], struct err *err)
{
	const struct node *node = settling->node;
	const struct mount_entry *entry;
	struct host_namespace ns;
	int found;

	snprintf(path, PATH_MAX, "%.4000s/mnt/%s", node->state.path, settling->key);
	if (mount_table_find(table, path))
		return 1;
	found = settling->record.nqn[0] ? device_find(node, &settling->record, &ns, err) : 0;
	entry = found > 0 ? device_next_mount(table, NULL, &ns) : NULL;
	if (!entry)
		return found < 0 ? -1 : 0;
	snprintf(path, PATH_MAX, "%s", entry->target);
	return 1;
}

static int run_settle(void *argument, struct err *err)
{
	const struct settling *settling = argument;
	struct mount_table table cleanup_mount_table = { 0 };
	struct root marks cleanup_root = ROOT_INIT;
	cleanup_close int root = -1, lock = -1;
	int at, thawed = 0;
	char path[PATH_MAX];

	job_doing("wait for the guard of %s to end", settling->key);
	if (open_marks(settling->node, &marks, err) < 0 ||
	    lock_mark(&marks, settling->key, &lock, err) < 0 || mount_table_read(&table, err) < 0)
		return -1;
	at = find_any_mount(settling, &table, path, err);
	if (at < 0)
		return -1;
	if (at) {
		if (open_root(path, &root, err) < 0)
			return -1;
		job_doing("thaw %s", path);
		thawed = guard_thaw_now(root, err);
		if (thawed < 0)
			return -1;
	}
	log_warning(thawed ? "file system thawed that an earlier process had frozen" :
			     "an earlier process was to freeze a file system, which is not frozen",
		    KV("volume_id", settling->record.volume_id), KV("mount", at ? path : ""));
	return remove_mark(settling->node, settling->key, err);
}

/* Owned; its own name, if it does not say whose it is. */
static char *read_volume_id(const struct root *marks, const char *key)
{
	char *text = NULL;
	struct err err;

	if (file_read(marks, key, &text, &err) <= 0)
		return xstrdup(key);
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static void settle(struct node *node, const struct root *marks, const struct uuid *key,
		   struct deadline deadline)
{
	cleanup_free char *request = xasprintf("thaw of %s at the start", key->text);
	cleanup_free char *volume_id = read_volume_id(marks, key->text);
	struct node_time time = { .wait.deadline = deadline };
	struct settling *settling = xcalloc(1, sizeof(*settling));
	struct node_record record;
	struct err err;

	if (node_record_find(&node->state, volume_id, &record, &err) <= 0)
		record = (struct node_record) { .has_uuid = true, .uuid = *key };
	settling->node = node;
	settling->record = record;
	strcpy(settling->key, key->text);
	if (node_run(node, volume_id, &record,
		     (struct job_work) { .request = request,
					 .run = run_settle,
					 .argument = settling,
					 .free_argument = free },
		     &time, &err) < 0)
		log_error("a file system may still be frozen: run fsfreeze -u on one of its mounts "
			  "on this node",
			  KV("volume_id", volume_id), KV("mark", key->text), KV_ERR(&err));
}

void freezes_settle(struct node *node, struct deadline deadline)
{
	struct root_names names cleanup_root_names = { 0 };
	struct root marks cleanup_root = ROOT_INIT;
	struct err err;

	if (open_marks(node, &marks, &err) < 0 || root_list(&marks, &names, &err, ".") < 0) {
		log_warning("marks of freezes not looked at", KV_ERR(&err));
		return;
	}
	for (size_t i = 0; i < names.count; i++) {
		struct uuid key;
		struct err no_mark;

		/* What else is there is a temporary file. */
		if (parse_uuid("mark", names.names[i], &key, &no_mark) == 0)
			settle(node, &marks, &key, deadline);
	}
}
