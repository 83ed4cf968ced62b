/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper: what is missing, and when it is tried again. */
#include "csi/node/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "csi/node/device.h"
#include "nvme/base/log.h"
#include "nvme/host/uevent.h"

/* An unstage, and a target that goes, remove many controllers: one look is for all of them. */
#define SETTLE_MS 1000
#define BUSY_MS 2000
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 30000
#define REJECTED_MS (5 * 60 * 1000)
#define JOB_MS 60000

/* A volume with a portal that is missing. */
struct wound {
	char volume_id[VOLUME_ID_SIZE];
	char nqn[NQN_SIZE];
	bool dead; /* its namespace is gone: nothing is due */
	uint64_t retry_ms;
	bool doubted;  /* it was turned away once, which may be a connect that was broken off */
	bool rejected; /* and logged so */
	struct deadline due;
};

struct wounds {
	struct wound *list;
	size_t count;
};

struct keeper {
	struct node *node;
	pthread_t thread;
	int events, wake;
	atomic_bool stopping;
	struct wounds wounds;
	atomic_size_t wounded; /* their number, for others */
};

static bool is_stopping(void *context)
{
	struct keeper *keeper = context;

	return atomic_load(&keeper->stopping);
}

static const struct wound *wound_find(const struct wounds *wounds, const char *nqn)
{
	for (size_t i = 0; i < wounds->count; i++)
		if (strcmp(wounds->list[i].nqn, nqn) == 0)
			return &wounds->list[i];
	return NULL;
}

static void wound_add(struct wounds *wounds, const struct wound *wound)
{
	wounds->list = xrealloc(wounds->list, wounds->count + 1, sizeof(*wounds->list));
	wounds->list[wounds->count++] = *wound;
}

static struct wound wound_of(const struct node_record *record, bool dead)
{
	struct wound wound = { .dead = dead,
			       .retry_ms = RETRY_MIN_MS,
			       .due = dead ? deadline_none() : deadline_after_ms(0) };

	strcpy(wound.volume_id, record->volume_id);
	strcpy(wound.nqn, record->nqn);
	return wound;
}

struct survey {
	const struct keeper *keeper;
	struct host_controllers controllers;
	struct wounds found;
};

/* Not only set out to be. */
static bool is_staged(const struct node_record *record)
{
	struct mount_table table cleanup_mount_table = { 0 };
	char path[PATH_MAX];
	struct err err;

	/* Read whole, which looks into no file system: this thread must not hang. */
	device_stage_path(record->staging_path, path);
	return mount_table_read(&table, &err) == 0 && mount_table_find(&table, path);
}

static void tell(const struct node_record *record, bool dead, size_t missing)
{
	if (dead)
		log_warning("all paths of a staged volume are gone, and its device with them; the "
			    "kernel's log says why",
			    KV("volume_id", record->volume_id), KV("nqn", record->nqn));
	else
		log_info("portals are missing; they will be connected",
			 KV("volume_id", record->volume_id), KV("nqn", record->nqn),
			 KV_NUM("missing", missing));
}

static bool survey_record(const struct node_record *record, void *context)
{
	struct survey *survey = context;
	const struct node *node = survey->keeper->node;
	const struct node_connection *connection = &record->connection;
	size_t missing = host_connect_missing(node->host, record->nqn, &survey->controllers,
					      connection->portals, connection->portal_count);
	const struct wound *known;
	struct host_namespace ns;
	struct wound wound;
	struct err err;
	int found;

	if (!missing || wound_find(&survey->found, record->nqn))
		return false;
	found = device_find(node, record, &ns, &err);
	if (found < 0 || (!found && !is_staged(record)))
		return false;
	known = wound_find(&survey->keeper->wounds, record->nqn);
	if (known && known->dead == !found) {
		/* The volume that it was told of may be gone from the subsystem. */
		wound = *known;
		strcpy(wound.volume_id, record->volume_id);
		wound_add(&survey->found, &wound);
		return false;
	}
	tell(record, !found, missing);
	wound = wound_of(record, !found);
	wound_add(&survey->found, &wound);
	return false;
}

