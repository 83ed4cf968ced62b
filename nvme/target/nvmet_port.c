/* SPDX-License-Identifier: Apache-2.0 */
/* nvmet's ports: found by their address, made under the first free one of our ids. */
#include "nvme/target/nvmet_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PORT_ID_MAX 65535U /* configfs refuses higher ones */

/* As configfs has it; a part that is not there is "". */
struct address {
	char type[ROOT_VALUE_SIZE];
	char addr[ROOT_VALUE_SIZE];
	char service[ROOT_VALUE_SIZE];
};

static int address_read(struct nvmet *nvmet, const char *port, struct address *ret, struct err *err)
{
	ret->type[0] = ret->addr[0] = ret->service[0] = '\0';
	if (root_read(&nvmet->root, ret->type, err, "ports/%s/addr_trtype", port) < 0 ||
	    root_read(&nvmet->root, ret->addr, err, "ports/%s/addr_traddr", port) < 0 ||
	    root_read(&nvmet->root, ret->service, err, "ports/%s/addr_trsvcid", port) < 0)
		return -1;
	return 0;
}

static bool to_portal(const struct address *a, struct portal *ret)
{
	cleanup_free char *text = strchr(a->addr, ':') ?
					  xasprintf("tcp://[%s]:%s", a->addr, a->service) :
					  xasprintf("tcp://%s:%s", a->addr, a->service);
	struct err ignored;

	return strcmp(a->type, "tcp") == 0 && portal_parse(text, ret, &ignored) == 0;
}

enum match {
	MATCH_NONE,
	MATCH_BEGUN, /* what port_configure leaves when it is interrupted */
	MATCH_FULL,
};

/* How the port's address compares with the portal. */
static int port_matches(struct nvmet *nvmet, const char *port, const struct portal *portal,
			enum match *ret, struct err *err)
{
	struct address address;
	struct portal found;

	if (address_read(nvmet, port, &address, err) < 0)
		return -1;
	*ret = MATCH_NONE;
	if (!address.service[0]) {
		if ((!address.type[0] || strcmp(address.type, "tcp") == 0) &&
		    (!address.addr[0] || strcmp(address.addr, portal->addr) == 0))
			*ret = MATCH_BEGUN;
		return 0;
	}
	if (to_portal(&address, &found) && portal_equal(&found, portal))
		*ret = MATCH_FULL;
	return 0;
}

int nvmet_port_portal(struct nvmet *nvmet, const char *port, struct portal *ret, struct err *err)
{
	struct address address;

	if (address_read(nvmet, port, &address, err) < 0)
		return -1;
	return to_portal(&address, ret);
}

static int port_configure(struct nvmet *nvmet, unsigned id, const struct portal *portal,
			  struct err *err)
{
	const char *family = portal->family == AF_INET6 ? "ipv6" : "ipv4";
	char service[8];

	snprintf(service, sizeof(service), "%u", portal->port);
	if (root_write(&nvmet->root, "tcp", err, "ports/%u/addr_trtype", id) < 0 ||
	    root_write(&nvmet->root, family, err, "ports/%u/addr_adrfam", id) < 0 ||
	    root_write(&nvmet->root, portal->addr, err, "ports/%u/addr_traddr", id) < 0 ||
	    root_write(&nvmet->root, service, err, "ports/%u/addr_trsvcid", id) < 0)
		return -1;
	return 0;
}

/* The id in our range that a port's name stands for. */
static bool is_our_id(const char *port, unsigned *ret)
{
	struct err ignored;
	uint64_t id;

	if (parse_u64("nvmet port", port, NVMET_PORT_FIRST, PORT_ID_MAX, &id, &ignored) < 0)
		return false;
	*ret = (unsigned)id;
	return true;
}

/* mkdir claims the id: whoever else makes ports gets EEXIST, or we do and take the next. */
static int port_make(struct nvmet *nvmet, const struct portal *portal, unsigned *ret,
		     struct err *err)
{
	char path[32];

	for (unsigned id = NVMET_PORT_FIRST; id <= PORT_ID_MAX; id++) {
		struct err ignored;

		snprintf(path, sizeof(path), "ports/%u", id);
		if (mkdirat(nvmet->root.fd, path, 0755) < 0) {
			if (errno == EEXIST)
				continue;
			return err_sys(err, errno, "create directory %s/%s", nvmet->root.path,
				       path);
		}
		if (port_configure(nvmet, id, portal, err) < 0) {
			root_rmdir(&nvmet->root, &ignored, "%s", path);
			return -1;
		}
		*ret = id;
		return 0;
	}
	return err_set(err, ERR_RESOURCE_EXHAUSTED,
		       "all port ids of nvmet from %u to %u are in use", NVMET_PORT_FIRST,
		       PORT_ID_MAX);
}

