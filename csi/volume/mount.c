/* SPDX-License-Identifier: Apache-2.0 */
/* Reading mounts and mount options. The one owner of libmount. */
#include "csi/volume/mount.h"

#include <errno.h>
#include <libmount/libmount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include "csi/volume/btrfs.h"
#include "nvme/base/strb.h"

#define MOUNTINFO "/proc/self/mountinfo"

DEFINE_CLEANUP(struct libmnt_table *, mnt_unref_table)
DEFINE_CLEANUP(struct libmnt_iter *, mnt_free_iter)

static bool has_ro(const char *options)
{
	return options && mnt_optstr_get_option(options, "ro", NULL, NULL) == 0;
}

static bool has_any(const char *options, const char *const names[], size_t count)
{
	for (size_t i = 0; options && i < count; i++)
		if (mnt_optstr_get_option(options, names[i], NULL, NULL) == 0)
			return true;
	return false;
}

static void entry_from(struct mount_entry *entry, struct libmnt_fs *fs)
{
	/* Newer kernels tell here what they did to an ext4 that failed. */
	static const char *const stopped[] = { "emergency_ro", "shutdown" };
	const char *type = mnt_fs_get_fstype(fs) ?: "";
	const char *source = mnt_fs_get_source(fs) ?: "";
	const char *fs_options = mnt_fs_get_fs_options(fs);
	dev_t device = mnt_fs_get_devno(fs);

	if (!strcmp(type, "btrfs"))
		btrfs_device_of(source, &device);

	*entry = (struct mount_entry) {
		.id = mnt_fs_get_id(fs),
		.parent_id = mnt_fs_get_parent_id(fs),
		.major = major(device),
		.minor = minor(device),
		.target = xstrdup(mnt_fs_get_target(fs) ?: ""),
		.fs_root = xstrdup(mnt_fs_get_root(fs) ?: ""),
		.fs_type = xstrdup(type),
		.source = xstrdup(source),
		.readonly = has_ro(mnt_fs_get_vfs_options(fs)),
		.sb_readonly = has_ro(fs_options),
		.sb_stopped = has_any(fs_options, stopped, ARRAY_SIZE(stopped)),
	};
}

/* Without it libmount skips lines that it does not understand, and a mount would seem gone. */
static int refuse_line(struct libmnt_table *table, const char *filename, int line)
{
	(void)table;
	(void)filename;
	(void)line;
	return -EBADMSG;
}

int mount_table_read(struct mount_table *ret, struct err *err)
{
	struct libmnt_table *parsed CLEANUP(mnt_unref_tablep) = mnt_new_table();
	struct libmnt_iter *iter CLEANUP(mnt_free_iterp) = mnt_new_iter(MNT_ITER_FORWARD);
	struct mount_table table = { 0 };
	struct libmnt_fs *fs;
	int rc;

	if (!parsed || !iter)
		return err_sys(err, ENOMEM, "read " MOUNTINFO);
	mnt_table_set_parser_errcb(parsed, refuse_line);
	rc = mnt_table_parse_file(parsed, MOUNTINFO);
	if (rc)
		return err_sys(err, rc < 0 ? -rc : EBADMSG, "read " MOUNTINFO);
	table.entries = xcalloc((size_t)mnt_table_get_nents(parsed) + 1, sizeof(*table.entries));
	while (mnt_table_next_fs(parsed, iter, &fs) == 0)
		entry_from(&table.entries[table.count++], fs);
	*ret = table;
	return 0;
}

void mount_table_fini(struct mount_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		free(table->entries[i].target);
		free(table->entries[i].fs_root);
		free(table->entries[i].fs_type);
		free(table->entries[i].source);
	}
	free(table->entries);
	*table = (struct mount_table) { 0 };
}

/* Whether a mount sits on top of this one, at the same path. */
static bool is_covered(const struct mount_table *table, const struct mount_entry *entry)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->entries[i].parent_id == entry->id && &table->entries[i] != entry &&
		    !strcmp(table->entries[i].target, entry->target))
			return true;
	return false;
}

/* The order of mountinfo is that of creation, which is not that of a stack: parents tell that. */
const struct mount_entry *mount_table_find(const struct mount_table *table, const char *target)
{
	for (size_t i = table->count; i-- > 0;)
		if (!strcmp(table->entries[i].target, target) &&
		    !is_covered(table, &table->entries[i]))
			return &table->entries[i];
	return NULL;
}

