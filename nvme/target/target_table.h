/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's table of volumes and snapshots, for the files of this folder only. An entry's `busy`
 * lock is held by whoever changes its volume, and shared by those who copy it; the target's `lock`
 * is held for moments, to find entries and to swap or copy a volume. Whoever holds busy, shared or
 * not, may read the entry's volume without lock.
 */
#ifndef NVME_TARGET_TARGET_TABLE_H
#define NVME_TARGET_TARGET_TABLE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "nvme/base/clock.h"
#include "nvme/target/host_keys.h"
#include "nvme/target/index.h"
#include "nvme/target/nvmet.h"
#include "nvme/target/nvmet_pause.h"
#include "nvme/target/pool.h"
#include "nvme/target/target.h"

struct target_entry {
	struct uuid uuid; /* the key; the first, for the index */
	bool present;	  /* volume and pool are valid */
	bool quarantined; /* there is a record, but it could not be read; pool is valid */
	bool set_aside;	  /* … and it was renamed to .bad */
	bool unsure;	  /* writing the record failed: it may say something newer; pool is valid */
	struct volume volume;
	struct pool *pool;
	pthread_rwlock_t busy;
	unsigned refs;
	uint64_t call; /* the number of the last call that wanted the entry */
};

/* A host that exports, claims or keys speak of. The counts are under the target's lock. */
struct target_host {
	char nqn[NQN_SIZE];		   /* the key; the first, for the index */
	size_t made;			   /* the exports that say it is of our making */
	size_t exports[DHCHAP_MODE_COUNT]; /* those of each kind of authentication; one kind */
	size_t claims[DHCHAP_MODE_COUNT];  /* the calls that are about to export so */
	size_t pins;			   /* the calls that need it to stay */
	pthread_mutex_t busy;		   /* of keys; also held from a claim to its record */
	struct host_keys keys;
};

/* What is known of a pool's room. It is asked for by a thread of its own: see target_usage. */
struct target_room {
	struct pool_usage usage;
	uint64_t provisioned_bytes;
	struct deadline until; /* when it is too old for conditions */
	uint64_t begun;	       /* the number of the last question; 0: none yet */
	uint64_t answered;     /* the number of the last answer */
	uint64_t begun_ns;
	bool failed; /* … which was this: */
	struct err err;
};

#define TARGET_TURNS 16 /* far below the workers of the server */

/* Snapshots with freeze at once: hosts keep each waiting, while it has turns of its pools. */
#define TARGET_FREEZES (TARGET_TURNS / 4)

struct target {
	char id[TARGET_ID_SIZE];
	struct pool **pools;
	size_t pool_count;
	struct target_label *topology;
	size_t topology_count;
	struct nvmet nvmet;
	struct nvmet_pause pause;      /* while several copies are taken */
	struct target_quiesce quiesce; /* zeros: there is nobody */

	pthread_mutex_t lock;	   /* of the members below */
	struct index entries;	   /* of struct target_entry, by UUID */
	uint64_t calls;		   /* that wanted an entry so far */
	struct index hosts;	   /* of struct target_host, by NQN */
	struct target_room *rooms; /* one for each pool */
	size_t asks;		   /* threads of target_ask */
	pthread_cond_t heard;	   /* an answer for a room has come, or an ask has ended */

	sem_t *turns; /* one for each pool; see target_turn_take */
	uint64_t turn_wait_ms;
	sem_t freezes; /* TARGET_FREEZES of them */
	uint64_t freeze_wait_ms;
	uint64_t answer_wait_ms;     /* for what the storage is asked by a thread of its own */
	uint64_t start_wait_ms;	     /* … while the target starts */
	struct deadline count_until; /* … for all that is counted then, and then for a moment each */
};

/* --- volumes ---------------------------------------------------------------------------------- */

/*
 * The entry of a volume, locked for changing it; one that is not present is made for the time of
 * the call. Waits for nobody: a pool that hangs must not take the callers with it. -1: the UUID is
 * malformed (ERR_INVALID_ARGUMENT), another call has the volume (ERR_ABORTED), or its record is
 * quarantined (ERR_FAILED_PRECONDITION).
 */
