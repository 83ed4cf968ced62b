/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume as the target knows it: plain data, no locks, no files. What may be exported to whom is
 * decided here, by pure functions, so that the rule against two writers can be read in one place.
 *
 * A snapshot is a volume of another sort: what a volume held at one moment. It has a name, a size,
 * a record and a backing as a volume has, but is never exported, grown or modified.
 */
#ifndef NVME_TARGET_VOLUME_H
#define NVME_TARGET_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/dhchap.h"
#include "nvme/base/err.h"
#include "nvme/base/parse.h"

#define VOLUME_NQN_PREFIX "nqn.2026-11.io.nvmeot:" /* followed by the volume's UUID */
#define VOLUME_BLOCK_BYTES 4096U /* sizes are a multiple of it: the largest LBA of a backing */
#define VOLUME_NAME_MAX 128	 /* CSI: names are at most 128 bytes */
#define VOLUME_POOL_SIZE 33	 /* a pool's name, [a-z0-9-]{1,32}, terminated */
#define VOLUME_EXPORTS_MAX 1024
#define VOLUME_PARAMETERS_MAX 64
#define VOLUME_KEY_MAX 128
#define VOLUME_VALUE_MAX 1024
#define VOLUME_GROUP_MAX 64 /* snapshots that are taken at one moment */

enum volume_access {
	VOLUME_SINGLE_NODE,  /* one host at a time */
	VOLUME_MULTI_WRITER, /* many hosts, all writers */
	VOLUME_MULTI_READER, /* many hosts, all readers */
	VOLUME_ACCESS_COUNT,
};

/* The table holds exactly what the record says; only ready volumes are shown to callers. */
enum volume_state { VOLUME_CREATING, VOLUME_READY, VOLUME_DELETING, VOLUME_STATE_COUNT };

struct volume_export {
	char host_nqn[NQN_SIZE];
	enum volume_access access;
	bool readonly;	/* the volume is exported read-only: the same in every export of it */
	bool host_made; /* the host in nvmet is of our making, so ours to remove */
	enum dhchap_mode dhchap; /* who has to prove itself: the same in every export to a host */
};

struct volume_parameter {
	char *key;
	char *value;
};

/*
 * A parameter that says, with "true", that a snapshot was taken while its hosts were quiet. Until
 * its record is committed nobody knows whether they were.
 */
#define VOLUME_FREEZE "freeze"

/* What only a snapshot has. Owns group_name and members. */
struct volume_snapshot {
	uint64_t created_ns; /* since 1970 (UTC); 0: this is no snapshot */
	uint64_t held_bytes; /* what its source had allocated: the storage may have to keep as much */
	struct uuid group;   /* the group it was taken with; empty: none, as the next three */
	char *group_name;
	struct uuid *members; /* all snapshots of the group, this one too */
	size_t member_count;
	bool weighed;	     /* in results only: target_snapshots_weigh has told this: */
	uint64_t used_bytes; /* what it holds by itself */
};

/* Owns name, parameters, mutables, exports and what the snapshot owns. */
struct volume {
	struct uuid uuid;
	char pool[VOLUME_POOL_SIZE];
	char *name; /* what the CO called it */
	uint64_t size_bytes;
	uint64_t growing_bytes; /* the size that an expansion under way gives it; 0: there is none */
	bool volatile_cache;	/* acknowledged writes may be lost by a crash of the target box */
	bool blank; /* in results only: the backing had no data at the time of the call */
	enum volume_state state;
	struct uuid source; /* what it was copied from, which may be gone; empty: it began blank */
	bool source_is_snapshot;
	struct volume_snapshot snapshot;
	struct volume_parameter *parameters; /* as created */
	size_t parameter_count;
	struct volume_parameter *mutables; /* as last modified */
	size_t mutable_count;
	struct volume_export *exports;
	size_t export_count;
};

struct volume_list {
	struct volume *volumes;
	size_t count;
};