static int port_id(const char *port, unsigned *ret, struct err *err)
{
	uint64_t id;

	if (parse_u64("nvmet port", port, 0, PORT_ID_MAX, &id, err) < 0)
		return err_recode(err, ERR_INTERNAL);
	*ret = (unsigned)id;
	return 0;
}

int nvmet_port_ensure(struct nvmet *nvmet, const struct portal *portal, unsigned *ret,
		      struct err *err)
{
	cleanup_root_names struct root_names ports = { 0 };
	char text[PORTAL_TEXT_SIZE];
	unsigned id, begun = 0;
	enum match match;

	if (root_list(&nvmet->root, &ports, err, "ports") < 0)
		return -1;
	for (size_t i = 0; i < ports.count; i++) {
		if (port_matches(nvmet, ports.names[i], portal, &match, err) < 0)
			return -1;
		if (match == MATCH_BEGUN && is_our_id(ports.names[i], &id))
			begun = id;
		if (match == MATCH_FULL)
			return port_id(ports.names[i], ret, err);
	}
	portal_format(portal, text);
	if ((begun ? port_configure(nvmet, begun, portal, err) :
		     port_make(nvmet, portal, &begun, err)) < 0)
		return err_wrap(err, "port for %s", text);
	*ret = begun;
	return 0;
}

/* 1: the port is of our making, as far as its id and its address say. */
static int is_ours(struct nvmet *nvmet, const char *port, struct err *err)
{
	enum match match;
	unsigned id;

	for (size_t p = 0; is_our_id(port, &id) && p < nvmet->portal_count; p++) {
		if (port_matches(nvmet, port, &nvmet->portals[p], &match, err) < 0)
			return -1;
		if (match == MATCH_FULL)
			return 1;
	}
	return 0;
}

int nvmet_ports_trim(struct nvmet *nvmet, struct err *err)
{
	cleanup_root_names struct root_names ports = { 0 };

	if (root_list(&nvmet->root, &ports, err, "ports") < 0)
		return -1;
	for (size_t i = 0; i < ports.count; i++) {
		int ours = is_ours(nvmet, ports.names[i], err);

		/* The kernel keeps a port with links or referrals: ENOTEMPTY. */
		if (ours < 0 ||
		    (ours && root_rmdir(&nvmet->root, err, "ports/%s", ports.names[i]) < 0 &&
		     err->sys != ENOTEMPTY))
			return -1;
	}
	return 0;
}

/* --- ways ------------------------------------------------------------------------------------- */

/* By whatever name somebody has linked one of them. 1: yes; 0: no; -1: error. */
static int leads_to(struct nvmet *nvmet, const char *port, const struct uuid *uuids, size_t count,
		    struct err *err)
{
	char dir[NVMET_DIR_SIZE], nqn[NQN_SIZE], name[NAME_MAX + 1];
	int found = 0;

	snprintf(dir, sizeof(dir), "ports/%s/subsystems", port);
	for (size_t i = 0; found == 0 && i < count; i++) {
		volume_nqn(&uuids[i], nqn);
		found = nvmet_link_find(nvmet, dir, nqn, name, err);
	}
	return found;
}

/* Adds the portal of a port that leads to one of them, unless it is there already. */
static int add_way(struct nvmet *nvmet, const char *port, const struct uuid *uuids,
		   size_t uuid_count, struct portal **portals, size_t *count, struct err *err)
{
	struct portal portal;
	int found = nvmet_port_portal(nvmet, port, &portal, err), leads;

	if (found < 0)
		return -1;
	if (found && portal_is_in(&portal, *portals, *count))
		return 0;
	leads = leads_to(nvmet, port, uuids, uuid_count, err);
	if (leads <= 0)
		return leads;
	/* One for all addresses, which is no portal, says nothing about those that hosts come by. */
	if (!found)
		return err_set(err, ERR_FAILED_PRECONDITION,
			       "%s/ports/%s leads to a volume and is not of TCP with an address of "
			       "its own: take its link away",
			       nvmet->root.path, port);
	*portals = xrealloc(*portals, *count + 1, sizeof(**portals));
	(*portals)[(*count)++] = portal;
	return 0;
}

int nvmet_ways(struct nvmet *nvmet, const struct uuid *uuids, size_t count, struct portal **ret,
	       size_t *ret_count, struct err *err)
{
	cleanup_free struct portal *portals = xcalloc(nvmet->portal_count, sizeof(*portals));
	cleanup_root_names struct root_names ports = { 0 };
	size_t portal_count = nvmet->portal_count;

	memcpy(portals, nvmet->portals, portal_count * sizeof(*portals));
	if (root_list(&nvmet->root, &ports, err, "ports") < 0)
		return -1;
	for (size_t i = 0; i < ports.count; i++)
		if (add_way(nvmet, ports.names[i], uuids, count, &portals, &portal_count, err) < 0)
			return -1;
	*ret = steal_ptr(&portals);
	*ret_count = portal_count;
	return 0;
}
