/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking one host of several away. One mechanism for all kernels: the subsystem's links are removed
 * and put back under the guard. Rewriting attr_qid_max would cut the sessions, too, but does
 * nothing on Linux 6.1, and does not get at a Connect that is under way either.
 */
#include "nvme/target/nvmet_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/base/clock.h"
#include "nvme/base/log.h"
#include "nvme/target/nvmet_drain.h"

/*
 * How long the guard, which keeps everybody out, stays for what was cut: most is gone in
 * milliseconds. The second time the storage has shown that it does end its I/O.
 */
#define GUARDED_MS 1000
#define GUARDED_AGAIN_MS 10000

/* A subsystem has at most one link at a port: the kernel refuses more. */
struct fence_link {
	char port[16];
	char name[NAME_MAX + 1];
};

struct fence {
	const char *nqn;
	struct fence_link *links;
	size_t link_count;
	struct portal *portals; /* ours, and those of the links */
	size_t portal_count;
	struct nvmet_drain *drain; /* borrowed from the list of struct nvmet */
};

/*
 * The drain of a subsystem's fence. It outlives a fence that failed: only it knows what that one
 * cut, and the next fence of the subsystem goes on with it. One volume has one caller at a time,
 * so only the list itself is under the lock.
 */
struct nvmet_fenced {
	struct nvmet_fenced *next;
	char nqn[NQN_SIZE];
	struct nvmet_drain drain;
};

static struct nvmet_fenced **fenced_find(struct nvmet *nvmet, const char *nqn)
{
	struct nvmet_fenced **at = &nvmet->fenced;

	while (*at && strcmp((*at)->nqn, nqn) != 0)
		at = &(*at)->next;
	return at;
}

/* Call it with the lock held. */
static struct nvmet_drain *fenced_ensure(struct nvmet *nvmet, const char *nqn)
{
	struct nvmet_fenced **at = fenced_find(nvmet, nqn);

	if (!*at) {
		*at = xcalloc(1, sizeof(**at));
		snprintf((*at)->nqn, sizeof((*at)->nqn), "%s", nqn);
		(*at)->drain = NVMET_DRAIN_INIT;
	}
	return &(*at)->drain;
}

static void fenced_remove(struct nvmet_fenced **at)
{
	struct nvmet_fenced *fenced = *at;

	*at = fenced->next;
	nvmet_drain_fini(&fenced->drain);
	free(fenced);
}

void nvmet_fence_settle(struct nvmet *nvmet, const char *nqn)
{
	struct nvmet_fenced **at;

	pthread_mutex_lock(&nvmet->lock);
	at = fenced_find(nvmet, nqn);
	if (*at)
		fenced_remove(at);
	pthread_mutex_unlock(&nvmet->lock);
}

void nvmet_fences_free(struct nvmet *nvmet)
{
	while (nvmet->fenced)
		fenced_remove(&nvmet->fenced);
}

static void fence_fini(struct fence *fence)
{
	free(fence->links);
	free(fence->portals);
	*fence = (struct fence) { .nqn = fence->nqn, .drain = fence->drain };
}

#define cleanup_fence CLEANUP(fence_fini)

static int add_portal(struct nvmet *nvmet, struct fence *fence, const char *port, struct err *err)
{
	struct portal portal;
	int found = nvmet_port_portal(nvmet, port, &portal, err);

	if (found > 0 && !portal_is_in(&portal, fence->portals, fence->portal_count))
		fence->portals[fence->portal_count++] = portal;
	return found < 0 ? -1 : 0;
}

static int find_links(struct nvmet *nvmet, struct fence *fence, struct err *err)
{
	cleanup_root_names struct root_names ports = { 0 };
	int found;

	if (root_list(&nvmet->root, &ports, err, "ports") < 0)
		return -1;
	fence_fini(fence);
	fence->links = xcalloc(ports.count, sizeof(*fence->links));
	fence->portals = xcalloc(nvmet->portal_count + ports.count, sizeof(*fence->portals));
	memcpy(fence->portals, nvmet->portals, nvmet->portal_count * sizeof(*fence->portals));
	fence->portal_count = nvmet->portal_count;
	for (size_t i = 0; i < ports.count; i++) {
		struct fence_link *link = &fence->links[fence->link_count];
		char dir[NVMET_DIR_SIZE];

		snprintf(link->port, sizeof(link->port), "%s", ports.names[i]);
		snprintf(dir, sizeof(dir), "ports/%s/subsystems", link->port);
		found = nvmet_link_find(nvmet, dir, fence->nqn, link->name, err);
		if (found < 0 || (found && add_portal(nvmet, fence, link->port, err) < 0))
			return -1;
		fence->link_count += (size_t)found;
	}
	return 0;
}

/* Its controllers at this port are shut down when the link is gone. */
static int relink(struct nvmet *nvmet, const struct fence *fence, const struct fence_link *link,
		  struct err *err)
{
	struct err failure;

