/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts: what is there (read from mountinfo, never by touching a mount point, which may hang), and
 * the few ways to change it. Everything is done by the file descriptor based mount API, Linux 5.12;
 * an older kernel gets ERR_FAILED_PRECONDITION. Nothing here is ever mounted with another read-only
 * state than the one asked for: what the kernel made is read back, and undone if it differs.
 *
 * Paths of targets are compared as text with mountinfo's: pass what mount_path_resolve gave.
 * mount_bind, mount_device, mount_unmount and mount_device_released may block for as long as the
 * device does; call them on a worker.
 */
#ifndef CSI_VOLUME_MOUNT_H
#define CSI_VOLUME_MOUNT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/err.h"

/* One line of mountinfo, proc(5). Owned by its table. */
struct mount_entry {
	int id;
	int parent_id;
	/*
	 * The block device of an ext4, xfs or btrfs. Of others it is the file system's st_dev, and
	 * of a btrfs, too, whose device is gone: an anonymous number, the same in all its mounts.
	 */
	unsigned major;
	unsigned minor;
	char *target;  /* unescaped, seen from this process's root */
	char *fs_root; /* what of the file system is mounted: "/" or, for binds, the inner path */
	char *fs_type;
	char *source;
	bool readonly;	  /* this mount */
	bool shared;	  /* what is mounted below it is seen by its peers, as the host's */
	bool sb_readonly; /* the superblock, that is: every mount of it */
	bool sb_stopped;  /* the kernel says that an error stopped it; not all kernels do */
	char *own;	  /* what its texts lie in; NULL: in the table's */
};

struct mount_table {
	struct mount_entry *entries;
	size_t count;
	char *text; /* what the texts of its entries lie in */
};

#define cleanup_mount_table CLEANUP(mount_table_fini)

/*
 * Reads /proc/self/mountinfo; a line that cannot be understood is an error. Looks at nothing else
 * but the device nodes that btrfs mounts name as their source. Never hangs.
 */
int mount_table_read(struct mount_table *ret, struct err *err);

/* The same of a text that is mountinfo's, which it takes. */
int mount_table_parse(char *text, struct mount_table *ret, struct err *err);

/*
 * A table that has the topmost mounts at these paths, all different, and may have no others. Where
 * the kernel can be asked for one mount (csi/volume/mount_look.h) its cost does not grow with the
 * mounts of the node; otherwise it is the whole table. Looks at what is mounted there, as statx
 * does when it need not be up to date: file systems with a block device answer from memory, one of
 * a foreign network might wait. So do all for a path within them: none may lie below a mount that
 * may hang.
 */
int mount_table_read_at(const char *const paths[], size_t count, struct mount_table *ret,
			struct err *err);

void mount_table_fini(struct mount_table *table);

/* The topmost mount at exactly this path, borrowed from the table; NULL: nothing is mounted there. */
const struct mount_entry *mount_table_find(const struct mount_table *table, const char *target);

/*
 * The mount that a canonical path lies in, by the text of targets; borrowed. NULL: the table has
 * none, as one that mount_table_read_at made may.
 */
const struct mount_entry *mount_table_around(const struct mount_table *table, const char *path);

/* The next mount of a device after previous (NULL: the first), borrowed; NULL: no more. */
const struct mount_entry *mount_table_next(const struct mount_table *table,
					   const struct mount_entry *previous, unsigned major,
					   unsigned minor);

/*
 * The form in which mountinfo knows an absolute path: symbolic links in its parent resolved, the
 * last component untouched and not looked at. 1: resolved; 0: the parent does not exist, so nothing
 * can be mounted there; -1: error (ERR_INVALID_ARGUMENT if the path is not absolute or ends in
 * "." or "..").
 */
int mount_path_resolve(const char *path, char ret[PATH_MAX], struct err *err);

#define MOUNT_OPTIONS_SIZE 4096 /* the kernel's own bound for mount(2) data: one page */

