/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over NVMe subsystems in sysfs. */
#include "nvme/host/sysfs.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "nvme/base/hash.h"
#include "nvme/host/nodes.h"

#define SUBSYSTEMS "class/nvme-subsystem"
#define SUBSYSTEM "nvme-subsys"
#define HINTS 1024

static const char *skip_digits(const char *text)
{
	while (isdigit((unsigned char)*text))
		text++;
	return text;
}

enum host_node host_node_of(const char *name)
{
	const char *at, *end;

	if (strncmp(name, "nvme", 4) != 0 || strlen(name) >= HOST_NAME_SIZE)
		return HOST_NODE_OTHER;
	at = name + 4;
	end = skip_digits(at);
	if (end == at)
		return HOST_NODE_OTHER;
	if (!*end)
		return HOST_NODE_CONTROLLER;
	if (*end != 'n')
		return HOST_NODE_OTHER;
	at = end + 1;
	end = skip_digits(at);
	return end > at && !*end ? HOST_NODE_NAMESPACE : HOST_NODE_OTHER;
}

int host_attribute_read(const struct root *sysfs, const char *dir, const char *name, char *text,
			size_t size, struct err *err)
{
	char value[ROOT_VALUE_SIZE];
	int rc = root_read(sysfs, value, err, "%s/%s", dir, name);

	if (rc < 0)
		return -1;
	snprintf(text, size, "%s", rc ? value : "");
	return rc;
}

/* A walk that looks for one NQN, or for all. */
struct walk {
	const struct root *sysfs;
	const char *nqn;
	int (*visit)(const struct root *sysfs, const struct host_entry *entry, void *context,
		     struct err *err);
	void *context;
};

/* How many were visited of a subsystem, if it is one that is looked for; -1: error. */
static int visit_subsystem(const struct walk *walk, const struct host_node_entry *subsystem,
			   struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };
	char dir[HOST_PATH_SIZE], found[NQN_SIZE];
	int rc, visited = 0;

	snprintf(dir, sizeof(dir), SUBSYSTEMS "/%s", subsystem->name);
	rc = host_attribute_read(walk->sysfs, dir, "subsysnqn", found, sizeof(found), err);
	if (rc <= 0)
		return rc;
	host_node_know(subsystem, (uint32_t)hash_add(HASH_BEGIN, found));
	if (walk->nqn && strcmp(walk->nqn, found) != 0)
		return 0;
	if (root_list(walk->sysfs, &names, err, "%s", dir) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		struct host_entry entry = { .dir = dir, .nqn = found, .name = names.names[i] };

		if (host_node_of(entry.name) == HOST_NODE_OTHER)
			continue;
		visited++;
		if (walk->visit(walk->sysfs, &entry, walk->context, err) < 0)
			return -1;
	}
	return visited;
}

/*
 * By hash of the NQN, the number of the subsystem that was last found to have it. It is looked at
 * first. No more than a hint: what it is sysfs says each time.
 */
static _Atomic(uint64_t) hints[HINTS];

static void take_hint(uint32_t hash, const char *name)
{
	unsigned number;

	if (sscanf(name, SUBSYSTEM "%u", &number) == 1)
		hints[hash % HINTS] = (uint64_t)hash << 32 | number;
}

static bool give_hint(uint32_t hash, struct host_node_entry *ret)
{
	uint64_t hint = hints[hash % HINTS];

	*ret = (struct host_node_entry) { 0 };
	snprintf(ret->name, sizeof(ret->name), SUBSYSTEM "%u", (unsigned)(uint32_t)hint);
	return hint >> 32 == hash;
}

static int walk_one(const struct walk *walk, struct err *err)
{
	cleanup_host_nodes struct host_nodes subsystems = { 0 };
	uint32_t hash = (uint32_t)hash_add(HASH_BEGIN, walk->nqn), is;
	struct host_node_entry hinted;
	int visited = give_hint(hash, &hinted) ? visit_subsystem(walk, &hinted, err) : 0;

	if (visited)
		return visited < 0 ? -1 : 0;
	if (host_nodes_list(walk->sysfs, SUBSYSTEMS, &subsystems, err) < 0)
		return -1;
	for (size_t i = 0; i < subsystems.count && !visited; i++) {
		const struct host_node_entry *subsystem = &subsystems.list[i];

		if (host_node_recall(subsystem, &is) && is != hash)
			continue;
		visited = visit_subsystem(walk, subsystem, err);
		if (visited > 0)
			take_hint(hash, subsystem->name);
	}
	return visited < 0 ? -1 : 0;
}

int host_subsystem_walk(const struct root *sysfs, const char *nqn,
			int (*visit)(const struct root *sysfs, const struct host_entry *entry,
				     void *context, struct err *err),
			void *context, struct err *err)
{
	const struct walk walk = { .sysfs = sysfs, .nqn = nqn, .visit = visit, .context = context };
	cleanup_host_nodes struct host_nodes subsystems = { 0 };

	if (nqn)
		return walk_one(&walk, err);
	if (host_nodes_list(sysfs, SUBSYSTEMS, &subsystems, err) < 0)
		return -1;
	for (size_t i = 0; i < subsystems.count; i++)
		if (visit_subsystem(&walk, &subsystems.list[i], err) < 0)
			return -1;
	return 0;
}
