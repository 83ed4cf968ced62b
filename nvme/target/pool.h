/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool: where the backings of volumes come from, and where their records lie. A kind of pool is
 * one file that fills a struct pool_ops and one line in pool.c's table. The functions keep nothing
 * in memory, so they may be called from any thread; callers make sure that one volume has one
 * caller at a time. All block for as long as the storage does.
 */
#ifndef NVME_TARGET_POOL_H
#define NVME_TARGET_POOL_H

#include <limits.h>
#include <pthread.h>

#include "nvme/base/root.h"
#include "nvme/target/volume.h"

struct pool_ops;

struct pool {
	char name[VOLUME_POOL_SIZE];
	const struct pool_ops *ops;
	struct root records; /* the directory of the volumes' records, locked to this process */
	double overcommit;   /* how many times its capacity may be promised to volumes; 1: never more */
	pthread_mutex_t lock;
	uint64_t provisioned_bytes; /* the sizes of all its volumes together; see pool_promise */
};

struct pool_usage {
	uint64_t capacity_bytes;  /* size of what is underneath */
	uint64_t available_bytes; /* what new volumes may still be promised, overcommit included */
	uint64_t maximum_bytes;	  /* the largest volume that would be created now */
	char warning[256];	  /* what an operator should see to; "": all is well */
};

struct pool_backing {
	uint64_t size_bytes;
	bool blank; /* no data at all: every byte reads as zero and none was ever written */
};

struct pool_ops {
	const char *kind;
	/* Opens the pool that argument ("/path" of "NAME=dir:/path") names; *ret is owned. */
	int (*open)(const char *argument, struct pool **ret, struct err *err);
	void (*close)(struct pool *pool);
	int (*create)(struct pool *pool, const struct volume *volume, struct err *err);
	int (*grow)(struct pool *pool, const struct volume *volume, struct err *err);
	int (*attach)(struct pool *pool, const struct volume *volume, bool readonly,
		      struct err *err);
	int (*detach)(struct pool *pool, const struct uuid *uuid, struct err *err);
	int (*find)(struct pool *pool, const struct uuid *uuid, struct pool_backing *ret,
		    struct err *err);
	int (*remove)(struct pool *pool, const struct uuid *uuid, struct err *err);
	int (*list)(struct pool *pool, struct root_names *ret, struct err *err);
	int (*usage)(struct pool *pool, struct pool_usage *ret, struct err *err);
	void (*device_path)(const struct pool *pool, const struct volume *volume, bool readonly,
			    char out[PATH_MAX]);
};

extern const struct pool_ops pool_dir_ops;

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
 * volatile_cache. Finishes what an interrupted call began. A backing that holds data is never
 * touched: ERR_FAILED_PRECONDITION, as when the storage cannot keep acknowledged writes.
 * ERR_RESOURCE_EXHAUSTED: the pool has less room than size_bytes.
 */
int pool_create(struct pool *pool, const struct volume *volume, struct err *err);

/*
 * Grows the backing of a volume to its size_bytes; one that is larger is ERR_INTERNAL. Its data
 * stays, the rest reads as zeros; durable when it returns. Finishes what an interrupted call began.
 */
int pool_grow(struct pool *pool, const struct volume *volume, struct err *err);

/*
 * Takes bytes of the pool for a volume that is to be made or grown, under a lock, so that two
 * callers never take the same: ERR_RESOURCE_EXHAUSTED when they are more than pool_usage calls
 * available. Give them back with pool_unpromise when the volume is gone or was not made.
 */
int pool_promise(struct pool *pool, uint64_t bytes, struct err *err);
void pool_unpromise(struct pool *pool, uint64_t bytes);

/* Counts a volume that is there already, whether there is room or not: for start-up. */
void pool_count(struct pool *pool, uint64_t bytes);

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

/* Removes a backing and what it holds; an absent one is fine. */
int pool_remove(struct pool *pool, const struct uuid *uuid, struct err *err);

/* The UUIDs, as text, of all backings. */
int pool_list(struct pool *pool, struct root_names *ret, struct err *err);

/* What the storage underneath says. */
int pool_usage(struct pool *pool, struct pool_usage *ret, struct err *err);

/* The path that nvmet opens for a volume that is exported this way; pure. */
void pool_device_path(const struct pool *pool, const struct volume *volume, bool readonly,
		      char out[PATH_MAX]);

/* Whether text has the form [a-z0-9-]{1,32}, as names of pools and targets have. */
bool pool_name_valid(const char *text);

#endif
