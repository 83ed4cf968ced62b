/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image of a volume or snapshot: <uuid>.img in the directory of a dir pool, a sparse file. One
 * that is copied from another has the name <uuid>.img.new until it is whole: the copy shares its
 * blocks with the other image until one of the two is written (reflink), which XFS and btrfs can.
 * The kernel takes such a copy at one moment, also under a writer: after a write or before it,
 * never in the middle. Everything here blocks for as long as the disk does.
 */
#ifndef NVME_TARGET_IMAGE_H
#define NVME_TARGET_IMAGE_H

#include <limits.h>

#include "nvme/base/root.h"
#include "nvme/target/volume.h"

#define IMAGE_SUFFIX ".img"
#define IMAGE_NEW_SUFFIX IMAGE_SUFFIX ".new"
#define IMAGE_NAME_SIZE (UUID_TEXT_SIZE + sizeof(IMAGE_NEW_SUFFIX))

void image_name(const struct uuid *uuid, char out[IMAGE_NAME_SIZE]);
void image_new_name(const struct uuid *uuid, char out[IMAGE_NAME_SIZE]);

/* Opens a regular file below dir with these flags of open(2). 1: opened; 0: absent; -1: error:
 * ERR_RESOURCE_EXHAUSTED if there is no room to create it. */
int image_open(const struct root *dir, const char *name, int flags, int *ret, struct err *err);

/* As image_open, of the image that a volume must have, with its size: ERR_DATA_LOSS if it is gone. */
int image_get(const struct root *dir, const char *name, int flags, int *ret, uint64_t *ret_size,
	      struct err *err);

/* Whether it has no data at all: every byte reads as zero and none was ever written. */
int image_is_blank(const struct root *dir, const char *name, int fd, bool *ret, struct err *err);

/* Gives it the size of the volume. ERR_OUT_OF_RANGE: the file system has no files of this size. */
int image_resize(const struct root *dir, const char *name, int fd, const struct volume *volume,
		 struct err *err);

/*
 * Makes every write to it synchronous by the inode flag FS_SYNC_FL, so that an acknowledgement
 * means durable without buffered I/O. ERR_FAILED_PRECONDITION: the file system does not do that.
 */
int image_sync(const struct root *dir, const char *name, int fd, struct err *err);

/*
 * Takes the copy of a volume or snapshot, as <uuid>.img.new, from the image of another one, which
 * must have exactly that one's size (else ERR_DATA_LOSS). What an earlier call has left there goes.
 * ERR_FAILED_PRECONDITION: the file system shares no blocks.
 */
int image_copy(const struct root *dir, const struct volume *copy, const struct volume *from,
	       struct err *err);

/*
 * Makes a copy that was taken the image <uuid>.img, with its volume's size and synchronous writes;
 * of one that is it already nothing is left to do. Its data is durable then; the name becomes so
 * with the next fsync of the directory.
 */
int image_copy_finish(const struct root *dir, const struct volume *copy, struct err *err);

/* Removes the image, and one that was not whole yet; absent ones are fine. */
int image_remove(const struct root *dir, const struct uuid *uuid, struct err *err);

#endif
