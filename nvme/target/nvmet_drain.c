/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of connections when sessions are cut. */
#include "nvme/target/nvmet_drain.h"

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

static int list_all(const struct nvmet_drain *drain, struct nvmet_connections *ret, struct err *err)
{
	for (size_t i = 0; i < drain->portal_count; i++)
		if (nvmet_diag_list(drain->request, &drain->portals[i], ret, err) < 0)
			return -1;
	return 0;
}

/* --- beginning -------------------------------------------------------------------------------- */

static bool any_executing(const struct nvmet_connections *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (is_executing(&list->items[i]))
			return true;
	return false;
}

int nvmet_drain_begin(struct nvmet_drain *drain, const struct portal *portals, size_t portal_count,
		      struct err *err)
{
	struct deadline deadline = deadline_after_ms(CONNECT_MS);

	drain->portals = portals;
	drain->portal_count = portal_count;
	if (nvmet_diag_open(&drain->request, err) < 0 ||
	    nvmet_diag_watch(&drain->events, err) < 0 ||
	    list_all(drain, &drain->connections, err) < 0) {
		err_wrap(err, "the kernel does not tell of its sockets (modprobe tcp_diag)");
		return err_recode(err, ERR_FAILED_PRECONDITION);
	}
	while (any_executing(&drain->connections)) {
		if (deadline_passed(deadline))
			return err_set(err, ERR_UNAVAILABLE,
				       "a host's Connect has no answer from nvmet; try again");
		/* There is no event for an answer that was sent. */
		poll(NULL, 0, 1);
		nvmet_connections_fini(&drain->connections);
		if (list_all(drain, &drain->connections, err) < 0)
			return -1;
	}
	return 0;
}

/* --- after the cut ---------------------------------------------------------------------------- */

/* Keeps of those that were there at the beginning the ones that end. `open` is as it was then. */
static void keep_ending(struct nvmet_drain *drain, const struct nvmet_connections *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < drain->connections.count; i++) {
		struct nvmet_connection *then = &drain->connections.items[i];
		const struct nvmet_connection *now = nvmet_connections_find(list, &then->id);

		/* One that was not established yet ends without an event. */
		if ((now && now->established) || (then->open && !then->established))
			continue;
		drain->connections.items[kept++] = *then;
	}
	drain->connections.count = kept;
}

/* Whether a session of the same address was cut. */
static bool is_of_cut_peer(const struct nvmet_drain *drain,
			   const struct nvmet_connection *connection)
{
	for (size_t i = 0; i < drain->connections.count; i++) {
		const struct nvmet_connection *ended = &drain->connections.items[i];

		if (ended->open && ended->family == connection->family &&
		    memcmp(ended->id.idiag_dst, connection->id.idiag_dst,
			   sizeof(connection->id.idiag_dst)) == 0)
			return true;
	}
	return false;
}

/*
 * A host that has a controller, now cut, but not all of its queues: it would ask for the next one
 * in the name of the controller and be refused for good.
 */
static int abort_half_made(struct nvmet_drain *drain, const struct nvmet_connections *list,
			   struct err *err)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].open && !is_answered(&list->items[i]) &&
		    is_of_cut_peer(drain, &list->items[i]) &&
		    nvmet_diag_abort(drain->request, &list->items[i], err) < 0)
			return -1;
	return 0;
}

/* As abort_half_made, for the queue that it has not opened yet: the guard refuses that. */
static void linger(const struct nvmet_drain *drain)
{
	uint32_t idle_ms = YOUNG_MS;

	for (size_t i = 0; i < drain->connections.count; i++) {
		const struct nvmet_connection *ended = &drain->connections.items[i];

		if (ended->open && ended->bytes_in < YOUNG_BYTES && ended->idle_ms < idle_ms)
			idle_ms = ended->idle_ms;
	}
	poll(NULL, 0, (int)(YOUNG_MS - idle_ms));
}

int nvmet_drain_end(struct nvmet_drain *drain, struct err *err)
{
	cleanup_nvmet_connections struct nvmet_connections list = { 0 };
	struct err failure;

	if (list_all(drain, &list, err) < 0)
		return -1;
	keep_ending(drain, &list);
	if (abort_half_made(drain, &list, &failure) < 0)
		log_error("a host that connects at this moment may remove its controller for good; "
			  "the kernel needs CONFIG_INET_DIAG_DESTROY, this process CAP_NET_ADMIN",
			  KV_ERR(&failure));
	linger(drain);
	return 0;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void strike(void *data, const struct inet_diag_sockid *id)
{
	struct nvmet_connections *list = &((struct nvmet_drain *)data)->connections;

	for (size_t i = 0; i < list->count; i++) {
		if (!nvmet_connection_is(&list->items[i], id))
			continue;
		list->items[i] = list->items[--list->count];
		return;
	}
}

/* Those that are still there but that nvmet has let go. */
static int strike_orphans(struct nvmet_drain *drain, struct err *err)
{
	cleanup_nvmet_connections struct nvmet_connections list = { 0 };

	if (list_all(drain, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < list.count; i++)
		if (!list.items[i].held)
			strike(drain, &list.items[i].id);
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

int nvmet_drain_wait(struct nvmet_drain *drain, struct err *err)
{
	struct pollfd events = { .fd = drain->events, .events = POLLIN };
	struct deadline others = deadline_after_ms(NVMET_DRAIN_OTHERS_MS);
	bool told = false;

	for (;;) {
		if (nvmet_diag_events(drain->events, strike, drain, err) < 0 ||
		    strike_orphans(drain, err) < 0)
			return -1;
		if (!drain->connections.count)
			return 0;
		if (deadline_passed(others) && !told) {
			log_warning("connections are not gone yet, their I/O may hang",
				    KV_NUM("cut", count_cut(drain)),
				    KV_NUM("ended_by_themselves",
					   drain->connections.count - count_cut(drain)));
			told = true;
		}
		if (told && !count_cut(drain))
			return 0;
		poll(&events, 1, LOOK_AGAIN_MS);
	}
}

void nvmet_drain_fini(struct nvmet_drain *drain)
{
	cleanup_closep(&drain->request);
	cleanup_closep(&drain->events);
	nvmet_connections_fini(&drain->connections);
	*drain = NVMET_DRAIN_INIT;
}
