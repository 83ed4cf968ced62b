/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volume capabilities: what one CSI VolumeCapability asks for, checked and taken apart. The table
 * of access modes lives here; controller and node decide by its columns, never by the mode itself.
 */
#ifndef CSI_REQUEST_ACCESS_H
#define CSI_REQUEST_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "csi.pb-c.h"
#include "nvme/base/err.h"
#include "nvme/target/volume.h"

#define FS_TYPE_DEFAULT "ext4"
#define ACCESS_OPTIONS_SIZE                                                                        \
	4096 /* CSI: 4 KiB of mount flags; the kernel takes a page with its NUL */

struct access {
	const char *mode_name;	   /* static, as in the CSI specification */
	bool block;		   /* raw block, else a file system */
	bool reader;		   /* the mode allows no write at all */
	bool many_nodes;	   /* readers on many nodes: nothing may ever write to the device */
	bool single_path;	   /* one target path on one node (RWOP) */
	bool shared_writer;	   /* the mode lets several nodes ask for writing */
	enum volume_access export; /* what the target has to enforce */
	const char *fs_type;	   /* static; "": block */
	bool ro_flag;		   /* "ro" was among the mount flags */
	char options[ACCESS_OPTIONS_SIZE]; /* all mount flags, comma separated */
};

/*
 * Takes a capability apart. ERR_INVALID_ARGUMENT when it is missing, has no access type or mode, an
 * unknown file system, or asks for something that only one of block and mount can have.
 */
int access_parse(const Csi__V1__VolumeCapability *capability, struct access *ret, struct err *err);

/* The same for a list, which must not be empty nor mix block and mount, or file systems. ret gets
 * the first. */
int access_parse_list(Csi__V1__VolumeCapability *const *capabilities, size_t count,
		      struct access *ret, struct err *err);

/*
 * Whether a statically provisioned volume may be had this way: its target is not ours, so nobody
 * enforces that a file system is written on one node at a time. ERR_INVALID_ARGUMENT.
 */
int access_check_static(const struct access *access, struct err *err);

#endif
