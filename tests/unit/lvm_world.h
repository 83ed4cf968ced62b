/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A made-up lvm2, device-mapper and sysfs below nvme/target/pool_lvm.c, which is compiled into the
 * program that includes this.
 */
#ifndef TESTS_UNIT_LVM_WORLD_H
#define TESTS_UNIT_LVM_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/root.h"
#include "nvme/base/strb.h"

static int fake_ioctl(int fd, unsigned long request, uint64_t *size);
static int fake_root_open(struct root *root, const char *path, struct err *err);

#define ioctl fake_ioctl
#define root_open fake_root_open
#include "nvme/target/lv.c"
#include "nvme/target/pool_lvm.c"
#undef ioctl
#undef root_open

#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define UUID2 "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a12"
#define LV "nvmeot-" UUID
#define MIB (UINT64_C(1) << 20)
#define NUMBER 1234 /* 4:210 */
#define NUMBER_PATH "dev/block/4:210"

/* The one thin volume, and everything that was done, in order. */
static struct {
	bool there, active, foreign, formatting, copying;
	bool elsewhere;	     /* it is in another thin pool */
	bool no_sysfs;	     /* the kernel does not say in which one it is */
	bool no_device;	     /* there is no device-mapper device of its name */
	bool activate_fails; /* what lvm2 says, whether or not it becomes active */
	bool stays_inactive;
	bool half_made;		     /* the thin pool has no such device */
	int open_fails;		     /* with this errno */
	uint64_t grows_all_the_same; /* what lvm2's metadata says after it failed */
	bool make_fails, records_broken;
	uint64_t records_mapped;
	unsigned claims; /* how often lvm2 was asked whose it is */
	uint64_t size, mapped;
	const char *pool_status;
	dev_t below;
	uint64_t exact;
	bool lvm_fails;
	bool killed; /* … because of that */
	char log[1024];
} world;

static char dir[64], sys_dir[80];
static struct lvm_pool pool;
static struct volume volume;

