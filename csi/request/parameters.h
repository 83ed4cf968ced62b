/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameters of classes. Those of a StorageClass are checked by one table. Those the node needs
 * travel on in the volume context under the same names and are checked there by the same table.
 * Those that can be changed later are of the connection, or say what may be done to a broken file
 * system: what is valid then goes into the publish context, too.
 */
#ifndef CSI_REQUEST_PARAMETERS_H
#define CSI_REQUEST_PARAMETERS_H

#include <stdbool.h>

#include "csi/request/ids.h"
#include "csi/request/map.h"
#include "nvme/base/err.h"
#include "nvme/host/connect.h"

struct parameters {
	char target[TARGET_NAME_SIZE]; /* "": any */
	char pool[VOLUME_POOL_SIZE];   /* "": the one with most room */
	bool volatile_cache;
	bool fs_repair;		  /* may a broken file system be repaired before its mount */
	const char *fs_type;	  /* borrowed from the map; NULL: not given */
	const char *mkfs_options; /* borrowed from the map; "" when not given */
	struct host_connect_options connect;
};

/* Reads CreateVolume's parameters; an unknown one is ERR_INVALID_ARGUMENT naming all known. */
int parameters_parse(struct map map, struct parameters *ret, struct err *err);

/*
 * Checks the mutable parameters of CreateVolume and ControllerModifyVolume: ERR_INVALID_ARGUMENT
 * for one that is unknown, that cannot be changed (the known mutable ones are named), or that has a
 * bad value.
 */
int parameters_check_mutable(struct map map, struct err *err);

/*
 * Reads the parameters of a snapshot or a group: `freeze`, and those that the snapshotter adds by
 * itself. Any other one is ERR_INVALID_ARGUMENT, naming it, and so is a value that is not true or
 * false. *ret_freeze: the file systems are to be frozen meanwhile; false when it is not given.
 */
int parameters_parse_snapshot(struct map map, bool *ret_freeze, struct err *err);

/*
 * Reads the node's share out of the two contexts; keys that are no parameters are skipped. The
 * publish context holds what is valid now and wins over the volume context, which is as created.
 */
int parameters_parse_context(struct map volume_context, struct map publish_context,
			     struct parameters *ret, struct err *err);

/* Whether a parameter is one that the node needs, to be put into the volume context. */
bool parameters_for_node(const char *name);

/* Whether a parameter can be changed later; if so it is put into the publish context. */
bool parameters_is_mutable(const char *name);

#endif
