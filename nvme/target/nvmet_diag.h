/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's TCP sockets by NETLINK_SOCK_DIAG (linux/sock_diag.h, linux/inet_diag.h; the kernel's
 * modules inet_diag and tcp_diag): which connections a portal has, aborting one, and the events of
 * sockets that are destroyed. For nvmet_drain only. Nothing blocks but for the kernel's own work.
 */
#ifndef NVME_TARGET_NVMET_DIAG_H
#define NVME_TARGET_NVMET_DIAG_H

#include <linux/inet_diag.h>
#include <stdbool.h>
#include <stddef.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/portal.h"

#define NVMET_DIAG_PORTS_MAX 1000 /* what a socket filter has room for */

struct nvmet_connection {
	struct inet_diag_sockid id; /* its cookie is unique until the machine starts again */
	uint8_t family;
	bool open; /* established, or about to be */
	bool established;
	bool held;	    /* by nvmet: it has an inode, or is open and perhaps not accepted yet */
	uint64_t bytes_in;  /* received */
	uint64_t bytes_out; /* sent, each counted once */
	uint32_t idle_ms;   /* since something was received */
	bool gone;	    /* for the holder of the list to note, as is given_up; false at first */
	bool given_up;	    /* it had its time */
};

struct nvmet_connections {
	struct nvmet_connection *items;
	size_t count;
	size_t room;
};

void nvmet_connections_fini(struct nvmet_connections *list);
#define cleanup_nvmet_connections CLEANUP(nvmet_connections_fini)

void nvmet_connections_add(struct nvmet_connections *list,
			   const struct nvmet_connection *connection);

/* Into the order that nvmet_connections_find needs. */
void nvmet_connections_sort(struct nvmet_connections *list);

/* In a sorted list; NULL when there is none. Borrowed. */
struct nvmet_connection *nvmet_connections_find(const struct nvmet_connections *list,
						const struct inet_diag_sockid *id);

/* A socket for the next two. */
int nvmet_diag_open(int *ret, struct err *err);

/*
 * Adds all connections to the portal, in any state but TIME_WAIT, to the list, at its end. After an
 * error the socket is of no more use: the rest of an answer may still come.
 */
int nvmet_diag_list(int fd, const struct portal *portal, struct nvmet_connections *list,
		    struct err *err);

/* Resets the connection; one that has ended meanwhile is fine. */
int nvmet_diag_abort(int fd, const struct nvmet_connection *connection, struct err *err);

/*
 * A socket that has something to read when TCP sockets of this network namespace were destroyed
 * whose own port is one of the portals'; of any port when there are more than NVMET_DIAG_PORTS_MAX
 * portals. fd: -1, or one made before, which is told of these portals from now on.
 */
int nvmet_diag_watch(const struct portal *portals, size_t portal_count, int *fd, struct err *err);

/* Calls gone for each that was. Never waits. ERR_UNAVAILABLE: some events were lost. */
int nvmet_diag_events(int fd, void (*gone)(void *data, const struct inet_diag_sockid *id),
		      void *data, struct err *err);

#endif
