/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of connections when sessions are cut. */
#include "nvme/target/nvmet_drain.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/clock.h"
#include "nvme/base/log.h"

/* Bytes of a queue's first exchange: ICReq and ICResp, Connect with its data, its response. */
#define HELLO_BYTES 128
#define CONNECT_BYTES (72 + 1024)
#define RESPONSE_BYTES 24

/* A host that connects sends fewer on its admin queue until it asks for its I/O queues. */
#define YOUNG_BYTES 16384
#define YOUNG_MS 250

#define CONNECT_MS 2000
#define LOOK_AGAIN_MS 50

static bool is_answered(const struct nvmet_connection *connection)
{
	return connection->bytes_out >= HELLO_BYTES + RESPONSE_BYTES;
}

/* A Connect that is being executed; the guard lets no further one come. */
static bool is_executing(const struct nvmet_connection *connection)
{
	return connection->open && connection->bytes_in >= HELLO_BYTES + CONNECT_BYTES &&
	       !is_answered(connection);
}

/* All connections as they are now, sorted. */
static int look(const struct nvmet_drain *drain, struct nvmet_connections *ret, struct err *err)
{
	nvmet_connections_fini(ret);
	for (size_t i = 0; i < drain->portal_count; i++)
		if (nvmet_diag_list(drain->request, &drain->portals[i], ret, err) < 0)
			return -1;
	nvmet_connections_sort(ret);
	return 0;
}

static void log_aborted(const struct nvmet_connection *connection)
{
	char peer[INET6_ADDRSTRLEN] = "";

	inet_ntop(connection->family, connection->id.idiag_dst, peer, sizeof(peer));
	log_warning("connection that did not finish its Connect aborted", KV("peer", peer),
		    KV_NUM("peer_port", ntohs(connection->id.idiag_dport)));
}

/* --- beginning -------------------------------------------------------------------------------- */

static bool any_executing(const struct nvmet_connections *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (is_executing(&list->items[i]))
			return true;
	return false;
}

/*
 * Those who have sent this much and no more, or too much to be answered soon. What becomes of them
 * is waited for with the sessions that are cut.
 */
static int abort_executing(const struct nvmet_drain *drain, const struct nvmet_connections *list,
			   struct err *err)
{
	for (size_t i = 0; i < list->count; i++) {
		if (!is_executing(&list->items[i]))
			continue;
		if (nvmet_diag_abort(drain->request, &list->items[i], err) < 0) {
			err_wrap(err, "a host's Connect has no answer from nvmet");
			return err_recode(err, ERR_UNAVAILABLE);
		}
		log_aborted(&list->items[i]);
	}
	return 0;
}

/* To those of an earlier beginning. */
static void add_portals(struct nvmet_drain *drain, const struct portal *portals, size_t count)
{
	drain->portals =
		xrealloc(drain->portals, drain->portal_count + count, sizeof(*drain->portals));
	for (size_t i = 0; i < count; i++)
		if (!portal_is_in(&portals[i], drain->portals, drain->portal_count))
			drain->portals[drain->portal_count++] = portals[i];
}

/* The events socket of an earlier beginning stays: it has heard what ended since. */
static int open_sockets(struct nvmet_drain *drain, struct err *err)
{
	cleanup_closep(&drain->request);
	drain->request = -1;
	if (nvmet_diag_open(&drain->request, err) < 0)
		return -1;
	return nvmet_diag_watch(drain->portals, drain->portal_count, &drain->events, err);
}

/* What was cut earlier counts as it did then, however it is listed now. */
static void note(struct nvmet_drain *drain, struct nvmet_connections *list)
{
	size_t listed = list->count;

	for (size_t i = 0; i < drain->connections.count; i++) {
		const struct nvmet_connection *earlier = &drain->connections.items[i];
		struct nvmet_connections sorted = { .items = list->items, .count = listed };
		struct nvmet_connection *now = nvmet_connections_find(&sorted, &earlier->id);

		if (now)
			*now = *earlier;
		else
			nvmet_connections_add(list, earlier);
	}
	nvmet_connections_sort(list);
	nvmet_connections_fini(&drain->connections);
	drain->connections = *list;
	*list = (struct nvmet_connections) { 0 };
}

