/* SPDX-License-Identifier: Apache-2.0 */
/* The links of subsystems at ports, which are what initiators see. */
#include "nvme/target/nvmet_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nvme/base/log.h"

int nvmet_port_link(struct nvmet *nvmet, const char *port, const char *nqn, struct err *err)
{
	cleanup_free char *target = xasprintf("%s/subsystems/%s", nvmet->root.path, nqn);

	return root_symlink(&nvmet->root, target, err, "ports/%s/subsystems/%s", port, nqn);
}

/* --- linking ---------------------------------------------------------------------------------- */

/* A portal and the port that serves it. */
struct served {
	const struct portal *portal;
	char port[16];
};

static bool lacks_several(struct nvmet *nvmet, const char *port, const struct uuid *uuids,
			  size_t count)
{
	char nqn[NQN_SIZE];
	size_t missing = 0;

	for (size_t i = 0; count > 1 && i < count && missing < 2; i++) {
		volume_nqn(&uuids[i], nqn);
		missing += !root_exists(&nvmet->root, "ports/%s/subsystems/%s", port, nqn);
	}
	return missing > 1;
}

/* Links the subsystems to one port, past a failure; the first is reported. */
static int port_link_all(struct nvmet *nvmet, const char *port, const struct uuid *uuids,
			 size_t count, struct err *err)
{
	char nqn[NQN_SIZE];
	struct err failure;
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		volume_nqn(&uuids[i], nqn);
		if (nvmet_port_link(nvmet, port, nqn, r < 0 ? &failure : err) < 0)
			r = -1;
	}
	return r;
}

static void portal_failed(const struct portal *portal, struct err *err)
{
	char text[PORTAL_TEXT_SIZE];

	portal_format(portal, text);
	err_wrap(err, "listen on %s", text);
	log_error("portal not served", KV("portal", text), KV_ERR(err));
}

/* The ports of those portals that have one or can be given one; err is of the last that has none. */
static size_t serve(struct nvmet *nvmet, struct served out[PORTAL_MAX], struct err *err)
{
	size_t count = 0;
	unsigned id;

	for (size_t p = 0; p < nvmet->portal_count; p++) {
		if (nvmet_port_ensure(nvmet, &nvmet->portals[p], &id, err) < 0) {
			portal_failed(&nvmet->portals[p], err);
			continue;
		}
		out[count].portal = &nvmet->portals[p];
		snprintf(out[count++].port, sizeof(out->port), "%u", id);
	}
	return count;
}

static int link_all(struct nvmet *nvmet, const struct uuid *uuids, size_t count, struct err *err)
{
	struct served served[PORTAL_MAX];
	size_t serving = serve(nvmet, served, err), good = 0;
	struct err failure;
	bool several = false;

	for (size_t p = 0; p < serving && !several; p++)
		several = lacks_several(nvmet, served[p].port, uuids, count);
	if (several)
		nvmet_guard_up(&nvmet->guard, nvmet->portals, nvmet->portal_count);
	for (size_t p = 0; p < serving; p++) {
		if (port_link_all(nvmet, served[p].port, uuids, count, &failure) == 0) {
			good++;
			continue;
		}
		portal_failed(served[p].portal, &failure);
		*err = failure;
	}
	nvmet_guard_down(&nvmet->guard);
	return good ? 0 : -1;
}

int nvmet_link(struct nvmet *nvmet, const struct uuid *uuids, size_t count, struct err *err)
{
	int r;

	pthread_mutex_lock(&nvmet->lock);
	r = count ? link_all(nvmet, uuids, count, err) : 0;
	nvmet_guard_settle(&nvmet->guard);
	pthread_mutex_unlock(&nvmet->lock);
	if (r < 0 && err->sys == EINVAL)
		err_wrap(err, "the kernel may lack nvmet-tcp (modprobe nvmet-tcp)");
	return r < 0 ? err_wrap(err, "no portal can be served") : 0;
}

/* --- cutting ---------------------------------------------------------------------------------- */

/* As nvmet_links_remove, of the name that we give: without reading those of all others. */
static int link_remove(struct nvmet *nvmet, const char *dir, const char *target, struct err *err)
{
	char pointed[PATH_MAX];
	int found = nvmet_link_target(nvmet, dir, target, pointed, err);

	if (found <= 0 || strcmp(pointed, target) != 0)
		return found < 0 ? -1 : 0;
	return root_unlink(&nvmet->root, err, "%s/%s", dir, target);
}

static int cut_all(struct nvmet *nvmet, const char *nqn, bool any_name, struct err *err)
{
	cleanup_root_names struct root_names ports = { 0 };
	char dir[NVMET_DIR_SIZE];
	bool removed;

	if (root_list(&nvmet->root, &ports, err, "ports") < 0)
		return -1;
	for (size_t i = 0; i < ports.count; i++) {
		snprintf(dir, sizeof(dir), "ports/%.32s/subsystems", ports.names[i]);
		if ((any_name ? nvmet_links_remove(nvmet, dir, nqn, &removed, err) :
				link_remove(nvmet, dir, nqn, err)) < 0)
			return -1;
	}
	return nvmet_ports_trim(nvmet, err);
}

int nvmet_ports_cut(struct nvmet *nvmet, const char *nqn, bool any_name, struct err *err)
{
	int r;

	pthread_mutex_lock(&nvmet->lock);
	r = cut_all(nvmet, nqn, any_name, err);
	pthread_mutex_unlock(&nvmet->lock);
	return r;
}
