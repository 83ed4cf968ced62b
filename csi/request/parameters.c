/* SPDX-License-Identifier: Apache-2.0 */
/* The table of StorageClass parameters; parameters of snapshots. */
#include "csi/request/parameters.h"

#include <stdio.h>
#include <string.h>

#include "csi/volume/fs.h"
#include "nvme/base/cleanup.h"
#include "nvme/base/strb.h"

struct row {
	const char *name;
	int (*set)(struct parameters *p, const char *what, const char *value, struct err *err);
	bool for_node;
	bool is_mutable;
	/* A number goes straight into an int of the connect options. */
	size_t offset;
	int64_t min, max;
};

static int set_short_name(char *ret, const char *what, const char *value, struct err *err)
{
	if (!parse_is_name(value))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s \"%.64s\" is not a name of 1 to 32 characters a-z, 0-9 and -",
			       what, value);
	strcpy(ret, value);
	return 0;
}

static int set_target(struct parameters *p, const char *what, const char *value, struct err *err)
{
	return set_short_name(p->target, what, value, err);
}

static int set_pool(struct parameters *p, const char *what, const char *value, struct err *err)
{
	return set_short_name(p->pool, what, value, err);
}

static int set_fs_type(struct parameters *p, const char *what, const char *value, struct err *err)
{
	if (!fs_find(value))
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "%s \"%.32s\" is not supported; use " FS_NAMES, what, value);
	p->fs_type = value;
	return 0;
}

static int set_mkfs_options(struct parameters *p, const char *what, const char *value,
			    struct err *err)
{
	(void)what, (void)err; /* checked with the file system it is for */
	p->mkfs_options = value;
	return 0;
}

static int set_write_cache(struct parameters *p, const char *what, const char *value,
			   struct err *err)
{
	if (strcmp(value, "none") != 0 && strcmp(value, "volatile") != 0)
		return err_set(err, ERR_INVALID_ARGUMENT, "%s \"%.32s\" is not none or volatile",
			       what, value);
	p->volatile_cache = strcmp(value, "volatile") == 0;
	return 0;
}

static int set_fs_repair(struct parameters *p, const char *what, const char *value, struct err *err)
{
	if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
		return err_set(err, ERR_INVALID_ARGUMENT, "%s \"%.32s\" is not true or false", what,
			       value);
	p->fs_repair = strcmp(value, "true") == 0;
	return 0;
}

/* The provisioner's own annotations, sent when it runs with --extra-create-metadata. */
static int ignore(struct parameters *p, const char *what, const char *value, struct err *err)
{
	(void)p, (void)what, (void)value, (void)err;
	return 0;
}

#define NUMBER(field, low, high)                                                                   \
	.for_node = true, .is_mutable = true,                                                      \
	.offset = offsetof(struct host_connect_options, field), .min = (low), .max = (high)

static const struct row rows[] = {
	{ .name = "target", .set = set_target },
	{ .name = "pool", .set = set_pool },
	{ .name = "writeCache", .set = set_write_cache },
	{ .name = "csi.storage.k8s.io/fstype", .set = set_fs_type },
	{ .name = "mkfsOptions", .set = set_mkfs_options, .for_node = true },
	{ .name = "nrIoQueues", NUMBER(nr_io_queues, 1, 128) },
	{ .name = "queueSize", NUMBER(queue_size, 16, 1024) },
	{ .name = "ctrlLossTmo", NUMBER(ctrl_loss_tmo_s, -1, 86400) },
	{ .name = "reconnectDelay", NUMBER(reconnect_delay_s, 1, 3600) },
	{ .name = "fastIoFailTmo", NUMBER(fast_io_fail_tmo_s, 1, 86400) },
	{ .name = "keepAliveTmo", NUMBER(keep_alive_tmo_s, 1, 3600) },
	/* Mutable: who needs it has a volume already. */
	{ .name = "fsRepair", .set = set_fs_repair, .for_node = true, .is_mutable = true },
	{ .name = "csi.storage.k8s.io/pvc/name", .set = ignore },
	{ .name = "csi.storage.k8s.io/pvc/namespace", .set = ignore },
	{ .name = "csi.storage.k8s.io/pv/name", .set = ignore },
};

static const struct row *row_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

/* Tells all the parameters that there are, or those that can be changed. */
static int refuse(const char *name, bool mutables, const char *why, struct err *err)
{
	char known[512];
	struct strb list = strb_over(known, sizeof(known));

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].set != ignore && (rows[i].is_mutable || !mutables))
			strb_addf(&list, "%s%s", list.len ? ", " : "", rows[i].name);
	return err_set(err, ERR_INVALID_ARGUMENT, "parameter \"%.64s\" %s: %s", name, why, known);
}

