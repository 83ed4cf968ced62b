/* SPDX-License-Identifier: Apache-2.0 */
/* Exports in nvmet's configfs: built in an order that never shows a half-made one. */
#include "nvme/target/nvmet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme/base/log.h"

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

/* As links_remove, of the name that we give to a link: without reading those of all others. */
static int link_remove(struct nvmet *nvmet, const char *dir, const char *target, struct err *err)
{
	char pointed[PATH_MAX];
	int found = link_target(nvmet, dir, target, pointed, err);

	if (found <= 0 || strcmp(pointed, target) != 0)
		return found < 0 ? -1 : 0;
	return root_unlink(&nvmet->root, err, "%s/%s", dir, target);
}

static int port_link(struct nvmet *nvmet, const char *port, const char *nqn, struct err *err)
{
	cleanup_free char *target = xasprintf("%s/subsystems/%s", nvmet->root.path, nqn);

	return root_symlink(&nvmet->root, target, err, "ports/%s/subsystems/%s", port, nqn);
}

/* How the links of a subsystem are removed from the ports. */
enum cut {
	CUT_OURS,   /* those with the name we give */
	CUT_ALL,    /* those with any name */
	CUT_RELINK, /* those with any name, and put back at once */
};

/* The sessions at this port are gone when it returns 0. A link that does not come back is logged. */
static int port_cut(struct nvmet *nvmet, const char *port, const char *nqn, enum cut cut,
		    struct err *err)
{
	char dir[DIR_SIZE];
	struct err failure;
	bool removed;

	snprintf(dir, sizeof(dir), "ports/%.32s/subsystems", port);
	if (cut == CUT_OURS)
		return link_remove(nvmet, dir, nqn, err);
	if (links_remove(nvmet, dir, nqn, &removed, err) < 0)
		return -1;
	if (cut == CUT_RELINK && removed && port_link(nvmet, port, nqn, &failure) < 0)
		log_error("export not put back at a port", KV("subsystem", nqn), KV("port", port),
			  KV_ERR(&failure));
	return 0;
}

/*
 * Removes the subsystem's link at every port, which kills its controllers there. With CUT_RELINK it
 * is put back at once: an initiator must not find the port listening without it.
 */
static int cut_all(struct nvmet *nvmet, const char *nqn, enum cut cut, struct err *err)
{
	cleanup_root_names struct root_names ports = { 0 };

	if (root_list(&nvmet->root, &ports, err, "ports") < 0)
		return -1;
	for (size_t i = 0; i < ports.count; i++)
		if (port_cut(nvmet, ports.names[i], nqn, cut, err) < 0)
			return -1;
	return cut == CUT_RELINK ? 0 : nvmet_ports_trim(nvmet, err);
}

