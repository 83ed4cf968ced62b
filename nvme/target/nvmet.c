/* SPDX-License-Identifier: Apache-2.0 */
/* Exports in nvmet's configfs: built in an order that never shows a half-made one. */
#include "nvme/target/nvmet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMESPACE_ID "1"
#define MODEL "nvmeot"
#define SERIAL_DIGITS 20 /* NVMe: the serial number has 20 bytes */
#define DIR_SIZE (NQN_SIZE + 64)

static void subsystem_dir(const char *nqn, char out[DIR_SIZE])
{
	snprintf(out, DIR_SIZE, "subsystems/%s", nqn);
}

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
	pthread_mutex_init(&nvmet->lock, NULL);
	memcpy(nvmet->portals, portals, portal_count * sizeof(*portals));
	nvmet->portal_count = portal_count;
	return 0;
}

void nvmet_close(struct nvmet *nvmet)
{
	if (nvmet->root.fd < 0)
		return;
	root_close(&nvmet->root);
	pthread_mutex_destroy(&nvmet->lock);
}

/* --- attributes ------------------------------------------------------------------------------- */

/* 1: the attribute has this value; 0: another, left in value. */
static int attr_is(struct nvmet *nvmet, const char *dir, const char *attr, const char *want,
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

/* Read back, because configfs takes some writes without effect. */
static int attr_ensure(struct nvmet *nvmet, const char *dir, const char *attr, const char *want,
		       struct err *err)
{
	char value[ROOT_VALUE_SIZE];
	int same = attr_is(nvmet, dir, attr, want, value, err);

	if (same)
		return same < 0 ? -1 : 0;
	if (root_write(&nvmet->root, want, err, "%s/%s", dir, attr) < 0)
		return -1;
	same = attr_is(nvmet, dir, attr, want, value, err);
	if (same == 0)
		return err_set(err, ERR_INTERNAL, "%s/%s/%s is \"%.200s\" after writing \"%.200s\"",
			       nvmet->root.path, dir, attr, value, want);
	return same < 0 ? -1 : 0;
}

/* An enabled namespace is in use: what is wrong there is an operator's matter. */
static int attr_expect(struct nvmet *nvmet, const char *dir, const char *attr, const char *want,
		       struct err *err)
{
	char value[ROOT_VALUE_SIZE];
	int same = attr_is(nvmet, dir, attr, want, value, err);

	if (same == 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s/%s is enabled with %s \"%.200s\" instead of \"%.200s\"; "
			       "unpublish the volume everywhere to have it rebuilt",
			       nvmet->root.path, dir, attr, value, want);
	return same < 0 ? -1 : 0;
}

/* --- links ------------------------------------------------------------------------------------ */

/*
 * The name of the object a link points to; the link's own name is free. 0: the link is gone, which
 * is how another volume's removal looks.
 */
static int link_target(struct nvmet *nvmet, const char *dir, const char *name, char out[PATH_MAX],
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

/* Removes every link in dir that points to target; *ret_removed says whether there was one. */
static int links_remove(struct nvmet *nvmet, const char *dir, const char *target, bool *ret_removed,
			struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };
	char pointed[PATH_MAX];

	*ret_removed = false;
	if (root_list(&nvmet->root, &names, err, "%s", dir) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		int found = link_target(nvmet, dir, names.names[i], pointed, err);

		if (found < 0)
			return -1;
		if (!found || strcmp(pointed, target) != 0)
			continue;
		if (root_unlink(&nvmet->root, err, "%s/%s", dir, names.names[i]) < 0)
			return -1;
		*ret_removed = true;
	}
	return 0;
}

static int port_link(struct nvmet *nvmet, const char *port, const char *nqn, struct err *err)
{
	cleanup_free char *target = xasprintf("%s/subsystems/%s", nvmet->root.path, nqn);

	return root_symlink(&nvmet->root, target, err, "ports/%s/subsystems/%s", port, nqn);
}

/*
 * Removes the subsystem's link at every port, which kills its controllers there; puts it back at
 * once when relink is set: an initiator must not find the port listening without it.
 */
static int cut_all(struct nvmet *nvmet, const char *nqn, bool relink, struct err *err)
{
	cleanup_root_names struct root_names ports = { 0 };
	char dir[DIR_SIZE];
	bool removed;

	if (root_list(&nvmet->root, &ports, err, "ports") < 0)
		return -1;
	for (size_t i = 0; i < ports.count; i++) {
		snprintf(dir, sizeof(dir), "ports/%.32s/subsystems", ports.names[i]);
		if (links_remove(nvmet, dir, nqn, &removed, err) < 0)
			return -1;
		if (relink && removed && port_link(nvmet, ports.names[i], nqn, err) < 0)
			return -1;
	}
	return relink ? 0 : nvmet_ports_trim(nvmet, err);
}

static int ports_cut(struct nvmet *nvmet, const char *nqn, bool relink, struct err *err)
{
	int r;

	pthread_mutex_lock(&nvmet->lock);
	r = cut_all(nvmet, nqn, relink, err);
	pthread_mutex_unlock(&nvmet->lock);
	return r;
}

/* --- hosts ------------------------------------------------------------------------------------ */

static int host_allow(struct nvmet *nvmet, const char *dir, const char *host_nqn, struct err *err)
{
	cleanup_free char *target = xasprintf("%s/hosts/%s", nvmet->root.path, host_nqn);
	int r = 0;

	if (root_exists(&nvmet->root, "%s/allowed_hosts/%s", dir, host_nqn))
		return 0;
	/* Together, or host_forget of another volume takes the host away in between. */
	pthread_mutex_lock(&nvmet->lock);
	if (root_mkdir(&nvmet->root, err, "hosts/%s", host_nqn) < 0 ||
	    root_symlink(&nvmet->root, target, err, "%s/allowed_hosts/%s", dir, host_nqn) < 0)
		r = -1;
	pthread_mutex_unlock(&nvmet->lock);
	return r;
}

/* The kernel keeps a host that any subsystem still names: EBUSY. */
static int host_forget(struct nvmet *nvmet, const char *host_nqn, struct err *err)
{
	int r;

	pthread_mutex_lock(&nvmet->lock);
	r = root_rmdir(&nvmet->root, err, "hosts/%s", host_nqn);
	pthread_mutex_unlock(&nvmet->lock);
	return r < 0 && err->sys == EBUSY ? 0 : r;
}

/* The hosts that a subsystem allows, by the objects its links point to. */
static int hosts_list(struct nvmet *nvmet, const char *dir, struct root_names *ret, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };
	char allowed[DIR_SIZE + 16], target[PATH_MAX];

	snprintf(allowed, sizeof(allowed), "%s/allowed_hosts", dir);
	if (root_list(&nvmet->root, &names, err, "%s", allowed) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		if (link_target(nvmet, allowed, names.names[i], target, err) < 0)
			return -1;
		free(names.names[i]);
		names.names[i] = xstrdup(target);
	}
	*ret = names;
	names = (struct root_names) { 0 };
	return 0;
}

