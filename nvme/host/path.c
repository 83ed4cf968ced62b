/* SPDX-License-Identifier: Apache-2.0 */
/* Paths, read from sysfs. */
#include "nvme/host/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/strb.h"

/* Whether this is what the kernel calls a path's device, "nvme0c1n1". */
static bool is_path_device(const char *name)
{
	int end = 0;

	return sscanf(name, "nvme%*uc%*un%*u%n", &end) == 0 && end > 0 && !name[end];
}

/* The ANA state is that of the controller's own device for the namespace. */
static int read_ana(const struct root *sysfs, unsigned nsid, struct host_path *path,
		    struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };

	if (root_list(sysfs, &names, err, "%s", path->controller.path) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		char dir[HOST_PATH_SIZE + HOST_NAME_SIZE], text[32];

		if (!is_path_device(names.names[i]))
			continue;
		snprintf(dir, sizeof(dir), "%s/%.31s", path->controller.path, names.names[i]);
		if (host_attribute_read(sysfs, dir, "nsid", text, sizeof(text), err) < 0)
			return -1;
		if (strtoul(text, NULL, 10) == nsid)
			return host_attribute_read(sysfs, dir, "ana_state", path->ana,
						   sizeof(path->ana), err);
	}
	return 0;
}

int host_paths_get(const struct root *sysfs, const struct host_namespace *ns, const char *hostnqn,
		   struct host_path_list *ret, struct err *err)
{
	cleanup_host_controllers struct host_controllers controllers = { 0 };
	cleanup_host_paths struct host_path_list paths = { 0 };

	if (host_controllers_get(sysfs, ns->nqn, hostnqn, &controllers, err) < 0)
		return -1;
	paths.list = xcalloc(controllers.count ?: 1, sizeof(*paths.list));
	for (size_t i = 0; i < controllers.count; i++) {
		struct host_path *path = &paths.list[paths.count++];

		path->controller = controllers.list[i];
		if (read_ana(sysfs, ns->nsid, path, err) < 0)
			return -1;
	}
	*ret = paths;
	paths = (struct host_path_list) { 0 };
	return 0;
}

void host_paths_fini(struct host_path_list *paths)
{
	free(paths->list);
	*paths = (struct host_path_list) { 0 };
}

bool host_path_is_usable(const struct host_path *path)
{
	return host_controller_is_live(&path->controller) &&
	       (!path->ana[0] || strcmp(path->ana, "optimized") == 0 ||
		strcmp(path->ana, "non-optimized") == 0);
}

void host_paths_describe(const struct host_path_list *paths, char *text, size_t size)
{
	struct strb s = strb_over(text, size);

	if (paths->count == 0)
		strb_add(&s, "none");
	for (size_t i = 0; i < paths->count; i++) {
		const struct host_path *path = &paths->list[i];
		char portal[PORTAL_TEXT_SIZE] = "";

		if (path->controller.portal.family)
			portal_format(&path->controller.portal, portal);
		strb_addf(&s, "%s%s %s %s%s%s", i ? ", " : "", path->controller.name,
			  path->controller.state, path->ana, path->ana[0] ? " " : "", portal);
	}
}
