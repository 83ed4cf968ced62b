/* SPDX-License-Identifier: Apache-2.0 */
/* Controllers, read from sysfs. */
#include "nvme/host/controller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "nvme/base/strb.h"

/* From "traddr=A,trsvcid=P[,src_addr=…]". An address of another form leaves the portal empty. */
static void portal_of(char *address, struct portal *ret)
{
	const char *traddr = "", *trsvcid = "";
	char text[PORTAL_TEXT_SIZE];
	struct err other_form;
	char *item;

	while ((item = strsep(&address, ","))) {
		if (strncmp(item, "traddr=", 7) == 0)
			traddr = item + 7;
		else if (strncmp(item, "trsvcid=", 8) == 0)
			trsvcid = item + 8;
	}
	snprintf(text, sizeof(text), strchr(traddr, ':') ? "tcp://[%s]:%s" : "tcp://%s:%s", traddr,
		 trsvcid);
	portal_parse(text, ret, &other_form);
}

/* 1: read; 0: it has vanished; -1: error. */
static int read_controller(const struct root *sysfs, struct host_controller *c, struct err *err)
{
	char address[256];
	int rc = host_attribute_read(sysfs, c->path, "state", c->state, sizeof(c->state), err);

	if (rc <= 0)
		return rc;
	if (host_attribute_read(sysfs, c->path, "transport", c->transport, sizeof(c->transport),
				err) < 0 ||
	    host_attribute_read(sysfs, c->path, "hostnqn", c->hostnqn, sizeof(c->hostnqn), err) <
		    0 ||
	    host_attribute_read(sysfs, c->path, "hostid", c->hostid, sizeof(c->hostid), err) < 0 ||
	    host_attribute_read(sysfs, c->path, "address", address, sizeof(address), err) < 0)
		return -1;
	if (strcmp(c->transport, "tcp") == 0)
		portal_of(address, &c->portal);
	return 1;
}

struct collection {
	struct host_controllers found;
	const char *hostnqn;
};

static int collect(const struct root *sysfs, const struct host_entry *entry, void *context,
		   struct err *err)
{
	struct collection *collection = context;
	struct host_controllers *found = &collection->found;
	struct host_controller c = { 0 };
	int rc;

	if (host_node_of(entry->name) != HOST_NODE_CONTROLLER)
		return 0;
	snprintf(c.name, sizeof(c.name), "%s", entry->name);
	snprintf(c.path, sizeof(c.path), "%s/%s", entry->dir, entry->name);
	snprintf(c.nqn, sizeof(c.nqn), "%s", entry->nqn);
	rc = read_controller(sysfs, &c, err);
	if (rc <= 0)
		return rc;
	if (collection->hostnqn && strcmp(collection->hostnqn, c.hostnqn) != 0)
		return 0;
	found->list = xrealloc(found->list, found->count + 1, sizeof(*found->list));
	found->list[found->count++] = c;
	return 0;
}

int host_controllers_get(const struct root *sysfs, const char *nqn, const char *hostnqn,
			 struct host_controllers *ret, struct err *err)
{
	struct collection collection = { .hostnqn = hostnqn };

	if (host_subsystem_walk(sysfs, nqn, collect, &collection, err) < 0) {
		host_controllers_fini(&collection.found);
		return -1;
	}
	*ret = collection.found;
	return 0;
}

void host_controllers_fini(struct host_controllers *controllers)
{
	free(controllers->list);
	*controllers = (struct host_controllers) { 0 };
}

bool host_controller_is_live(const struct host_controller *controller)
{
	return strcmp(controller->state, "live") == 0;
}

bool host_controller_is_lasting(const struct host_controller *controller)
{
	return strncmp(controller->state, "deleting", 8) != 0 &&
	       strcmp(controller->state, "dead") != 0;
}

const struct host_controller *host_controllers_at(const struct host_controllers *controllers,
						  const struct portal *portal)
{
	for (size_t i = 0; i < controllers->count; i++) {
		const struct host_controller *c = &controllers->list[i];

		if (host_controller_is_lasting(c) && portal_equal(&c->portal, portal))
			return c;
	}
	return NULL;
}

static bool is_conflict(const char *hostnqn, const char *hostid,
			const struct host_identity *identity)
{
	return hostid[0] && (strcmp(hostnqn, identity->nqn) == 0) !=
				    (strcasecmp(hostid, identity->id.text) == 0);
}

int host_controller_is_suspect(const struct root *sysfs, const char *name,
			       const struct host_identity *identity, struct err *err)
{
	char dir[HOST_PATH_SIZE], hostnqn[NQN_SIZE], hostid[UUID_TEXT_SIZE];

	snprintf(dir, sizeof(dir), "class/nvme/%s", name);
	if (host_attribute_read(sysfs, dir, "hostnqn", hostnqn, sizeof(hostnqn), err) < 0 ||
	    host_attribute_read(sysfs, dir, "hostid", hostid, sizeof(hostid), err) < 0)
		return -1;
	return is_conflict(hostnqn, hostid, identity);
}

int host_controllers_check_identity(const struct host_controllers *controllers,
				    const struct host_identity *identity, struct err *err)
{
	for (size_t i = 0; i < controllers->count; i++) {
		const struct host_controller *c = &controllers->list[i];

		if (is_conflict(c->hostnqn, c->hostid, identity))
			return err_set(err, ERR_FAILED_PRECONDITION,
				       "this node is host NQN %s with host ID %s, but controller "
				       "%s of %s is connected as host NQN %s with host ID %s; the "
				       "kernel allows one pairing: disconnect it, or make both "
				       "use the same /etc/nvme/hostnqn",
				       identity->nqn, identity->id.text, c->name, c->nqn,
				       c->hostnqn, c->hostid);
	}
	return 0;
}

void host_controllers_describe(const struct host_controllers *controllers, char *text, size_t size)
{
	struct strb s = strb_over(text, size);

	if (controllers->count == 0)
		strb_add(&s, "none");
	for (size_t i = 0; i < controllers->count; i++) {
		const struct host_controller *c = &controllers->list[i];
		char portal[PORTAL_TEXT_SIZE] = "";

		if (c->portal.family)
			portal_format(&c->portal, portal);
		strb_addf(&s, "%s%s %s %s", i ? ", " : "", c->name, c->state, portal);
	}
}
