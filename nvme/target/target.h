/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target: volumes in pools, exported through nvmet. One object a process. The truth is the
 * record beside each backing; the table in memory holds exactly what the records say, and configfs
 * is made to follow. Every change writes the intended record, acts, and writes the committed one;
 * an export's record comes before its effect, the record of its end comes after. A call that fails
 * half-way leaves a state that the same call, its opposite, or target_restore finishes.
 *
 * Thread-safe: of the calls that change one volume only one runs, the others answer ERR_ABORTED at
 * once; calls for different volumes run side by side, target_get and target_info wait for none. All
 * block on the disk, and target_unexport on the I/O under way; a pool whose storage hangs keeps
 * some callers, and further ones get ERR_UNAVAILABLE for it after a moment. What comes from outside
 * is checked before it touches a path; results are copies. A volume whose record could not be read
 * is neither absent nor usable: every call for it answers ERR_FAILED_PRECONDITION and names the
 * file; nor is one that is being created or deleted.
 */
#ifndef NVME_TARGET_TARGET_H
#define NVME_TARGET_TARGET_H

#include "nvme/base/portal.h"
#include "nvme/target/extents.h"
#include "nvme/target/volume.h"

#define TARGET_ID_SIZE VOLUME_POOL_SIZE
#define TARGET_LABEL_KEY_SIZE (253 + 1 + 63 + 1) /* "PREFIX/NAME", as Kubernetes bounds labels */
#define TARGET_LABEL_VALUE_SIZE (63 + 1)
#define TARGET_TOPOLOGY_MAX 16

struct target;

/* A part of where the target stands: topology.kubernetes.io/zone=a. */
struct target_label {
	char key[TARGET_LABEL_KEY_SIZE];
	char value[TARGET_LABEL_VALUE_SIZE];
};

/* Borrowed for the time of target_new. */
struct target_config {
	const char *id;		  /* [a-z0-9-]{1,32} */
	const char *const *pools; /* "NAME=dir:/PATH", "NAME=lvm:VG/THINPOOL" */
	size_t pool_count;
	const struct portal *portals; /* every volume is exported at all of them */
	size_t portal_count;
	const char *const *topology; /* "KEY=VALUE"; none: reachable from everywhere */
	size_t topology_count;
	const char *const *overcommit; /* "POOL=RATIO", 1 to 100; 1 for a pool that is not named */
	size_t overcommit_count;
	const char *nvmet_path; /* NULL: /sys/kernel/config/nvmet */
};

/*
 * Opens the pools, each locked to this process, and nvmet. Changes nothing. ERR_INVALID_ARGUMENT
 * and ERR_FAILED_PRECONDITION name what is wrong and what to do.
 */
int target_new(const struct target_config *config, struct target **ret, struct err *err);

/* Leaves all exports as they are: the kernel serves on. */
void target_free(struct target *target);
DEFINE_CLEANUP(struct target *, target_free)
#define cleanup_target CLEANUP(target_freep)

/*
 * Loads all records and brings pools and configfs to what they say. Once, before any other call.
 * A bad record is set aside as <uuid>.json.bad and its export left alone; a volume that cannot be
 * served, or not to one of its hosts, is logged; none stops the others. An export of our prefix
 * that no record knows is removed if its backing lies in a pool, else left and logged. All
 * subsystems are complete before the first is linked to a port; one that is right already is not
 * touched.
 * A portal that cannot be served is logged and the others are; with none at all exports fail, but
 * fencing is possible. -1: the pools or configfs could not be read; restart to retry.
 */
int target_restore(struct target *target, struct err *err);

/*
 * Creates the volume that request describes (uuid, name, size_bytes, volatile_cache, parameters;
 * pool may be empty: the one with most room of those that answer within some
 * seconds; ERR_UNAVAILABLE when none does). One that exists with the same name, size, write cache,
 * source (and pool, if one is named) is returned as it is; ERR_ALREADY_EXISTS says what differs.
 * ERR_INVALID_ARGUMENT, ERR_RESOURCE_EXHAUSTED, ERR_FAILED_PRECONDITION.
 *
 * With a source it is a copy of that volume or snapshot, in the same pool, as it is at one moment,
 * also under a writer; it is never blank, so that nobody formats it. ERR_NOT_FOUND: there is no
 * such source. ERR_OUT_OF_RANGE: the source is larger. ERR_INVALID_ARGUMENT: the pool is another
 * one. ERR_ABORTED: the source is being changed. ERR_FAILED_PRECONDITION: its pool has no copies.
 */
