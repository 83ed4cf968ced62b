/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at an export without touching it. */
#include "nvme/target/nvmet_look.h"

#include <string.h>

#include "nvme/target/nvmet_parts.h"

/* Marks the configured portals that lead to the subsystem. */
static int mark_portals(struct nvmet *nvmet, const char *nqn, bool marks[PORTAL_MAX],
			struct err *err)
{
	cleanup_root_names struct root_names ports = { 0 };

	if (root_list(&nvmet->root, &ports, err, "ports") < 0)
		return -1;
	for (size_t i = 0; i < ports.count; i++) {
		struct portal portal;
		int found;

		if (!root_exists(&nvmet->root, "ports/%s/subsystems/%s", ports.names[i], nqn))
			continue;
		found = nvmet_port_portal(nvmet, ports.names[i], &portal, err);
		if (found < 0)
			return -1;
		for (size_t p = 0; found && p < nvmet->portal_count; p++)
			marks[p] = marks[p] || portal_equal(&portal, &nvmet->portals[p]);
	}
	return 0;
}

static const char *shut_out(struct nvmet *nvmet, const struct volume *volume, const char *nqn)
{
	for (size_t i = 0; i < volume->export_count; i++)
		if (!root_exists(&nvmet->root, "subsystems/%s/allowed_hosts/%s", nqn,
				 volume->exports[i].host_nqn))
			return volume->exports[i].host_nqn;
	return NULL;
}

int nvmet_look(struct nvmet *nvmet, const struct volume *volume, struct nvmet_look *ret,
	       struct err *err)
{
	struct nvmet_look look = { 0 };
	bool marks[PORTAL_MAX] = { 0 };
	char nqn[NQN_SIZE], enable[ROOT_VALUE_SIZE];
	int found;

	volume_nqn(&volume->uuid, nqn);
	found = root_read(&nvmet->root, enable, err, "subsystems/%s/namespaces/1/enable", nqn);
	if (found < 0 || mark_portals(nvmet, nqn, marks, err) < 0)
		return -1;
	look.enabled = found && strcmp(enable, "1") == 0;
	look.shut_out = shut_out(nvmet, volume, nqn);
	for (size_t p = 0; p < nvmet->portal_count; p++) {
		if (marks[p])
			look.portal_count++;
		else
			look.missing = nvmet->portals[p];
	}
	*ret = look;
	return 0;
}
