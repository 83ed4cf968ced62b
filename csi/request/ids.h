/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and identifiers: the CO's names, our UUIDs, IDs of volumes, snapshots and groups of them,
 * and the checks of the plain string fields every request has. All pure.
 */
#ifndef CSI_REQUEST_IDS_H
#define CSI_REQUEST_IDS_H

#include <stdbool.h>

#include "nvme/base/err.h"
#include "nvme/base/parse.h"
#include "nvme/target/volume.h"

#define NAME_MAX_BYTES VOLUME_NAME_MAX /* CSI: the general bound of string fields */
#define PATH_BYTES_MAX 4000	       /* below PATH_MAX by what we append to a path */
#define NODE_ID_MAX_BYTES 256	       /* CSI: the bound of node_id */
#define TARGET_NAME_SIZE 33	       /* [a-z0-9-]{1,32} */
#define VOLUME_ID_SIZE (NAME_MAX_BYTES + 1)

/* "<target>/<pool>/<uuid>" taken apart; of a snapshot, "<target>/<pool>/@<uuid>". */
struct volume_id {
	char target[TARGET_NAME_SIZE];
	char pool[VOLUME_POOL_SIZE];
	struct uuid uuid;
};

/* "<target>/@@<uuid>" taken apart: snapshots of volumes of one target, whatever their pools. */
struct group_id {
	char target[TARGET_NAME_SIZE];
	struct uuid uuid;
};

/* True when text is a volume ID of ours; a malformed one names no volume, which is no error. */
bool volume_id_parse(const char *text, struct volume_id *ret);
void volume_id_format(const struct volume_id *id, char ret[VOLUME_ID_SIZE]);

/* The same of snapshots and of groups; no ID is one of two sorts. */
bool snapshot_id_parse(const char *text, struct volume_id *ret);
void snapshot_id_format(const struct volume_id *id, char ret[VOLUME_ID_SIZE]);
bool group_id_parse(const char *text, struct group_id *ret);
void group_id_format(const struct group_id *id, char ret[VOLUME_ID_SIZE]);

/*
 * Checks the handle of a statically provisioned volume: it must not look like an ID of ours.
 * Unpublish and unstage get nothing but the ID, and would take it for a volume of that target and
 * that subsystem. ERR_INVALID_ARGUMENT.
 */
int volume_id_check_static(const char *volume_id, struct err *err);

/* UUIDv5 of the CO's name in our namespace: the same name gives the same UUID, everywhere. */
struct uuid volume_uuid_of_name(const char *name);

/* The same of a snapshot and of a group: a volume, a snapshot and a group of one name differ. */
struct uuid snapshot_uuid_of_name(const char *name);
struct uuid group_uuid_of_name(const char *name);

/* UUIDv5 of the snapshot of a volume that belongs to a group. */
struct uuid snapshot_uuid_of_member(const struct uuid *group, const struct uuid *volume);

/* UUIDv5 of any volume ID, as a file name for what the node keeps about it. */
struct uuid volume_uuid_of_id(const char *volume_id);

/* UUIDv5 of a key of 32 random bytes or more: says whether two are the same, and nothing else. */
struct uuid secret_uuid(const char *secret);

/*
 * Checks a required string field: neither empty, nor longer than max bytes, nor with control
 * characters. `field` names it in the error.
 */
int require_text(const char *field, const char *text, size_t max, struct err *err);

/* Checks a required path field: absolute, canonical (no "." or ".." part), at most PATH_BYTES_MAX. */
int require_path(const char *field, const char *text, struct err *err);

#endif
