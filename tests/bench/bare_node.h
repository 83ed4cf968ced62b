/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floors of the node: connect, mkfs, mount, bind, umount and disconnect as system calls with
 * nothing around them. mkfs is the program that the node runs, with its options. Whatever fails
 * ends the program.
 */
#ifndef TESTS_BENCH_BARE_NODE_H
#define TESTS_BENCH_BARE_NODE_H

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>

#include "csi/volume/fs.h"
#include "tests/bench/bench.h"

#define BARE_HOST_ID "aaaaaaaa-0000-4000-8000-000000000001"
#define BARE_HOST "nqn.2014-08.org.nvmexpress:uuid:" BARE_HOST_ID
#define BARE_PAUSE_NS 500000

/* A session and the device that came with it. */
struct bare_device {
	int instance;
	char path[PATH_MAX];
};

static inline bool bare_file_is(const char *path, const char *text)
{
	char found[256] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, found, sizeof(found) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 && strncmp(found, text, strlen(text)) == 0;
}

static inline bool bare_find_device(const char *uuid, char ret[PATH_MAX])
{
	bool found = false;
	glob_t files;

	if (glob("/sys/class/nvme-subsystem/*/nvme*n*/uuid", 0, NULL, &files) != 0)
		return false;
	for (size_t i = 0; i < files.gl_pathc && !found; i++) {
		char *name = files.gl_pathv[i];

		/* nvme0c0n1 is a path to nvme0n1 and has no node. */
		if (!bare_file_is(name, uuid))
			continue;
		*strrchr(name, '/') = '\0';
		name = strrchr(name, '/') + 1;
		snprintf(ret, PATH_MAX, "/dev/%s", name);
		found = !strchr(name, 'c') && access(ret, F_OK) == 0;
	}
	globfree(&files);
	return found;
}

/* The options are what the node asks for when a StorageClass says nothing. */
static inline void bare_connect(const char *uuid, struct bare_device *ret)
{
	const struct timespec pause = { .tv_nsec = BARE_PAUSE_NS };
	cleanup_free char *options = xasprintf(
		"nqn=" VOLUME_NQN_PREFIX "%s,transport=tcp,traddr=127.0.0.1,trsvcid=4420,"
		"hostnqn=" BARE_HOST ",hostid=" BARE_HOST_ID ",nr_io_queues=2,queue_size=128,"
		"keep_alive_tmo=5,reconnect_delay=2,ctrl_loss_tmo=-1",
		uuid);
	char answer[256] = "";
	int fd = BENCH_SYS(open("/dev/nvme-fabrics", O_RDWR | O_CLOEXEC));

	BENCH_SYS(write(fd, options, strlen(options)));
	BENCH_SYS(read(fd, answer, sizeof(answer) - 1));
	close(fd);
	if (sscanf(answer, "instance=%d", &ret->instance) != 1)
		BENCH_DIE("/dev/nvme-fabrics says \"%s\"", answer);
	while (!bare_find_device(uuid, ret->path))
		nanosleep(&pause, NULL);
}

static inline void bare_disconnect(const struct bare_device *device)
{
	cleanup_free char *path =
		xasprintf("/sys/class/nvme/nvme%d/delete_controller", device->instance);
	int fd = BENCH_SYS(open(path, O_WRONLY | O_CLOEXEC));

	BENCH_SYS(write(fd, "1", 1));
	close(fd);
}

static inline void bare_mkfs(const struct bare_device *device)
{
	struct err err = ERR_INIT;

	BENCH_MUST(fs_make(fs_find("ext4"), device->path, NULL, false, deadline_after_ms(BENCH_MS),
			   &err));
}

static inline void bare_mount(const struct bare_device *device, const char *target)
{
	int context = BENCH_SYS(fsopen("ext4", FSOPEN_CLOEXEC)), fd;

	BENCH_SYS(fsconfig(context, FSCONFIG_SET_STRING, "source", device->path, 0));
	BENCH_SYS(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	fd = BENCH_SYS(fsmount(context, FSMOUNT_CLOEXEC, 0));
	BENCH_SYS(move_mount(fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH));
	close(fd);
	close(context);
}

/* Of a reader, so that all three calls are needed. */
static inline void bare_bind(const char *source, const char *target)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	int fd = BENCH_SYS(open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));

	BENCH_SYS(mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)));
	BENCH_SYS(move_mount(fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH));
	close(fd);
}

static inline void bare_umount(const char *target)
{
	BENCH_SYS(umount2(target, 0));
}

#endif
