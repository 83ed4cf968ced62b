/* SPDX-License-Identifier: Apache-2.0 */
/* Durable replacement of small files. */
#include "nvme/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read(const struct root *root, const char *name, char **ret, struct err *err)
{
	cleanup_free char *text = NULL;
	cleanup_close int fd = -1;
	size_t len = 0;
	struct stat st;

	/* A fifo in the file's place would otherwise hold us for ever. */
	fd = openat(root->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "open %s/%s", root->path, name);
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "stat %s/%s", root->path, name);
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_MAX_BYTES)
		return err_set(err, ERR_INTERNAL, "%s/%s is not a regular file of at most %u bytes",
			       root->path, name, FILE_MAX_BYTES);
	text = xcalloc((size_t)st.st_size + 1, 1);
	while (len < (size_t)st.st_size) {
		ssize_t n = read(fd, text + len, (size_t)st.st_size - len);

		if (n < 0)
			return err_sys(err, errno, "read %s/%s", root->path, name);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret = steal_ptr(&text);
	return 1;
}

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = write(fd, text, left);

		if (n < 0)
			return -1;
		text += n;
		left -= (size_t)n;
	}
	return 0;
}

/* A file whose content is durable, but not its name. */
static int write_file(const struct root *root, const char *name, const char *text, struct err *err)
{
	cleanup_close int fd = -1;

	fd = openat(root->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, errno, "create %s/%s", root->path, name);
	if (write_all(fd, text) < 0 || fsync(fd) < 0) {
		err_sys(err, errno, "write %s/%s", root->path, name);
		unlinkat(root->fd, name, 0);
		return -1;
	}
	return 0;
}

int file_create(const struct root *root, const char *name, const char *text, struct err *err)
{
	if (write_file(root, name, text, err) < 0)
		return -1;
	if (fsync(root->fd) < 0) {
		err_sys(err, errno, "fsync %s", root->path);
		unlinkat(root->fd, name, 0);
		return -1;
	}
	return 0;
}

int file_replace(const struct root *root, const char *name, const char *text, struct err *err)
{
	cleanup_free char *tmp = xasprintf(".%s.tmp", name);

	if (write_file(root, tmp, text, err) < 0)
		return -1;
	if (renameat(root->fd, tmp, root->fd, name) < 0) {
		err_sys(err, errno, "rename %s/%s to %s", root->path, tmp, name);
		unlinkat(root->fd, tmp, 0);
		return -1;
	}
	if (fsync(root->fd) < 0)
		return err_sys(err, errno, "fsync %s", root->path);
	return 0;
}

int file_remove(const struct root *root, const char *name, struct err *err)
{
	/* One that is gone may be so only until a crash. */
	if (unlinkat(root->fd, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, errno, "remove %s/%s", root->path, name);
	if (fsync(root->fd) < 0)
		return err_sys(err, errno, "fsync %s", root->path);
	return 0;
}

int file_mkdirs(const char *path, struct err *err)
{
	cleanup_free char *copy = xstrdup(path);

	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return err_sys(err, errno, "create directory %s", copy);
		*p = '/';
	}
	if (mkdir(copy, 0755) < 0 && errno != EEXIST)
		return err_sys(err, errno, "create directory %s", copy);
	return 0;
}
