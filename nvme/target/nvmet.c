/* SPDX-License-Identifier: Apache-2.0 */
/* Exports in nvmet's configfs: built in an order that never shows a half-made one. */
#include "nvme/target/nvmet_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/log.h"

#define NAMESPACE_ID "1"
#define MODEL "nvmeot"
#define SERIAL_DIGITS 20 /* NVMe: the serial number has 20 bytes */

int nvmet_open(struct nvmet *nvmet, const char *path, const struct portal *portals,
	       size_t portal_count, struct err *err)
{
	cleanup_root struct root root = ROOT_INIT;

	path = path ?: NVMET_PATH;
	if (root_open(&root, path, err) < 0 || !root_exists(&root, "subsystems"))
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%.200s is not there: nvmet is not loaded (modprobe -a nvmet "
			       "nvmet-tcp) or configfs is not mounted",
			       path);
	if (portal_count == 0 || portal_count > PORTAL_MAX)
		return err_set(err, ERR_INVALID_ARGUMENT, "%zu portals are not 1 to %d",
			       portal_count, PORTAL_MAX);
	nvmet->root = root;
	root.fd = -1;
	nvmet->fenced = NULL;
	pthread_mutex_init(&nvmet->lock, NULL);
	nvmet->live = strcmp(path, NVMET_PATH) == 0;
	nvmet_guard_init(&nvmet->guard, nvmet->live);
	memcpy(nvmet->portals, portals, portal_count * sizeof(*portals));
	nvmet->portal_count = portal_count;
	return 0;
}

void nvmet_close(struct nvmet *nvmet)
{
	if (nvmet->root.fd < 0)
		return;
	root_close(&nvmet->root);
	nvmet_fences_free(nvmet);
	pthread_mutex_destroy(&nvmet->lock);
}

/* --- building --------------------------------------------------------------------------------- */

/* An enabled namespace is in use: what is wrong there is an operator's matter. */
static int attr_expect(struct nvmet *nvmet, const char *dir, const char *attr, const char *want,
		       struct err *err)
{
	char value[ROOT_VALUE_SIZE];
	int same = nvmet_attr_is(nvmet, dir, attr, want, value, err);

	if (same == 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s/%s is enabled with %s \"%.200s\" instead of \"%.200s\"; "
			       "unpublish the volume everywhere to have it rebuilt",
			       nvmet->root.path, dir, attr, value, want);
	return same < 0 ? -1 : 0;
}

static int subsystem_ensure(struct nvmet *nvmet, const struct volume *volume, const char *dir,
			    bool *ret_fresh, struct err *err)
{
	char serial[SERIAL_DIGITS + 1] = "";
	size_t len = 0;
	bool fresh;

	for (const char *p = volume->uuid.text; *p && len < SERIAL_DIGITS; p++)
		if (*p != '-')
			serial[len++] = *p;
	if (nvmet_dir_ensure(nvmet, dir, &fresh, err) < 0 ||
	    nvmet_attr_set(nvmet, dir, fresh, "attr_allow_any_host", "0", err) < 0 ||
	    nvmet_attr_set(nvmet, dir, fresh, "attr_serial", serial, err) < 0 ||
	    nvmet_attr_set(nvmet, dir, fresh, "attr_model", MODEL, err) < 0)
		return -1;
	*ret_fresh = fresh;
	return 0;
}

static int namespace_ensure(struct nvmet *nvmet, const struct volume *volume, const char *subsystem,
			    const char *device_path, struct err *err)
{
	const struct {
		const char *name;
		const char *want;
	} attrs[] = {
		{ "device_uuid", volume->uuid.text },
		{ "device_nguid", volume->uuid.text },
		{ "device_path", device_path },
		/* Buffered reads that are partly cached fail on the host, on every kernel. */
		{ "buffered_io", "0" },
	};
	char dir[NVMET_DIR_SIZE + 16], value[ROOT_VALUE_SIZE];
	bool fresh;
	int enabled;

	snprintf(dir, sizeof(dir), "%s/namespaces/" NAMESPACE_ID, subsystem);
	if (nvmet_dir_ensure(nvmet, dir, &fresh, err) < 0)
		return -1;
	enabled = fresh ? 0 : nvmet_attr_is(nvmet, dir, "enable", "1", value, err);
	if (enabled < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		int r = enabled ? attr_expect(nvmet, dir, attrs[i].name, attrs[i].want, err) :
				  nvmet_attr_set(nvmet, dir, fresh, attrs[i].name, attrs[i].want,
						 err);

		if (r < 0)
			return -1;
	}
	return nvmet_attr_set(nvmet, dir, fresh, "enable", "1", err);
}

int nvmet_prepare(struct nvmet *nvmet, const struct volume *volume, const char *device_path,
		  const char *needed, struct err *err)
{
	char nqn[NQN_SIZE], dir[NVMET_DIR_SIZE];
	bool fresh = false;

	volume_nqn(&volume->uuid, nqn);
	nvmet_subsystem_dir(nqn, dir);
	if (subsystem_ensure(nvmet, volume, dir, &fresh, err) < 0 ||
	    namespace_ensure(nvmet, volume, dir, device_path, err) < 0)
		return -1;
	return nvmet_hosts_ensure(nvmet, volume, needed, nqn, dir, fresh, err);
}

