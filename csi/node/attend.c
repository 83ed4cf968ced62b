/* SPDX-License-Identifier: Apache-2.0 */
/* Attending targets: a thread for each that is in use. */
#include "csi/node/attend.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "csi/node/freeze.h"
#include "csi/node/record.h"
#include "nvme/base/log.h"

#define STACK_BYTES (256 * 1024)
#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 10000
#define REFUSED_MS 60000

struct attended {
	struct attended *next;
	struct attend *owner;
	struct agent *agent;
	struct freezes *freezes;
	/* Under the owner's lock: */
	bool running; /* it has a thread */
	bool wanted;  /* something has been staged since its thread last looked */
	struct rpc_pending *stream;
	/* Its thread's: */
	enum { UNKNOWN, ATTENDED, LOST } logged;
	uint64_t retry_ms;
};

struct attend {
	struct node *node;
	struct attended *targets;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t threads;
	bool stopping;
};

/* Whether the volume of an ID lies on the target. */
static bool is_on(const struct attended *target, const char *volume_id)
{
	const char *name = agent_name(target->agent);
	size_t len = strlen(name);

	return strncmp(volume_id, name, len) == 0 && volume_id[len] == '/';
}

static bool is_record_of(const struct node_record *record, void *target)
{
	return is_on(target, record->volume_id);
}

/* In doubt it is. */
static bool is_in_use(struct attended *target)
{
	struct err err;

	return node_record_any(&target->owner->node->state, NULL, is_record_of, target, &err) != 0;
}

/* --- a stream --------------------------------------------------------------------------------- */

/* From here on it can be ended by others. */
static bool open_stream(struct attended *target, struct err *err)
{
	struct attend *attend = target->owner;
	struct rpc_pending *stream = NULL;
	bool opened;

	if (agent_attend(target->agent, attend->node->host->identity.nqn, &stream, err) < 0)
		return false;
	pthread_mutex_lock(&attend->lock);
	opened = !attend->stopping;
	if (opened)
		target->stream = stream;
	pthread_mutex_unlock(&attend->lock);
	if (!opened) {
		rpc_pending_cancel(stream);
		err_set(err, ERR_CANCELLED, "shutting down");
	}
	return opened;
}

static void close_stream(struct attended *target)
{
	struct attend *attend = target->owner;
	struct rpc_pending *stream;

	pthread_mutex_lock(&attend->lock);
	stream = steal_ptr(&target->stream);
	pthread_mutex_unlock(&attend->lock);
	rpc_pending_cancel(stream);
}

static void tell_heard(struct attended *target)
{
	if (target->logged != ATTENDED)
		log_info("attending a target: it can have file systems frozen for snapshots",
			 KV("target", agent_name(target->agent)));
	target->logged = ATTENDED;
}

static void follow(struct attended *target, const struct agent_order *order)
{
	if (order->kind == AGENT_ORDER_FREEZE)
		freezes_begin(target->freezes, order);
	else if (order->kind == AGENT_ORDER_THAW)
		freezes_thaw(target->freezes, order->id);
}

/* 0: the target wants us to come again; -1: it was lost, or never there. *ret_heard: we were. */
static int attend_once(struct attended *target, bool *ret_heard, struct err *err)
{
	struct agent_order order;
	int rc;

	*ret_heard = false;
	if (!open_stream(target, err))
		return -1;
	while ((rc = agent_attend_next(target->agent, target->stream, &order, err)) > 0) {
		tell_heard(target);
		*ret_heard = true;
		follow(target, &order);
	}
	close_stream(target);
	freezes_thaw_all(target->freezes);
	return rc;
}

/* --- a thread --------------------------------------------------------------------------------- */

static bool is_refusal(enum err_code code)
{
	return code == ERR_UNIMPLEMENTED || code == ERR_PERMISSION_DENIED ||
	       code == ERR_UNAUTHENTICATED || code == ERR_FAILED_PRECONDITION ||
	       code == ERR_INVALID_ARGUMENT;
}

/* How long until the next attempt. */
static uint64_t note_loss(struct attended *target, const struct err *err)
{
	uint64_t retry_ms = target->retry_ms;

	/* One that we ended is no loss. */
	if (err->code == ERR_CANCELLED)
		return RETRY_MIN_MS;
	if (target->logged != LOST)
		log_warning("not attending a target: snapshots with freeze will be refused",
			    KV("target", agent_name(target->agent)), KV_ERR(err));
	target->logged = LOST;
	target->retry_ms = retry_ms * 2 < RETRY_MAX_MS ? retry_ms * 2 : RETRY_MAX_MS;
	return is_refusal(err->code) ? REFUSED_MS : retry_ms;
}

static void pause_for(struct attended *target, uint64_t ms)
{
	struct timespec until = deadline_timespec(deadline_after_ms(ms));
	struct attend *attend = target->owner;

	pthread_mutex_lock(&attend->lock);
	if (!attend->stopping && !target->wanted)
		pthread_cond_clockwait(&attend->changed, &attend->lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&attend->lock);
}

