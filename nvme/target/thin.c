/* SPDX-License-Identifier: Apache-2.0 */
/* A thin pool's metadata, by device-mapper's messages, thin_delta and thin_ls. */
#include "nvme/target/thin.h"

#include <errno.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "nvme/base/file.h"
#include "nvme/base/log.h"
#include "nvme/target/devnode.h"
#include "nvme/target/dm.h"
#include "nvme/target/thin_delta.h"
#include "nvme/target/thin_ls.h"
#include "nvme/target/thin_status.h"

/*
 * Together less than an agent that is told to end gives its calls (cmd/serve.c), so that it leaves
 * no metadata snapshot.
 */
#define TURN_MS 4000
#define RUN_MS 20000
#define OWN_MS 8000
#define CALLERS_MAX 4
#define KEPT_MAX 65536
#define KEPT_RUNS 4
#define MARK "thin-metadata-snapshot"

/* What was read of these two, as they are as long as nothing is made or deleted. */
struct kept {
	bool filled;
	unsigned id, base_id;
	uint64_t transaction;
	uint64_t from_bytes;
	struct extents list;
};

/* What each thin volume had alone. */
struct own {
	uint64_t read_ns; /* when it was asked for */
	bool told;
	struct thin_ls list;
};

struct thin {
	const struct lvm *lvm;
	const struct root *records;
	char pool[DM_NAME_SIZE]; /* the names of their devices */
	char metadata[DM_NAME_SIZE];
	sem_t callers; /* how many more may come */
	pthread_mutex_t turn;
	struct kept kept[KEPT_RUNS]; /* the one used last is the first */
	struct own own;
	atomic_int own_refused;	      /* because of this (enum err_code), which the log has */
	_Atomic uint64_t own_busy_ns; /* when there was no turn for it */
};

/* --- the pool --------------------------------------------------------------------------------- */

/* What a thin pool consists of: numbers of devices, and its chunks. */
struct parts {
	dev_t pool;
	dev_t metadata;
	uint64_t chunk_bytes;
};

static int find_parts(const struct thin *thin, struct parts *ret, struct err *err)
{
	char table[DM_STATUS_SIZE] = "";
	unsigned major, minor;
	uint64_t sectors;
	dev_t pool = 0;
	int found = dm_number(thin->pool, &pool, err);

	if (found > 0)
		found = dm_table(thin->pool, table, err);
	if (found < 0)
		return -1;
	if (sscanf(table, "%u:%u %*u:%*u %" SCNu64, &major, &minor, &sectors) != 3 || sectors == 0)
		return err_set(err, ERR_INTERNAL, "thin pool %s/%s has the table \"%.100s\"",
			       thin->lvm->group, thin->lvm->pool, table);
	*ret = (struct parts) { .pool = pool,
				.metadata = makedev(major, minor),
				.chunk_bytes = sectors * DM_SECTOR_BYTES };
	return 0;
}

/* A thin volume with an origin outside of its pool, which the table would name, is none of ours. */
static int find_id(const struct thin *thin, const struct parts *parts, const char *name,
		   unsigned *ret, struct err *err)
{
	char device[DM_NAME_SIZE], table[DM_STATUS_SIZE] = "", rest;
	unsigned major = 0, minor = 0, id = 0;

	lvm_dm_name(thin->lvm, name, "", device);
	if (dm_table(device, table, err) < 0)
		return -1;
	if (sscanf(table, "%u:%u %u %c", &major, &minor, &id, &rest) != 3 ||
	    makedev(major, minor) != parts->pool)
		return err_set(err, ERR_INTERNAL,
			       "thin volume %s/%s has the table \"%.100s\", not one of thin pool "
			       "%s (%u:%u)",
			       thin->lvm->group, name, table, thin->lvm->pool, major(parts->pool),
			       minor(parts->pool));
	*ret = id;
	return 0;
}

/* --- its metadata snapshot -------------------------------------------------------------------- */

/* A mark that does not say which block was written just before it was reserved. */
static int is_ours(const struct thin *thin, uint64_t held, bool *ret, struct err *err)
{
	cleanup_free char *mark = NULL;
	int found = file_read(thin->records, MARK, &mark, err);
	uint64_t block = held;
	struct err ignored;

	if (found < 0)
		return -1;
	parse_u64("block", mark, 1, INT64_MAX, &block, &ignored);
	*ret = found && block == held;
	return 0;
}

/*
 * Releases what is ours, and takes the mark away. What the state, otherwise that of before, has as
 * reserved is another program's.
 */
static int settle(const struct thin *thin, struct thin_status *ret, bool *ret_released,
		  struct err *err)
{
	bool ours = false;

