/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thin volumes of one thin pool, by lvm2's commands. Each command runs under a deadline of a
 * minute, since a device that hangs would hold it for ever. Those that change something go one by
 * one: a caller that has not had its turn within a minute gets ERR_UNAVAILABLE, with nothing begun,
 * so that none is killed half-way because others were before it. lvm2 itself makes them wait for
 * those of other processes. Nothing depends on udev. What lvm2 says about an error is part of the
 * message.
 *
 * A command that was killed at any moment leaves lvm2's metadata as before or after it, but it may
 * leave devices behind that are missing (lvm_activate), have their old size (lvm_refresh) or are
 * suspended, so that all I/O of the thin pool hangs: opening, and each change that fails, looks for
 * those and lets lvm2 resume them.
 */
#ifndef NVME_TARGET_LVM_H
#define NVME_TARGET_LVM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "nvme/base/root.h"
#include "nvme/target/dm.h"

#define LVM_PREFIX "nvmeot-" /* names of thin volumes of our making begin so */
#define LVM_NAME_SIZE 128    /* lvm(8): names of logical volumes are shorter */

struct lvm {
	char group[LVM_NAME_SIZE];
	char pool[LVM_NAME_SIZE];
	uint64_t extent_bytes; /* sizes are rounded up to it */
	uint64_t chunk_bytes;  /* what the thin pool allocates at a time */
	pthread_mutex_t *turn; /* of the commands that change something; owned */
};

/*
 * Reads "GROUP/THINPOOL". ERR_INVALID_ARGUMENT: malformed. ERR_FAILED_PRECONDITION: there is no
 * such thin pool, or it does not zero what it hands out, so that a volume could show what another
 * one held, or lvm2 is not installed. ERR_UNAVAILABLE: one of its devices stays suspended.
 */
int lvm_open(const char *argument, struct lvm *ret, struct err *err);
void lvm_close(struct lvm *lvm);

/*
 * The names of the thin volumes that have a tag and are prefix and a UUID's text, active or not.
 * Others that begin with prefix may be among them. prefix is a part of a regular expression, too.
 */
int lvm_list(const struct lvm *lvm, const char *tag, const char *prefix, struct root_names *ret,
	     struct err *err);

/*
 * Whether there is such a thin volume, active or not, and whether it has a tag. 1: yes; 0: no.
 * ERR_FAILED_PRECONDITION: the name is that of something outside of the thin pool.
 */
int lvm_find(const struct lvm *lvm, const char *name, const char *tag, bool *ret_tagged,
	     struct err *err);

/* As lvm_find, but one without the tag is ERR_FAILED_PRECONDITION. */
int lvm_claim(const struct lvm *lvm, const char *name, const char *tag, struct err *err);

/*
 * Of those below that change something: ERR_DEADLINE_EXCEEDED: the command was killed, after a
 * minute or by somebody, and what it was at may be done, or half done.
 *
 * Makes a thin volume of at least size_bytes and gives it the tags. ERR_RESOURCE_EXHAUSTED: lvm2
 * takes no new one because the thin pool is too full, or what it keeps of the volume group.
 */
int lvm_create(const struct lvm *lvm, const char *name, uint64_t size_bytes,
	       const char *const tags[], struct err *err);

/*
 * Makes a thin volume that holds what another one holds at one moment, of its size, and shares its
 * blocks. Fails as lvm_create.
 */
int lvm_snapshot(const struct lvm *lvm, const char *name, const char *from,
		 const char *const tags[], struct err *err);

/* Makes its device. */
int lvm_activate(const struct lvm *lvm, const char *name, struct err *err);
int lvm_grow(const struct lvm *lvm, const char *name, uint64_t size_bytes, struct err *err);
/* Makes its device anew from what lvm2's metadata says, and lets it run. */
int lvm_refresh(const struct lvm *lvm, const char *name, struct err *err);
int lvm_untag(const struct lvm *lvm, const char *name, const char *tag, struct err *err);
/* An absent one is fine, one that lvm_claim refuses stays and is its error. */
int lvm_remove(const struct lvm *lvm, const char *name, const char *tag, struct err *err);

/* The name of its device-mapper device; of a thin pool's, suffix is "-tpool", else "". False: it
 * would be too long. Pure. */
bool lvm_dm_name(const struct lvm *lvm, const char *name, const char *suffix,
		 char out[DM_NAME_SIZE]);

#endif
