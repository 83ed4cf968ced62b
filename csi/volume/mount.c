/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical paths of mounts, and mount options. The one owner of libmount. */
#include "csi/volume/mount.h"

#include <errno.h>
#include <libmount/libmount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "nvme/base/strb.h"

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
