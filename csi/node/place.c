/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a volume by its ID and a path. */
#include "csi/node/place.h"

#include <stdio.h>
#include <string.h>

#include "csi/node/paths.h"

/* What volume an ID stands for. */
static int identify(const struct node *node, const char *volume_id, struct node_record *ret,
		    struct err *err)
{
	int found = node_record_find(&node->state, volume_id, ret, err);

	if (found)
		return found < 0 ? -1 : 0;
	return err_set(err, ERR_NOT_FOUND, "volume \"%s\" is not staged on this node", volume_id);
}

static int resolve(const struct node_record *record, const char *path, char ret[PATH_MAX],
		   struct err *err)
{
	int found;

	/* A record's path is canonical; without a record it is not known. */
	if (!path[0])
		path = record->staging_path;
	if (!path[0])
		return err_set(err, ERR_NOT_FOUND, "volume \"%s\" is not staged on this node",
			       record->volume_id);
	found = mount_path_resolve(path, ret, err);
	if (found < 0) /* Of no form that could have it: it is not there. */
		return err->code == ERR_INVALID_ARGUMENT ? err_recode(err, ERR_NOT_FOUND) : -1;
	if (!found)
		return err_set(err, ERR_NOT_FOUND, "volume \"%s\" is not at %s: no such directory",
			       record->volume_id, path);
	return 0;
}

/* A target path is a mount; a staging path has one in it. */
static const struct mount_entry *find_entry(const struct mount_table *table, const char *path)
{
	const struct mount_entry *entry = mount_table_find(table, path);
	char staged[PATH_MAX];

	if (entry)
		return entry;
	device_stage_path(path, staged);
	return mount_table_find(table, staged);
}

/* The namespace that a mount is of, by the number of its device: 1 found, 0 not one, -1 error. */
static int namespace_of(const struct root *sysfs, const struct mount_entry *entry, bool block,
			struct host_namespace *ret, struct err *err)
{
	unsigned major = entry->major, minor = entry->minor;
	char value[ROOT_VALUE_SIZE];

	if (block) {
		int found = root_read(sysfs, value, err, "class/block/%s/dev", entry->fs_root + 1);

		if (found <= 0 || sscanf(value, "%u:%u", &major, &minor) != 2)
			return found < 0 ? -1 : 0;
	}
	return host_namespace_by_dev(sysfs, major, minor, ret, err);
}

static bool is_of_record(const struct host_namespace *ns, const struct node_record *record)
{
	return strcmp(ns->nqn, record->nqn) == 0 &&
	       (record->has_uuid ? strcmp(ns->uuid.text, record->uuid.text) == 0 :
				   ns->nsid == record->nsid);
}

static int look(const struct root *sysfs, struct place *place, struct err *err)
{
	const struct mount_entry *entry = place->entry;
	int found;

	place->block = paths_is_node(entry);
	/* Whose it was nobody can tell: the path says so. */
	place->gone = paths_is_dead(sysfs, entry);
	if (place->gone)
		return 0;
	found = namespace_of(sysfs, entry, place->block, &place->ns, err);
	if (found < 0)
		return -1;
	if (!found || !is_of_record(&place->ns, &place->record) ||
	    !paths_is_bind_of(entry, &place->ns, place->block))
		return err_set(err, ERR_NOT_FOUND, "%s is a mount of %s (%s), not of volume \"%s\"",
			       entry->target, entry->source, entry->fs_type,
			       place->record.volume_id);
	return 0;
}

/* All that find_entry and place_private look at. */
static int read_mounts(const struct node *node, const struct node_record *record, const char *path,
		       struct mount_table *ret, struct err *err)
{
	char private[PATH_MAX], staged[PATH_MAX];
	const char *const paths[] = { private, path, staged };
	struct mount_table table cleanup_mount_table = { 0 };

	device_private_path(node, record, private);
	device_stage_path(path, staged);
	if (mount_table_read_at(paths, 2, &table, err) < 0)
		return -1;
	/* In a file system that is mounted at the path, looking for what is in it may hang. */
	if (!mount_table_find(&table, path))
		return mount_table_read_at(paths, ARRAY_SIZE(paths), ret, err);
	*ret = table;
	table = (struct mount_table) { 0 };
	return 0;
}

int place_find(const struct node *node, const char *volume_id, const char *path, struct place *ret,
	       struct err *err)
{
	struct place place cleanup_place = { 0 };
	char canonical[PATH_MAX];

	if (identify(node, volume_id, &place.record, err) < 0 ||
	    resolve(&place.record, path, canonical, err) < 0 ||
	    read_mounts(node, &place.record, canonical, &place.table, err) < 0)
		return -1;
	place.entry = find_entry(&place.table, canonical);
	if (!place.entry)
		return err_set(err, ERR_NOT_FOUND, "volume \"%s\" is not at %s: no mount is there",
			       volume_id, canonical);
	if (look(&node->host->sysfs, &place, err) < 0)
		return -1;
	*ret = place;
	place.table = (struct mount_table) { 0 };
	return 0;
}

void place_fini(struct place *place)
{
	mount_table_fini(&place->table);
}

const struct mount_entry *place_private(const struct node *node, const struct place *place)
{
	const struct mount_entry *entry;
	char path[PATH_MAX];

	device_private_path(node, &place->record, path);
	entry = mount_table_find(&place->table, path);
	return entry && (place->gone || paths_is_bind_of(entry, &place->ns, false)) ? entry : NULL;
}
