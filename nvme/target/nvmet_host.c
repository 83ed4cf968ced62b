/* SPDX-License-Identifier: Apache-2.0 */
/* nvmet's hosts: letting them in, and forgetting those that exports made. */
#include "nvme/target/nvmet_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nvme/base/log.h"

#define HOST_KEY "dhchap_key"
#define CTRL_KEY "dhchap_ctrl_key"
#define PROBE_NQN VOLUME_NQN_PREFIX "probe"

/* 1: the host has a key of this kind; 0: it has none, or this kernel knows no keys. */
static int read_key(struct nvmet *nvmet, const char *host_nqn, const char *kind,
		    char key[ROOT_VALUE_SIZE], struct err *err)
{
	int found = root_read(&nvmet->root, key, err, "hosts/%s/%s", host_nqn, kind);

	return found <= 0 ? found : key[0] != '\0';
}

static int has_key(struct nvmet *nvmet, const char *host_nqn, struct err *err)
{
	char key[ROOT_VALUE_SIZE];
	int has = read_key(nvmet, host_nqn, HOST_KEY, key, err);

	explicit_bzero(key, sizeof(key));
	return has;
}

/* The host's directory, with the key in it if it needs one. */
static int ready(struct nvmet *nvmet, const struct volume_export *host, struct err *err)
{
	int has;

	if (host->dhchap == DHCHAP_NONE)
		return root_mkdir(&nvmet->root, err, "hosts/%s", host->host_nqn);
	has = has_key(nvmet, host->host_nqn, err);
	if (has == 0)
		return err_set(err, ERR_ABORTED,
			       "host %s has to authenticate itself and has no key in %s/hosts: "
			       "publish the volume again",
			       host->host_nqn, nvmet->root.path);
	return has < 0 ? -1 : 0;
}

static int add_entry(struct nvmet *nvmet, const char *dir, const char *host_nqn, struct err *err)
{
	cleanup_free char *target = xasprintf("%s/hosts/%s", nvmet->root.path, host_nqn);

	return root_symlink(&nvmet->root, target, err, "%s/allowed_hosts/%s", dir, host_nqn);
}

int nvmet_host_allow(struct nvmet *nvmet, const char *dir, const struct volume_export *host,
		     struct err *err)
{
	int r;

	if (root_exists(&nvmet->root, "%s/allowed_hosts/%s", dir, host->host_nqn))
		return 0;
	/* Together, or nvmet_host_forget of another volume takes the host away in between. */
	pthread_mutex_lock(&nvmet->lock);
	r = ready(nvmet, host, err);
	if (r == 0)
		r = add_entry(nvmet, dir, host->host_nqn, err);
	pthread_mutex_unlock(&nvmet->lock);
	return r;
}

int nvmet_host_allow_again(struct nvmet *nvmet, const char *dir, const struct volume_export *host,
			   struct err *err)
{
	int r;

	pthread_mutex_lock(&nvmet->lock);
	if (nvmet_host_exists(nvmet, host->host_nqn))
		r = ready(nvmet, host, err);
	else
		r = err_set(err, ERR_ABORTED, "host %s is no longer in %s/hosts", host->host_nqn,
			    nvmet->root.path);
	if (r == 0)
		r = add_entry(nvmet, dir, host->host_nqn, err);
	pthread_mutex_unlock(&nvmet->lock);
	return r;
}

bool nvmet_host_exists(struct nvmet *nvmet, const char *host_nqn)
{
	return root_exists(&nvmet->root, "hosts/%s", host_nqn);
}

/* The kernel keeps a host that any subsystem still names: EBUSY. */
int nvmet_host_forget(struct nvmet *nvmet, const struct volume_export *host, struct err *err)
{
	int r;

	if (!host->host_made)
		return 0;
	pthread_mutex_lock(&nvmet->lock);
	/* A key that we have not set is somebody's configuration, even in a host that we made. */
	r = host->dhchap == DHCHAP_NONE ? has_key(nvmet, host->host_nqn, err) : 0;
	if (r == 0)
		r = root_rmdir(&nvmet->root, err, "hosts/%s", host->host_nqn);
	pthread_mutex_unlock(&nvmet->lock);
	return r < 0 && err->sys != EBUSY ? -1 : 0;
}

int nvmet_hosts_list(struct nvmet *nvmet, const char *dir, struct root_names *ret, struct err *err)
{
	cleanup_root_names struct root_names names = { 0 }, hosts = { 0 };
	char allowed[NVMET_DIR_SIZE + 16], target[PATH_MAX];

	snprintf(allowed, sizeof(allowed), "%s/allowed_hosts", dir);
	if (root_list(&nvmet->root, &names, err, "%s", allowed) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		int found = nvmet_link_target(nvmet, allowed, names.names[i], target, err);

		if (found < 0)
			return -1;
		if (found)
			root_names_add(&hosts, target);
	}
	*ret = hosts;
	hosts = (struct root_names) { 0 };
	return 0;
}

