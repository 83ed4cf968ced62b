/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool kind "lvm": a thin volume a volume in a thin pool of LVM. The records lie with the data,
 * in a small ext4 on a thin volume of the same pool, mounted for this process alone.
 *
 * Sizes of thin volumes are rounded up, so hosts get a device-mapper device of the exact size over
 * it; and dm-thin acknowledges writes to new blocks before their mapping is durable, so without
 * writeCache: volatile there is a write-through device on top of that.
 */
#include "nvme/target/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/file.h"
#include "nvme/target/dm.h"
#include "nvme/target/lv.h"
#include "nvme/target/lvm.h"
#include "nvme/target/record.h"
#include "nvme/target/records_fs.h"
#include "nvme/target/thin.h"
#include "nvme/target/thin_status.h"
#include "nvme/target/through.h"
#include "nvme/target/view.h"

#define RUN_PATH "/run/nvmeot"
#define NAME_PREFIX LVM_PREFIX
#define RECORDS_PREFIX NAME_PREFIX "records-" /* followed by the thin pool's name */
#define FORMATTING_TAG "nvmeot.formatting"
#define COPYING_TAG "nvmeot.copying"
#define RECORDS_BYTES (256ULL << 20)
#define METADATA_LIMIT_PERCENT 90
#define SECTOR DM_SECTOR_BYTES

struct lvm_pool {
	struct pool pool;
	struct lvm lvm;
	struct thin *thin;
	int lock;
};

static struct lvm_pool *lvm_pool(struct pool *pool)
{
	return (struct lvm_pool *)pool;
}

static void lv_name(const struct uuid *uuid, char out[LVM_NAME_SIZE])
{
	snprintf(out, LVM_NAME_SIZE, NAME_PREFIX "%s", uuid->text);
}

static void records_name(const struct lvm *lvm, char out[LVM_NAME_SIZE])
{
	snprintf(out, LVM_NAME_SIZE, RECORDS_PREFIX "%.64s", lvm->pool);
}

static uint64_t round_up(const struct lvm *lvm, uint64_t bytes)
{
	return (bytes + lvm->extent_bytes - 1) / lvm->extent_bytes * lvm->extent_bytes;
}

/* --- thin volumes ----------------------------------------------------------------------------- */

typedef int (*lv_finder)(const struct lvm *lvm, const char *name, struct lv *ret, struct err *err);

/* The thin volume of what has one. */
static int lv_get(const struct lvm *lvm, const struct volume *volume, lv_finder find,
		  struct lv *ret, struct err *err)
{
	char name[LVM_NAME_SIZE];
	int found;

	lv_name(&volume->uuid, name);
	found = find(lvm, name, ret, err);
	if (found < 0)
		return -1;
	if (!found)
		return err_set(err, ERR_DATA_LOSS, "the backing %s/%s of the %s is gone",
			       lvm->group, name, volume_sort_name(volume));
	return 0;
}

/* As the record says, rounded up; the larger size of an expansion under way is as good. */
static int check_size(const struct lvm *lvm, const struct volume *volume, const struct lv *lv,
		      struct err *err)
{
	uint64_t wanted = round_up(lvm, volume->size_bytes);
	char name[LVM_NAME_SIZE];

	if (lv->size_bytes == wanted ||
	    (volume->growing_bytes && lv->size_bytes == round_up(lvm, volume->growing_bytes)))
		return 0;
	lv_name(&volume->uuid, name);
	return err_set(err, ERR_DATA_LOSS,
		       "%s/%s has %" PRIu64 " bytes, its record says %" PRIu64 ", which is %" PRIu64
		       " rounded up",
		       lvm->group, name, lv->size_bytes, volume->size_bytes, wanted);
}

/* --- volumes ---------------------------------------------------------------------------------- */

static int backing_look(const struct lvm *lvm, const char *name, lv_finder find,
			struct pool_backing *ret, struct err *err)
{
	cleanup_lv struct lv lv = { .fd = -1 };
	uint64_t mapped = 0;
	int found = find(lvm, name, &lv, err);

