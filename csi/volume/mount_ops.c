/* SPDX-License-Identifier: Apache-2.0 */
/* Changing mounts: bind, mount of a device, unmount, and the proof that a device is released. */
#include "csi/volume/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "csi/volume/btrfs.h"
#include "csi/volume/mount_look.h"
#include "nvme/base/job.h"
#include "nvme/base/root.h"
#include "nvme/base/strb.h"

/* What mountinfo must say about a new mount. */
struct wanted {
	bool readonly;
	const char *fs_type; /* NULL: a bind, of whatever is there */
	dev_t device;
};

/* Raises a failed call of the mount API. */
static int raise_sys(struct err *err, int sys, const char *what, const char *path)
{
	if (sys == ENOSYS)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s: the kernel has no %s call; Linux 5.12 or later is needed", path,
			       what);
	return err_sys(err, sys, "%s %s", what, path);
}

static const struct mount_entry *find_id(const struct mount_table *table, uint64_t id)
{
	for (size_t i = 0; i < table->count; i++)
		if ((uint64_t)table->entries[i].id == id)
			return &table->entries[i];
	return NULL;
}

static int is_covering(const char *target, struct err *err)
{
	return err_set(err, ERR_FAILED_PRECONDITION, "%s is a mount point already", target);
}

static int check_entry(const struct mount_entry *entry, const struct wanted *wanted,
		       const char *target, struct err *err)
{
	if (!wanted->readonly && (entry->readonly || entry->sb_readonly))
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s would be read-only (%s), read-write was asked for", target,
			       entry->sb_readonly ? "superblock" : "mount");
	if (wanted->readonly && !entry->readonly)
		return err_set(err, ERR_INTERNAL, "%s came out read-write, not read-only", target);
	if (!wanted->fs_type)
		return 0;
	if (wanted->readonly != entry->sb_readonly)
		return err_set(err, ERR_INTERNAL, "%s: the superblock is read-write", target);
	if (strcmp(entry->fs_type, wanted->fs_type))
		return err_set(err, ERR_INTERNAL, "%s holds %s, not %s", target, entry->fs_type,
			       wanted->fs_type);
	if (makedev(entry->major, entry->minor) != wanted->device)
		return err_set(err, ERR_INTERNAL, "%s shows device %u:%u, not %u:%u", target,
			       entry->major, entry->minor, major(wanted->device),
			       minor(wanted->device));
	/* Only a btrfs has another root than its own: what was asked for, or its default. */
	if (strcmp(entry->fs_root, "/"))
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"it shows its subvolume %s in place of the whole file system, which a "
			"volume is: use no mount option subvol or subvolid; if it is the "
			"default subvolume, set that back with 'btrfs subvolume set-default 5 "
			"PATH' or use the mount option subvolid=5",
			entry->fs_root);
	return 0;
}

static int verify_in_table(uint64_t id, const struct wanted *wanted, const char *target,
			   struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };
	const struct mount_entry *entry, *below;

	if (mount_table_read(&table, err) < 0)
		return -1;
	entry = find_id(&table, id);
	if (!entry)
		return err_set(err, ERR_INTERNAL, "%s is not in mountinfo after mounting", target);
	below = find_id(&table, (uint64_t)entry->parent_id);
	if (below && !strcmp(below->target, entry->target))
		return is_covering(target, err);
	return check_entry(entry, wanted, target, err);
}

/* ids: as STATX_MNT_ID and as mount_look have it; 0: that is not known. */
static int verify(const uint64_t ids[2], const struct wanted *wanted, const char *target,
		  struct err *err)
{
	cleanup_free char *texts = NULL;
	struct mount_entry entry;
	int covers;

	if (!ids[1] || !mount_look(ids[1], &entry))
		return verify_in_table(ids[0], wanted, target, err);
	texts = entry.own;
	covers = mount_look_covers(ids[1]);
	if (covers < 0)
		return verify_in_table(ids[0], wanted, target, err);
	return covers ? is_covering(target, err) : check_entry(&entry, wanted, target, err);
}

