/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the node set out to do with a volume, written durably before the first side effect of a
 * stage and removed after the last of an unstage: `volumes/<uuid of volume ID>.json` below the
 * state directory. It says which subsystem and namespace a volume ID stands for, which an unstage
 * cannot know otherwise; whether anything is mounted or connected it does not say: ask the kernel.
 */
#ifndef CSI_NODE_RECORD_H
#define CSI_NODE_RECORD_H

#include <limits.h>

#include "csi/request/access.h"
#include "csi/request/attachment.h"
#include "csi/request/ids.h"
#include "nvme/base/root.h"
#include "nvme/host/fabrics.h"

/*
 * How the latest stage connected the volume, to connect a portal again that went missing; one that
 * failed counts only if it was the first. Keys of an authentication are never written down: a
 * volume that has some goes without, and its record says only that it takes keys.
 */
struct node_connection {
	struct portal portals[PORTAL_MAX];
	size_t portal_count; /* 0: not known */
	struct host_connect_options options;
};

struct node_record {
	char volume_id[VOLUME_ID_SIZE];
	char nqn[NQN_SIZE];
	bool has_uuid; /* else nsid names the namespace */
	struct uuid uuid;
	uint32_t nsid;
	bool block;
	bool readonly; /* nothing on this node may write to the device */
	char staging_path[PATH_MAX];
	bool takes_keys; /* its sessions are authenticated: it is connected with its secret only */
	struct node_connection connection;
};

/*
 * The record of a stage; pure. staging_path is canonical. readonly: the target exports the volume
 * read-only, or the mode has readers on many nodes.
 */
struct node_record node_record_make(const char *volume_id, const struct attachment *attachment,
				    const struct access *access, const char *staging_path);

/* Notes how the volume is connected or, if that takes keys, only that it does. */
void node_record_set_connection(struct node_record *record, const struct attachment *attachment,
				const struct host_connect_options *options);

/*
 * The record that a volume ID of ours stands for when none was written: everything but the staging
 * path and readonly follows from the ID. False for other IDs.
 */
bool node_record_derive(const char *volume_id, struct node_record *ret);

/* What a volume ID stands for: 1: by its record or by itself; 0: not known; -1: error. */
int node_record_find(const struct root *state, const char *volume_id, struct node_record *ret,
		     struct err *err);

/* What the private mount of the record's namespace is called: its UUID, or one made of NQN, nsid. */
struct uuid node_record_key(const struct node_record *record);

/* 1: read; 0: there is none; -1: error, also for a malformed one, which names the file. */
int node_record_load(const struct root *state, const char *volume_id, struct node_record *ret,
		     struct err *err);
int node_record_save(const struct root *state, const struct node_record *record, struct err *err);
int node_record_remove(const struct root *state, const char *volume_id, struct err *err);

/*
 * Goes over all records (of volumes on the subsystem nqn; NULL: on any) until the function returns
 * true; returns 1 if it did, 0 if none did, -1 when they cannot be listed. One that cannot be read
 * or is malformed is passed over (and logged, unless it does not have the nqn), so that it stands
 * in the way of its own volume alone: what a "no" leads to has to be safe by the kernel's truth.
 * Costs a read per staged volume: only for what cannot be decided otherwise.
 */
int node_record_any(const struct root *state, const char *nqn,
		    bool (*matches)(const struct node_record *record, void *context), void *context,
		    struct err *err);

#endif