int target_create(struct target *target, const struct volume *request, struct volume *ret,
		  struct err *err);

/*
 * A volume of a pool (empty: of any). ERR_NOT_FOUND: no such volume there, or no such pool.
 * ERR_ABORTED: it is being created or deleted. ERR_UNAVAILABLE: there is such a volume, which it
 * names, but its pool's storage does not answer within a moment.
 */
int target_get(struct target *target, const char *uuid, const char *pool, struct volume *ret,
	       struct err *err);

/* Raises what target_get raises, without looking at the backing. */
int target_has(struct target *target, const char *uuid, const char *pool, struct err *err);

/*
 * A page of all volumes in the order of their UUIDs: at most max of those after the UUID `after`
 * ("": from the first), whether that one still exists or not. ret_more: there are more.
 * Those that are being created or deleted are left out. ERR_INVALID_ARGUMENT: `after` is no UUID.
 * ERR_UNAVAILABLE: as of target_get, for the whole page.
 */
int target_list(struct target *target, const char *after, size_t max, struct volume_list *ret,
		bool *ret_more, struct err *err);

/*
 * Grows a volume of a pool (empty: of any) to at least size_bytes, which must be a multiple of
 * VOLUME_BLOCK_BYTES: record, backing, the kernel's namespace, which tells the hosts, record. One
 * that is this large already is success, after the kernel was told again. An expansion that was
 * begun before is finished first, as target_export and target_restore do, too; one that fails is
 * taken back unless the backing has grown. ERR_NOT_FOUND; ERR_ABORTED when it is being created or
 * deleted, and that call is to be made again first; ERR_RESOURCE_EXHAUSTED; ERR_DATA_LOSS when the
 * backing is gone or short; ERR_FAILED_PRECONDITION while it is exported read-only.
 */
int target_expand(struct target *target, const char *uuid, const char *pool, uint64_t size_bytes,
		  struct volume *ret, struct err *err);

/*
 * Sets mutable parameters of a volume of a pool (empty: of any); others stay. ERR_NOT_FOUND;
 * ERR_ABORTED as target_expand; ERR_INVALID_ARGUMENT when they leave the bounds of a volume's
 * parameters.
 */
int target_modify(struct target *target, const char *uuid, const char *pool,
		  const struct volume_parameter *set, size_t count, struct volume *ret,
		  struct err *err);

/*
 * What is wrong with a volume that target_get or target_list has shown; only what is certain:
 *	BackingMissing (data loss), BackingShort (data loss), BackingUnreadable (degraded)
 *	PoolFull (degraded): the pool warns, as it did at most some seconds ago
 *	ExportMissing (inaccessible): the kernel does not let in a host that the record names, has
 *	no enabled namespace for it, or leads to it from no portal
 *	PortalMissing (degraded): it is not reached at every portal
 * Looks at the disk, for a moment and no longer, and at configfs, and waits for no call that
 * changes the volume: while one runs only the pool is judged. A volume that is gone meanwhile has
 * nothing wrong.
 */
void target_conditions(struct target *target, const struct uuid *uuid,
		       struct volume_conditions *ret);

/*
 * Something that no volume accounts for: left alone, and shown to an operator. A record that could
 * not be read or is a volume's second one, a backing without a record, a subsystem of our prefix
 * that no record wants.
 */
struct target_orphan {
	const char *kind; /* static: "record", "backing" or "export" */
	char uuid[UUID_TEXT_SIZE];
	char pool[VOLUME_POOL_SIZE];
	char *path;
	char *message; /* why, and what to do about it */
};

struct target_orphans {
	struct target_orphan *items;
	size_t count;
};

/*
 * Looks at every pool and at configfs as they are now; what a call is at work on is left out. In
 * the order of kind and pool. ERR_UNAVAILABLE: a pool's storage does not answer within a moment.
 */
int target_orphans(struct target *target, struct target_orphans *ret, struct err *err);
void target_orphans_fini(struct target_orphans *orphans);
#define cleanup_target_orphans CLEANUP(target_orphans_fini)

/*
 * Deletes a volume of a pool (empty: of any). Absent is fine when nothing at all is there: no
 * record, no subsystem, no backing. ERR_FAILED_PRECONDITION: it is exported, the kernel serves it,
 * it is in another pool, its backing has no record, or there is no such pool.
 */
