/* SPDX-License-Identifier: Apache-2.0 */
/* Volume capabilities and the table of access modes. */
#include "csi/request/access.h"

#include <string.h>

#include "csi/request/ids.h"
#include "csi/volume/fs.h"
#include "csi/volume/mount.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/strb.h"

#define MODE(name) CSI__V1__VOLUME_CAPABILITY__ACCESS_MODE__MODE__##name

struct mode_row {
	const char *name;
	bool reader;
	bool many_nodes;
	bool single_path;
	bool shared_writer;
	enum volume_access export_mount;
	enum volume_access export_block;
};

/* A file system has one writing node at a time, whatever the mode says; a raw device need not. */
static const struct mode_row modes[] = {
	[MODE(SINGLE_NODE_WRITER)] = { .name = "SINGLE_NODE_WRITER",
				       .export_mount = VOLUME_SINGLE_NODE,
				       .export_block = VOLUME_SINGLE_NODE },
	[MODE(SINGLE_NODE_READER_ONLY)] = { .name = "SINGLE_NODE_READER_ONLY",
					    .reader = true,
					    .export_mount = VOLUME_SINGLE_NODE,
					    .export_block = VOLUME_SINGLE_NODE },
	[MODE(MULTI_NODE_READER_ONLY)] = { .name = "MULTI_NODE_READER_ONLY",
					   .reader = true,
					   .many_nodes = true,
					   .export_mount = VOLUME_MULTI_READER,
					   .export_block = VOLUME_MULTI_READER },
	[MODE(MULTI_NODE_SINGLE_WRITER)] = { .name = "MULTI_NODE_SINGLE_WRITER",
					     .shared_writer = true,
					     .export_mount = VOLUME_SINGLE_NODE,
					     .export_block = VOLUME_SINGLE_NODE },
	[MODE(MULTI_NODE_MULTI_WRITER)] = { .name = "MULTI_NODE_MULTI_WRITER",
					    .shared_writer = true,
					    .export_mount = VOLUME_SINGLE_NODE,
					    .export_block = VOLUME_MULTI_WRITER },
	[MODE(SINGLE_NODE_SINGLE_WRITER)] = { .name = "SINGLE_NODE_SINGLE_WRITER",
					      .single_path = true,
					      .export_mount = VOLUME_SINGLE_NODE,
					      .export_block = VOLUME_SINGLE_NODE },
	[MODE(SINGLE_NODE_MULTI_WRITER)] = { .name = "SINGLE_NODE_MULTI_WRITER",
					     .export_mount = VOLUME_SINGLE_NODE,
					     .export_block = VOLUME_SINGLE_NODE },
};

static int parse_mode(const Csi__V1__VolumeCapability *capability, struct access *access,
		      struct err *err)
{
	const Csi__V1__VolumeCapability__AccessMode *mode = capability->access_mode;
	const struct mode_row *row;

	if (!mode || mode->mode == MODE(UNKNOWN))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "volume_capability.access_mode is required and missing");
	if ((size_t)mode->mode >= ARRAY_SIZE(modes))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "volume_capability.access_mode %d is not an access mode",
			       mode->mode);
	row = &modes[mode->mode];
	access->mode_name = row->name;
	access->reader = row->reader;
	access->many_nodes = row->many_nodes;
	access->single_path = row->single_path;
	access->shared_writer = row->shared_writer;
	access->export = access->block ? row->export_block : row->export_mount;
	return 0;
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

/* A flag may itself be a comma separated list; quoted values may hold commas. */
static int parse_flags(const Csi__V1__VolumeCapability__MountVolume *mount, struct access *access,
		       struct err *err)
{
	struct strb joined = strb_over(access->options, sizeof(access->options));
	struct mount_options options;

	for (size_t i = 0; i < mount->n_mount_flags; i++) {
		const char *flag = mount->mount_flags[i];

		/* Flags may be sensitive: an error names their place, never their text. */
		if (!*flag || has_control(flag))
			return err_set(
				err, ERR_INVALID_ARGUMENT,
				"volume_capability.mount.mount_flags[%zu] is empty or holds a "
				"control character",
				i);
		strb_addf(&joined, "%s%s", joined.len ? "," : "", flag);
	}
	if (joined.overflow)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "volume_capability.mount.mount_flags take more than %d bytes",
			       ACCESS_OPTIONS_SIZE - 1);
	if (mount_options_parse(access->options, &options, err) < 0)
		return err_wrap(err, "volume_capability.mount.mount_flags");
	access->ro_flag = options.readonly;
	return 0;
}

static int parse_mount(const Csi__V1__VolumeCapability__MountVolume *mount, struct access *access,
		       struct err *err)
{
	const char *fs_type = mount->fs_type[0] ? mount->fs_type : FS_TYPE_DEFAULT;
	const struct fs *fs = fs_find(fs_type);

	if (!fs)
		return err_set(
			err, ERR_INVALID_ARGUMENT,
			"volume_capability.mount.fs_type \"%.32s\" is not supported; use " FS_NAMES,
			fs_type);
	access->fs_type = fs_name(fs);
	if (mount->volume_mount_group[0])
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "volume_capability.mount.volume_mount_group \"%.32s\" is given, but "
			       "VOLUME_MOUNT_GROUP is not supported; use fsGroup",
			       mount->volume_mount_group);
	return parse_flags(mount, access, err);
}

int access_parse(const Csi__V1__VolumeCapability *capability, struct access *ret, struct err *err)
{
	*ret = (struct access) { .fs_type = "" };
	if (!capability)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "volume_capability is required and missing");
	switch (capability->access_type_case) {
	case CSI__V1__VOLUME_CAPABILITY__ACCESS_TYPE_BLOCK:
		ret->block = true;
		break;
	case CSI__V1__VOLUME_CAPABILITY__ACCESS_TYPE_MOUNT:
		if (parse_mount(capability->mount, ret, err) < 0)
			return -1;
		break;
	default:
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "volume_capability names neither block nor mount");
	}
	return parse_mode(capability, ret, err);
}

int access_parse_list(Csi__V1__VolumeCapability *const *capabilities, size_t count,
		      struct access *ret, struct err *err)
{
	struct access other;

	if (!count)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "volume_capabilities is required and missing");
	if (access_parse(capabilities[0], ret, err) < 0)
		return -1;
	for (size_t i = 1; i < count; i++) {
		if (access_parse(capabilities[i], &other, err) < 0)
			return -1;
		if (other.block != ret->block)
			return err_set(
				err, ERR_INVALID_ARGUMENT,
				"volume_capabilities asks for both block and mount; one volume "
				"is one of them");
		if (strcmp(other.fs_type, ret->fs_type) != 0)
			return err_set(
				err, ERR_INVALID_ARGUMENT,
				"volume_capabilities asks for both %.32s and %.32s; one volume "
				"has one file system",
				ret->fs_type, other.fs_type);
	}
	return 0;
}

int access_check_static(const struct access *access, struct err *err)
{
	if (access->shared_writer && !access->block)
		return err_set(
			err, ERR_INVALID_ARGUMENT,
			"%s: a statically provisioned file system cannot be shared by writers, "
			"because nothing enforces one node at a time",
			access->mode_name);
	return 0;
}