	if (found <= 0)
		return found;
	if (lv_mapped(lvm, name, &mapped, err) < 0)
		return -1;
	*ret = (struct pool_backing) { .size_bytes = lv.size_bytes,
				       .allocated_bytes = mapped,
				       .blank = mapped == 0 };
	return 1;
}

static int pool_lvm_find(struct pool *pool, const struct uuid *uuid, struct pool_backing *ret,
			 struct err *err)
{
	char name[LVM_NAME_SIZE];

	lv_name(uuid, name);
	return backing_look(&lvm_pool(pool)->lvm, name, lv_glance, ret, err);
}

/*
 * One whose making was cut short before the thin pool was told of it: its device is what the pool
 * has none of (ENODATA), so there is nothing in it, and nothing makes it usable. But a thin pool
 * whose metadata cannot be read says the same of a volume with data.
 */
static bool is_half_made(const struct err *why)
{
	return strstr(why->msg, "No data available") != NULL;
}

/*
 * A first creation has made nothing unless its command was cut short, and then the next call will
 * know that it is not the first. Because of err it is not known what it meets.
 */
static int refuse_unseen(const struct lvm *lvm, const char *name, const struct err *made,
			 struct err *err)
{
	struct err why = *err;

	if (made->code == ERR_DEADLINE_EXCEEDED) {
		*err = *made;
		return -1;
	}
	if (why.code == ERR_FAILED_PRECONDITION)
		return -1;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "%s/%s has no record, cannot be looked at and may hold data: rename it, or "
		       "put its record back; if it holds none, lvremove it (%.400s)",
		       lvm->group, name, why.msg);
}

/* Only asks lvm2 what is there when it is: most volumes are new. */
static int pool_lvm_create(struct pool *pool, const struct volume *volume, bool again,
			   struct err *err)
{
	static const char *const tags[] = { LV_TAG, NULL };
	const struct lvm *lvm = &lvm_pool(pool)->lvm;
	struct pool_backing backing = { 0 };
	char name[LVM_NAME_SIZE];
	struct err failure;
	int found;

	lv_name(&volume->uuid, name);
	if (lvm_create(lvm, name, volume->size_bytes, tags, &failure) == 0)
		return 0;
	found = backing_look(lvm, name, lv_find, &backing, err);
	if (found < 0 && !again)
		return refuse_unseen(lvm, name, &failure, err);
	if (found < 0 && is_half_made(err)) {
		if (lvm_remove(lvm, name, LV_TAG, err) < 0)
			return -1;
		return lvm_create(lvm, name, volume->size_bytes, tags, err);
	}
	if (found < 0)
		return -1;
	if (!found) {
		*err = failure;
		return -1;
	}
	if (!backing.blank)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s/%s holds data and has no record: rename it, or put its record "
			       "back",
			       lvm->group, name);
	if (backing.size_bytes == round_up(lvm, volume->size_bytes))
		return 0;
	if (lvm_remove(lvm, name, LV_TAG, err) < 0)
		return -1;
	return lvm_create(lvm, name, volume->size_bytes, tags, err);
}

/* The device of the exact size: it is there when the volume is exported for writing. */
static int resize_attached(const struct uuid *uuid, const struct lv *lv, uint64_t size_bytes,
			   struct err *err)
{
	uint64_t sectors = 0;
	dev_t below = 0;
	int found = dm_look(uuid, &below, &sectors, err);

	if (found < 0)
		return -1;
	if (!found || below != lv->number)
		return 0;
	if (dm_ensure(uuid, below, size_bytes / SECTOR, err) < 0)
		return -1;
	return through_resize(uuid, err);
}

/*
 * A command that failed may have grown it all the same; one that was killed may have changed the
 * metadata and not the device.
 */
static int lv_grow(const struct lvm *lvm, const char *name, uint64_t size_bytes, uint64_t wanted,
		   struct err *err)
{
	cleanup_lv struct lv lv = { .fd = -1 };
	struct err ignored;

	if (lvm_grow(lvm, name, size_bytes, err) == 0)
		return 0;
	if (lvm_refresh(lvm, name, &ignored) == 0 && lv_open(lvm, name, &lv, &ignored) > 0 &&
	    lv.size_bytes == wanted)
		return 0;
	return -1;
}

