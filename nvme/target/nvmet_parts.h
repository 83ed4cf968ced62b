/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nvmet's files share: attributes and links in configfs, for the files of this folder only.
 */
#ifndef NVME_TARGET_NVMET_PARTS_H
#define NVME_TARGET_NVMET_PARTS_H

#include "nvme/target/nvmet.h"

#define NVMET_DIR_SIZE (NQN_SIZE + 64)

/* "subsystems/NQN" */
void nvmet_subsystem_dir(const char *nqn, char out[NVMET_DIR_SIZE]);

/* 1: the attribute has this value; 0: another, left in value. An absent one is an error. */
int nvmet_attr_is(struct nvmet *nvmet, const char *dir, const char *attr, const char *want,
		  char value[ROOT_VALUE_SIZE], struct err *err);

/* Writes it if it differs, and reads it back, because configfs takes some writes without effect. */
int nvmet_attr_ensure(struct nvmet *nvmet, const char *dir, const char *attr, const char *want,
		      struct err *err);

/* Makes a directory; *ret_fresh: it was not there, so that nobody has set anything in it yet. */
int nvmet_dir_ensure(struct nvmet *nvmet, const char *dir, bool *ret_fresh, struct err *err);

/*
 * As nvmet_attr_ensure, but in a fresh directory it is only written, and not even that if it is to
 * be "0": switches of new objects are off (the kernel allocates those zeroed).
 */
int nvmet_attr_set(struct nvmet *nvmet, const char *dir, bool fresh, const char *attr,
		   const char *want, struct err *err);

/*
 * The name of the object a link points to; the link's own name is free. 0: the link is gone, which
 * is how another volume's removal looks.
 */
int nvmet_link_target(struct nvmet *nvmet, const char *dir, const char *name, char out[PATH_MAX],
		      struct err *err);

/* 1: name is that of a link in dir that points to target, of which the kernel takes one; 0: none. */
int nvmet_link_find(struct nvmet *nvmet, const char *dir, const char *target,
		    char name[NAME_MAX + 1], struct err *err);

/* Removes every link in dir that points to target; *ret_removed says whether there was one. */
int nvmet_links_remove(struct nvmet *nvmet, const char *dir, const char *target, bool *ret_removed,
		       struct err *err);

/* Links the subsystem to the port, under the name we give. Call it with the lock held. */
int nvmet_port_link(struct nvmet *nvmet, const char *port, const char *nqn, struct err *err);

/*
 * Removes the subsystem's link at every port, which kills its controllers there, and the ports of
 * ours that are empty then. any_name: also links with another name than we give.
 */
int nvmet_ports_cut(struct nvmet *nvmet, const char *nqn, bool any_name, struct err *err);

/*
 * The TCP address of a port. 1: it has one; 0: another transport, or one that no portal can have.
 */
int nvmet_port_portal(struct nvmet *nvmet, const char *port, struct portal *ret, struct err *err);

/* The hosts that a subsystem allows, by the objects its links point to. */
int nvmet_hosts_list(struct nvmet *nvmet, const char *dir, struct root_names *ret, struct err *err);

/*
 * Lets one host in; dir is the subsystem's. One that has to authenticate itself only if it has a
 * key: ERR_ABORTED when somebody has just taken the host away, which a repetition makes anew.
 */
int nvmet_host_allow(struct nvmet *nvmet, const char *dir, const struct volume_export *host,
		     struct err *err);

/*
 * Puts back an entry that was just removed. ERR_ABORTED: the host has gone since, and its keys with
 * it, or it has lost the key that it needs; it would get in without any.
 */
int nvmet_host_allow_again(struct nvmet *nvmet, const char *dir, const struct volume_export *host,
			   struct err *err);

/*
 * Lets the volume's hosts in as nvmet_prepare says, and fences every other one, of which a fresh
 * subsystem has none.
 */
int nvmet_hosts_ensure(struct nvmet *nvmet, const struct volume *volume, const char *needed,
		       const char *nqn, const char *dir, bool fresh, struct err *err);

/* Removes a host that an export made, if nothing else needs it. */
int nvmet_host_forget(struct nvmet *nvmet, const struct volume_export *host, struct err *err);

/*
 * Removes the host's ACL entry and its sessions of the subsystem, which stays for others: see
 * nvmet_remove_host. When it fails the entry is put back if the host is still there with its key:
 * who finds none may take the host for fenced.
 */
int nvmet_fence(struct nvmet *nvmet, const char *nqn, const struct volume_export *host,
		struct err *err);

/* Forgets what fences of this subsystem have not seen the end of: it has ended, all of it. */
void nvmet_fence_settle(struct nvmet *nvmet, const char *nqn);

/* Forgets that of all subsystems. */
void nvmet_fences_free(struct nvmet *nvmet);

#endif
