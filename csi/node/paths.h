/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staging and target paths: what may be made, unmounted and removed there. A path comes from
 * outside, so only mounts of NVMe namespaces, empty files and empty directories are ever taken away.
 */
#ifndef CSI_NODE_PATHS_H
#define CSI_NODE_PATHS_H

#include "csi/volume/mount.h"
#include "nvme/host/namespace.h"

/* Whether a mount is of this namespace: of its file system, or a bind of its device node. */
bool paths_is_of(const struct mount_entry *entry, const struct host_namespace *ns);

/* The same for one kind: the whole file system, or the device node. */
bool paths_is_bind_of(const struct mount_entry *entry, const struct host_namespace *ns, bool block);

/*
 * Whether a mount is of an NVMe namespace that is gone: a namespace's device, never a partition,
 * and no longer in sysfs. Nobody can use such a mount, and nothing says whose it was.
 */
bool paths_is_dead(const struct root *sysfs, const struct mount_entry *entry);

/*
 * Checks a staging path: an existing directory, no symbolic link. ret gets its canonical form.
 * ERR_INVALID_ARGUMENT otherwise. The path is not looked into once something is mounted there.
 */
int paths_check_staging(const char *path, char ret[PATH_MAX], struct err *err);

/* Whether it is the bind of a device node, as raw block volumes have. Pure. */
bool paths_is_node(const struct mount_entry *entry);

/*
 * What is mounted over a staging path hides the stage in it: ERR_FAILED_PRECONDITION names it. The
 * table has what is mounted at the path. Pure.
 */
int paths_refuse_covered(const struct mount_table *table, const char *staging_path,
			 struct err *err);

/*
 * Unmounts everything at path that is of the namespace (NULL: it is gone) or dead. Nothing there is
 * fine; a foreign mount is ERR_FAILED_PRECONDITION and stays, with all that lies below it. So is
 * one that the kernel does not let go of, or does not find because another hides it.
 */
int paths_unmount_ours(const struct root *sysfs, const char *path, const struct host_namespace *ns,
		       struct err *err);

/* Creates an empty file or a directory; one that is there already is fine. */
int paths_create_file(const char *path, struct err *err);
int paths_create_directory(const char *path, struct err *err);

/* Removes an empty file, or an empty directory. Absent is fine; anything with content is refused. */
int paths_remove_file(const char *path, struct err *err);
int paths_remove_any(const char *path, struct err *err);

#endif