static int pool_lvm_grow(struct pool *pool, const struct volume *volume, struct err *err)
{
	const struct lvm *lvm = &lvm_pool(pool)->lvm;
	cleanup_lv struct lv lv = { .fd = -1 };
	uint64_t wanted = round_up(lvm, volume->size_bytes);
	char name[LVM_NAME_SIZE];

	lv_name(&volume->uuid, name);
	if (lv_get(lvm, volume, lv_find, &lv, err) < 0)
		return -1;
	if (lv.size_bytes > wanted)
		return err_set(err, ERR_INTERNAL,
			       "%s/%s has %" PRIu64 " bytes, more than the %" PRIu64
			       " it is to grow to; backings are never cut",
			       lvm->group, name, lv.size_bytes, wanted);
	if (lv.size_bytes < wanted && lv_grow(lvm, name, volume->size_bytes, wanted, err) < 0)
		return -1;
	return resize_attached(&volume->uuid, &lv, volume->size_bytes, err);
}

static int pool_lvm_attach(struct pool *pool, const struct volume *volume, bool readonly,
			   struct err *err)
{
	const struct lvm *lvm = &lvm_pool(pool)->lvm;
	cleanup_lv struct lv lv = { .fd = -1 };
	char path[PATH_MAX];

	if (lv_get(lvm, volume, lv_find, &lv, err) < 0 || check_size(lvm, volume, &lv, err) < 0)
		return -1;
	if (readonly)
		return view_ensure(&volume->uuid, lv.fd, volume->size_bytes, err);
	if (dm_ensure(&volume->uuid, lv.number, volume->size_bytes / SECTOR, err) < 0)
		return -1;
	if (volume->volatile_cache)
		return 0;
	dm_path(&volume->uuid, path);
	return through_ensure(&volume->uuid, path, err);
}

static int pool_lvm_detach(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	(void)pool;
	if (through_remove(uuid, err) < 0)
		return -1;
	return dm_remove(uuid, err);
}

/*
 * The name of the backing of what is not changed because of this: so the kernel's word for what it
 * is is enough, and lvm2, which takes its time, is not asked.
 */
static int name_unchanged(const struct lvm *lvm, const struct volume *volume,
			  char out[LVM_NAME_SIZE], struct err *err)
{
	cleanup_lv struct lv lv = { .fd = -1 };

	lv_name(&volume->uuid, out);
	if (lv_get(lvm, volume, lv_glance, &lv, err) < 0)
		return -1;
	return check_size(lvm, volume, &lv, err);
}

/* The tag says that it is not whole yet: that of a group the others are not taken, or that it has
 * the size of its source. */
static int pool_lvm_copy(struct pool *pool, const struct volume *copy, const struct volume *from,
			 struct err *err)
{
	static const char *const tags[] = { LV_TAG, COPYING_TAG, NULL };
	const struct lvm *lvm = &lvm_pool(pool)->lvm;
	char name[LVM_NAME_SIZE], from_name[LVM_NAME_SIZE];

	lv_name(&copy->uuid, name);
	if (name_unchanged(lvm, from, from_name, err) < 0)
		return -1;
	return lvm_snapshot(lvm, name, from_name, tags, err);
}

static int pool_lvm_copy_is_whole(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	const struct lvm *lvm = &lvm_pool(pool)->lvm;
	char name[LVM_NAME_SIZE];
	bool copying = false;
	int found;

	lv_name(uuid, name);
	found = lvm_find(lvm, name, COPYING_TAG, &copying, err);
	return found <= 0 ? found : !copying;
}

