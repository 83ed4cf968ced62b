/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who attends, and the orders to them: one lock, a condition of each host, and one of those who
 * wait for hosts. Hosts come and go all the time, and those that are there must not wake up for it.
 */
#include "csi/agent/attendance.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "csi/agent/serve.h"
#include "csi/request/ids.h"
#include "nvme/base/log.h"
#include "nvme/base/parse.h"
#include "target.pb-c.h"

/* Less than the grace of a connection that has come of age, so that it never cuts a stream. */
#define STREAM_MS 120000
#define THAW_WAIT_MS 2000 /* of a freeze that has failed already */
#define RIVAL_MS 30000	  /* a node that is refused comes again before that */
#define PEER_SIZE 80
#define ORDER_ID_SIZE 33
#define MESSAGE_SIZE 512

/* A host that is there; on its handler's stack. */
struct attendee {
	struct attendee *next;
	struct attendance *owner;
	const char *host_nqn;
	const char *peer;
	pthread_cond_t woken; /* its handler has something to look at */
	bool replaced;
	/* Another node of this name that was refused, and until when it counts: */
	char rival[PEER_SIZE];
	struct deadline rival_until;
};

enum order_state {
	ORDER_GIVEN,
	ORDER_QUIET,  /* frozen, or not mounted for writing and kept so */
	ORDER_FAILED, /* neither */
	ORDER_LOST,   /* its host has left: nobody knows */
	ORDER_THAWED,
};

struct order {
	struct order *next;
	char id[ORDER_ID_SIZE];
	char volume_id[VOLUME_ID_SIZE];
	char host_nqn[NQN_SIZE];
	struct attendee *attendee; /* NULL: it has left */
	enum order_state state;
	bool freeze_sent, thaw_wanted, thaw_sent;
	bool still_quiet; /* of a thawed one */
	char message[MESSAGE_SIZE];
};

struct attendance {
	struct target *target;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a host has come or left, or an order has another state */
	struct attendee *attendees;
	struct order *orders;
	bool ended;
};

/* A freeze of some volumes. */
struct quiet {
	struct order *orders;
	size_t count;
	struct deadline over; /* then every node has ended it by itself */
};

/* --- with the lock held ----------------------------------------------------------------------- */

static struct attendee *find_attendee(const struct attendance *a, const char *host_nqn)
{
	struct attendee *attendee = a->attendees;

	while (attendee && (attendee->replaced || strcmp(attendee->host_nqn, host_nqn) != 0))
		attendee = attendee->next;
	return attendee;
}

