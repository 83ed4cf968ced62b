/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over NVMe subsystems in sysfs. */
#include "nvme/host/sysfs.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SUBSYSTEMS "class/nvme-subsystem"

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

int host_subsystem_walk(const struct root *sysfs, const char *nqn,
			int (*visit)(const struct root *sysfs, const struct host_entry *entry,
				     void *context, struct err *err),
			void *context, struct err *err)
{
	cleanup_root_names struct root_names subsystems = { 0 };

	if (root_list(sysfs, &subsystems, err, SUBSYSTEMS) < 0)
		return -1;
	for (size_t i = 0; i < subsystems.count; i++) {
		cleanup_root_names struct root_names names = { 0 };
		char dir[HOST_PATH_SIZE], found[NQN_SIZE];
		int rc;

		snprintf(dir, sizeof(dir), SUBSYSTEMS "/%s", subsystems.names[i]);
		rc = host_attribute_read(sysfs, dir, "subsysnqn", found, sizeof(found), err);
		if (rc < 0)
			return -1;
		if (rc == 0 || (nqn && strcmp(nqn, found) != 0))
			continue;
		if (root_list(sysfs, &names, err, "%s", dir) < 0)
			return -1;
		for (size_t j = 0; j < names.count; j++) {
			struct host_entry entry = { .dir = dir,
						    .nqn = found,
						    .name = names.names[j] };

			if (host_node_of(entry.name) != HOST_NODE_OTHER &&
			    visit(sysfs, &entry, context, err) < 0)
				return -1;
		}
	}
	return 0;
}