static int pool_lvm_copy_finish(struct pool *pool, const struct volume *copy, struct err *err)
{
	const struct lvm *lvm = &lvm_pool(pool)->lvm;
	cleanup_lv struct lv lv = { .fd = -1 };
	uint64_t wanted = round_up(lvm, copy->size_bytes);
	int whole = pool_lvm_copy_is_whole(pool, &copy->uuid, err);
	char name[LVM_NAME_SIZE];

	if (whole)
		return whole < 0 ? -1 : 0;
	lv_name(&copy->uuid, name);
	/* It has the tag, which nobody else makes: lvm2 need not be asked once more whose it is. */
	if (lv_get(lvm, copy, lv_glance, &lv, err) < 0)
		return -1;
	if (lv.size_bytes < wanted && lv_grow(lvm, name, copy->size_bytes, wanted, err) < 0)
		return -1;
	return lvm_untag(lvm, name, COPYING_TAG, err);
}

static int pool_lvm_extents(struct pool *pool, const struct volume *snapshot,
			    const struct volume *base, uint64_t start_bytes, struct extents *ret,
			    struct err *err)
{
	const struct lvm *lvm = &lvm_pool(pool)->lvm;
	char name[LVM_NAME_SIZE], base_name[LVM_NAME_SIZE];
	const struct thin_query query = { .name = name,
					  .base_name = base ? base_name : NULL,
					  .size_bytes = snapshot->size_bytes,
					  .start_bytes = start_bytes };

	if (name_unchanged(lvm, snapshot, name, err) < 0 ||
	    (base && name_unchanged(lvm, base, base_name, err) < 0))
		return -1;
	return thin_extents(lvm_pool(pool)->thin, &query, ret, err);
}

static int pool_lvm_used(struct pool *pool, const struct uuid *uuid, uint64_t since_ns,
			 uint64_t *ret, struct err *err)
{
	char name[LVM_NAME_SIZE];

	lv_name(uuid, name);
	return thin_own(lvm_pool(pool)->thin, name, since_ns, ret, err);
}

static int pool_lvm_remove(struct pool *pool, const struct uuid *uuid, struct err *err)
{
	char name[LVM_NAME_SIZE];

	lv_name(uuid, name);
	return lvm_remove(&lvm_pool(pool)->lvm, name, LV_TAG, err);
}

/* Cuts the prefix off; false when the rest is no volume's UUID. */
static bool name_to_uuid(char *name, const void *context)
{
	const char *rest = name + strlen(NAME_PREFIX);
	struct err ignored;
	struct uuid uuid;

	(void)context;
	if (strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) != 0 ||
	    parse_uuid("thin volume", rest, &uuid, &ignored) < 0)
		return false;
	strcpy(name, uuid.text);
	return true;
}

static int pool_lvm_list(struct pool *pool, struct root_names *ret, struct err *err)
{
	if (lvm_list(&lvm_pool(pool)->lvm, LV_TAG, NAME_PREFIX, ret, err) < 0)
		return -1;
	root_names_filter(ret, name_to_uuid, NULL);
	return 0;
}

static void pool_lvm_device_path(const struct pool *pool, const struct volume *volume,
				 bool readonly, char out[PATH_MAX])
{
	(void)pool;
	if (readonly)
		view_path(&volume->uuid, out);
	else if (volume->volatile_cache)
		dm_path(&volume->uuid, out);
	else
		through_path(&volume->uuid, out);
}

/* --- room ------------------------------------------------------------------------------------- */

/* The warning that goes with a thin pool's state; each of them closes it. */
static void judge_state(const struct thin_status *status, bool records_broken,
			struct pool_room *room)
{
	if (records_broken)
		snprintf(
			room->warning, sizeof(room->warning),
			"the file system of the records had an I/O error and cannot be written, so "
			"no volume can change; the thin pool is in mode \"%.32s\": repair it "
			"(lvmthin(7)), then start the target agent again",
			status->mode);
	else if (strcmp(status->mode, "rw") != 0)
		snprintf(room->warning, sizeof(room->warning),
			 "the thin pool is in mode \"%.32s\": see lvmthin(7) about its repair",
			 status->mode);
	else if (status->metadata_used * 100 >= status->metadata_total * METADATA_LIMIT_PERCENT)
		snprintf(room->warning, sizeof(room->warning),
			 "the thin pool's metadata is %" PRIu64 "%% full: writes fail when it is "
			 "full; lvextend --poolmetadatasize makes it larger",
			 status->metadata_used * 100 / status->metadata_total);
	room->closed = room->warning[0];
}