/* True: the thread is to end, and nobody counts on it any more. */
static bool is_done(struct attended *target)
{
	struct attend *attend = target->owner;
	bool used, done;

	pthread_mutex_lock(&attend->lock);
	target->wanted = false;
	pthread_mutex_unlock(&attend->lock);
	used = is_in_use(target);
	pthread_mutex_lock(&attend->lock);
	done = attend->stopping || (!used && !target->wanted);
	if (done)
		target->running = false;
	pthread_mutex_unlock(&attend->lock);
	return done;
}

static void *attend_main(void *data)
{
	struct attended *target = data;
	struct attend *attend = target->owner;

	target->retry_ms = RETRY_MIN_MS;
	while (!is_done(target)) {
		struct deadline short_lived = deadline_after_ms(RETRY_MAX_MS);
		struct deadline at_once = deadline_after_ms(RETRY_MIN_MS);
		struct err err = ERR_INIT;
		bool heard;

		if (attend_once(target, &heard, &err) == 0) {
			/* It lasts for minutes; an agent that is not well must not be besieged. */
			if (!deadline_passed(at_once))
				pause_for(target, RETRY_MIN_MS);
			continue;
		}
		if (heard && deadline_passed(short_lived))
			target->retry_ms = RETRY_MIN_MS;
		pause_for(target, note_loss(target, &err));
	}
	/* The last touch of anything that attend_stop waits for. */
	pthread_mutex_lock(&attend->lock);
	attend->threads--;
	pthread_cond_broadcast(&attend->changed);
	pthread_mutex_unlock(&attend->lock);
	return NULL;
}

/* With the lock held. */
static void start_thread(struct attended *target)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, attend_main, target);
	pthread_attr_destroy(&attr);
	if (rc) {
		log_warning("no thread to attend a target", KV("target", agent_name(target->agent)),
			    KV("error", strerror(rc)));
		return;
	}
	target->running = true;
	target->owner->threads++;
}

/* --- the whole -------------------------------------------------------------------------------- */

static void want(struct attended *target)
{
	struct attend *attend = target->owner;

	pthread_mutex_lock(&attend->lock);
	target->wanted = true;
	if (!target->running && !attend->stopping)
		start_thread(target);
	pthread_cond_broadcast(&attend->changed);
	pthread_mutex_unlock(&attend->lock);
}

static struct attended *find_target(const struct attend *attend, const char *volume_id)
{
	struct attended *target = attend ? attend->targets : NULL;

	while (target && !is_on(target, volume_id))
		target = target->next;
	return target;
}

void attend_staged(struct attend *attend, const char *volume_id)
{
	struct attended *target = find_target(attend, volume_id);

	if (target)
		want(target);
}

void attend_unstaged(struct attend *attend, const char *volume_id)
{
	struct attended *target = find_target(attend, volume_id);

	if (!target || is_in_use(target))
		return;
	pthread_mutex_lock(&attend->lock);
	if (target->stream)
		rpc_pending_break(target->stream);
	pthread_cond_broadcast(&attend->changed);
	pthread_mutex_unlock(&attend->lock);
}

struct attend *attend_new(struct node *node)
{
	struct attend *attend = xcalloc(1, sizeof(*attend));

	attend->node = node;
	pthread_mutex_init(&attend->lock, NULL);
	pthread_cond_init(&attend->changed, NULL);
	return attend;
}

int attend_add(struct attend *attend, struct agent *agent, struct err *err)
{
	struct attended *target;

	for (target = attend->targets; target; target = target->next)
		if (strcmp(agent_name(target->agent), agent_name(agent)) == 0)
			return err_set(err, ERR_INVALID_ARGUMENT,
				       "target %s is given twice; each has one agent",
				       agent_name(agent));
	target = xcalloc(1, sizeof(*target));
	target->owner = attend;
	target->agent = agent;
	target->freezes = freezes_new(attend->node, agent);
	target->next = attend->targets;
	attend->targets = target;
	return 0;
}

void attend_start(struct attend *attend)
{
	for (struct attended *target = attend->targets; target; target = target->next)
		if (is_in_use(target))
			want(target);
}

void attend_stop(struct attend *attend)
{
	if (!attend)
		return;
	pthread_mutex_lock(&attend->lock);
	attend->stopping = true;
	for (struct attended *target = attend->targets; target; target = target->next) {
		if (target->stream)
			rpc_pending_break(target->stream);
		freezes_thaw_all(target->freezes);
	}
	pthread_cond_broadcast(&attend->changed);
	while (attend->threads)
		pthread_cond_wait(&attend->changed, &attend->lock);
	pthread_mutex_unlock(&attend->lock);
}

void attend_free(struct attend *attend)
{
	while (attend->targets) {
		struct attended *target = attend->targets;

		attend->targets = target->next;
		freezes_free(target->freezes);
		agent_free(target->agent);
		free(target);
	}
	pthread_cond_destroy(&attend->changed);
	pthread_mutex_destroy(&attend->lock);
	free(attend);
}
