/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool: where the backings of volumes come from, and where their records lie. A kind of pool is
 * one file that fills a struct pool_ops and one line in pool.c's table. The functions may be called
 * from any thread; callers make sure that one volume has one caller at a time. All block for as
 * long as the storage does.
 *
 * Room. Backings are sparse, so what counts is what was promised: the sizes of all volumes
 * together. With overcommit 1 a volume is created or grown only if everything promised, also what
 * is not written yet, fits beside what others have in the same storage, and POOL_RESERVE_PERCENT of
 * it stay free (for the storage's own bookkeeping: mapping a block costs a file system at most 16
 * bytes of every 4096). So no write meets full storage because of a promise made here; it can when
 * others fill the storage afterwards, which the warning then says. With overcommit R the promises
 * may be R times as much, but nothing is promised any more once only the reserve is free. The
 * storage is asked each time, what volumes have allocated is looked up once a minute at most, and
 * less often where that takes more than a second: what others have done since is taken for the
 * doing of volumes until then.
 *
 * A copy takes no storage at first: it shares what its source has. A clone promises its whole size
 * all the same. A snapshot promises what its source had allocated when it was taken, which is what
 * stays allocated when all of that source is written anew. What is shared counts once as allocated.
 */
#ifndef NVME_TARGET_POOL_H
#define NVME_TARGET_POOL_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "nvme/base/clock.h"
#include "nvme/base/root.h"
#include "nvme/target/extents.h"
#include "nvme/target/volume.h"

struct pool_ops;

struct pool {
	char name[VOLUME_POOL_SIZE];
	const struct pool_ops *ops;
	struct root records; /* the directory of the volumes' records, locked to this process */
	double overcommit; /* how many times its capacity may be promised to volumes; 1: never more */
	pthread_mutex_t lock;
	uint64_t provisioned_bytes; /* the sizes of all its volumes together; see pool_promise */
	/* What is free and what volumes have allocated, together, as last measured: that neither
	 * writing nor discarding nor deleting changes, only what others do. */
	uint64_t usable_bytes;
	struct deadline measure_again;
	bool measured;	    /* there is such a figure */
	bool measuring;	    /* somebody is at a new one */
	atomic_bool shares; /* some of its backings may share storage, since they are copies */
};

#define POOL_RESERVE_PERCENT 2 /* of the capacity */

/* What a kind of pool finds out about its storage; pool.c makes a pool_usage of it. */
struct pool_room {
	uint64_t capacity_bytes; /* size of what is underneath */
	uint64_t free_bytes;	 /* what may still be allocated, by whomever */
	char warning[256];	 /* what is wrong beyond these figures; "": nothing */
	bool closed;		 /* takes no new promise because of the warning */
};

struct pool_allocation {
	uint64_t bytes;		 /* what the volumes that have a record have allocated for data */
	uint64_t overhead_bytes; /* what they may allocate beyond their sizes */
};

struct pool_usage {
	uint64_t capacity_bytes;  /* size of what is underneath */
	uint64_t available_bytes; /* what new volumes may still be promised, overcommit included */
	uint64_t maximum_bytes;	  /* the largest volume that would be created now: whole blocks */
	uint64_t allocated_bytes; /* by volumes, about; what others took lately counts as theirs */
	char warning[256];	  /* what an operator should see to; "": all is well */
};

struct pool_backing {
	uint64_t size_bytes;	  /* may be rounded up: of the storage, not of what hosts see */
	uint64_t allocated_bytes; /* for data, also what it shares */
	bool unfinished;	  /* of a dir: a copy that is not whole, whose path ends in .new */
	bool blank; /* no data at all: every byte reads as zero and none was ever written */
};

/*
 * A kind of pool. Each function does what the one of pool.c with its name does, which says more;
 * those without a comment differ in nothing.
 */