int target_delete(struct target *target, const char *uuid, const char *pool, struct err *err);

/*
 * Exports a volume to a host, and says so only when configfs says so. The errors of export_decide;
 * ERR_NOT_FOUND; ERR_ABORTED as target_expand; ERR_DATA_LOSS when the backing is gone or has
 * another size. After any later error the host still holds the volume, until target_unexport.
 */
int target_export(struct target *target, const char *uuid, const struct volume_export *want,
		  struct volume *ret, struct err *err);

/*
 * The same to a host that has to authenticate itself: want->dhchap says how, keys are its keys of
 * that kind (target_export takes DHCHAP_NONE alone). A host has one pair of keys for all of its
 * volumes. ERR_FAILED_PRECONDITION: it has volumes with other keys, or with authentication of
 * another kind; the kernel knows no keys (6.1). For a volume that the host has already other keys
 * are a change: the kernel gets them at once, and whoever connects from then on needs them; of both
 * keys one can change at a time.
 */
int target_export_keyed(struct target *target, const char *uuid, const struct volume_export *want,
			const struct dhchap_keys *keys, struct volume *ret, struct err *err);

/*
 * Ends the export to a host, or to all when host_nqn is empty. When it returns 0 the host has no
 * session and gets none: a fence. configfs decides, so it fences without a record, too. An absent
 * volume or export is fine.
 */
int target_unexport(struct target *target, const char *uuid, const char *host_nqn, struct err *err);

/* --- snapshots -------------------------------------------------------------------------------- */

struct target_snapshot_item {
	struct uuid uuid;
	const char *name;
	struct uuid volume;
};

/* Snapshots to be taken at one moment: one, or, with a group, one or several of different volumes. */
struct target_snapshot_request {
	const struct target_snapshot_item *items;
	size_t count;
	struct uuid group;			   /* empty: none */
	const char *group_name;			   /* of a group */
	const struct volume_parameter *parameters; /* kept with each of them */
	size_t parameter_count;
	bool freeze; /* of quiet hosts (struct target_quiesce); kept as the parameter VOLUME_FREEZE */
};

/* Who makes hosts quiet while snapshots of what they write to are taken. */
struct target_quiesce {
	/*
	 * 0: every host that may write to one of the volumes has written out what it had, and sends
	 * nothing new for some seconds; or it has nothing of it in use. -1: not so, and nothing is
	 * left of the attempt. May block for seconds, which are short: turns of pools are held.
	 */
	int (*begin)(void *context, const struct volume *const volumes[], size_t count, void **ret,
		     struct err *err);
	/*
	 * Lets them go on, once for each successful begin. -1: some may have done that before it
	 * was called.
	 */
	int (*end)(void *context, void *begun, struct err *err);
	void *context;
};

/* Before calls are made; borrowed is the context. Without it freeze is ERR_FAILED_PRECONDITION. */
void target_set_quiesce(struct target *target, const struct target_quiesce *quiesce);

/*
 * Takes them all or none: a write that was sent after another had been acknowledged is never in
 * them without that other one. With several of which hosts write to more than one, these hosts are
 * kept waiting meanwhile (nvmet_pause.h). Existing ones with the same names, volumes and group are
 * returned as they are, in the order of the request; ERR_ALREADY_EXISTS says what differs, also
 * that only a part of a group is there, or that they were taken without the freeze that is asked
 * for. ERR_NOT_FOUND: there is no such volume. ERR_ABORTED: one of
 * the volumes is being changed. ERR_FAILED_PRECONDITION: a pool has no copies, or nftables cannot
 * be used. ERR_RESOURCE_EXHAUSTED. ERR_UNAVAILABLE: copying took too long to be of one moment.
 * ERR_INVALID_ARGUMENT. With freeze also what its two functions answer, or ERR_UNAVAILABLE when a
 * few others have been under way for long; and nothing was taken.
 */
int target_snapshot_take(struct target *target, const struct target_snapshot_request *request,
			 struct volume_list *ret, struct err *err);

/* As target_get. ERR_UNAVAILABLE is not among its errors: no backing is looked at. */
int target_snapshot_get(struct target *target, const char *uuid, const char *pool,
			struct volume *ret, struct err *err);

