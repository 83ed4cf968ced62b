/* SPDX-License-Identifier: Apache-2.0 */
/* Exporting volumes to hosts, and fencing hosts off. */
#include "nvme/target/target.h"

#include <string.h>

#include "nvme/base/log.h"
#include "nvme/target/target_table.h"

/*
 * The host's entry in the record, before anything of it shows. Volumes share a host: the last of
 * them removes it, so each keeps whether it was made here.
 */
static int record_export(struct target *target, struct target_entry *entry,
			 const struct volume_export *want, struct err *err)
{
	cleanup_volume struct volume intended = volume_copy(&entry->volume);
	struct volume_export export = *want;

	export.host_made = target_made_host(target, want->host_nqn) ||
			   !nvmet_host_exists(&target->nvmet, want->host_nqn);
	volume_add_export(&intended, &export);
	return target_commit(target, entry, entry->pool, &intended, err);
}

/* Keys, record, and the keys in the kernel; as the last step before anything that needs them. */
static int let_in(struct target *target, struct target_entry *entry,
		  const struct volume_export *want, const struct dhchap_keys *keys, bool held,
		  struct err *err)
{
	cleanup_keys_claim struct target_keys_claim claim = { 0 };

	if (target_keys_claim(target, entry->pool, want, held, keys, &claim, err) < 0 ||
	    (!held && record_export(target, entry, want, err) < 0))
		return -1;
	return target_keys_show(&claim, err);
}

/*
 * The record comes before pool_attach, too: what that makes is always part of an export that some
 * record names, and goes with it.
 */
static int export_locked(struct target *target, struct target_entry *entry,
			 const struct volume_export *want, const struct dhchap_keys *keys,
			 struct volume *ret, struct err *err)
{
	cleanup_turn struct target_turn turn = { 0 };
	enum export_decision decision;
	char path[PATH_MAX];

	if (target_expect(target, entry, "", err) < 0 ||
	    export_decide(&entry->volume, want, &decision, err) < 0 ||
	    target_turn_take(target, entry->pool, &turn, err) < 0 ||
	    target_finish_expand(target, entry, err) < 0 || target_expect_backing(entry, err) < 0)
		return -1;
	if (let_in(target, entry, want, keys, decision == EXPORT_ALREADY, err) < 0)
		return -1;
	pool_device_path(entry->pool, &entry->volume, want->readonly, path);
	if (pool_attach(entry->pool, &entry->volume, want->readonly, err) < 0 ||
	    nvmet_prepare(&target->nvmet, &entry->volume, path, want->host_nqn, err) < 0 ||
	    nvmet_link(&target->nvmet, &entry->uuid, 1, err) < 0)
		return err_wrap(err, "export volume %s to host %s", entry->uuid.text,
				want->host_nqn);
	*ret = target_result(entry->pool, &entry->volume);
	return 0;
}

int target_export_keyed(struct target *target, const char *uuid, const struct volume_export *want,
			const struct dhchap_keys *keys, struct volume *ret, struct err *err)
{
	struct target_entry *entry;
	char host_nqn[NQN_SIZE];
	int r;

	if (parse_nqn("host", want->host_nqn, host_nqn, err) < 0)
		return -1;
	if ((unsigned)want->access >= VOLUME_ACCESS_COUNT)
		return err_set(err, ERR_INVALID_ARGUMENT, "access %d is none of 0 to %d",
			       (int)want->access, VOLUME_ACCESS_COUNT - 1);
	if (want->dhchap != dhchap_keys_mode(keys))
		return err_set(err, ERR_INVALID_ARGUMENT, "authentication %s with keys for %s",
			       dhchap_mode_name(want->dhchap),
			       dhchap_mode_name(dhchap_keys_mode(keys)));
	if (target_take(target, uuid, &entry, err) < 0)
		return -1;
	r = export_locked(target, entry, want, keys, ret, err);
	target_release(target, entry);
	return r;
}

int target_export(struct target *target, const char *uuid, const struct volume_export *want,
		  struct volume *ret, struct err *err)
{
	const struct dhchap_keys none = { 0 };

	return target_export_keyed(target, uuid, want, &none, ret, err);
}