	if (thin_status_read(thin->lvm, ret, err) < 0 ||
	    (ret->held && is_ours(thin, ret->held, &ours, err) < 0) ||
	    (ours && dm_message(thin->pool, "release_metadata_snap", err) < 0))
		return -1;
	if (ours)
		ret->held = 0;
	*ret_released = ours;
	return root_exists(thin->records, MARK) ? file_remove(thin->records, MARK, err) : 0;
}

static int refuse(const struct thin *thin, struct err *err)
{
	return err_set(err, ERR_UNAVAILABLE,
		       "another program has reserved the metadata snapshot of thin pool %s/%s: try "
		       "again when it is done; if it is gone, dmsetup message %s 0 "
		       "release_metadata_snap",
		       thin->lvm->group, thin->lvm->pool, thin->pool);
}

static int raise_message(const struct thin *thin, const struct thin_status *state, struct err *err)
{
	struct err ignored;

	if (err->sys == EOPNOTSUPP)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "thin pool %s/%s is in mode \"%s\" and takes no metadata snapshot: "
			       "see lvmthin(7) about its repair",
			       thin->lvm->group, thin->lvm->pool, state->mode);
	if (err->sys != EBUSY)
		return -1;
	/* It is not ours, so the mark must not say so. */
	file_remove(thin->records, MARK, &ignored);
	return refuse(thin, err);
}

/*
 * All that there is may have to be copied while it is reserved. Without room for that the pool
 * would take no more writes, and no message either: it could not even be released.
 */
static int may_reserve(const struct thin *thin, const struct thin_status *state, struct err *err)
{
	if (state->held)
		return refuse(thin, err);
	if (state->metadata_used <= state->metadata_total / 2)
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "the metadata of thin pool %s/%s is more than half full (%" PRIu64
		       " of %" PRIu64 " blocks): it can be read when it has been extended, see "
		       "--poolmetadatasize in lvextend(8)",
		       thin->lvm->group, thin->lvm->pool, state->metadata_used,
		       state->metadata_total);
}

/* Whether this fails or not: settle is to follow. */
static int reserve(const struct thin *thin, const struct thin_status *state, uint64_t *ret_block,
		   struct err *err)
{
	struct thin_status now = { 0 };
	char block[32];

	if (file_create(thin->records, MARK, "", err) < 0)
		return -1;
	if (dm_message(thin->pool, "reserve_metadata_snap", err) < 0)
		return raise_message(thin, state, err);
	if (thin_status_read(thin->lvm, &now, err) < 0)
		return -1;
	snprintf(block, sizeof(block), "%" PRIu64, now.held);
	*ret_block = now.held;
	/* If this fails the mark stays as it was. */
	return file_replace(thin->records, MARK, block, err);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* What is to be read of the metadata snapshot at a block of the device at path. */
typedef int (*reader)(const char *path, uint64_t block, const struct parts *parts, void *context,
		      struct err *err);

static int read_delta(const char *path, uint64_t block, const struct parts *parts, void *context,
		      struct err *err)
{
	struct kept *kept = context;
	const struct thin_delta_query query = {
		.device = path,
		.snapshot_block = block,
		.id = kept->id,
		.base_id = kept->base_id,
		.chunk_bytes = parts->chunk_bytes,
		.start_bytes = kept->from_bytes,
	};

	return thin_delta_read(&query, deadline_after_ms(RUN_MS), &kept->list, err);
}

/* That block is what thin_ls looks for by itself. */
static int read_own(const char *path, uint64_t block, const struct parts *parts, void *context,
		    struct err *err)
{
	struct own *own = context;

	(void)block, (void)parts;
	return thin_ls_read(path, deadline_after_ms(OWN_MS), &own->list, err);
}

static int run(const struct thin *thin, const struct parts *parts, uint64_t block, reader read,
	       void *context, struct err *err)
{
	char path[sizeof("/dev/mapper/") + DM_NAME_SIZE];

	snprintf(path, sizeof(path), "/dev/mapper/%s", thin->metadata);
	if (devnode_ensure(path + strlen("/dev/"), S_IFBLK, parts->metadata, err) < 0)
		return -1;
	return read(path, block, parts, context, err);
}

/* What is read counts if this succeeds, after may_reserve. */
static int read_metadata(const struct thin *thin, const struct parts *parts,
			 const struct thin_status *state, reader read, void *context,
			 struct err *err)
{
	struct err failure = ERR_INIT;
	struct thin_status after = { 0 };
	bool released = false;
	uint64_t block = 0;
	int r = reserve(thin, state, &block, err);

