/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for the kernel to announce a change of an NVMe device. Open the socket *before* the first
 * look at sysfs, then: look; if it is not so yet, wait; look again. No change can then be missed.
 */
#ifndef NVME_HOST_UEVENT_H
#define NVME_HOST_UEVENT_H

#include "nvme/base/clock.h"
#include "nvme/base/err.h"

/* Subscribes to the kernel's uevents (not udev's); *ret_fd is owned. */
int host_uevent_open(int *ret_fd, struct err *err);

/*
 * Blocks until an NVMe device has changed, or some changes were lost because the socket's buffer
 * was full, or the deadline passed. Takes all events that are there. 1: look again; 0: deadline.
 */
int host_uevent_wait(int fd, struct deadline deadline, struct err *err);

/*
 * Blocks until a controller has been removed, or some changes were lost, or something can be read
 * from wake_fd, or the deadline passed. Takes all events that are there, and nothing from wake_fd.
 * 1: a controller may be gone; 0: not so.
 */
int host_uevent_wait_removal(int fd, int wake_fd, struct deadline deadline, struct err *err);

#endif
