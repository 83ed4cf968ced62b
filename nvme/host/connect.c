/* SPDX-License-Identifier: Apache-2.0 */
/* Connect, wait, disconnect: decisions on what sysfs shows, actions by the kernel. */
#include "nvme/host/connect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nvme/base/job.h"
#include "nvme/base/log.h"
#include "nvme/base/hash.h"
#include "nvme/base/strb.h"
#include "nvme/host/controller.h"
#include "nvme/host/dhchap.h"
#include "nvme/host/nodes.h"
#include "nvme/host/probe.h"
#include "nvme/host/uevent.h"

#define PROBE_MS 2000 /* longer than one lost SYN, whose repetition comes after a second */
#define PROBE_GRACE_MS 300
#define DESCRIPTION_SIZE 400
#define CONTROLLERS "class/nvme"

static int ours(const struct host *host, const char *nqn, struct host_controllers *ret,
		struct err *err)
{
	return host_controllers_get(&host->sysfs, nqn, host->identity.nqn, ret, err);
}

static bool native_multipath(const struct host *host)
{
	char value[ROOT_VALUE_SIZE];
	struct err err;

	return root_read(&host->sysfs, value, &err, "module/nvme_core/parameters/multipath") == 1 &&
	       value[0] == 'Y';
}

static bool has_keys(const struct host_connect_options *options)
{
	return dhchap_keys_mode(&options->keys) != DHCHAP_NONE;
}

/* A session that is not authenticated as it should be must not be used by anybody. */
static int verify_keys(const struct host *host, const struct host_controller *controller,
		       const struct host_connect_options *options, struct err *err)
{
	struct err ignored;

	if (!has_keys(options) ||
	    host_dhchap_ensure(&host->sysfs, controller, &options->keys, err) == 0)
		return 0;
	root_write(&host->sysfs, "1", &ignored, "%s/delete_controller", controller->path);
	return -1;
}

/* What counts is what sysfs shows then, not what connecting returned. */
static int verify_portal(const struct host *host, const char *nqn, const struct portal *portal,
			 const struct host_connect_options *options, int connected, struct err *err)
{
	cleanup_host_controllers struct host_controllers now = { 0 };
	const struct host_controller *found;
	struct err unreadable;

	if (ours(host, nqn, &now, &unreadable) < 0) {
		*err = unreadable;
		return -1;
	}
	found = host_controllers_at(&now, portal);
	if (!found)
		return connected < 0 ? -1 :
				       err_set(err, ERR_UNAVAILABLE,
					       "the controller was gone again once connected");
	if (verify_keys(host, found, options, err) < 0)
		return -1;
	log_info("connected", KV("nqn", nqn), KV("controller", found->name),
		 KV("state", found->state), KV("address", found->portal.addr),
		 KV_NUM("port", found->portal.port),
		 KV("authentication", dhchap_mode_name(dhchap_keys_mode(&options->keys))));
	return 0;
}

static int connect_portal(const struct host *host, const char *nqn, const struct portal *portal,
			  const struct host_connect_options *options, struct deadline deadline,
			  struct err *err)
{
	char text[PORTAL_TEXT_SIZE];
	int connected;

	portal_format(portal, text);
	job_doing("connect %s of %s", text, nqn);
	connected = host_fabrics_connect(&host->identity, nqn, portal, options, deadline, err);
	return verify_portal(host, nqn, portal, options, connected, err);
}

/*
 * Whether a controller of this node may have our host NQN or host ID, but not both. Each is asked
 * once; host NQN and ID of a controller never change.
 */
static int is_suspect(const struct host *host, struct err *err)
{
	cleanup_host_nodes struct host_nodes nodes = { 0 };
	uint32_t ours = (uint32_t)hash_add(HASH_BEGIN, host->identity.nqn), is;
	int suspect = 0;

	if (host_nodes_list(&host->sysfs, CONTROLLERS, &nodes, err) < 0)
		return -1;
	for (size_t i = 0; i < nodes.count && !suspect; i++) {
		const struct host_node_entry *node = &nodes.list[i];

		if (host_node_recall(node, &is) && is == ours)
			continue;
		suspect =
			host_controller_is_suspect(&host->sysfs, node->name, &host->identity, err);
		if (suspect == 0)
			host_node_know(node, ours);
	}
	return suspect;
}

