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

#include "csi/agent/answer.h"
#include "nvme/base/clock.h"

struct agent;

/* address is HOST:PORT or unix:///path; tls_dir NULL: no TLS. Connects on first use. */
int agent_new(const char *name, const char *address, const char *tls_dir, struct agent **ret,
	      struct err *err);
void agent_free(struct agent *agent);

/* The target's ID as the operator configured it; borrowed. */
const char *agent_name(const struct agent *agent);

/*
 * Questions that one thread puts to many agents at once: it begins them all and then finishes them
 * in any order, and waits for the slowest, not for the sum. Beginning never fails nor waits; what
 * is wrong comes with the finish, which frees the question, as cancelling does.
 */
struct agent_ask;
void agent_ask_cancel(struct agent_ask *ask);
DEFINE_CLEANUP(struct agent_ask *, agent_ask_cancel)
#define cleanup_agent_ask CLEANUP(agent_ask_cancelp)

/* The target as a whole. */
struct agent_ask *agent_info_begin(struct agent *agent, struct deadline deadline);
int agent_info_finish(struct agent_ask *ask, struct agent_info *ret, struct err *err);
int agent_info(struct agent *agent, struct deadline deadline, struct agent_info *ret,
	       struct err *err);

/* One volume, in that pool or, when pool is empty, in any. */
struct agent_find_query {
	const struct uuid *uuid;
	const char *pool;
	bool conditions; /* look at its health, too: on the disk and in the kernel */
};

/* 1: found; 0: the target has no such volume there; -1: error. */
struct agent_ask *agent_find_begin(struct agent *agent, const struct agent_find_query *query,
				   struct deadline deadline);
int agent_find_finish(struct agent_ask *ask, struct agent_volume *ret, struct err *err);
int agent_find(struct agent *agent, const struct agent_find_query *query, struct deadline deadline,
	       struct agent_volume *ret, struct err *err);

/*
 * Volumes in the order of their UUIDs, at most max of those after the UUID start_after ("": from
 * the first); the agent may send fewer.
 */
struct agent_list_query {
	const char *start_after;
	size_t max;
	bool conditions; /* as in agent_find_query */
};

/* The volume is borrowed for the time of the visit. ret_more: there are more after these. */
struct agent_ask *agent_list_begin(struct agent *agent, const struct agent_list_query *query,
				   struct deadline deadline);
int agent_list_finish(struct agent_ask *ask,
		      void (*visit)(const struct agent_volume *volume, void *context),
		      void *context, bool *ret_more, struct err *err);

/*
 * A volume to create. An empty pool leaves the choice to the target. With a source it is a copy of
 * that, in the same pool and at least as large.
 */
struct agent_volume_spec {
	struct uuid uuid;
	const char *pool;
	const char *name;
	uint64_t size_bytes;
	bool volatile_cache;
	struct map parameters;
	struct map mutables;
	struct agent_source source;
};

/* Of an existing volume: as it is, for the caller to compare; its source, too. */
int agent_create(struct agent *agent, const struct agent_volume_spec *spec,
		 struct deadline deadline, struct agent_volume *ret, struct err *err);

/* Success when nothing of the volume is there; ERR_FAILED_PRECONDITION while it is exported. */
int agent_delete(struct agent *agent, const struct volume_id *id, struct deadline deadline,
		 struct err *err);

/* Grows to at least size_bytes; hosts have been told when it returns. */
int agent_expand(struct agent *agent, const struct volume_id *id, uint64_t size_bytes,
		 struct deadline deadline, struct agent_volume *ret, struct err *err);

/* Sets mutable parameters; others stay. */
int agent_modify(struct agent *agent, const struct volume_id *id, struct map mutables,
		 struct deadline deadline, struct err *err);

/*
 * The keys, if there are any, become those of the host. An agent that exports the volume read-only
 * when it should not, or the reverse, is ERR_INTERNAL; one that lets the host in without asking
 * for the keys, because it is too old for that, ERR_FAILED_PRECONDITION.
 */
int agent_export(struct agent *agent, const struct volume_id *id,
		 const struct volume_export *export, const struct dhchap_keys *keys,
		 struct deadline deadline, struct agent_volume *ret, struct err *err);

/* host_nqn empty: every host. Success means that the host can no longer reach the volume. */
int agent_unexport(struct agent *agent, const struct volume_id *id, const char *host_nqn,
		   struct deadline deadline, struct err *err);

DEFINE_CLEANUP(struct agent *, agent_free)

#endif