/*
 * Mount options, taken apart. A plain value, copied freely; zeroes are "read-write, no options".
 * The caller decides what is read-only and sets `readonly` before it mounts.
 */
struct mount_options {
	bool readonly;	   /* "ro" is among them; a "rw" never takes that back */
	uint64_t attr_set; /* MOUNT_ATTR_* that belong to one mount: nosuid, noatime, … */
	uint64_t attr_clr; /* MOUNT_ATTR__ATIME if an access time mode was asked for, else 0 */
	char fs[MOUNT_OPTIONS_SIZE]; /* the superblock's: "key" or "key=value", each ended by NUL;
				      * an empty one ends the list */
};

/*
 * Splits a comma separated text, NULL counting as empty. Values may be quoted to hold commas, as in
 * context="…". Words for mount(8) alone (defaults, _netdev, nofail, x-…) are dropped; a word that
 * is no per-mount option goes to the file system, whose kernel code knows best.
 * ERR_INVALID_ARGUMENT: longer than a page, or not parsable.
 */
int mount_options_parse(const char *text, struct mount_options *ret, struct err *err);

/*
 * Mounts the file system on the block device at source onto the directory target. options.readonly
 * makes superblock and mount read-only. There is no fallback to read-only.
 *
 * ERR_INVALID_ARGUMENT: an option the kernel refuses, in its own words.
 * ERR_FAILED_PRECONDITION: not a block device; the kernel has no such file system, cannot mount
 * this one (features, dirty log on a write-protected device), or the device is mounted with another
 * read-only state; something is mounted at target already; a btrfs is mounted from another device
 * with the same UUID, that is a clone beside its source, which Linux has allowed since 6.7; a btrfs
 * shows a subvolume in place of its top level (id 5), by an option or because it is the default.
 * ERR_DATA_LOSS: the kernel finds the file system corrupt. Nothing else here raises that.
 */
int mount_device(const char *source, const char *target, const char *fs_type,
		 const struct mount_options *options, struct err *err);

/*
 * Binds the file or directory source (one mount, nothing mounted below it) onto target, which must
 * be of the same kind. Per-mount options are put on while the new mount is not attached anywhere,
 * so a read-only bind is never writable at target; options.fs belongs to the superblock and is not
 * used. Attributes of the source mount are inherited and never taken away: a read-write bind of a
 * read-only mount is refused with ERR_FAILED_PRECONDITION, as is a target that has a mount already.
 * Propagation stays the kernel's: shared exactly if target lies in a shared mount, which is how
 * the mount gets from a container to the host.
 * A read-only bind of a device node does not stop writes to the device.
 */
int mount_bind(const char *source, const char *target, const struct mount_options *options,
	       struct err *err);

/*
 * Unmounts what is topmost at target; a path that is absent or no mount point is fine.
 * ERR_FAILED_PRECONDITION: something still uses it.
 */
int mount_unmount(const char *target, struct err *err);

#define MOUNT_UNMOUNTS_MAX 128 /* of one path; more do nothing */

/* Unmounts until mountinfo shows nothing at target; mount_is_stuck when that does not help. */
int mount_unmount_all(const char *target, struct err *err);

/* Raises ERR_FAILED_PRECONDITION: something is still there after so many unmounts. Returns -1. */
int mount_is_stuck(const char *target, struct err *err);

/*
 * Whether no superblock holds a block device any more, wherever its mounts were (another mount
 * namespace keeps it alive unseen). 1: released, or the device is gone; 0: still held; -1: error.
 * name is the kernel's, "nvme0n1". Looks for /sys/fs/<type>/<name>, which ext4 and xfs keep for
 * the life of a superblock, and /sys/fs/btrfs/<fsid>/devices/<name>, and opens the device O_EXCL,
 * which any other holder prevents.
 */
int mount_device_released(const char *device_path, const char *name, struct err *err);

#endif