int target_acquire(struct target *target, const char *uuid, struct target_entry **ret,
		   struct err *err);
/* The same for reading it: others may do so, too, at the same time. One is never made. */
int target_acquire_shared(struct target *target, const char *uuid, struct target_entry **ret,
			  struct err *err);
void target_release(struct target *target, struct target_entry *entry);

/*
 * Makes the record say what the table says, if the last attempt to change it failed: it may have
 * been replaced or removed all the same, and only the step that makes that durable have failed.
 * Takes a turn in the pool.
 */
int target_settle(struct target *target, struct target_entry *entry, struct err *err);

/* target_acquire, then target_settle: for whatever is no fence, which must not wait for a pool. */
int target_take(struct target *target, const char *uuid, struct target_entry **ret,
		struct err *err);

/* The entry, made when there is none, without taking it: for target_restore, which is alone. */
struct target_entry *target_entry_ensure(struct target *target, const struct uuid *uuid);
/* Borrowed; NULL when there is none. */
struct target_entry *target_entry_find(struct target *target, const struct uuid *uuid);

/* The entry at a place in the order of UUIDs; at must be below entries.count. */
static inline struct target_entry *target_entry_at(const struct target *target, size_t at)
{
	return target->entries.items[at];
}

/* Raises the error for a quarantined entry. */
int target_quarantined(const struct target_entry *entry, struct err *err);

/*
 * Raises ERR_NOT_FOUND unless the volume is there and in this pool (empty: any), ERR_ABORTED when
 * it is being created or deleted. A snapshot is no volume, and a volume no snapshot.
 */
int target_expect(const struct target *target, const struct target_entry *entry, const char *pool,
		  struct err *err);
int target_expect_snapshot(const struct target *target, const struct target_entry *entry,
			   const char *pool, struct err *err);

/* Raises ERR_DATA_LOSS when the backing of a volume is gone or smaller than the volume. */
int target_expect_backing(const struct target_entry *entry, struct err *err);

/* Puts volume into the table, which takes it over, as one whose record is written. */
void target_put(struct target *target, struct target_entry *entry, struct pool *pool,
		struct volume *volume);

/*
 * Writes the record of volume, then puts it into the table; takes it over when it returns 0. When
 * it fails the table stays as it is, and the record is unsure: see target_settle.
 */
int target_commit(struct target *target, struct target_entry *entry, struct pool *pool,
		  struct volume *volume, struct err *err);

/*
 * Removes the record, then the volume from the table, and gives back what it took of the pool.
 * Fails as target_commit.
 */
int target_forget(struct target *target, struct target_entry *entry, struct err *err);

/* Whether its backing is blank now; one that cannot be read is not, and no copy ever is: whatever
 * it is a copy of has been used. */
bool target_is_blank(struct pool *pool, const struct volume *volume);

/* A copy for a caller, with `blank` as it is now. */
struct volume target_result(struct pool *pool, const struct volume *volume);

/* A copy of a volume, and the pool it is in. */
struct target_match {
	struct volume volume;
	struct pool *pool;
};

struct target_matches {
	struct target_match *items;
	size_t count;
};

void target_matches_fini(struct target_matches *matches);

/*
 * Sets `blank` of each to what it is now, with turns taken in their pools. When one of them takes
 * longer than a moment it is ERR_UNAVAILABLE, which names it; so is one that there is no turn for.
 * Takes matches over, gives them back when it returns 0, and leaves none otherwise.
 */
int target_look(struct target *target, struct target_matches *matches, struct err *err);

/* As pool_find, with a turn taken; ERR_UNAVAILABLE when it takes longer than wait_ms. */
int target_find(struct target *target, struct pool *pool, const struct uuid *uuid, uint64_t wait_ms,
		struct pool_backing *ret, struct err *err);

/* Whether some export says that the host is of our making. */
bool target_made_host(struct target *target, const char *host_nqn);

/* --- keys ------------------------------------------------------------------------------------- */

