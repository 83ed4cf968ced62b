/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controllers of this node: one for each connection to a portal of a subsystem, as sysfs shows
 * them. A controller still connecting for the first time is not among them. Nothing here blocks.
 */
#ifndef NVME_HOST_CONTROLLER_H
#define NVME_HOST_CONTROLLER_H

#include "nvme/base/portal.h"
#include "nvme/host/identity.h"
#include "nvme/host/sysfs.h"

struct host_controller {
	char name[HOST_NAME_SIZE]; /* reused by the kernel for the next one: for messages only */
	char path[HOST_PATH_SIZE]; /* below its subsystem in sysfs: names no other's controller */
	char nqn[NQN_SIZE];
	char hostnqn[NQN_SIZE];	     /* empty: not a fabrics controller */
	char hostid[UUID_TEXT_SIZE]; /* as the kernel prints it */
	char state[32];		     /* "live", "connecting", "deleting (no IO)", … */
	char transport[16];
	struct portal portal; /* family 0: no TCP address of the form we use */
};

struct host_controllers {
	struct host_controller *list;
	size_t count;
};

#define cleanup_host_controllers CLEANUP(host_controllers_fini)

/* Those of the subsystem nqn (NULL: all), connected as hostnqn (NULL: as whatever host). */
int host_controllers_get(const struct root *sysfs, const char *nqn, const char *hostnqn,
			 struct host_controllers *ret, struct err *err);
void host_controllers_fini(struct host_controllers *controllers);

bool host_controller_is_live(const struct host_controller *controller);

/* False for one that is being deleted or dead: it will not come back. */
bool host_controller_is_lasting(const struct host_controller *controller);

/* The first lasting one at this portal, NULL if there is none. Borrowed. */
const struct host_controller *host_controllers_at(const struct host_controllers *controllers,
						  const struct portal *portal);

/*
 * ERR_FAILED_PRECONDITION, naming both pairs, if one of the controllers has our host NQN with
 * another host ID or our host ID with another host NQN: the kernel would refuse our connect with a
 * bare EINVAL, or worse admit it (6.1).
 */
int host_controllers_check_identity(const struct host_controllers *controllers,
				    const struct host_identity *identity, struct err *err);

/*
 * The same of one controller by its name alone, which may be another's by now, so that its refusal
 * is no more than a reason to look closer: 1: its pair conflicts; 0: it does not, or it is gone.
 */
int host_controller_is_suspect(const struct root *sysfs, const char *name,
			       const struct host_identity *identity, struct err *err);

/* "nvme0 live tcp://192.0.2.1:4420, …" or "none" into text, for messages. */
void host_controllers_describe(const struct host_controllers *controllers, char *text, size_t size);

#endif