	if (r == 0)
		r = run(thin, parts, block, read, context, err);
	if (settle(thin, &after, &released, &failure) < 0) {
		log_warning("the metadata snapshot of a thin pool could not be released: the next "
			    "use or start tries again",
			    KV("pool", thin->pool), KV_ERR(&failure));
		if (r == 0)
			*err = failure;
		return -1;
	}
	if (r == 0 && !released)
		return err_set(err, ERR_UNAVAILABLE,
			       "another program has released the metadata snapshot of thin pool "
			       "%s/%s while it was read: try again",
			       thin->lvm->group, thin->lvm->pool);
	return r;
}

static bool covers(const struct kept *kept, const struct kept *wanted)
{
	return kept->filled && kept->id == wanted->id && kept->base_id == wanted->base_id &&
	       kept->transaction == wanted->transaction &&
	       kept->list.size_bytes == wanted->list.size_bytes &&
	       kept->from_bytes <= wanted->from_bytes && kept->list.next_bytes > wanted->from_bytes;
}

/*
 * Brings to the front what is kept of the two that are asked about, or else what was not used for
 * the longest time: several streams of pages go on side by side.
 */
static struct kept *bring_kept(struct thin *thin, const struct kept *wanted)
{
	struct kept found;
	size_t i = 0;

	while (i < KEPT_RUNS - 1 &&
	       (thin->kept[i].id != wanted->id || thin->kept[i].base_id != wanted->base_id))
		i++;
	found = thin->kept[i];
	memmove(&thin->kept[1], &thin->kept[0], i * sizeof(found));
	thin->kept[0] = found;
	return &thin->kept[0];
}

/* What one call gets of it. */
static void serve(const struct kept *kept, uint64_t start_bytes, struct extents *ret)
{
	struct extents list = { .items = ret->items,
				.max = ret->max,
				.next_bytes = kept->list.next_bytes,
				.size_bytes = kept->list.size_bytes };

	for (size_t i = 0; i < kept->list.count; i++) {
		const struct extent *extent = &kept->list.items[i];
		uint64_t end = extent->offset_bytes + extent->length_bytes;
		uint64_t start = extent->offset_bytes < start_bytes ? start_bytes :
								      extent->offset_bytes;

		if (end > start && !extents_add(&list, start, end))
			break;
	}
	*ret = list;
}

/* With the turn taken. */
static int extents_in_turn(struct thin *thin, const struct thin_query *query, struct extents *ret,
			   struct err *err)
{
	uint64_t start = query->start_bytes - query->start_bytes % EXTENTS_BLOCK_BYTES;
	struct kept wanted = { .from_bytes = start,
			       .list = { .max = KEPT_MAX, .size_bytes = query->size_bytes } };
	struct parts parts = { 0 };
	struct thin_status state = { 0 };
	struct kept *kept;
	bool released;

	if (settle(thin, &state, &released, err) < 0 || find_parts(thin, &parts, err) < 0 ||
	    find_id(thin, &parts, query->name, &wanted.id, err) < 0 ||
	    find_id(thin, &parts, query->base_name ?: query->name, &wanted.base_id, err) < 0)
		return -1;
	wanted.transaction = state.transaction;
	kept = bring_kept(thin, &wanted);
	if (!covers(kept, &wanted)) {
		if (may_reserve(thin, &state, err) < 0)
			return -1;
		wanted.list.items = kept->list.items ?:
						       xcalloc(KEPT_MAX, sizeof(*wanted.list.items));
		*kept = wanted;
		if (read_metadata(thin, &parts, &state, read_delta, kept, err) < 0)
			return -1;
		kept->filled = true;
	}
	serve(kept, start, ret);
	return 0;
}

static int turn_take(struct thin *thin, struct err *err)
{
	struct timespec until = deadline_timespec(deadline_after_ms(TURN_MS));

	if (pthread_mutex_clocklock(&thin->turn, CLOCK_MONOTONIC, &until) == 0)
		return 0;
	return err_set(err, ERR_UNAVAILABLE,
		       "the metadata of thin pool %s/%s is being read by another call: try again",
		       thin->lvm->group, thin->lvm->pool);
}

/* 0: the caller has the turn, to be ended by leave. */
static int enter(struct thin *thin, struct err *err)
{
	if (sem_trywait(&thin->callers) < 0)
		return err_set(err, ERR_UNAVAILABLE,
			       "%d calls read the metadata of thin pool %s/%s, or wait for it: try "
			       "again",
			       CALLERS_MAX, thin->lvm->group, thin->lvm->pool);
	if (turn_take(thin, err) == 0)
		return 0;
	sem_post(&thin->callers);
	return -1;
}

static void leave(struct thin *thin)
{
	pthread_mutex_unlock(&thin->turn);
	sem_post(&thin->callers);
}

int thin_extents(struct thin *thin, const struct thin_query *query, struct extents *ret,
		 struct err *err)
{
	bool itself = query->base_name && strcmp(query->base_name, query->name) == 0;
	int r;