/* Attaches a mount that exists only as *mount_fd, which it closes, and checks the outcome. */
static int attach(int *mount_fd, const char *target, const struct wanted *wanted, struct err *err)
{
	uint64_t ids[2] = { 0 };
	struct statx st;

	if (statx(*mount_fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0)
		return err_sys(err, errno, "statx of the mount for %s", target);
	if (!(st.stx_mask & STATX_MNT_ID))
		return raise_sys(err, ENOSYS, "statx mount id", target);
	ids[0] = st.stx_mnt_id;
	if (mount_look_id(*mount_fd, "", AT_EMPTY_PATH, &ids[1]) < 0)
		ids[1] = 0;
	if (move_mount(*mount_fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return raise_sys(err, errno, "move_mount", target);
	cleanup_closep(mount_fd);
	*mount_fd = -1;
	if (verify(ids, wanted, target, err) == 0)
		return 0;
	if (umount2(target, UMOUNT_NOFOLLOW) < 0)
		err_wrap(err, "undoing it failed too (%s)", strerrordesc_np(errno));
	return -1;
}

int mount_bind(const char *source, const char *target, const struct mount_options *options,
	       struct err *err)
{
	struct mount_attr attr = { .attr_set = options->attr_set, .attr_clr = options->attr_clr };
	struct wanted wanted = { .readonly = options->readonly };
	cleanup_close int tree = -1;

	job_doing("bind %s at %s", source, target);
	if (options->readonly)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	tree = open_tree(AT_FDCWD, source,
			 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (tree < 0)
		return raise_sys(err, errno, "open_tree", source);
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return raise_sys(err, errno, "mount_setattr", source);
	if (attach(&tree, target, &wanted, err) < 0)
		return err_wrap(err, "bind %s", source);
	return 0;
}

/* Adds what the kernel had to say about a file system context: "e ext4: …" lines, without marks. */
static void kernel_words(int fs_fd, struct strb *out)
{
	char line[512];
	ssize_t n;

	while ((n = read(fs_fd, line, sizeof(line))) > 0) {
		if (line[n - 1] == '\n')
			n--;
		if (n <= 2)
			continue;
		strb_add(out, out->len ? "; " : "");
		strb_addn(out, line + 2, (size_t)n - 2);
	}
}

/* The value of an option may be a secret: only its key is named. */
static int raise_option(int fs_fd, int sys, const char *key, const char *fs_type, struct err *err)
{
	char text[512];
	struct strb words = strb_over(text, sizeof(text));

	kernel_words(fs_fd, &words);
	err_sys(err, sys, "mount option '%.100s' for %s refused by the kernel (%s)", key, fs_type,
		words.len ? text : "see dmesg");
	return sys == EINVAL ? err_recode(err, ERR_INVALID_ARGUMENT) : -1;
}

static int set_options(int fs_fd, const char *fs_type, const struct mount_options *options,
		       struct err *err)
{
	if (options->readonly && fsconfig(fs_fd, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
		return raise_option(fs_fd, errno, "ro", fs_type, err);
	for (const char *option = options->fs; *option; option += strlen(option) + 1) {
		cleanup_free char *key = xstrdup(option);
		char *value = strchr(key, '=');
		int rc;

		if (value)
			*value++ = '\0';
		rc = fsconfig(fs_fd, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value,
			      0);
		if (rc < 0)
			return raise_option(fs_fd, errno, key, fs_type, err);
	}
	return 0;
}

/* A refusal of the whole: the file system is not mountable here, or not like this. */
static int raise_create(int fs_fd, int sys, const char *source, const char *fs_type,
			struct err *err)
{
	char text[512];
	struct strb words = strb_over(text, sizeof(text));

	kernel_words(fs_fd, &words);
	switch (sys) {
	case EINVAL:
		strb_add(&words, words.len ? "" : "see dmesg for the reason");
		err_sys(err, sys,
			"mount %s as %s: the kernel refuses the file system or its options (%s)",
			source, fs_type, text);
		break;
	case EBUSY:
		err_sys(err, sys,
			"mount %s as %s: it is in use, or mounted with another read-only state",
			source, fs_type);
		break;
	case EEXIST:
		err_sys(err, sys,
			"mount %s as %s: this node knows another device with the same file system "
			"UUID, a clone or its source; unmount that first (Linux 6.7 and later "
			"mount both)",
			source, fs_type);
		break;
	case EROFS:
	case EACCES:
		err_sys(err, sys, "mount %s as %s: the device is write-protected", source, fs_type);
		break;
	case EUCLEAN: /* EFSCORRUPTED of the file systems */
	case EBADMSG: /* their EFSBADCRC */
		err_sys(err, sys, "mount %s as %s: the file system is corrupt (%s)", source,
			fs_type, words.len ? text : "see dmesg");
		return err_recode(err, ERR_DATA_LOSS);
	default:
		return err_sys(err, sys, "mount %s as %s%s%s", source, fs_type,
			       words.len ? ": " : "", text);
	}
	return err_recode(err, ERR_FAILED_PRECONDITION);
}

/* Opens a context for the file system; its kernel module is loaded if it must be. */
static int open_context(const char *source, const char *fs_type, struct err *err)
{
	cleanup_close int fs_fd = fsopen(fs_type, FSOPEN_CLOEXEC);

	if (fs_fd < 0 && errno == ENODEV)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the kernel has no file system '%s' (is its module missing?)",
			       fs_type);
	if (fs_fd < 0)
		return raise_sys(err, errno, "fsopen", fs_type);
	if (fsconfig(fs_fd, FSCONFIG_SET_STRING, "source", source, 0) < 0)
		return err_sys(err, errno, "set source %s", source);
	return steal_fd(&fs_fd);
}

int mount_device(const char *source, const char *target, const char *fs_type,
		 const struct mount_options *options, struct err *err)
{
	uint64_t attr = options->attr_set | (options->readonly ? MOUNT_ATTR_RDONLY : 0);
	struct wanted wanted = { .readonly = options->readonly, .fs_type = fs_type };
	cleanup_close int fs_fd = -1;
	cleanup_close int mount_fd = -1;
	struct stat st;

	job_doing("mount %s at %s", source, target);
	if (stat(source, &st) < 0)
		return err_sys(err, errno, "stat %s", source);
	if (!S_ISBLK(st.st_mode))
		return err_set(err, ERR_FAILED_PRECONDITION, "%s is not a block device", source);
	wanted.device = st.st_rdev;
	fs_fd = open_context(source, fs_type, err);
	if (fs_fd < 0)
		return -1;
	if (set_options(fs_fd, fs_type, options, err) < 0)
		return -1;
	if (fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return raise_create(fs_fd, errno, source, fs_type, err);
	mount_fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, (unsigned)attr);
	if (mount_fd < 0)
		return raise_sys(err, errno, "fsmount", source);
	/* It holds the superblock: an unmount to undo this would not release the device. */
	cleanup_closep(&fs_fd);
	fs_fd = -1;
	if (attach(&mount_fd, target, &wanted, err) < 0)
		return err_wrap(err, "mount %s", source);
	return 0;
}

int mount_unmount(const char *target, struct err *err)
{
	job_doing("umount %s", target);
	if (umount2(target, UMOUNT_NOFOLLOW) == 0)
		return 0;
	switch (errno) {
	case EINVAL:
	case ENOENT:
		return 0;
	case EBUSY:
		err_sys(err, EBUSY, "unmount %s: a process or another mount still uses it", target);
		return err_recode(err, ERR_FAILED_PRECONDITION);
	default:
		return err_sys(err, errno, "unmount %s", target);
	}
}

int mount_unmount_all(const char *target, struct err *err)
{
	for (int i = 0; i < MOUNT_UNMOUNTS_MAX; i++) {
		struct mount_table table cleanup_mount_table = { 0 };

		/* A mount that is hidden is in the whole table alone. */
		if (mount_unmount(target, err) < 0 || mount_table_read(&table, err) < 0)
			return -1;
		if (!mount_table_find(&table, target))
			return 0;
	}
	return mount_is_stuck(target, err);
}

int mount_is_stuck(const char *target, struct err *err)
{
	return err_set(err, ERR_FAILED_PRECONDITION,
		       "%s is still mounted after %d unmounts; is it hidden below another mount?",
		       target, MOUNT_UNMOUNTS_MAX);
}

/* Whether any file system type keeps a superblock of that name. */
static int has_superblock(const char *name, struct err *err)
{
	struct root_names types cleanup_root_names = { 0 };
	struct root sysfs cleanup_root = ROOT_INIT;
	char holder[NAME_MAX];

	if (root_open(&sysfs, "/sys", err) < 0 || root_list(&sysfs, &types, err, "fs") < 0)
		return -1;
	for (size_t i = 0; i < types.count; i++)
		if (root_exists(&sysfs, "fs/%s/%s", types.names[i], name))
			return 1;
	return btrfs_find_holder(&sysfs, name, holder, err);
}

int mount_device_released(const char *device_path, const char *name, struct err *err)
{
	cleanup_close int fd = -1;
	int rc = has_superblock(name, err);

	if (rc)
		return rc < 0 ? -1 : 0;
	fd = open(device_path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 || errno == ENOENT || errno == ENXIO || errno == ENODEV)
		return 1;
	return errno == EBUSY ? 0 : err_sys(err, errno, "open %s", device_path);
}