static void did(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void did(const char *format, ...)
{
	struct strb log = { world.log, strlen(world.log), sizeof(world.log), false };
	va_list args;

	va_start(args, format);
	strb_addv(&log, format, args);
	va_end(args);
	strb_add(&log, "; ");
}

static int fake_ioctl(int fd, unsigned long request, uint64_t *size)
{
	assert_true(fd >= 0);
	assert_int_equal(request, BLKGETSIZE64);
	*size = world.size;
	return 0;
}

/* "/sys" is a tree where the volume's device lies on that of its thin pool. */
static int fake_root_open(struct root *root, const char *path, struct err *err)
{
	assert_string_equal(path, "/sys");
	return root_open(root, world.no_sysfs ? "/proc/self/fdinfo" : sys_dir, err);
}

int lvm_open(const char *argument, struct lvm *ret, struct err *err)
{
	(void)argument, (void)ret;
	return err_set(err, ERR_FAILED_PRECONDITION, "not opened here");
}

int lvm_list(const struct lvm *lvm, const char *tag, const char *prefix, struct root_names *ret,
	     struct err *err)
{
	static const char *const names[] = { "nvmeot-records-tp", LV, "nvmeot-x", "nvmeot-" UUID2 };

	(void)lvm, (void)err;
	assert_string_equal(tag, "nvmeot");
	assert_string_equal(prefix, "nvmeot-");
	ret->names = xcalloc(ARRAY_SIZE(names), sizeof(*ret->names));
	for (ret->count = 0; ret->count < ARRAY_SIZE(names); ret->count++)
		ret->names[ret->count] = xstrdup(names[ret->count]);
	return 0;
}

int lvm_find(const struct lvm *lvm, const char *name, const char *tag, bool *ret_tagged,
	     struct err *err)
{
	(void)lvm, (void)name;
	if (world.there && world.elsewhere)
		return err_set(err, ERR_FAILED_PRECONDITION, "is not in thin pool tp");
	if (world.there)
		*ret_tagged = strcmp(tag, FORMATTING_TAG) == 0 ? world.formatting :
			      strcmp(tag, COPYING_TAG) == 0    ? world.copying :
								 !world.foreign;
	return world.there;
}

int lvm_claim(const struct lvm *lvm, const char *name, const char *tag, struct err *err)
{
	bool tagged = false;
	int found = lvm_find(lvm, name, tag, &tagged, err);

	assert_string_equal(tag, "nvmeot");
	world.claims++;
	if (found > 0 && !tagged)
		return err_set(err, ERR_FAILED_PRECONDITION, "has not the tag nvmeot");
	return found;
}

int lvm_create(const struct lvm *lvm, const char *name, uint64_t size_bytes,
	       const char *const tags[], struct err *err)
{
	(void)name;
	assert_string_equal(tags[0], "nvmeot");
	did("create %" PRIu64 "%s", size_bytes / MIB, tags[1] ?: "");
	if (world.lvm_fails || world.there)
		return err_set(err, world.killed ? ERR_DEADLINE_EXCEEDED : ERR_INTERNAL,
			       "lvcreate failed");
	world.there = world.active = true;
	world.size = round_up(lvm, size_bytes);
	return 0;
}

/* Source and copy are one here. */
int lvm_snapshot(const struct lvm *lvm, const char *name, const char *from,
		 const char *const tags[], struct err *err)
{
	(void)lvm;
	assert_string_equal(tags[0], "nvmeot");
	assert_string_equal(tags[1], "nvmeot.copying");
	did("snapshot %s of %s", name, from);
	if (world.lvm_fails)
		return err_set(err, ERR_INTERNAL, "lvcreate failed");
	world.copying = true;
	return 0;
}

int lvm_activate(const struct lvm *lvm, const char *name, struct err *err)
{
	(void)lvm;
	assert_non_null(strstr(name, "nvmeot-"));
	did("activate");
	world.active = !world.stays_inactive && !world.half_made;
	if (world.half_made)
		return err_set(err, ERR_INTERNAL, "reload ioctl failed: No data available");
	return world.activate_fails ? err_set(err, ERR_INTERNAL, "lvchange failed") : 0;
}

int lvm_grow(const struct lvm *lvm, const char *name, uint64_t size_bytes, struct err *err)
{
	(void)name;
	did("grow %" PRIu64, size_bytes / MIB);
	if (world.lvm_fails)
		return err_set(err, ERR_INTERNAL, "lvextend failed");
	world.size = round_up(lvm, size_bytes);
	return 0;
}

int lvm_untag(const struct lvm *lvm, const char *name, const char *tag, struct err *err)
{
	(void)lvm, (void)name, (void)err;
	did("untag %s", tag);
	world.copying = world.copying && strcmp(tag, COPYING_TAG) != 0;
	return 0;
}

int lvm_remove(const struct lvm *lvm, const char *name, const char *tag, struct err *err)
{
	(void)lvm, (void)name, (void)err;
	assert_string_equal(tag, "nvmeot");
	did("remove");
	world.there = world.active = false;
	return 0;
}

int lvm_refresh(const struct lvm *lvm, const char *name, struct err *err)
{
	(void)lvm, (void)err;
	assert_string_equal(name, LV);
	did("refresh");
	if (world.grows_all_the_same)
		world.size = world.grows_all_the_same;
	return 0;
}

void lvm_close(struct lvm *lvm)
{
	(void)lvm;
}

bool lvm_dm_name(const struct lvm *lvm, const char *name, const char *suffix,
		 char out[DM_NAME_SIZE])
{
	(void)lvm;
	return snprintf(out, DM_NAME_SIZE, "%s%s", name, suffix) < DM_NAME_SIZE;
}

void dm_path(const struct uuid *uuid, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "/dev/mapper/nvmeot-%s", uuid->text);
}

int dm_ensure(const struct uuid *uuid, dev_t below, uint64_t sectors, struct err *err)
{
	(void)uuid, (void)err;
	did("dm %u %" PRIu64, (unsigned)below, sectors * 512 / MIB);
	return 0;
}

int dm_look(const struct uuid *uuid, dev_t *ret_below, uint64_t *ret_sectors, struct err *err)
{
	(void)uuid, (void)err;
	*ret_below = world.below;
	*ret_sectors = world.exact / 512;
	return world.below != 0;
}

