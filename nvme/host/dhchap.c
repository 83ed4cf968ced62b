/* SPDX-License-Identifier: Apache-2.0 */
/* Controllers' keys in sysfs. */
#include "nvme/host/dhchap.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "nvme/base/log.h"

#define HOST_KEY "dhchap_secret"
#define CTRL_KEY "dhchap_ctrl_secret"
#define NO_KEY "none" /* what the kernel shows for it */

/* What a controller holds; as many keys as it was connected with, for good. */
struct held {
	char host[ROOT_VALUE_SIZE];
	char ctrl[ROOT_VALUE_SIZE];
};

static void held_wipe(struct held *held)
{
	explicit_bzero(held, sizeof(*held));
}

/* 1: read, "" for no key; 0: this kernel has no such attribute. */
static int read_key(const struct root *sysfs, const struct host_controller *c, const char *name,
		    char key[ROOT_VALUE_SIZE], struct err *err)
{
	int found = root_read(sysfs, key, err, "%s/%s", c->path, name);

	if (found > 0 && strcmp(key, NO_KEY) == 0)
		key[0] = '\0';
	return found;
}

static int read_held(const struct root *sysfs, const struct host_controller *c, struct held *ret,
		     struct err *err)
{
	int host = read_key(sysfs, c, HOST_KEY, ret->host, err);
	int ctrl = host > 0 ? read_key(sysfs, c, CTRL_KEY, ret->ctrl, err) : host;

	if (ctrl == 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "the node's kernel cannot authenticate itself (controller %s has "
			       "no " HOST_KEY "): dhchapSecret needs Linux 6.12 or later with "
			       "CONFIG_NVME_HOST_AUTH there",
			       c->name);
	return ctrl < 0 ? -1 : 0;
}

static int check_way(const struct host_controller *c, const struct held *held,
		     const struct dhchap_keys *keys, struct err *err)
{
	if (!held->host[0])
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"controller %s of %s was connected without authentication; unpublish "
			"and unstage the volume, then stage it again",
			c->name, c->nqn);
	if (!held->ctrl[0] != !keys->ctrl[0])
		return err_set(
			err, ERR_FAILED_PRECONDITION,
			"controller %s of %s was connected with authentication %s, asked for "
			"is %s; unpublish and unstage the volume, then stage it again",
			c->name, c->nqn,
			dhchap_mode_name(held->ctrl[0] ? DHCHAP_BOTH_WAYS : DHCHAP_ONE_WAY),
			dhchap_mode_name(dhchap_keys_mode(keys)));
	if (keys->ctrl[0] && strcmp(held->host, keys->host) != 0 &&
	    strcmp(held->ctrl, keys->ctrl) != 0)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "controller %s of %s holds two other keys, and survives the change "
			       "of one at a time; unstage the volume, or go back to one of them",
			       c->name, c->nqn);
	return 0;
}

static int key_ensure(const struct root *sysfs, const struct host_controller *c, const char *name,
		      const char *held, const char *want, struct err *err)
{
	char path[HOST_PATH_SIZE + sizeof(CTRL_KEY) + 1], now[ROOT_VALUE_SIZE];
	bool same;
	int found;

	snprintf(path, sizeof(path), "%s/%s", c->path, name);
	if (strcmp(held, want) == 0) {
		/* For everybody by default, every container included; /sys may be read-only. */
		if (fchmodat(sysfs->fd, path, 0600, 0) < 0)
			log_debug("key of a session can be read by all", KV("path", path));
		return 0;
	}
	if (root_write_secret(sysfs, want, err, "%s", path) < 0)
		return -1;
	found = read_key(sysfs, c, name, now, err);
	same = found > 0 && strcmp(now, want) == 0;
	explicit_bzero(now, sizeof(now));
	if (found >= 0 && !same)
		return err_set(err, ERR_UNAVAILABLE, "%s/%s is not what was written to it",
			       sysfs->path, path);
	if (same)
		log_info("key of a session changed", KV("nqn", c->nqn), KV("controller", c->name),
			 KV("key", name));
	return found < 0 ? -1 : 0;
}

int host_dhchap_ensure(const struct root *sysfs, const struct host_controller *controller,
		       const struct dhchap_keys *keys, struct err *err)
{
	struct held held CLEANUP(held_wipe) = { 0 };

	if (read_held(sysfs, controller, &held, err) < 0 ||
	    check_way(controller, &held, keys, err) < 0 ||
	    key_ensure(sysfs, controller, HOST_KEY, held.host, keys->host, err) < 0)
		return -1;
	return key_ensure(sysfs, controller, CTRL_KEY, held.ctrl, keys->ctrl, err);
}

bool host_dhchap_is_used(const struct root *sysfs, const struct host_controller *controller)
{
	char key[ROOT_VALUE_SIZE] = "";
	struct err ignored;
	int found = read_key(sysfs, controller, HOST_KEY, key, &ignored);
	bool used = found > 0 && key[0];

	explicit_bzero(key, sizeof(key));
	return used;
}
