/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing nvmet's attributes and links in configfs. */
#include "nvme/target/nvmet_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void nvmet_subsystem_dir(const char *nqn, char out[NVMET_DIR_SIZE])
{
	snprintf(out, NVMET_DIR_SIZE, "subsystems/%s", nqn);
}

int nvmet_attr_is(struct nvmet *nvmet, const char *dir, const char *attr, const char *want,
		  char value[ROOT_VALUE_SIZE], struct err *err)
{
	int found = root_read(&nvmet->root, value, err, "%s/%s", dir, attr);

	if (found < 0)
		return -1;
	if (found == 0)
		return err_set(err, ERR_INTERNAL, "%s/%s/%s is missing", nvmet->root.path, dir,
			       attr);
	return strcmp(value, want) == 0;
}

int nvmet_attr_ensure(struct nvmet *nvmet, const char *dir, const char *attr, const char *want,
		      struct err *err)
{
	char value[ROOT_VALUE_SIZE];
	int same = nvmet_attr_is(nvmet, dir, attr, want, value, err);

	if (same)
		return same < 0 ? -1 : 0;
	if (root_write(&nvmet->root, want, err, "%s/%s", dir, attr) < 0)
		return -1;
	same = nvmet_attr_is(nvmet, dir, attr, want, value, err);
	if (same == 0)
		return err_set(err, ERR_INTERNAL, "%s/%s/%s is \"%.200s\" after writing \"%.200s\"",
			       nvmet->root.path, dir, attr, value, want);
	return same < 0 ? -1 : 0;
}

int nvmet_dir_ensure(struct nvmet *nvmet, const char *dir, bool *ret_fresh, struct err *err)
{
	bool fresh = mkdirat(nvmet->root.fd, dir, 0755) == 0;

	if (!fresh && errno != EEXIST)
		return err_sys(err, errno, "create directory %s/%s", nvmet->root.path, dir);
	*ret_fresh = fresh;
	return 0;
}

int nvmet_attr_set(struct nvmet *nvmet, const char *dir, bool fresh, const char *attr,
		   const char *want, struct err *err)
{
	if (!fresh)
		return nvmet_attr_ensure(nvmet, dir, attr, want, err);
	if (strcmp(want, "0") == 0)
		return 0;
	return root_write(&nvmet->root, want, err, "%s/%s", dir, attr);
}

int nvmet_link_target(struct nvmet *nvmet, const char *dir, const char *name, char out[PATH_MAX],
		      struct err *err)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *slash;
	ssize_t len;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	len = readlinkat(nvmet->root.fd, path, target, sizeof(target) - 1);
	if (len < 0)
		return errno == ENOENT ?
			       0 :
			       err_sys(err, errno, "read link %s/%s", nvmet->root.path, path);
	target[len] = '\0';
	slash = strrchr(target, '/');
	strcpy(out, slash ? slash + 1 : target);
	return 1;
}

int nvmet_link_find(struct nvmet *nvmet, const char *dir, const char *target,
		    char name[NAME_MAX + 1], struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };
	char pointed[PATH_MAX];

	if (root_list(&nvmet->root, &names, err, "%s", dir) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		int found = nvmet_link_target(nvmet, dir, names.names[i], pointed, err);

		if (found < 0)
			return -1;
		if (!found || strcmp(pointed, target) != 0)
			continue;
		strcpy(name, names.names[i]);
		return 1;
	}
	return 0;
}

int nvmet_links_remove(struct nvmet *nvmet, const char *dir, const char *target, bool *ret_removed,
		       struct err *err)
{
	char name[NAME_MAX + 1];
	int found;

	*ret_removed = false;
	while ((found = nvmet_link_find(nvmet, dir, target, name, err)) > 0) {
		if (root_unlink(&nvmet->root, err, "%s/%s", dir, name) < 0)
			return -1;
		*ret_removed = true;
	}
	return found;
}