	if (root_unlink(&nvmet->root, err, "ports/%s/subsystems/%s", link->port, link->name) < 0)
		return -1;
	if (nvmet_port_link(nvmet, link->port, fence->nqn, &failure) < 0)
		log_error("export not put back at a port", KV("subsystem", fence->nqn),
			  KV("port", link->port), KV_ERR(&failure));
	return 0;
}

static int relink_all(struct nvmet *nvmet, const struct fence *fence, struct err *err)
{
	for (size_t i = 0; i < fence->link_count; i++)
		if (relink(nvmet, fence, &fence->links[i], err) < 0)
			return -1;
	return 0;
}

static int cut(struct nvmet *nvmet, struct fence *fence, struct err *err)
{
	struct err failure;
	int r;

	if (!nvmet->live)
		return relink_all(nvmet, fence, err);
	fence->drain = fenced_ensure(nvmet, fence->nqn);
	if (nvmet_drain_begin(fence->drain, fence->portals, fence->portal_count, err) < 0)
		return -1;
	r = relink_all(nvmet, fence, err);
	/* Also when some links could not be cut: others were. */
	if (nvmet_drain_end(fence->drain, &failure) < 0 && r == 0) {
		*err = failure;
		r = -1;
	}
	return r;
}

static int cut_under_guard(struct nvmet *nvmet, struct fence *fence, uint64_t limit_ms,
			   struct err *err)
{
	struct deadline guarded = deadline_after_ms(NVMET_GUARD_SECONDS * 1000);
	int r;

	if (find_links(nvmet, fence, err) < 0)
		return -1;
	nvmet_guard_up(&nvmet->guard, fence->portals, fence->portal_count);
	r = cut(nvmet, fence, err);
	if (r == 0)
		r = fence->drain ? nvmet_drain_try(fence->drain, limit_ms, err) : 1;
	nvmet_guard_down(&nvmet->guard);
	return r > 0 && deadline_passed(guarded) ? 0 : r;
}

/*
 * 1: what was cut has ended with the guard up, so that nobody can have got in; 0: it is cut, but a
 * host may get, or have got, another queue of a controller that its I/O keeps.
 */
static int cut_once(struct nvmet *nvmet, struct fence *fence, uint64_t limit_ms, struct err *err)
{
	int r;

	pthread_mutex_lock(&nvmet->lock);
	r = cut_under_guard(nvmet, fence, limit_ms, err);
	pthread_mutex_unlock(&nvmet->lock);
	return r;
}

/* Twice if need be: nobody keeps everybody else out for as long as slow storage takes. */
static int cut_for_good(struct nvmet *nvmet, struct fence *fence, struct err *err)
{
	int r = cut_once(nvmet, fence, GUARDED_MS, err);

	if (r)
		return r < 0 ? -1 : 0;
	if (fence->drain && nvmet_drain_wait(fence->drain, err) < 0)
		return -1;
	log_warning("sessions are cut a second time, because the I/O of the first was slow",
		    KV("subsystem", fence->nqn));
	r = cut_once(nvmet, fence, GUARDED_AGAIN_MS, err);
	if (r == 0)
		return err_set(
			err, ERR_UNAVAILABLE,
			"I/O of cut sessions has not ended within %d ms, so a host may have "
			"got a new queue; try again when the storage is faster, or unpublish "
			"the volume everywhere, which waits for all of it",
			GUARDED_AGAIN_MS);
	return r < 0 ? -1 : 0;
}

static void allow_again(struct nvmet *nvmet, const char *dir, const struct volume_export *host)
{
	struct err err;

	if (nvmet_host_allow_again(nvmet, dir, host, &err) < 0)
		log_error("host that could not be fenced has lost its entry", KV("subsystem", dir),
			  KV("host", host->host_nqn), KV_ERR(&err));
}

int nvmet_fence(struct nvmet *nvmet, const char *nqn, const struct volume_export *host,
		struct err *err)
{
	cleanup_fence struct fence fence = { .nqn = nqn };
	char dir[NVMET_DIR_SIZE], allowed[NVMET_DIR_SIZE + 16];
	bool removed;
	int r;

	nvmet_subsystem_dir(nqn, dir);
	snprintf(allowed, sizeof(allowed), "%s/allowed_hosts", dir);
	if (nvmet_links_remove(nvmet, allowed, host->host_nqn, &removed, err) < 0)
		return -1;
	r = cut_for_good(nvmet, &fence, err);
	if (r < 0 && removed)
		allow_again(nvmet, dir, host);
	if (r == 0 || (fence.drain && !nvmet_drain_pending(fence.drain)))
		nvmet_fence_settle(nvmet, nqn);
	return r < 0 ? -1 : nvmet_host_forget(nvmet, host, err);
}

int nvmet_remove_host(struct nvmet *nvmet, const struct uuid *uuid,
		      const struct volume_export *host, struct err *err)
{
	struct nvmet_seen seen;
	char nqn[NQN_SIZE];
	struct err failure;

	volume_nqn(uuid, nqn);
	if (nvmet_fence(nvmet, nqn, host, err) < 0)
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
