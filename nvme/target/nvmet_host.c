/* SPDX-License-Identifier: Apache-2.0 */
/* nvmet's hosts: letting them in, and forgetting those that exports made. */
#include "nvme/target/nvmet_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int nvmet_host_allow(struct nvmet *nvmet, const char *dir, const char *host_nqn, struct err *err)
{
	cleanup_free char *target = xasprintf("%s/hosts/%s", nvmet->root.path, host_nqn);
	int r = 0;

	if (root_exists(&nvmet->root, "%s/allowed_hosts/%s", dir, host_nqn))
		return 0;
	/* Together, or nvmet_host_forget of another volume takes the host away in between. */
	pthread_mutex_lock(&nvmet->lock);
	if (root_mkdir(&nvmet->root, err, "hosts/%s", host_nqn) < 0 ||
	    root_symlink(&nvmet->root, target, err, "%s/allowed_hosts/%s", dir, host_nqn) < 0)
		r = -1;
	pthread_mutex_unlock(&nvmet->lock);
	return r;
}

bool nvmet_host_exists(struct nvmet *nvmet, const char *host_nqn)
{
	return root_exists(&nvmet->root, "hosts/%s", host_nqn);
}

/* A host with a key holds somebody's configuration, even one that we made. */
static int host_has_key(struct nvmet *nvmet, const char *host_nqn, struct err *err)
{
	char key[ROOT_VALUE_SIZE];
	int found = root_read(&nvmet->root, key, err, "hosts/%s/dhchap_key", host_nqn);

	return found <= 0 ? found : key[0] != '\0';
}

/* The kernel keeps a host that any subsystem still names: EBUSY. */
int nvmet_host_forget(struct nvmet *nvmet, const struct volume_export *host, struct err *err)
{
	int r;

	if (!host->host_made)
		return 0;
	pthread_mutex_lock(&nvmet->lock);
	r = host_has_key(nvmet, host->host_nqn, err);
	if (r == 0)
		r = root_rmdir(&nvmet->root, err, "hosts/%s", host->host_nqn);
	pthread_mutex_unlock(&nvmet->lock);
	return r < 0 && err->sys != EBUSY ? -1 : 0;
}

/* The hosts that a subsystem allows, by the objects its links point to. */
int nvmet_hosts_list(struct nvmet *nvmet, const char *dir, struct root_names *ret, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };
	char allowed[NVMET_DIR_SIZE + 16], target[PATH_MAX];
	struct root_names hosts = { 0 };

	snprintf(allowed, sizeof(allowed), "%s/allowed_hosts", dir);
	if (root_list(&nvmet->root, &names, err, "%s", allowed) < 0)
		return -1;
	hosts.names = xcalloc(names.count, sizeof(*hosts.names));
	for (size_t i = 0; i < names.count; i++) {
		int found = nvmet_link_target(nvmet, allowed, names.names[i], target, err);

		if (found < 0) {
			root_names_fini(&hosts);
			return -1;
		}
		if (found)
			hosts.names[hosts.count++] = xstrdup(target);
	}
	*ret = hosts;
	return 0;
}

int nvmet_hosts_ensure(struct nvmet *nvmet, const struct volume *volume, const char *nqn,
		       const char *dir, bool fresh, struct err *err)
{
	cleanup_root_names struct root_names hosts = { 0 };

	if (!fresh && nvmet_hosts_list(nvmet, dir, &hosts, err) < 0)
		return -1;
	for (size_t i = 0; i < hosts.count; i++) {
		struct volume_export host = { 0 };

		snprintf(host.host_nqn, sizeof(host.host_nqn), "%s", hosts.names[i]);
		if (!volume_find_export(volume, host.host_nqn) &&
		    nvmet_fence(nvmet, nqn, &host, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < volume->export_count; i++)
		if (nvmet_host_allow(nvmet, dir, volume->exports[i].host_nqn, err) < 0)
			return -1;
	return 0;
}

int nvmet_see(struct nvmet *nvmet, const struct uuid *uuid, const char *host_nqn,
	      struct nvmet_seen *ret, struct err *err)
{
	cleanup_root_names struct root_names hosts = { 0 };
	char nqn[NQN_SIZE], dir[NVMET_DIR_SIZE];
	struct nvmet_seen seen = { 0 };

	volume_nqn(uuid, nqn);
	nvmet_subsystem_dir(nqn, dir);
	seen.there = root_exists(&nvmet->root, "%s", dir);
	if (nvmet_hosts_list(nvmet, dir, &hosts, err) < 0)
		return -1;
	for (size_t i = 0; i < hosts.count; i++) {
		if (strcmp(hosts.names[i], host_nqn) == 0)
			seen.allowed = true;
		else
			seen.others = true;
	}
	*ret = seen;
	return 0;
}
