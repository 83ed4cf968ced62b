/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes that grow, by uevents and, if need be, a scan. */
#include "nvme/host/size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "nvme/base/log.h"
#include "nvme/host/controller.h"
#include "nvme/host/uevent.h"

#define DESCRIPTION_SIZE 512

static int scan(const struct host *host, const char *nqn, struct err *err)
{
	cleanup_host_controllers struct host_controllers controllers = { 0 };

	if (host_controllers_get(&host->sysfs, nqn, host->identity.nqn, &controllers, err) < 0)
		return -1;
	for (size_t i = 0; i < controllers.count; i++) {
		const struct host_controller *c = &controllers.list[i];
		struct err failed;

		if (!host_controller_is_live(c))
			continue;
		log_info("scanning for a new size", KV("nqn", nqn), KV("controller", c->name));
		/* It may have gone meanwhile; another one is enough. */
		if (root_write(&host->sysfs, "1", &failed, "%s/rescan_controller", c->path) < 0)
			log_warning("no scan", KV("controller", c->name), KV_ERR(&failed));
	}
	return 0;
}

static int too_small(const struct host *host, const struct host_namespace *ns,
		     uint64_t required_bytes, struct err *err)
{
	cleanup_host_controllers struct host_controllers controllers = { 0 };
	enum err_code code = ERR_UNAVAILABLE;
	char paths[DESCRIPTION_SIZE];

	if (host_controllers_get(&host->sysfs, ns->nqn, host->identity.nqn, &controllers, err) < 0)
		return -1;
	for (size_t i = 0; i < controllers.count; i++)
		if (host_controller_is_live(&controllers.list[i]))
			code = ERR_DEADLINE_EXCEEDED;
	host_controllers_describe(&controllers, paths, sizeof(paths));
	return err_set(err, code,
		       "device %s of %s has %" PRIu64 " bytes, not the required %" PRIu64
		       "; controllers: %s; %s",
		       ns->name, ns->nqn, ns->size_bytes, required_bytes, paths,
		       code == ERR_UNAVAILABLE ? "the target cannot be asked" :
						 "the target has not grown it");
}

int host_wait_size(const struct host *host, const char *nqn, const struct uuid *uuid, unsigned nsid,
		   uint64_t required_bytes, struct deadline deadline, struct host_namespace *ret,
		   struct err *err)
{
	cleanup_close int events = -1;
	struct host_namespace ns;

	if (host_uevent_open(&events, err) < 0)
		return -1;
	for (bool asked = false;; asked = true) {
		int found = host_namespace_find(&host->sysfs, nqn, uuid, nsid, &ns, err);

		if (found < 0)
			return -1;
		if (!found)
			return err_set(err, ERR_NOT_FOUND, "namespace %s of %s is not connected",
				       uuid ? uuid->text : "", nqn);
		if (ns.size_bytes >= required_bytes)
			break;
		if (deadline_passed(deadline))
			return too_small(host, &ns, required_bytes, err);
		if ((!asked && scan(host, nqn, err) < 0) ||
		    host_uevent_wait(events, deadline, err) < 0)
			return -1;
	}
	*ret = ns;
	return 0;
}