/* Whichever pool it was. What stays is taken away when the volume is exported again and ended. */
static void detach_unrecorded(struct target *target, const struct uuid *uuid)
{
	for (size_t i = 0; i < target->pool_count; i++) {
		cleanup_turn struct target_turn turn = { 0 };
		struct err err;

		if (target_turn_take(target, target->pools[i], &turn, &err) < 0 ||
		    pool_detach(target->pools[i], uuid, &err) < 0)
			log_warning("device of an ended export left behind",
				    KV("volume", uuid->text), KV("pool", target->pools[i]->name),
				    KV_ERR(&err));
	}
}

/* Ends what configfs shows of an export that no record speaks of. */
static int fence_unrecorded(struct target *target, const struct uuid *uuid, const char *host_nqn,
			    const struct nvmet_seen *seen, struct err *err)
{
	struct volume volume = { .uuid = *uuid };
	struct volume_export host = { 0 };

	/* Without an entry the host may still have a session: an earlier call may have been killed.
	 */
	if (!seen->there)
		return 0;
	log_warning("export without a record ended", KV("volume", uuid->text),
		    KV("host", host_nqn));
	strcpy(host.host_nqn, host_nqn);
	if (host_nqn[0] && seen->others)
		return nvmet_remove_host(&target->nvmet, uuid, &host, err);
	if (nvmet_remove(&target->nvmet, &volume, err) < 0)
		return -1;
	detach_unrecorded(target, uuid);
	return 0;
}

static int fence_recorded(struct target *target, struct target_entry *entry, const char *host_nqn,
			  const struct nvmet_seen *seen, struct err *err)
{
	cleanup_volume struct volume left = volume_copy(&entry->volume);
	const struct volume_export *held = volume_find_export(&left, host_nqn);
	cleanup_turn struct target_turn turn = { 0 };
	struct volume_export host = { 0 };

	if (held)
		host = *held;
	else if (host_nqn[0] ? !seen->allowed : !seen->there && !left.export_count)
		return 0;
	strcpy(host.host_nqn, host_nqn);
	if (host_nqn[0])
		volume_remove_export(&left, host_nqn);
	else
		left.export_count = 0;
	if ((left.export_count ? nvmet_remove_host(&target->nvmet, &entry->uuid, &host, err) :
				 nvmet_remove(&target->nvmet, &entry->volume, err)) < 0)
		return -1;
	/* The fence stands; from here on the pool may hang. */
	if (target_turn_take(target, entry->pool, &turn, err) < 0 ||
	    (!left.export_count && pool_detach(entry->pool, &entry->uuid, err) < 0))
		return -1;
	return target_commit(target, entry, entry->pool, &left, err);
}

static int end_recorded(struct target *target, struct target_entry *entry, const char *host_nqn,
			const struct nvmet_seen *seen, struct err *err)
{
	cleanup_volume struct volume before = volume_copy(&entry->volume);

	if (fence_recorded(target, entry, host_nqn, seen, err) < 0)
		return -1;
	for (size_t i = 0; i < before.export_count; i++)
		if (before.exports[i].dhchap != DHCHAP_NONE)
			target_keys_settle(target, before.exports[i].host_nqn);
	return 0;
}

static int unexport_locked(struct target *target, struct target_entry *entry, const char *host_nqn,
			   struct err *err)
{
	struct nvmet_seen seen;
	int r = nvmet_see(&target->nvmet, &entry->uuid, host_nqn, &seen, err);

	if (r == 0 && entry->present)
		r = end_recorded(target, entry, host_nqn, &seen, err);
	else if (r == 0)
		r = fence_unrecorded(target, &entry->uuid, host_nqn, &seen, err);
	return r < 0 ? err_wrap(err, "unexport volume %s", entry->uuid.text) : 0;
}

int target_unexport(struct target *target, const char *uuid, const char *host_nqn, struct err *err)
{
	struct target_entry *entry;
	char checked[NQN_SIZE] = "";
	int r;

	if (host_nqn && host_nqn[0] && parse_nqn("host", host_nqn, checked, err) < 0)
		return -1;
	if (target_acquire(target, uuid, &entry, err) < 0)
		return -1;
	r = unexport_locked(target, entry, checked, err);
	if (r == 0)
		r = target_settle(target, entry, err);
	target_release(target, entry);
	return r;
}