int nvmet_drain_begin(struct nvmet_drain *drain, const struct portal *portals, size_t portal_count,
		      struct err *err)
{
	cleanup_nvmet_connections struct nvmet_connections list = { 0 };
	struct deadline deadline = deadline_after_ms(CONNECT_MS);

	add_portals(drain, portals, portal_count);
	if (open_sockets(drain, err) < 0 || look(drain, &list, err) < 0) {
		err_wrap(err, "the kernel does not tell of its sockets (modprobe tcp_diag)");
		return err_recode(err, ERR_FAILED_PRECONDITION);
	}
	while (any_executing(&list) && !deadline_passed(deadline)) {
		/* There is no event for an answer that was sent. */
		poll(NULL, 0, 1);
		if (look(drain, &list, err) < 0)
			return -1;
	}
	if (abort_executing(drain, &list, err) < 0)
		return -1;
	note(drain, &list);
	return 0;
}

/* --- after the cut ---------------------------------------------------------------------------- */

/* Keeps of those that were there at the beginning the ones that end. `open` is as it was then. */
static void keep_ending(struct nvmet_drain *drain, const struct nvmet_connections *list,
			struct nvmet_connections *ret)
{
	for (size_t i = 0; i < drain->connections.count; i++) {
		const struct nvmet_connection *then = &drain->connections.items[i];
		const struct nvmet_connection *now = nvmet_connections_find(list, &then->id);

		/* One that was not established yet ends without an event. */
		if (!(now && now->established) && (!then->open || then->established))
			nvmet_connections_add(ret, then);
	}
}

/* Whether anything was cut, or is ending, whose controller may still be there. */
static bool any_held(const struct nvmet_connections *ending)
{
	for (size_t i = 0; i < ending->count; i++)
		if (ending->items[i].held)
			return true;
	return false;
}

/* A Connect that is answered by now may have been executed before the cut, beside it or after. */
static bool is_half_made(const struct nvmet_drain *drain, const struct nvmet_connection *now)
{
	const struct nvmet_connection *then = nvmet_connections_find(&drain->connections, &now->id);

	return now->open && !(then && is_answered(then) && is_answered(now));
}

/*
 * A host that has a controller, now cut, but not all of its queues: it would ask for the next one
 * in the name of the controller, and from whatever address. What is aborted and will be told of is
 * added to ret.
 */
static int abort_half_made(const struct nvmet_drain *drain, const struct nvmet_connections *list,
			   struct nvmet_connections *ret, struct err *err)
{
	if (!any_held(ret))
		return 0;
	for (size_t i = 0; i < list->count; i++) {
		const struct nvmet_connection *now = &list->items[i];

		if (!is_half_made(drain, now))
			continue;
		if (nvmet_diag_abort(drain->request, now, err) < 0)
			return -1;
		if (now->established)
			nvmet_connections_add(ret, now);
	}
	return 0;
}

/* As abort_half_made, for the queue that it has not opened yet: the guard refuses that. */
static void linger(const struct nvmet_connections *ending)
{
	uint32_t idle_ms = YOUNG_MS;

	for (size_t i = 0; i < ending->count; i++) {
		const struct nvmet_connection *ended = &ending->items[i];

		if (ended->open && ended->bytes_in < YOUNG_BYTES && ended->idle_ms < idle_ms)
			idle_ms = ended->idle_ms;
	}
	poll(NULL, 0, (int)(YOUNG_MS - idle_ms));
}