/* Removes the ACL entry and with it the sessions; the subsystem stays for other hosts. */
static int host_fence(struct nvmet *nvmet, const char *nqn, const char *host_nqn, struct err *err)
{
	char dir[DIR_SIZE], allowed[DIR_SIZE + 16];
	bool removed;

	subsystem_dir(nqn, dir);
	snprintf(allowed, sizeof(allowed), "%s/allowed_hosts", dir);
	if (links_remove(nvmet, allowed, host_nqn, &removed, err) < 0 ||
	    ports_cut(nvmet, nqn, true, err) < 0)
		return -1;
	return host_forget(nvmet, host_nqn, err);
}

static int hosts_ensure(struct nvmet *nvmet, const struct volume *volume, const char *nqn,
			const char *dir, struct err *err)
{
	cleanup_root_names struct root_names hosts = { 0 };

	if (hosts_list(nvmet, dir, &hosts, err) < 0)
		return -1;
	for (size_t i = 0; i < hosts.count; i++)
		if (!volume_find_export(volume, hosts.names[i]) &&
		    host_fence(nvmet, nqn, hosts.names[i], err) < 0)
			return -1;
	for (size_t i = 0; i < volume->export_count; i++)
		if (host_allow(nvmet, dir, volume->exports[i].host_nqn, err) < 0)
			return -1;
	return 0;
}