const struct mount_entry *mount_table_next(const struct mount_table *table,
					   const struct mount_entry *previous, unsigned major,
					   unsigned minor)
{
	size_t i = previous ? (size_t)(previous - table->entries) + 1 : 0;

	for (; i < table->count; i++)
		if (table->entries[i].major == major && table->entries[i].minor == minor)
			return &table->entries[i];
	return NULL;
}

int mount_path_resolve(const char *path, char ret[PATH_MAX], struct err *err)
{
	cleanup_free char *copy = xstrdup(path);
	cleanup_free char *parent = NULL;
	size_t len = strlen(copy);
	struct strb out;
	char *base;

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	base = strrchr(copy, '/');
	if (copy[0] != '/' || len < 2 || len >= PATH_MAX || !strcmp(base, "/.") ||
	    !strcmp(base, "/.."))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "path '%.200s' is not an absolute path of a mount point", path);
	*base++ = '\0';
	parent = realpath(copy[0] ? copy : "/", NULL);
	if (!parent && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (!parent)
		return err_sys(err, errno, "resolve %.200s", copy);
	out = strb_over(ret, PATH_MAX);
	strb_addf(&out, "%s/%s", strcmp(parent, "/") ? parent : "", base);
	if (out.overflow)
		return err_set(err, ERR_INVALID_ARGUMENT, "path '%.200s' is too long", path);
	return 1;
}

static const struct {
	const char *name;
	uint64_t set;
	uint64_t clr;
} per_mount[] = {
	{ "nosuid", MOUNT_ATTR_NOSUID, 0 },
	{ "nodev", MOUNT_ATTR_NODEV, 0 },
	{ "noexec", MOUNT_ATTR_NOEXEC, 0 },
	{ "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0 },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME, 0 },
	{ "noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME },
	{ "strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME },
	{ "relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME },
	/* The kernel's defaults, and words for mount(8). */
	{ "suid", 0, 0 },
	{ "dev", 0, 0 },
	{ "exec", 0, 0 },
	{ "atime", 0, 0 },
	{ "diratime", 0, 0 },
	{ "rw", 0, 0 },
	{ "defaults", 0, 0 },
	{ "_netdev", 0, 0 },
	{ "nofail", 0, 0 },
};

/* Takes an option that is not the file system's. False if it is. */
static bool take_per_mount(struct mount_options *options, const char *name, size_t len)
{
	if (len == 2 && !strncmp(name, "ro", 2)) {
		options->readonly = true;
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(per_mount); i++) {
		if (strlen(per_mount[i].name) != len || strncmp(per_mount[i].name, name, len))
			continue;
		options->attr_clr |= per_mount[i].clr;
		options->attr_set &= ~per_mount[i].clr;
		options->attr_set |= per_mount[i].set;
		return true;
	}
	return false;
}

static void unquote(char **value, size_t *len)
{
	if (*len >= 2 && (*value)[0] == '"' && (*value)[*len - 1] == '"') {
		*value += 1;
		*len -= 2;
	}
}

/* libmount takes an open quote for the end of the list. */
static bool quotes_balanced(const char *text)
{
	bool open = false;

	for (; *text; text++)
		open ^= *text == '"';
	return !open;
}

int mount_options_parse(const char *text, struct mount_options *ret, struct err *err)
{
	struct mount_options options = { 0 };
	/* One byte stays for the empty option that ends the list. */
	struct strb fs = strb_over(options.fs, sizeof(options.fs) - 1);
	cleanup_free char *copy = xstrdup(text ?: "");
	char *cursor = copy, *name, *value;
	size_t name_len, value_len;
	int rc;

	if (strlen(copy) > MOUNT_OPTIONS_SIZE - 2)
		return err_set(err, ERR_INVALID_ARGUMENT, "mount options: %zu bytes, at most %u",
			       strlen(copy), MOUNT_OPTIONS_SIZE - 2);
	while ((rc = mnt_optstr_next_option(&cursor, &name, &name_len, &value, &value_len)) == 0) {
		if (name[0] == '=')
			break;
		if (!strncmp(name, "x-", 2) || (!value && take_per_mount(&options, name, name_len)))
			continue;
		strb_addn(&fs, name, name_len);
		if (value) {
			unquote(&value, &value_len);
			strb_addc(&fs, '=');
			strb_addn(&fs, value, value_len);
		}
		strb_addc(&fs, '\0');
	}
	if (rc <= 0 || !quotes_balanced(copy))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "mount options: not a comma separated list with balanced quotes");
	*ret = options;
	return 0;
}
