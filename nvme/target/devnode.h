/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device nodes below /dev. There may be no udev to make them, and in a container no devtmpfs: they
 * are of our making then. Names are relative to /dev, in existing directories.
 */
#ifndef NVME_TARGET_DEVNODE_H
#define NVME_TARGET_DEVNODE_H

#include <sys/types.h>

#include "nvme/base/err.h"

/*
 * Makes the node, of type S_IFBLK or S_IFCHR. A link to such a node is as good; anything else that
 * has its name is replaced.
 */
int devnode_ensure(const char *name, mode_t type, dev_t number, struct err *err);

/* The same, and opens it with these flags; *ret is owned. err->sys is that of open(2). */
int devnode_open(const char *name, mode_t type, dev_t number, int flags, int *ret, struct err *err);

/* An absent one is fine. */
int devnode_remove(const char *name, struct err *err);

/*
 * Opens a control device (10:minor), which loads its module where the kernel can; what names it and
 * its module. ERR_FAILED_PRECONDITION: this kernel does not have it.
 */
int devnode_control(const char *name, unsigned minor, const char *what, int *ret, struct err *err);

#endif