struct target_snapshot_query {
	const char *after; /* as target_list */
	size_t max;
	const char *volume; /* only those of this volume, which may be gone; "": of all */
	const char *group;  /* only those of this group; "": all */
};

/* A page of them, in the order of their UUIDs: as target_list. */
int target_snapshot_list(struct target *target, const struct target_snapshot_query *query,
			 struct volume_list *ret, bool *ret_more, struct err *err);

/*
 * Tells what each of them, as the two above give them, holds by itself: what its deletion would
 * free now. What it shares with its volume, a copy or another snapshot is not in it; so when the
 * other goes it may hold more, and all of a volume's snapshots together hold more than the sum.
 * That takes a walk over all that it has, so of a long list only the first are looked at, one at
 * least, and their number is returned. Those that the pool cannot tell of, exactly and in time,
 * stay as they are. That takes some seconds, and up to 13 more for each thin pool that they are in;
 * a pool that hangs keeps the caller for 15.
 */
size_t target_snapshots_weigh(struct target *target, struct volume snapshots[], size_t count);

/*
 * Deletes a snapshot, as target_delete a volume. Those of the same volume or group, and volumes
 * made from it, stay. A volume's UUID is that of no snapshot: nothing is done, as for an absent
 * one; the same holds for target_delete and a snapshot's. With the UUID of a group ("": any, or
 * none) one that is not of it is ERR_INVALID_ARGUMENT, also one that is still being made.
 */
int target_snapshot_delete(struct target *target, const char *uuid, const char *pool,
			   const char *group, struct err *err);

/* What is asked about the data of a snapshot. */
struct target_extents_query {
	const char *uuid;
	const char *pool;     /* it is in; "": any */
	const char *base;     /* the UUID of an older snapshot of the same volume; "": none */
	uint64_t start_bytes; /* as extents_read takes it */
};

/*
 * Fills the list as extents_read does (extents.h), with what differs from the base, or, without
 * one, with what has data. Neither of the two can be deleted meanwhile. ERR_NOT_FOUND;
 * ERR_INVALID_ARGUMENT: they are of different volumes; ERR_OUT_OF_RANGE; ERR_FAILED_PRECONDITION:
 * the storage does not tell; ERR_ABORTED: one of them is being changed; else as pool_extents.
 */
int target_extents(struct target *target, const struct target_extents_query *query,
		   struct extents *ret, struct err *err);

/* --- the target itself ------------------------------------------------------------------------ */

struct target_pool_info {
	char name[VOLUME_POOL_SIZE];
	const char *kind;
	uint64_t capacity_bytes; /* 0, as the next two, when the pool cannot be asked */
	uint64_t available_bytes;
	uint64_t maximum_bytes;
	uint64_t provisioned_bytes; /* what its records promise, also those not in use */
	char warning[256];	    /* "": all is well */
};

struct target_info {
	struct target_pool_info *pools;
	size_t pool_count;
};

struct target_pool_tally {
	const char *name; /* borrowed, for the life of the target */
	const char *kind;
	bool heard;   /* whether it answers is known: it has said so, or is late to */
	bool answers; /* it has said how much room it has, and owes no answer; else all are 0 */
	uint64_t capacity_bytes;
	uint64_t available_bytes;
	uint64_t provisioned_bytes;
	uint64_t allocated_bytes;
	bool warns;
};

/* Figures for metrics. */
struct target_tally {
	size_t volumes;	    /* that are there, also those being made and deleted */
	size_t snapshots;   /* the same */
	size_t quarantined; /* whose records could not be read */
	size_t exports;
	struct target_pool_tally *pools;
	size_t pool_count;
};

/*
 * From what is known, waiting for nobody. What pools said may be as old as the call before: one
 * that is some seconds old makes it ask them, for the next one.
 */
void target_tally(struct target *target, struct target_tally *ret);
void target_tally_fini(struct target_tally *tally);
#define cleanup_target_tally CLEANUP(target_tally_fini)

/* Borrowed, for the life of the target. */
const char *target_id(const struct target *target);
const struct portal *target_portals(const struct target *target, size_t *ret_count);
const struct target_label *target_topology(const struct target *target, size_t *ret_count);

/* Asks all pools for their room, at once. Those that hang are reported by their warnings, after one
 * moment for all of them. */
void target_info(struct target *target, struct target_info *ret);
void target_info_fini(struct target_info *info);
#define cleanup_target_info CLEANUP(target_info_fini)

#endif