static int pool_lvm_room(struct pool *pool, struct pool_room *ret, struct err *err)
{
	const struct lvm *lvm = &lvm_pool(pool)->lvm;
	struct thin_status status = { 0 };
	struct pool_room room = { 0 };

	if (thin_status_read(lvm, &status, err) < 0)
		return -1;
	room.capacity_bytes = status.data_total * lvm->chunk_bytes;
	room.free_bytes = (status.data_total - status.data_used) * lvm->chunk_bytes;
	judge_state(&status, records_fs_is_broken(&pool->records), &room);
	*ret = room;
	return 0;
}

/* What the thin volume of the records may still take: all of it was written when it was made. */
static uint64_t records_unwritten(const struct lvm *lvm)
{
	char name[LVM_NAME_SIZE];
	uint64_t mapped = 0;
	struct err ignored;

	records_name(lvm, name);
	lv_mapped(lvm, name, &mapped, &ignored);
	return mapped < RECORDS_BYTES ? RECORDS_BYTES - mapped : 0;
}

/*
 * What all thin volumes of the pool take together, but that of the records: where blocks are shared
 * they count once in it. Those of others would be among it.
 */
static uint64_t all_used(const struct lvm *lvm)
{
	struct thin_status status = { 0 };
	uint64_t used, records = 0;
	char name[LVM_NAME_SIZE];
	struct err ignored;

	if (thin_status_read(lvm, &status, &ignored) < 0)
		return 0;
	records_name(lvm, name);
	lv_mapped(lvm, name, &records, &ignored);
	used = status.data_used * lvm->chunk_bytes;
	return used > records ? used - records : 0;
}

/* A volume is allocated by whole chunks, and so may take one more than its size. */
static int pool_lvm_allocation(struct pool *pool, struct pool_allocation *ret, struct err *err)
{
	const struct lvm *lvm = &lvm_pool(pool)->lvm;
	cleanup_root_names struct root_names names = { 0 };
	struct pool_allocation sum = { .overhead_bytes = records_unwritten(lvm) };

	if (record_list(&pool->records, RECORD_LIVE, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		char name[LVM_NAME_SIZE];
		struct err ignored;
		struct uuid uuid;
		uint64_t mapped;

		if (record_name_uuid(names.names[i], &uuid, &ignored) < 0)
			continue;
		lv_name(&uuid, name);
		if (lv_mapped(lvm, name, &mapped, &ignored) == 0)
			sum.bytes += mapped;
		sum.overhead_bytes += lvm->chunk_bytes;
	}
	if (pool->shares) {
		uint64_t used = all_used(lvm);

		sum.bytes = sum.bytes < used ? sum.bytes : used;
	}
	*ret = sum;
	return 0;
}

/* --- the records' file system ----------------------------------------------------------------- */

/*
 * Makes the thin volume of the records with its file system, if there is none. The tag says from
 * the first moment on that the file system is not whole yet; without it nothing is ever formatted.
 */
static int ensure_records(const struct lvm *lvm, const char *name, struct err *err)
{
	static const char *const tags[] = { LV_TAG, FORMATTING_TAG, NULL };
	cleanup_lv struct lv lv = { .fd = -1 };
	char path[PATH_MAX];
	bool formatting = true;
	int found = lvm_find(lvm, name, FORMATTING_TAG, &formatting, err);

	if (found < 0 || (found == 0 && lvm_create(lvm, name, RECORDS_BYTES, tags, err) < 0) ||
	    lv_find(lvm, name, &lv, err) < 0)
		return -1;
	if (!formatting)
		return 0;
	lv_path(lvm, name, path);
	if (records_fs_make(path, lv.size_bytes, err) < 0)
		return err_wrap(err, "the records of thin pool %s/%s", lvm->group, lvm->pool);
	return lvm_untag(lvm, name, FORMATTING_TAG, err);
}

static int mount_records(const struct lvm *lvm, const char *name, const char *dir, struct err *err)
{
	cleanup_lv struct lv lv = { .fd = -1 };
	char path[PATH_MAX];

	if (lv_open(lvm, name, &lv, err) < 0)
		return -1;
	lv_path(lvm, name, path);
	return records_fs_mount(path, lv.number, dir, err);
}

static int lock(int fd, const char *path, struct err *err)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION, "%s is locked: another process serves it (%s)",
		       path, strerrordesc_np(errno));
}