/* Past a failure: that one host cannot be let in is no reason to lock out the others. */
static int allow_all(struct nvmet *nvmet, const struct volume *volume, const char *needed,
		     const char *dir, struct err *err)
{
	bool good = !volume->export_count;

	for (size_t i = 0; i < volume->export_count; i++) {
		const struct volume_export *host = &volume->exports[i];
		bool counts = !needed || strcmp(host->host_nqn, needed) == 0;
		struct err failure;

		if (nvmet_host_allow(nvmet, dir, host, &failure) == 0) {
			good = good || counts;
			continue;
		}
		log_error("host not let in", KV("subsystem", dir), KV("host", host->host_nqn),
			  KV_ERR(&failure));
		if (counts)
			*err = failure;
	}
	return good ? 0 : -1;
}

int nvmet_hosts_ensure(struct nvmet *nvmet, const struct volume *volume, const char *needed,
		       const char *nqn, const char *dir, bool fresh, struct err *err)
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
	return allow_all(nvmet, volume, needed, dir, err);
}

/* --- keys ------------------------------------------------------------------------------------- */

/* 1: the host has this key, or none when it is ""; 0: not so. */
static int key_is(struct nvmet *nvmet, const char *host_nqn, const char *kind, const char *want,
		  struct err *err)
{
	char key[ROOT_VALUE_SIZE];
	int has = read_key(nvmet, host_nqn, kind, key, err);
	bool same = has > 0 ? strcmp(key, want) == 0 : !want[0];

	explicit_bzero(key, sizeof(key));
	return has < 0 ? -1 : same;
}

/*
 * Whether this kernel has DH-HMAC-CHAP: its hosts have files for keys. Under the lock. A host that
 * is not there yet is not made for this: one that a killed call leaves behind would be nobody's.
 */
static int check_kernel(struct nvmet *nvmet, const char *host_nqn, struct err *err)
{
	bool there = nvmet_host_exists(nvmet, host_nqn), known;
	const char *looked_at = there ? host_nqn : PROBE_NQN;

	if (!there && root_mkdir(&nvmet->root, err, "hosts/" PROBE_NQN) < 0)
		return -1;
	known = root_exists(&nvmet->root, "hosts/%s/" HOST_KEY, looked_at) &&
		root_exists(&nvmet->root, "hosts/%s/" CTRL_KEY, looked_at);
	if (!there && root_rmdir(&nvmet->root, err, "hosts/" PROBE_NQN) < 0)
		return -1;
	if (!known)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the target's kernel cannot authenticate hosts (%s/hosts has "
			       "no " HOST_KEY "): dhchapSecret needs Linux 6.12 or later with "
			       "CONFIG_NVME_TARGET_AUTH there",
			       nvmet->root.path);
	return 0;
}

int nvmet_host_keys_check(struct nvmet *nvmet, const char *host_nqn, const struct dhchap_keys *keys,
			  bool made, struct err *err)
{
	int same = 1, r;

	pthread_mutex_lock(&nvmet->lock);
	r = check_kernel(nvmet, host_nqn, err);
	pthread_mutex_unlock(&nvmet->lock);
	if (r < 0)
		return -1;
	if (!made)
		same = key_is(nvmet, host_nqn, HOST_KEY, keys->host, err);
	if (!made && same > 0)
		same = key_is(nvmet, host_nqn, CTRL_KEY, keys->ctrl, err);
	if (same == 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s/hosts/%s was not made by this target and has other keys than "
			       "the secrets given; set them there, or remove the directory",
			       nvmet->root.path, host_nqn);
	return same < 0 ? -1 : 0;
}

/* Read back, because configfs takes some writes without effect. */
static int key_ensure(struct nvmet *nvmet, const char *host_nqn, const char *kind, const char *want,
		      struct err *err)
{
	int same = key_is(nvmet, host_nqn, kind, want, err);

	if (same == 0 && !want[0])
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s/hosts/%s/%s cannot be cleared; unpublish all volumes of this "
			       "host first",
			       nvmet->root.path, host_nqn, kind);
	if (same)
		return same < 0 ? -1 : 0;
	if (root_write_secret(&nvmet->root, want, err, "hosts/%s/%s", host_nqn, kind) < 0)
		return -1;
	same = key_is(nvmet, host_nqn, kind, want, err);
	if (same == 0)
		return err_set(err, ERR_INTERNAL, "%s/hosts/%s/%s is not what was written to it",
			       nvmet->root.path, host_nqn, kind);
	return same < 0 ? -1 : 0;
}

int nvmet_host_keys_set(struct nvmet *nvmet, const char *host_nqn, const struct dhchap_keys *keys,
			struct err *err)
{
	int r;

	pthread_mutex_lock(&nvmet->lock);
	r = root_mkdir(&nvmet->root, err, "hosts/%s", host_nqn);
	/* The target's first: a host is let in by its own key, and must find the other then. */
	if (r == 0)
		r = key_ensure(nvmet, host_nqn, CTRL_KEY, keys->ctrl, err);
	if (r == 0)
		r = key_ensure(nvmet, host_nqn, HOST_KEY, keys->host, err);
	pthread_mutex_unlock(&nvmet->lock);
	return r;
}

/* --- looking ---------------------------------------------------------------------------------- */

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
