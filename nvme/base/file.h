/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole small files in a rooted directory, replaced so that a crash leaves the old or the new
 * content: temporary file, fsync, rename, fsync of the directory. Blocks for as long as the disk
 * does.
 */
#ifndef NVME_BASE_FILE_H
#define NVME_BASE_FILE_H

#include "nvme/base/root.h"

#define FILE_MAX_BYTES (1U << 20)

/* Reads name whole; *ret is owned and terminated. 1: read; 0: absent; -1: error (also: > 1 MiB). */
int file_read(const struct root *root, const char *name, char **ret, struct err *err);

/*
 * Writes name, durably; mode 0600. After a crash on the way it may have any part of text: for files
 * that say nothing until this has returned. It is cheaper than file_replace.
 */
int file_create(const struct root *root, const char *name, const char *text, struct err *err);

/* Replaces or creates name with text, durably; mode 0600. The temporary file is ".<name>.tmp". */
int file_replace(const struct root *root, const char *name, const char *text, struct err *err);

/* Removes name durably; an absent one is fine. */
int file_remove(const struct root *root, const char *name, struct err *err);

/* Creates the directory path and its missing parents, mode 0755. */
int file_mkdirs(const char *path, struct err *err);

#endif