/* --- building --------------------------------------------------------------------------------- */

static int subsystem_ensure(struct nvmet *nvmet, const struct volume *volume, const char *dir,
			    struct err *err)
{
	char serial[SERIAL_DIGITS + 1] = "";
	size_t len = 0;

	for (const char *p = volume->uuid.text; *p && len < SERIAL_DIGITS; p++)
		if (*p != '-')
			serial[len++] = *p;
	if (root_mkdir(&nvmet->root, err, "%s", dir) < 0 ||
	    attr_ensure(nvmet, dir, "attr_allow_any_host", "0", err) < 0 ||
	    attr_ensure(nvmet, dir, "attr_serial", serial, err) < 0 ||
	    attr_ensure(nvmet, dir, "attr_model", MODEL, err) < 0)
		return -1;
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
	char dir[DIR_SIZE + 16], value[ROOT_VALUE_SIZE];
	int enabled;

	snprintf(dir, sizeof(dir), "%s/namespaces/" NAMESPACE_ID, subsystem);
	if (root_mkdir(&nvmet->root, err, "%s", dir) < 0)
		return -1;
	enabled = attr_is(nvmet, dir, "enable", "1", value, err);
	if (enabled < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		int r = enabled ? attr_expect(nvmet, dir, attrs[i].name, attrs[i].want, err) :
				  attr_ensure(nvmet, dir, attrs[i].name, attrs[i].want, err);

		if (r < 0)
			return -1;
	}
	return attr_ensure(nvmet, dir, "enable", "1", err);
}

int nvmet_prepare(struct nvmet *nvmet, const struct volume *volume, const char *device_path,
		  struct err *err)
{
	char nqn[NQN_SIZE], dir[DIR_SIZE];

	volume_nqn(&volume->uuid, nqn);
	subsystem_dir(nqn, dir);
	if (subsystem_ensure(nvmet, volume, dir, err) < 0 ||
	    namespace_ensure(nvmet, volume, dir, device_path, err) < 0)
		return -1;
	return hosts_ensure(nvmet, volume, nqn, dir, err);
}

static int link_all(struct nvmet *nvmet, const struct uuid *uuids, size_t count, struct err *err)
{
	unsigned ports[PORTAL_MAX];
	char nqn[NQN_SIZE], port[16], text[PORTAL_TEXT_SIZE];
	struct err failure, *first = err;
	int r = 0;

	for (size_t p = 0; p < nvmet->portal_count; p++)
		if (nvmet_port_ensure(nvmet, &nvmet->portals[p], &ports[p], err) < 0)
			return -1;
	for (size_t p = 0; p < nvmet->portal_count; p++) {
		snprintf(port, sizeof(port), "%u", ports[p]);
		for (size_t i = 0; i < count; i++) {
			volume_nqn(&uuids[i], nqn);
			if (port_link(nvmet, port, nqn, first) == 0)
				continue;
			portal_format(&nvmet->portals[p], text);
			r = err_wrap(first, "listen on %s", text);
			first = &failure;
		}
	}
	return r;
}

int nvmet_link(struct nvmet *nvmet, const struct uuid *uuids, size_t count, struct err *err)
{
	int r;

	if (!count)
		return 0;
	pthread_mutex_lock(&nvmet->lock);
	r = link_all(nvmet, uuids, count, err);
	pthread_mutex_unlock(&nvmet->lock);
	if (r < 0 && err->sys == EINVAL)
		return err_wrap(err, "the kernel may lack nvmet-tcp (modprobe nvmet-tcp)");
	return r;
}

/* --- taking away ------------------------------------------------------------------------------ */

int nvmet_allows(struct nvmet *nvmet, const struct uuid *uuid, const char *host_nqn,
		 struct err *err)
{
	cleanup_root_names struct root_names hosts = { 0 };
	char nqn[NQN_SIZE], dir[DIR_SIZE];

	volume_nqn(uuid, nqn);
	subsystem_dir(nqn, dir);
	if (hosts_list(nvmet, dir, &hosts, err) < 0)
		return -1;
	for (size_t i = 0; i < hosts.count; i++)
		if (strcmp(hosts.names[i], host_nqn) == 0)
			return 1;
	return 0;
}