static bool wait_on(struct attendance *a, pthread_cond_t *cond, struct deadline deadline)
{
	struct timespec until = deadline_timespec(deadline);

	return pthread_cond_clockwait(cond, &a->lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT;
}

static bool wait_for_change(struct attendance *a, struct deadline deadline)
{
	return wait_on(a, &a->changed, deadline);
}

static void wake_host(const struct order *order)
{
	if (order->attendee)
		pthread_cond_signal(&order->attendee->woken);
}

static bool is_due(const struct order *order)
{
	return !order->freeze_sent || (order->thaw_wanted && !order->thaw_sent);
}

static bool is_open(const struct order *order)
{
	return order->state == ORDER_GIVEN || order->state == ORDER_QUIET;
}

/* *ret_open: there is one that is not over. */
static struct order *next_due(const struct attendance *a, const struct attendee *attendee,
			      bool *ret_open)
{
	*ret_open = false;
	for (struct order *order = a->orders; order; order = order->next) {
		if (order->attendee != attendee || !is_open(order))
			continue;
		*ret_open = true;
		if (is_due(order))
			return order;
	}
	return NULL;
}

/* A connection that it has lost is no other node's: but for the port its address is the same. */
static bool is_same_node(const char *a, const char *b)
{
	const char *end_a = strrchr(a, ':'), *end_b = strrchr(b, ':');
	size_t len = end_a ? (size_t)(end_a - a) : 0;

	return len == (end_b ? (size_t)(end_b - b) : 0) && strncmp(a, b, len) == 0;
}

static int refuse(struct attendee *other, const struct attendee *attendee, struct err *err)
{
	snprintf(other->rival, sizeof(other->rival), "%s", attendee->peer);
	other->rival_until = deadline_after_ms(RIVAL_MS);
	return err_set(err, ERR_ALREADY_EXISTS,
		       "host %s attends from %s already, and this is %s: each node needs a host "
		       "NQN of its own; a node with another address than before is taken when "
		       "its old connection counts as lost, within 20 s",
		       attendee->host_nqn, other->peer, attendee->peer);
}

static int arrive(struct attendance *a, struct attendee *attendee, struct err *err)
{
	struct attendee *other = find_attendee(a, attendee->host_nqn);

	if (other && !is_same_node(other->peer, attendee->peer))
		return refuse(other, attendee, err);
	if (other) {
		other->replaced = true;
		pthread_cond_signal(&other->woken);
	}
	attendee->next = a->attendees;
	a->attendees = attendee;
	pthread_cond_broadcast(&a->changed);
	return 0;
}

static void leave(struct attendance *a, struct attendee *attendee)
{
	struct attendee **link = &a->attendees;

	while (*link != attendee)
		link = &(*link)->next;
	*link = attendee->next;
	for (struct order *order = a->orders; order; order = order->next) {
		if (order->attendee != attendee)
			continue;
		order->attendee = NULL;
		if (is_open(order))
			order->state = ORDER_LOST;
	}
	pthread_cond_broadcast(&a->changed);
}

/* --- the calls of nodes ----------------------------------------------------------------------- */

static void wake(void *context)
{
	struct attendee *attendee = context;

	pthread_mutex_lock(&attendee->owner->lock);
	pthread_cond_signal(&attendee->woken);
	pthread_mutex_unlock(&attendee->owner->lock);
}

/* Called with the lock held, and without it while it sends. */
static int send_order(struct attendance *a, struct rpc_call *call, struct order *due,
		      struct err *err)
{
	Nvmeot__Target__V1__Order order = NVMEOT__TARGET__V1__ORDER__INIT;
	char id[ORDER_ID_SIZE] = "", volume_id[VOLUME_ID_SIZE] = "";
	int rc;

	if (due && !due->freeze_sent) {
		due->freeze_sent = true;
		order.kind = NVMEOT__TARGET__V1__ORDER_KIND__ORDER_KIND_FREEZE;
		order.for_ms = ATTENDANCE_FREEZE_MS;
		strcpy(volume_id, due->volume_id);
	} else if (due) {
		due->thaw_sent = true;
		order.kind = NVMEOT__TARGET__V1__ORDER_KIND__ORDER_KIND_THAW;
	}
	if (due)
		strcpy(id, due->id);
	order.id = id;
	order.volume_id = volume_id;
	pthread_mutex_unlock(&a->lock);
	rc = rpc_send(call, &order, err);
	pthread_mutex_lock(&a->lock);
	return rc;
}

/* Called with the lock held. 1: go on; 0: that was all for this time. */
static int attend_on(struct attendance *a, struct rpc_call *call, struct attendee *self,
		     struct deadline until, struct err *err)
{
	struct order *due;
	bool open;

	if (a->ended)
		return err_set(err, ERR_UNAVAILABLE, "the agent is shutting down");
	if (self->replaced)
		return err_set(err, ERR_ABORTED, "host %s has come anew", self->host_nqn);
	if (rpc_call_cancelled(call))
		return 0;
	due = next_due(a, self, &open);
	if (due)
		return send_order(a, call, due, err) < 0 ? -1 : 1;
	if (!open && deadline_passed(until))
		return 0;
	wait_on(a, &self->woken, open ? deadline_none() : until);
	return 1;
}

/* Called with the lock held. */
static int stay(struct attendance *a, struct rpc_call *call, struct attendee *self, struct err *err)
{
	struct deadline until = deadline_after_ms(STREAM_MS);
	int rc;

	if (arrive(a, self, err) < 0)
		return -1;
	rc = send_order(a, call, NULL, err) < 0 ? -1 : 1;
	while (rc > 0)
		rc = attend_on(a, call, self, until, err);
	leave(a, self);
	return rc;
}

static int attend(struct rpc_call *call, const void *request, struct err *err)
{
	const Nvmeot__Target__V1__AttendRequest *asked = request;
	struct attendance *a = call->context;
	char host_nqn[NQN_SIZE];
	struct attendee self = { .owner = a, .host_nqn = host_nqn, .peer = call->peer };
	int rc;

	if (serve_check_name(a->target, asked->target_id, err) < 0 ||
	    parse_nqn("host_nqn", asked->host_nqn, host_nqn, err) < 0)
		return -1;
	pthread_cond_init(&self.woken, NULL);
	rpc_call_watch(call, wake, &self);
	pthread_mutex_lock(&a->lock);
	rc = stay(a, call, &self, err);
	pthread_mutex_unlock(&a->lock);
	rpc_call_unwatch(call);
	pthread_cond_destroy(&self.woken);
	return rc;
}

static enum order_state state_of(Nvmeot__Target__V1__Outcome outcome)
{
	switch (outcome) {
	case NVMEOT__TARGET__V1__OUTCOME__OUTCOME_FROZEN:
	case NVMEOT__TARGET__V1__OUTCOME__OUTCOME_NOT_MOUNTED:
		return ORDER_QUIET;
	case NVMEOT__TARGET__V1__OUTCOME__OUTCOME_THAWED:
		return ORDER_THAWED;
	default:
		return ORDER_FAILED;
	}
}

/* Called with the lock held. */
static struct order *find_order(const struct attendance *a, const char *id, const char *host_nqn)
{
	struct order *order = a->orders;

	while (order && (strcmp(order->id, id) != 0 || strcmp(order->host_nqn, host_nqn) != 0))
		order = order->next;
	return order;
}

static int report(struct rpc_call *call, const void *request, void *response, struct err *err)
{
	const Nvmeot__Target__V1__ReportRequest *said = request;
	struct attendance *a = call->context;
	struct order *order;

	(void)response;
	if (serve_check_name(a->target, said->target_id, err) < 0)
		return -1;
	pthread_mutex_lock(&a->lock);
	order = find_order(a, said->id, said->host_nqn);
	if (order && is_open(order)) {
		order->state = state_of(said->outcome);
		order->still_quiet = said->still_frozen;
		snprintf(order->message, sizeof(order->message), "%s", said->message);
		pthread_cond_broadcast(&a->changed);
		wake_host(order);
	}
	pthread_mutex_unlock(&a->lock);
	if (order)
		return 0;
	return err_set(err, ERR_NOT_FOUND, "nobody waits for order \"%.64s\" to host %.223s",
		       said->id, said->host_nqn);
}

/* --- freezing --------------------------------------------------------------------------------- */

static void make_id(char ret[ORDER_ID_SIZE])
{
	uint64_t number[2] = { clock_now_ns() };

	if (getrandom(number, sizeof(number), 0) != (ssize_t)sizeof(number))
		number[1] = clock_now_ns();
	snprintf(ret, ORDER_ID_SIZE, "%016" PRIx64 "%016" PRIx64, number[0], number[1]);
}

static void add_order(const struct attendance *a, struct quiet *quiet, const struct volume *volume,
		      const struct volume_export *export)
{
	struct volume_id id = { .uuid = volume->uuid };
	struct order *order;

	quiet->orders = xrealloc(quiet->orders, quiet->count + 1, sizeof(*quiet->orders));
	order = &quiet->orders[quiet->count++];
	*order = (struct order) { .state = ORDER_GIVEN };
	snprintf(id.target, sizeof(id.target), "%s", target_id(a->target));
	strcpy(id.pool, volume->pool);
	volume_id_format(&id, order->volume_id);
	strcpy(order->host_nqn, export->host_nqn);
	make_id(order->id);
}

static void quiet_free(struct quiet *quiet)
{
	free(quiet->orders);
	free(quiet);
}

/* With the lock held, as what follows. */
static int say_absent(const struct attendance *a, const struct order *order, struct err *err)
{
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "volume %s is exported to host %s, which does not attend: its node has no "
		       "volume of this target staged now, is too old for freeze, runs without "
		       "--target=%s=HOST:PORT, or does not get through (its log says so: network, "
		       "or certificate for " ATTENDANCE_CLIENT_NAME ")",
		       order->volume_id, order->host_nqn, target_id(a->target));
}

