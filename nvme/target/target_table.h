/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's table of volumes, for the files of this folder only. An entry's `busy` lock is held
 * by whoever changes its volume; the target's `lock` is held for moments, to find entries and to
 * swap or copy a volume. Whoever holds busy may read the entry's volume without lock.
 */
#ifndef NVME_TARGET_TARGET_TABLE_H
#define NVME_TARGET_TARGET_TABLE_H

#include <pthread.h>
#include <stdlib.h>

#define uthash_fatal(message) abort()
#include <uthash.h>

#include "nvme/target/nvmet.h"
#include "nvme/target/pool.h"
#include "nvme/target/target.h"

struct target_entry {
	struct uuid uuid; /* the key */
	bool present;	  /* volume and pool are valid */
	bool quarantined; /* there is a record, but it could not be read; pool is valid */
	bool set_aside;	  /* … and it was renamed to .bad */
	struct volume volume;
	struct pool *pool;
	pthread_mutex_t busy;
	unsigned refs;
	UT_hash_handle hh;
};

struct target {
	char id[TARGET_ID_SIZE];
	struct pool **pools;
	size_t pool_count;
	struct nvmet nvmet;
	pthread_mutex_t lock;
	struct target_entry *entries;
};

/*
 * The entry of a volume, locked for changing it; one that is not present is made for the time of
 * the call. Waits for nobody: a pool that hangs must not take the callers with it. -1: the UUID is
 * malformed (ERR_INVALID_ARGUMENT), another call has the volume (ERR_ABORTED), or its record is
 * quarantined (ERR_FAILED_PRECONDITION).
 */
int target_acquire(struct target *target, const char *uuid, struct target_entry **ret,
		   struct err *err);
void target_release(struct target *target, struct target_entry *entry);

/* The entry, made when there is none, without taking it: for target_restore, which is alone. */
struct target_entry *target_entry_ensure(struct target *target, const struct uuid *uuid);
/* Borrowed; NULL when there is none. */
struct target_entry *target_entry_find(struct target *target, const struct uuid *uuid);

/* Raises the error for a quarantined entry. */
int target_quarantined(const struct target_entry *entry, struct err *err);

/* Puts volume into the table, which takes it over, as one whose record is written. */
void target_put(struct target *target, struct target_entry *entry, struct pool *pool,
		struct volume *volume);

/* Writes the record of volume, then puts it into the table; takes it over when it returns 0. */
int target_commit(struct target *target, struct target_entry *entry, struct pool *pool,
		  struct volume *volume, struct err *err);

/* Removes the record, then the volume from the table. */
int target_forget(struct target *target, struct target_entry *entry, struct err *err);

/* A copy for a caller, with `blank` as it is now; a backing that cannot be read is not blank. */
struct volume target_result(struct pool *pool, const struct volume *volume);

/* Bring a volume that is being created or deleted to the end of it. */
int target_finish_create(struct target *target, struct target_entry *entry, struct err *err);
int target_finish_delete(struct target *target, struct target_entry *entry, struct err *err);

#endif