int nvmet_remove_host(struct nvmet *nvmet, const struct uuid *uuid, const char *host_nqn,
		      struct err *err)
{
	char nqn[NQN_SIZE];
	int allowed;

	volume_nqn(uuid, nqn);
	if (host_fence(nvmet, nqn, host_nqn, err) < 0 || nvmet_link(nvmet, uuid, 1, err) < 0)
		return -1;
	allowed = nvmet_allows(nvmet, uuid, host_nqn, err);
	if (allowed > 0)
		return err_set(err, ERR_INTERNAL, "%s still allows host %s", nqn, host_nqn);
	return allowed;
}

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
		if (attr_ensure(nvmet, path, "enable", "0", err) < 0 ||
		    root_rmdir(&nvmet->root, err, "%s", path) < 0)
			return -1;
	}
	return 0;
}

static int hosts_disallow(struct nvmet *nvmet, const char *dir, const struct root_names *hosts,
			  struct err *err)
{
	char allowed[DIR_SIZE + 16];
	bool removed;

	snprintf(allowed, sizeof(allowed), "%s/allowed_hosts", dir);
	for (size_t i = 0; i < hosts->count; i++)
		if (links_remove(nvmet, allowed, hosts->names[i], &removed, err) < 0)
			return -1;
	return 0;
}

int nvmet_remove(struct nvmet *nvmet, const struct volume *volume, struct err *err)
{
	cleanup_root_names struct root_names hosts = { 0 };
	char nqn[NQN_SIZE], dir[DIR_SIZE];

	volume_nqn(&volume->uuid, nqn);
	subsystem_dir(nqn, dir);
	if (hosts_list(nvmet, dir, &hosts, err) < 0 || ports_cut(nvmet, nqn, false, err) < 0 ||
	    namespaces_remove(nvmet, dir, err) < 0 || hosts_disallow(nvmet, dir, &hosts, err) < 0 ||
	    root_rmdir(&nvmet->root, err, "%s", dir) < 0)
		return -1;
	for (size_t i = 0; i < hosts.count; i++)
		if (host_forget(nvmet, hosts.names[i], err) < 0)
			return -1;
	/* Those whose link an interrupted call had removed already. */
	for (size_t i = 0; i < volume->export_count; i++)
		if (host_forget(nvmet, volume->exports[i].host_nqn, err) < 0)
			return -1;
	return 0;
}

/* --- listing ---------------------------------------------------------------------------------- */

static int found_read(struct nvmet *nvmet, const char *nqn, struct nvmet_found *ret,
		      struct err *err)
{
	const char *suffix = nqn + strlen(VOLUME_NQN_PREFIX);
	char dir[DIR_SIZE], path[ROOT_VALUE_SIZE];
	struct err ignored;
	int found;

	snprintf(ret->nqn, sizeof(ret->nqn), "%s", nqn);
	subsystem_dir(ret->nqn, dir);
	if (parse_uuid("subsystem", suffix, &ret->uuid, &ignored) < 0 ||
	    strcmp(ret->uuid.text, suffix) != 0)
		ret->uuid.text[0] = '\0';
	found = root_read(&nvmet->root, path, err, "%s/namespaces/" NAMESPACE_ID "/device_path",
			  dir);
	if (found < 0 || hosts_list(nvmet, dir, &ret->hosts, err) < 0)
		return -1;
	snprintf(ret->device_path, sizeof(ret->device_path), "%s",
		 found && path[0] == '/' ? path : "");
	return 0;
}

int nvmet_list(struct nvmet *nvmet, struct nvmet_found_list *ret, struct err *err)
{
	cleanup_nvmet_found_list struct nvmet_found_list list = { 0 };
	cleanup_root_names struct root_names names = { 0 };

	if (root_list(&nvmet->root, &names, err, "subsystems") < 0)
		return -1;
	list.found = xcalloc(names.count, sizeof(*list.found));
	for (size_t i = 0; i < names.count; i++) {
		if (strncmp(names.names[i], VOLUME_NQN_PREFIX, strlen(VOLUME_NQN_PREFIX)) != 0)
			continue;
		if (found_read(nvmet, names.names[i], &list.found[list.count++], err) < 0)
			return -1;
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