void volume_fini(struct volume *volume);
void volume_list_fini(struct volume_list *list);

#define cleanup_volume CLEANUP(volume_fini)
#define cleanup_volume_list CLEANUP(volume_list_fini)

/* A deep copy; the caller owns it. */
struct volume volume_copy(const struct volume *volume);

void volume_add_parameter(struct volume *volume, const char *key, const char *value);
/* Borrowed; NULL when it has none of that name. */
const char *volume_parameter(const struct volume *volume, const char *key);
/* Whether it is a snapshot of quiet hosts: of a group all or none are. */
bool volume_is_frozen(const struct volume *volume);
/* Sets or replaces a mutable parameter. */
void volume_set_mutable(struct volume *volume, const char *key, const char *value);
void volume_add_export(struct volume *volume, const struct volume_export *entry);
/* A host that has no export is fine. */
void volume_remove_export(struct volume *volume, const char *host_nqn);
/* Borrowed; NULL when the host has none. */
const struct volume_export *volume_find_export(const struct volume *volume, const char *host_nqn);

/* The subsystem NQN of a volume. */
void volume_nqn(const struct uuid *uuid, char out[NQN_SIZE]);

/* Borrowed names: "single-node", "multi-writer", "multi-reader"; "creating", "ready", "deleting". */
const char *volume_access_name(enum volume_access access);
const char *volume_state_name(enum volume_state state);

/* Whether size_bytes can be the size of a volume; ERR_INVALID_ARGUMENT says what would be. */
int volume_check_size(uint64_t size_bytes, struct err *err);

/*
 * Sizes, name, the bounds of both kinds of parameters, and what a snapshot may not have.
 * ERR_INVALID_ARGUMENT names the value.
 */
int volume_check(const struct volume *volume, struct err *err);

bool volume_is_snapshot(const struct volume *volume);

/* Whether it was, or is being, made as a copy of something: a snapshot, a restored one, a clone. */
bool volume_is_copy(const struct volume *volume);

/* "snapshot" or "volume", for messages. */
const char *volume_sort_name(const struct volume *volume);

/* Adds to the members of a snapshot's group. */
void volume_add_member(struct volume *volume, const struct uuid *member);

/*
 * What it takes of its pool: its size, or the one it is growing to; of a snapshot what it may keep
 * from being freed.
 */
uint64_t volume_promised_bytes(const struct volume *volume);

/* Whether its exports are read-only; false when it has none. */
bool volume_is_readonly(const struct volume *volume);

/* What is wrong with a volume; CSI's words for it. */
enum volume_condition_status { VOLUME_DEGRADED, VOLUME_INACCESSIBLE, VOLUME_DATA_LOSS };

#define VOLUME_CONDITIONS_MAX 4

struct volume_condition {
	enum volume_condition_status status;
	const char *reason; /* static, CamelCase; at most once per status */
	char message[256];
};

/* None: nothing known to be wrong. */
struct volume_conditions {
	struct volume_condition items[VOLUME_CONDITIONS_MAX];
	size_t count;
};

enum export_decision { EXPORT_ALREADY, EXPORT_ADD };

/*
 * Whether the wanted export may be added to those the volume has. Call it under the volume's lock.
 * ERR_FAILED_PRECONDITION: another host holds the volume in a way that excludes this one; the
 * message names that host and the way out. Readers and writers exclude each other in both
 * directions, whatever their access is called. It is also what a host gets that has the volume and
 * asks for another kind of authentication. ERR_ALREADY_EXISTS: this host has the volume in
 * another way; the message names both. ERR_INVALID_ARGUMENT: one of many readers that would write.
 * ERR_RESOURCE_EXHAUSTED: VOLUME_EXPORTS_MAX hosts have it.
 */
int export_decide(const struct volume *volume, const struct volume_export *want,
		  enum export_decision *ret, struct err *err);

#endif