static int check_alone(const struct attendee *attendee, const struct order *order, struct err *err)
{
	if (!*attendee->rival || deadline_passed(attendee->rival_until))
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "volume %s is exported to host %s, and which node that is is not known: it "
		       "attends from %s and from %s; each node needs a host NQN of its own",
		       order->volume_id, order->host_nqn, attendee->peer, attendee->rival);
}

/* All hosts are there before the first is asked anything. */
static int await_hosts(struct attendance *a, const struct quiet *quiet, struct deadline deadline,
		       struct err *err)
{
	for (size_t i = 0; i < quiet->count; i++) {
		const struct order *order = &quiet->orders[i];
		const struct attendee *attendee;

		while (!(attendee = find_attendee(a, order->host_nqn)))
			if (!wait_for_change(a, deadline) && deadline_passed(deadline))
				return say_absent(a, order, err);
		if (check_alone(attendee, order, err) < 0)
			return -1;
	}
	return 0;
}

static void give(struct attendance *a, struct quiet *quiet)
{
	for (size_t i = 0; i < quiet->count; i++) {
		struct order *order = &quiet->orders[i];

		/* One that has left since: */
		order->attendee = find_attendee(a, order->host_nqn);
		if (!order->attendee)
			order->state = ORDER_LOST;
		order->next = a->orders;
		a->orders = order;
		wake_host(order);
	}
}

