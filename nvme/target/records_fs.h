/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small ext4 on a block device that holds the records of a pool whose backings are no files.
 * Every block of the device is written once before, so that thin storage below it that has become
 * full cannot fail a record. An I/O error all the same (a thin pool that has failed takes no writes
 * at all) makes the kernel refuse all further writes: nothing can change then until it is mounted
 * anew, which checks it first. All of it blocks for as long as the storage does.
 */
#ifndef NVME_TARGET_RECORDS_FS_H
#define NVME_TARGET_RECORDS_FS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "nvme/base/root.h"

/* Makes it on the device at path, over whatever is there, and takes all of the storage it needs. */
int records_fs_make(const char *path, uint64_t size_bytes, struct err *err);

/*
 * Checks the device and mounts it at dir. One that is mounted there already, by a process that was
 * killed, is left as it is if it can be written. ERR_FAILED_PRECONDITION: it is damaged and cannot
 * be mended without decisions.
 */
int records_fs_mount(const char *path, dev_t number, const char *dir, struct err *err);

/* Whether it can no longer be written, which an I/O error causes. Looks by asking for a
 * transaction. */
bool records_fs_is_broken(const struct root *records);

#endif
