/* SPDX-License-Identifier: Apache-2.0 */
/* Rooted access to configfs, sysfs and state directories. */
#include "nvme/base/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/base/strb.h"

struct rel {
	char path[PATH_MAX];
};

static bool has_dot_dot(const char *path)
{
	for (;;) {
		size_t len = strcspn(path, "/");

		if (len == 2 && path[0] == '.' && path[1] == '.')
			return true;
		if (!path[len])
			return false;
		path += len + 1;
	}
}

/* Formats the relative path; false when it is too long or would climb out of the root. */
__attribute__((format(printf, 2, 0))) static bool rel_format(struct rel *rel, const char *format,
							     va_list args)
{
	struct strb text = strb_over(rel->path, sizeof(rel->path));

	strb_addv(&text, format, args);
	return !text.overflow && text.len > 0 && rel->path[0] != '/' && !has_dot_dot(rel->path);
}

#define REL(rel, format)                                                                           \
	({                                                                                         \
		va_list args_;                                                                     \
		va_start(args_, format);                                                           \
		bool ok_ = rel_format(rel, format, args_);                                         \
		va_end(args_);                                                                     \
		ok_;                                                                               \
	})

static int bad_path(const struct root *root, const struct rel *rel, struct err *err)
{
	return err_set(err, ERR_INTERNAL, "path \"%.200s\" does not stay below %s", rel->path,
		       root->path);
}

static int failed(const struct root *root, const struct rel *rel, const char *verb, int sys_errno,
		  struct err *err)
{
	return err_sys(err, sys_errno, "%s %s/%s", verb, root->path, rel->path);
}

int root_open(struct root *root, const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "open directory %s", path);
	if (strlen(path) >= sizeof(root->path)) {
		close(fd);
		return err_set(err, ERR_INVALID_ARGUMENT, "path \"%.200s…\" is too long", path);
	}
	root->fd = fd;
	strcpy(root->path, path);
	return 0;
}

void root_close(struct root *root)
{
	if (root->fd >= 0)
		close(steal_fd(&root->fd));
}

bool root_exists(const struct root *root, const char *format, ...)
{
	struct stat st;
	struct rel rel;

	return REL(&rel, format) && fstatat(root->fd, rel.path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void trim(char *text, size_t len)
{
	while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
		len--;
	text[len] = '\0';
}

int root_read(const struct root *root, char value[ROOT_VALUE_SIZE], struct err *err,
	      const char *format, ...)
{
	cleanup_close int fd = -1;
	struct rel rel;
	ssize_t n;

	if (!REL(&rel, format))
		return bad_path(root, &rel, err);
	fd = openat(root->fd, rel.path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : failed(root, &rel, "open", errno, err);
	n = read(fd, value, ROOT_VALUE_SIZE - 1);
	/* An object that goes away between open and read answers ENODEV: it is absent. */
	if (n < 0)
		return errno == ENODEV ? 0 : failed(root, &rel, "read", errno, err);
	trim(value, (size_t)n);
	return 1;
}

static int write_value(const struct root *root, const struct rel *rel, const char *value,
		       bool secret, struct err *err)
{
	cleanup_close int fd = openat(root->fd, rel->path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0)
		return failed(root, rel, "open", errno, err);
	/* The kernel's attributes are for everybody; some file systems keep them so. */
	if (secret)
		(void)fchmod(fd, 0600);
	if (write(fd, value, strlen(value)) >= 0)
		return 0;
	if (secret)
		return failed(root, rel, "write a secret to", errno, err);
	return err_sys(err, errno, "write \"%.80s\" to %s/%s", value, root->path, rel->path);
}

int root_write(const struct root *root, const char *value, struct err *err, const char *format, ...)
{
	struct rel rel;

	if (!REL(&rel, format))
		return bad_path(root, &rel, err);
	return write_value(root, &rel, value, false, err);
}

int root_write_secret(const struct root *root, const char *value, struct err *err,
		      const char *format, ...)
{
	struct rel rel;

	if (!REL(&rel, format))
		return bad_path(root, &rel, err);
	return write_value(root, &rel, value, true, err);
}

int root_mkdir(const struct root *root, struct err *err, const char *format, ...)
{
	struct rel rel;

	if (!REL(&rel, format))
		return bad_path(root, &rel, err);
	if (mkdirat(root->fd, rel.path, 0755) < 0 && errno != EEXIST)
		return failed(root, &rel, "create directory", errno, err);
	return 0;
}

int root_rmdir(const struct root *root, struct err *err, const char *format, ...)
{
	struct rel rel;

	if (!REL(&rel, format))
		return bad_path(root, &rel, err);
	if (unlinkat(root->fd, rel.path, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return failed(root, &rel, "remove directory", errno, err);
	return 0;
}

int root_symlink(const struct root *root, const char *target, struct err *err, const char *format,
		 ...)
{
	struct rel rel;

	if (!REL(&rel, format))
		return bad_path(root, &rel, err);
	if (symlinkat(target, root->fd, rel.path) < 0 && errno != EEXIST)
		return err_sys(err, errno, "link %s/%s to %s", root->path, rel.path, target);
	return 0;
}

int root_unlink(const struct root *root, struct err *err, const char *format, ...)
{
	struct rel rel;

	if (!REL(&rel, format))
		return bad_path(root, &rel, err);
	if (unlinkat(root->fd, rel.path, 0) < 0 && errno != ENOENT)
		return failed(root, &rel, "remove", errno, err);
	return 0;
}

void root_names_add(struct root_names *names, const char *name)
{
	names->names = xrealloc(names->names, names->count + 1, sizeof(*names->names));
	names->names[names->count++] = xstrdup(name);
}

void root_names_filter(struct root_names *names, bool (*keep)(char *name, const void *context),
		       const void *context)
{
	size_t kept = 0;

	for (size_t i = 0; i < names->count; i++) {
		if (keep(names->names[i], context))
			names->names[kept++] = names->names[i];
		else
			free(names->names[i]);
	}
	names->count = kept;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_collect(DIR *dir, struct root_names *names)
{
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		root_names_add(names, entry->d_name);
	}
	if (names->count)
		qsort(names->names, names->count, sizeof(*names->names), compare_names);
}

int root_list(const struct root *root, struct root_names *ret, struct err *err, const char *format,
	      ...)
{
	struct root_names names = { 0 };
	struct rel rel;
	DIR *dir;
	int fd;

	if (!REL(&rel, format))
		return bad_path(root, &rel, err);
	fd = openat(root->fd, rel.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return failed(root, &rel, "list", errno, err);
	if (fd >= 0) {
		dir = fdopendir(fd);
		if (!dir) {
			close(fd);
			return failed(root, &rel, "list", errno, err);
		}
		names_collect(dir, &names);
		closedir(dir);
	}
	*ret = names;
	return 0;
}

void root_names_fini(struct root_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->names[i]);
	free(names->names);
	*names = (struct root_names) { 0 };
}
