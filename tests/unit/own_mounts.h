/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mount namespace of the test program's own, so that nothing of what it mounts is seen or left
 * outside. Where that is refused, to whoever is not root, the tests that need it are skipped.
 */
#ifndef TESTS_UNIT_OWN_MOUNTS_H
#define TESTS_UNIT_OWN_MOUNTS_H

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

static bool may_mount;

static inline int own_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0)
		return errno == EPERM ? 0 : -1;
	may_mount = true;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* Mounts a tmpfs at a new directory; dir is a template of mkdtemp. */
static inline int own_tmpfs(char *dir, const char *options)
{
	if (!mkdtemp(dir) || own_mounts() < 0)
		return -1;
	return may_mount ? mount("test", dir, "tmpfs", 0, options) : 0;
}

static inline int own_tmpfs_remove(const char *dir)
{
	if (may_mount && umount2(dir, MNT_DETACH) < 0)
		return -1;
	return rmdir(dir);
}

#define NEEDS_MOUNT()                                                                              \
	do {                                                                                       \
		if (!may_mount)                                                                    \
			skip();                                                                    \
	} while (0)

#endif
