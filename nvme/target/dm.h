/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device-mapper by its ioctls (linux/dm-ioctl.h): the one device a volume may need, a "linear" of
 * exactly its size over another block device; and the status of devices that others have made, and
 * messages to them. No device survives a restart of the machine. Where udev runs, it is told to
 * leave ours alone, so that what is written inside a volume is never looked at by this machine.
 * Every call finishes what an interrupted one began. Only a resize waits, for the I/O under way.
 */
#ifndef NVME_TARGET_DM_H
#define NVME_TARGET_DM_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "nvme/base/parse.h"
#include "nvme/base/root.h"

#define DM_SECTOR_BYTES 512U
#define DM_NAME_SIZE 128 /* the kernel's DM_NAME_LEN */
#define DM_STATUS_SIZE 512

/* /dev/mapper/nvmeot-UUID, whether it is there or not; pure. */
void dm_path(const struct uuid *uuid, char out[PATH_MAX]);

/*
 * Makes the volume's device: the first sectors of below, open for reading and writing whatever
 * below is. One over another device is made anew, one that is smaller is resized, one that is
 * larger is left as it is: what hosts see is never cut. ERR_FAILED_PRECONDITION: this kernel has no
 * device-mapper, or one over another device is in use.
 */
int dm_ensure(const struct uuid *uuid, dev_t below, uint64_t sectors, struct err *err);

/* What the volume's device is made of. 1: it is there and runs; 0: it does not; -1: error. */
int dm_look(const struct uuid *uuid, dev_t *ret_below, uint64_t *ret_sectors, struct err *err);

/* Removes it; an absent one is fine. ERR_FAILED_PRECONDITION: it is in use. */
int dm_remove(const struct uuid *uuid, struct err *err);

/*
 * The status line of the one target of any device: of a thin volume "MAPPED-SECTORS HIGHEST" or
 * "MAPPED -", of a thin pool what Documentation/admin-guide/device-mapper/thin-provisioning.rst
 * says, after the metadata of the pool was committed. 1: read; 0: no such device.
 */
int dm_status(const char *name, char out[DM_STATUS_SIZE], struct err *err);

/* As dm_status, of what the target was made with: of a thin volume "POOL-MAJOR:MINOR ID". */
int dm_table(const char *name, char out[DM_STATUS_SIZE], struct err *err);

/*
 * Hands a message to the target of any device, to a thin pool one of those in thin-provisioning.rst;
 * what it asks for is done when this returns. err->sys says why it is refused.
 */
int dm_message(const char *name, const char *text, struct err *err);

/* The number of any device that has a table. 1: there is one; 0: there is none; -1: error. */
int dm_number(const char *name, dev_t *ret, struct err *err);

/*
 * The names of all devices that begin so and are suspended: all I/O to them waits until somebody
 * resumes them.
 */
int dm_list_suspended(const char *prefix, struct root_names *ret, struct err *err);

#endif