/* The identity must be free of conflicts with any subsystem's controllers, not only this one's. */
static int check_identity(const struct host *host, struct err *err)
{
	cleanup_host_controllers struct host_controllers all = { 0 };
	int suspect = is_suspect(host, err);

	if (suspect <= 0)
		return suspect;
	if (host_controllers_get(&host->sysfs, NULL, NULL, &all, err) < 0)
		return -1;
	return host_controllers_check_identity(&all, &host->identity, err);
}

/* A call without keys must not have what keys protect; and what it connected would have none. */
static int refuse_keyless(const struct host *host, const struct host_controller *c, struct err *err)
{
	if (!host_dhchap_is_used(&host->sysfs, c))
		return 0;
	return err_set(
		err, ERR_UNAUTHENTICATED,
		"controller %s of %s was connected with dhchapSecret, and this call has none: "
		"all that use this subsystem have to name one secret",
		c->name, c->nqn);
}

/* Controllers that are there already: of each that will stay. */
static int check_keys(const struct host *host, const struct host_controllers *controllers,
		      const struct host_connect_options *options, struct err *err)
{
	for (size_t i = 0; i < controllers->count; i++) {
		const struct host_controller *c = &controllers->list[i];

		if (host_controller_is_lasting(c) &&
		    (has_keys(options) ? host_dhchap_ensure(&host->sysfs, c, &options->keys, err) :
					 refuse_keyless(host, c, err)) < 0)
			return -1;
	}
	return 0;
}

static bool is_among(const struct portal *portal, const struct portal *portals, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (portal_equal(portal, &portals[i]))
			return true;
	return false;
}

/* Both of one maker: the same up to the last colon. */
static bool is_sibling(const char *a, const char *b)
{
	const char *colon = strrchr(b, ':');

	return colon && strncmp(a, b, (size_t)(colon - b) + 1) == 0;
}

/* The target has changed the key of this host: sessions with the old one could not reconnect. */
static void renew_others(const struct host *host, const char *nqn, const struct portal *portals,
			 size_t count, const struct dhchap_keys *keys)
{
	cleanup_host_controllers struct host_controllers all = { 0 };
	struct err err;

	if (host_controllers_get(&host->sysfs, NULL, host->identity.nqn, &all, &err) < 0) {
		log_warning("sessions with an old key not looked for", KV_ERR(&err));
		return;
	}
	for (size_t i = 0; i < all.count; i++) {
		const struct host_controller *c = &all.list[i];

		if (host_controller_is_lasting(c) && is_sibling(c->nqn, nqn) &&
		    is_among(&c->portal, portals, count) && host_dhchap_is_used(&host->sysfs, c) &&
		    host_dhchap_ensure(&host->sysfs, c, keys, &err) < 0)
			log_warning("session keeps an old key", KV("nqn", c->nqn),
				    KV("controller", c->name), KV_ERR(&err));
	}
}

/* Of several failures the one that no repetition helps against. */
static enum err_code graver(enum err_code a, enum err_code b)
{
	if (a == ERR_UNAUTHENTICATED || b == ERR_UNAUTHENTICATED)
		return ERR_UNAUTHENTICATED;
	return a == ERR_FAILED_PRECONDITION ? a : b == ERR_FAILED_PRECONDITION ? b : a;
}

static bool is_connected(const char *nqn, const struct host_controllers *controllers,
			 const struct portal *portal)
{
	for (size_t i = 0; i < controllers->count; i++) {
		const struct host_controller *c = &controllers->list[i];

		if (host_controller_is_lasting(c) && portal_equal(&c->portal, portal) &&
		    strcmp(c->nqn, nqn) == 0)
			return true;
	}
	return false;
}

static size_t list_unconnected(const char *nqn, const struct host_controllers *controllers,
			       const struct portal *portals, size_t count,
			       struct host_probe ret[PORTAL_MAX])
{
	size_t listed = 0;