/* The host, made when there is none. Under the lock, as the next. */
struct target_host *target_host_ensure(struct target *target, const char *host_nqn);
/* Drops a host that nothing speaks of any more. */
void target_host_trim(struct target *target, struct target_host *host);
void target_host_free(struct target_host *host);

/* A call that exports to a host, from target_keys_claim to the end of its scope. */
struct target_keys_claim {
	struct target *target;
	struct target_host *host;
	enum dhchap_mode mode;
	bool busy;
};

/*
 * Whether the host may get a volume with want->dhchap and these keys, which are those of that mode;
 * held: it has this volume already. If so the keys are durable in the pool, in which the caller has
 * a turn, and stay the host's at least until the claim ends, by when the record has to say so.
 * ERR_FAILED_PRECONDITION: the host has volumes with other keys, or in another mode; the kernel
 * knows no keys; the host is not of our making. ERR_ABORTED: another call is at them.
 */
int target_keys_claim(struct target *target, const struct pool *pool,
		      const struct volume_export *want, bool held, const struct dhchap_keys *keys,
		      struct target_keys_claim *claim, struct err *err);
void target_keys_claim_fini(struct target_keys_claim *claim);
#define cleanup_keys_claim CLEANUP(target_keys_claim_fini)

/* Gives the keys to the kernel's host: after the record, before the host is let in. */
int target_keys_show(const struct target_keys_claim *claim, struct err *err);

/* Forgets the keys of a host whose last volume with any is gone. Takes a turn in every pool. */
void target_keys_settle(struct target *target, const char *host_nqn);

/* Loads all keys and gives them to the kernel: for target_restore, once all records are loaded. */
int target_keys_restore(struct target *target, struct err *err);

/* --- asking ----------------------------------------------------------------------------------- */

struct target_ask;

/* Work at a pool's storage, which may keep for ever whoever does it. */
struct target_work {
	int (*run)(struct target_ask *ask, void *argument, struct err *err);
	void *argument;
	void (*free_argument)(void *argument);
	/* What it asks for first; without uuid what the pool has. Borrowed for the call. */
	const struct pool *pool;
	const struct uuid *uuid;
};

/*
 * Has the work done by a thread of its own and returns its result. When that asks for one thing for
 * longer than wait_ms it is ERR_UNAVAILABLE, which names pool and volume, and the thread is left to
 * itself. The argument is the caller's again when it returns 0, else the work's to free.
 */
int target_ask(struct target *target, const struct target_work *work, uint64_t wait_ms,
	       struct err *err);

/* The work goes on to this. false: nobody waits for it any more. */
bool target_ask_at(struct target_ask *ask, const struct pool *pool, const struct uuid *uuid);

/* --- finishing -------------------------------------------------------------------------------- */

/*
 * Bring a volume that is being created, deleted or expanded to the end of it. The caller has a turn
 * in its pool. One that is not being expanded is fine. again: an earlier call began to create it.
 */
int target_finish_create(struct target *target, struct target_entry *entry, bool again,
			 struct err *err);
int target_finish_delete(struct target *target, struct target_entry *entry, struct err *err);
int target_finish_expand(struct target *target, struct target_entry *entry, struct err *err);

/* What an earlier deletion of it left; none is fine. Takes a turn in its pool. */
int target_finish_old(struct target *target, struct target_entry *entry, struct err *err);

/* --- copies ----------------------------------------------------------------------------------- */

/* A snapshot or clone that is to be made. */
struct target_copy {
	struct target_entry *entry;	 /* of what is made, held; nothing is there yet */
	const struct target_entry *from; /* of its source, held at least shared */
	/* What is made; taken over once there is a record of it. What a snapshot holds is filled
	 * in. */
	struct volume volume;
};