	if (query->start_bytes > query->size_bytes)
		return err_set(err, ERR_OUT_OF_RANGE,
			       "offset %" PRIu64 " is beyond the end of %s/%s, which has %" PRIu64
			       " bytes",
			       query->start_bytes, thin->lvm->group, query->name,
			       query->size_bytes);
	/* Nothing is left to tell, or nothing differs. */
	if (query->start_bytes == query->size_bytes || itself) {
		ret->count = 0;
		ret->next_bytes = ret->size_bytes = query->size_bytes;
		return 0;
	}
	if (enter(thin, err) < 0)
		return -1;
	r = extents_in_turn(thin, query, ret, err);
	leave(thin);
	return r;
}

/* --- what each has alone ---------------------------------------------------------------------- */

/* Of each reason in a row the log has the first. */
static void complain(struct thin *thin, const struct err *why)
{
	if (atomic_exchange(&thin->own_refused, (int)why->code) != (int)why->code)
		log_warning("what snapshots hold by themselves is not known",
			    KV("pool", thin->pool), KV_ERR(why));
}

/* For all of them: those who ask for others of the same list get what was read, or not. */
static void refresh_own(struct thin *thin)
{
	struct parts parts = { 0 };
	struct thin_status state = { 0 };
	struct err why = ERR_INIT;
	bool released;

	thin->own.read_ns = clock_now_ns();
	thin->own.told = settle(thin, &state, &released, &why) == 0 &&
			 may_reserve(thin, &state, &why) == 0 &&
			 find_parts(thin, &parts, &why) == 0 &&
			 read_metadata(thin, &parts, &state, read_own, &thin->own, &why) == 0;
	if (thin->own.told)
		atomic_store(&thin->own_refused, ERR_NONE);
	else
		complain(thin, &why);
}

/* With the turn taken. */
static int own_in_turn(struct thin *thin, const char *name, uint64_t since_ns, uint64_t *ret_bytes,
		       struct err *err)
{
	const struct thin_ls_volume *found;
	struct parts parts = { 0 };
	unsigned id;

	if (thin->own.read_ns < since_ns)
		refresh_own(thin);
	if (!thin->own.told)
		return 0;
	if (find_parts(thin, &parts, err) < 0 || find_id(thin, &parts, name, &id, err) < 0)
		return -1;
	found = thin_ls_find(&thin->own.list, id);
	if (found)
		*ret_bytes = found->own_bytes;
	return found != NULL;
}

int thin_own(struct thin *thin, const char *name, uint64_t since_ns, uint64_t *ret_bytes,
	     struct err *err)
{
	int r;

	if (atomic_load(&thin->own_busy_ns) >= since_ns)
		return 0;
	if (enter(thin, err) < 0) {
		atomic_store(&thin->own_busy_ns, clock_now_ns());
		complain(thin, err);
		return 0;
	}
	r = own_in_turn(thin, name, since_ns, ret_bytes, err);
	leave(thin);
	return r;
}

/* --- its life --------------------------------------------------------------------------------- */

struct thin *thin_new(const struct lvm *lvm, const struct root *records)
{
	struct thin *thin = xcalloc(1, sizeof(*thin));
	struct thin_status state = { 0 };
	struct err err = ERR_INIT;
	bool released = false;

	thin->lvm = lvm;
	thin->records = records;
	lvm_dm_name(lvm, lvm->pool, "-tpool", thin->pool);
	lvm_dm_name(lvm, lvm->pool, "_tmeta", thin->metadata);
	sem_init(&thin->callers, 0, CALLERS_MAX);
	pthread_mutex_init(&thin->turn, NULL);
	if (settle(thin, &state, &released, &err) < 0)
		log_warning(
			"whether a metadata snapshot is left of an earlier process is not known",
			KV("pool", thin->pool), KV_ERR(&err));
	if (released)
		log_info("a metadata snapshot that an earlier process left was released",
			 KV("pool", thin->pool));
	return thin;
}

void thin_free(struct thin *thin)
{
	if (!thin)
		return;
	sem_destroy(&thin->callers);
	pthread_mutex_destroy(&thin->turn);
	for (size_t i = 0; i < KEPT_RUNS; i++)
		free(thin->kept[i].list.items);
	thin_ls_fini(&thin->own.list);
	free(thin);
}
