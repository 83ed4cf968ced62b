/* SPDX-License-Identifier: Apache-2.0 */
/* Exporting volumes to hosts, and fencing hosts off. */
#include "nvme/target/target.h"

#include <string.h>

#include "nvme/target/target_table.h"

/* The host's entry in the record, before anything of it shows. */
static int record_export(struct target *target, struct target_entry *entry,
			 const struct volume_export *want, struct err *err)
{
	cleanup_volume struct volume intended = volume_copy(&entry->volume);

	volume_add_export(&intended, want);
	return target_commit(target, entry, entry->pool, &intended, err);
}

static int export_locked(struct target *target, struct target_entry *entry,
			 const struct volume_export *want, struct err *err)
{
	enum export_decision decision;
	char path[PATH_MAX];

	if (!entry->present || entry->volume.state != VOLUME_READY)
		return err_set(err, ERR_NOT_FOUND, "target %s has no volume %s", target->id,
			       entry->uuid.text);
	if (export_decide(&entry->volume, want, &decision, err) < 0 ||
	    pool_verify(entry->pool, &entry->volume, err) < 0)
		return -1;
	if (decision == EXPORT_ADD && record_export(target, entry, want, err) < 0)
		return -1;
	pool_device_path(entry->pool, &entry->uuid, path);
	if (nvmet_prepare(&target->nvmet, &entry->volume, path, err) < 0 ||
	    nvmet_link(&target->nvmet, &entry->uuid, 1, err) < 0)
		return err_wrap(err, "export volume %s to host %s", entry->uuid.text,
				want->host_nqn);
	return 0;
}

int target_export(struct target *target, const char *uuid, const struct volume_export *want,
		  struct volume *ret, struct err *err)
{
	struct target_entry *entry;
	char host_nqn[NQN_SIZE];
	int r;

	if (parse_nqn("host", want->host_nqn, host_nqn, err) < 0)
		return -1;
	if ((unsigned)want->access >= VOLUME_ACCESS_COUNT)
		return err_set(err, ERR_INVALID_ARGUMENT, "access %d is none of 0 to %d",
			       (int)want->access, VOLUME_ACCESS_COUNT - 1);
	if (target_acquire(target, uuid, &entry, err) < 0)
		return -1;
	r = export_locked(target, entry, want, err);
	if (r == 0)
		*ret = target_result(entry->pool, &entry->volume);
	target_release(target, entry);
	return r;
}

/* Whether there is anything to end for the host: by the record, or by configfs in spite of it. */
static int is_exported(struct target *target, const struct target_entry *entry,
		       const char *host_nqn, struct err *err)
{
	if (!entry->present)
		return 0;
	if (!host_nqn[0])
		return entry->volume.export_count > 0;
	if (volume_find_export(&entry->volume, host_nqn))
		return 1;
	return nvmet_allows(&target->nvmet, &entry->uuid, host_nqn, err);
}

static int unexport_locked(struct target *target, struct target_entry *entry, const char *host_nqn,
			   struct err *err)
{
	cleanup_volume struct volume left = { 0 };
	int r = is_exported(target, entry, host_nqn, err);

	if (r <= 0)
		return r;
	left = volume_copy(&entry->volume);
	if (host_nqn[0])
		volume_remove_export(&left, host_nqn);
	else
		left.export_count = 0;
	if (left.export_count)
		r = nvmet_remove_host(&target->nvmet, &entry->uuid, host_nqn, err);
	else
		r = nvmet_remove(&target->nvmet, &entry->volume, err);
	if (r < 0)
		return err_wrap(err, "unexport volume %s", entry->uuid.text);
	return target_commit(target, entry, entry->pool, &left, err);
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
	target_release(target, entry);
	return r;
}