	for (size_t i = 0; i < count; i++)
		if (!is_connected(nqn, controllers, &portals[i]))
			ret[listed++] = (struct host_probe) { .portal = &portals[i] };
	return listed;
}

size_t host_connect_missing(const struct host *host, const char *nqn,
			    const struct host_controllers *controllers,
			    const struct portal *portals, size_t count)
{
	struct host_probe unconnected[PORTAL_MAX];
	size_t missing = list_unconnected(nqn, controllers, portals, count, unconnected);

	if (missing == 0 || native_multipath(host))
		return missing;
	return missing == count;
}

int host_connect_probe(const struct host *host, const char *nqn, const struct portal *portals,
		       size_t count, struct err *err)
{
	cleanup_host_controllers struct host_controllers now = { 0 };
	struct host_probe probes[PORTAL_MAX];
	size_t unconnected;

	if (ours(host, nqn, &now, err) < 0)
		return -1;
	unconnected = list_unconnected(nqn, &now, portals, count, probes);
	return (int)host_probe(probes, unconnected, deadline_after_ms(PROBE_MS), PROBE_GRACE_MS);
}

static void tell_missing(const struct host_probe *probe, struct strb *reasons,
			 struct host_connect_outcome *outcome)
{
	char text[PORTAL_TEXT_SIZE];

	portal_format(probe->portal, text);
	strb_addf(reasons, "%s%s: %s", reasons->len ? "; " : "", text, probe->err.msg);
	outcome->missing++;
	outcome->rejected += probe->err.code == ERR_PERMISSION_DENIED ||
			     probe->err.code == ERR_UNAUTHENTICATED;
}

int host_connect(const struct host *host, const char *nqn, const struct portal *portals,
		 size_t count, const struct host_connect_options *options, struct deadline deadline,
		 struct host_connect_outcome *ret, struct err *err)
{
	cleanup_host_controllers struct host_controllers before = { 0 };
	struct strb reasons = strb_over(ret->reasons, sizeof(ret->reasons));
	bool one_is_enough = !native_multipath(host);
	struct host_probe probes[PORTAL_MAX];
	enum err_code code = ERR_UNAVAILABLE;
	size_t unconnected, already, connected;
	uint64_t probe_ms;

	*ret = (struct host_connect_outcome) { 0 };
	if (check_identity(host, err) < 0 || ours(host, nqn, &before, err) < 0 ||
	    check_keys(host, &before, options, err) < 0)
		return -1;
	unconnected = list_unconnected(nqn, &before, portals, count, probes);
	already = count - unconnected;
	connected = already;
	if (one_is_enough && connected)
		return 0;
	job_doing("probe the portals of %s", nqn);
	/* What is connected already is good enough to begin with, too. */
	probe_ms = already ? PROBE_GRACE_MS : PROBE_MS;
	host_probe(probes, unconnected, deadline_min(deadline, deadline_after_ms(probe_ms)),
		   PROBE_GRACE_MS);
	for (size_t i = 0; i < unconnected && !(one_is_enough && connected); i++) {
		struct host_probe *probe = &probes[i];

		if (probe->good &&
		    connect_portal(host, nqn, probe->portal, options, deadline, &probe->err) == 0) {
			connected++;
		} else {
			code = graver(code, probe->err.code);
			tell_missing(probe, &reasons, ret);
		}
	}
	if (connected == 0)
		return err_set(err, code, "connect %s: %s", nqn,
			       count ? ret->reasons : "no portal given");
	if (options->renew && has_keys(options) && connected > already)
		renew_others(host, nqn, portals, count, &options->keys);
	if (one_is_enough)
		ret->missing = 0;
	return 0;
}

static bool any_live(const struct host_controllers *controllers)
{
	for (size_t i = 0; i < controllers->count; i++)
		if (host_controller_is_live(&controllers->list[i]))
			return true;
	return false;
}

