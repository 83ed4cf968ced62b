/* SPDX-License-Identifier: Apache-2.0 */
/* Staging and target paths. */
#include "csi/node/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool paths_is_node(const struct mount_entry *entry)
{
	return strcmp(entry->fs_type, "devtmpfs") == 0;
}

/* The name of the device whose node is bound; NULL for other mounts. Borrowed. */
static const char *node_name(const struct mount_entry *entry)
{
	return paths_is_node(entry) && entry->fs_root[0] == '/' ? entry->fs_root + 1 : NULL;
}

bool paths_is_bind_of(const struct mount_entry *entry, const struct host_namespace *ns, bool block)
{
	const char *name = node_name(entry);

	if (block)
		return name && strcmp(name, ns->name) == 0;
	return entry->major == ns->major && entry->minor == ns->minor &&
	       strcmp(entry->fs_root, "/") == 0;
}

bool paths_is_of(const struct mount_entry *entry, const struct host_namespace *ns)
{
	return (entry->major == ns->major && entry->minor == ns->minor) ||
	       paths_is_bind_of(entry, ns, true);
}

bool paths_is_dead(const struct root *sysfs, const struct mount_entry *entry)
{
	static const char deleted[] = "//deleted", dev[] = "/dev/";
	const char *name = node_name(entry);
	char text[HOST_NAME_SIZE];
	size_t len;

	if (!name) {
		if (strncmp(entry->source, dev, strlen(dev)) != 0 ||
		    host_node_of(entry->source + strlen(dev)) != HOST_NODE_NAMESPACE)
			return false;
		return !root_exists(sysfs, "dev/block/%u:%u", entry->major, entry->minor);
	}
	len = strlen(name);
	if (len > strlen(deleted) && strcmp(name + len - strlen(deleted), deleted) == 0)
		len -= strlen(deleted);
	if (len >= sizeof(text))
		return false;
	memcpy(text, name, len);
	text[len] = '\0';
	if (host_node_of(text) != HOST_NODE_NAMESPACE)
		return false;
	return name[len] != '\0' || !root_exists(sysfs, "class/block/%s", text);
}

int paths_refuse_covered(const struct mount_table *table, const char *staging_path, struct err *err)
{
	const struct mount_entry *entry = mount_table_find(table, staging_path);

	if (!entry)
		return 0;
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "staging path %s is a mount of %s (%s), which hides what is staged there; "
		       "it is left alone; unmount it first",
		       staging_path, entry->source, entry->fs_type);
}

int paths_check_staging(const char *path, char ret[PATH_MAX], struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const char *at = ret;
	struct stat st;
	int found = mount_path_resolve(path, ret, err);

	if (found < 0)
		return -1;
	if (!found)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "staging_target_path \"%.200s\" does not exist", path);
	/* Looked at first: lstat of a dead mount may hang. */
	if (mount_table_read_at(&at, 1, &table, err) < 0)
		return -1;
	if (paths_refuse_covered(&table, ret, err) < 0)
		return -1;
	if (lstat(ret, &st) < 0)
		return err_set(err, ERR_INVALID_ARGUMENT, "staging_target_path \"%.200s\": %s",
			       path, strerrordesc_np(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "staging_target_path \"%.200s\" is %s, not a directory", path,
			       S_ISLNK(st.st_mode) ? "a symbolic link" : "a file");
	return 0;
}

/* 1: the topmost mount at path was unmounted; 0: there is none. */
static int unmount_one(const struct root *sysfs, const char *path, const struct host_namespace *ns,
		       struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *entry;

	if (mount_table_read_at(&path, 1, &table, err) < 0)
		return -1;
	entry = mount_table_find(&table, path);
	if (!entry)
		return 0;
	if (!(ns && paths_is_of(entry, ns)) && !paths_is_dead(sysfs, entry))
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"%s is a mount of %s (%s), which is not this volume; it is left alone",
			path, entry->source, entry->fs_type);
	return mount_unmount(path, err) < 0 ? -1 : 1;
}

int paths_unmount_ours(const struct root *sysfs, const char *path, const struct host_namespace *ns,
		       struct err *err)
{
	for (int i = 0; i < MOUNT_UNMOUNTS_MAX; i++) {
		int unmounted = unmount_one(sysfs, path, ns, err);

		if (unmounted <= 0)
			return unmounted;
	}
	return mount_is_stuck(path, err);
}

int paths_create_file(const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno != EEXIST || lstat(path, &st) < 0)
		return err_sys(err, errno, "create %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s is there already and is not an empty file", path);
	return 0;
}

int paths_create_directory(const char *path, struct err *err)
{
	struct stat st;

	if (mkdir(path, 0750) == 0)
		return 0;
	if (errno != EEXIST || lstat(path, &st) < 0)
		return err_sys(err, errno, "create directory %s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s is there already and is not a directory", path);
	return 0;
}

int paths_remove_file(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 :
							     err_sys(err, errno, "stat %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s is not an empty file; it is left alone", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, errno, "remove %s", path);
	return 0;
}

int paths_remove_any(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 :
							     err_sys(err, errno, "stat %s", path);
	if (!S_ISDIR(st.st_mode))
		return paths_remove_file(path, err);
	if (rmdir(path) == 0 || errno == ENOENT)
		return 0;
	if (errno == ENOTEMPTY || errno == EEXIST || errno == EBUSY)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s is not mounted but holds files; it is left alone", path);
	return err_sys(err, errno, "remove %s", path);
}
