/* SPDX-License-Identifier: Apache-2.0 */
/* The condition of a file system, from sysfs, from mountinfo and by asking it. */
#include "csi/volume/condition.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "csi/volume/btrfs.h"
#include "csi/volume/xfs.h"
#include "nvme/base/strb.h"

static const char gone[] = "DeviceGone", stopped[] = "FileSystemStopped";

static void tell(struct condition *condition, const char *reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Only the first, which is the worst. */
static void tell(struct condition *condition, const char *reason, const char *format, ...)
{
	struct strb out;
	va_list args;

	if (condition->abnormal)
		return;
	out = strb_over(condition->message, sizeof(condition->message));
	va_start(args, format);
	strb_addv(&out, format, args);
	va_end(args);
	condition->abnormal = true;
	condition->reason = reason;
	condition->inaccessible = reason == gone || reason == stopped;
}

static void read_mount(const struct mount_entry *entry, struct condition *condition)
{
	if (entry->sb_stopped)
		tell(condition, stopped, "the %s at %s was shut down, or stopped after an error",
		     entry->fs_type, entry->target);
	else if (entry->sb_readonly && !entry->readonly)
		tell(condition, "FileSystemReadOnly", "the %s at %s went read-only after an error",
		     entry->fs_type, entry->target);
}

/* "ext4_lookup:1785", or "" if there is none. */
static int read_place(const struct root *sysfs, const char *name, const char *which,
		      struct strb *out, struct err *err)
{
	char function[ROOT_VALUE_SIZE], line[ROOT_VALUE_SIZE];
	int found = root_read(sysfs, function, err, "fs/ext4/%s/%s_error_func", name, which);

	if (found <= 0 || !function[0])
		return found < 0 ? -1 : 0;
	found = root_read(sysfs, line, err, "fs/ext4/%s/%s_error_line", name, which);
	if (found > 0)
		strb_addf(out, ", the %s in %.64s:%.16s", which, function, line);
	return found < 0 ? -1 : 0;
}

static int read_ext4(const struct root *sysfs, const char *name, struct condition *condition,
		     struct err *err)
{
	char value[ROOT_VALUE_SIZE], places[256];
	struct strb out = strb_over(places, sizeof(places));
	int found = root_read(sysfs, value, err, "fs/ext4/%s/errors_count", name);

	if (found <= 0 || strtoull(value, NULL, 10) == 0)
		return found < 0 ? -1 : 0;
	if (read_place(sysfs, name, "first", &out, err) < 0 ||
	    read_place(sysfs, name, "last", &out, err) < 0)
		return -1;
	tell(condition, "FileSystemErrors",
	     "the ext4 on %s has recorded %.20s errors%s; it is checked when it is unmounted and "
	     "staged again",
	     name, value, places);
	return 0;
}

/* Adds the counters of "write_errs 0\nread_errs 3\n…" that are not zero. */
static void add_counters(char *stats, struct strb *out)
{
	char *rest = NULL;

	for (char *line = strtok_r(stats, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *number = strchr(line, ' ');

		if (number && strtoull(number, NULL, 10) != 0)
			strb_addf(out, "%s%s", out->len ? ", " : "", line);
	}
}

static int read_btrfs(const struct root *sysfs, const char *name, struct condition *condition,
		      struct err *err)
{
	struct root_names devices cleanup_root_names = { 0 };
	char holder[NAME_MAX], stats[ROOT_VALUE_SIZE], counters[256];
	struct strb out = strb_over(counters, sizeof(counters));
	int found = btrfs_find_holder(sysfs, name, holder, err);

	if (found <= 0)
		return found;
	if (root_list(sysfs, &devices, err, "%s/devinfo", holder) < 0)
		return -1;
	for (size_t i = 0; i < devices.count; i++) {
		found = root_read(sysfs, stats, err, "%s/devinfo/%s/error_stats", holder,
				  devices.names[i]);
		if (found < 0)
			return -1;
		if (found)
			add_counters(stats, &out);
	}
	if (out.len)
		tell(condition, "DeviceErrors",
		     "the btrfs on %s counts errors of its device: %s (btrfs device stats -z "
		     "resets them)",
		     name, counters);
	return 0;
}

int condition_read(const struct root *sysfs, const struct mount_entry *entry, const char *name,
		   struct condition *ret, struct err *err)
{
	struct condition condition = { 0 };
	int rc = 0;

	if (!root_exists(sysfs, "class/block/%s", name))
		tell(&condition, gone, "device %s of the %s at %s is gone", name, entry->fs_type,
		     entry->target);
	read_mount(entry, &condition);
	if (!strcmp(entry->fs_type, "ext4"))
		rc = read_ext4(sysfs, name, &condition, err);
	else if (!strcmp(entry->fs_type, "btrfs"))
		rc = read_btrfs(sysfs, name, &condition, err);
	if (rc < 0)
		return -1;
	*ret = condition;
	return 0;
}

/* What xfs keeps of damage that it met. */
static int probe_xfs(int fd, const char *path, struct condition *condition, struct err *err)
{
	struct xfs_geometry geometry = { 0 };

	if (ioctl(fd, XFS_GEOMETRY, &geometry) < 0)
		return err_sys(err, errno, "geometry of %s", path);
	if (geometry.sick)
		tell(condition, "FileSystemDamaged",
		     "the xfs at %s has found damage in its metadata (0x%" PRIx32 ")", path,
		     geometry.sick);
	return 0;
}

int condition_probe(const char *path, struct condition *ret, struct err *err)
{
	struct condition condition = { 0 };
	cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 && errno != EIO)
		return err_sys(err, errno, "open %s", path);
	if (fd >= 0 && fstatfs(fd, &fs) < 0)
		return err_sys(err, errno, "statfs %s", path);
	if (fd < 0)
		tell(&condition, stopped, "the file system at %s does not answer any more (%s)",
		     path, strerrordesc_np(EIO));
	else if (fs.f_type == XFS_SUPER_MAGIC && probe_xfs(fd, path, &condition, err) < 0)
		return -1;
	*ret = condition;
	return 0;
}