static int ports_cut(struct nvmet *nvmet, const char *nqn, enum cut cut, struct err *err)
{
	int r;

	pthread_mutex_lock(&nvmet->lock);
	r = cut_all(nvmet, nqn, cut, err);
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
static int host_forget(struct nvmet *nvmet, const struct volume_export *host, struct err *err)
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
static int hosts_list(struct nvmet *nvmet, const char *dir, struct root_names *ret, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 };
	char allowed[DIR_SIZE + 16], target[PATH_MAX];
	struct root_names hosts = { 0 };

	snprintf(allowed, sizeof(allowed), "%s/allowed_hosts", dir);
	if (root_list(&nvmet->root, &names, err, "%s", allowed) < 0)
		return -1;
	hosts.names = xcalloc(names.count, sizeof(*hosts.names));
	for (size_t i = 0; i < names.count; i++) {
		int found = link_target(nvmet, allowed, names.names[i], target, err);

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

/* Removes the ACL entry and with it the sessions; the subsystem stays for other hosts. */
static int host_fence(struct nvmet *nvmet, const char *nqn, const struct volume_export *host,
		      struct err *err)
{
	char dir[DIR_SIZE], allowed[DIR_SIZE + 16];
	bool removed;

	subsystem_dir(nqn, dir);
	snprintf(allowed, sizeof(allowed), "%s/allowed_hosts", dir);
	if (links_remove(nvmet, allowed, host->host_nqn, &removed, err) < 0 ||
	    ports_cut(nvmet, nqn, CUT_RELINK, err) < 0)
		return -1;
	return host_forget(nvmet, host, err);
}

static int hosts_ensure(struct nvmet *nvmet, const struct volume *volume, const char *nqn,
			const char *dir, struct err *err)
{
	cleanup_root_names struct root_names hosts = { 0 };

	if (hosts_list(nvmet, dir, &hosts, err) < 0)
		return -1;
	for (size_t i = 0; i < hosts.count; i++) {
		struct volume_export host = { 0 };

		snprintf(host.host_nqn, sizeof(host.host_nqn), "%s", hosts.names[i]);
		if (!volume_find_export(volume, host.host_nqn) &&
		    host_fence(nvmet, nqn, &host, err) < 0)
			return -1;
	}
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

/* Links the subsystems to one port, past a failure; the first is reported. */
static int port_link_all(struct nvmet *nvmet, unsigned id, const struct uuid *uuids, size_t count,
			 struct err *err)
{
	char nqn[NQN_SIZE], port[16];
	struct err failure;
	int r = 0;

	snprintf(port, sizeof(port), "%u", id);
	for (size_t i = 0; i < count; i++) {
		volume_nqn(&uuids[i], nqn);
		if (port_link(nvmet, port, nqn, r < 0 ? &failure : err) < 0)
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

static int link_all(struct nvmet *nvmet, const struct uuid *uuids, size_t count, struct err *err)
{
	unsigned ports[PORTAL_MAX];
	bool usable[PORTAL_MAX];
	struct err failure;
	size_t served = 0;

	for (size_t p = 0; p < nvmet->portal_count; p++) {
		usable[p] = nvmet_port_ensure(nvmet, &nvmet->portals[p], &ports[p], &failure) == 0;
		if (!usable[p])
			portal_failed(&nvmet->portals[p], &failure);
	}
	for (size_t p = 0; p < nvmet->portal_count; p++) {
		if (!usable[p])
			continue;
		if (port_link_all(nvmet, ports[p], uuids, count, &failure) == 0)
			served++;
		else
			portal_failed(&nvmet->portals[p], &failure);
	}
	if (served)
		return 0;
	*err = failure;
	return -1;
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
		err_wrap(err, "the kernel may lack nvmet-tcp (modprobe nvmet-tcp)");
	return r < 0 ? err_wrap(err, "no portal can be served") : 0;
}

/* --- taking away ------------------------------------------------------------------------------ */

int nvmet_see(struct nvmet *nvmet, const struct uuid *uuid, const char *host_nqn,
	      struct nvmet_seen *ret, struct err *err)
{
	cleanup_root_names struct root_names hosts = { 0 };
	char nqn[NQN_SIZE], dir[DIR_SIZE];
	struct nvmet_seen seen = { 0 };

	volume_nqn(uuid, nqn);
	subsystem_dir(nqn, dir);
	seen.there = root_exists(&nvmet->root, "%s", dir);
	if (hosts_list(nvmet, dir, &hosts, err) < 0)
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

int nvmet_remove_host(struct nvmet *nvmet, const struct uuid *uuid,
		      const struct volume_export *host, struct err *err)
{
	struct nvmet_seen seen;
	char nqn[NQN_SIZE];
	struct err failure;

	volume_nqn(uuid, nqn);
	if (host_fence(nvmet, nqn, host, err) < 0)
		return -1;
	/* What an interrupted call left unlinked. The fence stands without it. */
	if (nvmet_link(nvmet, uuid, 1, &failure) < 0)
		log_error("export not linked for its other hosts", KV("subsystem", nqn),
			  KV_ERR(&failure));
	if (nvmet_see(nvmet, uuid, host->host_nqn, &seen, err) < 0)
		return -1;
	if (seen.allowed)
		return err_set(err, ERR_INTERNAL, "%s still allows host %s", nqn, host->host_nqn);
	return 0;
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
	if (err->sys != EBUSY || ports_cut(nvmet, nqn, CUT_ALL, err) < 0)
		return -1;
	return root_rmdir(&nvmet->root, err, "%s", dir);
}

int nvmet_remove(struct nvmet *nvmet, const struct volume *volume, struct err *err)
{
	char nqn[NQN_SIZE], dir[DIR_SIZE];

	volume_nqn(&volume->uuid, nqn);
	subsystem_dir(nqn, dir);
	if (ports_cut(nvmet, nqn, CUT_OURS, err) < 0 || namespaces_remove(nvmet, dir, err) < 0 ||
	    hosts_disallow(nvmet, dir, err) < 0 || subsystem_remove(nvmet, nqn, dir, err) < 0)
		return -1;
	for (size_t i = 0; i < volume->export_count; i++)
		if (host_forget(nvmet, &volume->exports[i], err) < 0)
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