static void take_away(struct attendance *a, struct quiet *quiet)
{
	for (size_t i = 0; i < quiet->count; i++) {
		struct order **link = &a->orders;

		while (*link != &quiet->orders[i])
			link = &(*link)->next;
		*link = quiet->orders[i].next;
		wake_host(&quiet->orders[i]);
	}
}

static const struct order *find_state(const struct quiet *quiet, enum order_state state)
{
	for (size_t i = 0; i < quiet->count; i++)
		if (quiet->orders[i].state == state)
			return &quiet->orders[i];
	return NULL;
}

/* What makes a freeze fail, or keeps it waiting. */
static int check_frozen(const struct quiet *quiet, struct err *err)
{
	const struct order *order = find_state(quiet, ORDER_FAILED);

	if (order)
		return err_set(err, ERR_ABORTED, "volume %s is not frozen by host %s: %s",
			       order->volume_id, order->host_nqn, order->message);
	order = find_state(quiet, ORDER_LOST);
	if (order)
		return err_set(err, ERR_ABORTED,
			       "volume %s: host %s left while it was to freeze it; try again",
			       order->volume_id, order->host_nqn);
	order = find_state(quiet, ORDER_THAWED);
	if (order)
		return err_set(err, ERR_ABORTED,
			       "volume %s was quiet on host %s, but not for long enough: %s",
			       order->volume_id, order->host_nqn, order->message);
	return 0;
}

static int await_frozen(struct attendance *a, const struct quiet *quiet, struct deadline deadline,
			struct err *err)
{
	for (;;) {
		const struct order *late = find_state(quiet, ORDER_GIVEN);

		if (check_frozen(quiet, err) < 0)
			return -1;
		if (!late)
			return 0;
		if (!wait_for_change(a, deadline) && deadline_passed(deadline))
			return err_set(err, ERR_ABORTED,
				       "volume %s was not written out and frozen by host %s "
				       "within %d ms; try again, best when it is written to less",
				       late->volume_id, late->host_nqn, ATTENDANCE_WAIT_MS);
	}
}

/* Waits until nothing of it can be frozen any more, or the deadline. */
static void thaw(struct attendance *a, struct quiet *quiet, struct deadline deadline)
{
	for (size_t i = 0; i < quiet->count; i++) {
		struct order *order = &quiet->orders[i];

		order->thaw_wanted = is_open(order);
		/* Nobody has heard of it. */
		if (order->thaw_wanted && !order->freeze_sent)
			order->state = ORDER_FAILED;
		wake_host(order);
	}
	while (find_state(quiet, ORDER_GIVEN) || find_state(quiet, ORDER_QUIET))
		if (!wait_for_change(a, deadline) && deadline_passed(deadline))
			return;
}