/*
 * Makes all of them or none, of one moment: a write that was sent after another was acknowledged is
 * in none of them without that other one. When it fails what was begun is taken back, which
 * ERR_INTERNAL says if it could not be; after an error of the last step, which makes their records
 * those of ready ones, the same call, or the next start, goes on. ERR_UNAVAILABLE: the hosts could
 * not be kept from writing for as long as several copies took. Takes turns in the pools.
 *
 * hooks, if they are not NULL: about is called once when nothing is to be waited for any more but
 * the storage, before anything is begun; when it fails nothing has been. taken is called once after
 * it, when all copies are taken, before they count, or one could not be, before any is taken back;
 * when it fails they are taken back, and so they are, by whoever resumes them, after a crash in
 * between. For that they have the parameter VOLUME_FREEZE.
 */
struct target_copy_hooks {
	int (*about)(void *context, struct err *err);
	int (*taken)(void *context, struct err *err);
	void *context;
};

int target_copies_make(struct target *target, struct target_copy copies[], size_t count,
		       const struct target_copy_hooks *hooks, struct err *err);

/*
 * Of a copy that an earlier call began: on to its end if all copies of its group have been made,
 * else back to nothing. The caller has a turn in its pool.
 */
int target_copy_resume(struct target *target, struct target_entry *entry, struct err *err);

/* --- pools ------------------------------------------------------------------------------------ */

/* A caller's turn in a pool, from target_turn_take to the end of its scope. */
struct target_turn {
	sem_t *taken;
};

/*
 * Takes a turn in a pool, before anything that its storage could keep waiting for ever. Of a pool
 * there are TARGET_TURNS, so one that hangs holds that many threads and no more; the next caller
 * waits for a moment and gets ERR_UNAVAILABLE. Not while the caller has a turn in this pool.
 */
int target_turn_take(struct target *target, const struct pool *pool, struct target_turn *ret,
		     struct err *err);

/*
 * One of the TARGET_FREEZES turns of snapshots with freeze: so hosts are not frozen while they wait
 * for one another's copies, and most turns of a pool are left to all else. Before any volume is
 * held, and any turn of a pool: those are not waited for by others for as long as this may take.
 * ERR_UNAVAILABLE.
 */
int target_freeze_take(struct target *target, struct target_turn *ret, struct err *err);

void target_turn_fini(struct target_turn *turn);
#define cleanup_turn CLEANUP(target_turn_fini)

/*
 * The room of a pool as it is now. Takes a turn in it. Waits for the storage for a moment and no
 * longer, and not at all while it owes an answer that long: ERR_UNAVAILABLE. Of a pool that hangs
 * one thread is kept by this.
 */
int target_usage(struct target *target, struct pool *pool, struct pool_usage *ret, struct err *err);

/* What a pool says, or why it does not. */
struct target_answer {
	struct pool_usage usage;
	uint64_t provisioned_bytes; /* what it has promised */
	bool failed;		    /* with this: */
	struct err err;
	bool unheard; /* and nothing is wrong with that yet; then it has failed, too */
};

/* As target_usage, of all pools at once: no longer than of one. answers has a place for each. */
void target_usages(struct target *target, struct target_answer answers[]);

/*
 * What was heard of each pool last, without waiting for any: one that has not been heard of yet, or
 * owes an answer for too long, has failed. Asks anew, for the next caller, what is some seconds old.
 */
void target_usages_known(struct target *target, struct target_answer answers[]);

/* As target_usage, but what was heard some seconds ago is good enough. */
int target_usage_lately(struct target *target, struct pool *pool, struct pool_usage *ret,
			struct err *err);

/* Whether no thread waits for a pool's storage on its own, waiting for a moment until it is so. */
bool target_pools_quiet(struct target *target);

/* Borrowed; NULL when there is none of this name. */
struct pool *target_pool_find(const struct target *target, const char *name);

/* What the configuration says besides pools and portals. ERR_INVALID_ARGUMENT names the item. */
int target_config_overcommit(struct target *target, const struct target_config *config,
			     struct err *err);
int target_config_topology(struct target *target, const struct target_config *config,
			   struct err *err);

/* Whether nvmet opens this path for a volume of the pool, exported in any way. */
bool target_path_is_in(const struct pool *pool, const struct uuid *uuid, const char *path);

#endif
