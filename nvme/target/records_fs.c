/* SPDX-License-Identifier: Apache-2.0 */
/* The file system of a pool's records: made, checked and mounted. */
#include "nvme/target/records_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "nvme/base/proc.h"

#define PROGRAM_MS 60000
#define INODES "65536" /* each record is one, with a block of 4096 bytes */
#define PIECE_BYTES (1U << 20)
#define MENDED 1 /* e2fsck(8): errors were corrected */

/* accepted: a status beside 0 that is success. */
static int run(const char *const argv[], const char *path, int accepted, struct err *err)
{
	cleanup_free struct proc_result *result = xcalloc(1, sizeof(*result));

	if (proc_run(argv, deadline_after_ms(PROGRAM_MS), result, err) < 0)
		return -1;
	if (result->exit_code != 0 && result->exit_code != accepted)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s %s failed with status %d: %.400s%s%.400s", argv[0], path,
			       result->exit_code, result->out,
			       result->out[0] && result->err[0] ? "; " : "", result->err);
	return 0;
}

/* Writes all of it, and so makes thin storage provide all of it. */
static int fill(const char *path, uint64_t size_bytes, struct err *err)
{
	cleanup_free char *zeros = xcalloc(1, PIECE_BYTES);
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "open %s", path);
	for (uint64_t at = 0; at < size_bytes;) {
		uint64_t left = size_bytes - at;
		ssize_t n = pwrite(fd, zeros, left < PIECE_BYTES ? left : PIECE_BYTES, (off_t)at);

		if (n < 0)
			return err_sys(err, errno, "write %s at %ju", path, (uintmax_t)at);
		at += (uint64_t)n;
	}
	if (fsync(fd) < 0)
		return err_sys(err, errno, "write %s", path);
	return 0;
}

int records_fs_make(const char *path, uint64_t size_bytes, struct err *err)
{
	/* A discard would give back what was just taken. */
	const char *const argv[] = { "mkfs.ext4",
				     "-q",
				     "-F",
				     "-m",
				     "0",
				     "-J",
				     "size=8",
				     "-N",
				     INODES,
				     "-E",
				     "nodiscard,lazy_itable_init=1,lazy_journal_init=1",
				     path,
				     NULL };

	if (fill(path, size_bytes, err) < 0)
		return -1;
	return run(argv, path, 0, err);
}

/*
 * Newer kernels do not show it as read-only, and 6.1 takes new times and forgets them. To remove an
 * attribute that is not there takes a transaction, which none gives, and changes nothing.
 */
bool records_fs_is_broken(const struct root *records)
{
	return fremovexattr(records->fd, "user.nvmeot") < 0 &&
	       (errno == EROFS || errno == EIO || errno == ESHUTDOWN);
}

/* Mounted, perhaps where this process does not see it: the lock on its root says by whom. */
static bool is_in_use(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);

	return fd < 0 && errno == EBUSY;
}

static int check(const char *path, struct err *err)
{
	const char *const argv[] = { "e2fsck", "-p", path, NULL };

	return is_in_use(path) ? 0 : run(argv, path, MENDED, err);
}

/* 1: it is mounted there and can be written; 0: it is not mounted there (any more). */
static int is_usable(dev_t number, const char *dir, struct err *err)
{
	cleanup_root struct root root = ROOT_INIT;
	struct stat st;

	if (root_open(&root, dir, err) < 0)
		return -1;
	if (fstat(root.fd, &st) < 0)
		return err_sys(err, errno, "stat %s", dir);
	if (st.st_dev != number)
		return 0;
	if (!records_fs_is_broken(&root))
		return 1;
	root_close(&root);
	if (umount2(dir, UMOUNT_NOFOLLOW) < 0)
		return err_sys(err, errno, "unmount %s, which cannot be written", dir);
	return 0;
}

int records_fs_mount(const char *path, dev_t number, const char *dir, struct err *err)
{
	int usable = is_usable(number, dir, err);

	if (usable != 0)
		return usable < 0 ? -1 : 0;
	if (check(path, err) < 0)
		return -1;
	if (mount(path, dir, "ext4", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "noinit_itable,errors=remount-ro") < 0)
		return err_sys(err, errno, "mount %s at %s", path, dir);
	return 0;
}
