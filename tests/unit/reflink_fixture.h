/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of target_fixture.h with its pool fast on an xfs that shares blocks, and slow on a
 * tmpfs, which does not. Both are in a mount namespace of the test's own.
 */
#ifndef TESTS_UNIT_REFLINK_FIXTURE_H
#define TESTS_UNIT_REFLINK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Before the fixture, whose dir would hide their parameters. */
#include "tests/unit/own_mounts.h"

#include "tests/unit/target_fixture.h"

#include "tests/unit/disk_file.h"

#define SNAP "11111111-6f0c-4f0e-9f0a-0b6f3f6c2a01"
#define SNAP_2 "22222222-6f0c-4f0e-9f0a-0b6f3f6c2a02"
#define CLONE "33333333-6f0c-4f0e-9f0a-0b6f3f6c2a03"
#define GROUP "44444444-6f0c-4f0e-9f0a-0b6f3f6c2a04"
#define VOLUME_BYTES (1 << 20)

/* Once a program: the xfs is made; it is mounted for each test. */
static inline int reflink_group_setup(void **state)
{
	if (own_mounts() < 0 || disk_setup(state) < 0)
		return -1;
	if (may_mount)
		RUN("mkfs.xfs", "-q", "-m", "reflink=1", disk);
	return 0;
}

static inline int reflink_group_teardown(void **state)
{
	return disk_teardown(state);
}

static inline int reflink_setup(void **state)
{
	cleanup_free char *fast = NULL, *slow = NULL;
	struct err err = ERR_INIT;

	if (target_dirs_setup(state) < 0)
		return -1;
	fast = xasprintf("%s/fast", dir);
	slow = xasprintf("%s/slow", dir);
	if (may_mount) {
		RUN("mount", "-o", "loop", disk, fast);
		RUN("mount", "-t", "tmpfs", "-o", "size=64m", "test", slow);
	}
	if (open_target(&err) == 0 && target_restore(target, &err) == 0)
		return 0;
	fail_msg("%s", err.msg);
	return -1;
}

static inline int reflink_teardown(void **state)
{
	cleanup_free char *fast = xasprintf("%s/fast", dir), *slow = xasprintf("%s/slow", dir);

	close_target();
	if (may_mount) {
		RUN("find", fast, "-mindepth", "1", "-delete");
		RUN("umount", fast);
		RUN("umount", slow);
	}
	return target_dirs_teardown(state);
}

#define REFLINK(f) cmocka_unit_test_setup_teardown(f, reflink_setup, reflink_teardown)

/* Writes a byte into the image of a volume of the pool fast, all over a block of 4096. */
static inline void write_block(const char *uuid, unsigned block, char byte)
{
	cleanup_free char *path = xasprintf("%s/fast/%s.img", dir, uuid);
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
	char text[4096];

	memset(text, byte, sizeof(text));
	assert_int_equal(pwrite(fd, text, sizeof(text), (off_t)block * 4096), sizeof(text));
	assert_int_equal(fsync(fd), 0);
}

static inline char read_block(const char *uuid, unsigned block)
{
	cleanup_free char *path = xasprintf("%s/fast/%s.img", dir, uuid);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char byte = 0;

	assert_int_equal(pread(fd, &byte, 1, (off_t)block * 4096 + 7), 1);
	return byte;
}

static inline struct target_snapshot_item item_of(const char *uuid, const char *name,
						  const char *volume)
{
	struct target_snapshot_item item = { .name = name };

	snprintf(item.uuid.text, sizeof(item.uuid.text), "%s", uuid);
	snprintf(item.volume.text, sizeof(item.volume.text), "%s", volume);
	return item;
}

static bool take_frozen; /* with freeze, from now on */

static inline int take_items(const struct target_snapshot_item *items, size_t count,
			     const char *group, struct volume_list *ret, struct err *err)
{
	static const struct volume_parameter parameter = { (char *)"key", (char *)"value" };
	struct target_snapshot_request request = {
		.items = items,
		.count = count,
		.group_name = "group-1",
		.parameters = &parameter,
		.parameter_count = 1,
		.freeze = take_frozen,
	};

	snprintf(request.group.text, sizeof(request.group.text), "%s", group);
	return target_snapshot_take(target, &request, ret, err);
}

/* One snapshot. */
static inline int take(const char *uuid, const char *name, const char *volume, struct err *err)
{
	cleanup_volume_list struct volume_list list = { 0 };
	struct target_snapshot_item item = item_of(uuid, name, volume);

	return take_items(&item, 1, "", &list, err);
}

/* SNAP of UUID and SNAP_2 of OTHER, at one moment. */
static inline int take_group(struct err *err)
{
	cleanup_volume_list struct volume_list list = { 0 };
	const struct target_snapshot_item items[] = { item_of(SNAP, "snap-1", UUID),
						      item_of(SNAP_2, "snap-2", OTHER) };

	return take_items(items, ARRAY_SIZE(items), GROUP, &list, err);
}

static inline struct volume copy_request(const char *uuid, const char *source, bool snapshot)
{
	struct volume volume = request(uuid);

	snprintf(volume.source.text, sizeof(volume.source.text), "%s", source);
	volume.source_is_snapshot = snapshot;
	return volume;
}

static inline int copy_to(const char *uuid, const char *source, bool snapshot, struct err *err)
{
	cleanup_volume struct volume want = copy_request(uuid, source, snapshot), made = { 0 };

	return target_create(target, &want, &made, err);
}

/* A snapshot as it is; the caller owns it. */
static inline struct volume get_snapshot(const char *uuid)
{
	struct volume volume = { 0 };
	struct err err = ERR_INIT;

	if (target_snapshot_get(target, uuid, "", &volume, &err) < 0)
		fail_msg("%s", err.msg);
	return volume;
}

static inline bool has_snapshot(const char *uuid)
{
	cleanup_volume struct volume volume = { 0 };
	struct err err = ERR_INIT;

	if (target_snapshot_get(target, uuid, "", &volume, &err) == 0)
		return true;
	assert_int_equal(err.code, ERR_NOT_FOUND);
	return false;
}

/* Whether anything of a UUID is in the pool fast. */
static inline bool is_trace_of(const char *uuid)
{
	static const char *const suffixes[] = { ".img", ".img.new", ".json", ".new.json" };

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (root_exists(&root, "fast/%s%s", uuid, suffixes[i]))
			return true;
	return false;
}

#endif
