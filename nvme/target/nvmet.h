/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's NVMe target through configfs (Documentation: none; drivers/nvme/target/configfs.c).
 * Owns the subsystems whose NQN begins with VOLUME_NQN_PREFIX, one a volume with namespace 1, and
 * their links; everything else there belongs to others and is only read. Ports and hosts are
 * shared objects: a port with our address is used whoever made it; one is made when there is none,
 * under an id from NVMET_PORT_FIRST on, and only empty ports with such an id and one of our
 * addresses are removed. A host is made when absent, and removed when no subsystem names it, its
 * export says that it was made here (host_made) and it has no dhchap_key but ours.
 * Every function finishes what an interrupted call began. They may be called from any thread for
 * different volumes; for one volume one at a time. All may block: removing a namespace waits for
 * the I/O that is under way.
 */
#ifndef NVME_TARGET_NVMET_H
#define NVME_TARGET_NVMET_H

#include <pthread.h>

#include "nvme/base/portal.h"
#include "nvme/base/root.h"
#include "nvme/target/nvmet_guard.h"
#include "nvme/target/volume.h"

#define NVMET_PATH "/sys/kernel/config/nvmet"
#define NVMET_PORT_FIRST 28160U /* far from the ids that people give to ports of their own */

struct nvmet_fenced;

struct nvmet {
	struct root root;
	pthread_mutex_t lock; /* making and removing the shared objects */
	struct portal portals[PORTAL_MAX];
	size_t portal_count;
	bool live; /* the kernel's own tree, with listeners and sessions behind it; false in tests */
	struct nvmet_guard guard;
	struct nvmet_fenced *fenced; /* fences that have not seen the end of what they cut */
};

/* ERR_FAILED_PRECONDITION when nvmet's configfs tree is not there, with what to do about it. */
int nvmet_open(struct nvmet *nvmet, const char *path, const struct portal *portals,
	       size_t portal_count, struct err *err);
void nvmet_close(struct nvmet *nvmet);

/*
 * Builds everything of an export but its way to the network: subsystem, namespace, and exactly the
 * hosts of the volume. What is right already is not written. A host too many is removed and its
 * sessions are cut. One that cannot be let in is logged and left out; an error only when that is
 * the one needed, or, if needed is NULL, when no host can be. ERR_FAILED_PRECONDITION: an enabled
 * namespace has another identity or path.
 */
int nvmet_prepare(struct nvmet *nvmet, const struct volume *volume, const char *device_path,
		  const char *needed, struct err *err);

/*
 * Links prepared subsystems to a port for each portal. When a port lacks more than one of them the
 * guard is up from before the first link until after the last: while a port listens without its
 * subsystem, an initiator that reconnects to that is refused for good (since Linux 6.12). A single
 * one needs none. Without nftables it is one tight loop under no guard, which is logged. A portal
 * that cannot be served is logged and left out; an error only when none can.
 * The first call in a process, also one without subsystems, removes the guard of an earlier one.
 */
int nvmet_link(struct nvmet *nvmet, const struct uuid *uuids, size_t count, struct err *err);

/*
 * Takes one host of several away and fences it: its ACL entry is removed; the guard goes up;
 * connections whose Connect is under way are aborted; the subsystem's links are removed, which
 * shuts all its sessions down, and put back at once; when the sessions are gone the guard is
 * lifted, and the other hosts reconnect by themselves after their reconnect delay. If I/O keeps
 * sessions for longer than a second the guard is lifted meanwhile, and all is cut once more when
 * they are gone. What the others see is a pause, also when they connect in that very moment. When
 * it returns 0 the host has no session and gets none, and nothing that it ever sent is still under
 * way to the backing: what was handed over is waited for (nvmet_drain.h), as long as the backing
 * takes for it; also what an earlier call for the volume cut and then failed to see the end of. Not
 * covered: I/O of a session that had ended by itself before the call, of which the kernel shows
 * nothing any more, and of one whose fence was interrupted by the end of this process; nor queues
 * that the host gets of such a session's controller while that I/O takes.
 * ERR_FAILED_PRECONDITION: the kernel does not tell of its sockets; then no session was cut.
 * ERR_UNAVAILABLE: it has lost count of them, or those of the second cut were not gone after 10 s.
 * On every error the host may have its entry again.
 */
