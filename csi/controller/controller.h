/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CSI Controller service over a set of target agents. Stateless: what a volume is, the targets
 * say; any number of controllers may run at once.
 */
#ifndef CSI_CONTROLLER_CONTROLLER_H
#define CSI_CONTROLLER_CONTROLLER_H

#include "csi/agent/client.h"
#include "csi/rpc/service.h"

#define CONTROLLER_TARGETS_MAX 256

/* What a row of a method table is made of, for whoever includes csi.pb-c.h. */
#define CONTROLLER_METHOD(wire, snake, function)                                                   \
	.name = wire, .request = &csi__v1__##snake##_request__descriptor,                          \
	.response = &csi__v1__##snake##_response__descriptor, .handle = function

/* Owns its agents. Filled before serving, then only read. */
struct controller {
	struct agent *targets[CONTROLLER_TARGETS_MAX];
	size_t target_count;
};

/* Adds a target; takes the agent over. ERR_INVALID_ARGUMENT when its name is there already. */
int controller_add_target(struct controller *controller, struct agent *agent, struct err *err);
void controller_fini(struct controller *controller);

/* Finds the target of a volume that must exist, without asking it: else ERR_NOT_FOUND. */
int controller_locate(const struct controller *controller, const char *volume_id,
		      struct volume_id *id, struct agent **target, struct err *err);

/* The target of that name, which `what` of that ID is said to be on: else ERR_NOT_FOUND. */
int controller_find_target(const struct controller *controller, const char *what, const char *id,
			   const char *name, struct agent **ret, struct err *err);

/* Asks its target for a volume that must exist: else ERR_NOT_FOUND. */
int controller_require_at(struct agent *target, const struct volume_id *id,
			  struct deadline deadline, struct agent_volume *ret, struct err *err);

/* Finds a volume that must exist, on a target that must be configured: else ERR_NOT_FOUND. */
int controller_require(const struct controller *controller, const char *volume_id,
		       struct deadline deadline, struct agent **target, struct agent_volume *ret,
		       struct err *err);

/* The deadline of a call: the caller's, but never later than a minute from now. */
struct deadline controller_deadline(const struct rpc_call *call);

/*
 * When a question that is put to targets should be answered: half of the time is kept for what
 * comes after it, and a target that is there answers within seconds.
 */
struct deadline controller_share(struct deadline deadline);

/* Readiness, as struct identity_check wants it: at least one target answers. */
int controller_check(void *controller, struct deadline deadline, struct err *err);

/* The method table over controller. */
struct rpc_service controller_service(struct controller *controller);

#endif
