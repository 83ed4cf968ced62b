/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A namespace on this node: connecting it, making its file system if and only if that can lose
 * nothing, mounting it once at its private path, and letting go of it when its last user is gone.
 * Everything here may block for as long as the kernel does.
 */
#ifndef CSI_NODE_DEVICE_H
#define CSI_NODE_DEVICE_H

#include "csi/node/node.h"
#include "csi/node/record.h"
#include "csi/request/access.h"
#include "csi/request/parameters.h"
#include "csi/volume/fs.h"
#include "csi/volume/mount.h"
#include "csi/volume/probe.h"

/* Where the device of a record is mounted once: <state>/mnt/<key>. */
void device_private_path(const struct node *node, const struct node_record *record,
			 char ret[PATH_MAX]);

/*
 * Opens the device node for reading and puts its path into ret. While it is open the kernel gives
 * neither the name nor the number to another namespace, so that what is done by path meanwhile is
 * done to this one.
 */
int device_pin(const struct node *node, const struct host_namespace *ns, char ret[PATH_MAX],
	       int *ret_fd, struct err *err);

/* Finds the record's namespace in sysfs: 1 found, 0 absent, -1 error. */
int device_find(const struct node *node, const struct node_record *record,
		struct host_namespace *ret, struct err *err);

/*
 * Ends a mkfs that an earlier life of this process began and that may still run: whatever has the
 * device open loses it, because it is disconnected. (mkfs.btrfs does not hold its device
 * exclusively, so nothing else would keep two of them apart.) Only if an intent is there and the
 * namespace is not mounted.
 */
int device_end_old_mkfs(const struct node *node, const struct node_record *record,
			struct deadline deadline, struct err *err);

/*
 * Connects all portals (those that are connected already stay) and waits for the namespace.
 * ERR_FAILED_PRECONDITION when its size is not the one the target promised.
 */
int device_connect(const struct node *node, const struct node_record *record,
		   const struct attachment *attachment, const struct parameters *parameters,
		   struct deadline deadline, struct host_namespace *ret, struct err *err);

/*
 * Makes the device open at fd refuse writes on this node, or take them again. It is the device's
 * switch, for all its users at once: the caller has made sure that none is wronged.
 */
int device_set_readonly(const struct host_namespace *ns, int fd, bool readonly, struct err *err);

/* What is on a device, and what this node knows of it. */
struct device_found {
	struct probe_result probe;
	bool unfinished; /* what a mkfs of the wanted file system leaves that was cut short */
	bool ours;	 /* an intent says that this node began that very mkfs (intent.h) */
};

enum device_plan { DEVICE_MOUNT, DEVICE_FORMAT };

/*
 * Law 1, the decision: what to do with a device on which this was found. Pure.
 * A finished file system of the wanted type is mounted, even if an intent is there: it may have
 * been in use on another node since. An intent stands in for the target's word that the volume is
 * blank, and lets an unfinished mkfs be written over; nothing else ever is.
 * ERR_FAILED_PRECONDITION names what was found or which condition of formatting does not hold.
 */
int device_plan(const struct attachment *attachment, const struct access *access,
		const struct device_found *found, enum device_plan *ret, struct err *err);

/*
 * What is staged serves the record: both have the same read-only state. ERR_FAILED_PRECONDITION
 * otherwise: a mount from another life of the volume is not used again. Pure.
 */
int device_check_readonly(bool staged_readonly, const struct node_record *record, struct err *err);

/*
 * Probes, formats if the plan says so, or checks (csi/volume/check.h), mounts at the private path
 * and lets the file system grow to its device; verifies what is there. A private mount that went
 * missing while the staging bind is still there is put back.
 * A record that is read-only never lets the device be written to: it is switched to read-only and
 * mounted without replay, and ERR_FAILED_PRECONDITION when its journal would have to be replayed.
 */
int device_mount(const struct node *node, const struct node_record *record,
		 const struct attachment *attachment, const struct access *access,
		 const struct parameters *parameters, const struct host_namespace *ns,
		 struct err *err);

/*
 * The next mount that uses the namespace after previous (NULL: the first): mounts of its file
 * system, and binds of its device node. NULL: no more.
 */
const struct mount_entry *device_next_mount(const struct mount_table *table,
					    const struct mount_entry *previous,
					    const struct host_namespace *ns);

/*
 * Whether a path of a mount is the staging bind or the private mount of another volume on the same
 * subsystem, by its record: 1: it is; 0: it is not; -1: error. Reads the records.
 */
int device_is_of_another(const struct node *node, const struct node_record *not_this,
			 const char *path, struct err *err);

/*
 * Lets go of a stage: takes its bind away and, once no mount but the private one uses the
 * namespace, unmounts that, makes sure that the superblock is gone, disconnects, and removes the
 * record. When a mount of another record still uses the namespace, the device stays. Any other
 * user is ERR_FAILED_PRECONDITION and named, before anything is touched. Safe to repeat after a
 * failure at any point. The caller's job has the record's volume and namespace.
 */
int device_release(const struct node *node, const struct node_record *record,
		   const char *staging_path, struct deadline deadline, struct err *err);

/*
 * Where a volume is bound for its stage: a directory in its staging path, a file for raw block. Not
 * the staging path itself: of a mount there kubelet takes the private mount and the stages of other
 * handles for somebody else's use, by their common device, and never unstages.
 */
void device_stage_path(const char *staging_path, char ret[PATH_MAX]);

#endif