static int row_set(const struct row *row, const char *value, struct parameters *p, struct err *err)
{
	char what[64];
	int64_t number;

	snprintf(what, sizeof(what), "parameter %s", row->name);
	if (row->set)
		return row->set(p, what, value, err);
	if (parse_i64(what, value, row->min, row->max, &number, err) < 0)
		return -1;
	*(int *)((char *)&p->connect + row->offset) = (int)number;
	return 0;
}

static struct parameters defaults(void)
{
	return (struct parameters) {
		.mkfs_options = "",
		.connect = host_connect_options_default(),
	};
}

int parameters_parse(struct map map, struct parameters *ret, struct err *err)
{
	struct parameters p = defaults();

	if (map_check_size("parameters", map, err) < 0)
		return -1;
	for (size_t i = 0; i < map.count; i++) {
		const struct row *row = row_find(map.entries[i]->key);

		if (!row)
			return refuse(map.entries[i]->key, false, "is unknown; known are", err);
		if (row_set(row, map.entries[i]->value, &p, err) < 0)
			return -1;
	}
	*ret = p;
	return 0;
}

int parameters_check_mutable(struct map map, struct err *err)
{
	struct parameters ignored = defaults();

	if (map_check_size("mutable_parameters", map, err) < 0)
		return -1;
	for (size_t i = 0; i < map.count; i++) {
		const char *name = map.entries[i]->key;
		const struct row *row = row_find(name);

		if (!row || !row->is_mutable)
			return refuse(name, true,
				      row ? "cannot be changed after creation; those that can are" :
					    "is unknown; known mutable ones are",
				      err);
		if (row_set(row, map.entries[i]->value, &ignored, err) < 0)
			return err_wrap(err, "mutable_parameters");
	}
	return 0;
}

/* Of a snapshotter that runs with --extra-create-metadata. */
static const char *const of_snapshotter[] = {
	"csi.storage.k8s.io/volumesnapshot/name",
	"csi.storage.k8s.io/volumesnapshot/namespace",
	"csi.storage.k8s.io/volumesnapshotcontent/name",
	"csi.storage.k8s.io/volumegroupsnapshot/name",
	"csi.storage.k8s.io/volumegroupsnapshot/namespace",
	"csi.storage.k8s.io/volumegroupsnapshotcontent/name",
};

static bool is_of_snapshotter(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(of_snapshotter); i++)
		if (strcmp(of_snapshotter[i], name) == 0)
			return true;
	return false;
}

int parameters_parse_snapshot(struct map map, bool *ret_freeze, struct err *err)
{
	const char *freeze = "false";

	if (map_check_size("parameters", map, err) < 0)
		return -1;
	for (size_t i = 0; i < map.count; i++) {
		const char *key = map.entries[i]->key;

		if (strcmp(key, "freeze") == 0)
			freeze = map.entries[i]->value;
		else if (!is_of_snapshotter(key))
			return err_set(err, ERR_INVALID_ARGUMENT,
				       "parameter \"%.64s\" is unknown: snapshots take freeze",
				       key);
	}
	if (strcmp(freeze, "true") != 0 && strcmp(freeze, "false") != 0)
		return err_set(err, ERR_INVALID_ARGUMENT,
			       "parameter freeze \"%.32s\" is not true or false", freeze);
	*ret_freeze = strcmp(freeze, "true") == 0;
	return 0;
}

static int read_context(const char *what, struct map map, struct parameters *p, struct err *err)
{
	for (size_t i = 0; i < map.count; i++) {
		const struct row *row = row_find(map.entries[i]->key);

		if (row && row->for_node && row_set(row, map.entries[i]->value, p, err) < 0)
			return err_wrap(err, "%s", what);
	}
	return 0;
}

int parameters_parse_context(struct map volume_context, struct map publish_context,
			     struct parameters *ret, struct err *err)
{
	struct parameters p = defaults();

	if (read_context("volume_context", volume_context, &p, err) < 0 ||
	    read_context("publish_context", publish_context, &p, err) < 0)
		return -1;
	*ret = p;
	return 0;
}

bool parameters_for_node(const char *name)
{
	const struct row *row = row_find(name);

	return row && row->for_node;
}

bool parameters_is_mutable(const char *name)
{
	const struct row *row = row_find(name);

	return row && row->is_mutable;
}