/* Finds all volumes with missing portals; what is known of one already stays. False: it failed. */
static bool survey(struct keeper *keeper)
{
	const struct host *host = keeper->node->host;
	struct survey survey = { .keeper = keeper };
	struct err err;
	bool done = host_controllers_get(&host->sysfs, NULL, host->identity.nqn,
					 &survey.controllers, &err) == 0 &&
		    node_record_any(&keeper->node->state, NULL, survey_record, &survey, &err) == 0;

	host_controllers_fini(&survey.controllers);
	if (!done) {
		log_warning("connections could not be compared with records", KV_ERR(&err));
		free(survey.found.list);
		return false;
	}
	free(keeper->wounds.list);
	keeper->wounds = survey.found;
	return true;
}

/* The job's; the keeper may be gone before it ends. */
struct heal {
	const struct node *node;
	char volume_id[VOLUME_ID_SIZE];
	char nqn[NQN_SIZE]; /* which the job works on; the record may name another by then */
};

/*
 * The subsystem is held to the end: an unstage of its last volume removes the record, too. One that
 * is busy is not waited for, because the keeper waits for this, and has other subsystems.
 */
static int run_heal(void *argument, struct err *err)
{
	const struct heal *heal = argument;
	const struct node *node = heal->node;
	struct host_connect_outcome outcome;
	struct node_record record;
	struct host_namespace ns;
	int found;

	if (job_hold(heal->nqn, deadline_after_ms(0), err) < 0)
		return -1;
	found = node_record_load(&node->state, heal->volume_id, &record, err);
	if (found > 0 && strcmp(record.nqn, heal->nqn) != 0)
		return 0;
	if (found > 0)
		found = device_find(node, &record, &ns, err);
	if (found <= 0)
		return found;
	if (host_connect(node->host, record.nqn, record.connection.portals,
			 record.connection.portal_count, &record.connection.options,
			 deadline_after_ms(JOB_MS), &outcome, err) < 0)
		return outcome.rejected ? err_recode(err, ERR_PERMISSION_DENIED) : -1;
	if (outcome.missing)
		return err_set(err, outcome.rejected ? ERR_PERMISSION_DENIED : ERR_UNAVAILABLE,
			       "%s", outcome.reasons);
	log_info("all portals are connected again", KV("volume_id", record.volume_id),
		 KV("nqn", record.nqn));
	return 0;
}

static int connect_missing(struct keeper *keeper, const struct wound *wound, struct err *err)
{
	cleanup_free char *request = xasprintf("reconnect of %s", wound->nqn);
	struct heal *heal = xcalloc(1, sizeof(*heal));
	struct job_wait wait = { .deadline = deadline_after_ms(JOB_MS),
				 .cancelled = is_stopping,
				 .context = keeper };

	heal->node = keeper->node;
	strcpy(heal->volume_id, wound->volume_id);
	strcpy(heal->nqn, wound->nqn);
	return job_run(keeper->node->jobs,
		       &(struct job_work) { .key = request,
					    .request = request,
					    .run = run_heal,
					    .argument = heal,
					    .free_argument = free },
		       &wait, err);
}

/*
 * A portal is tried here, without a job, so that a target that is away for long costs the volume's
 * other operations nothing.
 */
