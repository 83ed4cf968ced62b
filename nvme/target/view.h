/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A read-only view of a backing, which nvmet can open: a block device through which no write ever
 * reaches the backing, whoever sends it.
 *
 * It has two layers, because nvmet opens what it exports for writing, and a block device that is
 * marked read-only refuses that open: a loop device that is read-only, so that the loop driver
 * itself fails every write, discard and write-zeroes (drivers/block/loop.c, loop_handle_cmd), and
 * on it a device-mapper device "linear", which may be opened for writing. The loop device goes by
 * itself with the last that has it open, so the device-mapper device is all there is to remove, and
 * a process that is killed half-way leaves at most that. Neither outlives a restart of the machine.
 * Nothing here waits for I/O.
 */
#ifndef NVME_TARGET_VIEW_H
#define NVME_TARGET_VIEW_H

#include <limits.h>
#include <stdint.h>

#include "nvme/base/parse.h"

/* The path of the view of a volume, whether it is there or not; pure: that of dm_path. */
void view_path(const struct uuid *uuid, char out[PATH_MAX]);

/*
 * Makes the view of the first size_bytes of backing, a descriptor of a regular file or a block
 * device that has as many; nothing of the descriptor is kept. Its logical blocks are those that
 * nvmet gives the backing itself: of a file those of its file system, at most 4096 bytes. One that
 * is right is left alone, one that is not is made anew, also of what an interrupted call left.
 * ERR_FAILED_PRECONDITION: this kernel has no device-mapper or no loop devices, or a view that is
 * wrong is in use.
 */
int view_ensure(const struct uuid *uuid, int backing, uint64_t size_bytes, struct err *err);

/* Removes it, and what an interrupted view_ensure left; nothing there is fine.
 * ERR_FAILED_PRECONDITION: it is in use. */
int view_remove(const struct uuid *uuid, struct err *err);

#endif