/* The first lock is for those that see the same /run, the second for those that do not. */
static int open_records(struct lvm_pool *pool, struct err *err)
{
	const struct lvm *lvm = &pool->lvm;
	char name[LVM_NAME_SIZE], path[PATH_MAX];

	snprintf(path, sizeof(path), RUN_PATH "/%s/pool-%s", lvm->group, lvm->pool);
	if (file_mkdirs(path, err) < 0)
		return -1;
	snprintf(path, sizeof(path), RUN_PATH "/%s/lock-%s", lvm->group, lvm->pool);
	pool->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (pool->lock < 0)
		return err_sys(err, errno, "open %s", path);
	if (lock(pool->lock, path, err) < 0)
		return -1;
	records_name(lvm, name);
	if (ensure_records(lvm, name, err) < 0)
		return -1;
	snprintf(path, sizeof(path), RUN_PATH "/%s/pool-%s", lvm->group, lvm->pool);
	if (mount_records(lvm, name, path, err) < 0 ||
	    root_open(&pool->pool.records, path, err) < 0)
		return -1;
	return lock(pool->pool.records.fd, path, err);
}

static void pool_lvm_close(struct pool *base)
{
	struct lvm_pool *pool = lvm_pool(base);
	bool mounted = base->records.fd >= 0;

	thin_free(pool->thin);
	root_close(&base->records);
	/* One that stays is used by the next process. */
	if (mounted)
		umount2(base->records.path, UMOUNT_NOFOLLOW);
	cleanup_closep(&pool->lock);
	lvm_close(&pool->lvm);
	free(pool);
}

/* The longest device name of this pool, so that none is cut later. */
static int check_names(const struct lvm *lvm, struct err *err)
{
	static const struct uuid any = { "00000000-0000-4000-8000-000000000000" };
	char name[LVM_NAME_SIZE], device[DM_NAME_SIZE];

	lv_name(&any, name);
	if (strlen(lvm->pool) > 64 || !lvm_dm_name(lvm, name, "", device) ||
	    !lvm_dm_name(lvm, lvm->pool, "-tpool", device))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "the names of volume group %s and thin pool %s are too long",
			       lvm->group, lvm->pool);
	return 0;
}

static int pool_lvm_open(const char *argument, struct pool **ret, struct err *err)
{
	struct lvm_pool *pool = xcalloc(1, sizeof(*pool));

	pool->pool.records = ROOT_INIT;
	pool->lock = -1;
	if (lvm_open(argument, &pool->lvm, err) < 0 || check_names(&pool->lvm, err) < 0 ||
	    open_records(pool, err) < 0) {
		root_close(&pool->pool.records);
		cleanup_closep(&pool->lock);
		lvm_close(&pool->lvm);
		free(pool);
		return -1;
	}
	pool->thin = thin_new(&pool->lvm, &pool->pool.records);
	*ret = &pool->pool;
	return 0;
}

const struct pool_ops pool_lvm_ops = {
	.kind = "lvm",
	.open = pool_lvm_open,
	.close = pool_lvm_close,
	.create = pool_lvm_create,
	.grow = pool_lvm_grow,
	.attach = pool_lvm_attach,
	.detach = pool_lvm_detach,
	.find = pool_lvm_find,
	.remove = pool_lvm_remove,
	.copy = pool_lvm_copy,
	.copy_finish = pool_lvm_copy_finish,
	.copy_is_whole = pool_lvm_copy_is_whole,
	.extents = pool_lvm_extents,
	.used = pool_lvm_used,
	.list = pool_lvm_list,
	.room = pool_lvm_room,
	.allocation = pool_lvm_allocation,
	.device_path = pool_lvm_device_path,
};