struct pool_ops {
	const char *kind;
	/* Opens the pool that argument ("/path" of "NAME=dir:/path") names; *ret is owned and may
	 * be the head of a larger object. Locks it, so that no other process serves it. */
	int (*open)(const char *argument, struct pool **ret, struct err *err);
	void (*close)(struct pool *pool);
	int (*create)(struct pool *pool, const struct volume *volume, bool again, struct err *err);
	int (*grow)(struct pool *pool, const struct volume *volume, struct err *err);
	int (*attach)(struct pool *pool, const struct volume *volume, bool readonly,
		      struct err *err);
	int (*detach)(struct pool *pool, const struct uuid *uuid, struct err *err);
	int (*find)(struct pool *pool, const struct uuid *uuid, struct pool_backing *ret,
		    struct err *err);
	int (*remove)(struct pool *pool, const struct uuid *uuid, struct err *err);
	int (*list)(struct pool *pool, struct root_names *ret, struct err *err);
	int (*copy)(struct pool *pool, const struct volume *copy, const struct volume *from,
		    struct err *err);
	int (*copy_finish)(struct pool *pool, const struct volume *copy, struct err *err);
	int (*copy_is_whole)(struct pool *pool, const struct uuid *uuid, struct err *err);
	/* NULL: this kind cannot tell. */
	int (*extents)(struct pool *pool, const struct volume *snapshot, const struct volume *base,
		       uint64_t start_bytes, struct extents *ret, struct err *err);
	/* NULL: the same. */
	int (*used)(struct pool *pool, const struct uuid *uuid, uint64_t since_ns, uint64_t *ret,
		    struct err *err);
	/* What pool_usage needs: room each time, allocation, which may look at each volume, at
	 * most once a minute, by one caller at a time; room may be asked meanwhile. */
	int (*room)(struct pool *pool, struct pool_room *ret, struct err *err);
	int (*allocation)(struct pool *pool, struct pool_allocation *ret, struct err *err);
	void (*device_path)(const struct pool *pool, const struct volume *volume, bool readonly,
			    char out[PATH_MAX]);
};

extern const struct pool_ops pool_dir_ops;
extern const struct pool_ops pool_lvm_ops;

/*
 * Opens "NAME=KIND:ARGUMENT". ERR_INVALID_ARGUMENT: malformed. ERR_FAILED_PRECONDITION: it is not
 * there, or another process serves it.
 */
int pool_open(const char *text, struct pool **ret, struct err *err);
void pool_close(struct pool *pool);
DEFINE_CLEANUP(struct pool *, pool_close)
#define cleanup_pool CLEANUP(pool_closep)

/*
 * Makes the backing of a volume: exactly size_bytes, blank, and with synchronous writes unless
 * volatile_cache. Durable once its record is committed after it (record_commit). Finishes what an
 * interrupted call began. A backing that holds data is never touched: ERR_FAILED_PRECONDITION, as
 * when the storage cannot keep acknowledged writes. again: the intended record is of an earlier
 * call; only then may what cannot be looked at be the rest of that call, and be removed. Room is
 * pool_promise's business. ERR_OUT_OF_RANGE: the storage has no backings of this size.
 */
int pool_create(struct pool *pool, const struct volume *volume, bool again, struct err *err);

/*
 * Grows the backing of a volume to its size_bytes; one that is larger is ERR_INTERNAL. Its data
 * stays, the rest reads as zeros; durable when it returns. Finishes what an interrupted call began.
 */
int pool_grow(struct pool *pool, const struct volume *volume, struct err *err);

/*
 * Takes a copy of the backing of `from`, a volume or snapshot of the same pool, as it is at one
 * moment within this call, also under a writer; for pool_copy_finish to make it the backing of
 * `copy`, which may be larger and may be a snapshot. What an earlier call took is dropped. A record
 * must say already that copy is being made. ERR_DATA_LOSS: the source is gone or has another size
 * than its volume; ERR_FAILED_PRECONDITION: this storage has no copies, which it names;
 * ERR_RESOURCE_EXHAUSTED.
 */
int pool_copy(struct pool *pool, const struct volume *copy, const struct volume *from,
	      struct err *err);