int nvmet_drain_end(struct nvmet_drain *drain, struct err *err)
{
	cleanup_nvmet_connections struct nvmet_connections list = { 0 }, ending = { 0 };
	struct err failure;

	if (look(drain, &list, err) < 0)
		return -1;
	keep_ending(drain, &list, &ending);
	if (abort_half_made(drain, &list, &ending, &failure) < 0)
		log_error("a host that connects at this moment may remove its controller for good; "
			  "the kernel needs CONFIG_INET_DIAG_DESTROY, this process CAP_NET_ADMIN",
			  KV_ERR(&failure));
	nvmet_connections_sort(&ending);
	nvmet_connections_fini(&drain->connections);
	drain->connections = ending;
	ending = (struct nvmet_connections) { 0 };
	linger(&drain->connections);
	return 0;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void strike(void *data, const struct inet_diag_sockid *id)
{
	struct nvmet_drain *drain = data;
	struct nvmet_connection *ended = nvmet_connections_find(&drain->connections, id);

	if (ended)
		ended->gone = true;
}

/* Those that are still there but that nvmet has let go, or that turn out to live. */
static int strike_listed(struct nvmet_drain *drain, struct err *err)
{
	cleanup_nvmet_connections struct nvmet_connections list = { 0 };

	if (look(drain, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < list.count; i++)
		if (!list.items[i].held || list.items[i].established)
			strike(drain, &list.items[i].id);
	return 0;
}

static void sweep(struct nvmet_drain *drain)
{
	size_t kept = 0;

	for (size_t i = 0; i < drain->connections.count; i++)
		if (!drain->connections.items[i].gone)
			drain->connections.items[kept++] = drain->connections.items[i];
	drain->connections.count = kept;
}

static int look_again(struct nvmet_drain *drain, struct err *err)
{
	int r = nvmet_diag_events(drain->events, strike, drain, err);

	if (r < 0 && err->code != ERR_UNAVAILABLE)
		return -1;
	drain->lost = drain->lost || r < 0;
	if (strike_listed(drain, err) < 0)
		return -1;
	sweep(drain);
	return 0;
}

/* Those that lived when the drain began. */
static size_t count_cut(const struct nvmet_drain *drain)
{
	size_t count = 0;

	for (size_t i = 0; i < drain->connections.count; i++)
		count += drain->connections.items[i].open;
	return count;
}

static void log_waiting(const struct nvmet_drain *drain)
{
	size_t cut = count_cut(drain);

	log_warning("connections are not gone yet, their I/O may hang", KV_NUM("cut", cut),
		    KV_NUM("ended_by_themselves", drain->connections.count - cut));
}

static size_t count_awaited(const struct nvmet_drain *drain)
{
	size_t count = 0;

	for (size_t i = 0; i < drain->connections.count; i++)
		count += !drain->connections.items[i].given_up;
	return count;
}

static void give_up(struct nvmet_drain *drain)
{
	for (size_t i = 0; i < drain->connections.count; i++)
		drain->connections.items[i].given_up = true;
}

static void sleep_till_event(const struct nvmet_drain *drain)
{
	struct pollfd events = { .fd = drain->events, .events = POLLIN };

	poll(&events, 1, LOOK_AGAIN_MS);
}

int nvmet_drain_try(struct nvmet_drain *drain, uint64_t limit_ms, struct err *err)
{
	struct deadline limit = deadline_after_ms(limit_ms);

	for (;;) {
		if (look_again(drain, err) < 0)
			return -1;
		if (!count_awaited(drain))
			return 1;
		if (deadline_passed(limit))
			return 0;
		sleep_till_event(drain);
	}
}

int nvmet_drain_wait(struct nvmet_drain *drain, struct err *err)
{
	struct deadline others = deadline_after_ms(NVMET_DRAIN_OTHERS_MS);
	bool told = false;

	for (;;) {
		if (look_again(drain, err) < 0)
			return -1;
		if (!count_awaited(drain))
			return 0;
		if (deadline_passed(others) && !told) {
			log_waiting(drain);
			told = true;
		}
		if (told && !count_cut(drain)) {
			give_up(drain);
			return 0;
		}
		if (told && drain->lost)
			return err_set(err, ERR_UNAVAILABLE,
				       "events of the kernel's sockets were lost, so it is not "
				       "known whether all I/O of the cut sessions has ended; try "
				       "again, or unpublish the volume everywhere, which waits for "
				       "all of it");
		sleep_till_event(drain);
	}
}

bool nvmet_drain_pending(const struct nvmet_drain *drain)
{
	return drain->connections.count;
}

void nvmet_drain_fini(struct nvmet_drain *drain)
{
	cleanup_closep(&drain->request);
	cleanup_closep(&drain->events);
	free(drain->portals);
	nvmet_connections_fini(&drain->connections);
	*drain = NVMET_DRAIN_INIT;
}
