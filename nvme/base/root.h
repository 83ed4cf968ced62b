/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rooted directory: every path below configfs, sysfs or a state directory is named relative to
 * one open directory, so that a test can hand in a temporary tree. Paths come from a printf format
 * and are bounded; none may leave the root. Errors are ERR_INTERNAL with err->sys set and name the
 * full path. Nothing here blocks but the kernel's own attribute handlers.
 */
#ifndef NVME_BASE_ROOT_H
#define NVME_BASE_ROOT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "nvme/base/cleanup.h"
#include "nvme/base/err.h"

#define ROOT_VALUE_SIZE 4096 /* a sysfs or configfs attribute is at most one page */

struct root {
	int fd;
	char path[PATH_MAX]; /* for messages and for calls that take no directory fd */
};

int root_open(struct root *root, const char *path, struct err *err);
void root_close(struct root *root);

/* Whether the path exists (without following a last symbolic link). */
bool root_exists(const struct root *root, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Reads an attribute into value, without its trailing newline and blanks. 1: read; 0: the file is
 * absent; -1: error. Longer values than ROOT_VALUE_SIZE - 1 are cut.
 */
int root_read(const struct root *root, char value[ROOT_VALUE_SIZE], struct err *err,
	      const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Writes value to an existing attribute in one write(2). An absent file is an error. */
int root_write(const struct root *root, const char *value, struct err *err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * As root_write, of a value that no message may show. The attribute is made readable by its owner
 * alone before, where the file system can do that.
 */
int root_write_secret(const struct root *root, const char *value, struct err *err,
		      const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Creates a directory; one that is there already is fine. */
int root_mkdir(const struct root *root, struct err *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Removes a directory; an absent one is fine. */
int root_rmdir(const struct root *root, struct err *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Creates a symbolic link to the absolute path target; one that is there already is fine. */
int root_symlink(const struct root *root, const char *target, struct err *err, const char *format,
		 ...) __attribute__((format(printf, 4, 5)));

/* Removes a file or link; an absent one is fine. */
int root_unlink(const struct root *root, struct err *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The names in a directory, sorted, without "." and ".."; an absent directory gives none. */
struct root_names {
	char **names;
	size_t count;
};

/* Adds a copy of the name, at the end. */
void root_names_add(struct root_names *names, const char *name);

/* Drops those that keep does not want; it may change a name, but not lengthen it. */
void root_names_filter(struct root_names *names, bool (*keep)(char *name, const void *context),
		       const void *context);

int root_list(const struct root *root, struct root_names *ret, struct err *err, const char *format,
	      ...) __attribute__((format(printf, 4, 5)));
void root_names_fini(struct root_names *names);

#define cleanup_root CLEANUP(root_close)
#define cleanup_root_names CLEANUP(root_names_fini)
#define ROOT_INIT ((struct root) { .fd = -1 })

#endif
