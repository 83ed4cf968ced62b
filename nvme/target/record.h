/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a volume: <uuid>.json beside its backing, the only place where the target's
 * knowledge lives. It is replaced as a whole (old or new after a crash, never a mixture) and read
 * strictly: whatever is not fully understood is an error. What is malformed the caller sets aside
 * under its name with .bad; a record of another version is whole, and stays as it is. Every
 * function here blocks for as long as the disk does.
 *
 * While the volume is being created the same text has the name <uuid>.new.json: that name alone is
 * the state VOLUME_CREATING, so that a rename ends it. Where there are both names, because such a
 * volume is being deleted, <uuid>.json says what it is. A file <uuid>.new.json may be half-written:
 * nothing is done for the volume before it is durable, so that is of a creation that never began.
 * The state "creating" in the text of <uuid>.json is read as well: records were written so once.
 *
 *	{ "version": 1, "uuid": "…", "name": "…", "sizeBytes": 4096, "growingTo": 8192,
 *	  "writeCache": "none", "state": "ready", "parameters": { "key": "value" },
 *	  "mutableParameters": { "key": "value" },
 *	  "exports": [ { "hostNqn": "…", "access": "single-node", "readonly": false,
 *			 "hostMade": true, "dhchap": "one-way" } ],
 *	  "source": { "volume": "…" },
 *	  "snapshot": { "createdNs": 1, "heldBytes": 4096,
 *			"group": { "uuid": "…", "name": "…", "members": [ "…", "…" ] } } }
 *
 * growingTo is there while an expansion is under way: the backing has either size then. Where it,
 * mutableParameters, hostMade and dhchap are absent there is none, none, false, and "none". The
 * keys of dhchap are elsewhere: see host_keys.h.
 *
 * source is there if the backing began as a copy: of a "volume", or of a "snapshot". With snapshot
 * this is the record of one, which has no exports; group is there if it was taken with others,
 * which are its members, itself too: so a start knows the whole of a group from any record of it.
 * A record with one of these has version 2: an agent that does not know them leaves it as it is.
 */
#ifndef NVME_TARGET_RECORD_H
#define NVME_TARGET_RECORD_H

#include "nvme/base/root.h"
#include "nvme/target/volume.h"

/* The record as text; owned. VOLUME_CREATING is written as the state that follows it. */
char *record_format(const struct volume *volume);

/*
 * The volume in text, which must be that of uuid; pool and blank are left empty. ERR_DATA_LOSS: it
 * is malformed; ERR_UNIMPLEMENTED: it has another version than 1 and 2.
 */
int record_parse(const char *text, const struct uuid *uuid, struct volume *ret, struct err *err);

/* 1: read; 0: no such record; -1: unreadable (ERR_INTERNAL), or the errors of record_parse. */
int record_load(const struct root *root, const struct uuid *uuid, struct volume *ret,
		struct err *err);

/*
 * Durable when it returns 0. Without space for it one of the spares (spare.h) is given back; for
 * the first one of a volume none is: ERR_RESOURCE_EXHAUSTED.
 */
int record_save(const struct root *root, const struct volume *volume, struct err *err);

/*
 * Ends VOLUME_CREATING. When it returns 0 that is durable, and so is what was done in the same
 * directory before. Also for a volume of which an earlier call did this, durably or not.
 */
int record_commit(const struct root *root, const struct uuid *uuid, struct err *err);

/* Removes the record under both names. Durable; an absent record is fine. */
int record_remove(const struct root *root, const struct uuid *uuid, struct err *err);

enum record_kind { RECORD_LIVE, RECORD_BAD };

/*
 * The names of all live records below root, or of all that were set aside; UUID or not. Where a
 * volume has both names it is <uuid>.json only.
 */
int record_list(const struct root *root, enum record_kind kind, struct root_names *ret,
		struct err *err);

/* The UUID that such a name stands for. ERR_DATA_LOSS when it is not in canonical form. */
int record_name_uuid(const char *name, struct uuid *ret, struct err *err);

/* Whether such a name is that of a record while its volume is being created. */
bool record_is_begun(const char *name);

/* Whether <uuid>.json was set aside. A <uuid>.new.json beside it is older, and says nothing. */
bool record_is_set_aside(const struct root *root, const struct uuid *uuid);

/* Sets a record aside as <name>.bad; an older one of that name is never overwritten. */
int record_quarantine(const struct root *root, const char *name, struct err *err);

#endif
