/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target works on, in a temporary directory: two pools, and a plain directory as nvmet's
 * tree, in which no port can be made.
 */
#ifndef TESTS_UNIT_TARGET_DIRS_H
#define TESTS_UNIT_TARGET_DIRS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/file.h"
#include "nvme/base/proc.h"
#include "nvme/target/target.h"

#define UUID "5d5f4a53-6f0c-4f0e-9f0a-0b6f3f6c2a11"
#define NQN VOLUME_NQN_PREFIX UUID
#define SUBSYSTEM "nvmet/subsystems/" NQN

static char dir[64];
static struct root root = { .fd = -1 }; /* of dir */
static struct target *target;

static inline int target_dirs_setup(void **state)
{
	static const char *const parts[] = { "fast", "slow", "nvmet/subsystems", "nvmet/hosts",
					     "nvmet/ports" };
	struct err err;

	(void)state;
	strcpy(dir, "/tmp/test_target.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		cleanup_free char *path = xasprintf("%s/%s", dir, parts[i]);

		if (file_mkdirs(path, &err) < 0)
			return -1;
	}
	return root_open(&root, dir, &err);
}

static inline int target_dirs_teardown(void **state)
{
	const char *argv[] = { "rm", "-rf", dir, NULL };
	static struct proc_result result;
	struct err err;

	(void)state;
	root_close(&root);
	return proc_run(argv, deadline_after_ms(10000), &result, &err) < 0 || result.exit_code;
}

/* The port is there, without any attribute. */
static inline int target_dirs_add_port(void)
{
	struct err err;

	return root_mkdir(&root, &err, "nvmet/ports/1") < 0 ||
			       root_mkdir(&root, &err, "nvmet/ports/1/subsystems") < 0 ?
		       -1 :
		       0;
}

static inline bool there(const char *path)
{
	return root_exists(&root, "%s", path);
}

/* Writes text to a file below dir, whose directories it makes. */
static inline void put(const char *path, const char *text)
{
	cleanup_free char *full = xasprintf("%s/%s", dir, path);
	cleanup_free char *parent = xstrdup(full);
	cleanup_close int fd = -1;
	struct err err;

	*strrchr(parent, '/') = '\0';
	assert_int_equal(file_mkdirs(parent, &err), 0);
	fd = open(full, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static inline void take_away(const char *path)
{
	struct err err;

	if (root_rmdir(&root, &err, "%s", path) < 0 && root_unlink(&root, &err, "%s", path) < 0)
		fail_msg("%s", err.msg);
}

static inline off_t size_of(const char *path)
{
	struct stat st = { .st_size = -1 };

	fstatat(root.fd, path, &st, 0);
	return st.st_size;
}

#endif
