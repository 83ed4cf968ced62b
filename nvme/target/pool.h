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

#include "nvme/base/root.h"
#include "nvme/target/volume.h"

struct pool_ops;

struct pool {
	char name[VOLUME_POOL_SIZE];
	const struct pool_ops *ops;
	struct root records; /* the directory of the volumes' records, locked to this process */
};

struct pool_usage {
	uint64_t capacity_bytes;
	uint64_t available_bytes;
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
	int (*verify)(struct pool *pool, const struct volume *volume, struct err *err);
	int (*find)(struct pool *pool, const struct uuid *uuid, struct pool_backing *ret,
		    struct err *err);
	int (*remove)(struct pool *pool, const struct uuid *uuid, struct err *err);
	int (*list)(struct pool *pool, struct root_names *ret, struct err *err);
	int (*usage)(struct pool *pool, struct pool_usage *ret, struct err *err);
	void (*device_path)(const struct pool *pool, const struct uuid *uuid, char out[PATH_MAX]);
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
 * Makes sure that the backing is fit to be exported: there, of the recorded size (else
 * ERR_DATA_LOSS) and with the synchronous writes it was created with, which a copy back from a
 * backup may have lost.
 */
int pool_verify(struct pool *pool, const struct volume *volume, struct err *err);

/* 1: found; 0: no such backing; -1: error. */
int pool_find(struct pool *pool, const struct uuid *uuid, struct pool_backing *ret,
	      struct err *err);

/* Removes a backing and what it holds; an absent one is fine. */
int pool_remove(struct pool *pool, const struct uuid *uuid, struct err *err);

/* The UUIDs, as text, of all backings. */
int pool_list(struct pool *pool, struct root_names *ret, struct err *err);

/* What the storage underneath says. */
int pool_usage(struct pool *pool, struct pool_usage *ret, struct err *err);

/* The path that nvmet opens; pure. */
void pool_device_path(const struct pool *pool, const struct uuid *uuid, char out[PATH_MAX]);

/* Whether text has the form [a-z0-9-]{1,32}, as names of pools and targets have. */
bool pool_name_valid(const char *text);

#endif