int nvmet_revalidate(struct nvmet *nvmet, const struct uuid *uuid, struct err *err)
{
	char nqn[NQN_SIZE], dir[NVMET_DIR_SIZE], path[NVMET_DIR_SIZE + 16],
		enabled[ROOT_VALUE_SIZE];
	int found;

	volume_nqn(uuid, nqn);
	nvmet_subsystem_dir(nqn, dir);
	snprintf(path, sizeof(path), "%s/namespaces/" NAMESPACE_ID, dir);
	found = root_read(&nvmet->root, enabled, err, "%s/enable", path);
	if (found <= 0 || strcmp(enabled, "1") != 0)
		return found < 0 ? -1 : 0;
	return root_write(&nvmet->root, "1", err, "%s/revalidate_size", path);
}

/* --- taking away ------------------------------------------------------------------------------ */

static int namespaces_remove(struct nvmet *nvmet, const char *dir, struct err *err)
{
	cleanup_root_names struct root_names ids = { 0 };

	if (root_list(&nvmet->root, &ids, err, "%s/namespaces", dir) < 0)
		return -1;
	for (size_t i = 0; i < ids.count; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/namespaces/%.32s", dir, ids.names[i]);
		/*
		 * Waits for the I/O under way. rmdir would do so too, but with a lock that all
		 * making and removing in nvmet needs.
		 */
		if (nvmet_attr_ensure(nvmet, path, "enable", "0", err) < 0 ||
		    root_rmdir(&nvmet->root, err, "%s", path) < 0)
			return -1;
	}
	return 0;
}

static int hosts_disallow(struct nvmet *nvmet, const char *dir, struct err *err)
{
	cleanup_root_names struct root_names links = { 0 };

	if (root_list(&nvmet->root, &links, err, "%s/allowed_hosts", dir) < 0)
		return -1;
	for (size_t i = 0; i < links.count; i++)
		if (root_unlink(&nvmet->root, err, "%s/allowed_hosts/%s", dir, links.names[i]) < 0)
			return -1;
	return 0;
}

/* EBUSY: a port has a link to it that somebody made, under another name. */
static int subsystem_remove(struct nvmet *nvmet, const char *nqn, const char *dir, struct err *err)
{
	if (root_rmdir(&nvmet->root, err, "%s", dir) == 0)
		return 0;
	if (err->sys != EBUSY || nvmet_ports_cut(nvmet, nqn, true, err) < 0)
		return -1;
	return root_rmdir(&nvmet->root, err, "%s", dir);
}

int nvmet_remove(struct nvmet *nvmet, const struct volume *volume, struct err *err)
{
	char nqn[NQN_SIZE], dir[NVMET_DIR_SIZE];

	volume_nqn(&volume->uuid, nqn);
	nvmet_subsystem_dir(nqn, dir);
	if (nvmet_ports_cut(nvmet, nqn, false, err) < 0 || namespaces_remove(nvmet, dir, err) < 0 ||
	    hosts_disallow(nvmet, dir, err) < 0 || subsystem_remove(nvmet, nqn, dir, err) < 0)
		return -1;
	nvmet_fence_settle(nvmet, nqn);
	for (size_t i = 0; i < volume->export_count; i++)
		if (nvmet_host_forget(nvmet, &volume->exports[i], err) < 0)
			return -1;
	return 0;
}

/* --- listing ---------------------------------------------------------------------------------- */

static int found_read(struct nvmet *nvmet, const char *nqn, struct nvmet_found *ret,
		      struct err *err)
{
	const char *suffix = nqn + strlen(VOLUME_NQN_PREFIX);
	char dir[NVMET_DIR_SIZE], path[ROOT_VALUE_SIZE];
	struct err ignored;
	int found;

	snprintf(ret->nqn, sizeof(ret->nqn), "%s", nqn);
	nvmet_subsystem_dir(ret->nqn, dir);
	if (parse_uuid("subsystem", suffix, &ret->uuid, &ignored) < 0 ||
	    strcmp(ret->uuid.text, suffix) != 0)
		ret->uuid.text[0] = '\0';
	found = root_read(&nvmet->root, path, err, "%s/namespaces/" NAMESPACE_ID "/device_path",
			  dir);
	if (found < 0 || nvmet_hosts_list(nvmet, dir, &ret->hosts, err) < 0)
		return -1;
	snprintf(ret->device_path, sizeof(ret->device_path), "%s",
		 found && path[0] == '/' ? path : "");
	return 0;
}

int nvmet_list(struct nvmet *nvmet, struct nvmet_found_list *ret, struct err *err)
{
	cleanup_nvmet_found_list struct nvmet_found_list list = { 0 };
	cleanup_root_names struct root_names names = { 0 };
	struct err failure;

	if (root_list(&nvmet->root, &names, err, "subsystems") < 0)
		return -1;
	list.found = xcalloc(names.count, sizeof(*list.found));
	for (size_t i = 0; i < names.count; i++) {
		if (strncmp(names.names[i], VOLUME_NQN_PREFIX, strlen(VOLUME_NQN_PREFIX)) != 0)
			continue;
		if (found_read(nvmet, names.names[i], &list.found[list.count], &failure) == 0)
			list.count++;
		else
			log_error("export cannot be read and is left alone",
				  KV("subsystem", names.names[i]), KV_ERR(&failure));
	}
	*ret = list;
	list = (struct nvmet_found_list) { 0 };
	return 0;
}

void nvmet_found_list_fini(struct nvmet_found_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		root_names_fini(&list->found[i].hosts);
	free(list->found);
	*list = (struct nvmet_found_list) { 0 };
}
