/* SPDX-License-Identifier: Apache-2.0 */
/* A made-up sysfs in a temporary directory, for the tests of nvme/host. */
#ifndef TESTS_UNIT_HOST_TREE_H
#define TESTS_UNIT_HOST_TREE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/file.h"
#include "nvme/host/host.h"

#define NQN "nqn.2026-11.io.nvmeot:3f2b8c1d-7a64-4f0b-b0c5-9d8e7f6a5b4c"
#define OTHER_NQN "nqn.2026-11.io.nvmeot:other"
#define UUID "3f2b8c1d-7a64-4f0b-b0c5-9d8e7f6a5b4c"
#define OTHER_UUID "11111111-2222-4333-8444-555555555555"
#define HOST_ID "0d1b3f52-93c6-4c43-8a39-1b2b0d7a2c77"
#define HOST_NQN "nqn.2014-08.org.nvmexpress:uuid:" HOST_ID
#define OTHER_HOST_ID "99999999-93c6-4c43-8a39-1b2b0d7a2c77"
#define OTHER_HOST_NQN "nqn.2014-08.org.nvmexpress:uuid:" OTHER_HOST_ID
#define ADDRESS "traddr=192.0.2.1,trsvcid=4420,src_addr=192.0.2.9"
#define SUBSYS0 "class/nvme-subsystem/nvme-subsys0"
#define SUBSYS1 "class/nvme-subsystem/nvme-subsys1"

static struct root tree = ROOT_INIT;

/* Writes text and a newline, as sysfs does, into the file dir/name; makes its directories. */
static inline void tree_put(const char *dir, const char *name, const char *text)
{
	cleanup_free char *full = xasprintf("%s/%s/%s", tree.path, dir, name);
	cleanup_free char *line = xasprintf("%s\n", text);
	cleanup_root struct root parent = ROOT_INIT;
	char *slash = strrchr(full, '/');
	struct err err = ERR_INIT;

	*slash = '\0';
	if (file_mkdirs(full, &err) < 0 || root_open(&parent, full, &err) < 0 ||
	    file_replace(&parent, slash + 1, line, &err) < 0)
		fail_msg("%s", err.msg);
}

static inline void tree_subsystem(const char *dir, const char *nqn)
{
	tree_put(dir, "subsysnqn", nqn);
	tree_put(dir, "model", "Linux");
}

/* class/nvme has every controller, too. */
static inline void tree_class_link(const char *path)
{
	cleanup_free char *class = xasprintf("%s/class/nvme", tree.path);
	cleanup_free char *whole = xasprintf("%s/%s", tree.path, path);
	struct err err = ERR_INIT;

	if (file_mkdirs(class, &err) < 0 ||
	    root_symlink(&tree, whole, &err, "class/nvme%s", strrchr(path, '/')) < 0)
		fail_msg("%s", err.msg);
}

static inline void tree_controller(const char *path, const char *hostnqn, const char *hostid,
				   const char *state, const char *address)
{
	tree_put(path, "transport", "tcp");
	tree_put(path, "hostnqn", hostnqn);
	tree_put(path, "hostid", hostid);
	tree_put(path, "state", state);
	tree_put(path, "address", address);
	tree_put(path, "delete_controller", "");
	tree_class_link(path);
}

static inline void tree_namespace(const char *path, const char *uuid, const char *nsid,
				  const char *dev)
{
	tree_put(path, "uuid", uuid);
	tree_put(path, "nsid", nsid);
	tree_put(path, "dev", dev);
	tree_put(path, "size", "2048");
	tree_put(path, "ro", "0");
}

static inline int tree_setup(void **state)
{
	char dir[] = "/tmp/host_tree.XXXXXX";
	struct err err;

	(void)state;
	return mkdtemp(dir) && root_open(&tree, dir, &err) == 0 ? 0 : -1;
}

static inline int tree_remove_one(const char *path, const struct stat *st, int type,
				  struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int tree_teardown(void **state)
{
	(void)state;
	root_close(&tree);
	return nftw(tree.path, tree_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Opens a host over the tree, as HOST_NQN, whose state is in the tree, too. */
static inline int tree_open_host(struct host *host)
{
	cleanup_free char *state_dir = xasprintf("%s/state", tree.path);
	cleanup_free char *nqn_file = xasprintf("%s/nqn_file", tree.path);
	const struct host_paths paths = {
		.sysfs = tree.path, .dev = tree.path, .nqn_file = nqn_file, .state_dir = state_dir
	};
	struct err err;

	tree_put(".", "nqn_file", HOST_NQN);
	return host_open(host, &paths, &err);
}

#endif
