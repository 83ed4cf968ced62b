/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block device over another on which a write is durable before it is acknowledged, flushed or
 * not: for storage that keeps acknowledged writes in memory until it is flushed, as thin volumes do
 * with the mapping of new blocks (dm-thin commits it with a flush, or each second).
 *
 * It is the kernel's own SCSI target, looped back: a "fileio" backstore, which opens the other
 * device with O_DSYNC (drivers/target/target_core_file.c, fd_configure_device) and hands discards
 * on to it, as a SCSI disk of this machine (tcm_loop). A loop device with a descriptor opened with
 * O_DSYNC does not do: newer loop drivers do not look at that flag, and none hands discards on to a
 * thin volume. Each volume has a SCSI host of its own, so that one that hangs keeps nobody else
 * waiting, and its commands have no time limit worth the name, so that slow storage is waited for
 * as anywhere else and not taken offline.
 *
 * Everything is named by the volume's UUID and lies in configfs, which forgets it with a restart of
 * the machine. Every call finishes what an interrupted one began. On a machine with udev a rule
 * must keep other programs off these disks: they have the vendor "LIO-ORG" and the model UUID.
 */
#ifndef NVME_TARGET_THROUGH_H
#define NVME_TARGET_THROUGH_H

#include <limits.h>

#include "nvme/base/parse.h"

/* Where it is, whether it is there or not; pure: /dev/nvmeot-UUID. */
void through_path(const struct uuid *uuid, char out[PATH_MAX]);

/*
 * Makes the device over the block device at path, of its size and with its blocks. One that is
 * right is left alone. ERR_FAILED_PRECONDITION: the kernel's SCSI target or disk driver is not
 * loaded. Waits for the disk to be found, some milliseconds.
 */
int through_ensure(const struct uuid *uuid, const char *path, struct err *err);

/* Lets it see that the device below has grown; an absent one is fine. */
int through_resize(const struct uuid *uuid, struct err *err);

/* Removes it; an absent one is fine. Not while the kernel exports it. */
int through_remove(const struct uuid *uuid, struct err *err);

#endif