static int try_wound(struct keeper *keeper, const struct wound *wound, struct err *err)
{
	struct node_record record;
	int rc = node_record_load(&keeper->node->state, wound->volume_id, &record, err);

	/* Another volume of the subsystem may still miss it. */
	if (rc == 0)
		keeper_wake(keeper);
	if (rc <= 0)
		return rc;
	rc = host_connect_probe(keeper->node->host, record.nqn, record.connection.portals,
				record.connection.portal_count, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(err, ERR_UNAVAILABLE, "no missing portal answers");
	return connect_missing(keeper, wound, err);
}

/* True when nothing is left to be done for it. */
static bool tend(struct keeper *keeper, struct wound *wound)
{
	struct err err = ERR_INIT;

	if (try_wound(keeper, wound, &err) == 0)
		return true;
	if (err.code == ERR_ABORTED) {
		wound->due = deadline_after_ms(BUSY_MS);
		return false;
	}
	/* A target that goes in the midst of a connect leaves the kernel with the same word. */
	if (err.code == ERR_PERMISSION_DENIED && !wound->doubted) {
		wound->doubted = true;
		wound->due = deadline_after_ms(wound->retry_ms);
		return false;
	}
	if (err.code == ERR_PERMISSION_DENIED || err.code == ERR_UNAUTHENTICATED) {
		if (!wound->rejected)
			log_warning(
				err.code == ERR_PERMISSION_DENIED ?
					"the target turns this host away: it was fenced, or the "
					"volume is gone; its device is left as it is" :
					"the other sessions take keys, which are not on record: "
					"missing portals are left to the next stage",
				KV("volume_id", wound->volume_id), KV("nqn", wound->nqn),
				KV_ERR(&err));
		wound->rejected = true;
		wound->due = deadline_after_ms(REJECTED_MS);
		return false;
	}
	log_debug("portals are still missing", KV("nqn", wound->nqn), KV_ERR(&err));
	wound->doubted = wound->rejected = false;
	wound->due = deadline_after_ms(wound->retry_ms);
	wound->retry_ms = wound->retry_ms * 2 < RETRY_MAX_MS ? wound->retry_ms * 2 : RETRY_MAX_MS;
	return false;
}

static void tend_due(struct keeper *keeper)
{
	struct wounds *wounds = &keeper->wounds;

	for (size_t i = 0; i < wounds->count && !is_stopping(keeper);) {
		struct wound *wound = &wounds->list[i];

		if (deadline_passed(wound->due) && tend(keeper, wound))
			*wound = wounds->list[--wounds->count];
		else
			i++;
	}
}

static struct deadline next_due(const struct wounds *wounds, struct deadline look)
{
	for (size_t i = 0; i < wounds->count; i++)
		look = deadline_min(look, wounds->list[i].due);
	return look;
}

static void *keep(void *data)
{
	struct keeper *keeper = data;
	struct deadline look = deadline_after_ms(0);

	while (!is_stopping(keeper)) {
		struct err err;
		eventfd_t woken;
		int rc = host_uevent_wait_removal(keeper->events, keeper->wake,
						  next_due(&keeper->wounds, look), &err);

		if (rc < 0) {
			log_error("missing portals are not looked for any more", KV_ERR(&err));
			break;
		}
		if (eventfd_read(keeper->wake, &woken) == 0 || rc > 0)
			look = deadline_min(look, deadline_after_ms(SETTLE_MS));
		if (!deadline_passed(next_due(&keeper->wounds, look)))
			continue;
		/* A wound whose time has come may have been healed by a stage meanwhile. */
		look = survey(keeper) ? deadline_none() : deadline_after_ms(RETRY_MAX_MS);
		tend_due(keeper);
		atomic_store(&keeper->wounded, keeper->wounds.count);
	}
	return NULL;
}

static void keeper_free(struct keeper *keeper)
{
	cleanup_closep(&keeper->events);
	cleanup_closep(&keeper->wake);
	free(keeper->wounds.list);
	free(keeper);
}

DEFINE_CLEANUP(struct keeper *, keeper_free)

int keeper_start(struct node *node, struct err *err)
{
	struct keeper *keeper CLEANUP(keeper_freep) = xcalloc(1, sizeof(*keeper));
	int rc;

	keeper->node = node;
	keeper->events = -1;
	keeper->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (keeper->wake < 0)
		return err_sys(err, errno, "create an eventfd");
	if (host_uevent_open(&keeper->events, err) < 0)
		return -1;
	rc = pthread_create(&keeper->thread, NULL, keep, keeper);
	if (rc)
		return err_sys(err, rc, "start the keeper's thread");
	node->keeper = steal_ptr(&keeper);
	return 0;
}

void keeper_stop(struct node *node)
{
	struct keeper *keeper = node->keeper;

	if (!keeper)
		return;
	node->keeper = NULL;
	atomic_store(&keeper->stopping, true);
	keeper_wake(keeper);
	jobs_wake(node->jobs);
	pthread_join(keeper->thread, NULL);
	keeper_free(keeper);
}

size_t keeper_wounded(struct keeper *keeper)
{
	return keeper ? atomic_load(&keeper->wounded) : 0;
}

void keeper_wake(struct keeper *keeper)
{
	if (keeper)
		eventfd_write(keeper->wake, 1);
}