static int freeze(struct attendance *a, struct quiet *quiet, struct err *err)
{
	struct deadline deadline = deadline_after_ms(ATTENDANCE_WAIT_MS);

	if (await_hosts(a, quiet, deadline_after_ms(ATTENDANCE_COME_MS), err) < 0)
		return -1;
	quiet->over = deadline_after_ms(ATTENDANCE_FREEZE_MS);
	give(a, quiet);
	if (await_frozen(a, quiet, deadline, err) == 0)
		return 0;
	thaw(a, quiet, deadline_after_ms(THAW_WAIT_MS));
	take_away(a, quiet);
	return -1;
}

static int begin_quiet(void *context, const struct volume *const volumes[], size_t count,
		       void **ret, struct err *err)
{
	struct quiet *quiet = xcalloc(1, sizeof(*quiet));
	struct attendance *a = context;
	int rc;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < volumes[i]->export_count; j++)
			if (!volumes[i]->exports[j].readonly)
				add_order(a, quiet, volumes[i], &volumes[i]->exports[j]);
	pthread_mutex_lock(&a->lock);
	rc = freeze(a, quiet, err);
	pthread_mutex_unlock(&a->lock);
	if (rc < 0)
		quiet_free(quiet);
	else
		*ret = quiet;
	return rc;
}

/* Of each its host says that it stayed quiet until now. */
static int check_still(const struct quiet *quiet, struct err *err)
{
	for (size_t i = 0; i < quiet->count; i++) {
		const struct order *order = &quiet->orders[i];

		if (order->state == ORDER_THAWED && order->thaw_sent && order->still_quiet)
			continue;
		return err_set(
			err, ERR_ABORTED,
			"volume %s may have been written to by host %s before the snapshot "
			"was taken: it was kept from that for %d ms at most; the snapshot does not "
			"count and is taken again with the next call%s%s",
			order->volume_id, order->host_nqn, ATTENDANCE_FREEZE_MS,
			*order->message ? "; " : "", order->message);
	}
	return 0;
}

static int end_quiet(void *context, void *begun, struct err *err)
{
	struct attendance *a = context;
	struct quiet *quiet = begun;
	int rc;

	pthread_mutex_lock(&a->lock);
	thaw(a, quiet, quiet->over);
	take_away(a, quiet);
	pthread_mutex_unlock(&a->lock);
	rc = check_still(quiet, err);
	quiet_free(quiet);
	return rc;
}

/* --- the whole -------------------------------------------------------------------------------- */

struct attendance *attendance_new(struct target *target)
{
	struct attendance *a = xcalloc(1, sizeof(*a));
	struct target_quiesce quiesce = { .begin = begin_quiet, .end = end_quiet, .context = a };

	a->target = target;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
	target_set_quiesce(target, &quiesce);
	return a;
}

void attendance_free(struct attendance *attendance)
{
	pthread_cond_destroy(&attendance->changed);
	pthread_mutex_destroy(&attendance->lock);
	free(attendance);
}

void attendance_end(struct attendance *attendance)
{
	pthread_mutex_lock(&attendance->lock);
	attendance->ended = true;
	for (struct attendee *attendee = attendance->attendees; attendee; attendee = attendee->next)
		pthread_cond_signal(&attendee->woken);
	pthread_mutex_unlock(&attendance->lock);
}

static const struct rpc_method methods[] = {
	{ .name = "Attend",
	  .request = &nvmeot__target__v1__attend_request__descriptor,
	  .response = &nvmeot__target__v1__order__descriptor,
	  .stream = attend,
	  .quiet = true },
	{ .name = "Report",
	  .request = &nvmeot__target__v1__report_request__descriptor,
	  .response = &nvmeot__target__v1__report_response__descriptor,
	  .handle = report },
};

struct rpc_service attendance_service(struct attendance *attendance)
{
	return (struct rpc_service) { .name = "nvmeot.target.v1.Attendance",
				      .methods = methods,
				      .count = ARRAY_SIZE(methods),
				      .context = attendance,
				      .client_name = ATTENDANCE_CLIENT_NAME };
}