/*
 * Makes the copy that was taken a backing: of the copy's size, with synchronous writes unless
 * volatile_cache. Durable once its record is committed after it. Finishes what an interrupted call
 * began.
 */
int pool_copy_finish(struct pool *pool, const struct volume *copy, struct err *err);

/* Whether pool_copy_finish has come to its end. 1: yes; 0: no, or there is no copy; -1: error. */
int pool_copy_is_whole(struct pool *pool, const struct uuid *uuid, struct err *err);

/*
 * Fills the list as extents_read does, from the backing of a snapshot, and, unless base is NULL,
 * that of an older one of the same volume. Nobody removes or writes either meanwhile.
 * ERR_DATA_LOSS: one is gone, or not of its size. ERR_FAILED_PRECONDITION: this kind of pool, or
 * this machine, cannot tell. ERR_UNAVAILABLE: not now. ERR_DEADLINE_EXCEEDED: it takes too long.
 */
int pool_extents(struct pool *pool, const struct volume *snapshot, const struct volume *base,
		 uint64_t start_bytes, struct extents *ret, struct err *err);

/*
 * What the backing of a snapshot holds by itself: its removal frees as much. It is that of a moment
 * since since_ns (clock_now_ns), so with one value for many backings a kind may look at all of them
 * at once. 1: told; 0: the pool cannot tell, or not in time, or there is no such backing. What
 * several share with one another and with nothing else is in none of their figures, so that
 * removing all of them frees more than the sum. Nobody need hold the snapshot. Blocks for less than
 * POOL_USED_MS, unless the storage hangs.
 */
int pool_used(struct pool *pool, const struct uuid *uuid, uint64_t since_ns, uint64_t *ret,
	      struct err *err);
#define POOL_USED_MS 13000

/*
 * Takes bytes of the pool for a volume that is to be made or grown, under a lock, so that two
 * callers never take the same: ERR_RESOURCE_EXHAUSTED when they are more than pool_usage calls
 * available. Give them back with pool_unpromise when the volume is gone or was not made. A kind
 * that cannot say how much room it has right now makes it fail, and nothing is taken.
 */
int pool_promise(struct pool *pool, uint64_t bytes, struct err *err);
void pool_unpromise(struct pool *pool, uint64_t bytes);

/* Counts a volume that is there already, whether there is room or not: for start-up. */
void pool_count(struct pool *pool, uint64_t bytes);

/* Says that some of its backings may share storage. */
void pool_set_shares(struct pool *pool);

/*
 * Makes sure that the backing is fit to be exported: there, of the recorded size (else
 * ERR_DATA_LOSS), with the synchronous writes it was created with (which a copy back from a backup
 * may have lost), and that the device of pool_device_path exists: read-only, no write to it ever
 * reaches the backing, whoever sends it. Idempotent, also over a restart of the machine.
 */
int pool_attach(struct pool *pool, const struct volume *volume, bool readonly, struct err *err);

/* Takes away what pool_attach made besides the backing; nothing there is fine. Not while the kernel
 * has the device open. */
int pool_detach(struct pool *pool, const struct uuid *uuid, struct err *err);

/* 1: found; 0: no such backing; -1: error. */
int pool_find(struct pool *pool, const struct uuid *uuid, struct pool_backing *ret,
	      struct err *err);

/* Removes a backing and what it holds, finished or not; an absent one is fine. */
int pool_remove(struct pool *pool, const struct uuid *uuid, struct err *err);

/* The UUIDs, as text, of all backings, also unfinished ones. */
int pool_list(struct pool *pool, struct root_names *ret, struct err *err);

/* How much room there is; see above. Waits for a pool_promise of the same pool, and whoever finds
 * that volumes are to be looked at does so, while others go by the figures that there are. */
int pool_usage(struct pool *pool, struct pool_usage *ret, struct err *err);

/* The path that nvmet opens for a volume that is exported this way; pure. */
void pool_device_path(const struct pool *pool, const struct volume *volume, bool readonly,
		      char out[PATH_MAX]);

#endif