int dm_remove(const struct uuid *uuid, struct err *err)
{
	(void)uuid, (void)err;
	did("no dm");
	return 0;
}

int dm_number(const char *name, dev_t *ret, struct err *err)
{
	(void)err;
	assert_non_null(strstr(name, "nvmeot-"));
	*ret = NUMBER;
	return world.there && world.active;
}

/* Whether there is a node already makes no difference. */
int devnode_open(const char *name, mode_t type, dev_t number, int flags, int *ret, struct err *err)
{
	assert_non_null(strstr(name, "mapper/nvmeot-"));
	assert_int_equal(type, S_IFBLK);
	assert_int_equal(number, NUMBER);
	assert_int_equal(flags, O_RDONLY);
	if (world.open_fails)
		return err_sys(err, world.open_fails, "open %s", name);
	*ret = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
}

int records_fs_make(const char *path, uint64_t size_bytes, struct err *err)
{
	assert_string_equal(path, "/dev/mapper/nvmeot-records-tp");
	did("make fs %" PRIu64, size_bytes / MIB);
	return world.make_fails ? err_set(err, ERR_INTERNAL, "no space") : 0;
}

int records_fs_mount(const char *path, dev_t number, const char *at, struct err *err)
{
	(void)path, (void)number, (void)at, (void)err;
	return 0;
}

bool records_fs_is_broken(const struct root *records)
{
	(void)records;
	return world.records_broken;
}

int dm_status(const char *name, char out[DM_STATUS_SIZE], struct err *err)
{
	(void)err;
	if (strcmp(name, "tp-tpool") == 0)
		snprintf(out, DM_STATUS_SIZE, "%s", world.pool_status ?: "");
	else if (strstr(name, "records"))
		snprintf(out, DM_STATUS_SIZE, "%" PRIu64 " 5", world.records_mapped / 512);
	else if (world.mapped == UINT64_MAX)
		snprintf(out, DM_STATUS_SIZE, "Fail");
	else
		snprintf(out, DM_STATUS_SIZE, "%" PRIu64 " 5", world.mapped / 512);
	return strcmp(name, "tp-tpool") == 0 ? world.pool_status != NULL : !world.no_device;
}

/* Of what it is asked only the names are looked at. */
struct thin *thin_new(const struct lvm *lvm, const struct root *records)
{
	(void)lvm, (void)records;
	return NULL;
}

void thin_free(struct thin *thin)
{
	(void)thin;
}

int thin_extents(struct thin *thin, const struct thin_query *query, struct extents *ret,
		 struct err *err)
{
	(void)thin, (void)err;
	did("extents of %s from %s, %" PRIu64 " of %" PRIu64, query->name,
	    query->base_name ?: "nothing", query->start_bytes / MIB, query->size_bytes / MIB);
	ret->count = 0;
	return 0;
}

int thin_own(struct thin *thin, const char *name, uint64_t since_ns, uint64_t *ret_bytes,
	     struct err *err)
{
	(void)thin, (void)err;
	did("own of %s since %" PRIu64, name, since_ns);
	*ret_bytes = 3 * MIB;
	return 1;
}

void view_path(const struct uuid *uuid, char out[PATH_MAX])
{
	dm_path(uuid, out);
}

int view_ensure(const struct uuid *uuid, int backing, uint64_t size_bytes, struct err *err)
{
	(void)uuid, (void)err;
	assert_true(backing >= 0);
	did("view %" PRIu64, size_bytes / MIB);
	return 0;
}

int view_remove(const struct uuid *uuid, struct err *err)
{
	return dm_remove(uuid, err);
}

void through_path(const struct uuid *uuid, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "/dev/nvmeot-%s", uuid->text);
}

int through_ensure(const struct uuid *uuid, const char *path, struct err *err)
{
	(void)uuid, (void)err;
	assert_string_equal(path, "/dev/mapper/nvmeot-" UUID);
	did("through");
	return 0;
}

int through_resize(const struct uuid *uuid, struct err *err)
{
	(void)uuid, (void)err;
	did("resize through");
	return 0;
}

int through_remove(const struct uuid *uuid, struct err *err)
{
	(void)uuid, (void)err;
	did("no through");
	return 0;
}

#endif
