/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node over the made-up sysfs of host_tree.h, all of it in one temporary directory, and what its
 * tests ask of the mount table. The mounts are those of this machine unless a test has its own.
 */
#ifndef TESTS_UNIT_NODE_WORLD_H
#define TESTS_UNIT_NODE_WORLD_H

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "csi/node/node.h"
#include "csi/node/record.h"
#include "csi/volume/mount.h"
#include "tests/unit/node_fixture.h"
#include "tests/unit/own_mounts.h"

#define CONTROLLER SUBSYS0 "/nvme0"

static struct host host;
static struct node node;

/* A directory below that of the test, for what is no part of sysfs; owned. */
static inline char *world_path(const char *name)
{
	return xasprintf("%s/%s", tree.path, name);
}

static inline void world_mkdirs(const char *path)
{
	struct err err = ERR_INIT;

	if (file_mkdirs(path, &err) < 0)
		fail_msg("%s", err.msg);
}

static inline int world_setup(void **state)
{
	cleanup_free char *dir = NULL;
	struct err err;

	if (tree_setup(state) < 0)
		return -1;
	dir = world_path("state");
	host = HOST_INIT;
	strcpy(host.identity.nqn, HOST_NQN);
	strcpy(host.identity.id.text, HOST_ID);
	host.dev = world_path("nodes");
	world_mkdirs(host.dev);
	return root_open(&host.sysfs, tree.path, &err) || node_open(&node, &host, dir, &err);
}

static inline int world_teardown(void **state)
{
	node_close(&node);
	host_close(&host);
	return tree_teardown(state);
}

#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

/* Writes the record of the volume ID. */
static inline void world_save(const char *nqn, const char *staging_path, bool block)
{
	struct attachment attachment = { .has_uuid = true, .uuid = { UUID } };
	struct access access = { .block = block };
	struct node_record record;
	struct err err = ERR_INIT;

	strcpy(attachment.nqn, nqn);
	record = node_record_make(ID, &attachment, &access, staging_path);
	assert_int_equal(node_record_save(&node.state, &record, &err), 0);
}

/* Also one that cannot be read. */
static inline bool world_has_record(const char *volume_id)
{
	struct node_record record;
	struct err err;

	return node_record_load(&node.state, volume_id, &record, &err) != 0;
}

/* The one controller was told to go: there is no kernel behind it that would let it. */
static inline bool world_was_disconnected(void)
{
	char value[ROOT_VALUE_SIZE];
	struct err err;

	return root_read(&tree, value, &err, CONTROLLER "/delete_controller") == 1 && *value;
}

/* The device number of what is mounted at path, as sysfs writes it. */
static inline void world_mounted_dev(const char *path, char ret[32])
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	snprintf(ret, 32, "%u:%u", major(st.st_dev), minor(st.st_dev));
}

static inline bool world_is_mounted(const char *path)
{
	struct mount_table table cleanup_mount_table = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(mount_table_read(&table, &err), 0);
	return mount_table_find(&table, path) != NULL;
}

#endif
