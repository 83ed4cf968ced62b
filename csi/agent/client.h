/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's view of one target agent: a connection and one function per call of
 * nvmeot.target.v1, in plain types. Every call blocks until its deadline at most and is
 * thread-safe. Every one says for which target it is, and an agent at the address that has another
 * name refuses it: ERR_FAILED_PRECONDITION. Errors keep the agent's code and message; one that
 * cannot be reached is ERR_UNAVAILABLE and named.
 */
#ifndef CSI_AGENT_CLIENT_H
#define CSI_AGENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "csi/request/ids.h"
#include "csi/request/map.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/clock.h"
#include "nvme/base/portal.h"
#include "nvme/target/volume.h"

struct agent;

/* What the controller needs to know of a volume. */
struct agent_volume {
	char pool[VOLUME_POOL_SIZE];
	uint64_t size_bytes;
	bool volatile_cache;
	bool blank;
	char nqn[NQN_SIZE];
	char portals[PORTAL_MAX * PORTAL_TEXT_SIZE]; /* comma separated, as the node takes them */
	bool readonly; /* exported read-only */
};

/* Volumes to create. An empty pool leaves the choice to the target. */
struct agent_volume_spec {
	struct uuid uuid;
	const char *pool;
	const char *name;
	uint64_t size_bytes;
	bool volatile_cache;
	struct map parameters;
};

/* address is HOST:PORT or unix:///path; tls_dir NULL: no TLS. Connects on first use. */
int agent_new(const char *name, const char *address, const char *tls_dir, struct agent **ret,
	      struct err *err);
void agent_free(struct agent *agent);

/* The target's ID as the operator configured it; borrowed. */
const char *agent_name(const struct agent *agent);

/*
 * The most bytes available in one pool (of that name, when pool is not empty): what placement goes
 * by. ERR_NOT_FOUND when there is no such pool.
 */
int agent_available(struct agent *agent, const char *pool, struct deadline deadline,
		    uint64_t *ret_bytes, struct err *err);

int agent_create(struct agent *agent, const struct agent_volume_spec *spec,
		 struct deadline deadline, struct agent_volume *ret, struct err *err);

/* What GetCapacity needs: the room in all pools (of that name, if not empty), and in the roomiest. */
int agent_capacity(struct agent *agent, const char *pool, struct deadline deadline,
		   uint64_t *ret_total_bytes, uint64_t *ret_most_bytes, struct err *err);

/* 1: found; 0: the target has no such volume (in that pool, when pool is not empty); -1: error. */
int agent_find(struct agent *agent, const struct uuid *uuid, const char *pool,
	       struct deadline deadline, struct agent_volume *ret, struct err *err);

/* One volume of a list, with the hosts it is exported to; borrowed for the time of the visit. */
struct agent_listed {
	struct volume_id id;
	uint64_t size_bytes;
	const char *const *hosts;
	size_t host_count;
};

/*
 * Visits the volumes after the UUID start_after ("": from the first), in the order of their UUIDs,
 * at most max of them (the agent may send fewer). ret_more: there are more after those.
 */
int agent_list(struct agent *agent, const char *start_after, size_t max, struct deadline deadline,
	       void (*visit)(const struct agent_listed *volume, void *context), void *context,
	       bool *ret_more, struct err *err);

/* Success when nothing of the volume is there; ERR_FAILED_PRECONDITION while it is exported. */
int agent_delete(struct agent *agent, const struct uuid *uuid, const char *pool,
		 struct deadline deadline, struct err *err);

int agent_export(struct agent *agent, const struct volume_id *id,
		 const struct volume_export *export, struct deadline deadline,
		 struct agent_volume *ret, struct err *err);

/* host_nqn empty: every host. Success means that the host can no longer reach the volume. */
int agent_unexport(struct agent *agent, const struct volume_id *id, const char *host_nqn,
		   struct deadline deadline, struct err *err);

DEFINE_CLEANUP(struct agent *, agent_free)

#endif