/* 1: ready; 0: not yet, err says why; -1: it will not become ready. */
static int look(const struct host *host, const char *nqn, const struct uuid *uuid, unsigned nsid,
		struct host_namespace *ret, struct err *err)
{
	cleanup_host_controllers struct host_controllers controllers = { 0 };
	cleanup_host_namespaces struct host_namespaces namespaces = { 0 };
	char wanted[UUID_TEXT_SIZE], seen[DESCRIPTION_SIZE], paths[DESCRIPTION_SIZE];
	struct host_namespace ns;
	int rc;

	if (ours(host, nqn, &controllers, err) < 0)
		return -1;
	if (controllers.count == 0)
		return err_set(err, ERR_UNAVAILABLE, "%s has no controller any more", nqn);
	host_controllers_describe(&controllers, paths, sizeof(paths));
	if (!any_live(&controllers)) {
		err_set(err, ERR_UNAVAILABLE, "%s has no live controller: %s", nqn, paths);
		return 0;
	}
	rc = host_namespace_find(&host->sysfs, nqn, uuid, nsid, &ns, err);
	if (rc < 0)
		return -1;
	if (rc && ns.size_bytes > 0 && host_device_check(host->dev, &ns, err) == 0) {
		*ret = ns;
		return 1;
	}
	if (rc && ns.size_bytes > 0)
		return 0;
	if (host_namespaces_get(&host->sysfs, nqn, &namespaces, err) < 0)
		return -1;
	host_namespaces_describe(&namespaces, seen, sizeof(seen));
	if (uuid)
		snprintf(wanted, sizeof(wanted), "%s", uuid->text);
	else
		snprintf(wanted, sizeof(wanted), "nsid %u", nsid);
	err_set(err, ERR_DEADLINE_EXCEEDED,
		"%s has no usable namespace %s; controllers: %s; namespaces: %s (the kernel hides "
		"one whose ids another subsystem has as well; its log says so)",
		nqn, wanted, paths, seen);
	return 0;
}

int host_wait_namespace(const struct host *host, const char *nqn, const struct uuid *uuid,
			unsigned nsid, struct deadline deadline, struct host_namespace *ret,
			struct err *err)
{
	cleanup_close int events = -1;

	if (host_uevent_open(&events, err) < 0)
		return -1;
	for (;;) {
		struct err why = ERR_INIT;
		int rc = look(host, nqn, uuid, nsid, ret, &why);

		if (rc > 0)
			return 0;
		if (rc < 0 || deadline_passed(deadline)) {
			*err = why;
			return -1;
		}
		if (host_uevent_wait(events, deadline, err) < 0)
			return -1;
	}
}

/* Asks the kernel to delete them; one that is being deleted has no such file any more. */
static int delete_all(const struct host *host, const struct host_controllers *controllers,
		      struct err *err)
{
	for (size_t i = 0; i < controllers->count; i++) {
		const struct host_controller *c = &controllers->list[i];

		if (root_write(&host->sysfs, "1", err, "%s/delete_controller", c->path) == 0)
			log_info("disconnected", KV("nqn", c->nqn), KV("controller", c->name));
		else if (err->sys != ENOENT && err->sys != ENODEV && err->sys != EBUSY)
			return err_wrap(err, "disconnect %s", c->nqn);
	}
	return 0;
}

int host_disconnect(const struct host *host, const char *nqn, struct deadline deadline,
		    struct err *err)
{
	cleanup_close int events = -1;

	job_doing("disconnect %s", nqn);
	if (host_uevent_open(&events, err) < 0)
		return -1;
	for (int more = 1;;) {
		cleanup_host_controllers struct host_controllers left = { 0 };
		char paths[DESCRIPTION_SIZE];

		if (ours(host, nqn, &left, err) < 0)
			return -1;
		if (left.count == 0)
			return 0;
		host_controllers_describe(&left, paths, sizeof(paths));
		if (more == 0)
			return err_set(err, ERR_DEADLINE_EXCEEDED,
				       "disconnect %s: controllers still there: %s", nqn, paths);
		if (delete_all(host, &left, err) < 0 ||
		    (more = host_uevent_wait(events, deadline, err)) < 0)
			return -1;
	}
}
