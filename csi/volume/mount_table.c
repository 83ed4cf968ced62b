/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount table, from mountinfo. Read by ourselves: every call does it several times, and its
 * cost grows with the mounts of the node.
 */
#include "csi/volume/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "csi/volume/btrfs.h"
#include "csi/volume/mount_look.h"

#define MOUNTINFO "/proc/self/mountinfo"
#define FIRST_BYTES 16384

/* Ends the field at *cursor and steps behind it; NULL: the line has no such field. */
static char *take_field(char **cursor)
{
	char *field = *cursor, *end;

	if (!field)
		return NULL;
	end = strchr(field, ' ');
	*cursor = end ? end + 1 : NULL;
	if (end)
		*end = '\0';
	return field;
}

static bool take_number(const char *text, char end, unsigned *ret, const char **ret_rest)
{
	unsigned long value;
	char *rest;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoul(text, &rest, 10);
	if (errno || value > UINT32_MAX || *rest != end)
		return false;
	*ret = (unsigned)value;
	if (ret_rest)
		*ret_rest = rest + 1;
	return true;
}

static bool is_octal(const char *text)
{
	return text[0] >= '0' && text[0] <= '3' && text[1] >= '0' && text[1] <= '7' &&
	       text[2] >= '0' && text[2] <= '7';
}

/* In place: the kernel writes blanks and backslashes as \ooo. */
static char *unescape(char *text)
{
	char *from = strchr(text, '\\'), *to = from;

	while (from && *from) {
		if (*from == '\\' && is_octal(from + 1)) {
			*to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 |
				       (from[3] - '0'));
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	if (to)
		*to = '\0';
	return text;
}

static bool has_option(const char *options, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = options; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
	}
	return false;
}

bool mount_is_stopped(const char *fs_options)
{
	return has_option(fs_options, "abort") || has_option(fs_options, "emergency_ro") ||
	       has_option(fs_options, "shutdown");
}

/* Fields as proc(5) has them: any number of optional ones stands before a "-". */
static bool parse_line(char *line, struct mount_entry *ret)
{
	char *cursor = line, *id = take_field(&cursor), *parent = take_field(&cursor);
	char *device = take_field(&cursor), *fs_root = take_field(&cursor);
	char *target = take_field(&cursor), *options = take_field(&cursor);
	char *field, *fs_type, *source, *fs_options;
	unsigned id_number, parent_number;
	const char *minor_text;
	dev_t number;

	ret->shared = false;
	while ((field = take_field(&cursor)) && strcmp(field, "-") != 0)
		ret->shared |= strncmp(field, "shared:", strlen("shared:")) == 0;
	fs_type = take_field(&cursor);
	source = take_field(&cursor);
	fs_options = take_field(&cursor);
	if (!fs_options || !take_number(id, '\0', &id_number, NULL) ||
	    !take_number(parent, '\0', &parent_number, NULL) ||
	    !take_number(device, ':', &ret->major, &minor_text) ||
	    !take_number(minor_text, '\0', &ret->minor, NULL) || target[0] != '/')
		return false;
	ret->id = (int)id_number;
	ret->parent_id = (int)parent_number;
	ret->target = unescape(target);
	ret->fs_root = unescape(fs_root);
	ret->fs_type = unescape(fs_type);
	ret->source = unescape(source);
	ret->readonly = has_option(options, "ro");
	ret->sb_readonly = has_option(fs_options, "ro");
	ret->sb_stopped = mount_is_stopped(fs_options);
	if (strcmp(ret->fs_type, "btrfs") == 0 && btrfs_device_of(ret->source, &number)) {
		ret->major = major(number);
		ret->minor = minor(number);
	}
	return true;
}

static size_t count_lines(const char *text)
{
	size_t count = 0;

	while ((text = strchr(text, '\n'))) {
		text++;
		count++;
	}
	return count;
}

int mount_table_parse(char *text, struct mount_table *ret, struct err *err)
{
	struct mount_table table cleanup_mount_table = { .text = text };
	char *rest = text, *line;

	table.entries = xcalloc(count_lines(text) + 1, sizeof(*table.entries));
	while ((line = strsep(&rest, "\n"))) {
		if (!rest && !*line)
			break;
		if (!parse_line(line, &table.entries[table.count]))
			return err_set(err, ERR_INTERNAL,
				       "line %zu of " MOUNTINFO " cannot be understood",
				       table.count + 1);
		table.count++;
	}
	*ret = table;
	table = (struct mount_table) { 0 };
	return 0;
}

int mount_table_read(struct mount_table *ret, struct err *err)
{
	cleanup_close int fd = open(MOUNTINFO, O_RDONLY | O_CLOEXEC);
	size_t size = FIRST_BYTES, len = 0;
	cleanup_free char *text = xrealloc(NULL, size, 1);
	ssize_t n;

	if (fd < 0)
		return err_sys(err, errno, "read " MOUNTINFO);
	while ((n = read(fd, text + len, size - len - 1)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read " MOUNTINFO);
		len += (size_t)n;
		if (len > size / 2)
			text = xrealloc(text, size *= 2, 1);
	}
	text[len] = '\0';
	return mount_table_parse(steal_ptr(&text), ret, err);
}

/* 1: at path is *ret; 0: nothing is; -1: that cannot be told by looking at the path. */
static int look_at(const char *path, struct mount_entry *ret)
{
	uint64_t id;
	int found = mount_look_id(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &id);

	if (found <= 0)
		return found == 0 || errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	if (!mount_look(id, ret))
		return -1;
	if (strcmp(ret->target, path) == 0)
		return 1;
	free(ret->own);
	return -1;
}

int mount_table_read_at(const char *const paths[], size_t count, struct mount_table *ret,
			struct err *err)
{
	struct mount_table table cleanup_mount_table = { 0 };

	table.entries = xcalloc(count, sizeof(*table.entries));
	for (size_t i = 0; i < count; i++) {
		int found = look_at(paths[i], &table.entries[table.count]);

		if (found < 0)
			return mount_table_read(ret, err);
		table.count += (size_t)found;
	}
	*ret = table;
	table = (struct mount_table) { 0 };
	return 0;
}

void mount_table_fini(struct mount_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->entries[i].own);
	free(table->entries);
	free(table->text);
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

const struct mount_entry *mount_table_around(const struct mount_table *table, const char *path)
{
	char above[PATH_MAX];

	for (snprintf(above, sizeof(above), "%s", path); above[0];) {
		const struct mount_entry *entry = mount_table_find(table, above);

		if (entry)
			return entry;
		*strrchr(above, '/') = '\0';
	}
	return mount_table_find(table, "/");
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