int nvmet_remove_host(struct nvmet *nvmet, const struct uuid *uuid,
		      const struct volume_export *host, struct err *err);

/*
 * Makes the kernel look at the size of an exported backing, and tell the hosts: they see it some
 * 200 ms later. A volume without a subsystem, or whose namespace is not enabled, is fine.
 */
int nvmet_revalidate(struct nvmet *nvmet, const struct uuid *uuid, struct err *err);

/* What configfs says of a volume. */
struct nvmet_seen {
	bool there;   /* it has a subsystem */
	bool allowed; /* the host asked for is let in */
	bool others;  /* some other host is */
};

int nvmet_see(struct nvmet *nvmet, const struct uuid *uuid, const char *host_nqn,
	      struct nvmet_seen *ret, struct err *err);

/* Whether the host is there, whoever made it. */
bool nvmet_host_exists(struct nvmet *nvmet, const char *host_nqn);

/*
 * Whether the host can be given these keys. ERR_FAILED_PRECONDITION: this kernel has no
 * DH-HMAC-CHAP (6.1 has none), or the host is not of our making (made: it is, or will be) and has
 * other keys or none, which are not ours to change.
 */
int nvmet_host_keys_check(struct nvmet *nvmet, const char *host_nqn, const struct dhchap_keys *keys,
			  bool made, struct err *err);

/*
 * Makes the host and gives it these keys, read back. Sessions go on; whoever connects or reconnects
 * from now on needs the new ones. A key cannot be taken away again: ERR_FAILED_PRECONDITION when
 * the host has one for the target and is to have none.
 */
int nvmet_host_keys_set(struct nvmet *nvmet, const char *host_nqn, const struct dhchap_keys *keys,
			struct err *err);

/*
 * Removes a volume's subsystem with all that hangs on it, and the hosts that its exports made. The
 * port links go first, which kills the sessions; the namespace goes next, which waits for the I/O
 * of those. An absent subsystem is fine.
 */
int nvmet_remove(struct nvmet *nvmet, const struct volume *volume, struct err *err);

/* A subsystem of our prefix, as it is in configfs. */
struct nvmet_found {
	struct uuid uuid; /* empty text when the NQN does not end in a canonical UUID */
	char nqn[NQN_SIZE];
	char device_path[PATH_MAX]; /* of namespace 1; empty when there is none */
	struct root_names hosts;
};

struct nvmet_found_list {
	struct nvmet_found *found;
	size_t count;
};

/* One that cannot be read is logged and left out. */
int nvmet_list(struct nvmet *nvmet, struct nvmet_found_list *ret, struct err *err);
void nvmet_found_list_fini(struct nvmet_found_list *list);
#define cleanup_nvmet_found_list CLEANUP(nvmet_found_list_fini)

/*
 * The addresses at which hosts may come to some volumes: our portals, and those of all other ports
 * that lead to one of them, whoever linked these. The caller frees them. ERR_FAILED_PRECONDITION:
 * such a port has no address of its own, or is not of TCP.
 */
int nvmet_ways(struct nvmet *nvmet, const struct uuid *uuids, size_t count, struct portal **ret,
	       size_t *ret_count, struct err *err);

/*
 * The configfs id of the port that has this address, which is made when there is none, from one
 * that an interrupted call left without a full address if there is such. Call it with the lock
 * held. A port with any other address is not touched.
 */
int nvmet_port_ensure(struct nvmet *nvmet, const struct portal *portal, unsigned *ret,
		      struct err *err);

/* Removes the ports of our ids and portals that have no subsystem. Call it with the lock held. */
int nvmet_ports_trim(struct nvmet *nvmet, struct err *err);

#endif
